//! Bundles: fetched from registries, verified before they count, named by what they are, and whole or not at all when the power goes.
//!
//! In:  orders of an operator's; parts of a bundle as they come from a registry; whose keys count. Out: a folder of images by digest and a record
//! for each service; the supervisor is told which services there are.
//!
//! What a registry says is believed of nothing: `bundle` holds every part against a digest, and the first digest is signed.
//!
//! Not here: mounts (`storage`), what a bundle is (`bundle`), who may run (`supervisor`).
//!
//! Source: docs/bundles.md.
#![forbid(unsafe_code)]

pub mod disk;
pub mod store;

pub mod failure;
pub mod watch;

pub mod http;
pub mod url;

pub mod link;
pub mod registry;

pub mod fetch;

pub mod book;
pub mod keep;
pub mod operator;

mod act;
mod asked;
pub mod room;
mod sealed;
pub mod supervisor;
mod work;

use std::fmt;
use std::io;

use bundle::digest::Digest;
use bundle::{erofs, form, keyring};
use contract::Name;

/// Services that are installed at a time.
pub const SERVICES_MAX: usize = contract::limit::SERVICES;
/// What stays free on the disk whatever is installed, in bytes: daemons keep small files there.
pub const RESERVE_BYTES: u64 = 16 << 20;

/// Why something was not done. What was installed before is as it was.
#[derive(Debug)]
pub enum Error {
    /// The disk: which file, in which step.
    Disk(String, &'static str, io::Error),
    /// So many bytes would be needed, so many are free beyond [`RESERVE_BYTES`].
    Space(u64, u64),
    /// More services than there is room for.
    Full,
    /// The parts do not fit together.
    Form(form::Fault),
    /// Nobody's keys count.
    Unkeyed,
    /// No key that counts signed it.
    Signature(keyring::Fault),
    /// The signature speaks of another bundle.
    Statement,
    /// The image is not what was signed.
    Digest(Digest),
    /// The image has not the one form that is mounted.
    Image(erofs::Fault),
    /// The version that is installed, and the one that is not above it.
    Older(Name, u64, u64),
    /// Another provider's service has this name.
    Foreign(Name),
    /// This very version is installed already.
    Same(u64),
    /// For other processors than this gateway's.
    Architecture,
    /// No such service is installed.
    Absent(Name),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(file, step, cause) => write!(f, "{file}: {step}: {cause}"),
            Self::Space(need, free) => write!(f, "data disk: {need} bytes are needed, {free} are free"),
            Self::Full => write!(f, "bundles: {SERVICES_MAX} are installed, no more"),
            Self::Form(fault) => write!(f, "bundle: {fault}"),
            Self::Unkeyed => write!(f, "bundle: no key is trusted"),
            Self::Signature(fault) => write!(f, "bundle: {fault}"),
            Self::Statement => write!(f, "bundle: the signature speaks of another one"),
            Self::Digest(wanted) => write!(f, "image: it is not {wanted}"),
            Self::Image(fault) => write!(f, "image: {fault}"),
            Self::Older(name, installed, version) => {
                write!(f, "bundle {name}: version {version} is not above {installed}, which is installed")
            }
            Self::Foreign(name) => write!(f, "bundle {name}: a service of another provider has this name"),
            Self::Same(version) => write!(f, "bundle: version {version} is installed already"),
            Self::Architecture => write!(f, "bundle: its programs are for other processors"),
            Self::Absent(name) => write!(f, "bundle {name}: not installed"),
        }
    }
}

impl std::error::Error for Error {}

/// Why the daemon ends.
#[derive(Debug)]
pub enum RoomError {
    /// Its threads cannot speak with each other.
    Bell(io::Error),
    /// The kernel has no memory to wait with.
    Poll(sys::Errno),
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bell(error) => write!(f, "bell: {error}"),
            Self::Poll(errno) => write!(f, "poll: {}", errno.desc()),
        }
    }
}

impl std::error::Error for RoomError {}
