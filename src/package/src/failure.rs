//! Why an order was not done: its kind, and words that say what to do.
//!
//! In:  what went wrong, in whatever room. Out: [`Failure`]: what the wire `packages` says of it.

use std::fmt;
use std::io::ErrorKind;

use contract::packages::Fault;

use crate::Error;

/// Why an order was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub fault: Fault,
    /// The words.
    pub words: String,
}

impl Failure {
    /// One of them.
    #[must_use]
    pub fn new(fault: Fault, words: impl fmt::Display) -> Self {
        Self { fault, words: words.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let fault = match &error {
            Error::Disk(_, _, cause) if is_full(cause.kind()) => Fault::Resources,
            Error::Disk(..) => Fault::Disk,
            Error::Space(..) | Error::Full => Fault::Resources,
            Error::Form(_) | Error::Digest(_) | Error::Image(_) => Fault::Form,
            Error::Unkeyed | Error::Signature(_) | Error::Statement => Fault::Signature,
            Error::Older(..) => Fault::Older,
            Error::Foreign(_) => Fault::Foreign,
            Error::Same(_) => Fault::Duplicate,
            Error::Architecture => Fault::Architecture,
            Error::Absent(_) => Fault::Absent,
        };
        Self::new(fault, error)
    }
}

fn is_full(kind: ErrorKind) -> bool {
    [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&kind)
}
