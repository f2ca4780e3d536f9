//! What of this machine somebody else had. An emulator that was kept waiting makes its guest late, and such a guest proves nothing.
//!
//! In:  the kernel's counts, seen from a process namespace of our own (`namespace.rs`): whoever is in it is ours. Out: of two looks, what others
//! took of all processors, a hypervisor included.
//!
//! What our own guest, its neighbours and pumps fight for is theirs: only others make a test void.
//!
//! Source: proc_stat(5), proc_pid_stat(5).

use std::fs;

use crate::error::Error;

/// More than this of all processors for others, and what was late says nothing: a guest that keeps both of two processors busy lacks a fifth.
/// What the kernel does on its own account (disks, interrupts) is counted as others', and is a twentieth.
pub const BUSY_PERMILLE: u64 = 200;

/// What was counted until now, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    all: u64,
    idle: u64,
    ours: u64,
}

impl Ticks {
    /// Looks.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no `/proc`.
    pub fn now() -> Result<Self, Error> {
        let read = |path: &str| fs::read_to_string(path).map_err(Error::io(path));
        let (all, idle) = machine(&read("/proc/stat")?);
        let processes = fs::read_dir("/proc").map_err(Error::io("/proc"))?;
        // What ends meanwhile is counted by whoever waits for it.
        let stats = processes.flatten().filter_map(|one| fs::read_to_string(one.path().join("stat")).ok());
        Ok(Self { all, idle, ours: stats.filter_map(|text| process(&text)).sum() })
    }

    /// What others had since `before` of all processors, in thousandths.
    #[must_use]
    pub fn others_permille(&self, before: &Self) -> u64 {
        let since = |of: fn(&Self) -> u64| of(self).saturating_sub(of(before));
        let others = since(|ticks| ticks.all).saturating_sub(since(|ticks| ticks.idle));
        let others = others.saturating_sub(since(|ticks| ticks.ours));
        (others * 1_000).checked_div(since(|ticks| ticks.all)).unwrap_or(0)
    }
}

/// Of all processors together: all ticks, and those in which nobody wanted them. A guest's time is in `user` already.
fn machine(text: &str) -> (u64, u64) {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).take(8).collect();
    (ticks.iter().sum(), ticks.iter().skip(3).take(2).sum())
}

/// Of one process and of those that it has waited for: `utime`, `stime`, `cutime`, `cstime`.
fn process(text: &str) -> Option<u64> {
    // Its name stands in brackets, and may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
    (ticks.len() == 4).then(|| ticks.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::{Ticks, machine, process};

    #[test]
    fn lines_of_the_kernel_are_read() {
        let text = "cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(machine(text), (621, 450));
        let text = "42 (a ) b) S 1 42 42 0 -1 4194560 900 0 3 0 11 12 13 14 20 0 1 0 5 6 7";
        assert_eq!(process(text), Some(50));
        assert_eq!(process("42 (cut"), None);
    }

    #[test]
    fn others_are_what_is_neither_idle_nor_ours() {
        let before = Ticks { all: 1_000, idle: 500, ours: 100 };
        let after = Ticks { all: 2_000, idle: 900, ours: 400 };
        assert_eq!(after.others_permille(&before), 300);
        assert_eq!(before.others_permille(&before), 0);
        let counted_late = Ticks { ours: 2_000, ..after };
        assert_eq!(counted_late.others_permille(&before), 0);
    }

    #[test]
    fn this_machine_counts() {
        let now = Ticks::now().unwrap();
        assert!(now.all > now.idle && now.ours > 0);
    }
}
