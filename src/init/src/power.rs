//! The end of the machine, wanted or not.
//!
//! Source: reboot(2); kill(2) with −1.

use log::{error, info, warn};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};
use sys::{clock, wait};

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// The machine starts anew.
    Reboot,
    /// The power goes off.
    Off,
}

/// Between SIGTERM and SIGKILL for whatever the supervisor has left over, in milliseconds.
const GRACE_MS: u64 = 500;
/// Between two looks whether anybody is left, in milliseconds.
const STEP_MS: u8 = 10;

/// Ends everything that still runs, writes what is to be written, and ends the machine.
pub fn down(power: Power) -> ! {
    let everybody = Pid::from_raw(-1);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // ESRCH: nobody is left.
        if kill(everybody, signal).is_ok() {
            reap_for(GRACE_MS);
        }
    }
    // `storage` has let go of it, unless it was killed.
    match umount2("/data", MntFlags::MNT_DETACH) {
        Ok(()) => warn!("/data was still mounted"),
        Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(errno) => warn!("/data: {}", errno.desc()),
    }
    sync();
    let (mode, word) = match power {
        Power::Reboot => (RebootMode::RB_AUTOBOOT, "rebooting"),
        Power::Off => (RebootMode::RB_POWER_OFF, "switching off"),
    };
    info!("{word}, {} ms after boot", clock::boot_ms());
    let Err(errno) = reboot(mode);
    fail("the kernel does not end", errno)
}

/// Reaps until nobody is left, `limit_ms` at most.
fn reap_for(limit_ms: u64) {
    let began_ms = clock::boot_ms();
    while clock::boot_ms().saturating_sub(began_ms) < limit_ms {
        match wait::take(None) {
            Err(_) => return, // ECHILD: nobody is left.
            // Nothing to wait for but time. (`std::io::stdin` would ask for memory, and that door is locked.)
            Ok(None) => drop(poll(&mut [], PollTimeout::from(STEP_MS))),
            Ok(Some(_)) => {}
        }
    }
}

/// Says why it cannot go on and starts the machine anew: a gateway that hangs helps nobody.
pub fn fail(what: &str, errno: Errno) -> ! {
    error!("{what}: {}; rebooting", errno.desc());
    sync();
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    // Not even that (in a namespace of a test, perhaps). The end of PID 1 is the end of everything that it has started.
    std::process::abort()
}

/// A panic in PID 1 would be the kernel's panic: it goes into the log, disks are written, and the machine starts anew.
pub fn restart_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let line = panic.location().map_or(0, std::panic::Location::line);
        let file = panic.location().map_or("", std::panic::Location::file);
        error!("panic at {file}:{line}");
        fail("panic", Errno::ENOTRECOVERABLE)
    }));
}
