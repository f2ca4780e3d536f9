//! What the next life of the supervisor must know of a process and cannot see: a memory file in PID 1's store.
//!
//! In:  a `Record`. Out: the same. It is written whole, in one call, before anything counts on it.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use contract::Text;
use contract::control::{Exit, Facts, State};
use contract::frame;
use contract::layer::Layers;
use contract::limit::REASON_BYTES;
use contract::slice::Slices;
use nix::sys::uio::{pread, pwrite};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sys::seqpacket;

use crate::Error;
use crate::ledger::Ledger;

/// A record as bytes, at most: less than a page, so that a write is whole or not there.
const BYTES: usize = 1024;
/// A ledger as bytes, at most; with the record in front of it, a page.
const LEDGER_BYTES: usize = 3 * 1024;
const LEDGER_AT: i64 = 1024;

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is in its life.
    pub state: State,
    /// It is to run.
    pub wanted: bool,
    /// Its number, while it runs.
    pub pid: Option<i32>,
    /// When it came into this state, in milliseconds after boot.
    pub since_ms: u64,
    /// When it was last ready.
    pub ready_ms: Option<u64>,
    /// When the time of this state is over.
    pub timer_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u32,
    /// Deaths that came close upon each other, and when the last one was.
    pub deaths: (u32, u64),
    /// Deadlines that it missed in a row.
    pub missed: u32,
    /// Times in a row that it ended by itself soon after it was started or ready.
    pub crashes: u32,
    /// It is down because it ended by itself, and not by an order.
    pub by_itself: bool,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Layers that were read back.
    pub layers: Layers,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Why it is as it is.
    pub reason: Text<REASON_BYTES>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            state: State::Down,
            wanted: false,
            pid: None,
            since_ms: 0,
            ready_ms: None,
            timer_ms: None,
            restarts: 0,
            deaths: (0, 0),
            missed: 0,
            crashes: 0,
            by_itself: false,
            exit: None,
            layers: Layers::NONE,
            address: None,
            reason: Text::default(),
        }
    }
}

/// Something that is kept as bytes in a memory file.
pub trait Kept: Serialize + DeserializeOwned {}
impl Kept for Record {}
impl Kept for Facts {}
impl Kept for Slices {}

/// A new file.
///
/// # Errors
/// [`Error::System`]: a table of descriptors is full, or there is no memory.
pub fn file() -> Result<OwnedFd, Error> {
    seqpacket::memory_file(c"record").map_err(|errno| Error::System("no record", errno))
}

/// Writes `what` in place of what was there.
pub fn write<T: Kept>(file: &OwnedFd, what: &T) {
    write_at::<T, BYTES>(file, what, 0);
}

/// Reads what was written.
#[must_use]
pub fn read<T: Kept>(file: &OwnedFd) -> Option<T> {
    read_at::<T, BYTES>(file, 0)
}

/// Writes a ledger behind the record.
pub fn write_ledger(file: &OwnedFd, ledger: &Ledger) {
    write_at::<_, LEDGER_BYTES>(file, ledger, LEDGER_AT);
}

/// Reads the ledger behind the record.
#[must_use]
pub fn read_ledger(file: &OwnedFd) -> Option<Ledger> {
    read_at::<_, LEDGER_BYTES>(file, LEDGER_AT)
}

fn write_at<T: Serialize, const N: usize>(file: &OwnedFd, what: &T, at: i64) {
    let mut bytes = [0; N];
    let Some((length, room)) = bytes.split_first_chunk_mut::<2>() else { return };
    let Ok(used) = frame::encode(what, room).map(<[u8]>::len) else { return };
    *length = u16::try_from(used).unwrap_or(0).to_ne_bytes();
    // A memory file takes what it is given; if there were no memory the old record would stay, and the next life would err a little.
    let _ = pwrite(file, bytes.get(..used + 2).unwrap_or_default(), at);
}

fn read_at<T: DeserializeOwned, const N: usize>(file: &OwnedFd, at: i64) -> Option<T> {
    let mut bytes = [0; N];
    let length = pread(file, &mut bytes, at).ok()?;
    let (used, rest) = bytes.get(..length)?.split_first_chunk::<2>()?;
    frame::decode(rest.get(..usize::from(u16::from_ne_bytes(*used)))?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Record, State, file, read, read_ledger, write, write_ledger};

    #[test]
    fn a_ledger_and_a_record_do_not_meet() {
        let kept = file().unwrap();
        let mut ledger = Ledger::default();
        let sample = |at_ms| crate::ledger::Sample { at_ms, wanted: true, ..Default::default() };
        (1..5_000).for_each(|second| assert!(ledger.take(sample(second * 1_000), 10).is_none()));
        write_ledger(&kept, &ledger);
        write(&kept, &Record { reason: "a long reason ".repeat(20).as_str().into(), ..Record::default() });
        assert_eq!(read_ledger(&kept), Some(ledger));
        assert!(read::<Record>(&kept).is_some());
    }

    #[test]
    fn the_last_record_counts() {
        let kept = file().unwrap();
        assert_eq!(read::<Record>(&kept), None);
        let long = Record { reason: "a long reason ".repeat(20).as_str().into(), ..Record::default() };
        let short = Record { state: State::Up, pid: Some(77), ..Record::default() };
        for record in [long, short] {
            write(&kept, &record);
            assert_eq!(read(&kept), Some(record));
        }
    }
}
