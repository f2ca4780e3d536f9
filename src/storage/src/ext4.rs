//! Reads the superblock of an ext4 file system: is it ours, is it whole, may it be written?
//!
//! In:  the 1024 bytes at offset 1024 of a block device, whoever wrote them. Out: a [`Superblock`], or a [`Fault`] that says what is wrong.
//!
//! This module is pure. It takes less than the kernel would: what it does not know it refuses, before the kernel looks at the rest.
//!
//! Source: the kernel's Documentation/filesystems/ext4/super.rst; fs/ext4/ext4.h.

use std::fmt;

/// Where the superblock lies on the device, in bytes.
pub const OFFSET: u64 = 1024;
/// Its size, in bytes.
pub const BYTES: usize = 1024;
/// Bytes of a label: `s_volume_name`.
pub const LABEL_BYTES: usize = 16;

/// `s_magic`.
const MAGIC: u16 = 0xEF53;
/// `s_rev_level`: the revision that has feature flags.
const DYNAMIC_REVISION: u32 = 1;
/// `s_state`: errors were seen.
const STATE_ERRORS: u16 = 2;
/// Compatible feature: it has a journal.
const HAS_JOURNAL: u32 = 0x4;
/// Read-only compatible feature: checksums of the metadata, this block's too.
const METADATA_CHECKSUM: u32 = 0x400;
/// Read-only compatible features: it keeps accounts in itself, and of projects.
const PROJECTS: u32 = 0x100 | 0x2000;
/// Incompatible feature: block numbers have 64 bits.
const WIDE: u32 = 0x80;
/// Incompatible features that a data disk may have: file types, a journal to replay, extents, 64 bits, flexible groups, a checksum
/// seed, large folders. What mke2fs chooses by itself. (0x8 is a journal for another device.)
const INCOMPATIBLE_KNOWN: u32 = 0x2 | 0x4 | 0x40 | WIDE | 0x200 | 0x2000 | 0x4000;
/// `s_log_block_size`: 1024 shifted by this is the size of a block. The kernel takes no block that is larger than a page.
const BLOCK_SHIFT_MAX: u32 = 2;

/// What a superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// The file system's size, in bytes.
    pub size_bytes: u64,
    /// The kernel saw errors in it, and nobody has repaired it since.
    pub damaged: bool,
    /// It keeps an account of projects: what volumes are limited by.
    pub counts_projects: bool,
}

/// Why a device is no data disk that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no ext4 file system, or part of a superblock is missing.
    Foreign,
    /// It is an ext4 file system with another label: somebody's disk, to be left alone.
    Label,
    /// Its checksum is wrong.
    Checksum,
    /// It says something that cannot be.
    Nonsense,
    /// It has no journal: a power cut would cost it its contents. Or the journal lies on another device.
    NoJournal,
    /// It brings options for its mount, which the kernel would heed beside ours.
    Options,
    /// It has features that we do not know; the flags that are too many.
    Features(u32),
    /// It is larger than its device, which has so many bytes.
    Cut(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "no ext4 file system"),
            Self::Label => write!(f, "ext4 with another label"),
            Self::Checksum => write!(f, "its superblock's checksum is wrong"),
            Self::Nonsense => write!(f, "its superblock says what cannot be"),
            Self::NoJournal => write!(f, "it has no journal of its own: make it anew with mke2fs -t ext4"),
            Self::Options => write!(f, "it brings mount options: take them away with tune2fs -E mount_opts="),
            Self::Features(flags) => write!(f, "it has features that we do not take ({flags:#x})"),
            Self::Cut(bytes) => write!(f, "its file system is larger than the device ({bytes} bytes)"),
        }
    }
}

/// Reads the superblock `bytes` of a device of `device_bytes` and says whether it can be our data disk, labelled `label`.
///
/// # Errors
/// [`Fault::Foreign`] and [`Fault::Label`]: not ours, leave it alone. The others: ours, and not to be used.
pub fn parse(bytes: &[u8], label: &[u8], device_bytes: u64) -> Result<Superblock, Fault> {
    let bytes: &[u8; BYTES] = bytes.try_into().map_err(|_| Fault::Foreign)?;
    if half(bytes, 56) != MAGIC || word(bytes, 76) != DYNAMIC_REVISION {
        return Err(Fault::Foreign);
    }
    let name = bytes.get(120..120 + LABEL_BYTES).unwrap_or_default();
    if name.split(|byte| *byte == 0).next() != Some(label) {
        return Err(Fault::Label);
    }
    let (compatible, incompatible, read_only) = (word(bytes, 92), word(bytes, 96), word(bytes, 100));
    if read_only & METADATA_CHECKSUM != 0 && checksum(bytes) != word(bytes, 1020) {
        return Err(Fault::Checksum);
    }
    if incompatible & !INCOMPATIBLE_KNOWN != 0 {
        return Err(Fault::Features(incompatible & !INCOMPATIBLE_KNOWN));
    }
    // `s_journal_inum` and `s_journal_dev`: a file of its own, or a device's number.
    if compatible & HAS_JOURNAL == 0 || word(bytes, 224) == 0 || word(bytes, 228) != 0 {
        return Err(Fault::NoJournal);
    }
    // `s_mount_opts`.
    if bytes.get(512..576).is_none_or(|options| options.iter().any(|byte| *byte != 0)) {
        return Err(Fault::Options);
    }
    let shift = word(bytes, 24);
    if shift > BLOCK_SHIFT_MAX {
        return Err(Fault::Nonsense);
    }
    let high = if incompatible & WIDE == 0 { 0 } else { word(bytes, 336) };
    let blocks = u64::from(high) << 32 | u64::from(word(bytes, 4));
    let size_bytes = blocks.checked_mul(1024 << shift).filter(|size| *size > 0).ok_or(Fault::Nonsense)?;
    if size_bytes > device_bytes {
        return Err(Fault::Cut(device_bytes));
    }
    // `s_error_count` outlives the flag when a disk is mounted again without a check.
    let damaged = half(bytes, 58) & STATE_ERRORS != 0 || word(bytes, 404) != 0;
    // `s_prj_quota_inum`.
    let counts_projects = read_only & PROJECTS == PROJECTS && word(bytes, 620) != 0;
    Ok(Superblock { size_bytes, damaged, counts_projects })
}

