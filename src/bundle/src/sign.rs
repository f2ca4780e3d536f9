//! What a provider signs: one statement about one bundle, of 135 bytes.
//!
//! In:  a bundle's facts. Out: bytes of one form, and back.
//!
//! It names the manifest's digest, which holds everything else together, and the root hash besides: whoever mounts the image checks the
//! signature and reads the root hash here, without a parser for JSON or TOML.
//!
//! The form: `SHGBNDL1`, the manifest's SHA-256 (32), the root hash (32), the image's blocks (4), the version (8), the architecture (1), the
//! service's name and the provider's (each its length and 24 bytes). Numbers are little endian.

use std::fmt;

use contract::Name;
use contract::limit::NAME_BYTES;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{self, Envelope};
use crate::key::{Purpose, Secret};

/// How it begins.
const MAGIC: [u8; 8] = *b"SHGBNDL1";
/// A name: its length and its bytes.
pub(crate) const NAME_FIELD: usize = 1 + NAME_BYTES;

/// For which processors the programs of a bundle are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// 32-bit x86.
    #[serde(rename = "386")]
    I386,
    /// 64-bit x86.
    #[serde(rename = "amd64")]
    Amd64,
}

impl Architecture {
    /// As OCI has it. Source: image-spec, config.md (`GOARCH`).
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::I386 => "386",
            Self::Amd64 => "amd64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::I386 => "i386",
            Self::Amd64 => "amd64",
        })
    }
}

/// What is signed of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Of the manifest's bytes.
    pub manifest: Digest,
    /// Of the image's tree of hashes.
    pub root: Digest,
    /// The image's size, in blocks of 4096 bytes; the tree lies behind it.
    pub image_blocks: u32,
    /// Grows with each release.
    pub version: u64,
    /// For which processors.
    pub architecture: Architecture,
    /// The service.
    pub name: Name,
    /// Whose it is.
    pub provider: Name,
}

/// How a bundle stands to the one that is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is newer.
    Newer,
    /// It is the same.
    Same,
    /// It is older, or another one of the same version: refused.
    Refused,
    /// It is not the same service at all: refused.
    Foreign,
}

impl Statement {
    /// As bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let architecture = match self.architecture {
            Architecture::I386 => 1,
            Architecture::Amd64 => 2,
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.manifest.0);
        bytes.extend(self.root.0);
        bytes.extend(self.image_blocks.to_le_bytes());
        bytes.extend(self.version.to_le_bytes());
        bytes.push(architecture);
        bytes.extend(name_field(&self.name));
        bytes.extend(name_field(&self.provider));
        bytes
    }

    /// Reads what [`Self::bytes`] writes, and nothing else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC[..])?;
        let (manifest, rest) = rest.split_first_chunk()?;
        let (root, rest) = rest.split_first_chunk()?;
        let (image_blocks, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (architecture, rest) = rest.split_first()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (provider, rest) = rest.split_first_chunk()?;
        let architecture = match architecture {
            1 => Architecture::I386,
            2 => Architecture::Amd64,
            _ => return None,
        };
        let statement = Self {
            manifest: Digest(*manifest),
            root: Digest(*root),
            image_blocks: u32::from_le_bytes(*image_blocks),
            version: u64::from_le_bytes(*version),
            architecture,
            name: read_name(name)?,
            provider: read_name(provider)?,
        };
        rest.is_empty().then_some(statement)
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`envelope::Fault::Key`]: the secret is none.
    pub fn seal(&self, secret: &Secret) -> Result<Vec<u8>, envelope::Fault> {
        Envelope::seal(secret, Purpose::Bundle, self.bytes()).map(|envelope| envelope.bytes())
    }

    /// May it take the place of `installed`?
    #[must_use]
    pub fn after(&self, installed: &Self) -> Step {
        if (&self.name, &self.provider) != (&installed.name, &installed.provider) {
            Step::Foreign
        } else if self.manifest == installed.manifest {
            Step::Same
        } else if self.version > installed.version {
            Step::Newer
        } else {
            Step::Refused
        }
    }
}

/// A name with its length, zeros behind.
pub(crate) fn name_field(name: &Name) -> [u8; NAME_FIELD] {
    let mut field = [0; NAME_FIELD];
    let length = u8::try_from(name.len()).unwrap_or(0);
    field.iter_mut().zip([length].iter().chain(name.as_bytes())).for_each(|(to, from)| *to = *from);
    field
}

/// Reads a name.
pub(crate) fn read_name(field: &[u8; NAME_FIELD]) -> Option<Name> {
    let (length, bytes) = field.split_first()?;
    let (name, rest) = bytes.split_at_checked(usize::from(*length))?;
    let name = Name::new(std::str::from_utf8(name).ok()?).ok()?;
    rest.iter().all(|byte| *byte == 0).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{Architecture, Statement, Step};
    use crate::digest::Digest;
    use crate::key::Secret;
    use crate::keyring::{Entry, Fault, Keyring};
    use contract::Name;

    fn statement() -> Statement {
        Statement {
            manifest: Digest::of(b"manifest"),
            root: Digest::of(b"root"),
            image_blocks: 77,
            version: 3,
            architecture: Architecture::I386,
            name: Name::new("hello").unwrap(),
            provider: Name::new("demo").unwrap(),
        }
    }

    #[test]
    fn a_statement_has_one_form() {
        let bytes = statement().bytes();
        assert_eq!(bytes.len(), 135);
        assert_eq!(Statement::parse(&bytes), Some(statement()));
        assert_eq!(Statement::parse(&bytes[..134]), None, "cut");
        assert_eq!(Statement::parse(&[&bytes[..], b"x"].concat()), None, "longer");
        for at in [0, 84, 85, 85 + 24, 110] {
            let mut bent = bytes.clone();
            bent[at] ^= 0x80;
            assert_eq!(Statement::parse(&bent), None, "byte {at}");
        }
    }

    #[test]
    fn a_key_signs_for_its_provider_only() {
        let secret = Secret::of_seeds([1; 32], [2; 32]);
        let root = Secret::of_seeds([3; 32], [4; 32]).public().unwrap();
        let signature = statement().seal(&secret).unwrap();
        let ring = |provider: &str| Keyring {
            entries: vec![Entry { provider: Name::new(provider).unwrap(), key: secret.public().unwrap() }],
            ..Keyring::new(root.clone())
        };
        assert_eq!(ring("demo").open(&signature), Ok(statement()));
        assert!(matches!(ring("other").open(&signature), Err(Fault::Provider(..))));
        assert!(matches!(Keyring::new(root.clone()).open(&signature), Err(Fault::Unknown(_))));
        let mut bent = signature.clone();
        bent[40] ^= 1;
        assert!(matches!(ring("demo").open(&bent), Err(Fault::Broken(_))));
    }

    #[test]
    fn only_what_is_newer_takes_the_place() {
        let installed = statement();
        let with = |version, manifest: &[u8], name: &str| Statement {
            version,
            manifest: Digest::of(manifest),
            name: Name::new(name).unwrap(),
            ..statement()
        };
        let table = [
            ("newer", with(4, b"other", "hello"), Step::Newer),
            ("the same", with(3, b"manifest", "hello"), Step::Same),
            ("older", with(2, b"other", "hello"), Step::Refused),
            ("another of the same version", with(3, b"other", "hello"), Step::Refused),
            ("another service", with(4, b"other", "world"), Step::Foreign),
        ];
        for (name, statement, step) in table {
            assert_eq!(statement.after(&installed), step, "{name}");
        }
    }
}
