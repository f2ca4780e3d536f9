//! The child's straight list of steps, from a fresh clone to the service's first instruction.
//!
//! In:  a plan and descriptors. Out: it does not return, but for a status to end with.
//!
//! The process is a copy of one thread. It asks for no memory (a test locks the heap) and must not panic (`sys::clone`). No
//! instruction of the service's runs before its last word.
//!
//! Source: user_namespaces(7), capabilities(7), seccomp(2), PR_SET_DUMPABLE(2const).

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use contract::layer::Layer;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, read, setgroups, sethostname, setresgid, setresuid, setsid};
use sys::{Errno, descriptor, exec, privilege};

use super::{ASIDE, Given, Step, Words, left_out, places};
use crate::Plan;
use crate::plan::NOTIFY_FD;

/// As shells say that a program is there and cannot be run.
const CANNOT_RUN: u8 = 126;

/// What the child works with; every descriptor here has a number of [`ASIDE`] or more.
pub(super) struct Inside<'d> {
    /// What the service gets.
    pub(super) given: Given<'d>,
    /// Where the child tells how far it came.
    pub(super) applied: BorrowedFd<'d>,
    /// Where it hears the next word.
    pub(super) go: BorrowedFd<'d>,
    /// The reaper's program.
    pub(super) reaper: BorrowedFd<'d>,
}

/// Runs the list. The status to end with, where it comes back.
pub(super) fn run(plan: &Plan, inside: &Inside<'_>, arguments: &Words<'_>, environment: &Words<'_>) -> u8 {
    if let Err((step, errno)) = put_on(plan, inside) {
        let [low, high, ..] = (errno as i32).to_le_bytes(); // Error numbers end at 4095: errno(3).
        let _ = descriptor::write(&inside.applied, &[step as u8, low, high, 0]);
        return CANNOT_RUN;
    }
    if descriptor::write(&inside.applied, b"y").is_err() || !hear(inside.go, b'g') {
        return CANNOT_RUN; // The supervisor is gone; so are we, and not as a service that has done its work.
    }
    let errno = match (plan.reaps, arguments.first()) {
        (false, _) => exec::descriptor(inside.reaper, arguments, environment),
        (true, Some(program)) => exec::path(program, arguments, environment),
        (true, None) => Errno::ENOENT,
    };
    // Nobody reads the pipe any more: this goes to the service's own log.
    for part in [b"sandbox: cannot run its program: ".as_slice(), errno.desc().as_bytes(), b"\n"] {
        let _ = descriptor::write(&std::io::stderr(), part);
    }
    CANNOT_RUN
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

fn put_on(plan: &Plan, inside: &Inside<'_>) -> Result<(), (Step, Errno)> {
    let given = &inside.given;
    let at = |step| move |errno| (step, errno);
    let weak = |layer| left_out(given.without, layer);
    if !hear(inside.go, b'm') {
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
    if !weak(Layer::UserNamespace) {
        forbid_nesting().map_err(at(Step::Nesting))?;
    }
    if !weak(Layer::MountNamespace) {
        places::move_in(plan, given)?;
    }
    descriptors(inside).map_err(at(Step::Descriptors))?;
    limits(plan).map_err(at(Step::Limits))?;
    capabilities(given).map_err(at(Step::Capabilities))?;
    // Without no_new_privs and without capabilities nobody may load a filter.
    if !weak(Layer::Seccomp) && !weak(Layer::NoNewPrivileges) {
        privilege::load_filter(plan.filter).map_err(at(Step::Filter))?;
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
    setresuid(user, user, user)?;
    // Until exec this is a copy of the supervisor: nobody of the same user may look into it. exec sets it again.
    prctl::set_dumpable(false)
}

/// A second lock, beside the filter, on user namespaces in this one: the way to every right over the kernel's dark corners (attack 10).
fn forbid_nesting() -> Result<(), Errno> {
    let write = |mut file: File| file.write_all(b"0");
    let done = File::options().write(true).open("/proc/sys/user/max_user_namespaces").and_then(write);
    done.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn descriptors(inside: &Inside<'_>) -> Result<(), Errno> {
    let given = &inside.given;
    standard(given)?;
    if left_out(given.without, Layer::Descriptors) {
        return descriptor::place(given.cgroup, NOTIFY_FD + 1);
    }
    // Closed now and not at exec: reading back looks at every one that is open, and the supervisor has hundreds.
    let first = NOTIFY_FD.unsigned_abs() + 1;
    descriptor::close_from(first, [inside.applied, inside.go, inside.reaper])
}

/// Puts 0 to 2 and the notify descriptor at their places.
fn standard(given: &Given<'_>) -> Result<(), Errno> {
    let null = File::open("/dev/null");
    // Where /dev was left out for a test there is none; the output serves as well.
    let input = null.as_ref().map_or(given.output, AsFd::as_fd);
    let standard = [(input, 0), (given.output, 1), (given.output, 2), (given.notify, NOTIFY_FD)];
    let mut copies = [const { None }; 4];
    for (copy, (descriptor, _)) in copies.iter_mut().zip(standard) {
        *copy = Some(descriptor::copy_above(descriptor, ASIDE)?);
    }
    for (copy, (_, number)) in copies.iter().flatten().zip(standard) {
        descriptor::place(copy.as_fd(), number)?;
    }
    Ok(())
}

fn limits(plan: &Plan) -> Result<(), Errno> {
    let descriptors = plan.limits.descriptors.into();
    for (resource, limit) in [
        (Resource::RLIMIT_NOFILE, descriptors),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_RTPRIO, 0),
        (Resource::RLIMIT_NICE, 0),
        // What may be pinned; the rest counts as memory of its cgroup.
        (Resource::RLIMIT_MEMLOCK, 64 << 10),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}

fn capabilities(given: &Given<'_>) -> Result<(), Errno> {
    use caps::CapSet;
    if !left_out(given.without, Layer::NoCapabilities) {
        privilege::lock_secure_bits()?;
        privilege::drop_bounding_set()?;
        for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
            caps::clear(None, set).map_err(|_| Errno::EPERM)?;
        }
    }
    if left_out(given.without, Layer::NoNewPrivileges) { Ok(()) } else { prctl::set_no_new_privs() }
}

/// Words as the exec calls want them, pointed to before the clone.
pub(super) fn words<'p>(list: &'p [crate::Word]) -> Result<Words<'p>, Errno> {
    let mut words = Words::new();
    for word in list {
        let word: &'p CStr = word.as_c_str();
        words.push(word).map_err(|_| Errno::E2BIG)?;
    }
    Ok(words)
}
