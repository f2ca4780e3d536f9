//! The tenant `chatter`, which tests watch while they kill everything around it.
#![forbid(unsafe_code)]

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use chatter::{LINE_EVERY, PORT, other_work, say_ready, talk};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let (Some(work), Some(Ok(amount))) = (other_work(&words), words.get(1).map(|word| word.parse())) {
        work(amount);
    }
    let listener = match TcpListener::bind(("0.0.0.0", PORT)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("chatter: port {PORT}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (ends, told) = channel();
    thread::spawn(move || talk(&listener, &ends));
    say_ready();
    let mut number = 0_u64;
    loop {
        match told.recv_timeout(LINE_EVERY) {
            Ok(code) => return ExitCode::from(code),
            Err(RecvTimeoutError::Timeout) => println!("line {number}"),
            Err(RecvTimeoutError::Disconnected) => return ExitCode::FAILURE,
        }
        number += 1;
    }
}
