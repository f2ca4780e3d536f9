//! The identity's life: none yet, for this boot only, kept.
//!
//! In:  the folder on the data disk, facts of the machine. Out: one identity at a time.
//!
//! ```text
//! disk                         what is done
//! none                         one for this boot, once somebody asks
//! there, without an identity   the one of this boot is kept; else one is made and kept
//! there, with one              it is the identity, and the one of this boot is forgotten
//! there, with a broken one     it is left alone, for a person to look at; one for this boot
//! ```
//!
//! A key that is to be kept is on the disk, twice, before anybody hears of it. What was kept is never written over by another key; only its
//! name changes when the operator gives the machine another number, and its certificate then, and when an authority has signed one.
//!
//! Not here: when to look (`room.rs`).

use std::path::{Path, PathBuf};

use contract::identify::{CERTIFICATES_BYTES, ENDPOINT_BYTES, Who};
use log::{info, warn};
use state::{File, Folder, Kept};
use x509::key::SECRET_BYTES_MAX;
use x509::{Certificate, Key, Request, issue};

use crate::Error;
use crate::endpoint::{self, Facts};

/// The form of the file: the endpoint id, the key, the certificates, each after its length (16 bits, little-endian).
const VERSION: u16 = 1;
const BYTES_MAX: usize = ENDPOINT_BYTES + SECRET_BYTES_MAX + CERTIFICATES_BYTES + 3 * 2;

/// An identity.
#[derive(Debug)]
struct Identity {
    endpoint: String,
    key: Key,
    /// Its own first.
    certificates: Vec<u8>,
}

/// Where it is in its life.
#[derive(Debug)]
enum Life {
    /// Nobody has asked yet.
    None,
    /// For this boot.
    Passing(Identity),
    /// On the disk.
    Kept(Identity),
}

/// Holds the identity.
#[derive(Debug)]
pub struct Keeper {
    file: File,
    top: PathBuf,
    life: Life,
    reason: String,
}

impl Keeper {
    /// None yet; it will be kept in `folder`. The machine's files are read below `top`.
    #[must_use]
    pub fn new(folder: &Folder, top: &Path) -> Self {
        let file = folder.file("identity", BYTES_MAX);
        Self { file, top: top.to_owned(), life: Life::None, reason: "no look at the disk yet".to_owned() }
    }

