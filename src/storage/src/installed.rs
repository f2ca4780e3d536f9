//! What is installed on the data disk: a service's record and its image, and whether they are believed.
//!
//! In:  a service, its image's digest. Out: a statement that a key of its provider signed, and the image that it speaks of, open.
//!
//! `package` writes both; here nothing is taken on its word. What is signed are the service's name, the image's size and the root of its tree
//! of hashes. So of the record only the signature is read, and no parser of JSON or TOML is needed. The digest only names the file.
//!
//! Not here: whether the image's bytes are what was signed (`verity.rs`: at each read).
//!
//! Source: docs/bundles.md.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use bundle::digest::Digest;
use bundle::keyring;
use bundle::record::{self, Record};
use bundle::sign::Statement;
use bundle::{BLOCK_BYTES, IMAGE_BYTES_MAX, erofs, verity};
use contract::Name;
use sys::Errno;

use crate::keys::{self, Keys};
use crate::{DATA, Error, KEYS, errno, plain};

/// Where records and images are, below the data disk's top.
const RECORDS: &str = "bundles/records";
/// See [`RECORDS`].
const IMAGES: &str = "bundles/images";

/// Why a bundle is not mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No record, or no data disk.
    Absent,
    /// The record is not whole, or no file of ours.
    Record,
    /// No key counts.
    Keys(keys::Fault),
    /// No key that counts signed it.
    Signature(keyring::Fault),
    /// It is signed, and another service's.
    Name(Name),
    /// The image is not there.
    Gone(Digest),
    /// What stands in the image's place is no regular file.
    Kind,
    /// The image has so many bytes; so many are signed.
    Size(u64, u64),
    /// So many blocks are more than an image may have, or none.
    Blocks(u32),
    /// Where files lie is said in blocks that are not what was signed, or cannot be read.
    Bytes,
    /// What the signed bytes hold is not the one form that is mounted.
    Form(erofs::Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "not installed on a data disk"),
            Self::Record => write!(f, "its record is not whole"),
            Self::Keys(fault) => write!(f, "{fault}"),
            Self::Signature(fault) => write!(f, "{fault}"),
            Self::Name(name) => write!(f, "its signature is over service {name}"),
            Self::Gone(image) => write!(f, "image {image} is not there"),
            Self::Kind => write!(f, "its image is not a regular file"),
            Self::Size(had, signed) => write!(f, "its image has {had} bytes, {signed} are signed"),
            Self::Blocks(blocks) => write!(f, "its image should have {blocks} blocks"),
            Self::Bytes => write!(f, "its image: blocks that are not what was signed, or cannot be read"),
            Self::Form(fault) => write!(f, "its image: {fault}"),
        }
    }
}

/// The place where bundles are installed.
#[derive(Debug)]
pub struct Installed {
    top: PathBuf,
    keys: Keys,
}

/// A bundle that is believed.
#[derive(Debug)]
pub struct Sealed {
    /// What was signed.
    pub statement: Statement,
    /// Its image, as long as it has to be; its bytes are not looked at yet.
    pub image: File,
}

impl Default for Installed {
    fn default() -> Self {
        Self::new(Path::new(DATA), Keys::new(Path::new(KEYS), &state::Folder::of("package")))
    }
}

impl Installed {
    /// Bundles on the disk at `top`, signed by those that `keys` names.
    #[must_use]
    pub fn new(top: &Path, keys: Keys) -> Self {
        Self { top: top.to_path_buf(), keys }
    }

    /// The bundle of `service`, whose image is called `image`.
    ///
    /// # Errors
    /// [`Error::Bundle`] says what is missing or not believed. [`Error::System`]: the disk fails.
    pub fn find(&self, service: &Name, image: &Digest) -> Result<Sealed, Error> {
        let bad = |fault| Error::Bundle { service: service.clone(), fault };
        let statement = self.statement(service)?;
        let file = self.open(service, image)?;
        let signed = bytes(&statement).ok_or_else(|| bad(Fault::Blocks(statement.image_blocks)))?;
        let had = file.metadata().map_err(|error| lost(service)(errno(&error)))?.len();
        if had != signed {
            return Err(bad(Fault::Size(had, signed)));
        }
        Ok(Sealed { statement, image: file })
    }

    /// What a key of its provider signed of `service`.
    fn statement(&self, service: &Name) -> Result<Statement, Error> {
        let bad = |fault| Error::Bundle { service: service.clone(), fault };
        let bytes = match plain::read(&self.top, &format!("{RECORDS}/{service}"), record::BYTES_MAX) {
            Ok(bytes) => bytes.ok_or_else(|| bad(Fault::Record))?,
            Err(Errno::ENOENT) => return Err(bad(Fault::Absent)),
            Err(Errno::ELOOP) => return Err(bad(Fault::Record)),
            Err(errno) => return Err(lost(service)(errno)),
        };
        let record = Record::parse(&bytes).ok_or_else(|| bad(Fault::Record))?;
        let keyring = self.keys.now().map_err(|fault| bad(Fault::Keys(fault)))?;
        let statement = keyring.open(&record.signature).map_err(|fault| bad(Fault::Signature(fault)))?;
        if statement.name == *service { Ok(statement) } else { Err(bad(Fault::Name(statement.name))) }
    }

    fn open(&self, service: &Name, image: &Digest) -> Result<File, Error> {
        let bad = |fault| Error::Bundle { service: service.clone(), fault };
        match plain::open(&self.top, &format!("{IMAGES}/{}", image.hex())) {
            Ok(file) => file.ok_or_else(|| bad(Fault::Kind)),
            Err(Errno::ENOENT) => Err(bad(Fault::Gone(*image))),
            Err(Errno::ELOOP) => Err(bad(Fault::Kind)),
            Err(errno) => Err(lost(service)(errno)),
        }
    }
}

fn lost(service: &Name) -> impl Fn(Errno) -> Error {
    move |errno| Error::system(&format!("bundle {service}"), "cannot be read", errno)
}

/// How long the image and its tree are, in bytes. `None`: no image has so many blocks.
fn bytes(statement: &Statement) -> Option<u64> {
    let block = u64::try_from(BLOCK_BYTES).ok()?;
    let image = u64::from(statement.image_blocks) * block;
    let known = (1..=IMAGE_BYTES_MAX).contains(&image);
    known.then(|| image + u64::from(verity::tree_blocks(statement.image_blocks)) * block)
}
