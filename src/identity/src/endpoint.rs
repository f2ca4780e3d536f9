//! The endpoint id: under which name a controller knows this gateway.
//!
//! In:  what the machine and the operator say of it ([`Facts`]). Out: an endpoint id. [`choose`] is pure; [`Facts::read`] reads files.
//!
//! `os::<OUI>-<serial>`, as TR-181's device has them: the operator's word first; then the maker's serial number; then the address of the
//! port to the operator. A machine that has none of these takes `self::` and a number of its key.
//!
//! Source: TR-369 §2.2 (authority schemes `os` and `self`, the letters of an instance id).

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use log::warn;
use serde::Deserialize;

/// The operator's word.
pub const DEVICE: &str = "/etc/shg/device.toml";
/// The wanted network: it names the port to the operator.
const NETWORK: &str = "/etc/shg/network.toml";
/// What is read of a file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Letters of an instance id. Source: TR-369, table of authority schemes.
const INSTANCE_MAX: usize = 50;
/// An OUI as TR-181 writes it: six digits.
const OUI_DIGITS: usize = 6;

/// What the operator may say in [`DEVICE`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The maker's OUI, six digits.
    #[serde(default)]
    pub oui: Option<String>,
    /// The serial number.
    #[serde(default)]
    pub serial: Option<String>,
}

/// What is known of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The operator's word.
    pub device: Device,
    /// The maker's serial number.
    pub serial: Option<String>,
    /// The address of the port to the operator.
    pub mac: Option<[u8; 6]>,
}

impl Facts {
    /// Reads them below `top`, which is `/` but in tests. What cannot be read is not known.
    #[must_use]
    pub fn read(top: &Path) -> Self {
        let at = |path: &str| top.join(path.trim_start_matches('/'));
        let device = match text(&at(DEVICE)).map(|text| toml::from_str(&text)) {
            None => Device::default(),
            Some(Ok(device)) => device,
            Some(Err(error)) => {
                warn!("{DEVICE}: not understood, so it says nothing: {}", error.message());
                Device::default()
            }
        };
        let wanted = text(&at(NETWORK)).and_then(|text| contract::wanted::parse(&text).ok());
        let mac = wanted.and_then(|wanted| {
            let address = at("/sys/class/net").join(wanted.wan.link.as_str()).join("address");
            text(&address).and_then(|text| mac(text.trim()))
        });
        // Only root may read it on most kernels: then it is not known.
        let serial = text(&at("/sys/class/dmi/id/product_serial")).and_then(|text| sane(&text));
        Self { device, serial, mac }
    }
}

/// A small text file; `None` where it cannot be read.
fn text(path: &PathBuf) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte =
            parts.next().filter(|part| part.len() == 2).and_then(|part| u8::from_str_radix(part, 16).ok())?;
    }
    (parts.next().is_none() && bytes != [0; 6] && bytes != [0xff; 6]).then_some(bytes)
}

/// Makers leave words in place of a number: those are the same on many machines.
fn sane(serial: &str) -> Option<String> {
    const WORDS: [&str; 8] =
        ["none", "unknown", "default", "filled", "serial", "oem", "not specified", "123456789"];
    let serial = serial.trim();
    let lower = serial.to_ascii_lowercase();
    let same = serial.chars().all(|letter| serial.starts_with(letter));
    let good = serial.len() >= 4 && !same && !WORDS.iter().any(|word| lower.contains(word));
    good.then(|| serial.to_owned())
}

