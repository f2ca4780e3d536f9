//! The door of the rehearsal root: whatever `ctl` can say, and verbs that only tests need. No gateway has it.
//!
//! In:  a request of `src/lab/src/door.rs`. Out: its answer. With words of its own it is one of the neighbours that it starts (`wild.rs`).
#![forbid(unsafe_code)]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::ExitCode;

use ctl::door;

mod verbs;

mod cut;
mod divide;
mod images;
mod live;
mod state;
mod tables;
mod volumes;
mod wild;

/// Its name: `src/services/hostile/src/attacks/network.rs`.
const BAIT: &[u8] = b"shg-rehearsal";

fn main() -> ExitCode {
    if wild::other_work(&std::env::args().skip(1).collect::<Vec<_>>()) {
        return ExitCode::SUCCESS;
    }
    // A socket that is no file, for attacks to look for: it takes connections and says nothing.
    let _bait = SocketAddr::from_abstract_name(BAIT).and_then(|name| UnixListener::bind_addr(&name));
    let held = verbs::Held::default();
    match door::serve(|words, out| held.run(words, out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("porter: {error}");
            ExitCode::FAILURE
        }
    }
}
