//! `shg bundle verify`, `shg bundle inspect`.

use bundle::envelope::Envelope;
use bundle::form;
use bundle::sign::Statement;
use serde_json::json;

use crate::command::Answer;
use crate::error::Error;
use crate::keys;
use crate::options::Options;
use crate::transfer;

fn name(options: &Options) -> &str {
    options.words.first().map(String::as_str).unwrap_or_default()
}

/// Checks a bundle and its signature.
pub(crate) fn verify(options: &Options) -> Result<Answer, Error> {
    let name = name(options);
    let (bundle, signature) = transfer::fetch(name, options)?;
    let (stated, _) = bundle.check().map_err(Error::refused(name))?;
    let unsigned = || Error::Refused(format!("{name}: it is not signed; shg bundle sign does it"));
    let signature = signature.ok_or_else(unsigned)?;
    let ring = keys::believed(options, &stated.provider)?;
    let said = ring.open(&signature).map_err(Error::refused(name))?;
    if said != stated {
        return Err(Error::Refused(format!("{name}: {}", form::Fault::Statement("bundle"))));
    }
    let Statement { manifest, root, version, architecture, name: service, provider, .. } = said;
    Ok(Answer {
        failed: None,
        text: format!(
            "{name}: good: {service} of {provider}, version {version}, {architecture}\n{manifest}\n"
        ),
        value: json!({
            "good": true, "digest": manifest.to_string(), "service": service.as_str(), "provider": provider.as_str(),
            "version": version, "architecture": architecture.to_string(), "root_hash": root.hex(),
        }),
    })
}

/// Shows a bundle.
pub(crate) fn inspect(options: &Options) -> Result<Answer, Error> {
    let name = name(options);
    let (bundle, signature) = transfer::fetch(name, options)?;
    let parts = form::parse(&bundle.manifest).map_err(Error::refused(name))?;
    let (statement, service) = parts.statement(&bundle.config).map_err(Error::refused(name))?;
    let signer =
        signature.as_deref().and_then(|bytes| Envelope::parse(bytes).ok()).map(|sealed| sealed.signer);
    let signed =
        signer.map_or_else(|| "no".to_owned(), |id| format!("it says by key {id} (`verify` checks it)"));
    let words: Vec<&str> = service.command.iter().map(|word| word.as_str()).collect();
    Ok(Answer {
        failed: None,
        text: format!(
            "digest        {}\nservice       {} of {}\nsummary       {}\nversion       {}\narchitecture  {}\ncommand       {}\nlayer         {} bytes, {} of it the image's blocks\nroot hash     {}\nsigned        {signed}\n",
            parts.manifest,
            statement.name,
            statement.provider,
            service.summary,
            parts.version,
            parts.architecture,
            words.join(" "),
            parts.layer.size,
            parts.image_blocks,
            parts.root.hex(),
        ),
        value: json!({
            "digest": parts.manifest.to_string(), "service": statement.name.as_str(),
            "provider": statement.provider.as_str(), "summary": service.summary.as_str(), "version": parts.version,
            "architecture": parts.architecture.to_string(), "command": words, "layer_bytes": parts.layer.size,
            "image_blocks": parts.image_blocks, "root_hash": parts.root.hex(),
            "signer": signer.map(|id| id.to_string()),
        }),
    })
}
