//! The daemon `lease`: the supervisor starts it, with the wire `leases`. It keeps what it gave in its folder of the data disk, or in the one
//! that its argument names.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use contract::wires::LEASES;
use lease::room::Room;
use log::error;
use state::Folder;

fn main() -> ExitCode {
    let listener = wire::take(LEASES);
    sys::logger::to_stderr("lease");
    let Some(listener) = listener else {
        error!("wire leases: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    let other = std::env::args_os().nth(1);
    let folder = other.map_or_else(|| Folder::of("lease"), |path| Folder::at(Path::new(&path)));
    let run = Room::open(listener, &folder).and_then(|mut room| {
        wire::notify_ready();
        room.run()
    });
    match run {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
