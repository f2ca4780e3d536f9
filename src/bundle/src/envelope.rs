//! Something signed: which key, what, and the two signatures; the form of `.sig` files and of keyrings.
//!
//! In:  bytes. Out: the parts, within limits; nothing of it is believed before [`Envelope::open`].
//!
//! The form: `SHGSIGN1`, the key's id (16 bytes), the length of what is signed (4, little endian), what is signed, Ed25519 (64), ML-DSA-65
//! (3309). Nothing before, nothing behind.

use std::fmt;

use crate::key::{self, Id, Public, Purpose, SIGNATURE_BYTES, Secret};

/// How it begins.
const MAGIC: [u8; 8] = *b"SHGSIGN1";
/// What is not the signed bytes, in bytes.
const AROUND: usize = MAGIC.len() + 16 + 4 + SIGNATURE_BYTES;
/// What may be signed, in bytes: a keyring that is full.
pub const BODY_BYTES_MAX: usize = 512 * 1024;
/// All of it, in bytes.
pub const BYTES_MAX: usize = BODY_BYTES_MAX + AROUND;

/// Something signed. Not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// By which key, as it says.
    pub signer: Id,
    body: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

/// Why it is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has not this form.
    Form,
    /// It says that another key signed it.
    Signer(Id),
    /// A signature does not verify.
    Key(key::Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => write!(f, "not a signature's file, or a damaged one"),
            Self::Signer(id) => write!(f, "signed by key {id}, which is not the one asked for"),
            Self::Key(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for Fault {}

impl Envelope {
    /// Signs `body`.
    ///
    /// # Errors
    /// [`Fault::Key`]; [`Fault::Form`]: it is too long.
    pub fn seal(secret: &Secret, purpose: Purpose, body: Vec<u8>) -> Result<Self, Fault> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Fault::Form);
        }
        let signature = secret.sign(purpose, &body).map_err(Fault::Key)?;
        let signer = secret.public().map_err(Fault::Key)?.id();
        Ok(Self { signer, body, signature })
    }

    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.body.len()).unwrap_or(0).to_le_bytes();
        [&MAGIC[..], &self.signer.0, &length, &self.body, &self.signature].concat()
    }

    /// Takes bytes apart.
    ///
    /// # Errors
    /// [`Fault::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let parse = || {
            let rest = bytes.strip_prefix(&MAGIC[..])?;
            let (signer, rest) = rest.split_first_chunk::<16>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (body, signature) = rest.split_at_checked(length)?;
            let signature = signature.try_into().ok()?;
            (length <= BODY_BYTES_MAX).then(|| Self { signer: Id(*signer), body: body.to_vec(), signature })
        };
        parse().ok_or(Fault::Form)
    }

    /// What `key` signed for `purpose`.
    ///
    /// # Errors
    /// [`Fault::Signer`], [`Fault::Key`]: `key` did not sign it.
    pub fn open(&self, key: &Public, purpose: Purpose) -> Result<&[u8], Fault> {
        if key.id() != self.signer {
            return Err(Fault::Signer(self.signer));
        }
        key.verify(purpose, &self.body, &self.signature).map_err(Fault::Key)?;
        Ok(&self.body)
    }

    /// What it says is signed: to show, never to believe.
    #[must_use]
    pub fn unproved(&self) -> &[u8] {
        &self.body
    }
}
