//! Attacks on files: the runtime, mounts, devices, what `/proc` would tell.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknod};

use crate::call;

const NONE: Option<&CStr> = None;

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Opens each, and is through with the first that opens and, where it is to be read, says something.
fn any(paths: &[&str], how: OFlag) -> Result<(), Errno> {
    let mut answer = Errno::ENOENT;
    for path in paths {
        match open(*path, how | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty()) {
            Err(errno) => answer = errno,
            Ok(_) if how == OFlag::O_WRONLY => return Ok(()),
            Ok(descriptor) => match File::from(descriptor).read(&mut [0; 16]) {
                Ok(_) => return Ok(()),
                Err(error) => answer = errno(error),
            },
        }
    }
    Err(answer)
}

/// CVE-2019-5736 without the race: the gateway's own program behind `/proc/1/exe`. Its mode is set to what it is.
pub(super) fn runtime() -> Result<(), Errno> {
    fchmodat(AT_FDCWD, "/proc/1/exe", Mode::from_bits_truncate(0o755), FchmodatFlags::FollowSymlink)
}

/// CVE-2022-0492: a hierarchy of the old cgroups, whose last process's end runs a program outside. It goes with this process.
pub(super) fn cgroup_v1() -> Result<(), Errno> {
    let options = Some(c"none,name=hostile,release_agent=/hostile");
    mount(Some(c"cgroup"), c"/tmp", Some(c"cgroup"), MsFlags::empty(), options)
}

/// CVE-2024-21626: a descriptor that somebody forgot, which leads out of the root: a folder that is opened anew, or one above.
pub(super) fn descriptors() -> Result<(), Errno> {
    let mut answer = Errno::EBADF;
    for number in 4..64 {
        for path in [format!("/proc/self/fd/{number}/memory.max"), format!("/proc/self/fd/{number}/..")] {
            match any(&[&path], OFlag::O_RDONLY) {
                // A folder opens, and is not read like a file.
                Ok(()) | Err(Errno::EISDIR) => return Ok(()),
                Err(Errno::ENOENT) => {}
                Err(errno) => answer = errno,
            }
        }
    }
    Err(answer)
}

/// CVE-2026-115521: the root becomes writable.
pub(super) fn remount() -> Result<(), Errno> {
    mount(NONE, c"/", NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)
}

/// What the kernel runs by itself when a program crashes. Opened for writing, as those below, and nothing is written.
pub(super) fn core_pattern() -> Result<(), Errno> {
    any(&["/proc/sys/kernel/core_pattern"], OFlag::O_WRONLY)
}

/// What the kernel runs by itself when it lacks a module.
pub(super) fn modprobe() -> Result<(), Errno> {
    any(&["/proc/sys/kernel/modprobe"], OFlag::O_WRONLY)
}

/// Orders to the kernel, as from its keyboard.
pub(super) fn sysrq() -> Result<(), Errno> {
    any(&["/proc/sysrq-trigger"], OFlag::O_WRONLY)
}

/// A file system of the kernel's, at the only place that is ours.
fn mounted(kind: &CStr) -> Result<(), Errno> {
    mount(Some(kind), c"/tmp", Some(kind), MsFlags::empty(), NONE)
}

/// What the kernel runs by itself when a device comes.
pub(super) fn uevent_helper() -> Result<(), Errno> {
    mounted(c"sysfs")?;
    any(&["/tmp/kernel/uevent_helper"], OFlag::O_WRONLY)
}

/// What the kernel runs for files of a kind.
pub(super) fn binfmt_misc() -> Result<(), Errno> {
    mounted(c"binfmt_misc")?;
    any(&["/tmp/register"], OFlag::O_WRONLY)
}

/// What the firmware left in memory: its tables, its map.
pub(super) fn firmware() -> Result<(), Errno> {
    mounted(c"sysfs")?;
    match any(&["/tmp/firmware"], OFlag::O_RDONLY) {
        Err(Errno::EISDIR) => Ok(()), // It opens, and is not read like a file.
        other => other,
    }
}

/// What the kernel tells those who look for its faults.
pub(super) fn debug() -> Result<(), Errno> {
    mounted(c"debugfs")?;
    match any(&["/tmp"], OFlag::O_RDONLY) {
        Err(Errno::EISDIR) => Ok(()),
        other => other,
    }
}

/// All of the kernel's memory.
pub(super) fn kcore() -> Result<(), Errno> {
    any(&["/proc/kcore"], OFlag::O_RDONLY)
}

/// Which keys there are.
pub(super) fn keys() -> Result<(), Errno> {
    any(&["/proc/keys"], OFlag::O_RDONLY)
}

/// What the kernel will do, and where that lies.
pub(super) fn timers() -> Result<(), Errno> {
    any(&["/proc/timer_list"], OFlag::O_RDONLY)
}

/// What only the machine's own root may read.
pub(super) fn secrets() -> Result<(), Errno> {
    let files = ["/proc/vmallocinfo", "/proc/slabinfo", "/proc/pagetypeinfo", "/proc/kpagecount"];
    any(&files, OFlag::O_RDONLY)
}

/// What everybody does on the machine.
pub(super) fn statistics() -> Result<(), Errno> {
    any(&["/proc/stat", "/proc/interrupts", "/proc/meminfo"], OFlag::O_RDONLY)
}

/// Shocker: a file by its number, past every folder. Source: open_by_handle_at(2).
pub(super) fn handles() -> Result<(), Errno> {
    const BYTES: u32 = 128; // MAX_HANDLE_SZ
    let mut handle = [0_u32; 34]; // struct file_handle: its size, its kind, and that many bytes
    let [size, ..] = &mut handle;
    *size = BYTES;
    let mut mount = 0;
    // The first alone is harmless, and refused all the same.
    call::with_path_and_words(libc::SYS_name_to_handle_at, c"/", &mut handle, &mut mount)?;
    let root = File::open("/").map_err(errno)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&root.as_fd());
    call::with_words(libc::SYS_open_by_handle_at, number.into(), &mut handle, [0, 0, 0]).map(drop)
}

/// The stick, past storage: its device is made, and opened for reading. Source: admin-guide/devices.txt (block, major 8).
pub(super) fn devices() -> Result<(), Errno> {
    const PATH: &str = "/tmp/disk";
    mknod(PATH, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(8, 0))?;
    any(&[PATH], OFlag::O_RDONLY)
}
