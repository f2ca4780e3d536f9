//! What was written to a guest's stick, in order, so that a power cut after any of it can be looked at.
//!
//! In:  the log of QEMU's `blklogwrites`. Out: each write and each flush that the guest asked for; a disk as it was after some of them.
//!
//! A log is read while it grows: it ends where nothing was written yet.
//!
//! Sources: qemu-block-drivers(7), `blklogwrites`; Documentation/admin-guide/device-mapper/log-writes.rst.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Error;

/// Of the log and of the disk, in bytes.
const SECTOR: usize = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Nothing before it is lost after it.
const FLUSH: u64 = 1;
/// Bytes are given up; the log has none of them.
const DISCARD: u64 = 4;
/// No stick of QEMU's is asked for a write that is on the disk when it is answered (FUA).
const FLAGS: u64 = FLUSH | DISCARD;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where on the disk, in bytes.
    pub at: u64,
    /// What; nothing for a flush alone.
    pub bytes: Vec<u8>,
    /// All that was answered before it is on the disk when it is.
    pub flushes: bool,
}

/// Reads a log.
///
/// # Errors
/// [`Error::Io`]: it cannot be read. [`Error::Answer`]: it is none.
pub fn read(log: &Path) -> Result<Vec<Write>, Error> {
    let bytes = fs::read(log).map_err(Error::path(log))?;
    parse(&bytes).ok_or_else(|| Error::Answer {
        who: log.display().to_string(),
        why: "this is no log of writes".to_owned(),
    })
}

fn word(bytes: &[u8], index: usize) -> Option<u64> {
    let word = bytes.get(index * 8..)?.get(..8)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn parse(bytes: &[u8]) -> Option<Vec<Write>> {
    // The first sector says what it is, from the first flush on; its count is behind the truth while the log grows.
    if !matches!(word(bytes, 0), None | Some(0 | MAGIC)) {
        return None;
    }
    let (mut writes, mut rest) = (Vec::new(), bytes.get(SECTOR..).unwrap_or_default());
    while let (Some(sector), Some(count), Some(flags)) = (word(rest, 0), word(rest, 1), word(rest, 2)) {
        let size = usize::try_from(count).ok()?.checked_mul(SECTOR)?;
        if (size, flags) == (0, 0) {
            break;
        }
        let stored = if flags & DISCARD == 0 { size } else { 0 };
        let (Some(data), Some(after)) =
            (rest.get(SECTOR..).and_then(|data| data.get(..stored)), rest.get(SECTOR + stored..))
        else {
            break;
        };
        if flags & !FLAGS != 0 {
            return None;
        }
        let at = sector.checked_mul(u64::try_from(SECTOR).ok()?)?;
        writes.push(Write { at, bytes: data.to_vec(), flushes: flags & FLUSH != 0 });
        rest = after;
    }
    Some(writes)
}

/// Does `writes` to the disk image at `path`.
///
/// # Errors
/// [`Error::Io`].
pub fn replay<'w>(path: &Path, writes: impl IntoIterator<Item = &'w Write>) -> Result<(), Error> {
    let disk = File::options().write(true).open(path).map_err(Error::path(path))?;
    for write in writes {
        disk.write_all_at(&write.bytes, write.at).map_err(Error::path(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, SECTOR, Write, parse};

    fn sector(words: &[u64]) -> Vec<u8> {
        let mut sector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        sector.resize(SECTOR, 0);
        sector
    }

    #[test]
    fn a_log_is_read_as_far_as_it_was_written() {
        let data = [7; SECTOR];
        let whole = [&sector(&[MAGIC, 1, 0, 512])[..], &sector(&[3, 1, 0, 0]), &data, &sector(&[0, 0, 1, 0])]
            .concat();
        let writes = [
            Write { at: 1536, bytes: data.to_vec(), flushes: false },
            Write { at: 0, bytes: Vec::new(), flushes: true },
        ];
        assert_eq!(parse(&whole).unwrap(), writes);
        // What is behind is a hole, or half of an entry.
        assert_eq!(parse(&[&whole[..], &[0; 2 * SECTOR]].concat()).unwrap(), writes);
        for end in 0..whole.len() {
            let count = parse(&whole[..end]).unwrap().len();
            assert!(count <= 2 && writes.starts_with(&parse(&whole[..end]).unwrap()), "{end}: {count}");
        }
        // Nothing was flushed yet, or nothing written.
        assert_eq!(parse(&[&[0; SECTOR], &whole[SECTOR..]].concat()).unwrap(), writes);
        assert_eq!(parse(&[]).unwrap(), []);
        assert_eq!(parse(&data), None);
        assert_eq!(parse(&[&whole[..SECTOR], &sector(&[0, 0, 64, 0])].concat()), None, "an unknown flag");
    }
}
