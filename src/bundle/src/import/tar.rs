//! Reads tar archives: ustar, with the extensions of PAX and GNU that image makers use.
//!
//! In:  a stream. Out: its entries, one by one, each with the stream of its bytes.
//!
//! Every length is held against a limit before anything of it is read. Sparse files are refused: nobody puts them into images.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".

use std::io::{self, Read};

use super::Error;
use crate::PATH_BYTES_MAX;

/// The unit of an archive, in bytes.
const UNIT: usize = 512;
/// An extended header, in bytes: paths have 4 KiB, extended attributes 64 KiB.
const HEADER_BYTES_MAX: u64 = 256 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A device: `character device`, …
    Other(&'static str),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the archive has it.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// Its bytes.
    pub size: u64,
    /// Where a link leads.
    pub target: Vec<u8>,
    /// It has file capabilities.
    pub capable: bool,
}

/// What extended headers say about the next entry.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    capable: bool,
}

/// An archive being read.
pub struct Reader<R> {
    stream: R,
    /// What is left of the entry, and then of its padding.
    left: u64,
    padding: u64,
    /// Where we are, in bytes.
    at: u64,
}

impl<R: Read> Reader<R> {
    /// Reads `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, left: 0, padding: 0, at: 0 }
    }

    /// Where the bytes of the entry begin.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next entry; what was not read of the one before is passed over. `None`: the end.
    ///
    /// # Errors
    /// [`Error::Tar`]: it is not understood. [`Error::Stream`].
    pub fn entry_after(&mut self) -> Result<Option<Entry>, Error> {
        let mut extended = Extended::default();
        loop {
            let (left, padding) = (self.left, self.padding);
            (self.left, self.padding) = (0, 0);
            self.pass(left)?;
            // umoci's `insert` ends its layers without the last padding, and without the two empty units.
            self.at +=
                io::copy(&mut (&mut self.stream).take(padding), &mut io::sink()).map_err(Error::Stream)?;
            let Some(block) = self.header()? else { return Ok(None) };
            let size =
                number(field(&block, 124, 12)).ok_or_else(|| self.fault("a size that is no number"))?;
            match block.get(156) {
                Some(b'x') => self.pax(size, &mut extended)?,
                // Global headers say nothing that counts here (git writes its commit into one).
                Some(b'g') => self.body(size).map(drop)?,
                Some(b'L') => extended.path = Some(self.name(size)?),
                Some(b'K') => extended.target = Some(self.name(size)?),
                kind => return self.entry(&block, kind.copied().unwrap_or(0), size, extended).map(Some),
            }
        }
    }

    fn fault(&self, why: &'static str) -> Error {
        Error::Tar(self.at, why)
    }

    fn pass(&mut self, bytes: u64) -> Result<(), Error> {
        let passed = io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink()).map_err(Error::Stream)?;
        self.at += passed;
        if passed == bytes { Ok(()) } else { Err(self.fault("cut short")) }
    }

    /// The next header; `None` at the end of the archive, which may be there without its two empty units.
    fn header(&mut self) -> Result<Option<[u8; UNIT]>, Error> {
        let mut block = [0; UNIT];
        let mut had = 0;
        while let Some(rest @ [_, ..]) = block.get_mut(had..) {
            match self.stream.read(rest) {
                Ok(0) if had == 0 => return Ok(None),
                Ok(0) => return Err(self.fault("cut short")),
                Ok(count) => had += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Stream(error)),
            }
        }
        self.at += 512;
        if block == [0; UNIT] {
            return Ok(None);
        }
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        let field_sum: u64 = field(&block, 148, 8).iter().map(|byte| u64::from(*byte)).sum();
        // The checksum is made with its own field full of spaces.
        if number(field(&block, 148, 8)) != Some(sum - field_sum + 8 * u64::from(b' ')) {
            return Err(self.fault("a header's checksum does not fit"));
        }
        Ok(Some(block))
    }

    /// All bytes of an extended header, and its padding.
    fn body(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > HEADER_BYTES_MAX {
            return Err(self.fault("an extended header that is too long"));
        }
        let mut bytes = Vec::new();
        (&mut self.stream).take(size).read_to_end(&mut bytes).map_err(Error::Stream)?;
        self.at += u64::try_from(bytes.len()).unwrap_or(0);
        if u64::try_from(bytes.len()) != Ok(size) {
            return Err(self.fault("cut short"));
        }
        self.pass(padding(size))?;
        Ok(bytes)
    }

    /// A long name in GNU's way: it ends with a NUL.
    fn name(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = self.body(size)?;
        while bytes.pop_if(|byte| *byte == 0).is_some() {}
        Ok(bytes)
    }

    /// Reads records: `length key=value\n`.
    fn pax(&mut self, size: u64, extended: &mut Extended) -> Result<(), Error> {
        let bytes = self.body(size)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value, after) =
                record(rest).ok_or_else(|| self.fault("an extended header's record"))?;
            rest = after;
            let value_number = || decimal(value).ok_or(Error::Tar(self.at, "an extended header's number"));
            match key {
                b"path" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.target = Some(value.to_vec()),
                b"size" => extended.size = Some(value_number()?),
                b"uid" => extended.uid = Some(value_number()?),
                b"gid" => extended.gid = Some(value_number()?),
                b"SCHILY.xattr.security.capability" => extended.capable = true,
                key if key.starts_with(b"GNU.sparse.") => return Err(self.fault("a sparse file")),
                _ => {} // Times, comments, other extended attributes: an image has none.
            }
        }
        Ok(())
    }

    fn entry(&mut self, block: &[u8; UNIT], kind: u8, size: u64, extended: Extended) -> Result<Entry, Error> {
        let kind = match kind {
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Link,
            b'3' => Kind::Other("a character device"),
            b'4' => Kind::Other("a block device"),
            b'5' => Kind::Folder,
            b'6' => Kind::Other("a named pipe"),
            _ => return Err(self.fault("an entry of an unknown kind")),
        };
        let size = extended.size.unwrap_or(size);
        // Only files have bytes; some writers give links and folders a size all the same, and no bytes.
        self.left = if kind == Kind::File { size } else { 0 };
        self.padding = padding(self.left);
        let id = |given: Option<u64>, at: usize| given.or_else(|| number(field(block, at, 8)));
        let fault = |why| Error::Tar(self.at, why);
        let entry = Entry {
            path: extended.path.unwrap_or_else(|| long_name(block)),
            kind,
            mode: number(field(block, 100, 8))
                .and_then(|mode| u32::try_from(mode).ok())
                .ok_or(fault("a mode"))?,
            uid: id(extended.uid, 108).ok_or(fault("an owner"))?,
            gid: id(extended.gid, 116).ok_or(fault("a group"))?,
            size: self.left,
            target: extended.target.unwrap_or_else(|| text(field(block, 157, 100)).to_vec()),
            capable: extended.capable,
        };
        let too_long = entry.path.len() > PATH_BYTES_MAX || entry.target.len() > PATH_BYTES_MAX;
        if too_long { Err(fault("a path longer than 4095 bytes")) } else { Ok(entry) }
    }
}

