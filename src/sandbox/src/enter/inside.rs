//! The child's straight list of steps, from a fresh clone to the service's first instruction.
//!
//! In:  a plan and descriptors. Out: it does not return, but for a status to end with.
//!
//! The process has one thread, and is a copy: it may ask for memory. It must not panic (`sys::clone`).

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use contract::layer::Layer;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, SFlag, major, minor, stat, umask};
use nix::unistd::{Gid, Uid, chdir, pivot_root, read, setgroups, sethostname, setresgid, setresuid, setsid};
use sys::{Errno, descriptor, exec, mount as mounts, privilege};

use super::{Given, left_out, words};
use crate::Plan;
use crate::plan::NOTIFY_FD;

/// A step that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Waiting for the id maps.
    Maps = 1,
    /// Becoming user 0 of the own user namespace.
    User,
    /// The cgroup namespace and the host name.
    Names,
    /// The root.
    Root,
    /// `/proc`.
    Proc,
    /// `/dev`.
    Dev,
    /// `/tmp`.
    Tmp,
    /// Making the root the root.
    Pivot,
    /// Resource limits.
    Limits,
    /// Standard descriptors, and closing the rest.
    Descriptors,
    /// Capabilities and `no_new_privs`.
    Capabilities,
    /// The system call filter.
    Filter,
    /// Becoming the service.
    Exec,
    /// None of these.
    Unknown,
}

impl Step {
    const ALL: [Self; 13] = [
        Self::Maps,
        Self::User,
        Self::Names,
        Self::Root,
        Self::Proc,
        Self::Dev,
        Self::Tmp,
        Self::Pivot,
        Self::Limits,
        Self::Descriptors,
        Self::Capabilities,
        Self::Filter,
        Self::Exec,
    ];

    /// The step with this number, as the child told it.
    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|step| *step as u8 == number).unwrap_or(Self::Unknown)
    }

    /// What it was for.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Maps => "its id maps were not written",
            Self::User => "cannot become its user",
            Self::Names => "cannot set its names",
            Self::Root => "cannot attach its root",
            Self::Proc => "cannot mount /proc",
            Self::Dev => "cannot make /dev",
            Self::Tmp => "cannot mount /tmp",
            Self::Pivot => "cannot change to its root",
            Self::Limits => "cannot set its resource limits",
            Self::Descriptors => "cannot place its descriptors",
            Self::Capabilities => "cannot drop its capabilities",
            Self::Filter => "cannot load its filter",
            Self::Exec => "cannot run its program",
            Self::Unknown => "something failed",
        }
    }
}

/// Where the new root is put together: a folder that every root of ours has.
const NEST: &CStr = c"/run";
const NONE: Option<&CStr> = None;

/// Runs the list. The status to end with, where it comes back.
pub(super) fn run(plan: &Plan, given: &Given<'_>, applied: BorrowedFd<'_>, go: BorrowedFd<'_>) -> u8 {
    let (step, errno) = match put_on(plan, given, go) {
        Ok(()) => {
            if descriptor::write(&applied, b"y").is_err() || !hear(go, b'g') {
                return 0; // The supervisor is gone; so are we.
            }
            (Step::Exec, become_service(plan, given))
        }
        Err(failed) => failed,
    };
    let [low, high, ..] = (errno as i32).to_ne_bytes();
    // On a little-endian machine, which both of ours are, the low half holds the error number.
    let _ = descriptor::write(&applied, &[step as u8, low, high, 0]);
    126 // As a shell says that a program is there and cannot be run.
}

/// Waits for this word.
fn hear(go: BorrowedFd<'_>, word: u8) -> bool {
    let mut heard = [0];
    loop {
        match read(go, &mut heard) {
            Err(Errno::EINTR) => {}
            Ok(1) => return heard == [word],
            Ok(_) | Err(_) => return false,
        }
    }
}

fn put_on(plan: &Plan, given: &Given<'_>, go: BorrowedFd<'_>) -> Result<(), (Step, Errno)> {
    let at = |step| move |errno| (step, errno);
    let weak = |layer| left_out(given.without, layer);
    if !hear(go, b'm') {
        return Err((Step::Maps, Errno::EPIPE));
    }
    become_user().map_err(at(Step::User))?;
    if !weak(Layer::CgroupNamespace) {
        // Not a flag of clone: there the new namespace would begin at the parent's cgroup.
        unshare(CloneFlags::CLONE_NEWCGROUP).map_err(at(Step::Names))?;
    }
    if !weak(Layer::UtsNamespace) {
        sethostname(plan.name.as_str()).map_err(at(Step::Names))?;
    }
    root(given).map_err(at(Step::Root))?;
    proc(given).map_err(at(Step::Proc))?;
    dev(given).map_err(at(Step::Dev))?;
    tmp(plan).map_err(at(Step::Tmp))?;
    pivot().map_err(at(Step::Pivot))?;
    limits(plan).map_err(at(Step::Limits))?;
    descriptors(given).map_err(at(Step::Descriptors))?;
    capabilities(given).map_err(at(Step::Capabilities))?;
    if !weak(Layer::Seccomp) {
        privilege::load_filter(&plan.filter).map_err(at(Step::Filter))?;
    }
    Ok(())
}

