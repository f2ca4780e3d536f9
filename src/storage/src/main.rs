//! The daemon `storage` of the Service Hosting Gateway.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::wires::MOUNT;
use log::error;
use storage::server::Server;

fn main() -> ExitCode {
    let listener = wire::take(MOUNT);
    sys::logger::to_stderr("storage");
    let Some(listener) = listener else {
        error!("wire mount: not handed to us; the supervisor starts this program");
        return ExitCode::from(2);
    };
    let mut server = Server::new(listener);
    wire::notify_ready();
    match server.run() {
        Ok(never) => match never {},
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}
