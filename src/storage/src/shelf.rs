//! The images that are open, and for whom.
//!
//! In:  a service's wish for an image. Out: a mount of its own.
//!
//! An image is behind one device, however many services use it and however often they ask: each time they get a new mount of the same
//! file system. So nothing piles up when a service starts over and over. What an image is, is said by the file and, of a bundle, by what was
//! signed: so nobody gets another's device by naming its file in a statement of his own.
//!
//! A bundle's signature is checked at each wish, open or not.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bundle::digest::Digest;
use contract::Name;
use contract::limit::SERVICES;
use contract::mount::Image as Wish;
use log::info;
use sys::loop_device::Loop;

use crate::installed::{Installed, Sealed};
use crate::owner::Owners;
use crate::verity::{self, Verity};
use crate::{Error, IMAGES_MAX, errno, image};

/// Which image it is: the file that was opened (device and inode), and of a bundle the root of hashes and the blocks that were signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    file: (u64, u64),
    signed: Option<(Digest, u32)>,
}

/// What it is read from.
#[derive(Debug)]
enum Device {
    Plain(Loop),
    Signed(Verity),
}

impl Device {
    fn path(&self) -> PathBuf {
        match self {
            Self::Plain(device) => format!("/dev/loop{}", device.number).into(),
            Self::Signed(device) => device.path(),
        }
    }
}

/// One image.
#[derive(Debug)]
struct Image {
    name: String,
    identity: Identity,
    device: Device,
    /// At most [`SERVICES`].
    users: Vec<Name>,
}

/// All of them.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    installed: Installed,
    images: Vec<Image>,
}

/// Which file it is.
fn file(name: &str, file: &File) -> Result<(u64, u64), Error> {
    let about = file.metadata();
    let about =
        about.map_err(|error| Error::system(&format!("image {name}"), "cannot be read", errno(&error)))?;
    Ok((about.dev(), about.ino()))
}

impl Shelf {
    /// No image is open: neither of `folder`, nor of what is `installed`.
    #[must_use]
    pub fn new(folder: PathBuf, installed: Installed) -> Self {
        Self { folder, installed, images: Vec::new() }
    }

    /// A detached mount of the image `wish` for `service`, shown as `owners`'. A service has one image: the one before is released.
    ///
    /// # Errors
    /// As `image::open`, `image::attach` and `image::mount`; as `Installed::find` and `verity::attach`; [`Error::Full`].
    pub fn mount(&mut self, service: &Name, wish: &Wish, owners: Owners) -> Result<OwnedFd, Error> {
        let (name, identity) = match wish {
            Wish::Root(name) => self.open_plain(name)?,
            Wish::Bundle(digest) => self.open_signed(service, &Digest(*digest))?,
        };
        let image = self.images.iter().find(|image| image.identity == identity);
        let mount = match image {
            Some(image) => image::mount(&name, &image.device.path(), owners),
            None => Err(Error::Full { image: name }),
        };
        if mount.is_ok() {
            self.assign(service, identity);
        }
        self.tidy();
        mount
    }

    /// Opens the image `name` of the root, unless it is open.
    fn open_plain(&mut self, name: &str) -> Result<(String, Identity), Error> {
        let opened = image::open(&self.folder, name)?;
        let identity = Identity { file: file(name, &opened)?, signed: None };
        if self.has_room_for(identity) {
            let device = image::attach(name, &opened)?;
            info!("image {name}: open, as loop{}", device.number);
            self.put(name, identity, Device::Plain(device));
        }
        Ok((name.to_owned(), identity))
    }

    /// Checks the bundle of `service` and opens its image, unless it is open.
    fn open_signed(&mut self, service: &Name, digest: &Digest) -> Result<(String, Identity), Error> {
        let name = digest.to_string();
        let Sealed { statement, image } = self.installed.find(service, digest)?;
        let signed = Some((statement.root, statement.image_blocks));
        let identity = Identity { file: file(&name, &image)?, signed };
        if self.has_room_for(identity) {
            let blocks = statement.image_blocks;
            let device = verity::attach(service, &Sealed { statement, image })?;
            device.check(blocks).map_err(|fault| Error::Bundle { service: service.clone(), fault })?;
            info!("image {name}: open, as dm-{}", device.number);
            self.put(&name, identity, Device::Signed(device));
        }
        Ok((name, identity))
    }

    /// Is it not open yet, and can it be?
    fn has_room_for(&self, identity: Identity) -> bool {
        self.images.len() < IMAGES_MAX && !self.images.iter().any(|image| image.identity == identity)
    }

    fn put(&mut self, name: &str, identity: Identity, device: Device) {
        self.images.push(Image { name: name.to_owned(), identity, device, users: Vec::new() });
    }

    /// From now on `service` uses this image and no other.
    fn assign(&mut self, service: &Name, identity: Identity) {
        for image in &mut self.images {
            image.users.retain(|user| user != service);
            if image.identity == identity && image.users.len() < SERVICES {
                image.users.push(service.clone());
            }
        }
    }

    /// `service` needs its image no more. An image without users is closed; its mounts live on for as long as somebody is in them.
    pub fn release(&mut self, service: &Name) {
        for image in &mut self.images {
            image.users.retain(|user| user != service);
        }
        self.tidy();
    }

    /// Nobody needs any image: the machine ends, and the data disk is not to be held by what lies on it.
    pub fn close(&mut self) {
        self.images.clear();
    }

    fn tidy(&mut self) {
        self.images.retain(|image| {
            if image.users.is_empty() {
                info!("image {}: closed", image.name);
            }
            !image.users.is_empty()
        });
    }
}
