//! A bench that a room keeps beside its tests, because it needs the room's stage: `src/ROOM/tests/bench.rs`.
//!
//! In:  the room, and the variable by which its stage takes the firmware's program. Out: figures.
//!
//! The suite is run with `SHG_BENCH=1` and says `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each; lines `row …` are for a
//! person, and shown. Without the variable, as among all tests, it does one short round and proves that all of it works.

use std::path::Path;

use crate::bench::{Figure, Goal};
use crate::error::Error;
use crate::{house, tool};

/// Runs the bench of `room`.
///
/// # Errors
/// [`Error::Missing`]: the firmware is not built, or it cannot run here. [`Error::Tool`]: it failed, with its last words.
pub fn run(room: &str, variable: &str) -> Result<Vec<Figure>, Error> {
    let program = house::firmware().join(room);
    need(&program)?;
    measure(room, &[], &[(variable, &program)])
}

/// Runs the bench of `room`, a library that is built for this machine as it is for the gateway's: with the optimiser.
///
/// # Errors
/// As [`run`].
pub fn run_library(room: &str) -> Result<Vec<Figure>, Error> {
    measure(room, &["--release"], &[])
}

fn measure(room: &str, how: &[&str], variables: &[(&str, &Path)]) -> Result<Vec<Figure>, Error> {
    let mut command = tool::command("cargo");
    command.current_dir(house::top()).env("SHG_BENCH", "1").envs(variables.iter().copied());
    command.args(["test", "-q", "--locked"]).args(how);
    command.args(["-p", room, "--test", "bench", "--", "--nocapture"]);
    let output = tool::finish("cargo test --test bench", command.output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // What ran in namespaces of its own is told again behind this mark.
    let lines = || text.lines().map(|line| line.strip_prefix("| ").unwrap_or(line));
    for row in lines().filter_map(|line| line.strip_prefix("row ")) {
        eprintln!("»   {row}");
    }
    if let Some(why) = lines().find_map(|line| line.strip_prefix("skipped: ")) {
        return Err(Error::Missing { what: why.to_owned(), remedy: "make test-packages".to_owned() });
    }
    Ok(lines().filter_map(figure).collect())
}

fn need(program: &Path) -> Result<(), Error> {
    if program.exists() {
        return Ok(());
    }
    Err(Error::Missing { what: program.display().to_string(), remedy: "make firmware".to_owned() })
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
