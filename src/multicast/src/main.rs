//! The daemon `multicast`: the supervisor starts it, with the wire `groups`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::GROUPS;
use log::error;
use multicast::room::Room;

fn main() -> ExitCode {
    let listener = wire::take(GROUPS);
    sys::logger::to_stderr("multicast");
    let Some(listener) = listener else {
        error!("wire groups: not handed to us; the supervisor starts this program");
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
