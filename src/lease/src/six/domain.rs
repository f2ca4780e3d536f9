//! A domain as name servers write it: each label behind its length, a zero at the end.
//!
//! In:  a text such as `home.arpa`. Out: bytes; `None` where it is no domain.
//!
//! Source: RFC 1035 §3.1; RFC 8106 §5.2 and RFC 8415 §10, which forbid that names are shortened.

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

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn a_domain_is_written_or_refused() {
        assert_eq!(write("home.arpa").as_deref(), Some(b"\x04home\x04arpa\x00".as_slice()));
        for name in ["", ".", "a..b", "home.", &"a".repeat(64)] {
            assert_eq!(write(name), None, "{name}");
        }
    }
}
