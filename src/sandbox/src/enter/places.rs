//! What a service sees of files: its root, `/proc`, `/dev`, `/tmp`, its volume, and nothing of the gateway's.
//!
//! In:  a detached root and a plan, in a fresh mount namespace. Out: that root is `/`, and the old one is gone.
//!
//! Nothing is created or mounted by a path that the service could have made: each mount is made without a place, and attached to one
//! that was opened beneath the service's root without following a link (attacks 4 to 9); devices come from the gateway's own, checked
//! after they were opened.
//!
//! Source: mount_namespaces(7), pivot_root(2), fsopen(2), open_tree(2), move_mount(2), openat2(2); Documentation/filesystems/proc.rst.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::layer::Layer;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor, mkdirat};
use nix::unistd::{chdir, fchdir, pivot_root, symlinkat};
use sys::mount::{Draft, attribute};
use sys::{Errno, mount as mounts};

use super::{Given, Step, left_out};
use crate::{Host, Plan};

/// Where the new root is put together: a folder that every root of ours has.
const NEST: &CStr = c"/run";
const NONE: Option<&CStr> = None;

/// Puts them together and moves in.
pub(super) fn move_in(plan: &Plan, given: &Given<'_>) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    // Where they are the new root comes to lie.
    let sockets = sockets().map_err(at(Step::Dev))?;
    root(given).map_err(at(Step::Root))?;
    // A process file system shows a process namespace of its own user namespace only; without one there is none to show.
    if !left_out(given.without, Layer::PidNamespace) {
        proc(plan, given).map_err(at(Step::Proc))?;
    }
    if !left_out(given.without, Layer::MinimalDev) {
        dev(sockets, given.host).map_err(at(Step::Dev))?;
    }
    tmp(plan, given).map_err(at(Step::Tmp))?;
    volume(plan, given).map_err(at(Step::Volume))?;
    pivot().map_err(at(Step::Pivot))
}

fn root(given: &Given<'_>) -> Result<(), Errno> {
    mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mounts::attach(given.root, AT_FDCWD, NEST)?;
    let weak = |layer| left_out(given.without, layer);
    if weak(Layer::ReadOnlyRoot) || weak(Layer::Mounts) {
        let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND; // It came sealed.
        flags.set(MsFlags::MS_RDONLY, !weak(Layer::ReadOnlyRoot));
        flags.set(MsFlags::MS_NOSUID | MsFlags::MS_NODEV, !weak(Layer::Mounts));
        mount(NONE, NEST, NONE, flags, NONE)?;
    }
    fchdir(given.root)
}

/// A folder of the service's root, and not of what somebody else mounted there.
fn place(name: &CStr) -> Result<OwnedFd, Errno> {
    let within = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(within);
    openat2(AT_FDCWD, name, how)
}

/// What every mount of ours has, and no file of ours in it is run.
const HARMLESS: u64 = attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;

fn proc(plan: &Plan, given: &Given<'_>) -> Result<(), Errno> {
    let place = place(c"proc")?;
    let proc = Draft::new(c"proc")?;
    if !left_out(given.without, Layer::PrivateProc) {
        proc.set(c"hidepid", c"invisible")?;
        if !plan.full_proc {
            proc.set(c"subset", c"pid")?;
        }
    }
    let read_only = if left_out(given.without, Layer::PrivateProc) { 0 } else { attribute::READ_ONLY };
    let proc = proc.mount(read_only | HARMLESS)?;
    mounts::attach_at(proc.as_fd(), place.as_fd())
}

/// The gateway's device, its name in the service's `/dev`, major and minor number. Source: Documentation/admin-guide/devices.txt.
const DEVICES: [(&CStr, &CStr, u64, u64); 5] = [
    (c"/dev/null", c"null", 1, 3),
    (c"/dev/zero", c"zero", 1, 5),
    (c"/dev/full", c"full", 1, 7),
    (c"/dev/random", c"random", 1, 8),
    (c"/dev/urandom", c"urandom", 1, 9),
];

/// The gateway's sockets for services, and their names in a service's `/dev`. Where nobody has bound one there is none.
const SOCKETS: [(&CStr, &CStr); 2] = [(c"/run/wire/tenant", c"gateway"), (c"/run/wire/local", c"usp")];

