//! The sealed image's file system: a narrow form of EROFS, written and checked.
//!
//! One form only, so that a check can say of every byte of the metadata where it has to be: blocks of 4096 bytes; superblock at 1024; from
//! byte 1152 on inodes of 32 bytes (*compact*), folder by folder, names in order, each with its last, partial block behind it where
//! that fits (*inline*); then, in the same order, the whole blocks. No compression, extended attributes, devices, times, or anything else that
//! the kernel's reader could do. [`write`](fn@write) makes it of a [`Tree`](crate::tree::Tree); [`check`](fn@check) takes nothing else, so of the kernel's reader only a
//! small part ever meets a stranger's bytes.
//!
//! Source: fs/erofs/erofs_fs.h; Documentation/filesystems/erofs.rst.

mod check;
mod write;

pub use check::{Fault, Source, check};
pub use write::{mend, write};

use crate::BLOCK_BYTES;

/// Where the superblock is, in bytes.
const SUPER_AT: usize = 1024;
/// Its size, in bytes.
const SUPER_BYTES: usize = 128;
/// `EROFS_SUPER_MAGIC_V1`.
const MAGIC: u32 = 0xE0F5_E1E2;
/// `EROFS_FEATURE_COMPAT_SB_CHKSUM`.
const COMPAT_CHECKSUM: u32 = 1;
/// Every image has the same name for the kernel; what it is called on the gateway is the manifest's business.
const UUID: [u8; 16] = *b"SHG\0\0\0\x40\0\x80\0\0\0\0\0\0\x01";

/// A compact inode, in bytes; the unit of inode numbers, too.
const INODE_BYTES: usize = 32;
/// The first inode: the root's.
const ROOT_AT: usize = SUPER_AT + SUPER_BYTES;
/// `EROFS_INODE_FLAT_PLAIN` of a compact inode: all bytes in whole blocks.
const PLAIN: u16 = 0;
/// `EROFS_INODE_FLAT_INLINE` of a compact inode: the last, partial block stands behind the inode.
const INLINE: u16 = 2 << 1;
/// An entry of a folder, in bytes, without its name. Source: `struct erofs_dirent`.
const ENTRY_BYTES: usize = 12;

/// `S_IFMT` and its kinds.
const KIND: u16 = 0o170_000;
const FOLDER: u16 = 0o040_000;
const FILE: u16 = 0o100_000;
const LINK: u16 = 0o120_000;

/// The kind of a file as folders have it. Source: `EROFS_FT_*`, which are `FT_*` of fs_types.h.
fn entry_kind(kind: u16) -> Option<u8> {
    match kind {
        FILE => Some(1),
        FOLDER => Some(2),
        LINK => Some(7),
        _ => None,
    }
}

/// Where the bytes of a file of `size` are: in whole blocks (how many), and behind the inode (how many bytes).
fn shape(size: usize) -> (usize, usize) {
    let tail = size % BLOCK_BYTES;
    if tail <= BLOCK_BYTES - INODE_BYTES {
        (size / BLOCK_BYTES, tail)
    } else {
        (size.div_ceil(BLOCK_BYTES), 0)
    }
}

/// Where an inode with `tail` bytes behind it is put if all before it ends at `end`: what is inline lies in one block with its inode.
fn place(end: usize, tail: usize) -> usize {
    let at = end.next_multiple_of(INODE_BYTES);
    if at % BLOCK_BYTES + INODE_BYTES + tail > BLOCK_BYTES { at.next_multiple_of(BLOCK_BYTES) } else { at }
}

/// CRC-32C as the kernel computes it: begun with ones, not turned over at the end.
///
/// Source: fs/erofs/super.c, `erofs_superblock_csum_verify`.
fn crc32c(bytes: &[u8]) -> u32 {
    /// Castagnoli's polynomial, bits reversed. Source: RFC 3720 appendix B.4.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 }
            },
        )
    })
}

/// A superblock without its checksum.
fn superblock(inodes: u32, blocks: u32) -> [u8; SUPER_BYTES] {
    let mut bytes = [0; SUPER_BYTES];
    let root = u16::try_from(ROOT_AT / INODE_BYTES).unwrap_or(0);
    let mut set = |at: usize, field: &[u8]| {
        bytes.iter_mut().skip(at).zip(field).for_each(|(to, from)| *to = *from);
    };
    set(0, &MAGIC.to_le_bytes());
    set(8, &COMPAT_CHECKSUM.to_le_bytes());
    set(12, &[12]); // blkszbits: 4096
    set(14, &root.to_le_bytes());
    set(16, &u64::from(inodes).to_le_bytes());
    set(36, &blocks.to_le_bytes());
    set(48, &UUID);
    bytes
}

#[cfg(test)]
#[path = "erofs/tests.rs"]
mod tests;
