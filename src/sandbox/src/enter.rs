//! Putting the sandbox on: the parent's part, and the child's straight list of steps.
//!
//! In:  a plan and descriptors. Out: a process with every layer on, which waits for `go` before it becomes the service.
//!
//! The child tells on a pipe that it is done, or which step failed. It reads from another: first `m` (its id maps are written), then
//! `g` (go). If the supervisor dies before, it reads the end of the file and ends; nobody has to look for it.
//!
//! Source: see `lib.rs`.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use contract::layer::{Layer, Layers};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, close, fchown, pipe2, read};
use sys::mount::attribute;
use sys::{Errno, clone, descriptor};

use crate::{Error, Host, Plan, devices, namespace};

mod fence;
mod inside;
mod places;
mod step;

pub use fence::ABI_MAX as LANDLOCK_MAX;
pub use step::Step;

/// Where descriptors go that the child needs itself, out of the way of the numbers that the service gets.
const ASIDE: i32 = 64;
/// Words of a command or of an environment: what a manifest may have, and what we add (`reaper` and its probe, `PATH`, `NOTIFY_FD`).
type Words<'p> = heapless::Vec<&'p CStr, WORDS>;
const WORDS: usize = 20;
const _: () = assert!(WORDS >= contract::limit::ARGUMENTS + 1 + 3 + contract::limit::PROBE_WORDS);
const _: () = assert!(WORDS >= contract::limit::VARIABLES + 2);

/// The child's word that all is on, and a bit in it for each layer that cannot be seen from outside.
const APPLIED: u8 = 0x40;
const TOLD: [(Layer, u8); 2] = [(Layer::NoNesting, 1), (Layer::Landlock, 2)];

/// What the child gets.
#[derive(Debug, Clone, Copy)]
pub struct Given<'d> {
    /// Its root: a detached, read-only, idmapped mount.
    pub root: BorrowedFd<'d>,
    /// Its volume, where its plan has one: a detached, writable, idmapped mount.
    pub volume: Option<BorrowedFd<'d>>,
    /// Devices of the gateway's, where its plan has some.
    pub host: Option<&'d Host>,
    /// Its network namespace.
    pub network: BorrowedFd<'d>,
    /// The cgroup for its processes ([`crate::cgroup::renew`]).
    pub cgroup: BorrowedFd<'d>,
    /// Standard output and error.
    pub output: BorrowedFd<'d>,
    /// Where it says that it is ready.
    pub notify: BorrowedFd<'d>,
    /// The reaper's program; not used where the service reaps.
    pub reaper: BorrowedFd<'d>,
    /// The Landlock ABI that the board names, 2 to [`LANDLOCK_MAX`].
    pub landlock: u32,
    /// Layers to leave out: for tests; the firmware is built without the feature that heeds it.
    pub without: Layers,
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
    /// Every layer was put on; these are the ones that only the child itself could try.
    Applied(Layers),
    /// It could not go on, or is gone.
    Failed(Error),
}

