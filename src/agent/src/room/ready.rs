//! What a turn is for: descriptors that have something, and the time.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// What a turn is for.
pub(super) struct Ready {
    pub(super) descriptors: Vec<RawFd>,
    pub(super) now_ms: u64,
}

impl Ready {
    pub(super) fn has(&self, one: BorrowedFd<'_>) -> bool {
        self.descriptors.contains(&one.as_raw_fd())
    }

    /// One of them has something, or its time has come.
    pub(super) fn any<'d>(&self, mut all: impl Iterator<Item = BorrowedFd<'d>>, due_ms: Option<u64>) -> bool {
        due_ms.is_some_and(|due_ms| due_ms <= self.now_ms) || all.any(|one| self.has(one))
    }
}
