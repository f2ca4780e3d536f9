//! The daemon `time`: the supervisor starts it, with the wire `clock`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::CLOCK;
use time::Error;
use time::room::Room;

fn main() -> ExitCode {
    wire::serve([CLOCK], |[clock]| Ok::<_, Error>(Room::new(clock)), Room::run)
}
