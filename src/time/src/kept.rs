//! What is kept on the data disk: the last time, and how wrong the oscillator goes.
//!
//! In:  both. Out: both, after a boot.
//!
//! Not here: when (`engine.rs`).

use log::warn;
use state::{Error, File, Folder};

use crate::stamp;

/// The form of the file: seconds since 1970 and billionths, 64 bits each, little-endian.
const VERSION: u16 = 1;
const BYTES: usize = 16;
/// The most that an oscillator is corrected, in billionths. Source: linux/timex.h, `MAXFREQ`.
const FREQUENCY_PPB_MAX: i64 = 500_000;

/// What was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The last time, in seconds since 1970.
    pub now_s: i64,
    /// How much the oscillator was corrected, in billionths.
    pub frequency_ppb: i64,
}

/// The file.
#[derive(Debug)]
pub struct Keeper {
    file: File,
    complained: bool,
}

impl Keeper {
    /// The file in `folder`.
    #[must_use]
    pub fn new(folder: &Folder) -> Self {
        Self { file: folder.file("clock", BYTES), complained: false }
    }

    /// What was kept. The outer `None`: there is no disk (yet).
    #[must_use]
    pub fn load(&mut self) -> Option<Option<Kept>> {
        match self.file.load() {
            Ok(kept) => Some(kept.filter(|kept| kept.version == VERSION).and_then(|kept| read(&kept.bytes))),
            Err(Error::Absent) => None,
            Err(error) => {
                self.complain(error);
                Some(None)
            }
        }
    }

    /// Keeps it. Was there a disk that takes it?
    pub fn save(&mut self, kept: Kept) -> bool {
        let bytes = [kept.now_s.to_le_bytes(), kept.frequency_ppb.to_le_bytes()].concat();
        match self.file.save(VERSION, &bytes) {
            Ok(()) => {
                self.complained = false;
                true
            }
            Err(Error::Absent) => false,
            Err(error) => {
                self.complain(error);
                false
            }
        }
    }

    fn complain(&mut self, error: Error) {
        if !std::mem::replace(&mut self.complained, true) {
            warn!("{error}");
        }
    }
}

/// Reads it. A time that cannot be is none.
fn read(bytes: &[u8]) -> Option<Kept> {
    let (now_s, rest) = bytes.split_first_chunk::<8>()?;
    let (frequency_ppb, _) = rest.split_first_chunk::<8>()?;
    let kept = Kept {
        now_s: i64::from_le_bytes(*now_s),
        frequency_ppb: i64::from_le_bytes(*frequency_ppb).clamp(-FREQUENCY_PPB_MAX, FREQUENCY_PPB_MAX),
    };
    (0..stamp::BUILT_S + (1 << 31)).contains(&kept.now_s).then_some(kept)
}
