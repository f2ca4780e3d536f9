//! A PID 1 with a fault: what the gateway's does when it panics, for a test that watches from outside.
#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "this is what it is for")]

use init::{boot, console, power};
use sys::heap::Heap;

#[global_allocator]
static HEAP: Heap = Heap::new();

fn main() {
    power::restart_on_panic();
    let _ = boot::mount_everything();
    console::open();
    sys::logger::to_stderr("init");
    HEAP.lock();
    // The standard library needs memory for a message with a number in it.
    panic!("a fault that nobody foresaw in process {}", std::process::id());
}
