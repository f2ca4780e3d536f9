//! The form of a bundle in a registry: its manifest, and what belongs together.
//!
//! In:  a manifest's bytes, a configuration's. Out: facts that agree with each other, or the reason why not.
//!
//! Whatever a registry sends is held against a digest that was known before; the digest of the manifest is signed.
//!
//! Source: OCI image-spec 1.1, manifest.md; docs/bundles.md.

use std::collections::BTreeMap;
use std::fmt;

use contract::manifest::{self, Manifest};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::sign::{Architecture, Statement};
use crate::verity::tree_blocks;
use crate::{BLOCK_BYTES, IMAGE_BYTES_MAX};

/// Source: image-spec, media-types.md.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What makes the artifact a bundle.
pub const ARTIFACT_TYPE: &str = "application/vnd.shg.bundle.v1";
/// The service's manifest.
pub const CONFIG_TYPE: &str = "application/vnd.shg.service.v1+toml";
/// The sealed image with its tree of hashes.
pub const LAYER_TYPE: &str = "application/vnd.shg.sealed.v1.erofs";
/// What makes an artifact a bundle's signature, and its one layer.
pub const SIGNATURE_TYPE: &str = "application/vnd.shg.signature.v1";
/// The empty configuration of a signature. Source: image-spec, manifest.md, "Guidance for an Empty Descriptor".
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Its bytes.
pub const EMPTY: &[u8] = b"{}";

/// A manifest, in bytes: ours have a tenth.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024;

/// Annotations.
const VERSION: &str = "vnd.shg.bundle.version";
const ARCHITECTURE: &str = "vnd.shg.bundle.architecture";
const BLOCKS: &str = "vnd.shg.bundle.image-blocks";
const ROOT: &str = "vnd.shg.bundle.root-hash";

/// Where something is, by what it is. Source: image-spec, descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    /// Its kind.
    pub media_type: String,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// Words about it, which nobody here believes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Of `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image manifest. Source: image-spec, manifest.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    /// What it is of.
    pub config: Descriptor,
    /// What is in it.
    pub layers: Vec<Descriptor>,
    /// Of a signature: the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are no bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// More bytes than a manifest may have.
    Long(usize),
    /// Not an OCI manifest that we read.
    Json(String),
    /// Not of our kinds.
    Kind(&'static str),
    /// An annotation is missing or makes no sense.
    Annotation(&'static str),
    /// Sizes do not fit into each other.
    Size(&'static str),
    /// The bytes that were sent have another digest than was asked for: what, wanted, had.
    Digest(&'static str, Digest, Digest),
    /// The service's manifest is refused.
    Service(String),
    /// The signature is over another bundle, or says something else of this one.
    Statement(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(bytes) => write!(f, "manifest: {bytes} bytes, limit {MANIFEST_BYTES_MAX}"),
            Self::Json(why) => write!(f, "manifest: {why}"),
            Self::Kind(what) => write!(f, "manifest: its {what} is not a bundle's"),
            Self::Annotation(key) => write!(f, "manifest: annotation {key} is missing or makes no sense"),
            Self::Size(what) => write!(f, "manifest: {what}"),
            Self::Digest(what, wanted, had) => write!(f, "{what}: its digest is {had}, not {wanted}"),
            Self::Service(why) => write!(f, "{why}"),
            Self::Statement(what) => write!(f, "signature: it speaks of another {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// What a bundle is made of, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The service's manifest.
    pub config: Descriptor,
    /// The sealed image with its tree.
    pub layer: Descriptor,
    /// The image's size, in blocks.
    pub image_blocks: u32,
    /// The root of its tree.
    pub root: Digest,
    /// Grows with each release.
    pub version: u64,
    /// For which processors.
    pub architecture: Architecture,
    /// The manifest's own digest.
    pub manifest: Digest,
}

/// Writes a manifest; the same parts give the same bytes.
///
/// # Errors
/// [`Fault::Json`]: never seen; the writer's own.
pub fn write(parts: &Parts, name: &str, provider: &str, summary: &str) -> Result<Vec<u8>, Fault> {
    let annotations = [
        (VERSION, parts.version.to_string()),
        (ARCHITECTURE, parts.architecture.word().to_owned()),
        (BLOCKS, parts.image_blocks.to_string()),
        (ROOT, parts.root.hex()),
        // For people and registries. Source: image-spec, annotations.md.
        ("org.opencontainers.image.title", name.to_owned()),
        ("org.opencontainers.image.vendor", provider.to_owned()),
        ("org.opencontainers.image.description", summary.to_owned()),
        ("org.opencontainers.image.version", parts.version.to_string()),
    ];
    bytes(&Artifact {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        artifact_type: ARTIFACT_TYPE.to_owned(),
        config: parts.config.clone(),
        layers: vec![parts.layer.clone()],
        subject: None,
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
    })
}

/// Writes the manifest of a signature of `signature_bytes` over the bundle whose manifest is `bundle`.
///
/// # Errors
/// [`Fault::Json`]: never seen; the writer's own.
pub fn write_signature(bundle: &[u8], signature_bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    bytes(&Artifact {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        artifact_type: SIGNATURE_TYPE.to_owned(),
        config: Descriptor::of(EMPTY_TYPE, EMPTY),
        layers: vec![Descriptor::of(SIGNATURE_TYPE, signature_bytes)],
        subject: Some(Descriptor::of(MANIFEST_TYPE, bundle)),
        annotations: BTreeMap::new(),
    })
}

/// The tag under which a registry keeps the signature of a bundle. Source: cosign's convention, which every registry can hold.
#[must_use]
pub fn signature_tag(manifest: &Digest) -> String {
    format!("sha256-{}.sig", manifest.hex())
}

fn bytes(artifact: &Artifact) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(artifact).map_err(|error| Fault::Json(error.to_string()))
}

fn artifact(bytes: &[u8], kind: &str) -> Result<Artifact, Fault> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(Fault::Long(bytes.len()));
    }
    let artifact: Artifact = serde_json::from_slice(bytes).map_err(|error| Fault::Json(error.to_string()))?;
    if artifact.schema_version != 2 || artifact.media_type != MANIFEST_TYPE {
        return Err(Fault::Kind("media type"));
    }
    if artifact.artifact_type != kind {
        return Err(Fault::Kind("artifact type"));
    }
    Ok(artifact)
}

/// Reads a bundle's manifest.
///
/// # Errors
/// [`Fault`] says what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Parts, Fault> {
    let artifact = artifact(bytes, ARTIFACT_TYPE)?;
    let [layer] = artifact.layers.as_slice() else { return Err(Fault::Kind("number of layers")) };
    if artifact.config.media_type != CONFIG_TYPE {
        return Err(Fault::Kind("configuration's type"));
    }
    if layer.media_type != LAYER_TYPE {
        return Err(Fault::Kind("layer's type"));
    }
    if artifact.subject.is_some() {
        return Err(Fault::Kind("subject"));
    }
    let word = |key: &'static str| artifact.annotations.get(key).ok_or(Fault::Annotation(key));
    // One form of a number: no sign, no zero in front.
    let number = |key: &'static str| {
        let text = word(key)?;
        let value = text.parse::<u64>().ok().filter(|value| value.to_string() == *text);
        value.ok_or(Fault::Annotation(key))
    };
    let architecture = match word(ARCHITECTURE)?.as_str() {
        "386" => Architecture::I386,
        "amd64" => Architecture::Amd64,
        _ => return Err(Fault::Annotation(ARCHITECTURE)),
    };
    let image_blocks = u32::try_from(number(BLOCKS)?).map_err(|_| Fault::Annotation(BLOCKS))?;
    let root = crate::digest::from_hex(word(ROOT)?).map(Digest).ok_or(Fault::Annotation(ROOT))?;
    let block_bytes = u64::try_from(BLOCK_BYTES).unwrap_or(0);
    let image_bytes = u64::from(image_blocks) * block_bytes;
    if image_bytes == 0 || image_bytes > IMAGE_BYTES_MAX {
        return Err(Fault::Size("the image is larger than an image may be, or empty"));
    }
    if layer.size != image_bytes + u64::from(tree_blocks(image_blocks)) * block_bytes {
        return Err(Fault::Size("the layer has another size than its image and tree"));
    }
    if artifact.config.size > u64::try_from(contract::limit::MANIFEST_BYTES).unwrap_or(0) {
        return Err(Fault::Size("the service's manifest is too long"));
    }
    let (config, layer, version) = (artifact.config.clone(), layer.clone(), number(VERSION)?);
    Ok(Parts { config, layer, image_blocks, root, version, architecture, manifest: Digest::of(bytes) })
}

