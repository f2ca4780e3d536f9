//! A record: everything about an installed bundle but its image, in one small file.
//!
//! In:  the three small parts. Out: bytes with a sum over them, and back.
//!
//! The form: `SHGREC01`, for manifest, service manifest and signature the length (4, little endian) and the bytes, then the SHA-256 of all
//! that. The sum is for a disk that gave back other bytes; whether to believe them is the signature's matter, at every start.

use contract::limit::MANIFEST_BYTES;
use contract::manifest::Manifest;

use crate::digest::Digest;
use crate::sign::Statement;
use crate::{envelope, form};

/// How it begins.
const MAGIC: [u8; 8] = *b"SHGREC01";
/// A bundle's signature, in bytes: the statement and what is around it.
const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
/// All of it, in bytes.
pub const BYTES_MAX: usize = 8 + 3 * 4 + form::MANIFEST_BYTES_MAX + MANIFEST_BYTES + SIGNATURE_BYTES_MAX + 32;

const _: () = assert!(SIGNATURE_BYTES_MAX < envelope::BYTES_MAX);

/// The small parts of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The OCI manifest.
    pub manifest: Vec<u8>,
    /// The service's manifest.
    pub config: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A record that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What was signed.
    pub statement: Statement,
    /// What the service is, needs and may do.
    pub service: Manifest,
    /// The image with its tree: its digest, and so its name on the disk.
    pub image: Digest,
    /// Its size, in bytes.
    pub image_bytes: u64,
    /// The parts.
    pub record: Record,
}

impl Record {
    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for part in [&self.manifest, &self.config, &self.signature] {
            bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(part);
        }
        bytes.extend(Digest::of(&bytes).0);
        bytes
    }

    /// Takes bytes apart. `None`: they are not whole.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body).0 != *sum {
            return None;
        }
        let mut rest = body.strip_prefix(&MAGIC[..])?;
        let mut part = |limit: usize| {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let length =
                usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= limit)?;
            let (part, after) = after.split_at_checked(length)?;
            rest = after;
            Some(part.to_vec())
        };
        let record = Self {
            manifest: part(form::MANIFEST_BYTES_MAX)?,
            config: part(MANIFEST_BYTES)?,
            signature: part(SIGNATURE_BYTES_MAX)?,
        };
        rest.is_empty().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn a_record_is_whole_or_none() {
        let record = Record { manifest: b"m".to_vec(), config: Vec::new(), signature: b"sig".to_vec() };
        let bytes = record.bytes();
        assert_eq!(Record::parse(&bytes), Some(record));
        for at in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[at] ^= 1;
            assert_eq!(Record::parse(&bent), None, "byte {at}");
            assert_eq!(Record::parse(&bytes[..at]), None, "cut at {at}");
        }
        assert_eq!(Record::parse(&[&bytes[..], b"x"].concat()), None);
    }
}
