//! How often the old was there after a cut, and how often the new: by what was cut, and when.

use std::fmt;

/// What the mains are cut under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Install,
    Update,
    Remove,
    /// The stick is found, its journal replayed, and what is on it read.
    Recover,
}

impl Work {
    const ALL: [Self; 4] = [Self::Install, Self::Update, Self::Remove, Self::Recover];

    /// What comes next where `version` is installed.
    pub(crate) fn next(version: u64) -> Self {
        match version {
            0 => Self::Install,
            1 => Self::Update,
            _ => Self::Remove,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Remove => "remove",
            Self::Recover => "recover",
        }
    }
}

/// Tenths of the time that the work lasts; it may last longer than was thought.
pub(crate) const TENTHS: usize = 15;

/// Cuts at one tenth.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    old: u32,
    new: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Tally([[Count; TENTHS]; 4]);

impl Tally {
    pub(crate) fn add(&mut self, work: Work, tenth: usize, is_new: bool) {
        let count = &mut self.0[work as usize][tenth.min(TENTHS - 1)];
        if is_new { count.new += 1 } else { count.old += 1 }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cuts, the old is there/the new is there, by tenths of what it lasts")?;
        for work in Work::ALL {
            let row = &self.0[work as usize];
            let sum = |of: fn(&Count) -> u32| row.iter().map(of).sum::<u32>();
            let (old, new) = (sum(|count| count.old), sum(|count| count.new));
            write!(f, "{:8} {old:3}/{new:<3}:", work.word())?;
            for count in row {
                write!(f, " {}/{}", count.old, count.new)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
