//! What outlives the daemon of the leases that it gave: the book, as bytes.
//!
//! In:  rows, each with its link; moments. Out: bytes; and back.
//!
//! ```text
//! <seconds of the calendar when it was written>
//! <link> <address> <link-layer address> <identifier in hex, or -> <seconds that remain> <name, or ->
//! ```
//!
//! A lease is kept with what remains of it, not with its end: at boot the calendar may be wrong. Where the calendar has gone on since, so
//! much less remains; where it has not (the time is not known yet), nothing is taken off. So a lease is never kept for too short a time
//! because of an early clock. One that has ended stays in the book: its host shall get the same address.
//!
//! Pure: `keep.rs` has the file, whose checksum says that all of it is there. A line that makes no sense is left out.

use std::fmt::Write;
use std::net::Ipv4Addr;

use contract::mac::Mac;
use contract::name::Text;
use contract::wanted::LinkName;

use crate::message::Identifier;
use crate::table::{Guest, Key, ROWS_MAX, Row, Use};

/// The form of the bytes.
pub const VERSION: u16 = 1;
/// The longest line: names of 15, 15, 17, 128, 10, 63 bytes, with what stands between.
const LINE_BYTES_MAX: usize = 256;
/// The most bytes: the rows of two networks, and the head.
pub const BOOK_BYTES_MAX: usize = LINE_BYTES_MAX * (2 * ROWS_MAX + 1);

/// One row of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// On which link.
    pub link: LinkName,
    /// What it says.
    pub row: Row,
}

/// The book with `rows`, as it is at `now_ms` after boot, when the calendar says `calendar_s`.
pub fn write<'r>(
    rows: impl IntoIterator<Item = (&'r LinkName, &'r Row)>,
    now_ms: u64,
    calendar_s: u64,
) -> Vec<u8> {
    let mut text = format!("{calendar_s}\n");
    for (link, row) in rows.into_iter().filter(|(_, row)| row.state == Use::Given) {
        let (address, mac) = (row.address, Mac(row.guest.mac));
        // To the next second: a lease that begins now has all of its time.
        let remaining_s = row.until_ms.saturating_sub(now_ms).div_ceil(1_000);
        // Writing into a text cannot fail.
        let _ = write!(text, "{link} {address} {mac} ");
        match &row.guest.key {
            Key::Mac(_) => text.push('-'),
            Key::Identifier(identifier) => {
                for byte in identifier {
                    let _ = write!(text, "{byte:02x}");
                }
            }
        }
        let host = if row.guest.host.is_empty() { "-" } else { &row.guest.host };
        let _ = writeln!(text, " {remaining_s} {host}");
    }
    text.into_bytes()
}

/// What `bytes` say, as it is at `now_ms` after boot, when the calendar says `calendar_s`.
#[must_use]
pub fn read(bytes: &[u8], now_ms: u64, calendar_s: u64) -> Vec<Entry> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    let mut lines = text.lines();
    let written_s = lines.next().and_then(|line| line.parse::<u64>().ok());
    let passed_s = written_s.map_or(0, |written_s| calendar_s.saturating_sub(written_s));
    let row = |line| entry(line, |remaining_s| until_ms(remaining_s, passed_s, now_ms));
    lines.filter_map(row).take(2 * ROWS_MAX).collect()
}

fn until_ms(remaining_s: u64, passed_s: u64, now_ms: u64) -> u64 {
    now_ms.saturating_add(remaining_s.saturating_sub(passed_s).saturating_mul(1_000))
}

fn entry(line: &str, until_ms: impl FnOnce(u64) -> u64) -> Option<Entry> {
    let mut words = line.split(' ');
    let link = words.next().filter(|link| !link.is_empty() && link.len() <= 15)?;
    let address: Ipv4Addr = words.next()?.parse().ok()?;
    let mac: Mac = words.next()?.parse().ok()?;
    let key = match words.next()? {
        "-" => Key::Mac(mac.0),
        hex => Key::Identifier(identifier(hex)?),
    };
    let remaining_s: u64 = words.next()?.parse().ok()?;
    // What is left of a name may be the sign for none.
    let host = crate::server::host(words.next()?.as_bytes());
    let host = if host.as_str() == "-" { Text::default() } else { host };
    let row = Row {
        address,
        guest: Guest { key, mac: mac.0, host },
        state: Use::Given,
        until_ms: until_ms(remaining_s),
    };
    words.next().is_none().then(|| Entry { link: LinkName::from(link), row })
}

fn identifier(hex: &str) -> Option<Identifier> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Identifier::new();
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    (rest.is_empty() && bytes.len() >= 2).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{BOOK_BYTES_MAX, Entry, read, write};
    use crate::table::{Guest, Key, ROWS_MAX, Row, Use};
    use proptest::prelude::proptest;
    use std::net::Ipv4Addr;

    fn row(number: u8, until_ms: u64, state: Use) -> Row {
        let mac = [2, 0, 0, 0, 0, number];
        let key = match number % 2 {
            0 => Key::Mac(mac),
            _ => Key::Identifier(heapless::Vec::from_slice(&[255; 64]).unwrap()),
        };
        let host = if number < 3 { "a-host.of?ours" } else { "" };
        let address = Ipv4Addr::new(192, 168, 1, number);
        Row { address, guest: Guest { key, mac, host: host.into() }, state, until_ms }
    }

    #[test]
    fn the_book_says_what_was_written() {
        let (lan, guests) = ("br-lan".into(), "br-guest".into());
        let rows = [
            (&lan, row(1, 61_000, Use::Given)),
            (&lan, row(2, 500, Use::Given)),
            (&guests, row(3, 3_601_000, Use::Given)),
            (&guests, row(4, 61_000, Use::Offered)),
        ];
        let bytes = write(rows.iter().map(|(link, row)| (*link, row)), 1_000, 1_700_000_000);
        // moment, calendar, what remains of the first three then, in milliseconds
        let table = [
            ("at once", 1_000, 1_700_000_000, [60_000, 0, 3_600_000]),
            ("after a boot, a minute later", 9_000, 1_700_000_060, [0, 0, 3_540_000]),
            ("after a boot, with no calendar", 9_000, 1_600_000_000, [60_000, 0, 3_600_000]),
            ("years later", 9_000, 1_900_000_000, [0, 0, 0]),
        ];
        for (what, now_ms, calendar_s, remains) in table {
            let want: Vec<Entry> = rows
                .iter()
                .zip(remains)
                .map(|((link, row), remains)| Entry {
                    link: (*link).clone(),
                    row: Row { until_ms: now_ms + remains, ..row.clone() },
                })
                .collect();
            assert_eq!(read(&bytes, now_ms, calendar_s), want, "{what}");
        }
        let whole: Vec<Entry> = read(&bytes, 1_000, 0);
        for cut in 0..bytes.len() {
            // The file's checksum does not let these through; what is read is true all the same, but for a last line's name.
            let known = |entry: &Entry| whole.iter().any(|other| other.row.address == entry.row.address);
            assert!(read(&bytes[..cut], 1_000, 0).iter().rev().skip(1).all(known), "cut at {cut}");
        }
    }

    #[test]
    fn the_largest_book_fits() {
        let mut one = row(1, u64::from(u32::MAX) * 1_000, Use::Given);
        one.guest.host = "h".repeat(63).as_str().into();
        one.address = Ipv4Addr::new(255, 255, 255, 255);
        let link = "a-link-of-15-by".into();
        assert!(write(std::iter::repeat_n((&link, &one), 2 * ROWS_MAX), 0, u64::MAX).len() <= BOOK_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = read(&bytes, 0, 0);
        }
    }
}
