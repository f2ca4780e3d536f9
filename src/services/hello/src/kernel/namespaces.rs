//! Namespaces: which ones this process is in.
//!
//! In:  the links in `/proc/self/ns`. Out: a number for each, and whether it is the machine's first one where that can be told.
//!
//! Source: namespaces(7); the numbers of the first ones are in the kernel's include/linux/proc_ns.h.

use std::fs;

use super::{Hidden, Seen};

/// A kind of namespace: its file, what it separates, the number of the machine's first one where that is fixed.
pub type Kind = (&'static str, &'static str, Option<u64>);

/// Every kind.
pub const KINDS: [Kind; 8] = [
    ("user", "users and rights", Some(0xEFFF_FFFD)),
    ("pid", "processes", Some(0xEFFF_FFFC)),
    ("mnt", "files", None),
    ("net", "network", None),
    ("uts", "host name", Some(0xEFFF_FFFE)),
    ("ipc", "shared memory, queues", Some(0xEFFF_FFFF)),
    ("cgroup", "resource groups", Some(0xEFFF_FFFB)),
    ("time", "boot clock", Some(0xEFFF_FFFA)),
];

/// A namespace that this process is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub number: Seen<u64>,
}

impl Namespace {
    /// Is it another one than the machine's first? `None`: that cannot be told from inside.
    #[must_use]
    pub fn is_own(&self) -> Option<bool> {
        let (_, _, first) = self.kind;
        Some(self.number.ok()? != first?)
    }
}

/// All that this process is in.
#[must_use]
pub fn all() -> Vec<Namespace> {
    let number = |file: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{file}"))?;
        parse(file, &link.to_string_lossy())
    };
    KINDS.into_iter().map(|kind| Namespace { kind, number: number(kind.0) }).collect()
}

/// Reads the target of a link: `user:[4026531837]`.
///
/// # Errors
/// [`Hidden::Unclear`]: it is none of that kind.
pub fn parse(file: &str, link: &str) -> Seen<u64> {
    let number = link.strip_prefix(file).and_then(|rest| rest.strip_prefix(":[")?.strip_suffix(']'));
    number.and_then(|number| number.parse().ok()).ok_or(Hidden::Unclear)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, Namespace, parse};
    use crate::kernel::Hidden;

    #[test]
    fn a_link_is_a_number() {
        for (what, file, link, want) in [
            ("first", "user", "user:[4026531837]", Ok(0xEFFF_FFFD)),
            ("other kind", "user", "pid:[4026531836]", Err(Hidden::Unclear)),
            ("no number", "user", "user:[]", Err(Hidden::Unclear)),
            ("something else", "user", "/etc/passwd", Err(Hidden::Unclear)),
        ] {
            assert_eq!(parse(file, link), want, "{what}");
        }
    }

    #[test]
    fn only_what_can_be_told_is_told() {
        let [user, _, mount, ..] = KINDS;
        for (what, kind, number, want) in [
            ("the machine's", user, Ok(0xEFFF_FFFD), Some(false)),
            ("its own", user, Ok(0xF000_0123), Some(true)),
            ("not seen", user, Err(Hidden::Unclear), None),
            ("no fixed number", mount, Ok(0xF000_0000), None),
        ] {
            assert_eq!(Namespace { kind, number }.is_own(), want, "{what}");
        }
    }
}
