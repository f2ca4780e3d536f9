//! The daemon `identity`: the supervisor starts it, with the wire `identify`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::IDENTIFY;
use identity::Error;
use identity::room::Room;

fn main() -> ExitCode {
    wire::serve([IDENTIFY], |[identify]| Ok::<_, Error>(Room::new(identify)), Room::run)
}
