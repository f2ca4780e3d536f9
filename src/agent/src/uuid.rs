//! What a deployment unit is called everywhere: a UUID made of its name and its maker's.
//!
//! In:  names. Out: a UUID, version 5, as text.
//!
//! Source: TR-181 2.19.1, Annex C; RFC 4122 §4.3.

use std::fmt::Write;

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// The name space of host names. Source: RFC 4122, Appendix C.
const NAME_SPACE: [u8; 16] =
    [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
/// Letters of a UUID.
const LETTERS: usize = 36;

/// The UUID of `name` of `vendor`: of `name.vendor.`; our names need no percent-encoding.
#[must_use]
pub fn of(name: &str, vendor: &str) -> String {
    version_5(&format!("{name}.{vendor}."))
}

fn version_5(name: &str) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&NAME_SPACE);
    context.update(name.as_bytes());
    let mut text = String::with_capacity(LETTERS);
    for (place, byte) in context.finish().as_ref().iter().take(16).enumerate() {
        let byte = match place {
            6 => (byte & 0x0f) | 0x50,
            8 => (byte & 0x3f) | 0x80,
            _ => *byte,
        };
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}"); // a String takes everything
    }
    text
}

/// `text` is a UUID; lower case, as it is compared.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let good = text.len() == LETTERS
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    good.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{of, read, version_5};

    #[test]
    fn a_uuid_is_what_others_make_of_the_name() {
        // Said by python3: uuid.uuid5(uuid.NAMESPACE_DNS, name).
        assert_eq!(version_5("www.example.org."), "3f6e983d-db03-592b-88fa-75008ba02b13");
        assert_eq!(of("sample1", "broadband-forum.org"), "fe2d23bd-dd02-51b8-af04-f5c18b2b0aa6");
        assert_eq!(read(&of("a", "b").to_uppercase()), Some(of("a", "b")));
        for none in
            ["", "886313e1", "886313e1-3b8a-5372-9b90+0c9aee199e5d", "886313e1-3b8a-5372-9b90-0c9aee199e5dd"]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
