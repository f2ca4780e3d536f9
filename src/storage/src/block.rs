//! Looks for the data disk among the machine's block devices.
//!
//! In:  `/sys/class/block` and the devices themselves, of which it reads one superblock each. Out: what each of them is to us.
//!
//! Not here: what follows from it (`disk.rs`), how a superblock is read (`ext4.rs`).
//!
//! Source: Documentation/ABI/stable/sysfs-block; sizes are in sectors of 512 bytes there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::ext4::{self, Fault, Superblock};
use crate::uevent::{self, Device};

/// The most devices that are looked at in one pass: a hub full of sticks with many partitions each.
const DEVICES_MAX: usize = 128;

/// Where block devices are described, and where they are.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/sys/class/block`.
    pub descriptions: PathBuf,
    /// `/dev`.
    pub devices: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { descriptions: "/sys/class/block".into(), devices: "/dev".into() }
    }
}

/// What a device is to us.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Our data disk.
    Ours(Superblock),
    /// It says that it is our data disk, and cannot be used.
    Broken(Fault),
    /// Somebody's ext4 file system.
    Stranger,
    /// Nothing of ours: a whole disk with partitions, an empty one, another file system.
    Other,
    /// It could not be read.
    Unreadable(String),
}

impl Places {
    /// Every device that could be a disk, in order of name, so that the same disks give the same choice.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let Ok(entries) = fs::read_dir(&self.descriptions) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| uevent::device(entry.file_name().to_str()?));
        let mut devices: Vec<Device> = names.take(DEVICES_MAX).collect();
        devices.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        devices
    }

    /// Is `device` (still) there?
    #[must_use]
    pub fn has(&self, device: &Device) -> bool {
        self.descriptions.join(device.as_str()).exists()
    }

    /// Reads the superblock of `device`.
    #[must_use]
    pub fn look(&self, device: &Device) -> Look {
        let (bytes, size_bytes) = match self.read(device) {
            Ok(read) => read,
            // Too small to hold a superblock, or no medium in the drive.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Look::Other,
            Err(error) => return Look::Unreadable(error.to_string()),
        };
        match ext4::parse(&bytes, crate::DATA_LABEL, size_bytes) {
            Ok(superblock) => Look::Ours(superblock),
            Err(Fault::Foreign) => Look::Other,
            Err(Fault::Label) => Look::Stranger,
            Err(fault) => Look::Broken(fault),
        }
    }

    fn read(&self, device: &Device) -> io::Result<([u8; ext4::BYTES], u64)> {
        let size = fs::read_to_string(self.descriptions.join(device.as_str()).join("size"))?;
        let sectors: u64 = size.trim().parse().map_err(io::Error::other)?;
        let mut bytes = [0; ext4::BYTES];
        File::open(self.devices.join(device.as_str()))?.read_exact_at(&mut bytes, ext4::OFFSET)?;
        Ok((bytes, sectors.saturating_mul(512)))
    }
}
