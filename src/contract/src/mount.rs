//! The wire `mount`: supervisor → storage, and ctl → storage for the disk's state.
//!
//! One [`Ask`] a frame, one [`Answer`] a frame, in order.

use serde::{Deserialize, Serialize};

use crate::limit::{NAME_BYTES, PATH_BYTES, REASON_BYTES};
use crate::name::{Name, Text};

/// Where sealed images lie in the root.
pub const ROOT_IMAGES: &str = "/usr/lib/shg/services";

/// The folder of volumes, at the data disk's top. Others may pass through it, and see nothing.
pub const VOLUMES: &str = "services";

/// The folder of a service's volume, below [`VOLUMES`]: another provider's service of this name has another one.
#[must_use]
pub fn volume_folder(service: &Name, provider: &Name) -> Text<{ 2 * NAME_BYTES + 1 }> {
    Text::format(format_args!("{service}.{provider}"))
}

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
    /// From now on an [`Answer::Damaged`] comes by itself whenever the kernel has read of a bundle's image what was not signed; first one
    /// for each image of which it has by now. This connection is asked nothing more.
    Watch,
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
    /// What lies on the disk in place of this image (its SHA-256) is not what was signed: who reads there is refused.
    Damaged {
        /// Which image.
        image: [u8; 32],
        /// What of it.
        damage: Damage,
    },
}

/// What of an image is not what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Damage {
    /// This block (of 4096 bytes) of the file system.
    Data(u64),
    /// This block of the file, which is of the tree of hashes: what it speaks of cannot be read.
    Tree(u64),
    /// Some block: nobody listened when it was read.
    Somewhere,
}

impl Damage {
    /// The word for what is damaged, and the block.
    #[must_use]
    pub fn words(self) -> (&'static str, Option<u64>) {
        match self {
            Self::Data(block) => ("data", Some(block)),
            Self::Tree(block) => ("tree", Some(block)),
            Self::Somewhere => ("somewhere", None),
        }
    }
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
