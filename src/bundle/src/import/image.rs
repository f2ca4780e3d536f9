//! Takes an ordinary image: an OCI layout, or the archive that `docker save` writes.
//!
//! In:  a folder with `index.json`, or a tar with `manifest.json`. Out: a tree, and for which processors the image says it is.
//!
//! Every part of a layout is held against its digest. An archive has none that mean something: whoever wrote it is believed.
//!
//! Source: OCI image-spec, image-layout.md, image-index.md, manifest.md, config.md; Docker's image specification v1.2.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::tar::{Kind, Reader};
use super::{Error, JSON_BYTES_MAX, LAYERS_MAX, Rules, layer};
use crate::digest::{Digest, Sum};
use crate::sign::Architecture;
use crate::tree::Tree;

/// Members of an archive that are remembered.
const MEMBERS_MAX: usize = 4096;
/// Indexes within indexes.
const INDEXES_MAX: usize = 4;

/// A descriptor of somebody else's.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// An index or a manifest, whichever it turns out to be.
#[derive(Debug, Deserialize)]
struct Either {
    #[serde(default)]
    manifests: Vec<Found>,
    config: Option<Found>,
    #[serde(default)]
    layers: Vec<Found>,
}

/// One image of an archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Called with what is done: which layer, of how many.
pub type Progress<'p> = &'p mut dyn FnMut(usize, usize);

/// What is wanted of an image that may be there for several processors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'w> {
    /// For these; else the only one there is, or i386.
    pub architecture: Option<Architecture>,
    /// Under this name (`org.opencontainers.image.ref.name`).
    pub tag: Option<&'w str>,
    /// See [`Rules`].
    pub rules: Rules,
}

fn bad(part: &str, why: impl ToString) -> Error {
    Error::Image(part.to_owned(), why.to_string())
}

