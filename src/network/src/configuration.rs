//! The configuration: read again and again, taken where it is right; else what was there stays.
//!
//! In:  `network.toml`. Out: a `Wanted`, and why the file is not taken, in one line.
//!
//! Source: docs/network.md.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use contract::limit::WANTED_BYTES;
use contract::wanted::{self, Wanted};
use log::{info, warn};

use crate::Error;

/// The file, and what was taken from it.
#[derive(Debug)]
pub struct Configuration {
    path: PathBuf,
    text: Option<String>,
    wanted: Option<Wanted>,
    refused: Option<String>,
}

impl Configuration {
    /// The configuration in the file at `path`; nothing is read yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, text: None, wanted: None, refused: None }
    }

    /// What is wanted: the last text that was right.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// Why the file as it stands is not taken.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Reads the file. Is something else wanted now?
    pub fn read(&mut self) -> bool {
        let text = match self.text_of_file() {
            Ok(text) => text,
            Err(error) => {
                self.text = None;
                return self.refuse(&Error::Read(error));
            }
        };
        if self.text.as_ref() == Some(&text) {
            return false;
        }
        let parsed = wanted::parse(&text);
        self.text = Some(text);
        match parsed {
            Ok(wanted) => {
                info!("{}: taken", self.path.display());
                self.refused = None;
                let changed = self.wanted.as_ref() != Some(&wanted);
                self.wanted = Some(wanted);
                changed
            }
            Err(error) => self.refuse(&Error::Wanted(error)),
        }
    }

    fn text_of_file(&self) -> io::Result<String> {
        let mut text = String::new();
        // One byte more than is allowed, so that a longer file is seen to be one.
        let limit = u64::try_from(WANTED_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        File::open(&self.path)?.take(limit).read_to_string(&mut text)?;
        Ok(text)
    }

    fn refuse(&mut self, error: &Error) -> bool {
        let why = one_line(&error.to_string());
        if self.refused.as_ref() != Some(&why) {
            warn!(
                "{why}; {}",
                if self.wanted.is_some() { "what was there stays" } else { "nothing is wanted yet" }
            );
        }
        self.refused = Some(why);
        false
    }
}

/// The parser's words without its drawing: where, and what.
fn one_line(words: &str) -> String {
    let drawn = |line: &&str| line.trim_start().starts_with('|') || line.split_once(" | ").is_some();
    let lines: Vec<&str> = words.lines().filter(|line| !drawn(line) && !line.trim().is_empty()).collect();
    lines.join(": ")
}

#[cfg(test)]
mod tests {
    use super::Configuration;
    use std::fs;

    const PLAIN: &str = include_str!("../../../rootfs/etc/shg/network.toml");

    #[test]
    fn what_is_wrong_is_refused_with_its_line_and_what_was_there_stays() {
        let path = std::env::temp_dir().join(format!("shg-network-configuration-{}", std::process::id()));
        let mut configuration = Configuration::at(path.clone());
        assert!(!configuration.read());
        assert!(configuration.wanted().is_none() && configuration.refused().is_some(), "no file");
        fs::write(&path, PLAIN).unwrap();
        assert!(configuration.read(), "the first one is new");
        assert!(!configuration.read() && configuration.refused().is_none());
        let before = configuration.wanted().cloned();
        fs::write(&path, PLAIN.replace("[lan]", "[lan]\ncolour = 1")).unwrap();
        assert!(!configuration.read());
        let why = configuration.refused().unwrap();
        assert!(why.contains("line") && why.contains("colour") && !why.contains('\n'), "{why}");
        assert_eq!(configuration.wanted(), before.as_ref());
        fs::write(&path, format!("{PLAIN}\n# {}", "x".repeat(70_000))).unwrap();
        assert!(!configuration.read());
        assert!(configuration.refused().unwrap().contains("more than"));
        fs::write(&path, format!("{PLAIN}\n# a word")).unwrap();
        assert!(!configuration.read() && configuration.refused().is_none(), "other words, the same meaning");
        fs::write(&path, PLAIN.replace("192.168.1.1\"", "192.168.1.2\"")).unwrap();
        assert!(configuration.read());
        fs::remove_file(path).unwrap();
    }
}