/// Reads a signature's manifest: where its bytes are.
///
/// # Errors
/// [`Fault`]: it is none, or of another bundle than `bundle`.
pub fn parse_signature(bytes: &[u8], bundle: &Digest) -> Result<Descriptor, Fault> {
    let artifact = artifact(bytes, SIGNATURE_TYPE)?;
    let [layer] = artifact.layers.as_slice() else { return Err(Fault::Kind("number of layers")) };
    let subject = artifact.subject.as_ref().map(|subject| subject.digest);
    if subject != Some(*bundle) {
        return Err(Fault::Statement("bundle"));
    }
    if layer.size > u64::try_from(crate::envelope::BYTES_MAX).unwrap_or(0) {
        return Err(Fault::Size("the signature is too long"));
    }
    Ok(layer.clone())
}

/// Holds `bytes` against what was asked for.
///
/// # Errors
/// [`Fault::Digest`]: something else was sent.
pub fn same(what: &'static str, bytes: &[u8], wanted: &Digest) -> Result<(), Fault> {
    let had = Digest::of(bytes);
    if had == *wanted { Ok(()) } else { Err(Fault::Digest(what, *wanted, had)) }
}

impl Parts {
    /// Reads the service's manifest, `config`, and makes the statement that is (to be) signed.
    ///
    /// # Errors
    /// [`Fault::Digest`]: it is another file. [`Fault::Service`]: it is refused, with the line and the reason.
    pub fn statement(&self, config: &[u8]) -> Result<(Statement, Manifest), Fault> {
        same("service manifest", config, &self.config.digest)?;
        let text = std::str::from_utf8(config)
            .map_err(|error| Fault::Service(format!("service manifest: {error}")))?;
        let service = manifest::parse(text).map_err(|error| Fault::Service(format!("service {error}")))?;
        let statement = Statement {
            manifest: self.manifest,
            root: self.root,
            image_blocks: self.image_blocks,
            version: self.version,
            architecture: self.architecture,
            name: service.name.clone(),
            provider: service.provider.clone(),
        };
        Ok((statement, service))
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
