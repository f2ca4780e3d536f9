//! A client of OCI registries: enough to fetch and to put an artifact.
//!
//! In:  a reference, bytes. Out: bytes that have the digest that was asked for, or what the registry said.
//!
//! Everything has a limit: sizes are known before, redirects are few, silence ends. The name and the password go to the registry, and to
//! where it says that tokens are given, by HTTPS only unless HTTP was asked for; a redirect does not carry them along.
//!
//! Source: OCI distribution-spec 1.1; RFC 9110 §11 (authentication); the registry's token specification (`Bearer`).

use std::env;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bundle::digest::Digest;
use bundle::distribution::{self, Challenge, TOKEN_BYTES_MAX, escaped};
use bundle::reference::{Reference, Which};
use rustls::crypto::ring;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, SendBody};

use crate::error::{Error, reason};
use crate::options::Options;
use crate::progress::{Bar, Counted};

/// Whom the system believes. Source: Debian's package ca-certificates.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long a connection, and how long a silence may take.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
/// Registries send their layers from elsewhere, once.
const REDIRECTS_MAX: u32 = 3;
/// What a registry says when it refuses, in bytes.
const WORDS_BYTES_MAX: u64 = 16 * 1024;

/// A repository of a registry.
pub struct Registry {
    agent: Agent,
    scheme: &'static str,
    reference: Reference,
    /// What proves who we are, once it was asked for.
    proof: Option<String>,
}

/// One request, which may have to be said twice.
struct Request<'r> {
    method: &'static str,
    url: &'r str,
    accept: &'r str,
    kind: &'r str,
    body: Option<&'r [u8]>,
}

impl<'r> Request<'r> {
    fn new(method: &'static str, url: &'r str) -> Self {
        Self { method, url, accept: "*/*", kind: "application/octet-stream", body: None }
    }
}

fn roots(options: &Options) -> Result<RootCerts, Error> {
    let path = Path::new(options.get("roots").unwrap_or(SYSTEM_ROOTS));
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(_) if options.has("plain-http") => return Ok(RootCerts::new_with_certs(&[])),
        Err(cause) => return Err(Error::file(path)(cause)),
    };
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(Error::Refused(format!("{}: no certificate in it", path.display())));
    }
    Ok(RootCerts::new_with_certs(&found))
}

impl Registry {
    /// Speaks with the registry of `reference`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Refused`]: no certificates to believe.
    pub fn new(reference: Reference, options: &Options) -> Result<Self, Error> {
        let plain = options.has("plain-http");
        let tls = TlsConfig::builder()
            .root_certs(roots(options)?)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .https_only(!plain)
            .http_status_as_error(false)
            .max_redirects(REDIRECTS_MAX)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .tls_config(tls)
            .user_agent(concat!("shg/", env!("CARGO_PKG_VERSION")))
            .build();
        let scheme = if plain { "http" } else { "https" };
        Ok(Self { agent: agent.new_agent(), scheme, reference, proof: None })
    }

    fn url(&self, rest: &str) -> String {
        format!("{}://{}/v2/{}/{rest}", self.scheme, self.reference.host, self.reference.name)
    }

    fn fault(&self, why: impl ToString) -> Error {
        Error::Registry(self.reference.host.clone(), why.to_string())
    }

    fn once(&self, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let builder = ureq::http::Request::builder().method(request.method).uri(request.url);
        let mut builder = builder.header(header::ACCEPT, request.accept);
        if let Some(proof) = &self.proof {
            builder = builder.header(header::AUTHORIZATION, proof);
        }
        let outcome = match request.body {
            None => builder
                .body(SendBody::none())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
            Some(bytes) => {
                let mut bar = Bar::new("pushing", u64::try_from(bytes.len()).unwrap_or(0));
                let mut counted = Counted { from: bytes, bar: &mut bar };
                builder
                    .header(header::CONTENT_TYPE, request.kind)
                    .header(header::CONTENT_LENGTH, bytes.len())
                    .body(SendBody::from_reader(&mut counted))
                    .map_err(ureq::Error::from)
                    .and_then(|request| self.agent.run(request))
            }
        };
        outcome.map_err(|error| {
            let spoken_to_in_tls =
                self.scheme == "https" && matches!(error, ureq::Error::Rustls(_) | ureq::Error::Io(_));
            let hint =
                if spoken_to_in_tls { " (for a registry that speaks HTTP, say --plain-http)" } else { "" };
            let why = if let ureq::Error::Io(cause) = &error { reason(cause) } else { error.to_string() };
            self.fault(format!("{why}{hint}"))
        })
    }

    /// Says `request`; if the registry asks who we are, says that, once.
    fn say(&mut self, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let answer = self.once(request)?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.proof.is_some() {
            return Ok(answer);
        }
        let asked = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        self.proof = Some(self.prove(asked.unwrap_or_default())?);
        self.once(request)
    }

    /// The same client with another proof of who it is.
    fn who_shows(&self, proof: Option<String>) -> Self {
        Self { agent: self.agent.clone(), scheme: self.scheme, reference: self.reference.clone(), proof }
    }

