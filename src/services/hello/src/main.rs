//! The service `hello`: `hello [PORT]` serves, on port 80 where none is given.
//!
//! It calls itself with the word `try`, which tries what it may not and says the answers.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use hello::{probe, serve};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = match words.as_slice() {
        [] => 80,
        [word] if word == probe::WORD => {
            return probe::try_all(&mut std::io::stdout()).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
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
