//! The wire `installed`: package → supervisor.
//!
//! package connects and says all that is installed, then [`Ask::All`]; what it did not name is gone. From then on it says each change.
//!
//! The rows before the first [`Ask::All`] are not answered: one that does not fit is listed as failed, with its reason, and stays installed.
//! [`Ask::All`] is answered with [`Answer::Done`], and so is, in order, each frame after it, with that or [`Answer::Refused`]; a service that
//! is refused then is not kept.
//!
//! [`Answer::Rented`] and [`Answer::Released`] come at any time after that, and are to be kept on the disk: package is the one with a disk. To each,
//! in order, it says [`Ask::Kept`] once it is on the disk, or [`Ask::NotKept`]; these two are not answered, and may come between an ask and its
//! answer. What was ordered in this boot is said again on each connection, after [`Ask::All`] was answered: only the last word about a slice counts.
//!
//! Whichever dies, the next connection begins with all of it.

use serde::{Deserialize, Serialize};

use crate::limit::REASON_BYTES;
use crate::manifest::Manifest;
use crate::name::{Name, Text};
use crate::packages::Fault;
use crate::slice::Slice;

/// What package says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A slice that was rented before this boot.
    Slice(Slice),
    /// A service whose bundle is installed. One of that name that runs with another image is stopped and started with this one. After
    /// [`Ask::All`], where it is to run, the answer comes when it is ready (and well, where its manifest has a probe); refused with
    /// [`Fault::NotReady`] it has ended, and package says which one is to run.
    Service(Service),
    /// Before [`Ask::All`], where a newer version is being tried, which follows after it: what is there if that does not prove itself. One that is
    /// being tried goes on.
    Before(Service),
    /// That was all of them.
    All,
    /// Stop this service, let go of its image, forget it. Answered when it is gone. Its volume stays.
    Forget(Name),
    /// The volume of a service that was forgotten goes, and all that is in it. Answered when it is gone; that there is none is no error.
    Drop {
        /// Whose.
        service: Name,
        /// And whose service that was.
        provider: Name,
    },
    /// The slice that was rented or released is so on the disk.
    Kept,
    /// It is not: the kind of reason, and in words. The disk may have it as before, or as it was said: what is said next of this slice is written in
    /// any case.
    NotKept(Fault, Text<REASON_BYTES>),
}

/// A service whose bundle is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What it is, needs and may do. Its `autostart` is the one that counts.
    pub manifest: Manifest,
    /// SHA-256 of its sealed image, and so the image's name on the data disk.
    pub image: [u8; 32],
    /// Its version.
    pub version: u64,
}

/// What the supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Done,
    /// Not done: the kind of reason, and in words.
    Refused(Fault, Text<REASON_BYTES>),
    /// By itself: this slice was rented or given another size, and is to be kept on the disk. See [`Ask::Kept`].
    Rented(Slice),
    /// By itself: this slice was given back, and is to be kept no more.
    Released(Name),
}
