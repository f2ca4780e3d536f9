//! A device whose every block is held against a signed root of hashes when it is read.
//!
//! In:  a bundle that is believed. Out: `/dev/dm-<number>`, read-only, on a loop device on the image's file.
//!
//! A block that is not what was signed gives an I/O error, and nothing else happens: no option that restarts or panics is asked for.
//!
//! Nothing is left behind, whoever dies: as soon as the device is open here it is told to go away with its last user, and so is the loop
//! device below it. Only who dies between making and telling leaves a device that nobody has open, and [`sweep`] takes it away.
//!
//! Source: the kernel's Documentation/admin-guide/device-mapper/verity.rst.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bundle::{erofs, verity};
use contract::Name;
use log::{info, warn};
use nix::sys::stat::{major, minor};
use sys::Errno;
use sys::device_mapper::{Control, Target};
use sys::loop_device;

use crate::installed::{Fault, Sealed};
use crate::{Error, errno};

/// What the name of every device of ours begins with; the loop device below it makes it the only one of that name.
pub(crate) const NAME: &str = "shg-";
/// Sectors of 512 bytes in a block.
const BLOCK_SECTORS: u64 = 8;
const _: () = assert!(bundle::BLOCK_BYTES == 8 * 512);

/// Such a device. It goes when this is dropped and the last mount of it is gone.
#[derive(Debug)]
pub struct Verity {
    /// Its number: `/dev/dm-<number>`.
    pub number: u32,
    device: File,
}

impl Verity {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        path(self.number)
    }

    /// Holds what can be read of it against the one form that is mounted: so the kernel's reader meets no other, whoever signed it.
    ///
    /// # Errors
    /// [`Fault::Form`]; [`Fault::Bytes`]: it could not be read.
    pub fn check(&self, image_blocks: u32) -> Result<(), Fault> {
        match erofs::check(&self.device, image_blocks) {
            Ok(_) => Ok(()),
            Err(erofs::Fault::Read(_)) => Err(Fault::Bytes),
            Err(fault) => Err(Fault::Form(fault)),
        }
    }
}

fn path(number: u32) -> PathBuf {
    format!("/dev/dm-{number}").into()
}

/// Makes one of `sealed`, the bundle of `service`.
///
/// # Errors
/// [`Error::System`]: the kernel has no device-mapper, no verity or no SHA-256; no loop device is free.
pub fn attach(service: &Name, sealed: &Sealed) -> Result<Verity, Error> {
    let fail = |step| move |errno| Error::system(&format!("bundle {service}"), step, errno);
    let of = |step| move |error: std::io::Error| fail(step)(errno(&error));
    let control = Control::open().map_err(of("the kernel has no device-mapper"))?;
    let below = loop_device::attach(&sealed.image).map_err(of("cannot stand behind a loop device"))?;
    let device = below.device.metadata().map_err(of("its loop device cannot be read"))?.rdev();
    let below_name = format!("{}:{}", major(device), minor(device));
    let statement = &sealed.statement;
    let parameters = verity::parameters(&below_name, &below_name, statement.image_blocks, &statement.root);
    let sectors = u64::from(statement.image_blocks) * BLOCK_SECTORS;
    let target = Target { kind: "verity", sectors, parameters: &parameters };
    let name = format!("{NAME}loop{}", below.number);
    let number = control.create(&name).map_err(fail("no device can be made for it"))?;
    let opened = control.load(&name, &target).map_err(fail("the kernel cannot hold it against hashes"));
    let opened = opened.and_then(|()| control.resume(&name).map_err(fail("its device does not begin")));
    let opened = opened.and_then(|()| File::open(path(number)).map_err(of("its device cannot be opened")));
    // Nobody has it open: it goes now. Else with its last user.
    control.remove(&name).map_err(fail("its device would stay"))?;
    opened.map(|device| Verity { number, device })
}

/// Takes away devices that a life before ours had made and not yet opened. Those that somebody uses go when they are used no more.
pub fn sweep() {
    let Ok(control) = Control::open() else { return };
    let names = control.names().unwrap_or_else(|errno| {
        warn!("device-mapper: cannot be listed: {}", errno.desc());
        Vec::new()
    });
    for name in names.iter().filter(|name| name.starts_with(NAME)) {
        match control.remove(name) {
            Ok(()) => info!("device {name}: of our last life; it goes with its last user"),
            // It has just gone by itself.
            Err(Errno::ENXIO) => {}
            Err(errno) => warn!("device {name}: cannot be removed: {}", errno.desc()),
        }
    }
}
