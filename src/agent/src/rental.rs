//! One operation on a slice, from the order to its end: a pure machine that survives a crash of ours or of the supervisor.
//!
//! In:  what has happened to it. Out: what is to be done, and its end, once.
//!
//! ```text
//! Waiting ── room ──▶ Asked ── done, refused ──▶ ended
//!    after a crash      │ gone        ▲
//!         └──────────▶ Lost ── room ──┘ (again)
//! ```
//! Before the supervisor is asked the operation is on the disk. It answers when the slice is on the disk, too, or is as it was; who does not hear
//! that asks again for the same: what is so already is done. Only a slice that is gone cannot be given back again: then it is looked whether it is
//! there.
//!
//! Once it was asked it cannot be taken back: it ends as it ends.
//!
//! Not here: wires (`rooms.rs`), what controllers are told (`room/rental.rs`), units (`job.rs`).
//!
//! Source: docs/decisions/0135-a-slice-is-kept.md.

use contract::Name;
use contract::slice::Slice;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod world;

/// What is to become of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// It is rented, or has this size; and services in it may have these roles (`None`: those that they may).
    Rent(Slice, Option<Vec<String>>),
    /// It is given back.
    Release(Name),
}

impl Wish {
    /// Which slice.
    #[must_use]
    pub fn slice(&self) -> &Name {
        match self {
            Self::Rent(slice, _) => &slice.name,
            Self::Release(name) => name,
        }
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// It was not asked yet.
    Waiting,
    /// It was asked; and perhaps before, too.
    Asked {
        /// It was.
        again: bool,
    },
    /// Who had asked is gone, or the supervisor is. From the disk every one comes so.
    #[default]
    Lost,
}

/// What has happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The supervisor can be asked.
    Room,
    /// It has done it.
    Done,
    /// It has not.
    Refused {
        /// The slice is among those that are rented.
        is_there: bool,
    },
    /// The connection is gone.
    Gone,
    /// A controller takes it back.
    Cancel,
    /// It takes too long.
    Late,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Rest,
    /// Ask for it.
    Ask,
    /// It has ended: tell it, and forget it.
    End(End),
}

/// How it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Good,
    /// The supervisor has refused it.
    Refused,
    /// It was canceled before it was asked.
    Canceled,
    /// It took too long.
    Late,
}

/// What follows `event` in `phase` of an operation; `releases`: it gives a slice back.
#[must_use]
pub fn next(releases: bool, phase: Phase, event: Event) -> (Phase, Act) {
    use {Act as A, Event as E, Phase as P};
    match (phase, event) {
        (P::Waiting, E::Room) => (P::Asked { again: false }, A::Ask),
        (P::Lost, E::Room) => (P::Asked { again: true }, A::Ask),
        (P::Asked { .. }, E::Done) => (phase, A::End(End::Good)),
        (P::Asked { again: true }, E::Refused { is_there: false }) if releases => (phase, A::End(End::Good)),
        (P::Asked { .. }, E::Refused { .. }) => (phase, A::End(End::Refused)),
        (P::Asked { .. }, E::Gone) => (P::Lost, A::Rest),
        (P::Waiting, E::Cancel) => (phase, A::End(End::Canceled)),
        (P::Waiting | P::Asked { .. } | P::Lost, E::Late) => (phase, A::End(End::Late)),
        (P::Asked { .. }, E::Room | E::Cancel)
        | (P::Lost, E::Cancel)
        | (P::Waiting | P::Lost, E::Done | E::Refused { .. } | E::Gone) => (phase, A::Rest),
    }
}
