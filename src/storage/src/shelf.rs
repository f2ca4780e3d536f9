//! The images that are open, and for whom.
//!
//! In:  a service's wish for an image. Out: a mount of its own.
//!
//! An image is behind one loop device, however many services use it and however often they ask: each time they get a new mount of the
//! same file system. So nothing piles up when a service starts over and over.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use contract::Name;
use contract::limit::SERVICES;
use log::info;
use sys::loop_device::Loop;

use crate::image;
use crate::owner::Owners;
use crate::{Error, IMAGES_MAX, errno};

/// One image.
#[derive(Debug)]
struct Image {
    name: String,
    /// Which file it was when it was opened: another one under the same name is another image.
    file: (u64, u64),
    device: Loop,
    /// At most [`SERVICES`].
    users: Vec<Name>,
}

/// All of them.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    images: Vec<Image>,
}

impl Shelf {
    /// No image of `folder` is open.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, images: Vec::new() }
    }

    /// A detached mount of the image `name` for `service`, shown as `owners`'. A service has one image: the one before is released.
    ///
    /// # Errors
    /// As `image::open`, `image::attach` and `image::mount`; [`Error::Full`].
    pub fn mount(&mut self, service: &Name, name: &str, owners: Owners) -> Result<OwnedFd, Error> {
        let file = image::open(&self.folder, name)?;
        let mount = match self.find(name, &file)? {
            Some(image) => image::mount(name, &image.device, owners),
            None => Err(Error::Full { image: name.to_owned() }),
        };
        if mount.is_ok() {
            self.assign(service, name);
        }
        self.tidy();
        mount
    }

    /// The open image that is `file`, opened now if it was not. `None`: too many are open.
    fn find(&mut self, name: &str, file: &File) -> Result<Option<&Image>, Error> {
        let about = file
            .metadata()
            .map_err(|error| Error::system(&format!("image {name}"), "cannot be read", errno(&error)))?;
        let identity = (about.dev(), about.ino());
        // Another file under an old name: the image was replaced. Who uses the old one keeps it.
        self.images.retain(|image| image.name != name || image.file == identity);
        if !self.images.iter().any(|image| image.name == name) {
            if self.images.len() >= IMAGES_MAX {
                return Ok(None);
            }
            let device = image::attach(name, file)?;
            info!("image {name}: open, as loop{}", device.number);
            self.images.push(Image { name: name.to_owned(), file: identity, device, users: Vec::new() });
        }
        Ok(self.images.iter().find(|image| image.name == name))
    }

    /// From now on `service` uses the image `name` and no other.
    fn assign(&mut self, service: &Name, name: &str) {
        for image in &mut self.images {
            image.users.retain(|user| user != service);
            if image.name == name && image.users.len() < SERVICES {
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

    fn tidy(&mut self) {
        self.images.retain(|image| {
            if image.users.is_empty() {
                info!("image {}: closed", image.name);
            }
            !image.users.is_empty()
        });
    }
}
