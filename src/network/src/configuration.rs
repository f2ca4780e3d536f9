//! The configuration: which text is wanted now, read again and again, taken where it is right; else what was there stays.
//!
//! In:  the text on trial, the text that is kept, the file that is shipped; the first of them that is right. Out: a `Wanted`, and why one
//! is not taken, in one line.
//!
//! A text that came by the wire is on trial first, for as long as it says. It is kept only once it is confirmed, so whatever happens before
//! (the time is over, the power goes) leads back to the text before. Over a death of ours the trial goes on: it lies in `/run/network`,
//! which a reboot empties.
//!
//! Not here: who watches the files (`configuration/watch.rs`), who asks (`room/show.rs`).
//!
//! Source: docs/network.md.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use contract::limit::WANTED_BYTES;
use contract::wanted::{self, Wanted};
use log::{info, warn};
use state::Folder;

use crate::Error;

mod lines;
mod watch;

pub use watch::Watch;

/// The longest trial, in seconds: a day.
pub const TRIAL_S_MAX: u32 = 86_400;
/// The form of what we keep: the text as it came.
const FORM: u16 = 1;
/// Before the text on trial stands when it ends, in milliseconds after boot.
const ENDS_BYTES: usize = 8;

/// Where texts are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The file that is shipped.
    pub shipped: PathBuf,
    /// The folder of what is kept, on the data disk.
    pub kept: PathBuf,
    /// The folder of what is on trial, which a reboot empties.
    pub run: PathBuf,
}

impl Places {
    /// On the gateway.
    #[must_use]
    pub fn real() -> Self {
        let kept = Path::new(state::STATE).join("network");
        Self { shipped: crate::room::CONFIGURATION.into(), kept, run: "/run/network".into() }
    }

    /// A shipped file elsewhere, with folders beside it: for tests.
    #[must_use]
    pub fn beside(shipped: PathBuf) -> Self {
        let folder = |name: &str| shipped.with_file_name(name);
        Self { kept: folder("kept"), run: folder("run"), shipped }
    }
}

/// A text that is right.
#[derive(Debug, Clone)]
struct Right {
    text: String,
    /// All that it says.
    whole: Rc<Wanted>,
    /// Of that what holds.
    wanted: Rc<Wanted>,
}

/// A text on trial.
#[derive(Debug)]
struct Trial {
    right: Right,
    ends_ms: u64,
}

/// What is wanted, and where it comes from.
#[derive(Debug)]
pub struct Configuration {
    places: Places,
    trial: Option<Trial>,
    kept: Option<Right>,
    /// What is kept was read, or written, since the disk came.
    settled: bool,
    shipped: Option<String>,
    whole: Option<Rc<Wanted>>,
    wanted: Option<Rc<Wanted>>,
    refused: Option<String>,
}

impl Configuration {
    /// The configuration in these places. A trial of a former life goes on; nothing else is read yet.
    #[must_use]
    pub fn new(places: Places, now_ms: u64) -> Self {
        let trial = former_trial(&places, now_ms);
        let (kept, shipped, whole, wanted, refused) = (None, None, None, None, None);
        Self { places, trial, kept, settled: false, shipped, whole, wanted, refused }
    }