/// The endpoint id of a machine of which `facts` are known and whose public key is `public`.
#[must_use]
pub fn choose(facts: &Facts, public: &[u8]) -> String {
    let of_mac = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02X}"); // Writing into a String does not fail.
            text
        })
    };
    let mac = facts.mac.map(|mac| of_mac(&mac));
    let oui = facts.device.oui.as_ref().map(|oui| oui.to_ascii_uppercase());
    let oui = oui.filter(|oui| oui.len() == OUI_DIGITS && oui.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let oui = oui.or_else(|| mac.as_ref().and_then(|mac| mac.get(..OUI_DIGITS)).map(str::to_owned));
    let serial = facts.device.serial.clone().filter(|serial| !serial.trim().is_empty());
    match (oui, serial.or_else(|| facts.serial.clone()).or(mac)) {
        (Some(oui), Some(serial)) => {
            format!("os::{oui}-{}", instance(&serial, INSTANCE_MAX - OUI_DIGITS - 1))
        }
        _ => {
            let number = ring::digest::digest(&ring::digest::SHA256, public);
            format!("self::{}", of_mac(number.as_ref().get(..16).unwrap_or_default()))
        }
    }
}

/// `text` in the letters that an instance id may have: letters, digits, `-`, `.`, `_`; others as `%` and two digits. At most `length`.
fn instance(text: &str, length: usize) -> String {
    let mut id = String::new();
    for byte in text.trim().bytes() {
        let piece = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        if id.len() + piece.len() > length {
            break;
        }
        id.push_str(&piece);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::{Device, Facts, INSTANCE_MAX, choose, mac, sane};

    // Shows R-ARC.2a, R-ARC.4, R-ARC.5, R-ARC.6.
    #[test]
    fn the_best_name_that_there_is() {
        let mac = Some([0x00, 0x19, 0xcb, 0x0a, 0x0b, 0x0c]);
        let device = |oui: &str, serial: &str| Device {
            oui: Some(oui.to_owned()).filter(|oui| !oui.is_empty()),
            serial: Some(serial.to_owned()).filter(|serial| !serial.is_empty()),
        };
        let facts = |device, serial: &str, mac| Facts { device, serial: sane(serial), mac };
        let table = [
            ("the port", facts(Device::default(), "", mac), "os::0019CB-0019CB0A0B0C"),
            ("the maker's", facts(Device::default(), "S 1/23\n", mac), "os::0019CB-S%201%2F23"),
            ("a word", facts(Device::default(), "To be filled by O.E.M.", mac), "os::0019CB-0019CB0A0B0C"),
            ("the operator's", facts(device("a1b2c3", "0042"), "S 123", mac), "os::A1B2C3-0042"),
            ("his number only", facts(device("", "0042"), "", mac), "os::0019CB-0042"),
            ("his OUI only", facts(device("A1B2C3", ""), "", mac), "os::A1B2C3-0019CB0A0B0C"),
            ("no OUI", facts(device("A1B2", ""), "", mac), "os::0019CB-0019CB0A0B0C"),
            ("nothing", Facts::default(), "self::BA7816BF8F01CFEA414140DE5DAE2223"),
            (
                "a number without an OUI",
                facts(device("", "7777"), "", None),
                "self::BA7816BF8F01CFEA414140DE5DAE2223",
            ),
        ];
        for (name, facts, want) in table {
            assert_eq!(choose(&facts, b"abc"), want, "{name}");
        }
        let long = choose(&facts(device("A1B2C3", &"9/".repeat(99)), "", None), b"");
        assert!(long.len() <= contract::identify::ENDPOINT_BYTES, "{long}");
        assert!(!long.ends_with('%') && !long.ends_with("%2"), "{long}");
        let (scheme, instance) = long.split_once("::").unwrap();
        assert!(scheme == "os" && instance.len() <= INSTANCE_MAX, "{long}");
    }

    #[test]
    fn addresses_and_numbers_that_are_none() {
        for text in [
            "",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "1:2:3:4:5:6",
            "00:11:22:33:44",
            "00:11:22:33:44:55:66",
        ] {
            assert_eq!(mac(text), None, "{text}");
        }
        for text in ["", "0", "00000000", "None", "Default string", "System Serial Number", "123456789"] {
            assert_eq!(sane(text), None, "{text}");
        }
    }
}
