//! Frames of USP's Unix socket: a head, and values with a type and a length.
//!
//! In:  bytes of a stream, in pieces as they come. Out: [`Value`]s; and frames as bytes.
//!
//! ```text
//! "_USP"  length of the rest  │  type  length  value  │ …          lengths: four bytes, most significant first
//! ```
//! A stranger's frame has a limit, and its lengths have to add up. Types that are not known are left out (R-UDS.15).
//!
//! Source: TR-369 1.3 §4.6 (UDS binding, R-UDS.6 to R-UDS.15).

use std::fmt;

/// What every frame begins with.
const SYNC: [u8; 4] = *b"_USP";
/// The head: the sync word and the length.
const HEAD_BYTES: usize = 8;
/// A type and a length.
const VALUE_HEAD_BYTES: usize = 5;
/// Values of one frame.
const VALUES_MAX: usize = 8;

/// What is in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Who sends: an endpoint id.
    Handshake(String),
    /// What went wrong, in words; whoever hears it closes.
    Error(String),
    /// A record.
    Record(Vec<u8>),
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It does not begin as one.
    Sync,
    /// It is longer than this end takes.
    Large,
    /// Its lengths do not add up, it holds nothing or too much.
    Malformed,
    /// A text is not UTF-8.
    Text,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "frame: it does not begin with _USP",
            Self::Large => "frame: too long",
            Self::Malformed => "frame: its lengths do not add up",
            Self::Text => "frame: a text is not UTF-8",
        })
    }
}

impl std::error::Error for Error {}

/// Writes a frame with one value.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let (kind, bytes): (u8, &[u8]) = match value {
        Value::Handshake(text) => (1, text.as_bytes()),
        Value::Error(text) => (2, text.as_bytes()),
        Value::Record(record) => (3, record),
    };
    // Nothing of ours is as long as four bytes can say.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let head = u32::try_from(VALUE_HEAD_BYTES).unwrap_or(0);
    let mut frame = SYNC.to_vec();
    frame.extend(length.saturating_add(head).to_be_bytes());
    frame.push(kind);
    frame.extend(length.to_be_bytes());
    frame.extend_from_slice(bytes);
    frame
}

/// Reads the frame at the head of `bytes`, which goes on for at most `bytes_max`: its values, and how long it was. `None`: it is not
/// whole yet.
///
/// # Errors
/// [`Error`]: the other end is told, and that was the end.
pub fn read(bytes: &[u8], bytes_max: usize) -> Result<Option<(Vec<Value>, usize)>, Error> {
    let there = bytes.len().min(SYNC.len());
    if bytes.get(..there) != SYNC.get(..there) {
        return Err(Error::Sync);
    }
    let Some(length) = number(bytes, SYNC.len()) else { return Ok(None) };
    if length > bytes_max {
        return Err(Error::Large);
    }
    let end = HEAD_BYTES.saturating_add(length);
    let Some(mut rest) = bytes.get(HEAD_BYTES..end) else { return Ok(None) };
    let (mut values, mut count) = (Vec::new(), 0);
    while let Some((kind, _)) = rest.split_first() {
        count += 1;
        let length = number(rest, 1).filter(|_| count <= VALUES_MAX).ok_or(Error::Malformed)?;
        let end = VALUE_HEAD_BYTES.saturating_add(length);
        let value = rest.get(VALUE_HEAD_BYTES..end).ok_or(Error::Malformed)?;
        let text = || String::from_utf8(value.to_vec()).map_err(|_| Error::Text);
        values.extend(match kind {
            1 => Some(Value::Handshake(text()?)),
            2 => Some(Value::Error(text()?)),
            3 => Some(Value::Record(value.to_vec())),
            _ => None,
        });
        rest = rest.get(end..).unwrap_or_default();
    }
    if count == 0 { Err(Error::Malformed) } else { Ok(Some((values, end))) }
}

/// Four bytes at `place`.
fn number(bytes: &[u8], place: usize) -> Option<usize> {
    let four = bytes.get(place..place.checked_add(4)?)?;
    usize::try_from(u32::from_be_bytes(four.try_into().ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::{Error, Value, read, write};

    /// The handshake of the standard's own picture (TR-369 §4.6.2): `os::00256D-0123456789`.
    const HANDSHAKE: &[u8] = b"_USP\0\0\0\x1a\x01\0\0\0\x15os::00256D-0123456789";

    // Shows R-UDS.6, R-UDS.7, R-UDS.8, R-UDS.9, R-UDS.10, R-UDS.11, R-UDS.12, R-UDS.13, R-UDS.14.
    #[test]
    fn frames_are_written_and_read() {
        let hello = Value::Handshake("os::00256D-0123456789".to_owned());
        assert_eq!(write(&hello), HANDSHAKE);
        for value in [hello, Value::Error("no".to_owned()), Value::Record(vec![0; 300])] {
            let mut bytes = write(&value);
            let whole = bytes.len();
            bytes.extend(b"_US");
            assert_eq!(read(&bytes, 1000), Ok(Some((vec![value], whole))));
            for part in 0..whole {
                assert_eq!(read(&bytes[..part], 1000), Ok(None), "{part} of it");
            }
        }
    }

    // Shows R-UDS.15.
    #[test]
    fn what_is_none_is_refused() {
        let table: &[(&str, &[u8], Result<usize, Error>)] = &[
            ("another word", b"HTTP/1.1", Err(Error::Sync)),
            ("too long", b"_USP\0\0\x10\0", Err(Error::Large)),
            ("nothing in it", b"_USP\0\0\0\0", Err(Error::Malformed)),
            ("a value beyond its end", b"_USP\0\0\0\x06\x03\0\0\0\x09x", Err(Error::Malformed)),
            ("a cut head", b"_USP\0\0\0\x03\x03\0\0", Err(Error::Malformed)),
            ("no text", b"_USP\0\0\0\x06\x01\0\0\0\x01\xff", Err(Error::Text)),
            ("a type of tomorrow", b"_USP\0\0\0\x06\x63\0\0\0\x01x", Ok(0)),
            ("two values", b"_USP\0\0\0\x0c\x01\0\0\0\x01a\x03\0\0\0\x01b", Ok(2)),
        ];
        for (name, bytes, want) in table {
            let got = read(bytes, 1000).map(|frame| frame.unwrap().0.len());
            assert_eq!(got, *want, "{name}");
        }
        let many = [b"_USP\0\0\0\x2d".as_slice(), &[9, 0, 0, 0, 0].repeat(9)].concat();
        assert_eq!(read(&many, 1000), Err(Error::Malformed), "nine values");
    }
}
