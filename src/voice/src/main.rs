//! The daemon `voice`: the supervisor starts it, with the wire `calls`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::CALLS;
use voice::Error;
use voice::room::Room;

fn main() -> ExitCode {
    wire::serve([CALLS], |[calls]| Ok::<_, Error>(Room::new(calls)), Room::run)
}