    /// Finds what the registry wants to be shown.
    fn prove(&self, asked: &str) -> Result<String, Error> {
        let named = env::var("SHG_REGISTRY_USER").ok().zip(env::var("SHG_REGISTRY_PASSWORD").ok());
        let basic = named.map(|(user, password)| distribution::basic(&user, &password));
        let unknown = || self.fault("it asks who you are, in a way that is not known");
        let url = match Challenge::parse(asked).ok_or_else(unknown)? {
            Challenge::Basic => {
                let why = "it asks who you are; set SHG_REGISTRY_USER and SHG_REGISTRY_PASSWORD";
                return basic.ok_or_else(|| self.fault(why));
            }
            Challenge::Bearer(bearer) => bearer.url(),
        };
        let asker = self.who_shows(basic);
        let answer = asker.once(&Request::new("GET", &url))?;
        let bytes = asker.good(answer, "token", &[StatusCode::OK])?;
        let bytes = body(bytes, TOKEN_BYTES_MAX).map_err(|why| self.fault(why))?;
        let token = distribution::token(&bytes).ok_or_else(|| self.fault("token: none was given"))?;
        Ok(format!("Bearer {token}"))
    }

    /// Holds the answer's status against what is good.
    fn good(&self, answer: Response<Body>, what: &str, good: &[StatusCode]) -> Result<Response<Body>, Error> {
        let status = answer.status();
        if good.contains(&status) {
            return Ok(answer);
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Error::Absent(format!("{}: {what}", self.reference)));
        }
        let words = body(answer, WORDS_BYTES_MAX).unwrap_or_default();
        let words: String =
            String::from_utf8_lossy(&words).chars().filter(|letter| !letter.is_control()).take(200).collect();
        Err(self.fault(format!("{what}: {status} {words}")))
    }

    /// Fetches the manifest that `which` names, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Absent`]; [`Error::Registry`]: it says no, or sends something else than was asked for.
    pub fn manifest(&mut self, which: &Which, accept: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let url = self.url(&format!("manifests/{which}"));
        let answer = self.say(&Request { accept, ..Request::new("GET", &url) })?;
        let answer = self.good(answer, &format!("manifest {which}"), &[StatusCode::OK])?;
        let bytes = body(answer, limit).map_err(|why| self.fault(format!("manifest {which}: {why}")))?;
        if let Which::Digest(wanted) = which
            && Digest::of(&bytes) != *wanted
        {
            return Err(self.fault(format!("manifest {which}: it sent another one, {}", Digest::of(&bytes))));
        }
        Ok(bytes)
    }

    /// Fetches a blob of `size` bytes.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub fn blob(&mut self, digest: &Digest, size: u64) -> Result<Vec<u8>, Error> {
        let url = self.url(&format!("blobs/{digest}"));
        let answer = self.say(&Request::new("GET", &url))?;
        let mut answer = self.good(answer, &format!("blob {digest}"), &[StatusCode::OK])?;
        let fault = |why: String| self.fault(format!("blob {digest}: {why}"));
        if answer.body().content_length().is_some_and(|length| length != size) {
            return Err(fault(format!("it has another length than its {size} bytes")));
        }
        let mut bar = Bar::new("pulling", size);
        let mut bytes = Vec::new();
        let stream = Counted { from: answer.body_mut().as_reader(), bar: &mut bar };
        stream.take(size + 1).read_to_end(&mut bytes).map_err(|error| fault(reason(&error)))?;
        let had = Digest::of(&bytes);
        if u64::try_from(bytes.len()) != Ok(size) {
            return Err(fault(format!("it has another length than its {size} bytes")));
        }
        if had == *digest { Ok(bytes) } else { Err(fault(format!("it sent other bytes, {had}"))) }
    }

    /// Puts a blob, unless it is there.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub fn put_blob(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let digest = Digest::of(bytes);
        let url = self.url(&format!("blobs/{digest}"));
        if self.say(&Request::new("HEAD", &url))?.status() == StatusCode::OK {
            return Ok(());
        }
        let url = self.url("blobs/uploads/");
        let answer = self.say(&Request { body: Some(&[]), ..Request::new("POST", &url) })?;
        let answer = self.good(answer, "upload", &[StatusCode::ACCEPTED])?;
        let place = answer.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let place = place.ok_or_else(|| self.fault("upload: it does not say where"))?;
        let place = match place.strip_prefix('/') {
            Some(path) => format!("{}://{}/{path}", self.scheme, self.reference.host),
            None => place.to_owned(),
        };
        let mark = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{mark}digest={}", escaped(&digest.to_string()));
        let request = Request { body: Some(bytes), ..Request::new("PUT", &url) };
        // Who we are is for this registry only, wherever it sends us.
        let answer = if url.starts_with(&format!("{}://{}/", self.scheme, self.reference.host)) {
            self.say(&request)?
        } else {
            self.who_shows(None).once(&request)?
        };
        self.good(answer, &format!("blob {digest}"), &[StatusCode::CREATED]).map(drop)
    }

    /// Puts a manifest under a tag.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub fn put_manifest(&mut self, tag: &str, kind: &str, bytes: &[u8]) -> Result<(), Error> {
        let url = self.url(&format!("manifests/{tag}"));
        let answer = self.say(&Request { body: Some(bytes), kind, ..Request::new("PUT", &url) })?;
        self.good(answer, &format!("manifest {tag}"), &[StatusCode::CREATED]).map(drop)
    }
}

/// The answer's bytes, `limit` at most.
fn body(mut answer: Response<Body>, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let stream = answer.body_mut().as_reader();
    stream.take(limit + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(format!("more than {limit} bytes"))
    }
}
