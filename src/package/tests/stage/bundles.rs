//! Bundles, made and signed on the spot.

use bundle::digest::Digest;
use bundle::form::{self, EMPTY};
use bundle::key::Secret;
use bundle::keyring::{self, Entry};
use bundle::make::{self, Bundle};
use bundle::tree::{Content, Owner, Tree};
use contract::Name;

const SERVICE: &str = include_str!("../../../services/hello/manifest.toml");

/// A bundle with its signature, as registries hold them.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) bundle: Bundle,
    pub(crate) signature: Vec<u8>,
    pub(crate) signature_manifest: Vec<u8>,
}

pub(crate) fn secret(byte: u8) -> Secret {
    Secret::of_seeds([byte; 32], [byte; 32])
}

/// A list of keys, signed by the root `root`.
pub(crate) fn list(serial: u64, root: u8, entries: &[(&str, u8)]) -> Vec<u8> {
    let entry = |(provider, key): &(&str, u8)| Entry {
        provider: Name::new(provider).unwrap(),
        key: secret(*key).public().unwrap(),
    };
    let entries: Vec<Entry> = entries.iter().map(entry).collect();
    keyring::seal(&secret(root), serial, None, &entries).unwrap()
}

pub(crate) fn keyring() -> Vec<u8> {
    list(5, 9, &[("demo", 1), ("other", 2)])
}

impl Made {
    /// The service `name` of `provider`, with a file of `size` bytes, signed with the key `key`.
    pub(crate) fn new(name: &str, provider: &str, version: u64, key: u8) -> Self {
        Self::sized(name, provider, (version, key), 300_000)
    }

    /// The same with a volume that stays when the service goes.
    pub(crate) fn with_volume(name: &str, provider: &str, version: u64, key: u8) -> Self {
        let volume = format!("{SERVICE}\n[volume]\nsize_mib = 3\nat = '/kept'\nkept = true\n");
        Self::of(&volume, (name, provider), (version, key), 300_000)
    }

    pub(crate) fn sized(name: &str, provider: &str, (version, key): (u64, u8), size: usize) -> Self {
        Self::of(SERVICE, (name, provider), (version, key), size)
    }

    fn of(service: &str, (name, provider): (&str, &str), (version, key): (u64, u8), size: usize) -> Self {
        let mut program = vec![u8::try_from(version).unwrap(); 9000];
        program[..20]
            .copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0]);
        let mut tree = Tree::default();
        tree.put(b"hello", Owner::root(0o755), Content::File(program)).unwrap();
        // Bytes that are nowhere the same: a cut at a wrong place is seen.
        let mut state = version + 1;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let data: Vec<u8> = (0..size / 8).flat_map(|_| draw()).collect();
        tree.put(b"data", Owner::root(0o644), Content::File(data)).unwrap();
        let service = service
            .replace("autostart = true", "autostart = false")
            .replace("\"hello\"", &format!("\"{name}\""))
            .replace("\"demo\"", &format!("\"{provider}\""));
        let bundle = make::make(tree, &service, version, None).unwrap();
        let signature = bundle.check().unwrap().0.seal(&secret(key)).unwrap();
        Self::signed(bundle, signature)
    }

    /// With this signature, whatever it is.
    pub(crate) fn signed(bundle: Bundle, signature: Vec<u8>) -> Self {
        let signature_manifest = form::write_signature(&bundle.manifest, &signature).unwrap();
        Self { bundle, signature, signature_manifest }
    }

    /// The digest of the manifest.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bundle.manifest)
    }

    /// The tag of the signature.
    pub(crate) fn signature_tag(&self) -> String {
        form::signature_tag(&self.digest())
    }

    /// The digest of the image.
    pub(crate) fn image(&self) -> Digest {
        Digest::of(&self.bundle.layer)
    }

    /// Its blobs.
    pub(crate) fn blobs(&self) -> [&[u8]; 4] {
        [&self.bundle.config, &self.bundle.layer, EMPTY, &self.signature]
    }
}
