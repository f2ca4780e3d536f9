//! Runs the desk's programs: to their end, or as children that do not outlive us.
//!
//! In:  a program and its words. Out: what it printed, or a running child.
//!
//! A child is started through setpriv(1), which asks the kernel to kill it when the thread that started it is gone: so nothing is
//! left behind even when we are killed ourselves.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Output, Stdio};

use crate::error::Error;

/// Folders of Debian's administration programs, which an ordinary user's PATH leaves out.
const MORE_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// A command that finds administration programs too, and reads nothing.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut path = std::env::var("PATH").unwrap_or_default();
    path.push(':');
    path.push_str(MORE_FOLDERS);
    let mut command = Command::new(program);
    command.env("PATH", path).stdin(Stdio::null());
    command
}

/// A command whose process ends when we do.
#[must_use]
pub fn bound(program: &str) -> Command {
    let mut command = command("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Is `program` installed?
///
/// # Errors
/// [`Error::Missing`] with Debian's package that brings it.
pub fn need(program: &str, package: &str) -> Result<(), Error> {
    let found = command("sh").args(["-c", "command -v -- \"$1\"", "sh", program]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    Err(Error::Missing { what: program.to_owned(), remedy: format!("apt-get install {package}") })
}

/// Runs `program` to its end.
///
/// # Errors
/// [`Error::Tool`] with its last words: it does not exist, or it failed.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<Output, Error> {
    finish(program, command(program).args(arguments).output())
}

/// Turns a failure into an error that has the program's last words.
///
/// # Errors
/// As [`run`].
pub fn finish(program: &str, output: io::Result<Output>) -> Result<Output, Error> {
    let output =
        output.map_err(|error| Error::Tool { program: program.to_owned(), why: error.to_string() })?;
    if output.status.success() {
        return Ok(output);
    }
    let words = [output.stderr.as_slice(), output.stdout.as_slice()].concat();
    let words = String::from_utf8_lossy(&words);
    let last: Vec<&str> = words.lines().rev().take(4).collect();
    let why = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    Err(Error::Tool { program: program.to_owned(), why: format!("{} {why}", output.status) })
}

/// A child that is killed and waited for when this is dropped.
#[derive(Debug)]
pub struct Bound(pub Child);

impl Bound {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error::Tool`]: it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, Error> {
        let name = command.get_args().nth(3).unwrap_or(command.get_program()).to_string_lossy().into_owned();
        command.spawn().map(Self).map_err(|error| Error::Tool { program: name, why: error.to_string() })
    }

    /// Does it still run? For whoever waits for something of it.
    ///
    /// # Errors
    /// [`Error::Tool`] of `name`: it has ended.
    pub fn lives(&mut self, name: &str) -> Result<(), Error> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Tool { program: name.to_owned(), why: status.to_string() }),
            Err(error) => Err(Error::io(name)(error)),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_last_words() {
        let error = run("sh", &["-c", "echo one; echo two >&2; exit 3"]).unwrap_err().to_string();
        assert!(error.starts_with("sh: ") && error.contains("two") && error.contains('3'), "{error}");
    }

    #[test]
    fn what_is_not_installed_names_its_package() {
        need("sh", "dash").unwrap();
        let error = need("no-such-program", "no-such-package").unwrap_err().to_string();
        assert!(error.contains("apt-get install no-such-package"), "{error}");
    }
}