fn become_user() -> Result<(), Errno> {
    let _ = setsid(); // It fails only for a leader, which a fresh child is not.
    umask(Mode::from_bits_truncate(0o022));
    exec::clean_signals()?;
    setgroups(&[])?;
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

fn root(given: &Given<'_>) -> Result<(), Errno> {
    mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    mounts::attach(given.root, NEST)?;
    chdir(NEST)
}

fn proc(given: &Given<'_>) -> Result<(), Errno> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options =
        if left_out(given.without, Layer::PrivateProc) { c"" } else { c"hidepid=invisible,subset=pid" };
    mount(Some(c"proc"), c"proc", Some(c"proc"), flags, Some(options))
}

/// Name, place in the service's `/dev`, major and minor number. Source: Documentation/admin-guide/devices.txt.
const DEVICES: [(&CStr, &CStr, u64, u64); 5] = [
    (c"/dev/null", c"dev/null", 1, 3),
    (c"/dev/zero", c"dev/zero", 1, 5),
    (c"/dev/full", c"dev/full", 1, 7),
    (c"/dev/random", c"dev/random", 1, 8),
    (c"/dev/urandom", c"dev/urandom", 1, 9),
];

fn dev(given: &Given<'_>) -> Result<(), Errno> {
    if left_out(given.without, Layer::MinimalDev) {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some(c"tmpfs"), c"dev", Some(c"tmpfs"), flags, Some(c"mode=0755,size=16k,nr_inodes=16"))?;
    for (source, place, wanted_major, wanted_minor) in DEVICES {
        // The source is the gateway's own /dev; the service's root is not in its way, nor can it name it.
        let device = mounts::copy(source)?;
        let seen = nix::sys::stat::fstat(&device)?;
        let character = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        if !character || (major(seen.st_rdev), minor(seen.st_rdev)) != (wanted_major, wanted_minor) {
            return Err(Errno::ENODEV);
        }
        let file = nix::fcntl::OFlag::O_CREAT | nix::fcntl::OFlag::O_EXCL | nix::fcntl::OFlag::O_CLOEXEC;
        drop(nix::fcntl::open(place, file, Mode::from_bits_truncate(0o666))?);
        mounts::attach(device.as_fd(), place)?;
    }
    for (target, place) in [
        (c"/proc/self/fd", c"dev/fd"),
        (c"/proc/self/fd/0", c"dev/stdin"),
        (c"/proc/self/fd/1", c"dev/stdout"),
        (c"/proc/self/fd/2", c"dev/stderr"),
    ] {
        nix::unistd::symlinkat(target, nix::fcntl::AT_FDCWD, place)?;
    }
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(NONE, c"dev", NONE, read_only | flags, NONE)
}

fn tmp(plan: &Plan) -> Result<(), Errno> {
    if plan.limits.tmp_kib == 0 {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let options = format!("mode=1777,size={}k", plan.limits.tmp_kib);
    mount(Some("tmpfs"), "tmp", Some("tmpfs"), flags, Some(options.as_str()))
}

fn pivot() -> Result<(), Errno> {
    // Both at one place: the old root comes to lie over the new one, and is taken off. pivot_root(2), notes.
    pivot_root(c".", c".")?;
    umount2(c".", MntFlags::MNT_DETACH)?;
    chdir(c"/")?;
    // A root that leads out again would be seen here.
    stat(c"/proc/self").map(drop)
}

fn limits(plan: &Plan) -> Result<(), Errno> {
    let descriptors = plan.limits.descriptors.into();
    for (resource, limit) in [
        (Resource::RLIMIT_NOFILE, descriptors),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_RTPRIO, 0),
        (Resource::RLIMIT_NICE, 0),
        // What a ring buffer of the kernel may pin; the rest counts as memory.
        (Resource::RLIMIT_MEMLOCK, 64 << 10),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}

fn descriptors(given: &Given<'_>) -> Result<(), Errno> {
    let null =
        std::fs::File::open("/dev/null").map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    // Where /dev was left out for a test there is none; the output serves as well.
    let input = match &null {
        Ok(null) => null.as_fd(),
        Err(_) => given.output,
    };
    for (descriptor, number) in [(input, 0), (given.output, 1), (given.output, 2), (given.notify, NOTIFY_FD)]
    {
        let copy = descriptor::copy_above(descriptor, 64)?; // Out of the way of the numbers that are placed.
        descriptor::place(copy.as_fd(), number)?;
    }
    if left_out(given.without, Layer::Descriptors) {
        return descriptor::place(given.cgroup, 4);
    }
    descriptor::close_on_exec_from(4)
}

fn capabilities(given: &Given<'_>) -> Result<(), Errno> {
    use caps::CapSet;
    let refused = |_| Errno::EPERM;
    if !left_out(given.without, Layer::NoCapabilities) {
        privilege::lock_secure_bits()?;
        for set in
            [CapSet::Bounding, CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted]
        {
            caps::clear(None, set).map_err(refused)?;
        }
    }
    if left_out(given.without, Layer::NoNewPrivileges) { Ok(()) } else { prctl::set_no_new_privs() }
}

fn become_service(plan: &Plan, given: &Given<'_>) -> Errno {
    let (arguments, environment) = (words(&plan.arguments), words(&plan.environment));
    match (plan.reaps, arguments.first()) {
        (false, _) => exec::descriptor(given.reaper, &arguments, &environment),
        (true, Some(program)) => exec::path(program, &arguments, &environment),
        (true, None) => Errno::ENOENT,
    }
}
