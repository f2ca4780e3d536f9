//! The door of the rehearsal root: whatever `ctl` can say, and verbs that only tests need. No gateway has it.
//!
//! In:  a request of `src/lab/src/door.rs`. Out: its answer. With words of its own it is one of the neighbours that it starts (`wild.rs`).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ctl::door;

mod verbs;

mod cut;
mod divide;
mod images;
mod live;
mod state;
mod volumes;
mod wild;

fn main() -> ExitCode {
    if wild::other_work(&std::env::args().skip(1).collect::<Vec<_>>()) {
        return ExitCode::SUCCESS;
    }
    let held = verbs::Held::default();
    match door::serve(|words, out| held.run(words, out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porter: {error}");
            ExitCode::FAILURE
        }
    }
}
