//! What a service sees of files: its root, `/proc`, `/dev`, `/tmp`, and nothing of the gateway's.
//!
//! In:  a detached root and a plan, in a fresh mount namespace. Out: that root is `/`, and the old one is gone.
//!
//! Nothing is created by a path that the service could have made: the root is sealed, and what is mounted into it comes from the
//! gateway's own places, checked after it was opened (attacks 4 to 7).
//!
//! Source: mount_namespaces(7), pivot_root(2), open_tree(2), move_mount(2); Documentation/filesystems/proc.rst.

use std::ffi::CStr;
use std::os::fd::AsFd;

use contract::layer::Layer;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::unistd::{chdir, pivot_root, symlinkat};
use sys::{Errno, mount as mounts};

use super::{Given, Step, left_out};
use crate::Plan;

/// Where the new root is put together: a folder that every root of ours has.
const NEST: &CStr = c"/run";
const NONE: Option<&CStr> = None;

/// Puts them together and moves in.
pub(super) fn move_in(plan: &Plan, given: &Given<'_>) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    root(given).map_err(at(Step::Root))?;
    // A process file system shows a process namespace of its own user namespace only; without one there is none to show.
    if !left_out(given.without, Layer::PidNamespace) {
        proc(given).map_err(at(Step::Proc))?;
    }
    if !left_out(given.without, Layer::MinimalDev) {
        dev().map_err(at(Step::Dev))?;
    }
    tmp(plan).map_err(at(Step::Tmp))?;
    pivot().map_err(at(Step::Pivot))
}

fn root(given: &Given<'_>) -> Result<(), Errno> {
    mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mounts::attach(given.root, NEST)?;
    if left_out(given.without, Layer::ReadOnlyRoot) {
        mount(NONE, NEST, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)?; // It came sealed.
    }
    chdir(NEST)
}

fn proc(given: &Given<'_>) -> Result<(), Errno> {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let weak = left_out(given.without, Layer::PrivateProc);
    let options = if weak { c"" } else { c"hidepid=invisible,subset=pid" };
    mount(Some(c"proc"), c"proc", Some(c"proc"), flags, Some(options))
}

/// The gateway's device, its place in the service's root, major and minor number. Source: Documentation/admin-guide/devices.txt.
const DEVICES: [(&CStr, &CStr, u64, u64); 5] = [
    (c"/dev/null", c"dev/null", 1, 3),
    (c"/dev/zero", c"dev/zero", 1, 5),
    (c"/dev/full", c"dev/full", 1, 7),
    (c"/dev/random", c"dev/random", 1, 8),
    (c"/dev/urandom", c"dev/urandom", 1, 9),
];

fn dev() -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some(c"tmpfs"), c"dev", Some(c"tmpfs"), flags, Some(c"mode=0755,size=16k,nr_inodes=16"))?;
    for (source, place, wanted_major, wanted_minor) in DEVICES {
        // The copy is checked, not the path: what was checked is what gets attached.
        let device = mounts::copy(source)?;
        let seen = fstat(&device)?;
        let is_character = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        if !is_character || (major(seen.st_rdev), minor(seen.st_rdev)) != (wanted_major, wanted_minor) {
            return Err(Errno::ENODEV);
        }
        let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        drop(open(place, new, Mode::from_bits_truncate(0o666))?);
        mounts::attach(device.as_fd(), place)?;
    }
    for (target, place) in [
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
    ] {
        symlinkat(target, AT_FDCWD, place)?;
    }
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(NONE, c"dev", NONE, read_only | flags, NONE)
}

fn tmp(plan: &Plan) -> Result<(), Errno> {
    let Some(options) = &plan.tmp_options else { return Ok(()) };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(c"tmpfs"), c"tmp", Some(c"tmpfs"), flags, Some(options.as_c_str()))
}

fn pivot() -> Result<(), Errno> {
    // Both at one place: the old root comes to lie over the new one, and is taken off. pivot_root(2), notes.
    pivot_root(c".", c".")?;
    umount2(c".", MntFlags::MNT_DETACH)?;
    chdir(c"/")
}
