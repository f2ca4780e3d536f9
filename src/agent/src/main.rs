//! The daemon `agent`: the supervisor starts it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use agent::room::{Places, Room};
use log::error;

fn main() -> ExitCode {
    sys::logger::to_stderr("agent");
    wire::notify_ready();
    match Room::open(&Places::default()).and_then(|mut room| room.run()) {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
