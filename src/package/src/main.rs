//! The daemon `package`: the supervisor starts it, with the wire `packages`. Bundles are on the data disk, or in the folder that its argument
//! names.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use contract::wires::PACKAGES;
use package::keep::{DISK, Places};
use package::room::Room;

fn main() -> ExitCode {
    let other = std::env::args_os().nth(1);
    let places = Places::on(other.as_deref().map_or(Path::new(DISK), Path::new));
    wire::serve([PACKAGES], |[packages]| Room::open(packages, places), Room::run)
}
