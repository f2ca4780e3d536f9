//! A service's log as a controller reads it: the last lines, or what came after a byte: a pure function.
//!
//! In:  bytes of the ring, what is wanted. Out: a [`Piece`], within limits.
//!
//! What a service has written need not be text: what is no UTF-8 becomes U+FFFD, and the rest is said as it is. Who shows it to a
//! person has to see to it that nothing of it speaks to his terminal.
//!
//! Not here: where the bytes come from (`rooms.rs`). Source: docs/decisions/0133-logs-by-a-command.md.

use contract::Name;
use usp::Code;

use crate::model::number;

/// Bytes of logs in one message: three times as much as text, at worst, which is less than a frame.
pub const LOG_BYTES_MAX: usize = 16 * 1024;
/// Lines of one log where nothing else is said.
const LINES: u32 = 100;
/// The most that can be asked for.
const LINES_MAX: u32 = 1_000;

/// What a controller wants of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose log.
    pub service: Name,
    /// So many lines at most.
    pub lines: u32,
    /// The first of them, from this byte on of all that was ever written; `None`: the last.
    pub from: Option<u64>,
}

impl Wanted {
    /// Reads what a controller has said.
    ///
    /// # Errors
    /// 7027: it is no number, or too large.
    pub fn read(service: Name, lines: Option<&str>, from: Option<&str>) -> Result<Self, Code> {
        let wrong = |_: Code| Code::INVALID_COMMAND_ARGUMENTS;
        let lines = lines.map_or(Ok(LINES), |lines| number(lines, 1, LINES_MAX)).map_err(wrong)?;
        let from = from.map(|from| number(from, 0, u64::MAX)).transpose().map_err(wrong)?;
        Ok(Self { service, lines, from })
    }
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What was written.
    pub text: String,
    /// Its first byte, of all that was ever written.
    pub from: u64,
    /// The byte after its last.
    pub next: u64,
}

/// Where the last `lines` lines of `bytes` begin; what is after the last end of a line is a line.
fn last(bytes: &[u8], lines: u32) -> usize {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let ends = whole.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let nth = usize::try_from(lines).unwrap_or(usize::MAX).saturating_sub(1);
    ends.map(|(place, _)| place.saturating_add(1)).nth(nth).unwrap_or(0)
}

/// The place after the first `lines` lines.
fn first(bytes: &[u8], lines: u32) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let nth = usize::try_from(lines).unwrap_or(usize::MAX).saturating_sub(1);
    ends.map(|(place, _)| place.saturating_add(1)).nth(nth).unwrap_or(bytes.len())
}

/// What of `bytes`, which end before byte `next` of the log, is told: `room` bytes at most, and no line in parts unless it is longer than that.
#[must_use]
pub fn piece(bytes: &[u8], next: u64, wanted: &Wanted, room: usize) -> Piece {
    let begin = next.saturating_sub(bytes.len() as u64);
    let (start, end) = if wanted.from.is_some() {
        let end = first(bytes, wanted.lines);
        let cut = bytes.get(..end.min(room)).unwrap_or(bytes);
        let line = cut.iter().rposition(|byte| *byte == b'\n').map(|place| place.saturating_add(1));
        (0, if end > room { line.unwrap_or(cut.len()) } else { end })
    } else {
        let start = bytes.len().saturating_sub(room);
        let cut = bytes.get(start..).unwrap_or_default();
        // Is it the middle of a line where it was cut?
        let middle =
            start.checked_sub(1).and_then(|before| bytes.get(before)).is_some_and(|byte| *byte != b'\n');
        let line = cut.iter().position(|byte| *byte == b'\n').filter(|_| middle);
        let start = start.saturating_add(line.map_or(0, |place| place.saturating_add(1)));
        let whole = bytes.get(start..).unwrap_or_default();
        (start.saturating_add(last(whole, wanted.lines)), bytes.len())
    };
    let told = bytes.get(start..end).unwrap_or_default();
    let (from, next) = (begin.saturating_add(start as u64), begin.saturating_add(end as u64));
    Piece { text: String::from_utf8_lossy(told).into_owned(), from, next }
}

#[cfg(test)]
mod tests {
    use super::{Piece, Wanted, piece};
    use contract::Name;

    fn wanted(lines: u32, from: Option<u64>) -> Wanted {
        Wanted { service: Name::new("hello").unwrap(), lines, from }
    }

    #[test]
    fn lines_are_the_last_or_the_next_and_whole() {
        // What the ring holds, which ends before byte 100; lines, from where, room; what is told, from where, up to where.
        let table = [
            ("", 5, None, 64, "", 100, 100),
            ("a\nbb\nccc\n", 2, None, 64, "bb\nccc\n", 93, 100),
            ("a\nbb\nccc\n", 9, None, 64, "a\nbb\nccc\n", 91, 100),
            ("a\nbb\nccc", 1, None, 64, "ccc", 97, 100),
            ("\n\n\n", 2, None, 64, "\n\n", 98, 100),
            // A line that would be cut is left out; one that is longer than all is cut.
            ("a\nbb\nccc\n", 9, None, 6, "ccc\n", 96, 100),
            ("a\nbb\nccc\n", 9, None, 7, "bb\nccc\n", 93, 100),
            ("abcdefgh", 9, None, 3, "fgh", 97, 100),
            ("a\nbb\nccc\n", 2, Some(91), 64, "a\nbb\n", 91, 96),
            ("a\nbb\nccc\n", 9, Some(91), 64, "a\nbb\nccc\n", 91, 100),
            ("a\nbb\nccc\n", 9, Some(91), 6, "a\nbb\n", 91, 96),
            ("abcdefgh", 9, Some(92), 3, "abc", 92, 95),
            ("a\nbb", 9, Some(96), 64, "a\nbb", 96, 100),
        ];
        for (bytes, lines, from, room, text, begin, next) in table {
            let told = piece(bytes.as_bytes(), 100, &wanted(lines, from), room);
            let wants = Piece { text: text.to_owned(), from: begin, next };
            assert_eq!(told, wants, "{bytes:?} {lines} {from:?} {room}");
        }
    }

    #[test]
    fn what_is_no_text_is_text() {
        let told = piece(b"a\xff\x1b[2J\n", 6, &wanted(1, None), 64);
        assert_eq!(told.text, "a\u{fffd}\u{1b}[2J\n");
    }

    #[test]
    fn nonsense_is_refused() {
        let read = |lines, from| Wanted::read(Name::new("hello").unwrap(), lines, from).ok();
        assert_eq!(read(None, None), Some(wanted(100, None)));
        assert_eq!(read(Some("1000"), Some("0")), Some(wanted(1000, Some(0))));
        for (lines, from) in [("0", "0"), ("1001", "0"), ("x", "0"), ("", "0"), ("1", "-1"), ("1", "")] {
            assert_eq!(read(Some(lines), Some(from)), None, "{lines} {from}");
        }
    }
}
