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
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use contract::layer::Layer;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::setrlimit;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, close, read, setgroups, sethostname, setresgid, setresuid, setsid};
use sys::{Errno, descriptor, exec, privilege};

use super::{ASIDE, Given, Step, Words, fence, left_out, places};
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
    /// A folder that has to be out of reach once the fence is up.
    pub(super) outside: Option<BorrowedFd<'d>>,
}

/// Runs the list. The status to end with, where it comes back.
pub(super) fn run(plan: &Plan, inside: &Inside<'_>, arguments: &Words<'_>, environment: &Words<'_>) -> u8 {
    if let Err((step, errno)) = put_on(plan, inside) {
        let [low, high, ..] = (errno as i32).to_le_bytes(); // Error numbers end at 4095: errno(3).
        let _ = descriptor::write(&inside.applied, &[step as u8, low, high, 0]);
        return CANNOT_RUN;
    }
    if descriptor::write(&inside.applied, &[told(&inside.given)]).is_err() || !hear(inside.go, b'g') {
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

/// The word that all is on, with those layers in it that only the child itself can try.
fn told(given: &Given<'_>) -> u8 {
    let on =
        |(layer, _): &(Layer, u8)| hangs_on(*layer).iter().all(|needed| !left_out(given.without, *needed));
    super::TOLD.into_iter().filter(on).fold(super::APPLIED, |word, (_, bit)| word | bit)
}

/// What has to be on for a layer that the child tries itself: it, and what it is made of.
fn hangs_on(layer: Layer) -> &'static [Layer] {
    if layer == Layer::Landlock {
        &[Layer::Landlock, Layer::NoNewPrivileges, Layer::MountNamespace]
    } else {
        &[Layer::NoNesting, Layer::UserNamespace]
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
    let mount_limit = match hangs_on(Layer::NoNesting).iter().any(|layer| weak(*layer)) {
        false => Some(limit_namespaces().map_err(at(Step::Nesting))?),
        true => None,
    };
    if !weak(Layer::MountNamespace) {
        places::move_in(plan, given)?;
    }
    let fenced = hangs_on(Layer::Landlock).iter().all(|layer| !weak(*layer));
    let outside = inside.outside.filter(|_| fenced);
    if let Some(mut file) = mount_limit {
        limit(&mut file, b"0").map_err(at(Step::Nesting))?;
    }
    descriptors(inside, outside).map_err(at(Step::Descriptors))?;
    if !weak(Layer::ResourceLimits) {
        limits(plan).map_err(at(Step::Limits))?;
    }
    capabilities(given).map_err(at(Step::Capabilities))?;
    // Without no_new_privs and without capabilities nobody may put up a fence, nor load a filter.
    if let Some(outside) = outside {
        let reaper = (!plan.reaps).then_some(inside.reaper);
        let volume = plan.volume.as_ref().map(|volume| volume.at.as_c_str());
        fence::put_up(given.landlock, volume, reaper, outside).map_err(at(Step::Landlock))?;
        close(outside.as_raw_fd()).map_err(at(Step::Landlock))?; // What is still open is looked at, and that takes time.
    }
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

/// Limits of its user namespace: no namespace of any kind below (a second lock beside the filter, for they are the way to every right
/// over the kernel's dark corners: attack 10), and so many watches of files that no other service's are touched (attack 22).
///
/// Source: namespaces(7), `/proc/sys/user`; inotify(7).
const NAMESPACE_LIMITS: [(&str, &[u8]); 9] = [
    ("/proc/sys/user/max_user_namespaces", b"0"),
    ("/proc/sys/user/max_net_namespaces", b"0"),
    ("/proc/sys/user/max_pid_namespaces", b"0"),
    ("/proc/sys/user/max_ipc_namespaces", b"0"),
    ("/proc/sys/user/max_uts_namespaces", b"0"),
    ("/proc/sys/user/max_cgroup_namespaces", b"0"),
    ("/proc/sys/user/max_time_namespaces", b"0"),
    ("/proc/sys/user/max_inotify_instances", b"64"),
    ("/proc/sys/user/max_inotify_watches", b"4096"),
];

/// A mount without a place counts as a namespace, too: this one comes once everything is mounted.
const MOUNT_NAMESPACES: &str = "/proc/sys/user/max_mnt_namespaces";

fn limit_namespaces() -> Result<File, Errno> {
    for (path, value) in NAMESPACE_LIMITS {
        match open_limit(path) {
            Err(Errno::ENOENT) => {} // A kernel without that kind of namespace.
            file => limit(&mut file?, value)?,
        }
    }
    open_limit(MOUNT_NAMESPACES)
}

fn open_limit(path: &str) -> Result<File, Errno> {
    File::options().read(true).write(true).open(path).map_err(errno)
}

/// Sets a limit, and reads it back.
fn limit(file: &mut File, value: &[u8]) -> Result<(), Errno> {
    file.write_all(value).map_err(errno)?;
    let mut said = [0; 16];
    file.rewind().map_err(errno)?;
    let length = file.read(&mut said).map_err(errno)?;
    let holds = said.get(..length).map(<[u8]>::trim_ascii_end) == Some(value);
    if holds { Ok(()) } else { Err(Errno::ENOTRECOVERABLE) }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn descriptors(inside: &Inside<'_>, outside: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let given = &inside.given;
    standard(given)?;
    if left_out(given.without, Layer::Descriptors) {
        return descriptor::place(given.cgroup, NOTIFY_FD + 1);
    }
    // Closed now and not at exec: reading back looks at every one that is open, and the supervisor has hundreds.
    let first = NOTIFY_FD.unsigned_abs() + 1;
    let outside = outside.unwrap_or(inside.reaper);
    descriptor::close_from(first, [inside.applied, inside.go, inside.reaper, outside])
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
    crate::limits::all(plan)
        .into_iter()
        .try_for_each(|(resource, _, limit)| setrlimit(resource, limit, limit))
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
