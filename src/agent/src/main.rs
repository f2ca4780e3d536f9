//! The daemon `agent`: the supervisor starts it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use agent::room::{Doors, Places, Room};
use contract::wires::{LOCAL, TENANT};
use log::error;

fn main() -> ExitCode {
    let doors = Doors { tenant: wire::take_stream(TENANT), local: wire::take_stream(LOCAL) };
    sys::logger::to_stderr("agent");
    wire::notify_ready();
    match Room::open(&Places::default(), doors).and_then(|mut room| room.run()) {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
