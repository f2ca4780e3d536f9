//! What lies on the disk: a head that says what follows, and the bytes.
//!
//! In:  a version, a generation, bytes. Out: the same, or nothing where a bit is wrong. This module is pure.
//!
//! ```text
//! 0  "SHGs"   4  version u16   6  zero u16   8  generation u64   16  length u32   20  CRC-32 of all but itself   24  bytes
//! ```
//! Numbers are little-endian.
//!
//! Source: ISO 3309 for the checksum (the CRC-32 of Ethernet and of gzip, RFC 1952 §8). It finds what a power cut leaves; it does not
//! withstand an attacker, who would have the daemon's own uid.

/// Bytes before the bytes.
pub const HEAD: usize = 24;

const MAGIC: [u8; 4] = *b"SHGs";

/// A file that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image<'b> {
    /// What the daemon calls the form of its bytes.
    pub version: u16,
    /// How often the file was written.
    pub generation: u64,
    /// What it keeps.
    pub bytes: &'b [u8],
}

/// Writes `image` down.
#[must_use]
pub fn write(image: &Image<'_>) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEAD + image.bytes.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&image.version.to_le_bytes());
    file.extend_from_slice(&[0; 2]);
    file.extend_from_slice(&image.generation.to_le_bytes());
    // `File::save` has refused what is longer.
    file.extend_from_slice(&u32::try_from(image.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    let sum = checksum(&[&file, image.bytes]);
    file.extend_from_slice(&sum.to_le_bytes());
    file.extend_from_slice(image.bytes);
    file
}

/// Reads a file. `None`: it is not whole.
#[must_use]
pub fn read(file: &[u8]) -> Option<Image<'_>> {
    let (head, bytes) = file.split_at_checked(HEAD)?;
    let (summed, sum) = head.split_at_checked(HEAD - 4)?;
    let (magic, rest) = summed.split_first_chunk::<4>()?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (zero, rest) = rest.split_first_chunk::<2>()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let whole = *magic == MAGIC
        && *zero == [0; 2]
        && u32::try_from(bytes.len()) == Ok(length)
        && sum == checksum(&[summed, bytes]).to_le_bytes();
    whole.then_some(Image {
        version: u16::from_le_bytes(*version),
        generation: u64::from_le_bytes(*generation),
        bytes,
    })
}

/// CRC-32 of `parts`, one after the other. Bit by bit: the files are small and seldom written.
fn checksum(parts: &[&[u8]]) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    let bits = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    };
    !parts.iter().copied().flatten().fold(u32::MAX, bits)
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Image, checksum, read, write};

    #[test]
    fn the_checksum_is_the_known_one() {
        // The check value that catalogues of CRCs give, and what `printf 123456789 | gzip | tail -c8 | od -tx4` says.
        assert_eq!(checksum(&[b"12345", b"6789"]), 0xCBF4_3926);
        assert_eq!(checksum(&[]), 0);
    }

    #[test]
    fn what_was_written_is_read_and_what_was_bent_is_not() {
        let image = Image { version: 3, generation: 1 << 40, bytes: b"leases" };
        let file = write(&image);
        assert_eq!(read(&file), Some(image));
        for cut in 0..file.len() {
            assert_eq!(read(&file[..cut]), None, "cut at {cut}");
        }
        for place in 0..file.len() * 8 {
            let mut bent = file.clone();
            bent[place / 8] ^= 1 << (place % 8);
            assert_eq!(read(&bent), None, "bit {place}");
        }
        assert_eq!(read(&[file, vec![0]].concat()), None, "longer");
        assert_eq!(read(&[0; HEAD]), None, "zeroes, as a file system leaves them");
    }
}
