//! Devices of the gateway's that a service was granted: its own nodes of them, in a folder of their own.
//!
//! In:  classes, the gateway's `/dev`. Out: a detached, read-only mount with a node for each device that is there now.
//!
//! The nodes are new ones that belong to the service; the gateway's stay root's, and are only looked at: by a descriptor, and by their
//! numbers. A device that comes later is there at the service's next start; one that goes answers with an error, and is gone by then.
//!
//! Not here: that the cgroup lets just these pass (`devices.rs`).
//!
//! Source: Documentation/admin-guide/devices.txt; mknod(2), fsmount(2).

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use contract::manifest::Device as Class;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat, major, makedev, minor, mknodat};
use nix::unistd::{Gid, Uid, fchownat};
use sys::Errno;
use sys::mount::{Draft, attribute};

use crate::devices::Number;
use crate::{Error, Plan};

/// Where the gateway's devices are.
pub const DEV: &str = "/dev";
/// Where the service finds them, beside a link of each device's own name in `/dev`.
pub(crate) const INSIDE: &str = "/dev/host";
/// Devices of one service: more than a home has.
pub(crate) const DEVICES_MAX: usize = 8;

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its name in `/dev`.
    pub(crate) name: CString,
    pub(crate) number: Number,
}

/// All that one service gets.
#[derive(Debug)]
pub struct Host {
    pub(crate) mount: OwnedFd,
    pub(crate) devices: Vec<Device>,
}

impl Host {
    /// The devices that the service of `plan` gets, of those in the folder `dev`; `None`: it asks for none.
    ///
    /// # Errors
    /// [`Error::NoDevice`]: of a class there is none. [`Error::Outside`]: a node cannot be made.
    pub fn gather(dev: &Path, plan: &Plan) -> Result<Option<Self>, Error> {
        if plan.devices.is_empty() {
            return Ok(None);
        }
        let mut devices = Vec::new();
        for class in &plan.devices {
            let before = devices.len();
            devices.extend(of_class(dev, *class));
            if devices.len() == before {
                return Err(Error::NoDevice(class.word()));
            }
        }
        devices.truncate(DEVICES_MAX);
        let owner = (Uid::from_raw(plan.uid_base), Gid::from_raw(plan.uid_base));
        let mount =
            nodes(&devices, owner).map_err(|errno| Error::Outside("cannot give it devices", errno))?;
        Ok(Some(Self { mount, devices }))
    }

    /// Their numbers.
    pub(crate) fn numbers(&self) -> heapless::Vec<Number, DEVICES_MAX> {
        self.devices.iter().map(|device| device.number).collect()
    }
}

/// Is it a device of this class, by its name and its major number?
pub(crate) fn is_of(class: Class, name: &[u8], major: u32) -> bool {
    let digits = |rest: &[u8]| !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
    let named = |begin: &str| name.strip_prefix(begin.as_bytes()).is_some_and(digits);
    class.kinds().iter().any(|(begin, of)| *of == major && named(begin))
}

/// Every device of `class` in the folder `dev`, in the order of their numbers.
fn of_class(dev: &Path, class: Class) -> Vec<Device> {
    let entries = fs::read_dir(dev).into_iter().flatten().flatten();
    let mut found: Vec<Device> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = number(&entry.path())?;
            let its = is_of(class, name.as_bytes(), number.0);
            its.then(|| Some(Device { name: CString::new(name.as_bytes()).ok()?, number }))?
        })
        .collect();
    found.sort_by_key(|device| device.number);
    found
}

/// The number of the character device at `path`; `None`: it is none, or a link.
pub(crate) fn number(path: &Path) -> Option<Number> {
    let node = open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let seen = fstat(&node).ok()?;
    let is_character = SFlag::from_bits_truncate(seen.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    let part = |number: u64| u32::try_from(number).ok();
    if is_character { Some((part(major(seen.st_rdev))?, part(minor(seen.st_rdev))?)) } else { None }
}

/// A file system in memory with nodes of `devices` that only `owner` may open.
fn nodes(devices: &[Device], owner: (Uid, Gid)) -> Result<OwnedFd, Errno> {
    let draft = Draft::new(c"tmpfs")?;
    for (key, value) in [(c"mode", c"0755"), (c"size", c"4k"), (c"nr_inodes", c"10")] {
        draft.set(key, value)?;
    }
    let mount = draft.mount(attribute::NO_SUID | attribute::NO_EXEC)?;
    for Device { name, number: (major, minor) } in devices {
        let (name, number): (&CStr, _) = (name, makedev((*major).into(), (*minor).into()));
        mknodat(&mount, name, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), number)?;
        fchownat(&mount, name, Some(owner.0), Some(owner.1), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    }
    sys::mount::set_attributes(mount.as_fd(), attribute::READ_ONLY, None)?;
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::{Class, is_of};

    #[test]
    fn a_device_is_known_by_name_and_number() {
        for (class, name, major, want) in [
            (Class::Serial, "ttyUSB0", 188, true),
            (Class::Serial, "ttyACM12", 166, true),
            (Class::Serial, "ttyS0", 4, false),
            (Class::Serial, "ttyUSB0", 4, false),
            (Class::Serial, "ttyUSB", 188, false),
            (Class::Serial, "ttyUSB0x", 188, false),
            (Class::Camera, "video0", 81, true),
            (Class::Camera, "vbi0", 81, false),
            (Class::Camera, "ttyUSB0", 188, false),
        ] {
            assert_eq!(is_of(class, name.as_bytes(), major), want, "{name} {major}");
        }
    }
}
