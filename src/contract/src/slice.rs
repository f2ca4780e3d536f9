//! A slice: what a service provider rents of a gateway. His services share it.
//!
//! In:  TOML (feature `text`). Out: a `Slices`, every part bounded and checked.
//!
//! A slice's floors are his from the day he rents it, whether a service of his runs or not; floors of his services come out of them.
//!
//! Not here: whether they fit (`src/supervisor/src/admission.rs`).
//!
//! Source: docs/manifest.md.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::SLICES;
use crate::manifest::{Cpu, Disk, Memory, Rate, cpu_rules, disk_rules, memory_rules, rate_rules};
use crate::name::Name;

/// The version of the file that this reads.
pub const VERSION: u32 = 1;

/// Every slice of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    /// [`VERSION`].
    pub version: u32,
    /// The slices, in the order in which they are rented.
    #[serde(default)]
    pub slice: Vec<Slice, SLICES>,
}

/// What one provider rents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The provider, as manifests name him.
    pub name: Name,
    /// Processor time of all his services together.
    pub cpu: Cpu,
    /// Their memory.
    pub memory: Memory,
    /// Their part of the data disk.
    #[serde(default)]
    pub disk: Disk,
    /// Their part of the line to the operator, and the most that they send there.
    #[serde(default)]
    pub uplink: Rate,
    /// Their part of the line from him, and the most that comes to them from there.
    #[serde(default)]
    pub downlink: Rate,
}

impl Slice {
    /// The first rule that it breaks, where it breaks one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let rates = rate_rules(self.uplink, self.downlink);
        let needs = cpu_rules(self.cpu).into_iter().chain(memory_rules(self.memory));
        let mut rules = needs.chain(disk_rules(self.disk)).chain(rates);
        rules.find_map(|(broken, why)| broken.then_some(why))
    }
}

/// Reads a file of slices.
///
/// # Errors
/// See [`crate::text::Error`]; nothing is taken from a text that has one.
#[cfg(feature = "text")]
pub fn parse(text: &str) -> Result<Slices, crate::text::Error> {
    crate::text::parse("slices", crate::limit::MANIFEST_BYTES, text, check)
}

#[cfg(feature = "text")]
fn check(slices: &Slices) -> Option<&'static str> {
    if let Some(why) = slices.slice.iter().find_map(Slice::fault) {
        return Some(why);
    }
    let twice = |(index, slice): (usize, &Slice)| {
        slices.slice.iter().skip(index + 1).any(|other| other.name == slice.name)
    };
    let rules = [
        (slices.version != VERSION, "version: this reads version 1"),
        (slices.slice.iter().enumerate().any(twice), "slice: two of one name"),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::parse;
    use crate::manifest::{Disk, Rate};
    use std::string::ToString;

    const PLAIN: &str =
        "version = 1\n[[slice]]\nname = \"demo\"\n[slice.cpu]\nfloor_permille = 100\nceiling_permille = 1000
[slice.memory]\nfloor_mib = 32\nceiling_mib = 64\n";

    #[test]
    fn a_slice_has_floors_and_ceilings() {
        let slices = parse(PLAIN).unwrap();
        let slice = &slices.slice[0];
        assert_eq!((slice.cpu.floor_permille, slice.memory.ceiling_mib), (100, 64));
        assert_eq!((slice.uplink, slice.downlink, slice.disk), Default::default());
        let held = parse(&std::format!("{PLAIN}[slice.disk]\nread_ceiling_kib_s = 2048\n")).unwrap();
        assert_eq!(held.slice[0].disk, Disk { read_ceiling_kib_s: 2_048, ..Disk::default() });
        let held = parse(&std::format!("{PLAIN}[slice.disk]\nwrite_ceiling_kib_s = 64\n")).unwrap();
        assert_eq!(held.slice[0].disk, Disk { write_ceiling_kib_s: 64, ..Disk::default() });
    }

    #[test]
    fn the_line_has_a_ceiling_where_it_is_said_and_each_way_its_own() {
        // what is said, floor and ceiling up, floor and ceiling down
        for (said, up, down) in [
            ("[slice.uplink]\nceiling_kbit_s = 7\n", (0, 7), (0, 0)),
            ("[slice.uplink]\nfloor_kbit_s = 7\nceiling_kbit_s = 7\n", (7, 7), (0, 0)),
            ("[slice.downlink]\nfloor_kbit_s = 7\nceiling_kbit_s = 0\n", (0, 0), (7, 0)),
        ] {
            let slice = parse(&std::format!("{PLAIN}{said}")).unwrap().slice.remove(0);
            let both = |rate: Rate| (rate.floor_kbit_s, rate.ceiling_kbit_s);
            assert_eq!((both(slice.uplink), both(slice.downlink)), (up, down), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (what, from, to, words) in [
            ("version", "version = 1", "version = 7", "line 1: version"),
            ("floor", "floor_mib = 32", "floor_mib = 65", "line 8: memory.floor_mib: it is above"),
            (
                "floor of the disk",
                "[slice.memory]",
                "[slice.disk]\nfloor_permille = 1001\n[slice.memory]",
                "disk.floor_permille: at most 1000",
            ),
            (
                "ceiling of the disk",
                "[slice.memory]",
                "[slice.disk]\nread_ceiling_kib_s = 1023\n[slice.memory]",
                "line 8: disk.read_ceiling_kib_s: 1024 to",
            ),
            (
                "ceiling of writes",
                "[slice.memory]",
                "[slice.disk]\nwrite_ceiling_kib_s = 63\n[slice.memory]",
                "line 8: disk.write_ceiling_kib_s: 64 to",
            ),
            (
                "ceiling of the line",
                "[slice.memory]",
                "[slice.uplink]\nfloor_kbit_s = 8\nceiling_kbit_s = 7\n[slice.memory]",
                "uplink.floor_kbit_s: it is above the ceiling",
            ),
            (
                "the other one",
                "[slice.memory]",
                "[slice.downlink]\nfloor_kbit_s = 8\nceiling_kbit_s = 7\n[slice.memory]",
                "downlink.floor_kbit_s: it is above the ceiling",
            ),
            (
                "more than any line",
                "[slice.memory]",
                "[slice.uplink]\nceiling_kbit_s = 10000001\n[slice.memory]",
                "uplink: at most 10000000 kbit/s",
            ),
            ("another key", "[slice.memory]", "[slice.uplink]\nhigh_kbit_s = 7\n[slice.memory]", "unknown"),
        ] {
            let error = parse(&PLAIN.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
        }
        let twice = std::format!("{PLAIN}{}", PLAIN.replace("version = 1\n", ""));
        assert!(parse(&twice).unwrap_err().to_string().contains("two of one name"));
    }
}
