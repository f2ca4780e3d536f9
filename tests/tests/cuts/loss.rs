//! What a stick may lose when the mains go: of what it was not told to keep, any part.
//!
//! In:  what was written, in order; how much luck there is. Out: the writes that stay.
//!
//! A write that is long is not whole before it is flushed: each block of it stays or is lost by itself.

use lab::writes::Write;
use tests::fuzz::Random;

/// A file system's block, in bytes; a stick's own are not smaller.
const BLOCK: usize = 4096;

/// How much is lost of what was written since the last flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// Each block or not, by chance.
    Some,
    All,
}

impl Loss {
    pub(crate) fn draw(random: &mut Random) -> Self {
        [Self::Nothing, Self::Some, Self::All][random.below(3)]
    }

    /// What stays, and how many blocks are lost.
    pub(crate) fn of(self, written: &[Write], random: &mut Random) -> (Vec<Write>, usize) {
        let flushed = written.iter().rposition(|write| write.flushes).map_or(0, |last| last + 1);
        let (certain, open) = written.split_at(flushed);
        let mut stays = certain.to_vec();
        let mut lost = 0;
        for block in open.iter().flat_map(blocks) {
            let is_lost = match self {
                Self::Nothing => false,
                Self::Some => random.below(2) == 0,
                Self::All => true,
            };
            lost += usize::from(is_lost);
            if !is_lost {
                stays.push(block);
            }
        }
        (stays, lost)
    }
}

fn blocks(write: &Write) -> impl Iterator<Item = Write> {
    let place = |index: usize| write.at + u64::try_from(index * BLOCK).unwrap();
    let piece = move |(index, bytes): (usize, &[u8])| Write {
        at: place(index),
        bytes: bytes.to_vec(),
        flushes: false,
    };
    write.bytes.chunks(BLOCK).enumerate().map(piece)
}

#[test]
fn what_was_flushed_stays() {
    let write = |at, size, flushes| Write { at, bytes: vec![1; size], flushes };
    let written =
        [write(0, 8192, false), write(0, 0, true), write(4096, 10_000, false), write(65_536, 512, false)];
    let of = |loss: Loss| {
        let (stays, lost) = loss.of(&written, &mut Random::new(7));
        assert_eq!(stays[..2], written[..2], "{loss:?}");
        let open: Vec<_> = stays[2..].iter().map(|write| (write.at, write.bytes.len())).collect();
        assert_eq!(open.len() + lost, 4, "{loss:?}");
        open
    };
    assert_eq!(of(Loss::Nothing), [(4096, 4096), (8192, 4096), (12_288, 1808), (65_536, 512)]);
    assert_eq!(of(Loss::All), []);
    of(Loss::Some);
    let (stays, lost) = Loss::Some.of(&[write(0, 100 * BLOCK, false)], &mut Random::new(7));
    assert_eq!(stays.len() + lost, 100);
    assert!((20..80).contains(&lost), "{lost}");
}
