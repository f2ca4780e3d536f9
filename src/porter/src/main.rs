//! The door of the rehearsal root: whatever `ctl` can say, and verbs that only tests need. No gateway has it.
//!
//! In:  a request of `src/lab/src/door.rs`. Out: its answer.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ctl::{command, door};

mod cut;
mod images;
mod live;
mod state;
mod volumes;

fn main() -> ExitCode {
    let (images, volumes) = (images::Images::default(), volumes::Volumes::default());
    let run = |words: &[String], out: command::Out<'_>| {
        let plain: Vec<&str> = words.iter().map(String::as_str).collect();
        match plain.as_slice() {
            ["state"] => Ok(state::print(out)?),
            ["exits", name, count] => live::exits(name, count, out),
            ["restarts", name, count] => live::restarts(name, count, out),
            ["cycles", name, count] => live::cycles(name, count, out),
            ["crashes", name, count] => live::crashes(name, count, out),
            ["ends"] => live::ends(out),
            ["tree", name, grace_ms] => live::tree(name, grace_ms, out),
            ["image", rest @ ..] => images.say(rest, out),
            ["volume", rest @ ..] => volumes.say(rest, out),
            _ => command::run(words, out),
        }
    };
    match door::serve(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porter: {error}");
            ExitCode::FAILURE
        }
    }
}
