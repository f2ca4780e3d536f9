//! File systems: what is mounted where, and how much room it has.
//!
//! In:  `/proc/self/mountinfo`, statvfs(3). Out: a row for each mount.
//!
//! Source: proc_pid_mountinfo(5).

use nix::sys::statvfs::statvfs;

use super::{Listed, Seen, read, short};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub place: String,
    /// The kind of file system.
    pub kind: String,
    /// What it is made of.
    pub source: String,
    /// Nothing can be written to it.
    pub read_only: bool,
    /// Its options, as far as they restrict: `nosuid`, `nodev`, `noexec`.
    pub restrictions: Vec<&'static str>,
    /// Options of the file system itself.
    pub options: String,
    /// Its size and what of it is used, in bytes; `None` where that means nothing.
    pub room_bytes: Option<(u64, u64)>,
}

/// Every mount.
///
/// # Errors
/// [`super::Hidden`]: there is no `/proc`.
pub fn all() -> Seen<Listed<Mount>> {
    let mut mounts = parse(&read("/proc/self/mountinfo")?);
    for mount in &mut mounts.shown {
        mount.room_bytes = room(&mount.place);
    }
    Ok(mounts)
}

fn room(place: &str) -> Option<(u64, u64)> {
    // These types have another width on each target.
    fn wide(number: impl TryInto<u64>) -> u64 {
        number.try_into().unwrap_or(u64::MAX)
    }
    // A single file that is mounted, a device for instance, lies in a file system that cannot be seen.
    let room =
        std::fs::metadata(place).ok().filter(std::fs::Metadata::is_dir).and_then(|_| statvfs(place).ok())?;
    let block_bytes = wide(room.fragment_size());
    let size = wide(room.blocks()).saturating_mul(block_bytes);
    let free = wide(room.blocks_free()).saturating_mul(block_bytes);
    (size > 0).then(|| (size, size.saturating_sub(free)))
}

/// Reads the lines of `mountinfo`; one that is not understood is left out.
#[must_use]
pub fn parse(text: &str) -> Listed<Mount> {
    Listed::of(text.lines().filter_map(line))
}

fn line(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut words = mount.split(' ').skip(4);
    let (place, flags) = (words.next()?, words.next()?);
    let mut rest = file_system.split(' ');
    let (kind, source, options) = (rest.next()?, rest.next()?, rest.next()?);
    let has = |list: &str, flag: &str| list.split(',').any(|word| word == flag);
    Some(Mount {
        place: short(&plain(place)),
        kind: short(kind),
        source: short(&plain(source)),
        read_only: has(flags, "ro") || has(options, "ro"),
        restrictions: ["nosuid", "nodev", "noexec"].into_iter().filter(|flag| has(flags, flag)).collect(),
        options: short(options),
        room_bytes: None,
    })
}

/// Spaces and the like stand as a backslash and three octal digits.
fn plain(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(letter) if letter.is_ascii() => {
                plain.push(char::from(letter));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            Some(_) | None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{parse, plain};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_sandboxs_mounts_are_understood() {
        let mounts = parse(include_str!("../../tests/data/mountinfo")).shown;
        let places: Vec<&str> = mounts.iter().map(|mount| mount.place.as_str()).collect();
        let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
        assert_eq!(places, [&["/", "/proc", "/dev"], devices.as_slice(), &["/tmp"]].concat());
        let by_place = |place| mounts.iter().find(|mount| mount.place == place).unwrap();
        assert!(by_place("/").read_only && by_place("/proc").read_only && by_place("/dev").read_only);
        assert!(!by_place("/tmp").read_only);
        assert_eq!(by_place("/").kind, "erofs");
        assert_eq!(by_place("/").restrictions, ["nosuid", "nodev"]);
        assert_eq!(by_place("/tmp").restrictions, ["nosuid", "nodev", "noexec"]);
        assert!(by_place("/proc").options.contains("hidepid=invisible,subset=pid"));
    }

    #[test]
    fn octal_becomes_letters() {
        for (from, to) in [
            ("/plain", "/plain"),
            ("/a\\040b", "/a b"),
            ("\\134", "\\"),
            ("/odd\\9", "/odd\\9"),
            ("\\377", "\\377"),
            ("\\", "\\"),
        ] {
            assert_eq!(plain(from), to, "{from}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (parse(&text), plain(&text));
        }
    }
}
