//! The wire `identify`: ctl → identity.
//!
//! One [`Ask`] a frame, one [`Answer`] a frame, in order. The private key has no word: it never leaves its process.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::REASON_BYTES;
use crate::name::Text;

/// An endpoint id: `os::`, six digits, a hyphen, fifty letters; or a shorter one. Source: TR-369, R-ARC.6 and the table behind it.
pub const ENDPOINT_BYTES: usize = 64;
/// What can be signed, in bytes: more than TLS 1.3 signs (RFC 8446 §4.4.3), and a certificate request.
pub const MESSAGE_BYTES: usize = 4096;
/// A P-256 key as `SubjectPublicKeyInfo`. Source: RFC 5480 §2.
pub const PUBLIC_KEY_BYTES: usize = 91;
/// A signature: two numbers of 32 bytes in DER. Source: RFC 3279 §2.2.3.
pub const SIGNATURE_BYTES: usize = 72;
/// A certificate, in bytes.
pub const CERTIFICATE_BYTES: usize = 2048;

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Who is this gateway?
    Who,
    /// Sign this with the gateway's key: ECDSA with P-256 and SHA-256.
    Sign {
        /// The message itself; it is hashed there.
        message: Vec<u8, MESSAGE_BYTES>,
    },
}

/// What identity answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Who it is.
    Who(Who),
    /// The signature, in DER.
    Signature(Vec<u8, SIGNATURE_BYTES>),
    /// Not done, and why.
    Refused(Text<REASON_BYTES>),
}

/// Who this gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Its endpoint id.
    pub endpoint: Text<ENDPOINT_BYTES>,
    /// The key pair is on the data disk. Else it is for this boot only, and another takes its place when the disk comes.
    pub kept: bool,
    /// Why it is not, in words.
    pub reason: Text<REASON_BYTES>,
    /// The public key, as `SubjectPublicKeyInfo` in DER.
    pub public_key: Vec<u8, PUBLIC_KEY_BYTES>,
    /// A certificate of it in DER: signed by itself, until the operator has given another.
    pub certificate: Vec<u8, CERTIFICATE_BYTES>,
}
