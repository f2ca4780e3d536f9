//! A key: two of them, Ed25519 and ML-DSA-65, that always go together.
//!
//! In:  seeds or public bytes. Out: signatures of both, or the word that both are good.
//!
//! ML-DSA (FIPS 204) is there against a computer that can undo Ed25519; Ed25519 is there because the ML-DSA code has not been audited by
//! anybody. So one alone proves nothing here. A key's id is the hash of both public halves: no half can be taken from elsewhere.
//!
//! What is signed begins with a word for its purpose, so that a signature over one thing is none over another.
//!
//! Source: RFC 8032 (Ed25519); FIPS 204 (ML-DSA, with its context string).

use std::fmt;

use ml_dsa::{EncodedVerifyingKey, KeyExport, MlDsa65, Seed, Signature, SigningKey, VerifyingKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::digest::{Digest, from_hex, hex};

/// Public halves, in bytes. Source: RFC 8032 §5.1.5; FIPS 204 table 2.
const ED25519_PUBLIC: usize = 32;
const ML_DSA_PUBLIC: usize = 1952;
/// Signatures, in bytes. Source: RFC 8032 §5.1.6; FIPS 204 table 2.
const ED25519_SIGNATURE: usize = 64;
const ML_DSA_SIGNATURE: usize = 3309;
/// A public key: both halves, in bytes.
pub const PUBLIC_BYTES: usize = ED25519_PUBLIC + ML_DSA_PUBLIC;
/// A signature: both, in bytes.
pub const SIGNATURE_BYTES: usize = ED25519_SIGNATURE + ML_DSA_SIGNATURE;

/// First lines of the files.
const PUBLIC_HEAD: &str = "shg public key 1";
const SECRET_HEAD: &str = "shg secret key 1";
/// The largest key file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 8 * 1024;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A provider's: this is a bundle of mine.
    Bundle,
    /// The root's: these are the keys.
    Keyring,
}

impl Purpose {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Bundle => b"shg bundle 1",
            Self::Keyring => b"shg keyring 1",
        }
    }
}

/// Which key: the first half of the hash of its public bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// Why a signature or a key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A key's file is not one, or cut.
    File,
    /// The Ed25519 half does not verify.
    Ed25519,
    /// The ML-DSA-65 half does not verify.
    MlDsa,
    /// The system has no randomness to give.
    Random,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => write!(f, "not a key's file, or a damaged one"),
            Self::Ed25519 => write!(f, "the Ed25519 signature does not verify"),
            Self::MlDsa => write!(f, "the ML-DSA-65 signature does not verify"),
            Self::Random => write!(f, "no randomness from the system"),
        }
    }
}

impl std::error::Error for Fault {}

/// What may be known to everybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Public([u8; PUBLIC_BYTES]);

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Public({})", self.id())
    }
}

impl Public {
    /// Takes the bytes of both halves.
    #[must_use]
    pub fn new(bytes: [u8; PUBLIC_BYTES]) -> Self {
        Self(bytes)
    }

