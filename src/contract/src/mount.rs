//! The wire `mount`: supervisor → storage, and ctl → storage for the disk's state.
//!
//! One [`Ask`] a frame, one [`Answer`] a frame, in order.

use serde::{Deserialize, Serialize};

use crate::limit::{PATH_BYTES, REASON_BYTES};
use crate::name::{Name, Text};

/// Where sealed images lie in the root.
pub const ROOT_IMAGES: &str = "/usr/lib/shg/services";

/// What may be asked of storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Mount a sealed image for a service, detached, its owner 0 shown as `uid_base`.
    Mount {
        /// For whom.
        service: Name,
        /// Which image.
        image: Image,
        /// The first uid (and gid) of the service's range.
        uid_base: u32,
        /// How many there are.
        uid_count: u32,
    },
    /// The service was taken away: its image is not needed any more, and what its volume has not filled is promised no more.
    Release {
        /// Whose.
        service: Name,
    },
    /// Open the service's volume, made if it is not there: a folder on the data disk that it may write to, detached, its owner 0 shown as
    /// `uid_base`. The limits count from now on, and are promised: refused is what the disk has no room for beside the other volumes.
    Volume {
        /// Whose.
        service: Name,
        /// Who rents the slice that it runs in: another's service of this name has another volume.
        provider: Name,
        /// The first uid (and gid) of the service's range.
        uid_base: u32,
        /// How many there are.
        uid_count: u32,
        /// What may be in it, in bytes.
        bytes: u64,
        /// Files, folders and links that may be in it.
        inodes: u64,
    },
    /// The service's volume goes, and all that is in it.
    Drop {
        /// Whose.
        service: Name,
        /// And whose service that was.
        provider: Name,
    },
    /// The data disk's state.
    Disk,
    /// Let go of every disk: the machine ends.
    Finish,
}

/// Where a sealed image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Image {
    /// In the root: the file's name under [`ROOT_IMAGES`]. The root is believed.
    Root(Text<PATH_BYTES>),
    /// On the data disk, by its SHA-256. The service's signed statement is read beside it, and names the root hash: nothing else is mounted.
    Bundle([u8; 32]),
}

/// What storage answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Mounted; the frame carries the mount's descriptor.
    Mounted,
    /// Done.
    Done,
    /// The data disk's state.
    Disk(Disk),
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}

/// The data disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is in its life.
    pub state: DiskState,
    /// Its device, such as `sda1`; empty where there is none.
    pub device: Text<32>,
    /// All of it, in bytes.
    pub size_bytes: u64,
    /// What is free, in bytes.
    pub free_bytes: u64,
    /// What of it can be promised to volumes, in bytes; 0: it keeps no account of them.
    pub volumes_bytes: u64,
    /// What of that is promised, in bytes.
    pub promised_bytes: u64,
    /// Why it is as it is, where that needs a word.
    pub reason: Text<REASON_BYTES>,
}

/// Where the data disk is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskState {
    /// None was found (yet).
    Absent,
    /// Mounted at `/data`.
    Mounted,
    /// It is there and cannot be used.
    Broken,
}
