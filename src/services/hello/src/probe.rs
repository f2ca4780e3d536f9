//! What is tried in vain: things that a service must not be able to do, asked of the kernel in earnest, with its answers.
//!
//! In:  nothing. Out: an error number for each try, or that it got through.
//!
//! A child of its own tries, so that whatever a try did would end with it: a namespace that it made, a process that was ended for
//! asking. Each try is harmless even where it gets through: it opens and closes, sets what is set already, or undoes what it did.
//!
//! Not here: whether that is good or bad (`page`).
//!
//! Source: the manual page that each try names.

mod tries;

use std::io::{self, Write};
use std::process::{Command, Stdio};

use nix::errno::Errno;

use crate::kernel::{Hidden, Seen};

/// The word that makes this program try, instead of serve.
pub const WORD: &str = "try";

/// What a try is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its own files, and those of others.
    Files,
    /// Processes, rights and limits.
    Processes,
    /// The wire and its settings.
    Network,
    /// The kernel itself.
    Machine,
}

/// A try.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// What it is aimed at.
    pub field: Field,
    /// What was tried, in words.
    pub what: &'static str,
    /// How: the call, and on what.
    pub call: &'static str,
    run: fn() -> Result<(), Errno>,
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing stood in its way.
    Through,
    /// The kernel's answer.
    Refused(Errno),
    /// No answer: the process that asked was ended, at this try or before.
    Ended,
}

/// A try and how it ended.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The try.
    pub tried: &'static Try,
    /// How it ended.
    pub outcome: Outcome,
}

/// Lets a child try everything.
///
/// # Errors
/// [`Hidden`]: there can be no child.
pub fn ask_a_child() -> Seen<Vec<Answer>> {
    let own = std::env::current_exe()?;
    let child = Command::new(own).arg(WORD).env_clear().stdin(Stdio::null()).stderr(Stdio::null()).output();
    Ok(parse(&String::from_utf8_lossy(&child.map_err(Hidden::from)?.stdout)))
}

/// Tries everything, in order, and says each answer as one number: 0 for what got through. This is what the child does.
///
/// # Errors
/// Whoever listened is gone.
pub fn try_all(out: &mut impl Write) -> io::Result<()> {
    for attempt in &tries::ALL {
        let number = match (attempt.run)() {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        };
        // At once, so that a try that ends the process does not take the earlier answers with it.
        writeln!(out, "{number}")?;
        out.flush()?;
    }
    Ok(())
}

fn parse(text: &str) -> Vec<Answer> {
    let mut numbers = text.lines().map(|line| line.parse::<i32>().ok());
    let outcome = |number| match number {
        Some(0) => Outcome::Through,
        Some(number) => Outcome::Refused(Errno::from_raw(number)),
        None => Outcome::Ended,
    };
    tries::ALL.iter().map(|tried| Answer { tried, outcome: outcome(numbers.next().flatten()) }).collect()
}

/// As if every try had ended the child.
#[cfg(test)]
pub(crate) fn ask_nobody() -> Vec<Answer> {
    parse("")
}

#[cfg(test)]
mod tests {
    use super::{Outcome, parse, tries, try_all};
    use nix::errno::Errno;

    #[test]
    fn answers_are_understood_and_missing_ones_told() {
        let answers = parse("1\n0\n2\n");
        let outcomes: Vec<Outcome> = answers.iter().map(|answer| answer.outcome).collect();
        let first = [Outcome::Refused(Errno::EPERM), Outcome::Through, Outcome::Refused(Errno::ENOENT)];
        assert_eq!(outcomes[..3], first);
        assert!(outcomes[3..].iter().all(|outcome| *outcome == Outcome::Ended) && outcomes.len() > 3);
        assert_eq!(answers.len(), tries::ALL.len());
    }

    #[test]
    fn nobody_listens_to_the_end() {
        struct Deaf;
        impl std::io::Write for Deaf {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        // Only the first try is made: a search for a file that this test could as well write.
        assert!(try_all(&mut Deaf).is_err());
    }
}
