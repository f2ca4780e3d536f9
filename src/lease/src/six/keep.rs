//! What outlives a boot: the secret that addresses are made with, prefixes that we had, prefixes that hosts were told.
//!
//! In:  the daemon's folder on the data disk, which may come late or never. Out: what was there; what is to be there.
//!
//! One small file for all links, one line each. Whoever writes reads it first and leaves the others' lines alone. Without a disk all of it
//! is only in memory, and the secret is one of this life; when the disk comes, its secret takes that one's place.
//!
//! Source: RFC 7217 §5 (the secret), RFC 9096 §3.5 (prefixes that were told), RFC 8415 §18.2.1 (prefixes that we had).

use std::fs::File;
use std::io::Read;

use contract::limit::IPV6_PREFIXES;
use contract::prefix::Prefix;
use contract::wanted::LinkName;
use heapless::Vec;
use log::warn;
use state::{Error, Folder};

use super::keyed::Secret;
use crate::schedule::is_due;

/// The form of the file.
const VERSION: u16 = 1;
/// Lines: those of three plays and two homes, and of links that are gone.
const LINES: usize = 96;
/// The most bytes of the file: a line is shorter than 80.
const BYTES_MAX: usize = LINES * 80 + 64;
/// How often the disk is looked for, in milliseconds: often while it may just be coming, later as one that somebody puts in.
const SOON_MS: u64 = 1_000;
const LATE_MS: u64 = 60_000;
/// For how long it may just be coming, in milliseconds after boot.
const COMING_MS: u64 = 120_000;

/// Prefixes of one link.
pub type Prefixes = Vec<Prefix, { 2 * IPV6_PREFIXES }>;

/// What a prefix was to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// Ours, by delegation.
    Had,
    /// Told to hosts.
    Told,
}

impl Was {
    fn word(self) -> &'static str {
        match self {
            Self::Had => "had",
            Self::Told => "told",
        }
    }
}

/// All that the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Book {
    /// The secret.
    pub secret: Option<Secret>,
    lines: Vec<(Was, LinkName, Prefix), LINES>,
}

/// Our lines of it, and where they stand.
#[derive(Debug)]
pub struct Keep {
    folder: Folder,
    was: Was,
    link: LinkName,
    secret: Secret,
    /// The file was read.
    found: bool,
    /// What is to be there, where it is not there yet.
    wanted: Option<Prefixes>,
    due_ms: Option<u64>,
    /// The log has said that it fails.
    said: bool,
}

impl Keep {
    /// Our lines of the file in `folder`: of `link`, of prefixes that were this.
    #[must_use]
    pub fn new(folder: Folder, was: Was, link: LinkName) -> Self {
        let due_ms = Some(0);
        Self { folder, was, link, secret: secret(), found: false, wanted: None, due_ms, said: false }
    }

    /// What addresses are made with, as of now.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// When [`Keep::turn`] has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// From now on these are to be there.
    pub fn put(&mut self, prefixes: impl Iterator<Item = Prefix>) {
        let prefixes = prefixes.take(2 * IPV6_PREFIXES).collect();
        if self.wanted.as_ref() != Some(&prefixes) {
            self.wanted = Some(prefixes);
            self.due_ms = Some(0);
        }
    }

    /// Reads the file once it is there: returns what it held of ours, then. Writes what is to be there.
    pub fn turn(&mut self, now_ms: u64) -> Option<Prefixes> {
        if !is_due(self.due_ms, now_ms) {
            return None;
        }
        let file = self.folder.file("six", BYTES_MAX);
        let mut book = match file.load() {
            Ok(kept) => kept
                .filter(|kept| kept.version == VERSION)
                .and_then(|kept| Book::read(&kept.bytes))
                .unwrap_or_default(),
            Err(Error::Broken(_)) => Book::default(),
            Err(error) => {
                self.later(error, now_ms);
                return None;
            }
        };
        let before = book.clone();
        self.secret = *book.secret.get_or_insert(self.secret);
        let held = book.of(self.was, &self.link);
        let first = !std::mem::replace(&mut self.found, true);
        if let Some(wanted) = &self.wanted {
            // What an earlier life wrote stays until it was taken in.
            let kept = held.iter().filter(|prefix| first && !wanted.contains(prefix));
            let all: Prefixes = wanted.iter().chain(kept).copied().take(2 * IPV6_PREFIXES).collect();
            book.set(self.was, &self.link, &all);
        }
        self.due_ms = None;
        if book != before
            && let Err(error) = file.save(VERSION, book.write().as_bytes())
        {
            self.later(error, now_ms);
        }
        first.then_some(held)
    }

