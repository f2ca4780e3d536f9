//! `shg bundle push`, `shg bundle pull`; and where a bundle comes from, for who looks at one.

use std::path::Path;

use bundle::digest::Digest;
use bundle::form::{self, EMPTY, MANIFEST_TYPE};
use bundle::layout;
use bundle::make::Bundle;
use bundle::reference::{Reference, Which};
use serde_json::json;

use crate::command::Answer;
use crate::error::Error;
use crate::options::Options;
use crate::registry::Registry;

type Both = (Bundle, Option<Vec<u8>>);

/// A bundle and its signature, out of a folder or a registry. Every part is what its digest says; nothing is believed.
///
/// # Errors
/// [`Error`] says which part is missing or refused.
pub(crate) fn fetch(name: &str, options: &Options) -> Result<Both, Error> {
    // No host begins like a path.
    if Path::new(name).is_dir() || ["/", "./", "../"].iter().any(|begin| name.starts_with(begin)) {
        return from_folder(name);
    }
    if Path::new(name).exists() || !name.contains('/') {
        return Err(Error::Absent(format!("{name}: a bundle's folder, or a reference HOST/NAME:TAG")));
    }
    download(&Reference::parse(name)?, options)
}

/// Reads the bundle in `folder`.
pub(crate) fn from_folder(folder: &str) -> Result<Both, Error> {
    let place = Path::new(folder);
    if !place.join("index.json").exists() {
        return Err(Error::Refused(format!(
            "{folder}: no bundle is there (index.json); shg bundle build makes one"
        )));
    }
    layout::read(place).map_err(Error::refused(folder))
}

fn download(reference: &Reference, options: &Options) -> Result<Both, Error> {
    let limit = u64::try_from(form::MANIFEST_BYTES_MAX).unwrap_or(0);
    let mut registry = Registry::new(reference.clone(), options)?;
    let manifest = registry.manifest(&reference.which, MANIFEST_TYPE, limit)?;
    let parts = form::parse(&manifest).map_err(Error::refused(reference))?;
    let config = registry.blob(&parts.config.digest, parts.config.size)?;
    // What is refused for its manifest is not worth its megabytes.
    parts.statement(&config).map_err(Error::refused(reference))?;
    let tag = Which::Tag(form::signature_tag(&parts.manifest));
    let signature = match registry.manifest(&tag, MANIFEST_TYPE, limit) {
        Ok(bytes) => {
            let wanted = form::parse_signature(&bytes, &parts.manifest).map_err(Error::refused(reference))?;
            Some(registry.blob(&wanted.digest, wanted.size)?)
        }
        Err(Error::Absent(_)) => None,
        Err(error) => return Err(error),
    };
    let layer = registry.blob(&parts.layer.digest, parts.layer.size)?;
    Ok((Bundle { manifest, config, layer }, signature))
}

fn words(options: &Options) -> Result<(&str, &str), Error> {
    match options.words.as_slice() {
        [one, two] => Ok((one, two)),
        _ => Err(Error::Usage("two words are wanted".to_owned())),
    }
}

/// Copies a bundle to a registry.
pub(crate) fn push(options: &Options) -> Result<Answer, Error> {
    let (folder, name) = words(options)?;
    let reference = Reference::parse(name)?;
    let Which::Tag(tag) = &reference.which else {
        return Err(Error::Usage(format!(
            "{name}: a bundle is pushed under a tag; its digest comes by itself"
        )));
    };
    let (bundle, signature) = from_folder(folder)?;
    bundle.check().map_err(Error::refused(folder))?;
    let signature = signature.ok_or_else(|| {
        Error::Refused(format!(
            "{folder}: it is not signed, and no gateway would take it; shg bundle sign does it"
        ))
    })?;
    let mut registry = Registry::new(reference.clone(), options)?;
    let signed = form::write_signature(&bundle.manifest, &signature).map_err(Error::refused(folder))?;
    for bytes in [&bundle.config[..], &bundle.layer, EMPTY, &signature] {
        registry.put_blob(bytes)?;
    }
    let digest = Digest::of(&bundle.manifest);
    // The signature first: who sees the tag finds the signature. A signature names the bundle as its subject, which has to be there by then
    // for some registries, so the bundle comes by its digest before both.
    registry.put_manifest(&digest.to_string(), MANIFEST_TYPE, &bundle.manifest)?;
    registry.put_manifest(&form::signature_tag(&digest), MANIFEST_TYPE, &signed)?;
    registry.put_manifest(tag, MANIFEST_TYPE, &bundle.manifest)?;
    Ok(Answer {
        failed: None,
        text: format!("{reference}: pushed\n{digest}\n"),
        value: json!({ "reference": reference.to_string(), "digest": digest.to_string() }),
    })
}

/// Copies a bundle from a registry.
pub(crate) fn pull(options: &Options) -> Result<Answer, Error> {
    let (name, folder) = words(options)?;
    if Path::new(folder).exists() {
        return Err(Error::Refused(format!("{folder}: it is there already; remove it or name another")));
    }
    let reference = Reference::parse(name)?;
    let (bundle, signature) = download(&reference, options)?;
    layout::write(Path::new(folder), &bundle, signature.as_deref()).map_err(Error::refused(folder))?;
    let digest = Digest::of(&bundle.manifest).to_string();
    let signed = if signature.is_some() { "with a signature, not checked yet" } else { "not signed" };
    Ok(Answer {
        failed: None,
        text: format!("{folder}: pulled, {signed}\n{digest}\n"),
        value: json!({ "bundle": folder, "digest": digest, "signed": signature.is_some() }),
    })
}
