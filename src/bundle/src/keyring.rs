//! Whose signature counts: the list of keys, signed by the root.
//!
//! In:  the root's public key (from the image or the operator), a signed list. Out: keys, each bound to one provider.
//!
//! A list has a serial number. A newer one takes the place of the whole list before, so a key that is left out is withdrawn; an older one is
//! refused. A list may name the next root: from then on that one signs. The root's secret need not be on any machine that is connected.
//!
//! The form of the list: `SHGKEYS1`, serial (8), next root's flag (1) and key, number of keys (2), then for each the provider's name
//! (length and 24 bytes) and the key. Numbers are little endian.

use std::fmt;

use contract::Name;

use crate::envelope::{self, Envelope};
use crate::key::{Id, PUBLIC_BYTES, Public, Purpose, Secret};
use crate::sign::{self, NAME_FIELD, name_field, read_name};

/// How the list begins.
const MAGIC: [u8; 8] = *b"SHGKEYS1";
/// Keys in a list: a few for every provider that a gateway has room for.
pub const KEYS_MAX: usize = 128;

const _: () = assert!(KEYS_MAX * (NAME_FIELD + PUBLIC_BYTES) + PUBLIC_BYTES + 32 < envelope::BODY_BYTES_MAX);

/// A provider's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose bundles it may sign.
    pub provider: Name,
    /// The key.
    pub key: Public,
}

/// What is believed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// Who signs the next list.
    pub root: Public,
    /// The list's number; 0: there was none yet.
    pub serial: u64,
    /// The keys.
    pub entries: Vec<Entry>,
}

/// Why a list or a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The root did not sign it.
    Root(envelope::Fault),
    /// It is signed and makes no sense.
    Form,
    /// This number is not above the one that we have.
    Old(u64, u64),
    /// Nobody gave us this key, or it was withdrawn.
    Unknown(Id),
    /// The signature is broken.
    Broken(envelope::Fault),
    /// The key belongs to the first provider, the bundle to the second.
    Provider(Name, Name),
    /// The statement is none.
    Statement,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(fault) => write!(f, "keyring: not signed by the root: {fault}"),
            Self::Form => write!(f, "keyring: signed, but not well formed"),
            Self::Old(new, had) => write!(f, "keyring: serial {new} is not above {had}"),
            Self::Unknown(id) => write!(f, "signature: key {id} is not trusted"),
            Self::Broken(fault) => write!(f, "signature: {fault}"),
            Self::Provider(key, bundle) => {
                write!(f, "signature: a key of provider {key} on a bundle of provider {bundle}")
            }
            Self::Statement => write!(f, "signature: it is over something that is no bundle"),
        }
    }
}

impl std::error::Error for Fault {}

impl Keyring {
    /// Believes `root` and no key yet.
    #[must_use]
    pub fn new(root: Public) -> Self {
        Self { root, serial: 0, entries: Vec::new() }
    }

    /// Takes a newer list.
    ///
    /// # Errors
    /// [`Fault::Root`], [`Fault::Form`], [`Fault::Old`]: it is not taken.
    pub fn update(&self, list: &[u8]) -> Result<Self, Fault> {
        let envelope = Envelope::parse(list).map_err(Fault::Root)?;
        let body = envelope.open(&self.root, Purpose::Keyring).map_err(Fault::Root)?;
        let (serial, next, entries) = parse(body).ok_or(Fault::Form)?;
        if serial <= self.serial {
            return Err(Fault::Old(serial, self.serial));
        }
        Ok(Self { root: next.unwrap_or_else(|| self.root.clone()), serial, entries })
    }

    /// What a bundle's signature says, if a key of its provider made it.
    ///
    /// # Errors
    /// [`Fault`] says why it does not count.
    pub fn open(&self, signature: &[u8]) -> Result<sign::Statement, Fault> {
        let envelope = Envelope::parse(signature).map_err(Fault::Broken)?;
        let unknown = || Fault::Unknown(envelope.signer);
        let entry =
            self.entries.iter().find(|entry| entry.key.id() == envelope.signer).ok_or_else(unknown)?;
        let body = envelope.open(&entry.key, Purpose::Bundle).map_err(Fault::Broken)?;
        let statement = sign::Statement::parse(body).ok_or(Fault::Statement)?;
        if statement.provider != entry.provider {
            return Err(Fault::Provider(entry.provider.clone(), statement.provider));
        }
        Ok(statement)
    }
}