    /// What is wanted: the last text that was right.
    #[must_use]
    pub fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_deref()
    }

    /// The same, to be held over a change: it is large.
    #[must_use]
    pub fn shared(&self) -> Option<Rc<Wanted>> {
        self.wanted.clone()
    }

    /// All that was said, what is only remembered too.
    #[must_use]
    pub fn whole(&self) -> Option<Rc<Wanted>> {
        self.whole.clone()
    }

    /// Why a text is not taken.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// The folder of the shipped file.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// When a trial ends, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.trial.as_ref().map(|trial| trial.ends_ms)
    }

    /// What a person should know: a trial and when it ends, or what waits for a disk.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> Option<String> {
        match &self.trial {
            Some(trial) => {
                let left_s = trial.ends_ms.saturating_sub(now_ms) / 1_000;
                Some(format!("on trial: taken back in {left_s} s unless confirmed"))
            }
            None if !self.is_kept() => Some("kept in memory only: there is no data disk".to_owned()),
            None => None,
        }
    }

    /// Is what was confirmed on the disk?
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.settled || self.kept.is_none()
    }

    /// Mounts have changed: the data disk may have come.
    pub fn look_again(&mut self) {
        // What was confirmed meanwhile is newer than what lies there.
        if self.settled {
            self.settled = false;
            self.kept = None;
        }
    }

    /// Reads. Is something else wanted now?
    pub fn read(&mut self, now_ms: u64) -> bool {
        if self.trial.as_ref().is_some_and(|trial| trial.ends_ms <= now_ms) {
            warn!("network.toml: it was not confirmed in time; what was there before is wanted again");
            self.end_trial();
        }
        self.settle();
        let newest = self.trial.as_ref().map(|trial| &trial.right).or(self.kept.as_ref());
        if let Some(right) = newest {
            let changed = self.wanted.as_ref() != Some(&right.wanted);
            (self.whole, self.wanted) = (Some(right.whole.clone()), Some(right.wanted.clone()));
            (self.refused, self.shipped) = (None, None);
            return changed;
        }
        self.read_shipped()
    }

    /// Takes `text` on trial for so many seconds; with none it is kept at once.
    ///
    /// # Errors
    /// [`Error::Wanted`], [`Error::Refused`]: it is not right; nothing has changed.
    pub fn take(&mut self, text: String, confirm_within_s: u32, now_ms: u64) -> Result<(), Error> {
        if confirm_within_s > TRIAL_S_MAX {
            return Err(Error::Refused(format!("a trial lasts at most {TRIAL_S_MAX} s")));
        }
        let right = right(text)?;
        let ends_ms = now_ms.saturating_add(u64::from(confirm_within_s) * 1_000);
        let trial = Trial { right, ends_ms };
        if confirm_within_s == 0 {
            self.keep(trial);
            return Ok(());
        }
        let bytes = [&ends_ms.to_le_bytes()[..], trial.right.text.as_bytes()].concat();
        let file = trial_file(&self.places);
        if let Err(error) = file.save(FORM, &bytes) {
            warn!("the trial ends with this process: {error}");
        }
        info!("network.toml: taken, to be confirmed within {confirm_within_s} s");
        self.trial = Some(trial);
        Ok(())
    }

    /// What is on trial is kept.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing is on trial.
    pub fn confirm(&mut self) -> Result<(), Error> {
        let trial = self.trial.take();
        let trial = trial.ok_or_else(|| Error::Refused("nothing is to be confirmed".to_owned()))?;
        self.keep(trial);
        Ok(())
    }

    /// What is on trial is given up.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing is on trial.
    pub fn revert(&mut self) -> Result<(), Error> {
        if self.trial.is_none() {
            return Err(Error::Refused("nothing is to be taken back".to_owned()));
        }
        info!("network.toml: taken back");
        self.end_trial();
        Ok(())
    }

    fn keep(&mut self, trial: Trial) {
        self.kept = Some(trial.right);
        self.settled = false;
        self.settle();
        info!("network.toml: {}", if self.settled { "kept" } else { "kept once there is a data disk" });
        self.end_trial();
    }

    /// Kept before the trial is forgotten: a death in between leaves a trial of what is kept.
    fn end_trial(&mut self) {
        self.trial = None;
        match trial_file(&self.places).save(FORM, &[]) {
            Ok(()) | Err(state::Error::Absent) => {}
            Err(error) => warn!("{error}"),
        }
    }

    /// What was confirmed is written, or what was kept is read, where there is a data disk.
    fn settle(&mut self) {
        if self.settled {
            return;
        }
        let file = Folder::at(&self.places.kept).file("network.toml", WANTED_BYTES);
        if let Some(kept) = &self.kept {
            match file.save(FORM, kept.text.as_bytes()) {
                Ok(()) => self.settled = true,
                Err(state::Error::Absent) => {}
                Err(error) => self.refuse(&error.to_string()),
            }
            return;
        }
        match file.load() {
            Ok(Some(state::Kept { version: FORM, bytes })) => {
                self.settled = true;
                let text = String::from_utf8(bytes).unwrap_or_default();
                match right(text) {
                    Ok(right) => self.kept = Some(right),
                    // A former image's words, perhaps: what is shipped is wanted then.
                    Err(error) => self.refuse(&format!("what was kept: {error}")),
                }
            }
            Ok(_) => self.settled = true,
            Err(state::Error::Absent) => {}
            Err(error) => {
                self.settled = true;
                self.refuse(&error.to_string());
            }
        }
    }

    fn read_shipped(&mut self) -> bool {
        let text = match self.text_of_file() {
            Ok(text) => text,
            Err(error) => {
                self.shipped = None;
                self.refuse(&Error::Read(error).to_string());
                return false;
            }
        };
        if self.shipped.as_ref() == Some(&text) {
            return false;
        }
        self.shipped = Some(text.clone());
        match right(text) {
            Ok(right) => {
                info!("{}: taken", self.places.shipped.display());
                self.refused = None;
                let changed = self.wanted.as_ref() != Some(&right.wanted);
                (self.whole, self.wanted) = (Some(right.whole), Some(right.wanted));
                changed
            }
            Err(error) => {
                self.refuse(&error.to_string());
                false
            }
        }
    }

    fn text_of_file(&self) -> io::Result<String> {
        read_text(File::open(&self.places.shipped)?)
    }

    fn refuse(&mut self, why: &str) {
        if self.refused.as_deref() != Some(why) {
            let stays = if self.wanted.is_some() { "what was there stays" } else { "nothing is wanted yet" };
            warn!("{why}; {stays}");
        }
        self.refused = Some(why.to_owned());
    }
}

/// Reads a text within its limit.
///
/// # Errors
/// What the system says; a text that is no UTF-8.
pub fn read_text(file: impl Read) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than is allowed, so that a longer file is seen to be one.
    let limit = u64::try_from(WANTED_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Parses a text; what is wrong is said with its line, in one line.
fn right(text: String) -> Result<Right, Error> {
    match wanted::parse(&text) {
        Ok(whole) => {
            let wanted = Rc::new(whole.enabled());
            Ok(Right { text, whole: Rc::new(whole), wanted })
        }
        Err(error) => Err(Error::Wanted(lines::one_line(&text, &error))),
    }
}

fn trial_file(places: &Places) -> state::File {
    Folder::at(&places.run).file("trial", WANTED_BYTES + ENDS_BYTES).without_old()
}

fn former_trial(places: &Places, now_ms: u64) -> Option<Trial> {
    let kept = trial_file(places).load().ok().flatten().filter(|kept| kept.version == FORM)?;
    let (ends, text) = kept.bytes.split_first_chunk::<ENDS_BYTES>()?;
    let ends_ms = u64::from_le_bytes(*ends);
    let right = right(String::from_utf8(text.to_vec()).ok()?).ok()?;
    // One that is over is ended by the first look.
    info!("network.toml: a trial goes on, for {} ms", ends_ms.saturating_sub(now_ms));
    Some(Trial { right, ends_ms })
}

#[cfg(test)]
mod tests;
