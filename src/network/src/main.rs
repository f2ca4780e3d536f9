//! The daemon `network`: the supervisor starts it, with the wires `attach`, `learn`, `show` and `told`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires;
use network::room::Room;

fn main() -> ExitCode {
    let listeners = [wires::ATTACH, wires::LEARN, wires::SHOW, wires::TOLD].map(wire::take);
    let [Some(attach), Some(learn), Some(show), Some(told)] = listeners else {
        eprintln!("network: its wires were not given: only the supervisor starts it");
        return ExitCode::from(2);
    };
    sys::logger::to_stderr("network");
    let end = Room::open([attach, learn, show, told]).and_then(|mut room| {
        room.settle();
        wire::notify_ready();
        room.run()
    });
    match end {
        Ok(never) => match never {},
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