/// Signs a list.
///
/// # Errors
/// [`Fault::Form`]: too many keys. [`Fault::Root`]: the secret is none.
pub fn seal(root: &Secret, serial: u64, next: Option<&Public>, entries: &[Entry]) -> Result<Vec<u8>, Fault> {
    if entries.len() > KEYS_MAX {
        return Err(Fault::Form);
    }
    let mut body = MAGIC.to_vec();
    body.extend(serial.to_le_bytes());
    body.push(u8::from(next.is_some()));
    body.extend(next.map(|next| &next.bytes()[..]).unwrap_or_default());
    body.extend(u16::try_from(entries.len()).map_err(|_| Fault::Form)?.to_le_bytes());
    for entry in entries {
        body.extend(name_field(&entry.provider));
        body.extend(entry.key.bytes());
    }
    Envelope::seal(root, Purpose::Keyring, body).map(|envelope| envelope.bytes()).map_err(Fault::Root)
}

/// Takes a list apart.
fn parse(body: &[u8]) -> Option<(u64, Option<Public>, Vec<Entry>)> {
    let rest = body.strip_prefix(&MAGIC[..])?;
    let (serial, rest) = rest.split_first_chunk::<8>()?;
    let (next, rest) = match rest.split_first()? {
        (0, rest) => (None, rest),
        (1, rest) => rest.split_first_chunk().map(|(key, rest)| (Some(Public::new(*key)), rest))?,
        _ => return None,
    };
    let (count, mut rest) = rest.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_le_bytes(*count));
    if count > KEYS_MAX {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, after) = rest.split_first_chunk::<NAME_FIELD>()?;
        let (key, after) = after.split_first_chunk::<PUBLIC_BYTES>()?;
        entries.push(Entry { provider: read_name(name)?, key: Public::new(*key) });
        rest = after;
    }
    rest.is_empty().then_some((u64::from_le_bytes(*serial), next, entries))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Fault, Keyring, seal};
    use crate::envelope::{self, Envelope};
    use crate::key::{self, Purpose, Secret};
    use contract::Name;

    fn secret(byte: u8) -> Secret {
        Secret::of_seeds([byte; 32], [byte; 32])
    }

    fn entry(provider: &str, byte: u8) -> Entry {
        Entry { provider: Name::new(provider).unwrap(), key: secret(byte).public().unwrap() }
    }

    #[test]
    fn the_root_says_whose_keys_count() {
        let first = Keyring::new(secret(1).public().unwrap());
        let list = seal(&secret(1), 5, None, &[entry("demo", 10), entry("other", 11)]).unwrap();
        let ring = first.update(&list).unwrap();
        assert_eq!((ring.serial, ring.entries.len()), (5, 2));
        assert_eq!(ring.update(&list), Err(Fault::Old(5, 5)), "the same again");
        let older = seal(&secret(1), 4, None, &[entry("demo", 10)]).unwrap();
        assert_eq!(ring.update(&older), Err(Fault::Old(4, 5)));
        let strangers = seal(&secret(2), 6, None, &[]).unwrap();
        let by = secret(2).public().unwrap().id();
        assert_eq!(ring.update(&strangers), Err(Fault::Root(envelope::Fault::Signer(by))));
        // Somebody who writes the root's id over his own list.
        let mut forged = strangers.clone();
        forged[8..24].copy_from_slice(&secret(1).public().unwrap().id().0);
        let broken = envelope::Fault::Key(key::Fault::Ed25519);
        assert_eq!(ring.update(&forged), Err(Fault::Root(broken)));
        // The root signs a bundle's purpose: it is no list.
        let confused =
            Envelope::seal(&secret(1), Purpose::Bundle, Envelope::parse(&list).unwrap().unproved().to_vec());
        assert_eq!(first.update(&confused.unwrap().bytes()), Err(Fault::Root(broken)));
        let nonsense = Envelope::seal(&secret(1), Purpose::Keyring, b"SHGKEYS1".to_vec()).unwrap();
        assert_eq!(first.update(&nonsense.bytes()), Err(Fault::Form));
    }

    #[test]
    fn the_root_is_followed_by_another() {
        let first = Keyring::new(secret(1).public().unwrap());
        let next = secret(2).public().unwrap();
        let ring = first.update(&seal(&secret(1), 1, Some(&next), &[entry("demo", 10)]).unwrap()).unwrap();
        assert_eq!(ring.root, next);
        assert!(ring.update(&seal(&secret(1), 2, None, &[]).unwrap()).is_err(), "the old root signs no more");
        let empty = ring.update(&seal(&secret(2), 2, None, &[]).unwrap()).unwrap();
        assert!(empty.entries.is_empty(), "a key that is left out is withdrawn");
    }
}
