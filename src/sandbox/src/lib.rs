//! A service's isolation: plan it (pure), put it on (in the child), read it back (from outside).
//!
//! In:  a checked manifest and the number of its slot; descriptors of its root, its network, its log.
//! Out: a process with every layer on that waits for its last word, and the set of layers that can be seen on it.
//!
//! Not here: whether a service may start (`supervisor`), its image (`storage`), its link (`network`).
//!
//! Sources: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), cgroup_namespaces(7), pivot_root(2), capabilities(7),
//! seccomp(2); Documentation/admin-guide/cgroup-v2.rst.
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "compile"))]
mod bpf;
mod calls;
#[cfg(feature = "compile")]
mod compiled;
mod plan;
#[cfg(any(test, feature = "compile"))]
mod policy;

pub mod cgroup;
pub mod daemon;
mod devices;
mod enter;
mod folder;
mod host;
mod limits;
mod mountinfo;
mod namespace;
mod read_back;
mod seen;

pub use calls::program;
#[cfg(feature = "compile")]
pub use compiled::compile;
pub use enter::{Entered, Given, LANDLOCK_MAX, Report, Step, enter};
pub use host::{DEV, Host};
pub use namespace::Network;
pub use plan::{Plan, Volume, Word};
pub use read_back::{Row, layers, rows};
pub use seen::{Moment, Seen, look};

use std::fmt;

use sys::Errno;

/// Why a sandbox could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A call of ours, outside of the sandbox, failed: what it was for, and why.
    Outside(&'static str, Errno),
    /// A step inside failed.
    Inside(Step, Errno),
    /// The kernel's Landlock is older than the board names: its ABI (0: none), and the one that is wanted.
    Landlock {
        /// What the kernel has.
        has: u32,
        /// What the board names.
        wanted: u32,
    },
    /// The gateway has no device of a class that it needs: which class.
    NoDevice(&'static str),
    /// The manifest does not fit into a plan: which part.
    Manifest(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside(what, errno) => write!(f, "sandbox: {what}: {}", errno.desc()),
            Self::Inside(step, errno) => write!(f, "sandbox: {}: {}", step.word(), errno.desc()),
            Self::Landlock { has, wanted } => {
                write!(f, "landlock: the board names ABI {wanted}, this kernel has {has}")
            }
            Self::NoDevice(class) => write!(f, "sandbox: the gateway has no {class} that could be given"),
            Self::Manifest(what) => write!(f, "sandbox: {what}"),
        }
    }
}

impl std::error::Error for Error {}
