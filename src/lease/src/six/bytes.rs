//! Bytes of a stranger, read from front to back; and bytes of ours, within a limit.
//!
//! In:  bytes. Out: numbers, addresses, what is left; `None` where there is not enough. A [`Writer`] that is full says so at the end.

use std::net::Ipv6Addr;

use heapless::Vec;

/// What has not been read yet.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    /// The next `N` bytes.
    pub fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    /// The next two, as a number.
    pub fn half(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_be_bytes)
    }

    /// The next four, as a number.
    pub fn word(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// The next sixteen, as an address.
    pub fn address(&mut self) -> Option<Ipv6Addr> {
        self.chunk::<16>().map(Ipv6Addr::from)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Bytes that are written, at most `N`.
#[derive(Debug, Clone, Default)]
pub struct Writer<const N: usize> {
    bytes: Vec<u8, N>,
    full: bool,
}

impl<const N: usize> Writer<N> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Vec::new(), full: false }
    }

    /// Writes `bytes` behind what is there.
    pub fn put(&mut self, bytes: &[u8]) {
        self.full |= self.bytes.extend_from_slice(bytes).is_err();
    }

    /// A place for a number of two bytes that is known later.
    pub fn hole(&mut self) -> usize {
        let at = self.bytes.len();
        self.put(&[0, 0]);
        at
    }

    /// Writes the length of all that follows the hole `at` into it.
    pub fn fill(&mut self, at: usize) {
        let length = self.bytes.len().saturating_sub(at + 2);
        let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(length) {
            *place = byte;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bytes.len()
    }

    /// All of it; `None` where it was too much.
    #[must_use]
    pub fn end(self) -> Option<Vec<u8, N>> {
        (!self.full).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Writer};

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut reader = Reader(&[1, 0, 2, 9]);
        assert_eq!((reader.byte(), reader.half(), reader.half()), (Some(1), Some(2), None));
        assert_eq!((reader.take(2), reader.take(1), reader.byte()), (None, Some([9].as_slice()), None));
    }

    #[test]
    fn what_does_not_fit_is_noticed() {
        let mut writer = Writer::<4>::new();
        let at = writer.hole();
        writer.put(&[7]);
        writer.fill(at);
        assert_eq!(writer.clone().end().as_deref(), Some([0, 1, 7].as_slice()));
        writer.put(&[8, 9]);
        assert_eq!(writer.end(), None);
    }
}
