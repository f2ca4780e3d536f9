//! The USP controller that a DHCP server names, and how it is asked for one; who we are, for a server that is to know.
//!
//! In:  what came in DHCPv4's options 125 and 43, or DHCPv6's 17. Out: a [`Controller`], its words as they came; what is said in options 124 and 16.
//!
//! What is too long or no text is passed over; so are other enterprises' words. Option 43, which has no enterprise in it and no word in TR-369,
//! is for servers that can say nothing else: it counts where 125 names nobody, with the same words.
//!
//! Not here: whether anybody obeys it (`agent`).
//!
//! Source: TR-369 1.4, "Use of DHCP for Acquiring Controller Information" (R-DIS.1 to R-DIS.1c); RFC 3925 §3, §4; RFC 2132
//! §8.4 (43); RFC 8415 §21.16, §21.17.

use contract::identify::{PRODUCT_CLASS, device};
use contract::leases::Controller;
use contract::name::Text;
use heapless::Vec;

use crate::message::VENDOR_BYTES;
use crate::options::code;

/// The Broadband Forum's number.
const ENTERPRISE: [u8; 4] = 3561_u32.to_be_bytes();
/// Its words. Source: TR-369, "DHCP Options for Controller Discovery".
const URL: u16 = 25;
const PROVISIONING_CODE: u16 = 26;
const RETRY_MINIMUM_S: u16 = 27;
const RETRY_MULTIPLIER: u16 = 28;
const ENDPOINT: u16 = 29;

/// Who we are. Source: TR-369, "DHCP Encapsulated Vendor-Specific Option-Data fields for DHCP requests"; with DHCPv6 ten more each.
const OUI: u8 = 1;
const SERIAL: u8 = 2;
const PRODUCT: u8 = 3;
const OF_DHCPV6: u8 = 10;

/// Who we are, as it stands in options: the maker's OUI, the serial number, the product class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Of DHCPv4's option 125, behind the number of the enterprise and a length; empty: nobody is told.
    pub narrow: Vec<u8, VENDOR_BYTES>,
    /// Of DHCPv6's 17.
    pub wide: Vec<u8, VENDOR_BYTES>,
}

impl Device {
    /// The one of this endpoint id. `None`: it has no serial number, or one that is too long.
    #[must_use]
    pub fn of(endpoint: &str) -> Option<Self> {
        let (oui, serial) = device(endpoint)?;
        let (mut words, mut wide) = (Vec::<u8, VENDOR_BYTES>::new(), Vec::<u8, VENDOR_BYTES>::new());
        wide.extend_from_slice(&ENTERPRISE).ok()?;
        for (code, word) in [(OUI, oui), (SERIAL, serial), (PRODUCT, PRODUCT_CLASS)] {
            let length = u8::try_from(word.len()).ok()?;
            words.extend_from_slice(&[code, length]).ok()?;
            words.extend_from_slice(word.as_bytes()).ok()?;
            wide.extend_from_slice(&[0, code.saturating_add(OF_DHCPV6), 0, length]).ok()?;
            wide.extend_from_slice(word.as_bytes()).ok()?;
        }
        let mut narrow: Vec<u8, VENDOR_BYTES> = Vec::from_slice(&ENTERPRISE).ok()?;
        narrow.push(u8::try_from(words.len()).ok()?).ok()?;
        narrow.extend_from_slice(&words).ok()?;
        Some(Self { narrow, wide })
    }
}

/// What option 124 holds: the number, the length of what is behind it, `usp` after its own length.
pub const CLASS: [u8; 9] = *b"\0\0\x0d\xe9\x04\x03usp";
/// What DHCPv6's option 16 holds.
pub const CLASS_6: [u8; 9] = *b"\0\0\x0d\xe9\0\x03usp";

/// The controller in option 125. `None`: there is none.
#[must_use]
pub fn of_option(mut bytes: &[u8]) -> Option<Controller> {
    while let Some((enterprise, rest)) = bytes.split_first_chunk::<4>() {
        let (data, behind) = counted(rest)?;
        if *enterprise == ENTERPRISE {
            return controller(Words(data, narrow));
        }
        bytes = behind;
    }
    None
}

/// The controller in option 43. `None`: there is none.
#[must_use]
pub fn of_plain_option(bytes: &[u8]) -> Option<Controller> {
    controller(Words(bytes, padded))
}

/// The controller in one DHCPv6 option 17.
#[must_use]
pub fn of_option_6(bytes: &[u8]) -> Option<Controller> {
    controller(Words(bytes.strip_prefix(&ENTERPRISE)?, wide))
}

/// A word's number, the word, and what follows.
type Word<'b> = Option<(u16, &'b [u8], &'b [u8])>;

/// Numbered words, one after another: how one is read.
struct Words<'b>(&'b [u8], fn(&[u8]) -> Word<'_>);

impl<'b> Iterator for Words<'b> {
    type Item = (u16, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (code, value, rest) = self.1(self.0)?;
        self.0 = rest;
        Some((code, value))
    }
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn narrow(bytes: &[u8]) -> Word<'_> {
    let (code, rest) = bytes.split_first()?;
    let (value, rest) = counted(rest)?;
    Some((u16::from(*code), value, rest))
}

/// As [`narrow`], with what may stand between words, and an end. Source: RFC 2132 §8.4.
fn padded(mut bytes: &[u8]) -> Word<'_> {
    while let Some((&code::PAD, rest)) = bytes.split_first() {
        bytes = rest;
    }
    narrow(bytes).filter(|(number, ..)| *number != u16::from(code::END))
}

