//! The supervisor of the rehearsal root: the same library with the feature `rehearsal`, under a name of its own, so that it is never
//! taken for the other.
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
