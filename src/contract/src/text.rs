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
        /// The line of the key, from 1 on; 0: the key is not there.
        line: usize,
        /// The key, and what it may be.
        why: &'static str,
    },
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLarge { what, limit } => write!(f, "{what}: more than {limit} bytes"),
            Self::Text { what, why } => write!(f, "{what}: {why}"),
            Self::Rule { what, line: 0, why } => write!(f, "{what}: {why}"),
            Self::Rule { what, line, why } => write!(f, "{what}: line {line}: {why}"),
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
        Some(why) => Err(Error::Rule { what, line: line_of(text, why), why }),
    }
}

/// Is `text` of this version? `else_do` says what to do about another one. What is no TOML at all is left to [`parse`], which says more.
///
/// # Errors
/// [`Error::Rule`]: it is of another version, or does not say.
pub(crate) fn is_version(
    what: &'static str,
    text: &str,
    version: u32,
    else_do: &'static str,
) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: Option<i64>,
    }
    if text.len() > crate::limit::WANTED_BYTES {
        return Ok(());
    }
    match toml::from_str::<Head>(text) {
        Ok(Head { version: said }) if said != Some(i64::from(version)) => {
            Err(Error::Rule { what, line: line_of(text, "version:"), why: else_do })
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The line of the key that the words `why` begin with (`memory.floor_mib: …`), or of the last table on the way to it; 0: none.
fn line_of(text: &str, why: &str) -> usize {
    use toml::de::{DeTable, DeValue};
    let Ok(table) = DeTable::parse(text) else { return 0 };
    let path = why.split([':', ',']).next().unwrap_or_default();
    let (mut table, mut place) = (table.get_ref(), None);
    for part in path.split('.') {
        // A list of tables with one name has the table of `[[slice]]`; only where there is one is it clear which.
        let found = table.iter().find(|(key, _)| key.get_ref() == part).or_else(|| {
            let lists = table.iter().filter_map(|(_, value)| value.get_ref().as_array());
            let alone =
                lists.filter(|list| list.len() == 1).filter_map(|list| list.first()?.get_ref().as_table());
            alone.flat_map(|table| table.iter()).find(|(key, _)| key.get_ref() == part)
        });
        let Some((key, value)) = found else { break };
        place = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(list) => match list.iter().next().map(|first| first.get_ref()) {
                Some(DeValue::Table(inner)) => table = inner,
                Some(_) | None => break,
            },
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => break,
        }
    }
    place.map_or(0, |place| text.get(..place).unwrap_or_default().matches('\n').count() + 1)
}
