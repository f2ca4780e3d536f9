//! A bundle on the desk's disk: an OCI image layout, which every OCI tool can copy.
//!
//! In:  a bundle, its signature. Out: a folder with `oci-layout`, `index.json` and `blobs/`; and back.
//!
//! Source: OCI image-spec, image-layout.md.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::form::{self, Descriptor, EMPTY, MANIFEST_TYPE};
use crate::make::Bundle;

/// Source: image-layout.md, "oci-layout file".
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Under this annotation stands what a manifest is called.
const NAME: &str = "org.opencontainers.image.ref.name";
/// An index, in bytes: of ours, two rows.
const INDEX_BYTES_MAX: u64 = 64 * 1024;

/// What went wrong with a folder.
#[derive(Debug)]
pub enum Error {
    /// A file could not be read or written.
    File(PathBuf, io::Error),
    /// The index is not one, or has not one bundle.
    Index(String),
    /// A part is refused.
    Form(form::Fault),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, cause) => write!(f, "{}: {cause}", path.display()),
            Self::Index(why) => write!(f, "index.json: {why}"),
            Self::Form(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for Error {}

/// One manifest of an index; there may be words that we do not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Row>,
}

fn blob(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn put(folder: &Path, bytes: &[u8]) -> Result<(), Error> {
    let path = blob(folder, &Digest::of(bytes));
    fs::write(&path, bytes).map_err(|error| Error::File(path, error))
}

fn get(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let lost = |error| Error::File(path.to_path_buf(), error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(lost)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(lost(io::Error::other(format!("more than {limit} bytes"))))
    }
}

fn part(folder: &Path, what: &'static str, wanted: &Descriptor) -> Result<Vec<u8>, Error> {
    let bytes = get(&blob(folder, &wanted.digest), wanted.size)?;
    form::same(what, &bytes, &wanted.digest).map_err(Error::Form)?;
    Ok(bytes)
}

/// Writes `bundle` to `folder`, which is made; with its signature, if it has one.
///
/// # Errors
/// [`Error::File`].
pub fn write(folder: &Path, bundle: &Bundle, signature: Option<&[u8]>) -> Result<(), Error> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|error| Error::File(blobs, error))?;
    let version = form::parse(&bundle.manifest).map_err(Error::Form)?.version;
    for bytes in [&bundle.manifest, &bundle.config, &bundle.layer] {
        put(folder, bytes)?;
    }
    let mut rows = vec![row(&bundle.manifest, &version.to_string())];
    if let Some(signature) = signature {
        let manifest = form::write_signature(&bundle.manifest, signature).map_err(Error::Form)?;
        for bytes in [&manifest, signature, EMPTY] {
            put(folder, bytes)?;
        }
        rows.push(row(&manifest, &form::signature_tag(&Digest::of(&bundle.manifest))));
    }
    let index = Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: rows };
    let index = serde_json::to_vec(&index).map_err(|error| Error::Index(error.to_string()))?;
    // The index comes last: before it, there is nothing.
    for (name, bytes) in [("oci-layout", LAYOUT.as_bytes()), ("index.json", &index)] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|error| Error::File(path, error))?;
    }
    Ok(())
}

fn row(manifest: &[u8], name: &str) -> Row {
    let Descriptor { media_type, digest, size, .. } = Descriptor::of(MANIFEST_TYPE, manifest);
    Row { media_type, digest, size, annotations: BTreeMap::from([(NAME.to_owned(), name.to_owned())]) }
}

/// Reads the bundle in `folder`, and its signature, if it has one. Every part is what its digest says; nothing is believed yet.
///
/// # Errors
/// [`Error`] says which part is missing or refused.
pub fn read(folder: &Path) -> Result<(Bundle, Option<Vec<u8>>), Error> {
    let index = get(&folder.join("index.json"), INDEX_BYTES_MAX)?;
    let index: Index = serde_json::from_slice(&index).map_err(|error| Error::Index(error.to_string()))?;
    let limit = u64::try_from(form::MANIFEST_BYTES_MAX).unwrap_or(0);
    let mut found = Vec::new();
    let mut others = Vec::new();
    for row in &index.manifests {
        let bytes = get(&blob(folder, &row.digest), limit)?;
        form::same("manifest", &bytes, &row.digest).map_err(Error::Form)?;
        match form::parse(&bytes) {
            Ok(parts) => found.push((bytes, parts)),
            Err(fault) => others.push((bytes, fault)),
        }
    }
    let one = found.pop();
    let Some((manifest, parts)) = one.filter(|_| found.is_empty()) else {
        let why =
            others.first().map_or_else(|| "no bundle, or several".to_owned(), |(_, fault)| fault.to_string());
        return Err(Error::Index(why));
    };
    let config = part(folder, "service manifest", &parts.config)?;
    let layer = part(folder, "image", &parts.layer)?;
    let signature = others.iter().find_map(|(bytes, _)| form::parse_signature(bytes, &parts.manifest).ok());
    let signature = signature.map(|wanted| part(folder, "signature", &wanted)).transpose()?;
    Ok((Bundle { manifest, config, layer }, signature))
}
