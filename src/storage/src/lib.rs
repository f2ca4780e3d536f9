//! The data disk; sealed images as detached, idmapped mounts.
//!
//! In:  the wire `mount`, the kernel's events about block devices, file systems' superblocks, records of bundles.
//! Out: a data disk at [`DATA`], whenever there is one, and its seed in the kernel's pool of entropy; for each service a mount of its
//! image that is its own.
//!
//! It is the only daemon with rights over block devices and file systems. No service and no daemon waits for a disk: without one
//! everything else goes on.
//!
//! Not here: what a service is (`supervisor`), where its root goes (`sandbox`), how a bundle comes onto the disk (`package`).
//!
//! Source: the kernel's Documentation/filesystems (ext4, erofs); loop(4), mount_setattr(2).
#![forbid(unsafe_code)]

pub mod erofs;
pub mod ext4;
pub mod uevent;

pub mod block;
pub mod disk;
pub mod folders;
pub mod queue;
pub mod seed;
pub mod volume;

pub mod installed;
pub mod keys;
pub mod plain;

pub mod folder;
pub mod image;
pub mod owner;
pub mod services;
pub mod shelf;
pub mod verity;

pub mod damage;

pub mod server;

use std::fmt;

use contract::Name;
use contract::limit::SERVICES;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use sys::Errno;

/// Where the data disk is mounted.
pub const DATA: &str = "/data";
/// The label of a data disk: what makes a file system ours. At most 16 bytes, as ext4 has them.
pub const DATA_LABEL: &[u8] = b"SHG-DATA";
/// Where the root's public key and its list of keys are.
pub const KEYS: &str = "/etc/shg/keys";
/// The largest sealed image, in bytes: a quarter of the machine's memory, more than any service of the portfolio.
pub const IMAGE_BYTES_MAX: u64 = 256 << 20;
/// Images that are open at a time, each behind one loop device: one for each service, and the next one of a service that is updated.
pub const IMAGES_MAX: usize = SERVICES + 1;
/// Clients at a time: the supervisor's last life and its next, and a few `ctl`.
pub const CLIENTS_MAX: usize = 8;

const _: () = assert!(DATA_LABEL.len() <= ext4::LABEL_BYTES);

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// An image's name is not that of a plain file.
    Name {
        /// The name.
        image: String,
    },
    /// The owners that were asked for are not those of a tenant.
    Owners {
        /// The first uid.
        base: u32,
        /// How many.
        count: u32,
    },
    /// An image is none.
    Image {
        /// Its name.
        image: String,
        /// What is wrong with it.
        fault: erofs::Fault,
    },
    /// A bundle is not there, or not believed.
    Bundle {
        /// Whose it is.
        service: Name,
        /// What is wrong with it.
        fault: installed::Fault,
    },
    /// Limits of a volume that are none.
    Limits {
        /// Whose.
        service: Name,
    },
    /// The data disk cannot limit a volume.
    Quota {
        /// Whose.
        service: Name,
    },
    /// The data disk has no room for what the volume should be promised.
    Short {
        /// Whose.
        service: Name,
        /// What is missing, in bytes; 0: files are.
        bytes: u64,
        /// Files that are missing.
        inodes: u64,
    },
    /// More images than we keep open.
    Full {
        /// The one that was not opened.
        image: String,
    },
    /// The system said no.
    System {
        /// What it was about.
        what: String,
        /// What was tried.
        step: &'static str,
        /// The answer.
        errno: Errno,
    },
}

impl Error {
    /// An error of the system, about `what`, in `step`.
    pub(crate) fn system(what: &str, step: &'static str, errno: Errno) -> Self {
        Self::System { what: what.to_owned(), step, errno }
    }
}

/// The number that the system gave, of an error of the standard library.
pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { image } => write!(f, "image {image:?}: not the name of a plain file"),
            Self::Owners { base, count } => write!(
                f,
                "owners {base}+{count}: not a tenant's range ({TENANT_UID_BASE}+n*{TENANT_UID_COUNT})"
            ),
            Self::Image { image, fault } => write!(f, "image {image}: {fault}"),
            Self::Bundle { service, fault } => write!(f, "bundle {service}: {fault}"),
            Self::Limits { service } => {
                write!(f, "volume {service}: it needs a limit for bytes and for files")
            }
            Self::Quota { service } => write!(
                f,
                "volume {service}: the data disk keeps no account of projects; make it with mke2fs -O project,quota"
            ),
            Self::Short { service, bytes: 0, inodes } => {
                write!(f, "volume {service}: the data disk is short of {inodes} files")
            }
            Self::Short { service, bytes, .. } => {
                write!(f, "volume {service}: the data disk is short of {} MiB", bytes.div_ceil(1 << 20))
            }
            Self::Full { image } => write!(f, "image {image}: {IMAGES_MAX} images are open, no more"),
            Self::System { what, step, errno } => write!(f, "{what}: {step}: {}", errno.desc()),
        }
    }
}

impl std::error::Error for Error {}
