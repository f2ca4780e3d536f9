//! Names as they stand in a message: labels with their lengths in front, the root last.
//!
//! In:  bytes, texts. Out: names in lower case, relations between them, the addresses that reverse names stand for.
//!
//! Lower-casing all bytes of a name is right: a length is at most 63, and letters begin at 65.
//!
//! Source: RFC 1035 §3.1, §4.1.4 (compression), §3.5 (in-addr.arpa); RFC 3596 §2.5 (ip6.arpa); RFC 4343 (case).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::prefix::Prefix;
use heapless::Vec;

/// The longest name, in bytes, with its lengths and the root. Source: RFC 1035 §2.3.4.
pub const NAME_BYTES: usize = 255;
/// The longest label. Source: RFC 1035 §2.3.4.
pub const LABEL_BYTES: usize = 63;

/// A name of one's own.
pub type Name = Vec<u8, NAME_BYTES>;

/// The bytes of the name at the head of `bytes`, which may not be compressed.
#[must_use]
pub fn plain(bytes: &[u8]) -> Option<&[u8]> {
    let mut place = 0;
    loop {
        let length = usize::from(*bytes.get(place)?);
        if length > LABEL_BYTES {
            return None;
        }
        place += 1 + length;
        if place > NAME_BYTES {
            return None;
        }
        if length == 0 {
            return bytes.get(..place);
        }
    }
}

/// The place behind the name at `place`. A pointer has to lead backwards, and a name that ends in one is not followed: this only skips.
#[must_use]
pub fn behind(message: &[u8], place: usize) -> Option<usize> {
    let mut at = place;
    loop {
        let first = *message.get(at)?;
        match first >> 6 {
            0 if first == 0 => return Some(at + 1),
            0 => at += 1 + usize::from(first),
            3 => {
                let low = *message.get(at + 1)?;
                let target = usize::from(first & 0x3f) << 8 | usize::from(low);
                return (target < at).then_some(at + 2);
            }
            _ => return None, // RFC 6891 §5: reserved.
        }
        if at - place > NAME_BYTES {
            return None;
        }
    }
}

/// The labels of a plain name, the first one first.
pub fn labels(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first().filter(|(length, _)| **length != 0)?;
        let (label, behind) = behind.split_at_checked(usize::from(*length))?;
        rest = behind;
        Some(label)
    })
}

/// Is `name` the zone, or below it? Both in lower case.
#[must_use]
pub fn is_below(name: &[u8], zone: &[u8]) -> bool {
    let mut rest = name;
    loop {
        if rest == zone {
            return true;
        }
        let Some((length, behind)) = rest.split_first().filter(|(length, _)| **length != 0) else {
            return false;
        };
        let Some(behind) = behind.get(usize::from(*length)..) else { return false };
        rest = behind;
    }
}

/// The name that `text` writes, in lower case; a point at its end may stand there or not. `None`: it is none.
#[must_use]
pub fn of(text: &str) -> Option<Name> {
    let mut name = Name::new();
    let text = text.strip_suffix('.').unwrap_or(text);
    for label in text.split('.').filter(|_| !text.is_empty()) {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        name.push(length).ok()?;
        name.extend_from_slice(label.as_bytes()).ok()?;
    }
    name.push(0).ok()?;
    name.make_ascii_lowercase();
    Some(name)
}

/// `label` in `zone`.
#[must_use]
pub fn join(label: &[u8], zone: &[u8]) -> Option<Name> {
    let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
    let mut name = Name::new();
    name.push(length).ok()?;
    name.extend_from_slice(label).ok()?;
    name.extend_from_slice(zone).ok()?;
    name.make_ascii_lowercase();
    Some(name)
}

