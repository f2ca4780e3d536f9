//! From the plan to the service's first instruction nobody asks for memory, neither the supervisor nor the child: shown with a locked
//! heap, behind which a request ends the process.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::os::fd::AsFd;

use contract::layer::Layers;
use nix::sys::wait::WaitStatus;
use sandbox::{Report, enter};
use stage::{Stage, enter_stage, last, manifest};
use sys::heap::Heap;

#[global_allocator]
static HEAP: Heap = Heap::new();

#[test]
fn a_start_asks_for_no_memory() {
    if !enter_stage("a_start_asks_for_no_memory") {
        return;
    }
    let stage = Stage::new(&manifest("test -e /dev/null -a -d /proc/self"));
    let given = stage.given(Layers::NONE);
    HEAP.lock();
    // From here on even a failed assertion would ask for memory: only numbers come out, as the exit code.
    let code = match enter(&stage.plan, given) {
        Err(_) => 2,
        Ok(entered) => match sys::descriptor::wait_readable(entered.applied.as_fd(), stage::LIMIT_MS) {
            Ok(true) if matches!(entered.report(), Report::Applied(_)) && entered.go().is_ok() => {
                if matches!(last(&entered), WaitStatus::Exited(_, 0)) { 0 } else { 4 }
            }
            _ => 3,
        },
    };
    std::process::exit(code);
}
