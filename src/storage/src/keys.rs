//! Whose bundles are mounted: the list of keys.
//!
//! In:  the root's public key and a signed list, both of the image; a newer list that `package` keeps. Out: the newest list that counts.
//!
//! The files are read anew for each mount: whoever exchanges one is believed from the next start of a service on. A list on the data disk that is
//! broken, or that the root did not sign, does not count; the one of the image does then, for a disk must not be able to stop every service.
//!
//! Not here: what a list says (`bundle::keyring`), taking a newer one (`package`).
//!
//! Source: docs/keys.md.

use std::fmt;
use std::path::{Path, PathBuf};

use bundle::envelope;
use bundle::key::{self, Public};
use bundle::keyring::{self, Keyring};
use log::warn;
use sys::Errno;

use crate::plain;

/// The root's public key and the list that it signed, in their folder.
pub const ROOT: &str = "root.public";
/// See [`ROOT`].
pub const LIST: &str = "keyring";
/// The form of what `package` keeps: the signed list as it is.
const KEPT_VERSION: u16 = 1;

/// Where the lists are.
#[derive(Debug)]
pub struct Keys {
    /// The folder of the image: `/etc/shg/keys`.
    folder: PathBuf,
    /// What `package` keeps.
    kept: state::File,
}

/// Why no key counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A file of the image cannot be read: which, and why.
    File(&'static str, Errno),
    /// A file of the image is none, or too long: which.
    Form(&'static str),
    /// The root's key is not one.
    Root(key::Fault),
    /// The list of the image does not count.
    List(keyring::Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name, Errno::ENOENT) => {
                write!(f, "no key is trusted: {}/{name} is not there", crate::KEYS)
            }
            Self::File(name, errno) => write!(f, "{}/{name}: {}", crate::KEYS, errno.desc()),
            Self::Form(name) => write!(f, "{}/{name}: not a file of keys", crate::KEYS),
            Self::Root(fault) => write!(f, "{}/{ROOT}: {fault}", crate::KEYS),
            Self::List(fault) => write!(f, "{}/{LIST}: {fault}", crate::KEYS),
        }
    }
}

impl Keys {
    /// Lists in `folder`, and in `package`'s folder of small files.
    #[must_use]
    pub fn new(folder: &Path, package: &state::Folder) -> Self {
        Self { folder: folder.to_path_buf(), kept: package.file(LIST, envelope::BYTES_MAX) }
    }

    /// The keys that count now.
    ///
    /// # Errors
    /// [`Fault`]: the image's files are not there, or make no sense.
    pub fn now(&self) -> Result<Keyring, Fault> {
        let root = self.read(ROOT, key::FILE_BYTES_MAX)?;
        let root = String::from_utf8(root).map_err(|_| Fault::Form(ROOT))?;
        let root = Public::parse(&root).map_err(Fault::Root)?;
        let list = self.read(LIST, envelope::BYTES_MAX)?;
        let shipped = Keyring::new(root).update(&list).map_err(Fault::List)?;
        Ok(self.newer(&shipped).unwrap_or(shipped))
    }

    fn read(&self, name: &'static str, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let bytes = plain::read(&self.folder, name, bytes_max).map_err(|errno| Fault::File(name, errno))?;
        bytes.ok_or(Fault::Form(name))
    }

    /// The list of the data disk, where it follows `shipped`.
    fn newer(&self, shipped: &Keyring) -> Option<Keyring> {
        let list = match self.kept.load() {
            Ok(Some(kept)) if kept.version == KEPT_VERSION => kept.bytes,
            Ok(Some(kept)) => {
                warn!("keyring on the data disk: of form {}, which is not known", kept.version);
                return None;
            }
            Ok(None) | Err(state::Error::Absent) => return None,
            Err(error) => {
                warn!("keyring on the data disk: {error}");
                return None;
            }
        };
        match shipped.update(&list) {
            Ok(newer) => Some(newer),
            // The image's own has caught up.
            Err(keyring::Fault::Old(..)) => None,
            Err(fault) => {
                warn!("on the data disk: {fault}");
                None
            }
        }
    }
}