    fn later(&mut self, error: Error, now_ms: u64) {
        let pause_ms = if now_ms < COMING_MS { SOON_MS } else { LATE_MS };
        self.due_ms = Some(now_ms.saturating_add(pause_ms));
        if error != Error::Absent && !std::mem::replace(&mut self.said, true) {
            warn!("{}: {error}; what has to outlive a boot is only in memory", self.link);
        }
    }
}

/// Sixteen bytes that nobody knows.
fn secret() -> Secret {
    let mut secret = Secret::default();
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut secret));
    if let Err(error) = read {
        warn!("/dev/urandom: {error}; addresses of this life can be guessed");
    }
    secret
}

impl Book {
    /// Reads it; lines that make no sense are passed over.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut book = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("secret"), Some(digits), None) => {
                    book.secret = u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes);
                }
                (Some(word), Some(link), Some(prefix)) => {
                    let was = [Was::Had, Was::Told].into_iter().find(|was| was.word() == word);
                    if let (Some(was), Ok(prefix)) = (was, prefix.parse()) {
                        let _full = book.lines.push((was, link.into(), prefix));
                    }
                }
                _ => {}
            }
        }
        Some(book)
    }

    /// As bytes.
    #[must_use]
    pub fn write(&self) -> String {
        let secret = self.secret.map(|secret| format!("secret {:032x}\n", u128::from_be_bytes(secret)));
        let lines = self.lines.iter().map(|(was, link, prefix)| format!("{} {link} {prefix}\n", was.word()));
        secret.into_iter().chain(lines).collect()
    }

    /// The prefixes of `link` that were this.
    #[must_use]
    pub fn of(&self, was: Was, link: &LinkName) -> Prefixes {
        let ours = self.lines.iter().filter(|line| line.0 == was && line.1 == *link);
        ours.map(|line| line.2).take(2 * IPV6_PREFIXES).collect()
    }

    /// From now on these are they. A full book forgets the lines that are oldest.
    pub fn set(&mut self, was: Was, link: &LinkName, prefixes: &[Prefix]) {
        if self.of(was, link) == prefixes {
            return;
        }
        self.lines.retain(|line| !(line.0 == was && line.1 == *link));
        for prefix in prefixes {
            if self.lines.is_full() {
                self.lines.remove(0);
            }
            let _fits = self.lines.push((was, link.clone(), *prefix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Keep, Was};
    use proptest::prelude::{prop_assert_eq, proptest};
    use state::Folder;

    fn keep(folder: &Folder, was: Was, link: &str) -> Keep {
        Keep::new(folder.clone(), was, link.into())
    }

    #[test]
    fn several_links_share_a_file_that_comes_late() {
        let path = std::env::temp_dir().join(format!("shg-six-{}", std::process::id()));
        let folder = Folder::at(&path);
        let (one, two) = ("2001:db8:1::/64".parse().unwrap(), "2001:db8:2::/64".parse().unwrap());
        let mut lan = keep(&folder, Was::Told, "lan");
        lan.put([one].into_iter());
        assert_eq!(lan.turn(0), None, "there is no disk");
        assert_eq!((lan.turn(999), lan.due_ms()), (None, Some(1_000)));
        std::fs::create_dir(&path).unwrap();
        assert_eq!(lan.turn(1_000).as_deref(), Some([].as_slice()));
        assert_eq!(lan.due_ms(), None);
        let mut wan = keep(&folder, Was::Had, "wan");
        assert_ne!(wan.secret(), lan.secret());
        wan.put([two].into_iter());
        let _ = wan.turn(0);
        assert_eq!(wan.secret(), lan.secret(), "that of the disk");
        // Another life.
        assert_eq!(keep(&folder, Was::Told, "lan").turn(0).as_deref(), Some([one].as_slice()));
        assert_eq!(keep(&folder, Was::Had, "wan").turn(0).as_deref(), Some([two].as_slice()));
        // What it writes before it has read takes nothing away.
        let mut next = keep(&folder, Was::Told, "lan");
        next.put([two].into_iter());
        assert_eq!(next.turn(0).as_deref(), Some([one].as_slice()));
        assert_eq!(keep(&folder, Was::Told, "lan").turn(0).as_deref(), Some([two, one].as_slice()));
        std::fs::remove_dir_all(&path).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_what_was_read_is_written(bytes: Vec<u8>) {
            if let Some(book) = Book::read(&bytes) {
                let bytes = book.write().into_bytes();
                prop_assert_eq!(Book::read(&bytes), Some(book));
            }
        }
    }
}
