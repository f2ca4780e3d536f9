//! Reads the superblock of a sealed image: is it EROFS, and all there?
//!
//! In:  the 128 bytes at offset 1024 of a file. Out: the size of the file system, or a [`Fault`].
//!
//! This module is pure. The rest of the superblock (its checksum, its features) is the kernel's to check.
//!
//! Source: fs/erofs/erofs_fs.h, `struct erofs_super_block`.

use std::fmt;

/// Where the superblock lies in the file, in bytes.
pub const OFFSET: u64 = 1024;
/// Its size, in bytes.
pub const BYTES: usize = 128;

/// `EROFS_SUPER_MAGIC_V1`.
const MAGIC: u32 = 0xE0F5_E1E2;
/// A block has 512 bytes at least and a page at most: the exponents.
const BLOCK_BITS: std::ops::RangeInclusive<u8> = 9..=12;

/// Why a file is no sealed image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not a regular file.
    Kind,
    /// Not EROFS, or too short to tell.
    Foreign,
    /// Its blocks have a size that the kernel does not take.
    Blocks,
    /// The file system should have so many bytes; the file has fewer.
    Cut(u64),
    /// So many bytes are more than an image may have.
    Large(u64),
    /// The kernel looked further and does not take it.
    Refused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => write!(f, "not a regular file"),
            Self::Foreign => write!(f, "not an EROFS image"),
            Self::Blocks => write!(f, "its blocks are of a size that the kernel does not take"),
            Self::Cut(bytes) => write!(f, "cut short: it should have {bytes} bytes"),
            Self::Large(bytes) => write!(f, "{bytes} bytes, limit {}", crate::IMAGE_BYTES_MAX),
            Self::Refused => write!(f, "damaged, or made for a newer kernel"),
        }
    }
}

/// Reads the superblock `bytes` of a file of `file_bytes` and returns the size of its file system, in bytes.
///
/// # Errors
/// [`Fault`] says what is wrong with it.
pub fn parse(bytes: &[u8], file_bytes: u64) -> Result<u64, Fault> {
    let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| Fault::Foreign)?;
    let word = |offset: usize| {
        bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
    };
    if word(0) != MAGIC {
        return Err(Fault::Foreign);
    }
    let bits = bytes.get(12).copied().filter(|bits| BLOCK_BITS.contains(bits)).ok_or(Fault::Blocks)?;
    let size_bytes = u64::from(word(36)) << bits;
    if file_bytes > crate::IMAGE_BYTES_MAX {
        return Err(Fault::Large(file_bytes));
    }
    if size_bytes == 0 || size_bytes > file_bytes {
        return Err(Fault::Cut(size_bytes));
    }
    Ok(size_bytes)
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Fault, parse};

    const HELLO: &[u8; 1024] = include_bytes!("../tests/data/hello.erofs");
    const SIZE: u64 = 4096;

    fn with(offset: usize, byte: u8) -> [u8; BYTES] {
        let mut block = *HELLO.first_chunk().unwrap();
        block[offset] = byte;
        block
    }

    #[test]
    fn what_mkfs_erofs_writes_is_read() {
        let hello = &HELLO[..BYTES];
        type Row<'r> = (&'r str, &'r [u8], u64, Result<u64, Fault>);
        let table: &[Row<'_>] = &[
            ("whole", hello, SIZE, Ok(SIZE)),
            ("with a tail", hello, SIZE + 1, Ok(SIZE)),
            ("cut", hello, SIZE - 1, Err(Fault::Cut(SIZE))),
            ("large", hello, 1 << 40, Err(Fault::Large(1 << 40))),
            ("bytes missing", &HELLO[..BYTES - 1], SIZE, Err(Fault::Foreign)),
            ("nothing", &[], 0, Err(Fault::Foreign)),
            ("ext4", &include_bytes!("../tests/data/clean.ext4")[..BYTES], SIZE, Err(Fault::Foreign)),
            ("no blocks", &with(36, 0), SIZE, Err(Fault::Cut(0))),
            ("blocks of 8 KiB", &with(12, 13), SIZE, Err(Fault::Blocks)),
            ("blocks of 2^255", &with(12, 255), SIZE, Err(Fault::Blocks)),
            ("blocks of 512 bytes", &with(12, 9), SIZE, Ok(512)),
        ];
        for (name, bytes, size, want) in table {
            assert_eq!(parse(bytes, *size), *want, "{name}");
        }
    }
}
