//! Names of images in registries: `HOST[:PORT]/NAME[:TAG|@DIGEST]`.
//!
//! In:  what a person or an operator has written. Out: a name that can be put into a request as it is.
//!
//! Source: OCI distribution-spec 1.1, "Pulling manifests" (names and tags).

use std::fmt;

use crate::digest::Digest;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// With its port, if it has one.
    pub host: String,
    /// The repository.
    pub name: String,
    /// A tag or a digest.
    pub which: Which,
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one that is called so now.
    Tag(String),
    /// This one.
    Digest(Digest),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "{tag}"),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if matches!(self.which, Which::Tag(_)) { ':' } else { '@' };
        write!(f, "{}/{}{mark}{}", self.host, self.name, self.which)
    }
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(String, &'static str);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: it is HOST[:PORT]/NAME[:TAG|@DIGEST]", self.0, self.1)
    }
}

impl std::error::Error for Fault {}

impl Reference {
    /// Reads a reference. Without a tag it is `latest`; `docker://` before it is nothing.
    ///
    /// # Errors
    /// [`Fault`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let usage = |why: &'static str| Fault(text.to_owned(), why);
        let plain = text.strip_prefix("docker://").unwrap_or(text);
        let (host, rest) = plain.split_once('/').ok_or_else(|| usage("no registry in it"))?;
        let (name, which) = if let Some((name, digest)) = rest.split_once('@') {
            (
                name,
                Which::Digest(Digest::parse(digest).ok_or_else(|| usage("only sha256 digests are known"))?),
            )
        } else {
            let (name, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
            (name, Which::Tag(tag.to_owned()))
        };
        let fits = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() <= 255
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.as_bytes().contains(&byte))
        };
        if !fits(host, ".-:[]") || !(host.contains(['.', ':']) || host == "localhost") {
            return Err(usage("no registry in it"));
        }
        let parts_fit = name.split('/').all(|part| fits(part, "._-") && !part.starts_with('.'));
        if !parts_fit || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(usage("not the name of a repository"));
        }
        if let Which::Tag(tag) = &which
            && (!fits(tag, "._-") || tag.len() > 128)
        {
            return Err(usage("not a tag"));
        }
        Ok(Self { host: host.to_owned(), name: name.to_owned(), which })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, Which};

    #[test]
    fn references_are_read_or_refused() {
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let table = [
            ("registry.example/a/b:1", Some(("registry.example", "a/b", "1"))),
            ("127.0.0.1:5000/a", Some(("127.0.0.1:5000", "a", "latest"))),
            ("docker://localhost/a:x-1.2_y", Some(("localhost", "a", "x-1.2_y"))),
            ("a/b:1", None),
            ("registry.example", None),
            ("registry.example/A:1", None),
            ("registry.example/../a:1", None),
            ("registry.example/a:b c", None),
            ("registry.example/a@sha256:12", None),
            ("user@registry.example/a:1", None),
            ("registry.example/a?x=1", None),
        ];
        for (text, want) in table {
            let read = Reference::parse(text).ok();
            let had = read.map(|read| (read.host, read.name, read.which.to_string()));
            assert_eq!(had, want.map(|(host, name, tag)| (host.into(), name.into(), tag.into())), "{text}");
        }
        let by_digest = Reference::parse(&format!("r.example/a@{digest}")).unwrap();
        assert!(matches!(by_digest.which, Which::Digest(_)));
        assert_eq!(by_digest.to_string(), format!("r.example/a@{digest}"));
    }
}