    /// Is it on the disk?
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.life, Life::Kept(_))
    }

    /// Looks at the disk, unless the identity is kept already.
    ///
    /// # Errors
    /// [`Error::Key`]: no key can be made.
    pub fn attend(&mut self) -> Result<(), Error> {
        if self.is_kept() {
            return Ok(());
        }
        let reason = match self.file.load() {
            Ok(Some(kept)) => match read(&kept) {
                Some(identity) => return self.adopt(identity),
                None => "what is kept is of another version; it is left alone".to_owned(),
            },
            Ok(None) => return self.keep(),
            Err(state::Error::Absent) => "no data disk".to_owned(),
            Err(error) => format!("{error}; it is left alone"),
        };
        self.complain(reason);
        Ok(())
    }

    /// Says once why it is not kept.
    fn complain(&mut self, reason: String) {
        if reason != self.reason {
            warn!("not kept: {reason}");
            self.reason = reason;
        }
    }

    /// The disk has one.
    fn adopt(&mut self, mut identity: Identity) -> Result<(), Error> {
        if let Life::Passing(passing) = &self.life {
            info!("{}: gives way to the one that was kept", passing.endpoint);
        }
        let facts = Facts::read(&self.top);
        // The machine's own numbers may have changed with a port; only the operator's word gives it another name.
        if facts.device.serial.is_some() || facts.device.oui.is_some() {
            let wanted = endpoint::choose(&facts, &identity.key.public());
            if wanted != identity.endpoint {
                identity = named(identity.key, wanted)?;
                if let Err(error) = self.file.save(VERSION, &write(&identity)) {
                    warn!("{}: not kept under this name: {error}", identity.endpoint);
                }
            }
        }
        info!("{}: kept on the data disk", identity.endpoint);
        self.take(identity);
        Ok(())
    }

    /// The disk has none: it gets this boot's, or a new one.
    fn keep(&mut self) -> Result<(), Error> {
        let identity = match std::mem::replace(&mut self.life, Life::None) {
            Life::Passing(identity) | Life::Kept(identity) => identity,
            Life::None => self.make()?,
        };
        let bytes = write(&identity);
        match self.file.save(VERSION, &bytes) {
            Ok(()) => {
                // So that the generation before is the same, where a sector goes bad. The first one is enough to go on.
                self.file.save(VERSION, &bytes).unwrap_or_else(|error| warn!("{error}"));
                info!("{}: made, and kept on the data disk", identity.endpoint);
                self.take(identity);
            }
            Err(error) => {
                self.life = Life::Passing(identity);
                self.complain(error.to_string());
            }
        }
        Ok(())
    }

    fn take(&mut self, identity: Identity) {
        self.reason.clear();
        self.life = Life::Kept(identity);
    }

    fn make(&self) -> Result<Identity, Error> {
        let key = Key::make()?;
        let name = endpoint::choose(&Facts::read(&self.top), &key.public());
        named(key, name)
    }

    /// The identity, whichever there is; one for this boot, where there is none.
    fn identity(&mut self) -> Result<&Identity, Error> {
        if matches!(self.life, Life::None) {
            let identity = self.make()?;
            warn!("{}: for this boot only: {}", identity.endpoint, self.reason);
            self.life = Life::Passing(identity);
        }
        match &self.life {
            Life::Passing(identity) | Life::Kept(identity) => Ok(identity),
            Life::None => Err(Error::Key(x509::Error::Key)),
        }
    }

    /// Who this gateway is.
    ///
    /// # Errors
    /// [`Error::Key`]: no key can be made.
    pub fn who(&mut self) -> Result<Who, Error> {
        let (kept, reason) = (self.is_kept(), self.reason.as_str().into());
        let identity = self.identity()?;
        Ok(Who {
            endpoint: identity.endpoint.as_str().into(),
            kept,
            reason,
            public_key: identity.key.public().into_iter().collect(),
            certificates: identity.certificates.iter().copied().collect(),
        })
    }

    /// A request for a certificate.
    ///
    /// # Errors
    /// [`Error::Key`]: no key can be made, or used.
    pub fn request(&mut self) -> Result<Vec<u8>, Error> {
        let identity = self.identity()?;
        Ok(Request::write(&identity.key, &identity.endpoint)?)
    }

    /// Takes what an authority has signed: from now on it is shown. Whether somebody believes that authority is not ours to know.
    ///
    /// # Errors
    /// [`Error`]: the one before stays.
    pub fn enrol(&mut self, certificates: &[u8]) -> Result<(), Error> {
        let Life::Kept(identity) = &self.life else { return Err(Error::Passing) };
        let chain = Certificate::chain(certificates).ok_or(Error::Chain)?;
        let own = chain.first().ok_or(Error::Chain)?;
        if own.public != identity.key.public() {
            return Err(Error::ForeignKey);
        }
        if !own.is_of(&identity.endpoint) {
            return Err(Error::ForeignName);
        }
        let enrolled = Identity {
            endpoint: identity.endpoint.clone(),
            key: Key::open(identity.key.secret())?,
            certificates: certificates.to_vec(),
        };
        self.file.save(VERSION, &write(&enrolled)).map_err(Error::State)?;
        info!("{}: enrolled by {}", enrolled.endpoint, own.issuer);
        self.life = Life::Kept(enrolled);
        Ok(())
    }

    /// The signature of `message`.
    ///
    /// # Errors
    /// [`Error::Key`]: no key can be made, or used.
    pub fn sign(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.identity()?.key.sign(message)?)
    }
}

fn named(key: Key, endpoint: String) -> Result<Identity, Error> {
    let certificates = issue::of_itself(&key, &endpoint)?;
    Ok(Identity { endpoint, key, certificates })
}

fn write(identity: &Identity) -> Vec<u8> {
    let parts = [identity.endpoint.as_bytes(), identity.key.secret(), &identity.certificates];
    let mut bytes = Vec::new();
    for part in parts {
        // None has as many as 65536 bytes.
        bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

fn read(kept: &Kept) -> Option<Identity> {
    let mut rest = kept.bytes.as_slice();
    let mut part = || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (part, behind) = behind.split_at_checked(u16::from_le_bytes(*length).into())?;
        rest = behind;
        Some(part)
    };
    let (endpoint, key, certificates) = (part()?, part()?, part()?);
    let endpoint = std::str::from_utf8(endpoint).ok().filter(|_| kept.version == VERSION)?;
    Some(Identity {
        endpoint: endpoint.to_owned(),
        key: Key::open(key).ok()?,
        certificates: certificates.to_vec(),
    })
}