/// The bytes of the entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&mut self.stream).take(self.left).read(buffer)?;
        let step = u64::try_from(count).unwrap_or(0);
        self.left -= step;
        self.at += step;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(512) - size
}

fn field(block: &[u8; UNIT], at: usize, bytes: usize) -> &[u8] {
    block.get(at..).and_then(|rest| rest.get(..bytes)).unwrap_or_default()
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The path of a ustar header: a prefix, a slash, a name.
fn long_name(block: &[u8; UNIT]) -> Vec<u8> {
    let (name, prefix) = (text(field(block, 0, 100)), text(field(block, 345, 155)));
    if prefix.is_empty() || field(block, 257, 6) != b"ustar\0" {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    }
}

/// A number: octal digits between spaces and NULs, or GNU's base 256.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if *first == 0x80 {
        let (high, low) = rest.split_at_checked(rest.len().saturating_sub(8))?;
        let low = low.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        return high.iter().all(|byte| *byte == 0).then_some(low).filter(|value| *value < 1 << 62);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let (digits, after) = digits.split_at_checked(end)?;
    if !after.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    let digit = |byte: &u8| matches!(byte, b'0'..=b'7').then(|| u64::from(byte - b'0'));
    digits.iter().try_fold(0, |value: u64, byte| Some(value << 3 | digit(byte)?))
}

/// A decimal number, below 2^62.
fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value| *value < 1 << 62)
}

/// The first record, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..space)?)?).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((pair.get(..equals)?, pair.get(equals + 1..)?, after))
}
