//! The daemon `names`: the supervisor starts it, with the wire `resolve`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::RESOLVE;
use log::error;
use names::room::Room;

fn main() -> ExitCode {
    let listener = wire::take(RESOLVE);
    sys::logger::to_stderr("names");
    let Some(listener) = listener else {
        error!("wire resolve: not handed to us; the supervisor starts this program");
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
