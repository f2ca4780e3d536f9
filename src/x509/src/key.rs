//! The key pair: ECDSA with P-256.
//!
//! In:  random numbers, or what was kept. Out: a public key, signatures. The private key leaves only as [`Key::secret`], for the disk.
//!
//! Source: FIPS 186-5; RFC 5480 (public keys), RFC 5958 (private ones), RFC 3279 §2.2.3 (signatures).

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};

use crate::Error;
use crate::der::{self, tag};

/// `id-ecPublicKey` and `prime256v1`. Source: RFC 5480 §2.1.1.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// A public key as `SubjectPublicKeyInfo` in DER, in bytes; and its point, not compressed. Source: RFC 5480 §2, §2.2.
pub const PUBLIC_BYTES: usize = 91;
const POINT_BYTES: usize = 65;
/// What is kept of a key, in bytes: PKCS#8 with both halves has 138.
pub const SECRET_BYTES_MAX: usize = 256;

/// A key pair.
pub struct Key {
    pair: EcdsaKeyPair,
    secret: Vec<u8>,
    random: SystemRandom,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key") // What is in it is nobody's business, a log's least of all.
    }
}

impl Key {
    /// A new one. Waits until the kernel's random numbers are good: a key made of bad ones would be worth nothing for ever.
    ///
    /// # Errors
    /// [`Error::Key`]: the system gives no random numbers.
    pub fn make() -> Result<Self, Error> {
        let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        Self::open(secret.map_err(|_| Error::Key)?.as_ref())
    }

    /// The one that was kept as `secret`.
    ///
    /// # Errors
    /// [`Error::Key`]: that is none.
    pub fn open(secret: &[u8]) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, secret, &random);
        Ok(Self { pair: pair.map_err(|_| Error::Key)?, secret: secret.to_vec(), random })
    }

    /// Both halves, as PKCS#8 in DER: for the disk only.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The public half, as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        let kind = [der::wrap(tag::OBJECT, &[EC_PUBLIC_KEY]), der::wrap(tag::OBJECT, &[PRIME256V1])];
        let kind = der::wrap(tag::SEQUENCE, &[&kind[0], &kind[1]]);
        der::wrap(tag::SEQUENCE, &[&kind, &der::bits(self.pair.public_key().as_ref())])
    }

    /// The signature of `message`, in DER.
    ///
    /// # Errors
    /// [`Error::Key`]: the system gives no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.pair.sign(&self.random, message).map_err(|_| Error::Key)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// Is this the signature (in DER) of `message` by the key whose public half is this?
#[must_use]
pub fn has_signed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = point(public).map(|point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point));
    key.is_some_and(|key| key.verify(message, signature).is_ok())
}

/// The point of a public key in DER; `None`: it is not of this kind.
#[must_use]
pub fn point(public: &[u8]) -> Option<&[u8]> {
    let (head, point) = public.split_at_checked(PUBLIC_BYTES - POINT_BYTES)?;
    // The same bytes stand before each.
    let kind = head.windows(PRIME256V1.len()).any(|part| part == PRIME256V1);
    (kind && point.len() == POINT_BYTES).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::{Key, PUBLIC_BYTES, SECRET_BYTES_MAX, has_signed};

    #[test]
    fn what_was_kept_signs_as_before() {
        let key = Key::make().unwrap();
        assert!(key.secret().len() <= SECRET_BYTES_MAX);
        assert_eq!(key.public().len(), PUBLIC_BYTES);
        let again = Key::open(key.secret()).unwrap();
        assert_eq!(again.public(), key.public());
        let signature = again.sign(b"message").unwrap();
        let public = key.public();
        assert!(has_signed(&public, b"message", &signature));
        assert!(!has_signed(&public, b"massage", &signature));
        assert!(!has_signed(&public[1..], b"message", &signature), "no key of this kind");
        assert!(Key::open(b"nonsense").is_err());
        assert_eq!(format!("{key:?}"), "Key");
    }
}