    /// Both halves, Ed25519 first.
    #[must_use]
    pub fn bytes(&self) -> &[u8; PUBLIC_BYTES] {
        &self.0
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> Id {
        let digest = Digest::of(&self.0);
        Id(digest.0.first_chunk().copied().unwrap_or_default())
    }

    /// Is `signature` one of this key over `message`, for `purpose`? Both halves have to be.
    ///
    /// # Errors
    /// [`Fault::Ed25519`] or [`Fault::MlDsa`]: that half is not.
    pub fn verify(
        &self,
        purpose: Purpose,
        message: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), Fault> {
        let (ed25519_key, ml_dsa_key) = self.0.split_first_chunk::<ED25519_PUBLIC>().ok_or(Fault::File)?;
        let (ed25519, ml_dsa) = signature.split_first_chunk::<ED25519_SIGNATURE>().ok_or(Fault::Ed25519)?;
        let marked = marked(purpose, message);
        UnparsedPublicKey::new(&ED25519, ed25519_key).verify(&marked, ed25519).map_err(|_| Fault::Ed25519)?;
        let key: &EncodedVerifyingKey<MlDsa65> = ml_dsa_key.try_into().map_err(|_| Fault::MlDsa)?;
        let key = VerifyingKey::<MlDsa65>::decode(key);
        let ml_dsa = Signature::<MlDsa65>::try_from(ml_dsa).map_err(|_| Fault::MlDsa)?;
        let good = key.verify_with_context(message, purpose.word(), &ml_dsa);
        if good { Ok(()) } else { Err(Fault::MlDsa) }
    }

    /// As a file.
    #[must_use]
    pub fn text(&self) -> String {
        let (ed25519, ml_dsa) = self.0.split_at(ED25519_PUBLIC);
        format!("{PUBLIC_HEAD}\n{}\n{}\n", hex(ed25519), hex(ml_dsa))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (ed25519, ml_dsa) = lines::<ED25519_PUBLIC, ML_DSA_PUBLIC>(PUBLIC_HEAD, text)?;
        let mut bytes = [0; PUBLIC_BYTES];
        bytes.iter_mut().zip(ed25519.into_iter().chain(ml_dsa)).for_each(|(to, from)| *to = from);
        Ok(Self(bytes))
    }
}

/// What Ed25519 signs: it has no context string of its own here.
fn marked(purpose: Purpose, message: &[u8]) -> Vec<u8> {
    [purpose.word(), b"\0", message].concat()
}

/// The two lines of digits of a key's file.
fn lines<const A: usize, const B: usize>(head: &str, text: &str) -> Result<([u8; A], [u8; B]), Fault> {
    let mut lines = text.lines();
    let both = match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some(first), Some(one), Some(two), None) if first == head => from_hex(one).zip(from_hex(two)),
        _ => None,
    };
    both.ok_or(Fault::File)
}

/// What only its owner may know: two seeds.
pub struct Secret {
    ed25519: [u8; 32],
    ml_dsa: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret")
    }
}

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// [`Fault::Random`].
    pub fn generate() -> Result<Self, Fault> {
        let mut secret = Self { ed25519: [0; 32], ml_dsa: [0; 32] };
        let random = SystemRandom::new();
        random.fill(&mut secret.ed25519).map_err(|_| Fault::Random)?;
        random.fill(&mut secret.ml_dsa).map_err(|_| Fault::Random)?;
        Ok(secret)
    }

    /// The one that grows of these seeds.
    #[must_use]
    pub fn of_seeds(ed25519: [u8; 32], ml_dsa: [u8; 32]) -> Self {
        Self { ed25519, ml_dsa }
    }

    fn halves(&self) -> Result<(Ed25519KeyPair, SigningKey<MlDsa65>), Fault> {
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(&self.ed25519).map_err(|_| Fault::File)?;
        Ok((ed25519, SigningKey::from_seed(&Seed::from(self.ml_dsa))))
    }

    /// Its public half.
    ///
    /// # Errors
    /// [`Fault::File`]: the seeds are none.
    pub fn public(&self) -> Result<Public, Fault> {
        let (ed25519, ml_dsa) = self.halves()?;
        let ml_dsa = ml_dsa.expanded_key().verifying_key().to_bytes();
        let both = ed25519.public_key().as_ref().iter().chain(ml_dsa.iter());
        let mut bytes = [0; PUBLIC_BYTES];
        bytes.iter_mut().zip(both).for_each(|(to, from)| *to = *from);
        Ok(Public(bytes))
    }

    /// Signs `message` for `purpose`; the same message gives the same signature.
    ///
    /// # Errors
    /// [`Fault::File`]: the seeds are none.
    pub fn sign(&self, purpose: Purpose, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], Fault> {
        let (ed25519, ml_dsa) = self.halves()?;
        let ed25519 = ed25519.sign(&marked(purpose, message));
        let ml_dsa =
            ml_dsa.expanded_key().sign_deterministic(message, purpose.word()).map_err(|_| Fault::File)?;
        let mut bytes = [0; SIGNATURE_BYTES];
        let both = ed25519.as_ref().iter().copied().chain(ml_dsa.encode());
        bytes.iter_mut().zip(both).for_each(|(to, from)| *to = from);
        Ok(bytes)
    }

    /// As a file: for its owner only.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{SECRET_HEAD}\n{}\n{}\n", hex(&self.ed25519), hex(&self.ml_dsa))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (ed25519, ml_dsa) = lines(SECRET_HEAD, text)?;
        Ok(Self { ed25519, ml_dsa })
    }
}

