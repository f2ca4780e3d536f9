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
    // Before what may take long: it is the manifest that is wrong, not the image.
    contract::manifest::parse(&service).map_err(Error::refused(path))?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::command::run;

    const MANIFEST: &str = include_str!("../../services/hello/manifest.toml");

    /// Whose manifest is wrong is told which one, and what to do; before anything is read or made.
    #[test]
    fn a_manifest_that_is_wrong_is_named() {
        let folder = std::env::temp_dir().join(format!("shg-build-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (manifest, output) = (folder.join("manifest.toml"), folder.join("bundle"));
        let line = format!(
            "bundle build {0}/none --manifest {0}/manifest.toml --version 1 --output {0}/bundle",
            folder.display()
        );
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert!(MANIFEST.starts_with("version = 2\n"));
        for (name, text, want) in [
            ("no version", MANIFEST.replace("version = 2\n", ""), "write `version = 2`"),
            (
                "an older one",
                MANIFEST.replace("version = 2\n", "version = 1\n"),
                "line 1: this reads version 2",
            ),
            ("a newer one", MANIFEST.replace("version = 2\n", "version = 3\n"), "write `version = 2`"),
            ("a word for a number", MANIFEST.replace("version = 2\n", "version = \"2\"\n"), "invalid type"),
            ("a key that is none", format!("colour = \"red\"\n{MANIFEST}"), "unknown field `colour`"),
            (
                "none is wrong",
                MANIFEST.to_owned(),
                "none: a folder, an OCI layout, an archive or HOST/NAME:TAG: not there",
            ),
        ] {
            fs::write(&manifest, text).unwrap();
            let why = run(&words, &mut Vec::new()).unwrap_err().to_string();
            assert!(why.contains(want), "{name}: {why}");
            let names = why.contains(&format!("{}: manifest: ", manifest.display()));
            assert_eq!(names, name != "none is wrong", "{name}: {why}");
            assert!(!output.exists(), "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
