//! The daemon `lease`: the supervisor starts it, with the wire `leases`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::LEASES;
use lease::room::Room;
use log::error;

fn main() -> ExitCode {
    let listener = wire::take(LEASES);
    sys::logger::to_stderr("lease");
    let Some(listener) = listener else {
        error!("wire leases: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    let run = Room::open(listener).and_then(|mut room| {
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
