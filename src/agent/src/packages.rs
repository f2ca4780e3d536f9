//! The wire `packages`: which bundles there are, what those that are gone have left, and operations on them.
//!
//! In:  questions. Out: all rows after each change; and what `package` says to each operation, which has a connection of its own.
//!
//! Not here: what an operation is and when it has ended (`job.rs`).

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use contract::limit::KEPT;
use contract::packages::{Answer, Ask, Fault, Kept, Unit};
use contract::wires::PACKAGES;
use wire::Client;

use crate::rows::ROWS_MAX;

/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 1_000;
/// Frames that are read of one connection in one turn.
const FRAMES_A_TURN: usize = 64;
/// How long an answer from memory, or of one small file, is waited for, in milliseconds.
const PATIENCE_MS: u16 = 1_000;
/// Operations at a time: `package` does one, and who comes meanwhile is refused.
pub const JOBS_MAX: usize = 1;

/// What `package` lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Bundles.
    pub units: Vec<Unit>,
    /// Volumes whose services are gone.
    pub kept: Vec<Kept>,
}

impl Listed {
    /// Takes a row of a list, or a change of it. Was it one?
    fn take(&mut self, row: Answer) -> bool {
        match row {
            Answer::Unit(unit) => {
                self.units.retain(|one| one.name != unit.name);
                if self.units.len() < ROWS_MAX {
                    self.units.push(unit);
                }
            }
            Answer::Gone(name) => self.units.retain(|one| one.name != name),
            Answer::Kept(kept) => {
                self.kept.retain(|one| !one.is_of(&kept.service, &kept.provider));
                if self.kept.len() < KEPT {
                    self.kept.push(kept);
                }
            }
            Answer::Dropped(service, provider) => self.kept.retain(|one| !one.is_of(&service, &provider)),
            Answer::Progress { .. } | Answer::Done | Answer::Refused(..) => return false,
        }
        true
    }
}

/// What was said to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// So many bytes of so many have come.
    Progress(u64, u64),
    /// It is done.
    Done,
    /// It is not, and why.
    Refused(Fault, String),
    /// All rows.
    Rows(Listed),
    /// The connection is gone.
    Gone,
}

/// An operation's connection.
#[derive(Debug)]
struct Line {
    row: u32,
    client: Client,
    /// Rows of a list that has been asked for; `None`: none has.
    rows: Option<Listed>,
}

/// The wire.
#[derive(Debug)]
pub struct Packages {
    folder: PathBuf,
    follow: Option<Client>,
    listed: Listed,
    /// The first list is whole.
    whole: bool,
    dial_ms: u64,
    lines: Vec<Line>,
}

impl Packages {
    /// Its socket is in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, follow: None, listed: Listed::default(), whole: false, dial_ms: 0, lines: Vec::new() }
    }

    fn dial(&self) -> Result<Client, String> {
        let dialled = Client::dial_at(PACKAGES, &self.folder.join(PACKAGES.name));
        dialled.map_err(|_| "package does not answer".to_owned())
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.follow.iter().map(AsFd::as_fd).chain(self.lines.iter().map(|line| line.client.as_fd()))
    }

    /// When it is to be dialled again, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.follow.is_none().then_some(self.dial_ms)
    }

    /// Is `package` there?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.whole
    }

    /// Can one more operation be begun?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.whole && self.lines.len() < JOBS_MAX
    }

    /// All rows, where something of them has changed.
    pub fn heard(&mut self, now_ms: u64) -> Option<Listed> {
        if self.follow.is_none() && self.dial_ms <= now_ms {
            self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
            self.follow = self.dial().ok().filter(|client| client.send(&Ask::Follow, &[]).is_ok());
            self.listed = Listed::default();
            self.whole = false;
        }
        let mut changed = false;
        for _ in 0..FRAMES_A_TURN {
            match self.follow.as_ref()?.receive::<Answer>() {
                Ok(None) => break,
                Ok(Some((Answer::Done, _))) => {
                    self.whole = true;
                    changed = true;
                }
                // It follows nobody any more.
                Ok(Some((Answer::Refused(..), _))) | Err(_) => {
                    self.follow = None;
                    self.whole = false;
                    break;
                }
                Ok(Some((row, _))) => changed |= self.listed.take(row),
            }
        }
        (changed && self.whole).then(|| self.listed.clone())
    }

    /// Begins to ask for the operation in `row`, anew.
    ///
    /// # Errors
    /// `package` is not there.
    pub fn begin(&mut self, row: u32, ask: &Ask) -> Result<(), String> {
        self.forget(row);
        let client = self.dial()?;
        client.send(ask, &[]).map_err(|error| error.to_string())?;
        let rows = (*ask == Ask::List).then(Listed::default);
        self.lines.push(Line { row, client, rows });
        Ok(())
    }

    /// Asks for all rows, on the connection of the operation in `row`.
    ///
    /// # Errors
    /// `package` is not there.
    pub fn list(&mut self, row: u32) -> Result<(), String> {
        let Some(line) = self.lines.iter_mut().find(|line| line.row == row) else {
            return self.begin(row, &Ask::List);
        };
        line.rows = Some(Listed::default());
        line.client.send(&Ask::List, &[]).map_err(|error| error.to_string())
    }

    /// The operation in `row` has ended.
    pub fn forget(&mut self, row: u32) {
        self.lines.retain(|line| line.row != row);
    }

    /// What was said to operations, in order.
    pub fn said(&mut self) -> Vec<(u32, Said)> {
        let mut said = Vec::new();
        for line in &mut self.lines {
            for _ in 0..FRAMES_A_TURN {
                match line.next() {
                    None => break,
                    Some(Said::Gone) => {
                        said.push((line.row, Said::Gone));
                        break;
                    }
                    Some(one) => said.push((line.row, one)),
                }
            }
        }
        for (row, one) in &said {
            if *one == Said::Gone {
                self.lines.retain(|line| line.row != *row);
            }
        }
        said
    }

    /// Asks for what is done at once.
    ///
    /// # Errors
    /// Why it was not, in words.
    pub fn at_once(&self, ask: &Ask) -> Result<(), String> {
        let client = self.dial()?;
        client.send(ask, &[]).map_err(|error| error.to_string())?;
        for _ in 0..FRAMES_A_TURN {
            let wait = sys::descriptor::wait_readable(client.as_fd(), PATIENCE_MS);
            wait.map_err(|_| "package does not answer".to_owned())?;
            match client.receive::<Answer>().map_err(|error| error.to_string())? {
                Some((Answer::Done, _)) => return Ok(()),
                Some((Answer::Refused(_, why), _)) => return Err(why.to_string()),
                Some((
                    Answer::Unit(_)
                    | Answer::Gone(_)
                    | Answer::Kept(_)
                    | Answer::Dropped(..)
                    | Answer::Progress { .. },
                    _,
                )) => {}
                None => break,
            }
        }
        Err("package does not answer".to_owned())
    }
}

impl Line {
    fn next(&mut self) -> Option<Said> {
        loop {
            return match self.client.receive::<Answer>() {
                Ok(None) => None,
                Err(_) => Some(Said::Gone),
                Ok(Some((Answer::Progress { bytes, of }, _))) => Some(Said::Progress(bytes, of)),
                Ok(Some((Answer::Refused(fault, why), _))) => Some(Said::Refused(fault, why.to_string())),
                Ok(Some((Answer::Done, _))) => Some(self.rows.take().map_or(Said::Done, Said::Rows)),
                Ok(Some((row, _))) => {
                    if let Some(rows) = &mut self.rows {
                        rows.take(row);
                    }
                    continue;
                }
            };
        }
    }
}
