//! `shg`: the work is in the library.
#![forbid(unsafe_code)]

use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;

use shg::command;
use shg::error::Error;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let mut out = stdout().lock();
    let outcome = command::run(&words, &mut out).and_then(|()| Ok(out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Usage(_)) => {
            eprintln!("shg: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("shg: {error}");
            ExitCode::FAILURE
        }
    }
}
