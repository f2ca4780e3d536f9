//! `ctl`, the command on the gateway. Under the name `door` it serves the second serial port of a test root.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use ctl::{command, door};

fn main() -> ExitCode {
    let mut words = std::env::args();
    let name = words.next().unwrap_or_default();
    if name.ends_with("/door") {
        return match door::serve(command::run) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("door: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let words: Vec<String> = words.collect();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let outcome = command::run(&words, &mut out).and_then(|()| Ok(out.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ctl: {error}");
            ExitCode::from(error.code())
        }
    }
}
