//! Reading what a person wrote: TOML, within limits, checked at once. Only with the feature `text`.
//!
//! In:  a text, its limit, its rules. Out: a type that keeps its own bounds, or why not.
//!
//! Not here: which rules there are (`manifest.rs`, `wanted.rs`).

use std::string::{String, ToString};

use serde::de::DeserializeOwned;

/// Why a text is not taken. `what` is the text's name, such as `network.toml`; nothing is taken from a text that has a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is longer than this, in bytes.
    TooLarge {
        /// The text.
        what: &'static str,
        /// Its limit, in bytes.
        limit: usize,
    },
    /// Not TOML, an unknown key, a wrong type: the parser's words, with line and column.
    Text {
        /// The text.
        what: &'static str,
        /// The words.
        why: String,
    },
    /// It contradicts itself or leaves its limits: which key and why.
    Rule {
        /// The text.
        what: &'static str,
        /// The key, and what it may be.
        why: &'static str,
    },
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLarge { what, limit } => write!(f, "{what}: more than {limit} bytes"),
            Self::Text { what, why } => write!(f, "{what}: {why}"),
            Self::Rule { what, why } => write!(f, "{what}: {why}"),
        }
    }
}

impl core::error::Error for Error {}

/// Reads `text`, which is called `what` and has at most `limit` bytes. `broken` names the first rule that the outcome breaks.
///
/// # Errors
/// See [`Error`].
pub(crate) fn parse<T: DeserializeOwned>(
    what: &'static str,
    limit: usize,
    text: &str,
    broken: impl FnOnce(&T) -> Option<&'static str>,
) -> Result<T, Error> {
    if text.len() > limit {
        return Err(Error::TooLarge { what, limit });
    }
    let read: T = toml::from_str(text).map_err(|error| Error::Text { what, why: error.to_string() })?;
    match broken(&read) {
        None => Ok(read),
        Some(why) => Err(Error::Rule { what, why }),
    }
}
