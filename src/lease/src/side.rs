//! What hangs in the loop: one protocol on one link.
//!
//! A side has its sockets and its state; it never waits. The loop (`room.rs`) waits for all of them together, tells each what the kernel
//! says about links, gives each its turn, passes on to `network` what it learned, and shows its rows to `ctl`.
//!
//! Not here: which sides a play has (`play.rs`), which a network at home has (`home.rs`).

use std::os::fd::BorrowedFd;

use contract::learn::Learned;
use contract::leases::Answer;
use contract::limit::FRAME_DESCRIPTORS;
use contract::resolve::Local;
use heapless::Vec;

use crate::link::News;

/// Descriptors that one side waits for at a time, or gives away with what it learned.
pub const SIDE_DESCRIPTORS: usize = 4;
const _: () = assert!(SIDE_DESCRIPTORS <= FRAME_DESCRIPTORS);

/// What a side waits for: all of them until they can be read.
pub type Waits<'s> = Vec<BorrowedFd<'s>, SIDE_DESCRIPTORS>;

/// One protocol on one link.
pub trait Side: std::fmt::Debug {
    /// What it waits for.
    fn descriptors(&self) -> Waits<'_>;

    /// When it has something to do, in milliseconds after boot. `None`: never.
    fn due_ms(&self) -> Option<u64>;

    /// Takes news of links in.
    fn hear(&mut self, news: &News, now_ms: u64);

    /// Hears what came, a bounded number of packets of each socket, and does what is due.
    fn turn(&mut self, now_ms: u64);

    /// Is there something new for `network` since this was last asked?
    fn take_news(&mut self) -> bool {
        false
    }

    /// All that `network` has to know of it. `None`: nothing in this life, so what an earlier one has told still stands.
    fn learned(&self, _now_ms: u64) -> Option<Learned> {
        None
    }

    /// Descriptors that go with what it learned: at most as many as a frame may carry.
    fn gifts(&self) -> Waits<'_> {
        Waits::new()
    }

    /// Have its hosts' names changed since this was last asked?
    fn take_names(&mut self, _now_ms: u64) -> bool {
        false
    }

    /// Shows every name of a host to `see`.
    fn names(&self, _now_ms: u64, _see: &mut dyn FnMut(Local)) {}

    /// The first of its rows for `ctl` whose place is `from` or later, and that place. Places are its own; a row keeps its place.
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)>;
}

/// The descriptors in `sockets`, as [`Side::descriptors`] wants them; no more than it may have.
pub fn waits<'s>(sockets: impl IntoIterator<Item = BorrowedFd<'s>>) -> Waits<'s> {
    sockets.into_iter().take(SIDE_DESCRIPTORS).collect()
}
