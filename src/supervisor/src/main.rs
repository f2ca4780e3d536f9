//! The supervisor: PID 1 starts it with `supervisor INIT_MS LIFE` and its end of the `keep` wire at descriptor 3.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use contract::keep::SUPERVISOR_FD;
use supervisor::{house::House, keep::Keep};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u64>().ok());
    let (Some(Some(init_ms)), Some(Some(life)), None) = (numbers.next(), numbers.next(), numbers.next())
    else {
        eprintln!("usage: supervisor INIT_MS LIFE   (PID 1 starts it)");
        return ExitCode::from(2);
    };
    let Some(socket) = sys::descriptor::inherited(SUPERVISOR_FD) else {
        eprintln!("supervisor: descriptor {SUPERVISOR_FD} is not open: only PID 1 starts it");
        return ExitCode::from(2);
    };
    sys::logger::to_stderr("supervisor");
    match House::open(Keep::new(socket), init_ms, life) {
        Ok(mut house) => house.run(),
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
