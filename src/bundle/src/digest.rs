//! SHA-256, as everything here is named by.
//!
//! Source: FIPS 180-4; OCI image-spec, descriptor.md (digests).

use std::fmt;
use std::io::{self, Read};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a digest begins with, as text.
const ALGORITHM: &str = "sha256:";

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = Sum::default();
        sum.take(bytes);
        sum.end()
    }

    /// Of all that `source` has, and how much that is, in bytes.
    ///
    /// # Errors
    /// What reading says.
    pub fn of_all(source: &mut dyn Read) -> io::Result<(Self, u64)> {
        let mut sum = Sum::default();
        let mut buffer = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            let count = source.read(&mut buffer)?;
            let Some(part @ [_, ..]) = buffer.get(..count) else { return Ok((sum.end(), total)) };
            sum.take(part);
            total += u64::try_from(count).unwrap_or(0);
        }
    }

    /// Reads `sha256:` and 64 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text.strip_prefix(ALGORITHM)?).map(Self)
    }

    /// The 64 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// `bytes` as hexadecimal digits in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads hexadecimal digits in lower case, `N` bytes of them.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// A digest while it is being computed.
#[derive(Clone)]
pub struct Sum(Context);

impl Default for Sum {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum")
    }
}

impl Sum {
    /// Takes more bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// All are there.
    #[must_use]
    pub fn end(self) -> Digest {
        let mut digest = Digest([0; 32]);
        digest.0.iter_mut().zip(self.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.hex())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a digest is sha256: and 64 digits of 0-9a-f"))
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_is_written_and_read() {
        // `printf abc | sha256sum`
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(Digest::parse(text), Some(Digest::of(b"abc")));
        assert_eq!(Digest::of_all(&mut &b"abc"[..]).unwrap(), (Digest::of(b"abc"), 3));
        for bad in ["", "sha256:", &text[1..], &text[..70], &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(Digest::parse(bad), None, "{bad}");
        }
    }
}
