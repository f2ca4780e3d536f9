//! The tries themselves: one table, and a few lines of code for each row.
//!
//! In:  nothing. Out: `Ok` where a try got through, else the kernel's answer.
//!
//! The order matters in two places, for a program that runs without a sandbox and with every right: a mount namespace comes before the
//! mounts, so that nobody else sees them; a user namespace comes last, for in it everything after would mean something else.

use std::ffi::CStr;
use std::io::IoSliceMut;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, chroot, gethostname, getpgid, sethostname, unlink};

use super::{Field, Try};

/// Every try, in order.
pub(super) const ALL: [Try; 19] = [
    row(Field::Files, "Write a file beside its program", "openat / O_TMPFILE", || {
        look("/", OFlag::O_TMPFILE | OFlag::O_WRONLY)
    }),
    row(Field::Files, "Change its own program", "openat /proc/self/exe O_WRONLY", own_program),
    row(Field::Files, "Have a view of files of its own", "unshare CLONE_NEWNS", own_view),
    row(Field::Files, "Mount a file system", "mount tmpfs on /tmp", mount_something),
    row(Field::Files, "Make a device node for the first disk", "mknod b 8:0", disk),
    row(Field::Files, "Move to another root", "chroot /", || chroot("/")),
    row(Field::Processes, "Read the memory of process 1", "process_vm_readv", memory_of_another),
    row(Field::Processes, "Join the namespaces of process 1", "setns /proc/1/ns/mnt", join_another),
    row(Field::Processes, "Find a process that is not listed", "getpgid 1 to 1024", unlisted_process),
    row(Field::Processes, "Raise its own memory limit", "openat memory.max O_WRONLY", || {
        look("/sys/fs/cgroup/memory.max", OFlag::O_WRONLY)
    }),
    row(Field::Processes, "Allow itself one more open file", "setrlimit RLIMIT_NOFILE", one_more_file),
    row(Field::Network, "Listen to everybody's packets", "socket AF_PACKET", || {
        ask(AddressFamily::Packet, SockType::Raw, None)
    }),
    row(Field::Network, "Forge packets", "socket AF_INET SOCK_RAW", || {
        ask(AddressFamily::Inet, SockType::Raw, SockProtocol::Raw)
    }),
    row(Field::Network, "Change addresses and routes", "socket NETLINK_ROUTE", || {
        ask(AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkRoute)
    }),
    row(Field::Network, "Change the firewall", "socket NETLINK_NETFILTER", || {
        ask(AddressFamily::Netlink, SockType::Raw, SockProtocol::NetlinkNetFilter)
    }),
    row(Field::Machine, "Read the machine's memory", "openat /dev/mem", || look("/dev/mem", OFlag::O_RDONLY)),
    row(Field::Machine, "Load a module into the kernel", "init_module", module),
    row(Field::Machine, "Give the machine a name", "sethostname", rename),
    row(Field::Machine, "Become the ruler of a new user namespace", "unshare CLONE_NEWUSER", || {
        unshare(CloneFlags::CLONE_NEWUSER)
    }),
];

const fn row(field: Field, what: &'static str, call: &'static str, run: fn() -> Result<(), Errno>) -> Try {
    Try { field, what, call, run }
}

/// Opens `path` and closes it again.
fn look(path: &str, how: OFlag) -> Result<(), Errno> {
    open(path, how | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, Mode::empty()).map(drop)
}

fn own_program() -> Result<(), Errno> {
    look("/proc/self/exe", OFlag::O_WRONLY)
}

/// Makes a mount namespace from which nothing comes back.
fn own_view() -> Result<(), Errno> {
    const NONE: Option<&CStr> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
}

fn mount_something() -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(c"tmpfs"), c"/tmp", Some(c"tmpfs"), flags, Some(c"size=4k"))?;
    umount2(c"/tmp", MntFlags::MNT_DETACH)
}

/// Source: Documentation/admin-guide/devices.txt (block, major 8: SCSI disks).
fn disk() -> Result<(), Errno> {
    let path = format!("/tmp/.hello-{}", std::process::id());
    mknod(path.as_str(), SFlag::S_IFBLK, Mode::S_IRUSR, makedev(8, 0))?;
    unlink(path.as_str())
}

/// The address is nobody's, so where the kernel allows it there is still nothing to read, and it says so: `EFAULT`.
fn memory_of_another() -> Result<(), Errno> {
    let mut byte = [0];
    let here = &mut [IoSliceMut::new(&mut byte)];
    let there = [RemoteIoVec { base: 0, len: 1 }];
    match process_vm_readv(Pid::from_raw(1), here, &there) {
        Ok(_) | Err(Errno::EFAULT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn join_another() -> Result<(), Errno> {
    let namespace = open("/proc/1/ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    setns(namespace, CloneFlags::CLONE_NEWNS)
}

/// Asks after every number. One that answers and has no folder in `/proc` would be found.
fn unlisted_process() -> Result<(), Errno> {
    let mut answer = Errno::ESRCH;
    for number in 1..=1024 {
        match getpgid(Some(Pid::from_raw(number))) {
            Ok(_) if !Path::new(&format!("/proc/{number}")).exists() => return Ok(()),
            Ok(_) => {}
            Err(errno) => answer = errno,
        }
    }
    Err(answer)
}

fn one_more_file() -> Result<(), Errno> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard.saturating_add(1))
}

fn ask(
    family: AddressFamily,
    kind: SockType,
    protocol: impl Into<Option<SockProtocol>>,
) -> Result<(), Errno> {
    socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol).map(drop)
}

/// An empty module: whoever may load one hears that this is none.
fn module() -> Result<(), Errno> {
    match nix::kmod::init_module(&[], c"") {
        Ok(()) | Err(Errno::ENOEXEC) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The name that it has already.
fn rename() -> Result<(), Errno> {
    sethostname(gethostname()?)
}
