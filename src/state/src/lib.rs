//! Small files of a daemon's that outlive a power cut: `/data/state/<daemon>`.
//!
//! In:  bytes. Out: the newest bytes that are whole, whenever the power went.
//!
//! How to use it:
//!
//! ```no_run
//! let folder = state::Folder::of("lease");
//! let kept = folder.file("table", 64 * 1024); // its name, and the most bytes that it may have
//! match kept.load() {
//!     Ok(Some(state::Kept { version: 1, bytes })) => { /* decode `bytes` */ }
//!     Ok(_) => { /* nothing yet, or of a version that we do not know */ }
//!     Err(state::Error::Absent) => { /* no data disk (yet): go on in memory, ask again at the next change of mounts */ }
//!     Err(error) => eprintln!("{error}"),
//! }
//! kept.save(1, b"what is to be kept")?; // it is on the disk when this returns
//! # Ok::<(), state::Error>(())
//! ```
//!
//! The folder is made by `storage` when it mounts the data disk, mode 0700, for the daemon's uid; it may come late, go, and come back as
//! another disk. So, while something waits to be kept: try again every 2 s ([`RETRY_MS`]). Who wants to know sooner holds [`Mounts`] in its
//! loop (`poll` it for `POLLPRI`) and tries at each change, too; the folder comes a moment after the mount, so the 2 s stay.
//!
//! A file has a version (the daemon's own), a generation and a checksum. It is written beside, brought to the disk, and then takes the
//! place of the one before, which stays as the previous generation; [`File::load`] takes the newest that is whole.
//!
//! Not here: what is in a file; secrets beyond the mode 0600.
//!
//! Source: fsync(2), rename(2), `proc_pid_mountinfo(5)`.
#![forbid(unsafe_code)]

pub mod image;

mod file;
mod mounts;

pub use file::{File, Folder, Kept};
pub use mounts::Mounts;

use std::fmt;

use nix::errno::Errno;

/// Where the folders are.
pub const STATE: &str = "/data/state";
/// How often to try again where changes of mounts cannot be heard of, in milliseconds.
pub const RETRY_MS: u64 = 2_000;

/// Why nothing was kept, or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// There is no data disk, or this daemon has no folder on it (yet).
    Absent,
    /// There is a file, and no generation of it is whole.
    Broken(&'static str),
    /// So many bytes are more than this file may have.
    Large(&'static str, usize),
    /// The system said no: of which file, in which step.
    System(&'static str, &'static str, Errno),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "state: no folder on a data disk"),
            Self::Broken(name) => write!(f, "state {name}: no generation of it is whole"),
            Self::Large(name, bytes) => write!(f, "state {name}: {bytes} bytes are more than it may have"),
            Self::System(name, step, errno) => write!(f, "state {name}: {step}: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
