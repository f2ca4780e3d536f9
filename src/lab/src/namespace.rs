//! Namespaces of our own: users, mounts, network, processes. Who is inside may do as root does, and touches nothing of the host's.
//!
//! In:  the program that is running. Out: the same program again, inside; it ends with everything that it started.
//!
//! A process with threads cannot enter a user namespace (setns(2), EINVAL), so the program is started again: through setpriv(1), which
//! lets it die with us, and unshare(1), which takes every process of the namespace along.
//!
//! Sources: unshare(1), user_namespaces(7).

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::Error;
use crate::tool;

/// Set inside.
const INSIDE: &str = "SHG_LAB_INSIDE";

/// Are we inside?
#[must_use]
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this program again inside, with `arguments`.
///
/// # Errors
/// [`Error::Missing`]: this machine does not let us make namespaces. [`Error::Tool`]: unshare(1) cannot be started.
pub fn again(arguments: &[OsString]) -> Result<ExitStatus, Error> {
    let mut command = inside_command(arguments)?;
    command.status().map_err(not_started)
}

fn not_started(error: std::io::Error) -> Error {
    Error::Tool { program: "unshare".to_owned(), why: error.to_string() }
}

/// This program with `arguments`, to be run inside.
fn inside_command(arguments: &[OsString]) -> Result<Command, Error> {
    const UNSHARE: [&str; 8] =
        ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    tool::need("unshare", "util-linux")?;
    let mut trial = tool::command("unshare");
    let refused = |why: String| Error::Missing {
        what: "namespaces of our own".to_owned(),
        remedy: format!("user namespaces for everybody, or root: {why}"),
    };
    let trial = tool::finish("unshare", trial.args(UNSHARE).arg("true").output());
    trial.map_err(|error| refused(error.to_string()))?;
    let program = env::current_exe().map_err(Error::io("this program"))?;
    let mut command = tool::bound("unshare");
    command.args(UNSHARE).arg("--").arg(program).args(arguments).env(INSIDE, "1");
    Ok(command)
}

/// Says again what the test inside said: marked, so that nobody counts it as a test of its own; but why it was skipped counts.
fn retell(text: &str) {
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("skipped") { println!("{line}") } else { println!("| {line}") }
    }
}

/// For a test that needs to be inside: runs the test `name` (its full name in this binary) again there.
///
/// `Some` means that we are inside and the test goes on; `None`, that it has run there and held, or could not run and said so.
///
/// # Errors
/// [`Error::Short`]: it failed inside; its output stands above.
pub fn enter(name: &str) -> Result<Option<()>, Error> {
    enter_with(name, &[])
}

/// As [`enter`], with more variables in the environment.
///
/// `--quiet`: else what a test says first stands behind its name, on one line, and no reason would begin with `skipped`.
///
/// # Errors
/// As [`enter`].
pub fn enter_with(name: &str, variables: &[(&str, &str)]) -> Result<Option<()>, Error> {
    if inside() {
        return Ok(Some(()));
    }
    let arguments = ["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored", "--quiet"]
        .map(OsString::from);
    let outcome = inside_command(&arguments).and_then(|mut command| {
        command.envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(not_started)
    });
    match outcome {
        Ok(output) => {
            for text in [&output.stdout, &output.stderr] {
                retell(&String::from_utf8_lossy(text));
            }
            let failed = Error::Short { what: "the test inside its namespaces", count: 1 };
            if output.status.success() { Ok(None) } else { Err(failed) }
        }
        Err(why @ Error::Missing { .. }) => {
            println!("skipped: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reason that only the other test is to hear.
    #[test]
    #[ignore = "another test runs it"]
    fn is_skipped_inside() {
        if enter("namespace::tests::is_skipped_inside").unwrap().is_some() {
            println!("skipped: for trial");
        }
    }

    #[test]
    fn a_reason_that_is_said_first_inside_is_a_line_outside() {
        let mut command = Command::new(env::current_exe().unwrap());
        let words = ["namespace::tests::is_skipped_inside", "--exact", "--ignored", "--nocapture", "--quiet"];
        let output = command.args(words).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let is_reason = |line: &str| {
            line.starts_with("skipped: for trial") || line.starts_with("skipped: namespaces of our own")
        };
        let here = said.lines().any(is_reason);
        assert!(output.status.success() && here, "{said}");
    }
}