#[cfg(test)]
mod tests {
    use super::{ED25519_SIGNATURE, Fault, ML_DSA_PUBLIC, Public, Purpose, SIGNATURE_BYTES, Secret};
    use fips204::ml_dsa_65;
    use fips204::traits::{KeyGen, SerDes, Signer, Verifier};

    fn secret(byte: u8) -> Secret {
        Secret::of_seeds([byte; 32], [byte; 32])
    }

    #[test]
    fn both_halves_have_to_be_good() {
        let (key, public) = (secret(1), secret(1).public().unwrap());
        let good = key.sign(Purpose::Bundle, b"words").unwrap();
        assert_eq!(public.verify(Purpose::Bundle, b"words", &good), Ok(()));
        let other = secret(2).sign(Purpose::Bundle, b"words").unwrap();
        let mixed = |first: &[u8; SIGNATURE_BYTES], second: &[u8; SIGNATURE_BYTES]| {
            let mut mixed = *second;
            mixed[..ED25519_SIGNATURE].copy_from_slice(&first[..ED25519_SIGNATURE]);
            mixed
        };
        let table = [
            ("another message", b"Words", Purpose::Bundle, good, Fault::Ed25519),
            ("another purpose", b"words", Purpose::Keyring, good, Fault::Ed25519),
            ("another key", b"words", Purpose::Bundle, other, Fault::Ed25519),
            ("half of another key", b"words", Purpose::Bundle, mixed(&other, &good), Fault::Ed25519),
            ("the other half of another key", b"words", Purpose::Bundle, mixed(&good, &other), Fault::MlDsa),
        ];
        for (name, message, purpose, signature, fault) in table {
            assert_eq!(public.verify(purpose, message, &signature), Err(fault), "{name}");
        }
        for at in (0..SIGNATURE_BYTES).step_by(97) {
            let mut bent = good;
            bent[at] ^= 1;
            assert!(public.verify(Purpose::Bundle, b"words", &bent).is_err(), "byte {at}");
        }
    }

    #[test]
    fn somebody_elses_ml_dsa_agrees() {
        let mut ours = secret(7).public().unwrap().bytes().to_vec();
        let ours: [u8; ML_DSA_PUBLIC] = ours.split_off(32).try_into().unwrap();
        let (public, private) = ml_dsa_65::KG::keygen_from_seed(&[7; 32]);
        assert_eq!(public.clone().into_bytes(), ours, "a key of the same seed");
        let signature = secret(7).sign(Purpose::Bundle, b"words").unwrap();
        let half: [u8; 3309] = signature[ED25519_SIGNATURE..].try_into().unwrap();
        assert!(public.verify(b"words", &half, b"shg bundle 1"), "it takes what we sign");
        assert!(!public.verify(b"words", &half, b"shg keyring 1"));
        let theirs = private.try_sign_with_seed(&[9; 32], b"words", b"shg bundle 1").unwrap();
        let mut mixed = signature;
        mixed[ED25519_SIGNATURE..].copy_from_slice(&theirs);
        assert_eq!(
            secret(7).public().unwrap().verify(Purpose::Bundle, b"words", &mixed),
            Ok(()),
            "we take what it signs"
        );
    }

    #[test]
    fn a_key_is_written_and_read() {
        let public = secret(3).public().unwrap();
        assert_eq!(Public::parse(&public.text()), Ok(public.clone()));
        assert_eq!(Secret::parse(&secret(3).text()).unwrap().public(), Ok(public.clone()));
        assert_ne!(Secret::generate().unwrap().public(), Secret::generate().unwrap().public());
        for bad in ["", "shg public key 1\n", &secret(3).text(), &format!("{}x", public.text())] {
            assert_eq!(Public::parse(bad), Err(Fault::File), "{bad:.40}");
        }
    }
}