impl Entered {
    /// What the child has told. To be asked until it is something else than [`Report::Nothing`]: after that the pipe says no more.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut told = [0; 4];
        match read(&self.applied, &mut told) {
            Err(Errno::EAGAIN) => Report::Nothing,
            Ok(1) => {
                let [word, ..] = told;
                let on = TOLD.into_iter().filter(|(_, bit)| word & bit != 0);
                Report::Applied(on.fold(Layers::NONE, |set, (layer, _)| set.with(layer)))
            }
            Ok(4) => {
                let [step, low, high, _] = told;
                let errno = i32::from(u16::from_le_bytes([low, high]));
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
/// For programs with one thread. Neither this nor the child asks for memory.
///
/// # Errors
/// [`Error::Outside`]: a call of the parent's failed. A child that was made already ends by itself, to be waited for like any other.
pub fn enter(plan: &Plan, given: Given<'_>) -> Result<Entered, Error> {
    let outside_fence = if left_out(given.without, Layer::Landlock) {
        None
    } else {
        fence::check(given.landlock)?;
        Some(fence::somewhere_else().map_err(outside("no folder to try its fence with"))?)
    };
    if !left_out(given.without, Layer::Devices) {
        let more = given.host.map(Host::numbers).unwrap_or_default();
        devices::guard(given.cgroup, &more).map_err(outside("cannot guard its devices"))?;
    }
    let (applied, child_applied) = pipe()?;
    let (child_go, go) = pipe()?;
    descriptor::set_nonblocking(applied.as_fd()).map_err(outside("no pipe"))?;
    let reaper = descriptor::copy_above(given.reaper, ASIDE).map_err(outside("no reaper"))?;
    if !left_out(given.without, Layer::ReadOnlyRoot) {
        // Whoever made the mount said so too; what is relied on here is done here.
        let sealed = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV;
        sys::mount::set_attributes(given.root, sealed, None).map_err(outside("cannot seal its root"))?;
    }
    if let Some(volume) = given.volume {
        let harmless = attribute::NO_SUID | attribute::NO_DEV | attribute::NO_EXEC;
        sys::mount::set_attributes(volume, harmless, None).map_err(outside("cannot tame its volume"))?;
    }
    // A pipe's name (`/dev/fd/3`, `/dev/stdout`) can be opened by its owner only: what the service may write to is its own.
    let (user, group) = (Uid::from_raw(plan.uid_base), Gid::from_raw(plan.uid_base));
    for pipe in [given.output, given.notify] {
        fchown(pipe, Some(user), Some(group)).map_err(outside("cannot give it its pipes"))?;
    }
    let arguments = inside::words(&plan.arguments).map_err(outside("its command"))?;
    let environment = inside::words(&plan.environment).map_err(outside("its environment"))?;

    let home = namespace::here()?;
    if !left_out(given.without, Layer::NetworkNamespace) {
        setns(given.network, CloneFlags::CLONE_NEWNET).map_err(outside("cannot enter its network"))?;
    }
    let cgroup = (!left_out(given.without, Layer::Cgroup)).then_some(given.cgroup);
    let child = clone::clone(namespaces(given.without), cgroup, || {
        // The copies of the parent's ends: while they were open here, the parent's death would go unseen.
        let _ = close(go.as_raw_fd());
        let _ = close(applied.as_raw_fd());
        let (applied, go, reaper) = (child_applied.as_fd(), child_go.as_fd(), reaper.as_fd());
        let inside = inside::Inside { given, applied, go, reaper, outside: outside_fence };
        inside::run(plan, &inside, &arguments, &environment)
    });
    setns(&home, CloneFlags::CLONE_NEWNET).map_err(outside("cannot go back"))?;
    let child = child.map_err(outside("no process"))?;

    let entered = Entered { pid: child.pid, pidfd: child.pidfd, applied, go };
    // Where one of these fails `go` is closed, and the child ends.
    write_of(entered.pid, "oom_score_adj", format_args!("0"))?; // Ours would be inherited, and we are spared.
    if !left_out(given.without, Layer::UserNamespace) {
        let [inside, outside, count] = plan.id_map();
        for file in ["uid_map", "gid_map"] {
            write_of(entered.pid, file, format_args!("{inside} {outside} {count}\n"))?;
        }
    }
    word(entered.go.as_fd(), b"m")?;
    Ok(entered)
}

fn outside(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::Outside(what, errno)
}

/// A pipe whose ends are out of the way.
fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(outside("no pipe"))?;
    let aside = |end: OwnedFd| descriptor::copy_above(end.as_fd(), ASIDE).map_err(outside("no pipe"));
    Ok((aside(reader)?, aside(writer)?))
}

/// The namespaces to be made with the process. Not the network's, which is kept, and not the cgroup's (`inside.rs` says why).
fn namespaces(without: Layers) -> CloneFlags {
    let with_layers = [
        (Layer::UserNamespace, CloneFlags::CLONE_NEWUSER),
        (Layer::PidNamespace, CloneFlags::CLONE_NEWPID),
        (Layer::MountNamespace, CloneFlags::CLONE_NEWNS),
        (Layer::UtsNamespace, CloneFlags::CLONE_NEWUTS),
        (Layer::IpcNamespace, CloneFlags::CLONE_NEWIPC),
    ];
    with_layers.into_iter().filter(|(layer, _)| !left_out(without, *layer)).map(|(_, flag)| flag).collect()
}

/// Writes `text` to a file of the process.
fn write_of(pid: i32, file: &'static str, text: std::fmt::Arguments<'_>) -> Result<(), Error> {
    let (mut path, mut line) = (heapless::String::<64>::new(), heapless::String::<64>::new());
    let fits = write!(path, "/proc/{pid}/{file}").and_then(|()| line.write_fmt(text)); // A few numbers: they do.
    fits.map_err(|_| Error::Outside(file, Errno::E2BIG))?;
    fs::write(path.as_str(), line.as_bytes())
        .map_err(|error| Error::Outside(file, Errno::from_raw(error.raw_os_error().unwrap_or(0))))
}

/// Is this layer to be left out? Never, unless the feature for tests is on.
fn left_out(without: Layers, layer: Layer) -> bool {
    cfg!(feature = "weaken") && without.has(layer)
}
