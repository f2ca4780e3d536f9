//! The daemon `network`: the supervisor starts it, with the wires `attach`, `learn`, `show` and `told`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::{ATTACH, LEARN, SHOW, TOLD};
use network::Error;
use network::room::Room;
use wire::Listener;

/// Before it says that it is ready the kernel is as wanted.
fn open(wires: [Listener; 4]) -> Result<Room, Error> {
    let mut room = Room::open(wires)?;
    room.settle()?;
    Ok(room)
}

fn main() -> ExitCode {
    wire::serve([ATTACH, LEARN, SHOW, TOLD], open, Room::run)
}
