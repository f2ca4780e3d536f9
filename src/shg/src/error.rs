//! What can go wrong; each text begins with the name of the thing and, where somebody can do something about it, ends with what.
//!
//! Not here: exit codes (`main.rs`).

use std::fmt;
use std::io;
use std::path::Path;

/// Why something was not done.
#[derive(Debug)]
pub enum Error {
    /// The command line makes no sense.
    Usage(String),
    /// A file could not be read or written.
    File(String, io::Error),
    /// Something is refused, and why.
    Refused(String),
    /// A registry: which, and what it said.
    Registry(String, String),
    /// It is not there.
    Absent(String),
    /// Nobody reads what we say.
    Output(io::Error),
}

impl Error {
    /// For `map_err`: names the file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |cause| Self::File(path, cause)
    }

    /// What makes no sense is explained by the help of `command`.
    pub(crate) fn with_help(self, command: &str) -> Self {
        match self {
            Self::Usage(why) => Self::Usage(format!("{why}; see {command} --help")),
            Self::File(..) | Self::Refused(_) | Self::Registry(..) | Self::Absent(_) | Self::Output(_) => {
                self
            }
        }
    }

    /// For `map_err`: what another room says is a text already; `what` names the thing.
    pub fn refused<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |why| Self::Refused(format!("{what}: {why}"))
    }
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        Self::Output(cause)
    }
}

impl From<bundle::reference::Fault> for Error {
    fn from(fault: bundle::reference::Fault) -> Self {
        Self::Usage(fault.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(why) => write!(f, "{why}"),
            Self::File(path, cause) => write!(f, "{path}: {}", reason(cause)),
            Self::Refused(why) => write!(f, "{why}"),
            Self::Registry(which, why) => write!(f, "registry {which}: {why}"),
            Self::Absent(what) => write!(f, "{what}: not there"),
            Self::Output(cause) => write!(f, "output: {}", reason(cause)),
        }
    }
}

impl std::error::Error for Error {}

/// The system's words, without the number that they end with.
pub(crate) fn reason(cause: &io::Error) -> String {
    let text = cause.to_string();
    match (cause.raw_os_error(), text.rsplit_once(" (os error ")) {
        (Some(_), Some((words, _))) => words.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Error;

    #[test]
    fn the_system_is_quoted_without_its_numbers() {
        for (cause, text) in [
            (io::Error::from_raw_os_error(2), "f: No such file or directory"),
            (io::Error::other("odd (os error 2)"), "f: odd (os error 2)"),
            (io::ErrorKind::UnexpectedEof.into(), "f: unexpected end of file"),
        ] {
            assert_eq!(Error::File("f".to_owned(), cause).to_string(), text);
        }
    }
}
