//! The operator's word about where bundles come from.
//!
//! In:  `/etc/shg/package.toml` of the image, or `/data/state/package.toml` in its place. Out: a [`Word`], checked.
//!
//! ```toml
//! plain_http = ["192.168.1.9:5000"]   # registries that are spoken with without TLS: for tests, or behind a line of the operator's own
//! silence_s = 30                      # a registry that says nothing for so long is given up
//! ```
//!
//! Not here: whose bundles count (docs/keys.md); whom TLS believes (`trust`).

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use serde::Deserialize;

use crate::url::Origin;

/// The image's.
pub const SHIPPED: &str = "/etc/shg/package.toml";
/// What is read of a file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Registries without TLS.
const PLAIN_MAX: usize = 8;
/// The longest silence that makes sense, in seconds.
const SILENCE_S_MAX: u64 = 600;

/// What the operator says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Word {
    /// `HOST:PORT` of registries that are spoken with without TLS.
    pub plain_http: Vec<String>,
    /// How long a registry may say nothing, in seconds.
    pub silence_s: u64,
}

impl Default for Word {
    fn default() -> Self {
        Self { plain_http: Vec::new(), silence_s: crate::watch::SILENCE.as_secs() }
    }
}

/// Why a word is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "package.toml: {}", self.0)
    }
}

impl std::error::Error for Fault {}

/// The word in the first of `paths` that is there; without one nothing is allowed that is not by itself.
///
/// # Errors
/// [`Fault`]: it makes no sense.
pub fn read(paths: &[PathBuf]) -> Result<Word, Fault> {
    for path in paths {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Fault(format!("{}: {error}", path.display()))),
        };
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| Fault(format!("{}: {error}", path.display())))?;
        return parse(&text);
    }
    Ok(Word::default())
}

/// Reads a word.
///
/// # Errors
/// [`Fault`].
pub fn parse(text: &str) -> Result<Word, Fault> {
    let word: Word = toml::from_str(text).map_err(|error| Fault(error.to_string().replace('\n', " ")))?;
    if word.plain_http.len() > PLAIN_MAX {
        return Err(Fault(format!("plain_http: at most {PLAIN_MAX}")));
    }
    if let Some(bad) =
        word.plain_http.iter().find(|one| Origin::parse(false, one).is_none() || !one.contains(':'))
    {
        return Err(Fault(format!("plain_http: {bad}: it is HOST:PORT")));
    }
    if word.silence_s == 0 || word.silence_s > SILENCE_S_MAX {
        return Err(Fault(format!("silence_s: 1 to {SILENCE_S_MAX}")));
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::{Word, parse};

    #[test]
    fn a_word_is_taken_or_refused() {
        let word = |plain: &[&str], silence_s| Word {
            plain_http: plain.iter().map(|one| (*one).to_owned()).collect(),
            silence_s,
        };
        let table = [
            ("", Ok(word(&[], 30))),
            (
                "plain_http = ['127.0.0.1:5000', 'r.example:80']\n",
                Ok(word(&["127.0.0.1:5000", "r.example:80"], 30)),
            ),
            ("silence_s = 1", Ok(word(&[], 1))),
            ("silence_s = 0", Err("silence_s")),
            ("silence_s = 601", Err("silence_s")),
            ("plain_http = ['127.0.0.1']", Err("HOST:PORT")),
            ("plain_http = ['http://a:1/']", Err("HOST:PORT")),
            ("plain_http = 'a:1'", Err("plain_http")),
            ("insecure = true", Err("insecure")),
        ];
        for (text, want) in table {
            match (parse(text), want) {
                (Ok(had), Ok(want)) => assert_eq!(had, want, "{text}"),
                (Err(fault), Err(word)) => assert!(fault.to_string().contains(word), "{text}: {fault}"),
                (had, want) => panic!("{text}: {had:?}, not {want:?}"),
            }
        }
    }
}
