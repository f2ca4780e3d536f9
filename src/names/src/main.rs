//! The daemon `names`: the supervisor starts it, with the wire `resolve`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::RESOLVE;
use names::room::Room;

fn main() -> ExitCode {
    wire::serve([RESOLVE], |[resolve]| Room::open(resolve), Room::run)
}
