//! Kernel modules, loaded in order by a child of ours.
//!
//! In:  `/etc/modules`, one absolute path a line. Out: a kernel that has them; what did not load is logged.
//!
//! The board kernel has no modules, and its root no such file.
//!
//! Source: init_module(2), `finit_module`.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;

use log::{info, warn};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::sched::CloneFlags;
use sys::{clock, clone, descriptor, wait};

const LIST: &str = "/etc/modules";
/// The longest list that is read, in lines.
const MODULES_MAX: usize = 256;
/// How long they may take, in milliseconds: sixty of them take three seconds on the emulated board, ten times that under load.
const LIMIT_MS: u16 = 60_000;

/// Loads them and waits until that is done, or its time is over. A module that hangs costs the child, not the boot.
pub fn load() {
    if !fs::exists(LIST).unwrap_or(false) {
        return;
    }
    let began_ms = clock::boot_ms();
    let child = match clone::clone(CloneFlags::empty(), None, load_all) {
        Ok(child) => child,
        Err(errno) => return warn!("modules: no child to load them: {}", errno.desc()),
    };
    match descriptor::wait_readable(child.pidfd.as_fd(), LIMIT_MS) {
        Ok(true) => {
            let _ = wait::take(Some(child.pidfd.as_fd()));
            info!("modules: loaded in {} ms", clock::boot_ms().saturating_sub(began_ms));
        }
        Ok(false) => warn!("modules: not done within {LIMIT_MS} ms; going on without the rest"),
        Err(errno) => warn!("modules: {}", errno.desc()),
    }
}

/// The child's part. It is still boot, so it may ask for memory.
fn load_all() -> u8 {
    let list = match fs::read_to_string(LIST) {
        Ok(list) => list,
        Err(error) => {
            warn!("{LIST}: {error}");
            return 1;
        }
    };
    for path in list.lines().filter(|line| line.starts_with('/')).take(MODULES_MAX) {
        if let Err(why) = load_one(path) {
            warn!("module {path}: {why}");
        }
    }
    0
}

fn load_one(path: &str) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    match finit_module(&file, &CString::default(), ModuleInitFlags::empty()) {
        // Loaded already, or hardware that it is for is not there (crc32c-intel on an Atom).
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno.desc().to_owned()),
    }
}
