//! Makes a bundle of a file tree and a service's manifest. At the desk only.
//!
//! In:  a tree, the manifest's text, a version. Out: the three parts of a bundle, the same bytes for the same input.

use std::collections::BTreeMap;
use std::fmt;

use contract::manifest;

use crate::digest::Digest;
use crate::form::{self, CONFIG_TYPE, Descriptor, LAYER_TYPE, Parts};
use crate::program;
use crate::sign::{Architecture, Statement};
use crate::tree::{self, Content, Owner, Tree};
use crate::{BLOCK_BYTES, erofs, verity};

/// Why no bundle was made.
#[derive(Debug)]
pub enum Error {
    /// The service's manifest is refused, with the line and the reason.
    Service(String),
    /// The tree's programs are.
    Program(program::Fault),
    /// The tree is, as a whole.
    Tree(tree::Fault),
    /// The parts do not fit together: never seen.
    Form(form::Fault),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(why) => write!(f, "service {why}"),
            Self::Program(fault) => write!(f, "{fault}"),
            Self::Tree(fault) => write!(f, "image: {fault}"),
            Self::Form(fault) => write!(f, "{fault}"),
        }
    }
}

impl std::error::Error for Error {}

/// A bundle, all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The OCI manifest; its digest is the bundle's name.
    pub manifest: Vec<u8>,
    /// The service's manifest.
    pub config: Vec<u8>,
    /// The sealed image with its tree of hashes.
    pub layer: Vec<u8>,
}

/// Makes a bundle.
///
/// * `service` — the service's manifest, as its provider wrote it.
/// * `version` — above that of every release before.
/// * `said` — for which processors the image says that it is.
///
/// # Errors
/// [`Error`] says what is refused.
pub fn make(
    mut tree: Tree,
    service: &str,
    version: u64,
    said: Option<Architecture>,
) -> Result<Bundle, Error> {
    let words = manifest::parse(service).map_err(|error| Error::Service(error.to_string()))?;
    let command = words.command.first().map(|word| word.as_str()).unwrap_or_default();
    let architecture = program::check(&tree, command, said).map_err(Error::Program)?;
    let probe = words.health.as_ref().and_then(|health| health.command.first());
    if let Some(probe) = probe {
        program::check(&tree, probe, None).map_err(Error::Program)?;
    }
    let volume = words.volume.as_ref().map(|volume| volume.at.trim_start_matches('/'));
    let node = volume.and_then(|place| tree.find(place.as_bytes())).and_then(|number| tree.node(number));
    if node.is_some_and(|node| !matches!(node.content, Content::Folder(_))) {
        return Err(Error::Service("volume.at: the image has something else there".to_owned()));
    }
    for place in manifest::FOLDERS.into_iter().chain(volume) {
        if tree.find(place.as_bytes()).is_none() {
            let folder = Content::Folder(BTreeMap::new());
            tree.put(place.as_bytes(), Owner::root(0o755), folder).map_err(Error::Tree)?;
        }
    }
    let mut layer = erofs::write(&tree).map_err(Error::Tree)?;
    let image_blocks =
        u32::try_from(layer.len() / BLOCK_BYTES).map_err(|_| Error::Tree(tree::Fault::Bytes))?;
    let verity = verity::make(&mut layer.as_slice(), image_blocks);
    let verity = verity.map_err(|_| Error::Tree(tree::Fault::Bytes))?;
    layer.extend(&verity.tree);
    let parts = Parts {
        config: Descriptor::of(CONFIG_TYPE, service.as_bytes()),
        layer: Descriptor::of(LAYER_TYPE, &layer),
        image_blocks,
        root: verity.root,
        version,
        architecture,
        manifest: Digest::of(b""),
    };
    let manifest = form::write(&parts, &words.name, &words.provider, &words.summary).map_err(Error::Form)?;
    // It is read as a gateway will read it.
    form::parse(&manifest).map_err(Error::Form)?;
    Ok(Bundle { manifest, config: service.as_bytes().to_vec(), layer })
}

impl Bundle {
    /// Checks everything that can be checked without a key, and makes the statement that is (to be) signed: digests, the service's manifest,
    /// the form of the image, every hash of its tree.
    ///
    /// # Errors
    /// [`Broken`] says what does not hold.
    pub fn check(&self) -> Result<(Statement, manifest::Manifest), Broken> {
        let parts = form::parse(&self.manifest).map_err(Broken::Form)?;
        let stated = parts.statement(&self.config).map_err(Broken::Form)?;
        form::same("image", &self.layer, &parts.layer.digest).map_err(Broken::Form)?;
        erofs::check(self.layer.as_slice(), parts.image_blocks).map_err(Broken::Image)?;
        let verity =
            verity::make(&mut self.layer.as_slice(), parts.image_blocks).map_err(|_| Broken::Tree)?;
        if verity.root != parts.root || !self.layer.ends_with(&verity.tree) {
            return Err(Broken::Tree);
        }
        Ok(stated)
    }
}

/// Why a bundle is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Its parts do not fit together.
    Form(form::Fault),
    /// Its image is none that is taken.
    Image(erofs::Fault),
    /// The tree of hashes is not that of the image.
    Tree,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(fault) => write!(f, "{fault}"),
            Self::Image(fault) => write!(f, "image: {fault}"),
            Self::Tree => write!(f, "image: its tree of hashes is another one"),
        }
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
#[path = "make_tests.rs"]
mod tests;
