//! Putting the sandbox on: the parent's part, and the child's straight list of steps.
//!
//! In:  a plan and descriptors. Out: a process with every layer on, which waits for `go` before it becomes the service.
//!
//! The child tells on a pipe that it is done, or which step failed. It reads from another: first `m` (its id maps are written), then
//! `g` (go). If the supervisor dies before, it reads the end of the file and ends; nobody has to look for it.
//!
//! Source: see `lib.rs`.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use contract::layer::Layer;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{close, pipe2, read};
use sys::{Errno, clone, descriptor};

use crate::{Error, Plan, namespace};

mod inside;

pub use inside::Step;

/// What the child gets.
#[derive(Debug, Clone, Copy)]
pub struct Given<'d> {
    /// Its root: a detached, read-only, idmapped mount.
    pub root: BorrowedFd<'d>,
    /// Its network namespace.
    pub network: BorrowedFd<'d>,
    /// Its cgroup.
    pub cgroup: BorrowedFd<'d>,
    /// Standard output and error.
    pub output: BorrowedFd<'d>,
    /// Where it says that it is ready.
    pub notify: BorrowedFd<'d>,
    /// The reaper's program; not used where the service reaps.
    pub reaper: BorrowedFd<'d>,
    /// The layer to leave out: for tests; the firmware is built without the feature that heeds it.
    pub without: Option<Layer>,
}

/// A process that waits for its last word.
#[derive(Debug)]
pub struct Entered {
    /// Its number outside.
    pub pid: i32,
    /// A descriptor on it.
    pub pidfd: OwnedFd,
    /// It becomes readable when every layer is on, or a step failed, or the child is gone.
    pub applied: OwnedFd,
    go: OwnedFd,
}

/// What the child told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Nothing yet.
    Nothing,
    /// Every layer is on.
    Applied,
    /// It could not go on, or is gone.
    Failed(Error),
}

impl Entered {
    /// What the child has told.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut told = [0; 4];
        match read(&self.applied, &mut told) {
            Err(Errno::EAGAIN) => Report::Nothing,
            Ok(1) => Report::Applied,
            Ok(4) => {
                let [step, rest @ ..] = told;
                let errno = i32::from(u16::from_ne_bytes([rest[0], rest[1]]));
                Report::Failed(Error::Inside(Step::from_number(step), Errno::from_raw(errno)))
            }
            Ok(_) | Err(_) => Report::Failed(Error::Outside("the child is gone", Errno::ECHILD)),
        }
    }

    /// The last word: it becomes the service.
    ///
    /// # Errors
    /// [`Error::Outside`]: it is gone.
    pub fn go(&self) -> Result<(), Error> {
        word(self.go.as_fd(), b"g")
    }
}

fn word(pipe: BorrowedFd<'_>, word: &[u8]) -> Result<(), Error> {
    descriptor::write(&pipe, word).map(drop).map_err(|errno| Error::Outside("the child is gone", errno))
}

/// Makes the process and lets it put on its layers.
///
/// For programs with one thread.
///
/// # Errors
/// [`Error::Outside`]: a call of the parent's failed; nothing is left behind.
pub fn enter(plan: &Plan, given: Given<'_>) -> Result<Entered, Error> {
    let outside = |what| move |errno| Error::Outside(what, errno);
    let flags = nix::fcntl::OFlag::O_CLOEXEC;
    let (applied, child_applied) = pipe2(flags).map_err(outside("no pipe"))?;
    let (child_go, go) = pipe2(flags).map_err(outside("no pipe"))?;
    descriptor::set_nonblocking(applied.as_fd()).map_err(outside("no pipe"))?;

    let mut namespaces = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    for (layer, flag) in [
        (Layer::PidNamespace, CloneFlags::CLONE_NEWPID),
        (Layer::UtsNamespace, CloneFlags::CLONE_NEWUTS),
        (Layer::IpcNamespace, CloneFlags::CLONE_NEWIPC),
    ] {
        if left_out(given.without, layer) {
            namespaces.remove(flag);
        }
    }
    let home = namespace::here()?;
    if !left_out(given.without, Layer::NetworkNamespace) {
        setns(given.network, CloneFlags::CLONE_NEWNET).map_err(outside("cannot enter its network"))?;
    }
    let cgroup = (!left_out(given.without, Layer::Cgroup)).then_some(given.cgroup);
    let child = clone::clone(namespaces, cgroup, || {
        // The copies of the parent's ends: while they were open here, the parent's death would go unseen.
        let _ = close(go.as_raw_fd());
        let _ = close(applied.as_raw_fd());
        inside::run(plan, &given, child_applied.as_fd(), child_go.as_fd())
    });
    setns(&home, CloneFlags::CLONE_NEWNET).map_err(outside("cannot go back"))?;
    let child = child.map_err(outside("no process"))?;

    let entered = Entered { pid: child.pid, pidfd: child.pidfd, applied, go };
    let map = |file| write_map(&format!("/proc/{}/{file}", entered.pid), plan.id_map());
    map("uid_map").and_then(|()| map("gid_map"))?;
    word(entered.go.as_fd(), b"m")?;
    Ok(entered) // Where we return early, `go` is closed, and the child ends.
}

fn write_map(path: &str, [inside, outside, count]: [u32; 3]) -> Result<(), Error> {
    fs::write(path, format!("{inside} {outside} {count}\n")).map_err(|error| {
        Error::Outside("cannot map its ids", Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    })
}

/// Is this layer to be left out? Never, unless the feature for tests is on.
fn left_out(without: Option<Layer>, layer: Layer) -> bool {
    cfg!(feature = "weaken") && without == Some(layer)
}

/// Words as the exec calls want them.
fn words(list: &[std::ffi::CString]) -> Vec<&CStr> {
    list.iter().map(std::ffi::CString::as_c_str).collect()
}
