//! Where a service's files come from: a folder, an image on the disk, an image in a registry.
//!
//! In:  a word of the command line. Out: a tree, and for which processors an image says it is.
//!
//! An image of a registry is copied to a folder of our own first, so that it goes the same way as one that was on the disk.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;

use bundle::digest::Digest;
use bundle::import::image::Wanted;
use bundle::import::{JSON_BYTES_MAX, LAYERS_MAX, folder, image};
use bundle::reference::{Reference, Which};
use bundle::sign::Architecture;
use bundle::tree::Tree;
use serde::Deserialize;
use serde_json::json;

use crate::error::Error;
use crate::options::Options;
use crate::progress::Bar;
use crate::registry::Registry;

/// What an image may be described by. Source: image-spec, media-types.md; Docker's manifest schema 2, which has the same fields.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// A layer as it is sent, in bytes.
const LAYER_BYTES_MAX: u64 = bundle::IMAGE_BYTES_MAX;

type Found = (Tree, Option<Architecture>);

/// Reads what `from` names.
///
/// # Errors
/// [`Error`] says which part is missing or refused.
pub(crate) fn read(from: &str, wanted: Wanted<'_>, options: &Options) -> Result<Found, Error> {
    let path = Path::new(from);
    let (outer, tag) =
        from.rsplit_once(':').map_or((path, None), |(outer, tag)| (Path::new(outer), Some(tag)));
    let is_layout = |path: &Path| path.join("index.json").is_file() && path.join("oci-layout").is_file();
    let mut bar = Bar::new("reading layers", 1000);
    let mut progress = |done: usize, total: usize| {
        bar.at(u64::try_from(done * 1000 / total.max(1)).unwrap_or(0));
    };
    let refused = Error::refused(from);
    if is_layout(path) {
        image::layout(path, &wanted, &mut progress).map(said).map_err(refused)
    } else if path.is_dir() {
        folder::read(path, wanted.rules).map(|tree| (tree, None)).map_err(refused)
    } else if path.is_file() {
        image::archive(path, &wanted, &mut progress).map(said).map_err(refused)
    } else if is_layout(outer) {
        image::layout(outer, &Wanted { tag, ..wanted }, &mut progress).map(said).map_err(refused)
    } else if from.contains('/') && !from.starts_with(['/', '.']) {
        let scratch = Scratch::new()?;
        download(&Reference::parse(from)?, &scratch.0, wanted, options)?;
        image::layout(&scratch.0, &wanted, &mut progress).map(said).map_err(refused)
    } else {
        Err(Error::Absent(format!("{from}: a folder, an OCI layout, an archive or HOST/NAME:TAG")))
    }
}

fn said((tree, architecture): (Tree, Architecture)) -> Found {
    (tree, Some(architecture))
}

/// A folder that nobody else can look into; it goes when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Error> {
        for number in 0..100 {
            let path = env::temp_dir().join(format!("shg-{}-{number}", process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(Error::file(&path)(cause)),
            }
        }
        Err(Error::Refused("no folder for temporary files could be made".to_owned()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Debug, Deserialize)]
struct Either {
    #[serde(default)]
    manifests: Vec<Part>,
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
}

/// Copies an image to `place`, as an OCI layout.
fn download(reference: &Reference, place: &Path, wanted: Wanted<'_>, options: &Options) -> Result<(), Error> {
    let mut registry = Registry::new(reference.clone(), options)?;
    let parse = |bytes: &[u8]| serde_json::from_slice::<Either>(bytes).map_err(Error::refused(reference));
    let mut bytes = registry.manifest(&reference.which, ACCEPT, JSON_BYTES_MAX)?;
    let mut at = parse(&bytes)?;
    if at.config.is_none() {
        let asked = wanted.architecture.unwrap_or(Architecture::I386);
        let fits = |part: &&Part| {
            part.platform.as_ref().is_some_and(|is| is.os == "linux" && is.architecture == asked.word())
        };
        let found = at.manifests.iter().find(fits).map(|part| part.digest);
        let found = found.ok_or_else(|| Error::Absent(format!("{reference}: an image for {asked}")))?;
        bytes = registry.manifest(&Which::Digest(found), ACCEPT, JSON_BYTES_MAX)?;
        at = parse(&bytes)?;
    }
    let config = at.config.ok_or_else(|| Error::Refused(format!("{reference}: indexes within indexes")))?;
    if at.layers.len() > LAYERS_MAX {
        return Err(Error::Refused(format!("{reference}: more than {LAYERS_MAX} layers")));
    }
    let blobs = place.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Error::file(&blobs))?;
    let put = |bytes: &[u8]| {
        let path = blobs.join(Digest::of(bytes).hex());
        fs::write(&path, bytes).map_err(Error::file(&path))
    };
    put(&bytes)?;
    let limits = [JSON_BYTES_MAX].into_iter().chain(std::iter::repeat(LAYER_BYTES_MAX));
    for (part, limit) in [&config].into_iter().chain(&at.layers).zip(limits) {
        if part.size > limit {
            return Err(Error::Refused(format!(
                "{reference}: {}: {} bytes, limit {limit}",
                part.digest, part.size
            )));
        }
        put(&registry.blob(&part.digest, part.size)?)?;
    }
    let digest = Digest::of(&bytes).to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest, "size": bytes.len() }] });
    for (name, text) in
        [("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}".to_owned()), ("index.json", index.to_string())]
    {
        let path = place.join(name);
        fs::write(&path, text).map_err(Error::file(&path))?;
    }
    Ok(())
}