/// Each of them as a mount without a place.
fn sockets() -> Result<[Option<OwnedFd>; SOCKETS.len()], Errno> {
    let mut sockets = [const { None }; SOCKETS.len()];
    for (place, (source, _)) in sockets.iter_mut().zip(SOCKETS) {
        let socket = match mounts::copy(source) {
            Err(Errno::ENOENT) => continue,
            other => other?,
        };
        let is_socket = SFlag::from_bits_truncate(fstat(&socket)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK;
        if !is_socket {
            return Err(Errno::ENOTSOCK);
        }
        mounts::set_attributes(socket.as_fd(), HARMLESS | attribute::READ_ONLY, None)?;
        *place = Some(socket);
    }
    Ok(sockets)
}

fn dev(sockets: [Option<OwnedFd>; SOCKETS.len()], host: Option<&Host>) -> Result<(), Errno> {
    let place = place(c"dev")?;
    let dev = Draft::new(c"tmpfs")?;
    for (key, value) in [(c"mode", c"0755"), (c"size", c"16k"), (c"nr_inodes", c"32")] {
        dev.set(key, value)?;
    }
    let dev = dev.mount(HARMLESS)?;
    mounts::attach_at(dev.as_fd(), place.as_fd())?;
    for (source, name, wanted_major, wanted_minor) in DEVICES {
        // The copy is checked, not the path: what was checked is what gets attached.
        let device = mounts::copy(source)?;
        check(device.as_fd(), wanted_major, wanted_minor)?;
        mounts::set_attributes(device.as_fd(), attribute::NO_SUID | attribute::NO_EXEC, None)?;
        let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        drop(openat(&dev, name, new, Mode::from_bits_truncate(0o666))?);
        mounts::attach(device.as_fd(), dev.as_fd(), name)?;
    }
    for (socket, (_, name)) in sockets.into_iter().zip(SOCKETS) {
        let Some(socket) = socket else { continue };
        let new = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        drop(openat(&dev, name, new, Mode::from_bits_truncate(0o666))?);
        mounts::attach(socket.as_fd(), dev.as_fd(), name)?;
    }
    for (target, name) in [
        (c"/proc/self/fd", c"fd"),
        (c"/proc/self/fd/0", c"stdin"),
        (c"/proc/self/fd/1", c"stdout"),
        (c"/proc/self/fd/2", c"stderr"),
    ] {
        symlinkat(target, &dev, name)?;
    }
    if let Some(host) = host {
        mkdirat(&dev, HOST, Mode::from_bits_truncate(0o755))?;
        mounts::attach(host.mount.as_fd(), dev.as_fd(), HOST)?;
        for device in &host.devices {
            link(&dev, &device.name)?;
        }
    }
    mounts::set_attributes(dev.as_fd(), attribute::READ_ONLY, None)
}

/// The folder with devices of the gateway's, in `/dev`.
const HOST: &CStr = c"host";

/// A device of the gateway's by its own name in `/dev`.
fn link(dev: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let mut target = heapless::Vec::<u8, 64>::new();
    for part in [HOST.to_bytes(), b"/", name.to_bytes_with_nul()] {
        target.extend_from_slice(part).map_err(|_| Errno::ENAMETOOLONG)?;
    }
    let target = CStr::from_bytes_with_nul(&target).map_err(|_| Errno::EINVAL)?;
    symlinkat(target, dev, name)
}

fn check(device: BorrowedFd<'_>, wanted_major: u64, wanted_minor: u64) -> Result<(), Errno> {
    let seen = fstat(device)?;
    let is_character = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    let is_it = is_character && (major(seen.st_rdev), minor(seen.st_rdev)) == (wanted_major, wanted_minor);
    if is_it { Ok(()) } else { Err(Errno::ENODEV) }
}

fn tmp(plan: &Plan, given: &Given<'_>) -> Result<(), Errno> {
    let Some(size) = &plan.tmp_size else { return Ok(()) };
    let place = place(c"tmp")?;
    let tmp = Draft::new(c"tmpfs")?;
    tmp.set(c"mode", c"1777")?;
    tmp.set(c"size", size)?;
    let weak = left_out(given.without, Layer::Mounts);
    let tmp = tmp.mount(if weak { attribute::NO_EXEC } else { HARMLESS })?;
    mounts::attach_at(tmp.as_fd(), place.as_fd())
}

/// Its volume, at a place that its image has.
fn volume(plan: &Plan, given: &Given<'_>) -> Result<(), Errno> {
    let (planned, volume) = match (&plan.volume, given.volume) {
        (Some(planned), Some(volume)) => (planned, volume),
        (None, None) => return Ok(()),
        (Some(_), None) | (None, Some(_)) => return Err(Errno::ENODATA),
    };
    // From the root of its image on.
    let below = planned.at.to_bytes_with_nul().strip_prefix(b"/").unwrap_or_default();
    let below = CStr::from_bytes_with_nul(below).map_err(|_| Errno::EINVAL)?;
    mounts::attach_at(volume, place(below)?.as_fd())
}

fn pivot() -> Result<(), Errno> {
    // Both at one place: the old root comes to lie over the new one, and is taken off. pivot_root(2), notes.
    pivot_root(c".", c".")?;
    umount2(c".", MntFlags::MNT_DETACH)?;
    chdir(c"/")
}
