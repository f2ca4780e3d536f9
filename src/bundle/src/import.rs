//! Makes file trees of what service providers have: folders, layers of OCI images, `docker save` archives. At the desk only.
//!
//! In:  bytes of strangers, at any length. Out: a [`Tree`](crate::tree::Tree), or what is wrong and with which path.
//!
//! Nothing is unpacked onto a disk: entries go from the layer into memory, and from there into the sealed image. So there is no path
//! to escape to and no owner to be.
//!
//! Not here: registries (`shg`), the service's manifest.

pub mod folder;
pub mod image;
pub mod inflate;
pub mod layer;
pub mod tar;

use std::fmt;
use std::io;

use crate::digest::Digest;
use crate::tree;

/// An OCI index, manifest or configuration, in bytes: the specification asks registries to take 4 MiB.
pub const JSON_BYTES_MAX: u64 = 4 << 20;
/// Layers of an image: what Docker's storage takes.
pub const LAYERS_MAX: usize = 127;
/// A layer as tar, in bytes: twice an image, for what later layers take away again.
pub const LAYER_BYTES_MAX: u64 = 2 * crate::IMAGE_BYTES_MAX;

/// Why nothing was made.
#[derive(Debug)]
pub enum Error {
    /// A file could not be read: which, and the system's word.
    Read(String, io::Error),
    /// An entry may not be in an image.
    Entry {
        /// Its path.
        path: String,
        /// Why not.
        fault: tree::Fault,
    },
    /// A layer is no tar: at which byte, and why.
    Tar(u64, &'static str),
    /// A layer's stream is damaged.
    Stream(io::Error),
    /// A layer unpacks to more than a layer may have, in bytes.
    Long(u64),
    /// A layer unpacks to very much more than it has: how many times.
    Bomb(u64),
    /// What an image is described by is not understood: which part, and why.
    Image(String, String),
    /// A part has another digest than its name: which part, wanted, had.
    Digest(String, Digest, Digest),
}

impl Error {
    /// About the entry at `path`.
    pub(crate) fn entry(path: &[u8]) -> impl FnOnce(tree::Fault) -> Self {
        let path = String::from_utf8_lossy(path).into_owned();
        move |fault| Self::Entry { path, fault }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(what, cause) => write!(f, "{what}: {cause}"),
            Self::Entry { path, fault } => write!(f, "{}: {fault}", path.escape_debug()),
            Self::Tar(at, why) => write!(f, "layer: not a tar archive that is read: {why}, at byte {at}"),
            Self::Stream(cause) => write!(f, "layer: damaged: {cause}"),
            Self::Long(limit) => write!(f, "layer: unpacks to more than {limit} bytes"),
            Self::Bomb(ratio) => write!(f, "layer: unpacks to more than {ratio} times its size"),
            Self::Image(part, why) => write!(f, "image: {part}: {why}"),
            Self::Digest(part, wanted, had) => write!(f, "image: {part}: its digest is {had}, not {wanted}"),
        }
    }
}

impl std::error::Error for Error {}

/// What to do with what many ordinary images have and no service can use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Take set-user-id and set-group-id bits away instead of refusing the image.
    pub drop_set_id: bool,
}

impl Rules {
    /// The mode that an entry gets.
    pub(crate) fn mode(self, mode: u32) -> u32 {
        if self.drop_set_id { mode & !tree::SET_ID } else { mode }
    }
}
