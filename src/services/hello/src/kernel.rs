//! What the kernel shows to a process that asks: files of `/proc`, and a few calls.
//!
//! In:  nothing. Out: values, or why they cannot be seen. Parsers are pure; each reader is a line around one of them.
//!
//! Everything is bounded: a file by [`FILE_BYTES`], a list by [`ROWS`], a text by [`LETTERS`]. Nothing is remembered.
//!
//! Not here: what it means (`page`), what was tried (`probe`).
//!
//! Source: proc(5).

pub mod cgroup;
pub mod links;
pub mod machine;
pub mod mounts;
pub mod namespaces;
pub mod process;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::errno::Errno;

/// A file of `/proc`, at most: a mount takes a hundred bytes of the longest of them.
pub const FILE_BYTES: u64 = 64 * 1024;
/// A list, at most: a page that is longer is read by nobody.
pub const ROWS: usize = 64;
/// A text of the system's, at most.
pub const LETTERS: usize = 120;

/// What can be seen, or why not.
pub type Seen<T> = Result<T, Hidden>;

/// Why something cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// The kernel's answer.
    Refused(Errno),
    /// It answered something that is not understood here.
    Unclear,
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "{errno:?}: {}", errno.desc()),
            Self::Unclear => f.write_str("the kernel says something unknown here"),
        }
    }
}

impl From<Errno> for Hidden {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno)
    }
}

impl From<io::Error> for Hidden {
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::Unclear, |number| Self::Refused(Errno::from_raw(number)))
    }
}

/// The beginning of a list, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// At most [`ROWS`].
    pub shown: Vec<T>,
    /// What was left out.
    pub more: usize,
}

impl<T> Listed<T> {
    /// Takes the first [`ROWS`] and counts the rest.
    pub fn of(mut all: impl Iterator<Item = T>) -> Self {
        let shown = all.by_ref().take(ROWS).collect();
        Self { shown, more: all.count() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shown.len() + self.more
    }
}

/// Reads a file of the kernel's, as far as [`FILE_BYTES`].
///
/// # Errors
/// [`Hidden::Refused`]: it is not there, or not for us.
pub fn read(path: impl AsRef<Path>) -> Seen<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// At most [`LETTERS`] of `text`, without control characters; a longer one ends in an ellipsis.
#[must_use]
pub fn short(text: &str) -> String {
    let mut letters = text.trim().chars().filter(|letter| !letter.is_control());
    let mut short: String = letters.by_ref().take(LETTERS).collect();
    if letters.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::{Hidden, LETTERS, Listed, ROWS, read, short};
    use nix::errno::Errno;
    use proptest::prelude::{any, proptest};

    #[test]
    fn what_is_not_there_is_told_with_the_kernels_answer() {
        let hidden = read("/no/such/file").unwrap_err();
        assert_eq!(hidden, Hidden::Refused(Errno::ENOENT));
        assert_eq!(hidden.to_string(), "ENOENT: No such file or directory");
    }

    #[test]
    fn a_long_list_is_cut_and_counted() {
        let listed = Listed::of(0..ROWS + 3);
        assert_eq!((listed.shown.len(), listed.more, listed.count()), (ROWS, 3, ROWS + 3));
        assert_eq!(Listed::of(0..2).more, 0);
    }

    proptest! {
        #[test]
        fn a_text_is_short(text in any::<String>()) {
            let short = short(&text);
            assert!(short.chars().count() <= LETTERS && !short.chars().any(char::is_control));
        }
    }
}
