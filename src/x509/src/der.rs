//! A small writer and reader of DER: tag, length, what is in it.
//!
//! In:  pieces; or bytes that others wrote. Out: bytes; or pieces of them, within their bounds. This module is pure.
//!
//! Source: ITU-T X.690 §8 and §10.

/// INTEGER, BIT STRING, OCTET STRING, OBJECT IDENTIFIER, `UTF8String`, SEQUENCE, SET, `UTCTime`, `GeneralizedTime`, BOOLEAN.
pub mod tag {
    #![allow(missing_docs, reason = "each is named after its type in X.690")]
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OBJECT: u8 = 0x06;
    pub const UTF8: u8 = 0x0c;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// Context-specific 0 and 3, made of others; and 6 of `GeneralName`, plain: a URI (RFC 5280 §4.2.1.6).
    pub const EXPLICIT_0: u8 = 0xa0;
    pub const EXPLICIT_3: u8 = 0xa3;
    pub const URI: u8 = 0x86;
    /// Context-specific 0, plain: a key identifier (RFC 5280 §4.2.1.1).
    pub const PLAIN_0: u8 = 0x80;
}

/// One thing: `tag`, the length, and `parts` in a row.
#[must_use]
pub fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ ..0x80) => bytes.push(short),
        _ => {
            let long = length.to_be_bytes();
            let used: Vec<u8> = long.into_iter().skip_while(|byte| *byte == 0).collect();
            // At most eight of them.
            bytes.push(0x80 | u8::try_from(used.len()).unwrap_or(8));
            bytes.extend(used);
        }
    }
    bytes.extend(parts.iter().copied().flatten());
    bytes
}

/// A number that is not negative, from its bytes, the greatest first.
#[must_use]
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let used = bytes.get(first..).unwrap_or_default();
    // A zero before it where its first bit would make it negative; and nothing at all is zero.
    let zero: &[u8] = if used.first().is_none_or(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    wrap(tag::INTEGER, &[zero, used])
}

/// A row of bits, a whole number of bytes.
#[must_use]
pub fn bits(bytes: &[u8]) -> Vec<u8> {
    wrap(tag::BIT_STRING, &[&[0], bytes])
}

/// The next element: its tag, what is in it, what follows. `None`: cut, or longer than 65 535 bytes.
#[must_use]
pub fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(one, rest)| (usize::from(*one), rest))?,
        0x82 => {
            rest.split_first_chunk::<2>().map(|(two, rest)| (usize::from(u16::from_be_bytes(*two)), rest))?
        }
        _ => return None,
    };
    rest.split_at_checked(length).map(|(inside, after)| (tag, inside, after))
}

/// The next element with its tag and length, and what follows.
#[must_use]
pub fn whole(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, after) = element(der)?;
    der.split_at_checked(der.len().checked_sub(after.len())?)
}

#[cfg(test)]
mod tests {
    use super::{bits, integer, tag, wrap};

    #[test]
    fn lengths_and_numbers_are_in_their_shortest_form() {
        let table: &[(&str, Vec<u8>, &[u8])] = &[
            ("empty", wrap(tag::SEQUENCE, &[]), &[0x30, 0]),
            ("two parts", wrap(tag::SEQUENCE, &[&[1], &[2, 3]]), &[0x30, 3, 1, 2, 3]),
            ("zero", integer(&[0, 0]), &[2, 1, 0]),
            ("none", integer(&[]), &[2, 1, 0]),
            ("small", integer(&[0, 5]), &[2, 1, 5]),
            ("first bit", integer(&[0x80]), &[2, 2, 0, 0x80]),
            ("bits", bits(&[0xff]), &[3, 2, 0, 0xff]),
        ];
        for (name, got, want) in table {
            assert_eq!(got, want, "{name}");
        }
        for (length, head) in [
            (127_usize, &[4, 127][..]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            assert!(wrap(tag::OCTET_STRING, &[&vec![0; length]]).starts_with(head), "{length}");
        }
    }
}
