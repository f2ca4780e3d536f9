//! The daemon `lease`: the supervisor starts it, with the wire `leases`. It keeps what it gave in its folder of the data disk, or in the one
//! that its argument names.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use contract::wires::LEASES;
use lease::room::Room;
use state::Folder;

fn main() -> ExitCode {
    let other = std::env::args_os().nth(1);
    let folder = other.map_or_else(|| Folder::of("lease"), |path| Folder::at(Path::new(&path)));
    wire::serve([LEASES], |[leases]| Room::open(leases, &folder), Room::run)
}
