//! Images of which the kernel has read what was not signed: which image stands behind a device.
//!
//! In:  a device as the kernel's event names it, `/sys/class/block`. Out: the image's digest; all that are known to be damaged.
//!
//! It is asked of the kernel and not of the shelf: a device lives as long as somebody is in a mount of it, through many lives of ours, and so
//! does what the kernel knows of it.
//!
//! Not here: how it is heard of (`uevent.rs`), what follows from it (the supervisor).
//!
//! Source: Documentation/ABI/stable/sysfs-block (`diskseq`); Documentation/ABI/testing/sysfs-block-dm; Documentation/ABI/testing/sysfs-block-loop (`backing_file`).

use std::fs;
use std::path::PathBuf;

use bundle::digest::Digest;
use contract::mount::Damage;
use log::warn;
use sys::device_mapper::Control;

use crate::uevent::Mapped;
use crate::verity::NAME;

/// What verity says of a device that has met what is not as its root says.
const CORRUPT: &str = "C";

/// The kernel's words about block devices.
#[derive(Debug)]
pub struct Devices {
    descriptions: PathBuf,
}

impl Default for Devices {
    fn default() -> Self {
        Self { descriptions: "/sys/class/block".into() }
    }
}

impl Devices {
    fn word(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.descriptions.join(path)).ok().map(|text| text.trim_end().to_owned())
    }

    /// The image behind a device. `None`: the device is gone, or none of ours. What the kernel says of a device may be read when another
    /// one, with a sound image, has its number: that one is not meant.
    #[must_use]
    pub fn image(&self, device: Mapped) -> Option<Digest> {
        let Mapped { number, sequence } = device;
        let now = self.word(&format!("dm-{number}/diskseq"))?;
        let name = self.word(&format!("dm-{number}/dm/name")).filter(|_| now.parse() == Ok(sequence))?;
        self.image_of(&name)
    }

    /// The image behind the device of this name, which says the loop device below it.
    fn image_of(&self, name: &str) -> Option<Digest> {
        let below = name.strip_prefix(NAME)?;
        let plain = below.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let file = self.word(&format!("{below}/loop/backing_file")).filter(|_| plain)?;
        // An image that was replaced lives on for who is in it.
        let file = file.strip_suffix(" (deleted)").unwrap_or(&file);
        Digest::parse(&format!("sha256:{}", file.rsplit('/').next()?))
    }

    /// Every image of which the kernel has read what was not signed, and which is still in use.
    #[must_use]
    pub fn damaged(&self) -> Vec<Digest> {
        let Ok(control) = Control::open() else { return Vec::new() };
        let names = control.names().unwrap_or_else(|errno| {
            warn!("device-mapper: cannot be listed: {}", errno.desc());
            Vec::new()
        });
        let ours = names.iter().filter(|name| name.starts_with(NAME));
        let corrupt = ours.filter(|name| control.status(name).as_deref() == Ok(CORRUPT));
        corrupt.filter_map(|name| self.image_of(name)).collect()
    }
}

/// Says it aloud.
pub fn warn(image: Digest, damage: Damage) {
    match damage.words() {
        (part, Some(block)) => warn!("image {image}: damaged: block {block} ({part}) is not what was signed"),
        (_, None) => warn!("image {image}: damaged: a block is not what was signed"),
    }
}

#[cfg(test)]
mod tests {
    use super::Devices;
    use crate::uevent::Mapped;
    use std::fs;

    #[test]
    fn an_image_is_found_behind_its_device() {
        let folder = std::env::temp_dir().join(format!("shg-damage-{}", std::process::id()));
        let devices = Devices { descriptions: folder.clone() };
        let hex = "ab".repeat(32);
        let file = format!("/data/bundles/images/{hex}");
        for (number, name, backing) in [
            (0, "shg-loop0", file.clone()),
            (1, "shg-loop1", format!("{file} (deleted)")),
            (2, "other-loop2", file.clone()),
            (3, "shg-loop3", "/data/services/hello/picture".to_owned()),
        ] {
            fs::create_dir_all(folder.join(format!("dm-{number}/dm"))).unwrap();
            fs::create_dir_all(folder.join(format!("loop{number}/loop"))).unwrap();
            fs::write(folder.join(format!("dm-{number}/dm/name")), format!("{name}\n")).unwrap();
            fs::write(folder.join(format!("dm-{number}/diskseq")), format!("{}\n", 20 + number)).unwrap();
            fs::write(folder.join(format!("loop{number}/loop/backing_file")), format!("{backing}\n"))
                .unwrap();
        }
        let of = |number: u32, sequence| devices.image(Mapped { number, sequence }).map(|image| image.hex());
        let found = [0, 1, 2, 3, 4].map(|number| of(number, u64::from(20 + number)));
        let image = || Some(hex.clone());
        assert_eq!(found, [image(), image(), None, None, None]);
        assert_eq!(of(0, 19), None, "the one that had this number before");
        assert_eq!(devices.image_of("shg-../loop0"), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
