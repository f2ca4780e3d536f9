//! A tenant for tests: what a hostile service tries, one attack a run.
//!
//! In:  the name of an attack. Out: whether it got through. Or a report of what the sandbox looks like from inside (`report.rs`).
//!
//! Only the rehearsal root has it. Every attack is harmless where it gets through: it opens and closes, sets what is set already, or ends
//! with its process. It says `unsafe` for calls that nobody wraps because nobody should make them; all of it is in `call.rs`.
//!
//! Not here: which layers stand in the way (tests/tests/attacks.rs).
//!
//! Source: docs/security.md has the table; the manual page that each attack names.

mod attacks;
mod call;
mod report;

use std::fmt;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

pub use report::report;

/// How an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing stood in its way.
    Through,
    /// The kernel said no.
    Denied(Errno),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through => f.write_str("through"),
            Self::Denied(errno) => write!(f, "denied {errno:?}"),
        }
    }
}

/// Tries the attack of this name, at the process with this number if it is one at somebody; `None`: there is none.
#[must_use]
pub fn attack(name: &str, at: Option<i32>) -> Option<Outcome> {
    let tried = match at {
        None => attacks::ALL.iter().find(|(known, _)| *known == name)?.1(),
        Some(pid) => attacks::AIMED.iter().find(|(known, _)| *known == name)?.1(Pid::from_raw(pid)),
    };
    Some(match tried {
        Ok(()) => Outcome::Through,
        Err(errno) => Outcome::Denied(errno),
    })
}

/// Hears no signal any more that can be blocked.
///
/// # Errors
/// What the kernel says.
pub fn be_deaf() -> Result<(), Errno> {
    SigSet::all().thread_block()
}

/// Does nothing until it is ended.
pub fn wait() -> ! {
    call::waits_for_ever()
}

/// The names of all attacks.
pub fn names() -> impl Iterator<Item = &'static str> {
    attacks::ALL.iter().map(|(name, _)| *name).chain(attacks::AIMED.iter().map(|(name, _)| *name))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = super::names().collect();
        assert_eq!(names.len(), super::names().count());
        assert_eq!(super::attack("no-such-attack", None), None);
        assert_eq!(super::attack("no-such-attack", Some(1)), None);
    }
}
