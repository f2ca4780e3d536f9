//! The end of the machine, wanted or not.
//!
//! Source: reboot(2); kill(2) with −1.

use std::os::fd::AsFd;

use log::{error, info, warn};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollTimeout, poll};
use nix::sched::CloneFlags;
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, sync};
use sys::{clock, clone, descriptor, wait};

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
/// For writing out what disks still have to get, in milliseconds.
const DISKS_MS: u16 = 5_000;

/// Ends everything that still runs, writes what is to be written, and ends the machine.
pub fn down(power: Power) -> ! {
    let everybody = Pid::from_raw(-1);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // ESRCH: nobody is left.
        if kill(everybody, signal).is_ok() {
            reap_for(GRACE_MS);
        }
    }
    within(DISKS_MS, || {
        // `storage` has let go of it, unless it was killed.
        match umount2("/data", MntFlags::MNT_DETACH) {
            Ok(()) => warn!("/data was still mounted"),
            Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => warn!("/data: {}", errno.desc()),
        }
        sync();
    });
    let (mode, word) = match power {
        Power::Reboot => (RebootMode::RB_AUTOBOOT, "rebooting"),
        Power::Off => (RebootMode::RB_POWER_OFF, "switching off"),
    };
    info!("{word}, {} ms after boot", clock::boot_ms());
    let Err(errno) = reboot(mode);
    fail("the kernel does not end", errno)
}

/// Has a child do `what` and waits for it, `limit_ms` at most: a disk that hangs holds the child, and not the end of the machine. Is it
/// done?
fn within(limit_ms: u16, what: impl Fn()) -> bool {
    let made = clone::clone(CloneFlags::empty(), None, || {
        what();
        0
    });
    let Ok(child) = made else {
        what(); // No process to be had: it is still to be done.
        return true;
    };
    let done = matches!(descriptor::wait_readable(child.pidfd.as_fd(), limit_ms), Ok(true));
    if !done {
        error!("disks do not let go within {limit_ms} ms");
    }
    let _ = wait::take(Some(child.pidfd.as_fd()));
    done
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
    within(DISKS_MS, sync);
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

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn what_hangs_holds_nobody_up() {
        assert!(within(5_000, || ()));
        // The child goes with this test.
        assert!(!within(50, || {
            let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            nix::unistd::pause();
        }));
    }
}
