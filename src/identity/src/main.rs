//! The daemon `identity`: the supervisor starts it, with the wire `identify`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::IDENTIFY;
use identity::room::Room;
use log::error;

fn main() -> ExitCode {
    let listener = wire::take(IDENTIFY);
    sys::logger::to_stderr("identity");
    let Some(listener) = listener else {
        error!("wire identify: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    let mut room = Room::new(listener);
    wire::notify_ready();
    match room.run() {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
