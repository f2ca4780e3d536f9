//! What a service keeps: a folder of its own on the data disk.
//!
//! In:  what the provider wrote. Out: plain values, bounded. All of its size is promised: storage makes no more volumes than the disk has room
//! for.
//!
//! Source: docs/manifest.md.

use serde::{Deserialize, Serialize};

use crate::limit::PATH_BYTES;
use crate::name::Text;

/// What the root of every service has, empty: its sandbox mounts over the first three, and the last is a volume's usual place. A sealed image
/// cannot get them later.
pub const FOLDERS: [&str; 4] = {
    let [proc, dev, tmp] = MOUNTED;
    [proc, dev, tmp, "data"]
};

/// Where every sandbox mounts something of its own: no volume lies there.
const MOUNTED: [&str; 3] = ["proc", "dev", "tmp"];

/// A folder that outlives restarts, updates and boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// What may be in it, in MiB.
    pub size_mib: u32,
    /// Files, folders and links that may be in it.
    #[serde(default = "inodes")]
    pub inodes: u32,
    /// Where it is inside: a folder of the image.
    #[serde(default = "at")]
    pub at: Text<PATH_BYTES>,
    /// It stays when the service is removed, unless whoever removes it says that it goes.
    #[serde(default)]
    pub kept: bool,
}

const fn inodes() -> u32 {
    1_024
}

fn at() -> Text<PATH_BYTES> {
    "/data".into()
}

impl Volume {
    /// What may be in it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(self.size_mib) << 20
    }
}

/// Rules that are broken where the first of a pair is true.
#[cfg(feature = "text")]
pub(super) fn volume_rules(volume: Option<&Volume>) -> [(bool, &'static str); 3] {
    let is = |broken: fn(&Volume) -> bool| volume.is_some_and(broken);
    [
        (is(|volume| !(1..=65_536).contains(&volume.size_mib)), "volume.size_mib: 1 to 65536"),
        (is(|volume| !(8..=1_000_000).contains(&volume.inodes)), "volume.inodes: 8 to 1000000"),
        (
            is(|volume| !is_place(&volume.at)),
            "volume.at: an absolute path of plain names, outside of /proc, /dev and /tmp",
        ),
    ]
}

/// Is it a folder that only the service's image can have made?
#[cfg(feature = "text")]
fn is_place(path: &str) -> bool {
    let Some(names) = path.strip_prefix('/') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(plain);
    let first = names.split('/').next().unwrap_or_default();
    names.split('/').all(good) && !MOUNTED.contains(&first)
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::{FOLDERS, at, is_place};

    #[test]
    fn a_volume_has_a_place_of_its_own() {
        for (path, good) in [
            ("/data", true),
            ("/var/lib/hello-1.0", true),
            ("/device", true),
            ("/", false),
            ("data", false),
            ("/data/", false),
            ("/a//b", false),
            ("/a/../b", false),
            ("/./a", false),
            ("/a b", false),
            ("/dev", false),
            ("/tmp/x", false),
            ("/proc/self", false),
        ] {
            assert_eq!(is_place(path), good, "{path}");
        }
    }

    #[test]
    fn its_usual_place_is_a_folder_that_every_root_has() {
        let [.., usual] = FOLDERS;
        assert_eq!(at().strip_prefix('/'), Some(usual));
        assert!(is_place(&at()));
    }
}
