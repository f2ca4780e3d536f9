//! Unpacks a layer's stream: gzip, zstd or nothing, told apart by how it begins; with limits.
//!
//! Source: RFC 1952 (gzip), RFC 8878 (zstd).

use std::cell::Cell;
use std::io::{self, Chain, Cursor, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use super::{Error, LAYER_BYTES_MAX};

/// So many times its size a layer may have when it is unpacked. Programs have three to five, a gzip of zeros a thousand.
const RATIO_MAX: u64 = 200;
/// What is unpacked in any case, in bytes: a small layer of zeros is none's bomb.
const RATIO_FREE: u64 = 16 << 20;
/// What zstd may look back, in bytes: the window that every decoder has to have. Source: RFC 8878 §3.1.1.1.2.
const WINDOW_BYTES_MAX: u64 = 8 << 20;

/// Counts what passes.
struct Count<R> {
    stream: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Count<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.count.set(self.count.get() + u64::try_from(count).unwrap_or(0));
        Ok(count)
    }
}

/// A layer's tar.
pub struct Inflate<'s> {
    stream: Box<dyn Read + 's>,
    packed: Rc<Cell<u64>>,
    unpacked: u64,
}

/// What is read again from the beginning.
type Again<R> = Chain<Cursor<Vec<u8>>, R>;

impl<'s> Inflate<'s> {
    /// Begins to unpack `stream`.
    ///
    /// # Errors
    /// [`Error::Stream`]: it is none that we know.
    pub fn new(mut stream: impl Read + 's) -> Result<Self, Error> {
        let mut head = Vec::new();
        (&mut stream).take(4).read_to_end(&mut head).map_err(Error::Stream)?;
        let packed = Rc::new(Cell::new(0));
        let again: Again<_> = Cursor::new(head.clone()).chain(stream);
        let again = Count { stream: again, count: Rc::clone(&packed) };
        let stream: Box<dyn Read + 's> = match head.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(again)),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let decoder = StreamingDecoder::new_with_max_window_size(again, WINDOW_BYTES_MAX);
                Box::new(decoder.map_err(|error| Error::Stream(io::Error::other(error.to_string())))?)
            }
            _ => Box::new(again),
        };
        Ok(Self { stream, packed, unpacked: 0 })
    }

    /// Turns the limits' own errors back.
    pub fn error(error: Error) -> Error {
        let Error::Stream(cause) = &error else { return error };
        match cause.get_ref().and_then(|inner| inner.downcast_ref::<Limit>()) {
            Some(Limit::Long) => Error::Long(LAYER_BYTES_MAX),
            Some(Limit::Bomb) => Error::Bomb(RATIO_MAX),
            None => error,
        }
    }
}

/// A limit was met.
#[derive(Debug)]
enum Limit {
    Long,
    Bomb,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "too much")
    }
}

impl std::error::Error for Limit {}

impl Read for Inflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.unpacked += u64::try_from(count).unwrap_or(0);
        if self.unpacked > LAYER_BYTES_MAX {
            return Err(io::Error::other(Limit::Long));
        }
        if self.unpacked > RATIO_FREE && self.unpacked / RATIO_MAX > self.packed.get() {
            return Err(io::Error::other(Limit::Bomb));
        }
        Ok(count)
    }
}