fn wide(bytes: &[u8]) -> Word<'_> {
    let (&[c0, c1, l0, l1], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((u16::from_be_bytes([c0, c1]), value, rest))
}

fn controller(words: Words<'_>) -> Option<Controller> {
    let mut found = Controller::default();
    for (word, value) in words {
        match word {
            URL => take(&mut found.url, value),
            PROVISIONING_CODE => take(&mut found.provisioning_code, value),
            RETRY_MINIMUM_S => take(&mut found.retry_minimum_s, value),
            RETRY_MULTIPLIER => take(&mut found.retry_multiplier, value),
            ENDPOINT => take(&mut found.endpoint, value),
            _ => {}
        }
    }
    (!found.url.is_empty()).then_some(found)
}

/// The domain in option 15, under which DNS may know a controller; empty: none.
#[must_use]
pub fn domain(value: &[u8]) -> Text<63> {
    let mut found = Text::default();
    take(&mut found, value);
    found
}

/// Takes a word, without the zero at its end (R-DIS.1c).
fn take<const N: usize>(word: &mut Text<N>, value: &[u8]) {
    let value = value.strip_suffix(&[0]).unwrap_or(value);
    let text =
        str::from_utf8(value).ok().filter(|text| text.len() <= N && !text.chars().any(char::is_control));
    if let Some(text) = text {
        *word = text.into();
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, of_option, of_option_6, of_plain_option};

    #[test]
    fn who_we_are_is_words_of_the_same_enterprise() {
        let one = Device::of("os::00D09E-4711").unwrap();
        assert_eq!(one.narrow, b"\0\0\x0d\xe9\x13\x01\x0600D09E\x02\x044711\x03\x03SHG"[..]);
        assert_eq!(one.wide, b"\0\0\x0d\xe9\0\x0b\0\x0600D09E\0\x0c\0\x044711\0\x0d\0\x03SHG"[..]);
        assert_eq!(Device::of("self::4711"), None, "nobody has made it");
        assert_eq!(Device::of(&format!("os::00D09E-{}", "7".repeat(80))), None, "too long");
    }

    // Shows R-DIS.1a, R-DIS.1b, R-DIS.1c.
    #[test]
    fn words_are_texts() {
        let narrow = |words: &[(u8, &[u8])]| {
            let data: std::vec::Vec<u8> = words
                .iter()
                .flat_map(|(code, value)| [&[*code, u8::try_from(value.len()).unwrap()], *value].concat())
                .collect();
            [&b"\0\0\x0d\xe9"[..], &[u8::try_from(data.len()).unwrap()], &data].concat()
        };
        let url: &[u8] = b"wss://usp.isp.example/usp";
        // what, bytes, the URL and how long a notification waits
        type Found<'f> = Option<(&'f str, &'f str)>;
        let table: [(&str, std::vec::Vec<u8>, Found<'_>); 9] = [
            ("a URL", narrow(&[(25, url)]), Some(("wss://usp.isp.example/usp", ""))),
            ("a name", narrow(&[(25, b"isp.example")]), Some(("isp.example", ""))),
            ("a zero at the end", narrow(&[(25, b"isp.example\0")]), Some(("isp.example", ""))),
            ("numbers as texts", narrow(&[(25, url), (27, b"5")]), Some(("wss://usp.isp.example/usp", "5"))),
            ("no number", narrow(&[(25, url), (27, &[0, 5])]), Some(("wss://usp.isp.example/usp", ""))),
            (
                "another's first",
                [&b"\0\0\0\x09\x02\x19\0"[..], &narrow(&[(25, url)])].concat(),
                Some(("wss://usp.isp.example/usp", "")),
            ),
            ("no URL", narrow(&[(29, b"self::c")]), None),
            ("no text", narrow(&[(25, b"\xff\xfe")]), None),
            ("too long", narrow(&[(29, &[b'a'; 100]), (25, b"x")]), Some(("x", ""))),
        ];
        for (what, bytes, want) in table {
            let found = of_option(&bytes);
            let found = found.as_ref().map(|found| (found.url.as_str(), found.retry_minimum_s.as_str()));
            assert_eq!(found, want, "{what}");
            for cut in 0..bytes.len() {
                let _ = of_option(&bytes[..cut]);
            }
        }
        let url = |bytes: &[u8]| of_plain_option(bytes).map(|found| found.url.as_str().to_owned());
        let plain: [(&[u8], Option<&str>); 5] = [
            (b"\x19\x0bisp.example", Some("isp.example")),
            (b"\x01\x02ab\0\0\x19\x0bisp.example\xff", Some("isp.example")),
            (b"\xff\x19\x0bisp.example", None),
            (b"\x19\x0cisp.example", None),
            (b"\0\0", None),
        ];
        for (bytes, want) in plain {
            assert_eq!(url(bytes).as_deref(), want, "{bytes:?}");
        }
        let six = [&b"\0\0\x0d\xe9\0\x19\0\x0bisp.example\0\x1d\0\x07self::c"[..]].concat();
        let found = of_option_6(&six).unwrap();
        assert_eq!((found.url.as_str(), found.endpoint.as_str()), ("isp.example", "self::c"));
        assert_eq!(of_option_6(b"\0\0\0\x09\0\x19\0\x01x"), None);
    }
}