/// What the reverse name stands for: an address, or those that begin alike where labels are left off.
#[must_use]
pub fn reverse(name: &[u8]) -> Option<Prefix> {
    let mut words: Vec<&[u8], 36> = Vec::new();
    for label in labels(name) {
        words.push(label).ok()?;
    }
    let mut words = words.iter().rev();
    if words.next() != Some(&&b"arpa"[..]) {
        return None;
    }
    match *words.next()? {
        b"in-addr" => {
            let (mut octets, mut count) = ([0; 4], 0_u8);
            for word in words {
                *octets.get_mut(usize::from(count))? = std::str::from_utf8(word).ok()?.parse().ok()?;
                count += 1;
            }
            Some(Prefix::new(Ipv4Addr::from(octets).into(), count * 8))
        }
        b"ip6" => {
            let (mut bits, mut count) = (0_u128, 0_u8);
            for word in words {
                let digit = std::str::from_utf8(word).ok().filter(|word| word.len() == 1)?;
                let digit = u128::from_str_radix(digit, 16).ok().filter(|_| count < 32)?;
                count += 1;
                bits |= digit << (128 - 4 * u32::from(count));
            }
            Some(Prefix::new(Ipv6Addr::from_bits(bits).into(), count * 4))
        }
        _ => None,
    }
}

/// The address that a reverse name stands for, where it is one.
#[must_use]
pub fn reverse_address(name: &[u8]) -> Option<IpAddr> {
    let prefix = reverse(name)?;
    let whole = if prefix.is_ipv4() { 32 } else { 128 };
    (prefix.length() == whole).then(|| prefix.first())
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES, behind, is_below, labels, of, plain, reverse};

    #[test]
    fn a_plain_name_ends_within_its_bytes() {
        let table: [(&str, &[u8], Option<usize>); 7] = [
            ("root", b"\0more", Some(1)),
            ("one", b"\x01a\0", Some(3)),
            ("cut", b"\x01a", None),
            ("label cut", b"\x05ab\0", None),
            ("pointer", b"\xc0\x0c", None),
            ("reserved", b"\x40\0", None),
            ("nothing", b"", None),
        ];
        for (what, bytes, length) in table {
            assert_eq!(plain(bytes).map(<[u8]>::len), length, "{what}");
        }
        let mut long: Vec<u8> = [&[63_u8][..], &[b'a'; 63]].concat().repeat(4);
        long.push(0);
        assert!(long.len() > NAME_BYTES && plain(&long).is_none(), "too long");
    }

    #[test]
    fn a_pointer_leads_backwards() {
        let table: [(&str, &[u8], usize, Option<usize>); 5] = [
            ("backwards", b"\x01a\0\xc0\x00", 3, Some(5)),
            ("behind a label", b"\x01a\0\x01b\xc0\x00", 3, Some(7)),
            ("at itself", b"\xc0\x00", 0, None),
            ("forwards", b"\xc0\x05\0\0\0\0", 0, None),
            ("cut", b"\0\xc0", 1, None),
        ];
        for (what, bytes, place, wanted) in table {
            assert_eq!(behind(bytes, place), wanted, "{what}");
        }
    }

    #[test]
    fn names_are_below_others_by_whole_labels() {
        let [host, zone, other] = ["Host.Home.arpa", "home.arpa.", "ome.arpa"].map(|text| of(text).unwrap());
        assert!(is_below(&host, &zone) && is_below(&zone, &zone) && is_below(&host, &of("").unwrap()));
        assert!(!is_below(&host, &other) && !is_below(&zone, &host));
        assert_eq!(labels(&host).collect::<Vec<_>>(), [&b"host"[..], b"home", b"arpa"]);
        for text in ["a..b", ".", &"a".repeat(64)] {
            assert_eq!(of(text).is_some(), text == ".", "{text}");
        }
    }

    #[test]
    fn reverse_names_are_prefixes() {
        let table = [
            ("1.2.168.192.in-addr.arpa", Some("192.168.2.1/32")),
            ("168.192.in-addr.arpa", Some("192.168.0.0/16")),
            ("in-addr.arpa", Some("0.0.0.0/0")),
            ("d.f.ip6.arpa", Some("fd00::/8")),
            ("256.1.in-addr.arpa", None),
            ("1.2.3.4.5.in-addr.arpa", None),
            ("xy.ip6.arpa", None),
            ("home.arpa", None),
            ("example", None),
        ];
        for (text, wanted) in table {
            assert_eq!(reverse(&of(text).unwrap()), wanted.map(|prefix| prefix.parse().unwrap()), "{text}");
        }
    }
}
