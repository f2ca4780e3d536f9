//! A bench that a room keeps beside its tests, because it needs the room's stage: `src/ROOM/tests/bench….rs`; on this machine, or on the
//! gateway's kernel in a guest.
//!
//! In:  the room, and the variable by which its stage takes the firmware's program. Out: figures.
//!
//! The suite is run with `SHG_BENCH=1` and says `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each; lines `row …` are for a
//! person, and shown. Without the variable, as among all tests, it does one short round and proves that all of it works.

use std::path::Path;
use std::time::Duration;

use crate::bench::{Figure, Goal};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::room_guest::{RoomGuest, firmware};
use crate::{house, tool};

/// How long one may take in a guest: the longest measures eleven rounds of four streams.
const GUEST_LIMIT: Duration = Duration::from_secs(900);

/// Runs the bench of `room` in its file `tests/FILE.rs`, on this machine.
///
/// # Errors
/// [`Error::Missing`]: the firmware is not built, or it cannot run here. [`Error::Tool`]: it failed, with its last words.
pub fn run(room: &str, file: &str, variable: &str) -> Result<Vec<Figure>, Error> {
    measure((room, file), &[], &[(variable, &firmware(room)?)])
}

/// Runs the bench of `room`, a library that is built for this machine as it is for the gateway's: with the optimiser.
///
/// # Errors
/// As [`run`].
pub fn run_library(room: &str) -> Result<Vec<Figure>, Error> {
    measure((room, "bench"), &["--release"], &[])
}

/// What a sandbox costs `hello`: `src/sandbox/tests/cost.rs`, with the program built for this machine.
///
/// # Errors
/// As [`run`].
pub fn run_cost() -> Result<Vec<Figure>, Error> {
    const RELEASE: &[&str] = &["--release"];
    let mut command = tool::command("cargo");
    command.current_dir(house::top()).args(["build", "-q", "--locked", "-p", "hello"]).args(RELEASE);
    tool::finish("cargo build -p hello", command.output())?;
    let program = house::top().join("target/release/hello");
    measure(("sandbox", "cost"), RELEASE, &[("SHG_HELLO", &program)])
}

fn measure(
    (room, file): (&str, &str),
    how: &[&str],
    variables: &[(&str, &Path)],
) -> Result<Vec<Figure>, Error> {
    let mut command = tool::command("cargo");
    command.current_dir(house::top()).env("SHG_BENCH", "1").envs(variables.iter().copied());
    command.args(["test", "-q", "--locked"]).args(how);
    command.args(["-p", room, "--test", file, "--", "--nocapture"]);
    let output = tool::finish(&format!("cargo test --test {file}"), command.output())?;
    figures(&String::from_utf8_lossy(&output.stdout), "")
}

/// As [`run`], in a guest: the suite is built for the gateway, and runs on its kernel, beside Debian's programs and this one of the firmware's.
/// Figures' names end with `_guest`.
///
/// # Errors
/// As [`run`].
pub fn run_in_guest(
    kernel: Kernel,
    suite: (&str, &str),
    program: &str,
    variable: &str,
) -> Result<Vec<Figure>, Error> {
    let mut guest = RoomGuest::boot(kernel, &[suite], &[program])?;
    let variables = format!("SHG_BENCH=1 {variable}=/sbin/{program}");
    let outcome = guest.run(suite, "", &variables, GUEST_LIMIT)?;
    if outcome.passed {
        return figures(&outcome.said, "_guest");
    }
    Err(Error::Tool { program: format!("{} in the guest", suite.1), why: outcome.said })
}

/// Reads what a suite said; figures' names get this end.
fn figures(text: &str, end: &str) -> Result<Vec<Figure>, Error> {
    // What ran in namespaces of its own is told again behind this mark.
    let lines = || text.lines().map(|line| line.strip_prefix("| ").unwrap_or(line));
    for row in lines().filter_map(|line| line.strip_prefix("row ")) {
        eprintln!("»   {row}");
    }
    if let Some(why) = lines().find_map(|line| line.strip_prefix("skipped: ")) {
        return Err(Error::Missing { what: why.to_owned(), remedy: "make test-packages".to_owned() });
    }
    let named = |figure: Figure| Figure { name: format!("{}{end}", figure.name), ..figure };
    Ok(lines().filter_map(figure).map(named).collect())
}

/// Reads one line.
fn figure(line: &str) -> Option<Figure> {
    let mut words = line.strip_prefix("figure ")?.split_whitespace();
    let name = words.next()?.to_owned();
    let (ours, peer) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (side, permille) = (words.next()?, words.next()?.parse().ok()?);
    let goal = match side {
        "at_least" => Goal::AtLeast(permille),
        "at_most" => Goal::AtMost(permille),
        _ => return None,
    };
    Some(Figure { name, ours, peer, goal })
}

#[cfg(test)]
mod tests {
    use super::figure;
    use crate::bench::{Figure, Goal};

    #[test]
    fn a_line_is_a_figure_or_not() {
        let wanted = Figure { name: "x_ms".to_owned(), ours: 7, peer: 9, goal: Goal::AtLeast(1000) };
        assert_eq!(figure("figure x_ms 7 9 at_least 1000"), Some(wanted));
        for line in ["", "figure x_ms 7 9", "figure x_ms 7 9 about 1000", "test x_ms ... ok"] {
            assert_eq!(figure(line), None, "{line}");
        }
    }
}
