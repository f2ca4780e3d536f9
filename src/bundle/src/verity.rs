//! The tree of hashes that dm-verity reads: made and checked.
//!
//! In:  an image of whole blocks. Out: its tree, the topmost block first, and the hash of that block: the root.
//!
//! SHA-256, blocks of 4096 bytes on both sides, hash type 1, no salt, no superblock: all of that is known beforehand, and the numbers that
//! are not stand in the signed statement. The salt is left out because it would guard against collisions that SHA-256 does not have, and
//! the same image would not give the same bytes.
//!
//! Source: Documentation/admin-guide/device-mapper/verity.rst; drivers/md/dm-verity-target.c, `verity_ctr`.

use std::io::{self, Read};

use crate::BLOCK_BYTES;
use crate::digest::Digest;

/// A hash, in bytes.
const HASH_BYTES: usize = 32;
/// Hashes in a block of the tree.
const HASHES: usize = BLOCK_BYTES / HASH_BYTES;

/// A tree and its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// The tree's blocks, as they lie behind the image.
    pub tree: Vec<u8>,
    /// What is signed.
    pub root: Digest,
}

/// How many blocks the tree of an image of `image_blocks` has.
#[must_use]
pub fn tree_blocks(image_blocks: u32) -> u32 {
    let per_block = u32::try_from(HASHES).unwrap_or(u32::MAX);
    let (mut level, mut all) = (image_blocks, 0);
    while level > 1 {
        level = level.div_ceil(per_block);
        all += level;
    }
    all
}

/// Reads an image of `image_blocks` and makes its tree.
///
/// # Errors
/// What reading says; `UnexpectedEof` where there is less.
pub fn make(image: &mut dyn Read, image_blocks: u32) -> io::Result<Verity> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut hashes = Vec::new();
    for _ in 0..image_blocks {
        image.read_exact(&mut block)?;
        hashes.push(Digest::of(&block));
    }
    let mut levels: Vec<Vec<u8>> = Vec::new();
    while hashes.len() > 1 {
        let level = level_of(&hashes);
        hashes = level.chunks(BLOCK_BYTES).map(Digest::of).collect();
        levels.push(level);
    }
    // An image of one block has no tree: its hash is the root.
    let root = hashes.first().copied().unwrap_or_else(|| Digest::of(&[]));
    Ok(Verity { tree: levels.into_iter().rev().flatten().collect(), root })
}

/// `hashes` as blocks, zeros behind the last.
fn level_of(hashes: &[Digest]) -> Vec<u8> {
    let mut level: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    level.resize(hashes.len().div_ceil(HASHES) * BLOCK_BYTES, 0);
    level
}

/// What the kernel's target is told, but for the two devices: `1 <data> <hash> …`.
///
/// Source: verity.rst, "Construction Parameters".
#[must_use]
pub fn parameters(data: &str, hashes: &str, image_blocks: u32, root: &Digest) -> String {
    format!(
        "1 {data} {hashes} {BLOCK_BYTES} {BLOCK_BYTES} {image_blocks} {image_blocks} sha256 {} -",
        root.hex()
    )
}

#[cfg(test)]
mod tests {
    use super::{HASHES, make, tree_blocks};
    use crate::BLOCK_BYTES;

    #[test]
    fn a_tree_has_as_many_blocks_as_said() {
        let many = u32::try_from(HASHES).unwrap();
        for blocks in [1, 2, many, many + 1, many * 3, many * many, many * many + 1] {
            let bytes = vec![7; usize::try_from(blocks).unwrap() * BLOCK_BYTES];
            let verity = make(&mut bytes.as_slice(), blocks).unwrap();
            let want = usize::try_from(tree_blocks(blocks)).unwrap() * BLOCK_BYTES;
            assert_eq!(verity.tree.len(), want, "{blocks} blocks");
        }
        assert!(make(&mut [0; BLOCK_BYTES].as_slice(), 2).is_err(), "too short");
    }
}
