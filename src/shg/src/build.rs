//! `shg bundle build`, `shg bundle sign`.

use std::path::Path;

use bundle::digest::Digest;
use bundle::import::Rules;
use bundle::import::image::Wanted;
use bundle::make;
use bundle::sign::Architecture;
use bundle::{BLOCK_BYTES, form, layout};
use contract::limit::MANIFEST_BYTES;
use serde_json::json;

use crate::command::Answer;
use crate::error::Error;
use crate::keys;
use crate::options::Options;
use crate::source;
use crate::transfer;

fn architecture(options: &Options) -> Result<Option<Architecture>, Error> {
    match options.get("architecture") {
        None => Ok(None),
        Some("i386" | "386") => Ok(Some(Architecture::I386)),
        Some("amd64") => Ok(Some(Architecture::Amd64)),
        Some(other) => Err(Error::Usage(format!("--architecture {other}: it is i386 or amd64"))),
    }
}

/// Makes a bundle.
pub(crate) fn build(options: &Options) -> Result<Answer, Error> {
    let from = options.words.first().map(String::as_str).unwrap_or_default();
    let (path, version, output) =
        (options.need("manifest")?, options.number("version")?, Path::new(options.need("output")?));
    if output.exists() {
        return Err(Error::Refused(format!(
            "{}: it is there already; remove it or name another",
            output.display()
        )));
    }
    let wanted = Wanted {
        architecture: architecture(options)?,
        tag: None,
        rules: Rules { drop_set_id: options.has("drop-set-id") },
    };
    let service = keys::read(Path::new(path), MANIFEST_BYTES)?;
    let service = String::from_utf8(service).map_err(Error::refused(path))?;
    let (tree, said) = source::read(from, wanted, options)?;
    let bundle =
        make::make(tree, &service, version, said.or(wanted.architecture)).map_err(Error::refused(from))?;
    layout::write(output, &bundle, None).map_err(Error::refused(output.display()))?;
    let parts = form::parse(&bundle.manifest).map_err(Error::refused(from))?;
    let digest = parts.manifest.to_string();
    let bytes = u64::from(parts.image_blocks) * u64::try_from(BLOCK_BYTES).unwrap_or(0);
    Ok(Answer {
        failed: None,
        text: format!(
            "{}: version {version} for {}, image {bytes} bytes, not signed yet\n{digest}\n",
            output.display(),
            parts.architecture
        ),
        value: json!({
            "bundle": output.display().to_string(), "digest": digest, "version": version,
            "architecture": parts.architecture.to_string(), "image_bytes": bytes, "root_hash": parts.root.hex(),
        }),
    })
}

/// Signs a bundle.
pub(crate) fn sign(options: &Options) -> Result<Answer, Error> {
    let name = options.words.first().map(String::as_str).unwrap_or_default();
    let secret = keys::secret(options.need("key")?)?;
    let (bundle, _) = transfer::from_folder(name)?;
    // Nobody signs what a gateway would refuse.
    let (statement, _) = bundle.check().map_err(Error::refused(name))?;
    let signature = statement.seal(&secret).map_err(Error::refused(name))?;
    layout::write(Path::new(name), &bundle, Some(&signature)).map_err(Error::refused(name))?;
    let id = secret.public().map_err(Error::refused(name))?.id().to_string();
    let digest = Digest::of(&bundle.manifest).to_string();
    Ok(Answer {
        failed: None,
        text: format!("{name}: signed by key {id}\n{digest}\n"),
        value: json!({ "bundle": name, "digest": digest, "key": id }),
    })
}
