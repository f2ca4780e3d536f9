//! Keys, requests and certificates of gateways, as bytes: P-256, PKCS#10, X.509.
//!
//! In:  an endpoint id, a key; bytes that others wrote. Out: DER and PEM; what others' certificates say.
//!
//! The gateway says with it who it is and reads what an operator has signed; the desk signs with it. Whoever wants another kind of key, or
//! more in a certificate, has an authority of his own: what it signs is read here as well.
//!
//! Not here: whether anybody is believed (`trust`), where a key is kept (`identity`).
//!
//! Source: RFC 5280 (certificates), RFC 2986 (requests), RFC 5480 (keys), RFC 7468 (PEM); TR-369 §5 (R-SEC.0a).
#![forbid(unsafe_code)]

pub mod der;
pub mod key;
pub mod pem;
pub mod time;

pub mod certificate;
pub mod issue;
pub mod list;
pub mod request;

pub mod authority;

pub use authority::Authority;
pub use certificate::Certificate;
pub use key::Key;
pub use list::List;
pub use request::Request;

use std::fmt;

/// What stands before an endpoint id in a certificate. Source: TR-369 §2.3 (R-ARC.8).
pub const URN: &str = "urn:bbf:usp:id:";

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// No key can be made or used: it is none, or the system gives no random numbers.
    Key,
    /// It is no request of a gateway's: another form, another kind of key, no endpoint id.
    Request,
    /// Its signature is not of its own key.
    Signature,
    /// It is no certificate, or there is none in the text.
    Certificate,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => write!(f, "key: it cannot be made or used"),
            Self::Request => write!(f, "request: not of a gateway's form (PKCS#10, P-256, an endpoint id)"),
            Self::Signature => write!(f, "request: its signature is not of its own key"),
            Self::Certificate => write!(f, "certificate: none that can be read"),
        }
    }
}

impl std::error::Error for Error {}
