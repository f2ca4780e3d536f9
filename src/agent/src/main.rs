//! The daemon `agent`: the supervisor starts it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use agent::room::{Listeners, Places, Room};
use contract::wires::{DOCTOR, LOCAL, TENANT};
use log::error;

fn main() -> ExitCode {
    let listeners = Listeners {
        tenant: wire::take_stream(TENANT),
        local: wire::take_stream(LOCAL),
        doctor: wire::take(DOCTOR),
    };
    sys::logger::to_stderr("agent");
    wire::notify_ready();
    match Room::open(&Places::default(), listeners).and_then(|mut room| room.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
