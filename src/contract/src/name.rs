//! Names and short texts: checked once, where they come in; bounded by type.
//!
//! A `Name` becomes a folder, a cgroup, a link's label, a log tag, so it holds only what is harmless in all of them.
//!
//! Source: none; the alphabet is that of a DNS label (RFC 1123 §2.1), lower case.

use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limit::NAME_BYTES;

/// The name of a service, provider or daemon: 1 to [`NAME_BYTES`] of `a-z`, `0-9`, `-`; it begins with a letter and does not end
/// with `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(heapless::String<NAME_BYTES>);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing in it.
    Empty,
    /// More than [`NAME_BYTES`] bytes.
    TooLong,
    /// A letter outside of the alphabet, or in a place where it may not stand.
    Letter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "name: it is empty"),
            Self::TooLong => write!(f, "name: more than {NAME_BYTES} bytes"),
            Self::Letter => write!(f, "name: only a-z, 0-9 and '-', a letter first, no '-' last"),
        }
    }
}

impl core::error::Error for NameError {}

impl Name {
    /// Takes `text` for a name if it is one.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let bytes = text.as_bytes();
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return Err(NameError::Empty) };
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        if !first.is_ascii_lowercase() || *last == b'-' || !bytes.iter().all(plain) {
            return Err(NameError::Letter);
        }
        heapless::String::try_from(text).map(Self).map_err(|_| NameError::TooLong)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = heapless::String::<NAME_BYTES>::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

/// A text of at most `N` bytes, cut at a letter's edge where it would be longer. For words to a person.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text<const N: usize>(heapless::String<N>);

impl<const N: usize> Text<N> {
    /// Formats `arguments`; what does not fit is left off.
    #[must_use]
    pub fn format(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self(heapless::String::new());
        // `write_str` below never fails, so neither does this.
        let _ = fmt::Write::write_fmt(&mut text, arguments);
        text
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            if self.0.push(letter).is_err() {
                break; // Full: the rest is left off, which is what the type promises.
            }
        }
        Ok(())
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        Self::format(format_args!("{text}"))
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_harmless_everywhere() {
        let table: &[(&str, &str, Option<NameError>)] = &[
            ("plain", "hello", None),
            ("digits and dash", "cam-2", None),
            ("longest", "abcdefghijklmnopqrstuvwx", None),
            ("empty", "", Some(NameError::Empty)),
            ("too long", "abcdefghijklmnopqrstuvwxy", Some(NameError::TooLong)),
            ("digit first", "2cam", Some(NameError::Letter)),
            ("dash last", "cam-", Some(NameError::Letter)),
            ("upper case", "Hello", Some(NameError::Letter)),
            ("path", "../etc", Some(NameError::Letter)),
            ("slash", "a/b", Some(NameError::Letter)),
            ("nul", "a\0", Some(NameError::Letter)),
        ];
        for (what, text, error) in table {
            assert_eq!(Name::new(text).err(), *error, "{what}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_letters_edge() {
        assert_eq!(Text::<4>::from("abcäx").as_str(), "abc");
        assert_eq!(Text::<5>::from("abcäx").as_str(), "abcä");
    }
}
