//! The daemon `voice`: the supervisor starts it, with the wire `calls`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::CALLS;
use log::error;
use voice::room::Room;

fn main() -> ExitCode {
    let listener = wire::take(CALLS);
    sys::logger::to_stderr("voice");
    let Some(listener) = listener else {
        error!("wire calls: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    wire::notify_ready();
    match Room::new(listener).run() {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
