//! The service `hello`: `hello [PORT]` serves, on port 80 where none is given.
//!
//! It calls itself with one word more: `ready` says that it is, `try` tries what it may not and says the answers.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use hello::{probe, serve};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let out = &mut std::io::stdout();
    let port = match words.as_slice() {
        [] => 80,
        [word] if word == probe::WORD => return status(probe::try_all(out)),
        [word] if word == serve::READY => return status(writeln!(out, "ready")),
        [word] => word.parse().unwrap_or(0),
        _ => 0,
    };
    if port == 0 {
        eprintln!("usage: hello [PORT]");
        return ExitCode::from(2);
    }
    match serve::open(port).and_then(|listener| serve::say_ready().map(|()| listener)) {
        Ok(listener) => {
            println!("serving on port {port}");
            serve::forever(&listener)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn status(done: std::io::Result<()>) -> ExitCode {
    done.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
