//! `lab`: emulated gateways on the desk. The work is in the library.
#![forbid(unsafe_code)]

use std::env;
use std::io::stdout;
use std::process::ExitCode;

use lab::command;
use lab::error::Error;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match command::run(&words, &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Usage(_)) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
