//! The supervisor: PID 1 starts it with `supervisor INIT_MS LIFE` and its end of the `keep` wire at descriptor 3.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    match supervisor::open(std::env::args().skip(1)) {
        Ok(mut house) => house.run(),
        Err(error @ supervisor::Error::Usage(_)) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
