//! A bare init: what the gateway's boot is compared with. It loads the same modules, says when it was done, and switches off.
//!
//! In:  `/etc/modules`. Out: one line on the console, `bare: INIT LOADED`: milliseconds after boot of its first line and of its last.
//!
//! Not here: anything that makes a gateway. Source: `src/init/src/modules.rs` for the form of the list.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::time::{ClockId, clock_gettime};

fn boot_ms() -> u128 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |now| Duration::from(now).as_millis())
}

fn main() {
    let began_ms = boot_ms();
    let list = std::fs::read_to_string("/etc/modules").unwrap_or_default();
    for path in list.lines() {
        if let Ok(file) = File::open(path) {
            // A module whose hardware is not there is refused; so it is for the gateway.
            let _ = finit_module(&file, &CString::default(), ModuleInitFlags::empty());
        }
    }
    let loaded_ms = boot_ms();
    let _ = mount(Some("devtmpfs"), "/dev", Some("devtmpfs"), MsFlags::empty(), None::<&str>);
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        let _ = writeln!(console, "\nbare: {began_ms} {loaded_ms}");
    }
    let _ = reboot(RebootMode::RB_POWER_OFF);
}
