//! What daemons' suites stand on: namespaces of their own, neighbours in them, the real daemon with its rights.
//!
//! In:  the name of a test, lines of words. Out: the test goes on inside; what programs said. Whatever goes wrong fails the test.
//!
//! A suite names its neighbours and links itself; here is only what every suite needs. It is a dev-dependency of daemons, and in no firmware.
//!
//! Not here: guests and the desk's own errors (`lab`), sandboxes' cgroups (`sandbox/tests/stage`).
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod daemon;
mod inside;
mod program;
mod talker;

use std::time::{Duration, Instant};

pub use daemon::daemon;
pub use inside::{enter, folder, inside};
pub use program::{Program, at, has, ip, run, run_at};
pub use talker::Talker;

/// Asks until there is an answer, for at most `limit_s` seconds.
pub fn until<T>(what: &str, limit_s: u64, mut question: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(limit_s);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {limit_s} s");
        std::thread::sleep(Duration::from_millis(20)); // a step of a wait with a limit
    }
}