fn json<T: DeserializeOwned>(part: &str, stream: impl Read) -> Result<T, Error> {
    let mut bytes = Vec::new();
    stream
        .take(JSON_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Read(part.to_owned(), error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > JSON_BYTES_MAX {
        return Err(bad(part, format!("longer than {JSON_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| bad(part, error))
}

/// What an image's configuration says of its processors.
fn architecture(part: &str, platform: &Platform) -> Result<Architecture, Error> {
    if platform.os != "linux" {
        return Err(bad(part, format!("it is for {:?}, not for linux", platform.os)));
    }
    match platform.architecture.as_str() {
        "386" => Ok(Architecture::I386),
        "amd64" => Ok(Architecture::Amd64),
        other => Err(bad(part, format!("it is for {other:?}; 386 and amd64 are known"))),
    }
}

/// A part of a layout, which is summed up while it is read.
struct Part {
    name: String,
    digest: Digest,
    stream: BufReader<File>,
    sum: Sum,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.sum.take(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Part {
    /// Opens what `found` names.
    fn open(folder: &Path, found: &Found) -> Result<Self, Error> {
        let name = found.digest.clone();
        let digest = Digest::parse(&name).ok_or_else(|| bad(&name, "only sha256 digests are known"))?;
        let place = folder.join("blobs/sha256").join(digest.hex());
        let file = File::open(&place).map_err(|error| Error::Read(place.display().to_string(), error))?;
        Ok(Self { name, digest, stream: BufReader::new(file), sum: Sum::default() })
    }

    /// Reads the rest and holds all of it against its name.
    fn close(mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(Error::Read(self.name, error)),
            }
        }
        let had = self.sum.end();
        if had == self.digest { Ok(()) } else { Err(Error::Digest(self.name, self.digest, had)) }
    }

    fn json<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        let value = json(&self.name.clone(), &mut self);
        // What is not what its name says is not worth a word about its form.
        self.close()?;
        value
    }
}

/// Chooses among the manifests of an index.
fn choose<'f>(manifests: &'f [Found], wanted: &Wanted<'_>) -> Result<&'f Found, Error> {
    let named = |found: &&Found| {
        let name = found.annotations.get("org.opencontainers.image.ref.name");
        wanted.tag.is_none_or(|tag| name.is_some_and(|name| name == tag))
    };
    // An index of several: the tag is one of the outer index, the processors are told apart in the inner one.
    let any_named = manifests.iter().any(|found| named(&found));
    let fits = |found: &&Found| {
        let asked = wanted.architecture.unwrap_or(Architecture::I386);
        found.platform.as_ref().is_none_or(|is| is.os == "linux" && is.architecture == asked.word())
    };
    let candidates: Vec<&Found> = manifests.iter().filter(|found| !any_named || named(found)).collect();
    match candidates.as_slice() {
        [] => Err(bad("index", "there is no image in it")),
        [only] => Ok(only),
        many => match many.iter().filter(|found| fits(found)).collect::<Vec<_>>().as_slice() {
            [one] => Ok(one),
            [] => {
                Err(bad("index", "none of its images is for these processors; say which with --architecture"))
            }
            more => Err(bad("index", format!("{} images would do; name one as FOLDER:TAG", more.len()))),
        },
    }
}

/// Reads an OCI layout.
///
/// # Errors
/// [`Error`] says which part is refused, and why.
pub fn layout(
    folder: &Path,
    wanted: &Wanted<'_>,
    progress: Progress<'_>,
) -> Result<(Tree, Architecture), Error> {
    let place = folder.join("index.json");
    let file = File::open(&place).map_err(|error| Error::Read(place.display().to_string(), error))?;
    let mut at: Either = json("index.json", file)?;
    let mut depth = 0;
    while at.config.is_none() {
        depth += 1;
        if depth > INDEXES_MAX {
            return Err(bad("index", "indexes within indexes"));
        }
        at = Part::open(folder, choose(&at.manifests, wanted)?)?.json()?;
    }
    let config = at.config.ok_or_else(|| bad("manifest", "no configuration"))?;
    if config.media_type.starts_with("application/vnd.shg.") {
        return Err(bad("manifest", "this is a bundle already"));
    }
    let platform: Platform = Part::open(folder, &config)?.json()?;
    let architecture = architecture(&config.digest, &platform)?;
    if at.layers.len() > LAYERS_MAX {
        return Err(bad("manifest", format!("more than {LAYERS_MAX} layers")));
    }
    let mut tree = Tree::default();
    for (index, found) in at.layers.iter().enumerate() {
        progress(index, at.layers.len());
        let mut part = Part::open(folder, found)?;
        let outcome = layer::apply(&mut tree, &mut part, wanted.rules);
        part.close()?;
        outcome?;
    }
    progress(at.layers.len(), at.layers.len());
    Ok((tree, architecture))
}

/// Where the members of an archive are: first byte, size.
fn members(file: &mut File, name: &str) -> Result<BTreeMap<PathBuf, (u64, u64)>, Error> {
    let mut found = BTreeMap::new();
    let mut reader = Reader::new(BufReader::new(file));
    while let Some(entry) = reader.entry_after()? {
        let path = std::str::from_utf8(&entry.path).map_err(|error| bad(name, error))?;
        if entry.kind == Kind::File {
            found.insert(PathBuf::from(path), (reader.at(), entry.size));
        }
        if found.len() > MEMBERS_MAX {
            return Err(bad(name, format!("more than {MEMBERS_MAX} files")));
        }
    }
    Ok(found)
}

/// Reads the archive that `docker save` writes (and `skopeo copy … docker-archive:`, `buildah push … docker-archive:`).
///
/// # Errors
/// [`Error`] says which part is refused, and why.
pub fn archive(
    path: &Path,
    wanted: &Wanted<'_>,
    progress: Progress<'_>,
) -> Result<(Tree, Architecture), Error> {
    let name = path.display().to_string();
    let lost = |error| Error::Read(name.clone(), error);
    let mut file = File::open(path).map_err(lost)?;
    let members = members(&mut file, &name)?;
    let open = |member: &str| {
        let (at, size) =
            members.get(Path::new(member)).copied().ok_or_else(|| bad(member, "not in the archive"))?;
        let mut file = file.try_clone().map_err(lost)?; // shares the place: one member is read at a time
        file.seek(SeekFrom::Start(at)).map_err(lost)?;
        Ok::<_, Error>(BufReader::new(file).take(size))
    };
    let saved: Vec<Saved> = json("manifest.json", open("manifest.json")?)?;
    let [saved] = saved.as_slice() else {
        return Err(bad("manifest.json", format!("{} images in it; save one", saved.len())));
    };
    let platform: Platform = json(&saved.config, open(&saved.config)?)?;
    let architecture = architecture(&saved.config, &platform)?;
    if saved.layers.len() > LAYERS_MAX {
        return Err(bad("manifest.json", format!("more than {LAYERS_MAX} layers")));
    }
    let mut tree = Tree::default();
    for (index, member) in saved.layers.iter().enumerate() {
        progress(index, saved.layers.len());
        layer::apply(&mut tree, open(member)?, wanted.rules)?;
    }
    progress(saved.layers.len(), saved.layers.len());
    Ok((tree, architecture))
}
