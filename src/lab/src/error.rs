//! What can go wrong on the desk; each text begins with the name of the thing.
//!
//! Not here: exit codes (`main.rs`).

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Why something of the lab's was not done.
#[derive(Debug)]
pub enum Error {
    /// Something that a guest is made of is not there, or this machine does not let us do it. A test says *skipped*.
    Missing {
        /// What.
        what: String,
        /// What brings it.
        remedy: String,
    },
    /// A file or a socket.
    Io {
        /// Which, and what was done with it.
        what: String,
        /// The system's word.
        cause: io::Error,
    },
    /// A program that we run did not do its work.
    Tool {
        /// The program.
        program: String,
        /// Its last words.
        why: String,
    },
    /// It did not happen in time.
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// Somebody answered what we do not understand.
    Answer {
        /// Who.
        who: String,
        /// What was wrong.
        why: String,
    },
    /// Everything ran, and this many results are not as they should be.
    Short {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// The command line makes no sense.
    Usage(String),
}

impl Error {
    /// For `map_err`: names the thing that an input or output was about.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }

    /// As [`Error::io`], for a path.
    pub fn path(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }

    /// As [`Error::io`], for an error number.
    pub fn errno(what: impl Into<String>) -> impl FnOnce(nix::errno::Errno) -> Self {
        let what = what.into();
        move |errno| Self::Io { what, cause: errno.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, remedy } => write!(f, "{what}: not there ({remedy})"),
            Self::Io { what, cause } => write!(f, "{what}: {cause}"),
            Self::Tool { program, why } => write!(f, "{program}: {why}"),
            Self::Late { what, limit } => write!(f, "{what}: not within {} s", limit.as_secs()),
            Self::Answer { who, why } => write!(f, "{who}: {why}"),
            Self::Short { what, count } => write!(f, "{what}: {count} not as they should be"),
            Self::Usage(why) => write!(f, "lab: {why} (lab --help)"),
        }
    }
}

impl std::error::Error for Error {}
