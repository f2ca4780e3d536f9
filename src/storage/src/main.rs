//! The daemon `storage` of the Service Hosting Gateway: the supervisor starts it, with the wire `mount`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::MOUNT;
use storage::Error;
use storage::server::Server;

fn main() -> ExitCode {
    wire::serve([MOUNT], |[mount]| Ok::<_, Error>(Server::new(mount)), Server::run)
}
