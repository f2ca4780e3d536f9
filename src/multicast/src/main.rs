//! The daemon `multicast`: the supervisor starts it, with the wire `groups`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::GROUPS;
use multicast::Error;
use multicast::room::Room;

fn main() -> ExitCode {
    wire::serve([GROUPS], |[groups]| Ok::<_, Error>(Room::new(groups)), Room::run)
}
