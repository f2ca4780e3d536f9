//! A domain as name servers write it: each label behind its length, a zero at the end.
//!
//! In:  a text such as `home.arpa`, or bytes. Out: bytes, or a text; `None` where it is no domain.
//!
//! Source: RFC 1035 §3.1; RFC 8106 §5.2 and RFC 8415 §10, which forbid that names are shortened.

use contract::name::Text;
use heapless::Vec;

/// The longest name that we say: a text of 63 bytes, a length in front, a zero behind.
pub const BYTES: usize = 65;

/// Writes `name`.
#[must_use]
pub fn write(name: &str) -> Option<Vec<u8, BYTES>> {
    let mut out = Vec::new();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length).ok()?;
        out.extend_from_slice(label.as_bytes()).ok()?;
    }
    out.push(0).ok()?;
    Some(out)
}

/// Reads the first of several names; `None`: it is none, or longer than a text holds.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Option<Text<63>> {
    let mut name: Vec<u8, BYTES> = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        match (label.is_empty(), name.is_empty()) {
            (true, _) => break,
            (false, true) => {}
            (false, false) => name.push(b'.').ok()?,
        }
        // A dot within a label would be another name.
        let is_plain = label.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
        name.extend_from_slice(label).ok().filter(|()| is_plain)?;
        bytes = rest;
    }
    str::from_utf8(&name).ok().filter(|name| (1..=63).contains(&name.len())).map(Text::from)
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn a_domain_is_written_or_refused() {
        assert_eq!(write("home.arpa").as_deref(), Some(b"\x04home\x04arpa\x00".as_slice()));
        let two = [write("isp.example").unwrap(), write("other").unwrap()].concat();
        assert_eq!(read(&two).as_deref(), Some("isp.example"), "the first one");
        let long = [&[63_u8][..], &[b'a'; 63], &[1, b'b', 0]].concat();
        let bad: [&[u8]; 7] = [b"", b"\0", b"\x03isp", b"\x09isp\0", b"\x03i.p\0", b"\xc0\x0c", &long];
        for bytes in bad {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
        for name in ["", ".", "a..b", "home.", &"a".repeat(64)] {
            assert_eq!(write(name), None, "{name}");
        }
    }
}
