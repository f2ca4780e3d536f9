//! The wire `identify`: ctl, agent → identity; lease → identity, which may ask who it is and nothing else.
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
/// A gateway's certificate and those of who has signed it, up to an anchor, in bytes: an authority with RSA has about 1 500.
pub const CERTIFICATES_BYTES: usize = 6144;
/// A request for a certificate, in bytes: a key, an endpoint id twice, a signature.
pub const REQUEST_BYTES: usize = 512;

/// What kind of machine this is to an operator. Source: TR-181, `Device.DeviceInfo.ProductClass`.
pub const PRODUCT_CLASS: &str = "SHG";

/// The maker's OUI and the serial number in an endpoint id; `None`: it has none (TR-369, authority schemes: `os` has them).
#[must_use]
pub fn device(endpoint: &str) -> Option<(&str, &str)> {
    endpoint.strip_prefix("os::")?.split_once('-')
}

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
    /// A request for a certificate, for an authority to sign.
    Request,
    /// What an authority has signed: the gateway's certificate, then those of who has signed it, in DER, one after another. From now on it
    /// takes the place of the one before.
    Enrol {
        /// The certificates.
        certificates: Vec<u8, CERTIFICATES_BYTES>,
    },
}

/// What identity answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Who it is.
    Who(Who),
    /// The signature, in DER.
    Signature(Vec<u8, SIGNATURE_BYTES>),
    /// The request (PKCS#10), in DER.
    Request(Vec<u8, REQUEST_BYTES>),
    /// The certificate is kept.
    Enrolled,
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
    /// A certificate of it, and those of who has signed it, in DER, one after another: signed by itself, until an authority has signed one.
    pub certificates: Vec<u8, CERTIFICATES_BYTES>,
}
