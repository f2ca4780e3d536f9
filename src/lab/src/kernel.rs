//! Which kernel the guest runs, and where it lies.
//!
//! In:  a word (`--kernel`, `SHG_KERNEL`). Out: the kernel's image and its modules, as `src/lab/setup/kernel.sh` left them.
//!
//! Not here: getting or building one.

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::error::Error;
use crate::house;

/// The variable that says which kernel the tests boot.
pub const VARIABLE: &str = "SHG_KERNEL";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Debian's prebuilt 686-pae, with a few modules: for a first look.
    Quick,
    /// The board's, without modules: where promises count.
    Board,
}

impl Kernel {
    /// The kernel of that name.
    ///
    /// # Errors
    /// [`Error::Usage`]: there is none.
    pub fn parse(word: &str) -> Result<Self, Error> {
        match word {
            "quick" => Ok(Self::Quick),
            "board" => Ok(Self::Board),
            _ => Err(Error::Usage(format!("kernel {word}: it is quick or board"))),
        }
    }

    /// What [`VARIABLE`] says; `quick` where it says nothing.
    ///
    /// # Errors
    /// As [`Kernel::parse`].
    pub fn from_environment() -> Result<Self, Error> {
        env::var(VARIABLE).map_or(Ok(Self::Quick), |word| Self::parse(&word))
    }

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Board => "board",
        }
    }

    /// Where its files lie.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        house::cache().join("kernel").join(self.word())
    }

    /// The folder of the board that it is the kernel of.
    #[must_use]
    pub fn board(self) -> PathBuf {
        house::top().join("board").join(match self {
            Self::Quick => "qemu",
            Self::Board => "ce4200",
        })
    }

    fn missing(self, file: &str) -> Error {
        let remedy = match self {
            Self::Quick => "make run fetches it",
            Self::Board => "make kernel builds it",
        };
        Error::Missing { what: self.folder().join(file).display().to_string(), remedy: remedy.to_owned() }
    }

    /// Its image.
    ///
    /// # Errors
    /// [`Error::Missing`] with what brings it.
    pub fn image(self) -> Result<PathBuf, Error> {
        let path = self.folder().join("bzImage");
        if path.exists() { Ok(path) } else { Err(self.missing("bzImage")) }
    }

    /// Its modules in load order: the path in the root, from the slash on, and the file here. The board's kernel has none.
    ///
    /// # Errors
    /// [`Error::Missing`]: no list. [`Error::Answer`]: a line of the list is no absolute path.
    pub fn modules(self) -> Result<Vec<(String, PathBuf)>, Error> {
        if self == Self::Board {
            return Ok(Vec::new());
        }
        let list = fs::read_to_string(self.folder().join("modules.list"));
        let list = list.map_err(|_| self.missing("modules.list"))?;
        list.lines()
            .filter(|line| !line.is_empty())
            .map(|line| {
                let relative = line.strip_prefix('/').ok_or_else(|| Error::Answer {
                    who: "modules.list".to_owned(),
                    why: format!("{line} is no absolute path"),
                })?;
                Ok((line.to_owned(), self.folder().join(relative)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_a_word_and_the_word_a_kernel() {
        for kernel in [Kernel::Quick, Kernel::Board] {
            assert_eq!(Kernel::parse(kernel.word()).unwrap(), kernel);
        }
        assert!(Kernel::parse("slow").unwrap_err().to_string().contains("slow"));
    }
}
