//! An authority of the operator's own: it signs gateways' requests.
//!
//! In:  a key and a certificate of its own, requests. Out: certificates.
//!
//! It is for the desk and for tests. It signs gateways only, each for the endpoint id that it asks for: who may ask is for whoever calls
//! this to know.
//!
//! Source: RFC 5280 §4.2.1.1, §4.2.1.2 (key identifiers), §4.2.1.9 (authorities).

use ring::rand::{SecureRandom, SystemRandom};

use crate::issue::{Wanted, issue};
use crate::key::Key;
use crate::request::Request;
use crate::{Certificate, Error};

/// An authority.
#[derive(Debug)]
pub struct Authority {
    key: Key,
    certificate: Vec<u8>,
    name: Vec<u8>,
}

impl Authority {
    /// A new one: its name for people, and from when to when it counts, in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Key`]: no key can be made.
    pub fn make(name: &str, valid_s: (i64, i64)) -> Result<Self, Error> {
        let key = Key::make()?;
        let subject = crate::issue::name(name);
        let public = key.public();
        let wanted = Wanted { subject: &subject, public: &public, endpoint: None, valid_s };
        let certificate = issue(&wanted, (&key, &subject), number()?)?;
        Ok(Self { key, certificate, name: subject })
    }

    /// The one of this key (PKCS#8) and this certificate.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Certificate`]: they are none, or not of each other.
    pub fn open(secret: &[u8], certificate: &[u8]) -> Result<Self, Error> {
        let key = Key::open(secret)?;
        let read = Certificate::read(certificate).filter(|read| read.public == key.public());
        let name = read.ok_or(Error::Certificate)?.subject_name;
        Ok(Self { key, certificate: certificate.to_vec(), name })
    }

    /// Its certificate, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key as PKCS#8 in DER: for a file that nobody else reads.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.key.secret()
    }

    /// Signs what a gateway asks for, to count from when to when, in seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Key`]: it cannot be signed.
    pub fn sign(&self, request: &Request, valid_s: (i64, i64)) -> Result<Vec<u8>, Error> {
        let subject = crate::issue::name(&request.endpoint);
        let wanted =
            Wanted { subject: &subject, public: &request.public, endpoint: Some(&request.endpoint), valid_s };
        issue(&wanted, (&self.key, &self.name), number()?)
    }
}

/// A number that nobody can foresee. Source: RFC 5280 §4.1.2.2; CA/Browser Forum, Baseline Requirements §7.1 (64 bits at random).
fn number() -> Result<[u8; 16], Error> {
    let mut number = [0; 16];
    SystemRandom::new().fill(&mut number).map_err(|_| Error::Key)?;
    Ok(number)
}
