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
    /// Their part of the line to the operator.
    #[serde(default)]
    pub uplink: Part,
    /// Their part of the line from him.
    #[serde(default)]
    pub downlink: Part,
}

/// A part of one direction of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Promised to the slice, in kbit/s (1000 bit/s) of frames with their Ethernet headers.
    #[serde(default)]
    pub floor_kbit_s: u32,
}

impl Slice {
    /// The first rule that it breaks, where it breaks one.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let rate = |part: Part| Rate { floor_kbit_s: part.floor_kbit_s, ceiling_kbit_s: 0 };
        let rates = rate_rules(rate(self.uplink), rate(self.downlink));
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
    use std::string::ToString;

    const PLAIN: &str =
        "version = 1\n[[slice]]\nname = \"demo\"\n[slice.cpu]\nfloor_permille = 100\nceiling_permille = 1000
[slice.memory]\nfloor_mib = 32\nceiling_mib = 64\n";

    #[test]
    fn a_slice_has_floors_and_ceilings() {
        let slices = parse(PLAIN).unwrap();
        let slice = &slices.slice[0];
        assert_eq!((slice.cpu.floor_permille, slice.memory.ceiling_mib), (100, 64));
        assert_eq!((slice.uplink.floor_kbit_s, slice.disk.floor_permille), (0, 0));
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
                "ceiling of a link",
                "[slice.memory]",
                "[slice.uplink]\nceiling_kbit_s = 7\n[slice.memory]",
                "unknown",
            ),
        ] {
            let error = parse(&PLAIN.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{what}: {error}");
        }
        let twice = std::format!("{PLAIN}{}", PLAIN.replace("version = 1\n", ""));
        assert!(parse(&twice).unwrap_err().to_string().contains("two of one name"));
    }
}