/// The 16 bits at `offset`, which is a constant below [`BYTES`].
fn half(bytes: &[u8; BYTES], offset: usize) -> u16 {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    found.copied().map_or(0, u16::from_le_bytes)
}

/// The 32 bits at `offset`, which is a constant below [`BYTES`].
fn word(bytes: &[u8; BYTES], offset: usize) -> u32 {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    found.copied().map_or(0, u32::from_le_bytes)
}

/// CRC-32C over all but the last four bytes, begun with all ones and not inverted, as ext4 has it.
///
/// Source: Documentation/filesystems/ext4/checksums.rst; the polynomial is Castagnoli's (RFC 3720 §12.1), reflected.
fn checksum(bytes: &[u8; BYTES]) -> u32 {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    bytes.iter().take(BYTES - 4).fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Fault, LABEL_BYTES, Superblock, checksum, parse};

    const CLEAN: &[u8; BYTES] = include_bytes!("../tests/data/clean.ext4");
    const SIZE: u64 = 16 << 20;
    const LABEL: &[u8] = b"SHG-DATA";

    /// `CLEAN` with `bytes` at `offset`, and a checksum that fits.
    fn with(offset: usize, bytes: &[u8]) -> [u8; BYTES] {
        let mut block = *CLEAN;
        block[offset..offset + bytes.len()].copy_from_slice(bytes);
        let sum = checksum(&block);
        block[1020..].copy_from_slice(&sum.to_le_bytes());
        block
    }

    #[test]
    fn what_mke2fs_writes_is_read() {
        let whole = Superblock { size_bytes: SIZE, damaged: false, counts_projects: false };
        let damaged = Superblock { damaged: true, ..whole };
        let projects = Superblock { counts_projects: true, ..whole };
        let table: &[(&str, &[u8], Result<Superblock, Fault>)] = &[
            ("clean", CLEAN, Ok(whole)),
            ("damaged", include_bytes!("../tests/data/damaged.ext4"), Ok(damaged)),
            ("to be replayed", include_bytes!("../tests/data/recover.ext4"), Ok(whole)),
            ("counts projects", include_bytes!("../tests/data/projects.ext4"), Ok(projects)),
            ("label", include_bytes!("../tests/data/other-label.ext4"), Err(Fault::Label)),
            ("ext2", include_bytes!("../tests/data/no-journal.ext2"), Err(Fault::NoJournal)),
            ("erofs", include_bytes!("../tests/data/hello.erofs"), Err(Fault::Foreign)),
            ("zeroes", &[0; BYTES], Err(Fault::Foreign)),
            ("ones", &[255; BYTES], Err(Fault::Foreign)),
            ("nothing", &[], Err(Fault::Foreign)),
            ("cut", &CLEAN[..BYTES - 1], Err(Fault::Foreign)),
        ];
        for (name, bytes, want) in table {
            assert_eq!(parse(bytes, LABEL, SIZE), *want, "{name}");
        }
        assert_eq!(parse(CLEAN, LABEL, SIZE - 1), Err(Fault::Cut(SIZE - 1)));
        assert_eq!(parse(CLEAN, b"SHG-DAT", SIZE), Err(Fault::Label), "a part of the label");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let mut label = [b'x'; LABEL_BYTES];
        label[..LABEL.len()].copy_from_slice(LABEL);
        let features = |add: u32| {
            let old = u32::from_le_bytes([CLEAN[96], CLEAN[97], CLEAN[98], CLEAN[99]]);
            (old | add).to_le_bytes()
        };
        let table: &[(&str, [u8; BYTES], Fault)] = &[
            ("blocks of 8 KiB", with(24, &3_u32.to_le_bytes()), Fault::Nonsense),
            ("blocks of 2^132", with(24, &[255; 4]), Fault::Nonsense),
            ("no block", with(4, &[0; 4]), Fault::Nonsense),
            ("2^64 blocks", with(336, &[255; 4]), Fault::Nonsense),
            ("longer label", with(120, &label), Fault::Label),
            ("a journal for another", with(96, &features(0x8)), Fault::Features(0x8)),
            ("journal elsewhere", with(228, &0x0811_u32.to_le_bytes()), Fault::NoJournal),
            ("journal nowhere", with(224, &[0; 4]), Fault::NoJournal),
            ("mount options", with(512, b"journal_path=/dev/sdb"), Fault::Options),
            ("compressed", with(96, &features(0x1)), Fault::Features(0x1)),
            ("first revision", with(76, &[0; 4]), Fault::Foreign),
        ];
        for (name, block, fault) in table {
            assert_eq!(parse(block, LABEL, SIZE), Err(*fault), "{name}");
        }
        let mut bent = *CLEAN;
        bent[404] ^= 1;
        assert_eq!(parse(&bent, LABEL, SIZE), Err(Fault::Checksum));
        assert!(parse(&with(404, &[1]), LABEL, SIZE).unwrap().damaged, "errors are counted");
    }

    #[test]
    fn no_single_byte_makes_it_fall_over() {
        for offset in 0..BYTES {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let _ = parse(&with(offset, &[byte])[..], LABEL, u64::MAX);
            }
        }
    }
}
