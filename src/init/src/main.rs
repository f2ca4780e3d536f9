//! PID 1 of the Service Hosting Gateway.
#![forbid(unsafe_code)]

use init::machine::Machine;
use init::{LIMITS, boot, console, modules, power};
use sys::{clock, heap::Heap, logger};

#[global_allocator]
static HEAP: Heap = Heap::new();

fn main() {
    let began_ms = clock::boot_ms();
    power::restart_on_panic();
    let mounted = boot::mount_everything();
    console::open();
    logger::to_stderr("init");
    console::greet(began_ms);
    boot::report(&mounted);
    boot::set_kernel();
    boot::enable_controllers();
    modules::load();
    match Machine::new(LIMITS, began_ms) {
        Ok(mut machine) => {
            HEAP.lock(); // Boot is over.
            machine.run()
        }
        Err(errno) => power::fail("cannot begin", errno),
    }
}
