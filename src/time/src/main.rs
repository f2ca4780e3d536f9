//! The daemon `time`: the supervisor starts it, with the wire `clock`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::CLOCK;
use log::error;
use time::room::Room;

fn main() -> ExitCode {
    let listener = wire::take(CLOCK);
    sys::logger::to_stderr("time");
    let Some(listener) = listener else {
        error!("wire clock: not handed to us; the supervisor starts this program");
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
