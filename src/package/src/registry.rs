//! A registry, as a gateway asks it: manifests by tag or digest, blobs by digest and from a byte on.
//!
//! In:  a source, a name and a password perhaps. Out: bytes within limits; what they are is for who asks to see.
//!
//! HTTPS only, but with registries that the operator has named. What proves who we are goes to the registry, and to where it says that
//! tokens are given; a redirect, which only blobs have, does not carry it to another host.
//!
//! Source: OCI distribution-spec 1.1, "Pulling"; RFC 9110 §14 (ranges), §15.4 (redirects).

use bundle::digest::Digest;
use bundle::distribution::{self, Challenge, TOKEN_BYTES_MAX};
use bundle::form::MANIFEST_TYPE;
use bundle::reference::{Reference, Which};
use contract::packages::Fault;

use crate::failure::Failure;
use crate::http::Head;
use crate::link::{Broken, Link};
use crate::url::{Origin, Url};
use crate::watch::Watch;

/// Registries send their blobs from elsewhere, once or twice.
const REDIRECTS_MAX: usize = 3;
/// What is read of an answer that nobody asked for, so that the connection can be used again.
const REST_BYTES_MAX: usize = 16 * 1024;
/// How long one waits for a clock that is believed, in patience's silences.
const CLOCK_SILENCES: u32 = 2;

/// Where a bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The registry.
    pub origin: Origin,
    /// The repository, and what of it.
    pub reference: Reference,
}

impl Source {
    /// Reads `https://HOST[:PORT]/REPOSITORY:TAG` or `…@sha256:DIGEST`; `http://` where `plain` names `HOST:PORT`.
    ///
    /// # Errors
    /// [`Fault::Ask`].
    pub fn parse(text: &str, plain: &[String]) -> Result<Self, Failure> {
        let ask = |words: String| Failure::new(Fault::Ask, words);
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            ask("source: it is https://HOST[:PORT]/REPOSITORY:TAG, or …@sha256:DIGEST".to_owned())
        })?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(ask(format!("source: {scheme}: only https is known"))),
        };
        let reference = Reference::parse(rest).map_err(|fault| ask(format!("source: {fault}")))?;
        let origin = Origin::parse(tls, &reference.host);
        let origin = origin.ok_or_else(|| ask(format!("source: {}: no host", reference.host)))?;
        allow(&origin, plain, Fault::Ask)?;
        Ok(Self { origin, reference })
    }
}

/// May one speak with it?
fn allow(origin: &Origin, plain: &[String], fault: Fault) -> Result<(), Failure> {
    if origin.tls || plain.iter().any(|one| one.eq_ignore_ascii_case(&origin.authority)) {
        return Ok(());
    }
    let words =
        format!("{}: plain HTTP is not allowed with it (plain_http in package.toml)", origin.authority);
    Err(Failure::new(fault, words))
}

/// A registry, and what it is asked as whom.
#[derive(Debug)]
pub struct Registry<'r> {
    source: &'r Source,
    plain: &'r [String],
    /// A name and a password.
    user: Option<(&'r str, &'r str)>,
    /// What proves who we are, once it was asked for.
    proof: Option<String>,
    link: Option<Link>,
    watch: Watch,
}

impl<'r> Registry<'r> {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(
        source: &'r Source,
        plain: &'r [String],
        user: Option<(&'r str, &'r str)>,
        watch: Watch,
    ) -> Self {
        Self { source, plain, user, proof: None, link: None, watch }
    }

    fn who(&self) -> &str {
        &self.source.origin.authority
    }

    fn path(&self, rest: &str) -> Url {
        let target = format!("/v2/{}/{rest}", self.source.reference.name);
        Url { origin: self.source.origin.clone(), target }
    }

    /// The patience of what is being done.
    pub fn watch(&mut self) -> &mut Watch {
        &mut self.watch
    }

    /// Asks once, by the connection that there is, or another one.
    fn once(&mut self, url: &Url, fields: &str) -> Result<Head, Broken> {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: shg-package/{}\r\nAccept-Encoding: identity\r\n{fields}\r\n",
            url.target,
            url.origin.authority,
            env!("CARGO_PKG_VERSION"),
        );
        if let Some(mut link) = self.link.take()
            && link.origin == url.origin
            && link.is_free()
        {
            match link.ask(request.as_bytes(), &mut self.watch) {
                Ok(head) => {
                    self.link = Some(link);
                    return Ok(head);
                }
                // It may have ended since it was last used.
                Err(broken) if broken.again => {}
                Err(broken) => return Err(broken),
            }
        }
        if url.origin.tls {
            self.wait_for_the_clock()?;
        }
        let mut link = Link::open(&url.origin, &self.watch)?;
        let head = link.ask(request.as_bytes(), &mut self.watch)?;
        self.link = Some(link);
        Ok(head)
    }

    /// No certificate is good before the clock is.
    fn wait_for_the_clock(&mut self) -> Result<(), Failure> {
        let (step, mut left) = (self.watch.silence(), CLOCK_SILENCES);
        while !trust::clock::is_believed() {
            if left == 0 {
                let words =
                    "the time is not known yet, and without it no certificate is good; ask again later";
                return Err(Failure::new(Fault::Unreachable, words));
            }
            let end = std::time::Instant::now() + step;
            while !trust::clock::is_believed() && std::time::Instant::now() < end {
                self.watch.begin(0);
                self.watch.rest(crate::watch::TICK, "the clock")?;
            }
            left -= 1;
        }
        Ok(())
    }

    /// Asks, and shows who we are where that is asked for, once.
    fn ask(&mut self, rest: &str, fields: &str) -> Result<Head, Broken> {
        let url = self.path(rest);
        let shown = |proof: &Option<String>| {
            proof
                .as_ref()
                .map_or_else(|| fields.to_owned(), |proof| format!("Authorization: {proof}\r\n{fields}"))
        };
        let head = self.once(&url, &shown(&self.proof))?;
        if head.status != 401 || self.proof.is_some() {
            return Ok(head);
        }
        self.pass_over();
        self.proof = Some(self.prove(head.challenge.as_deref().unwrap_or_default())?);
        self.once(&url, &shown(&self.proof))
    }

    /// Finds what the registry wants to be shown.
    fn prove(&mut self, asked: &str) -> Result<String, Broken> {
        let forbidden = |who: &str, why: &str| Failure::new(Fault::Forbidden, format!("{who}: {why}"));
        let basic = self.user.map(|(user, password)| distribution::basic(user, password));
        let bearer = match Challenge::parse(asked) {
            None => {
                return Err(forbidden(self.who(), "it asks who we are, in a way that is not known").into());
            }
            Some(Challenge::Basic) => {
                let why = "it asks for a name and a password, and none was given";
                return basic.ok_or_else(|| forbidden(self.who(), why).into());
            }
            Some(Challenge::Bearer(bearer)) => bearer,
        };
        let place = Url::parse(&bearer.url(), Some(&self.source.origin));
        let place = place.ok_or_else(|| forbidden(self.who(), "where it gives tokens is no address"))?;
        allow(&place.origin, self.plain, Fault::Unreachable)?;
        let fields = basic.map_or_else(String::new, |basic| format!("Authorization: {basic}\r\n"));
        let head = self.once(&place, &fields)?;
        let who = place.origin.authority.clone();
        if head.status != 200 {
            let words = format!("no token was given ({}); is the name or the password another?", head.status);
            return Err(forbidden(&who, &words).into());
        }
        let bytes = self.all(TOKEN_BYTES_MAX, "the token")?;
        let token =
            distribution::token(&bytes).ok_or_else(|| forbidden(&who, "no token was in its answer"))?;
        Ok(format!("Bearer {token}"))
    }

    /// Reads what is left of an answer, where that is little; else the connection goes.
    fn pass_over(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let (mut piece, mut had) = (Vec::new(), 0_usize);
        while !link.is_free() && had <= REST_BYTES_MAX {
            if link.next(&mut piece, &mut self.watch).is_err() || piece.is_empty() {
                break;
            }
            had = had.saturating_add(piece.len());
        }
        self.link = Some(link).filter(Link::is_free);
    }

    /// All of an answer's body, of at most `limit` bytes.
    fn all(&mut self, limit: u64, what: &str) -> Result<Vec<u8>, Broken> {
        let who = self.who().to_owned();
        let (mut bytes, mut piece) = (Vec::new(), Vec::new());
        let Some(link) = &mut self.link else { return Ok(bytes) };
        loop {
            link.next(&mut piece, &mut self.watch)?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece);
            if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
                let words = format!("{who}: {what} has more than {limit} bytes");
                return Err(Failure::new(Fault::Form, words).into());
            }
        }
    }

    /// What a status that is not good means.
    fn bad(&self, head: &Head, what: &str) -> Failure {
        let (who, status) = (self.who(), head.status);
        let name = &self.source.reference.name;
        let (fault, why) = match status {
            401 | 403 => {
                (Fault::Forbidden, "it does not let us in; is there a name, a password, or another one?")
            }
            404 => (Fault::Missing, "it is not there"),
            429 => (Fault::Unreachable, "it was asked too often; ask again later"),
            500..=599 => (Fault::Unreachable, "it is out of order; ask again later"),
            300..=399 => (Fault::Unreachable, "it sends us elsewhere, and not where we go"),
            _ => (Fault::Unreachable, "it answers with something else"),
        };
        Failure::new(fault, format!("{who}: {name}: {what}: {why} ({status})"))
    }

    /// The manifest that `which` names, of at most `limit` bytes. Of a digest it is the one.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn manifest(&mut self, which: &Which, limit: u64) -> Result<Vec<u8>, Broken> {
        self.watch.begin(limit);
        let what = match which {
            Which::Tag(tag) => format!("manifest {tag}"),
            Which::Digest(_) => "manifest".to_owned(),
        };
        let head = self.ask(&format!("manifests/{which}"), &format!("Accept: {MANIFEST_TYPE}\r\n"))?;
        if head.status != 200 {
            return Err(self.bad(&head, &what).into());
        }
        let bytes = self.all(limit, &what)?;
        match which {
            Which::Digest(wanted) => self.same(&what, bytes, wanted),
            Which::Tag(_) => Ok(bytes),
        }
    }

    /// A blob of `size` bytes, all of it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn small(&mut self, what: &str, digest: &Digest, size: u64) -> Result<Vec<u8>, Broken> {
        self.watch.begin(size);
        let head = self.blob(what, digest, 0)?;
        if head.status != 200 {
            return Err(self.bad(&head, what).into());
        }
        let bytes = self.all(size, what)?;
        self.same(what, bytes, digest)
    }

    fn same(&self, what: &str, bytes: Vec<u8>, wanted: &Digest) -> Result<Vec<u8>, Broken> {
        if Digest::of(&bytes) == *wanted {
            return Ok(bytes);
        }
        Err(Failure::new(Fault::Form, format!("{}: {what}: it sent something else", self.who())).into())
    }

    /// Asks for a blob from the byte `from` on; follows where it is.
    fn blob(&mut self, what: &str, digest: &Digest, from: u64) -> Result<Head, Broken> {
        let fields = if from == 0 { String::new() } else { format!("Range: bytes={from}-\r\n") };
        let mut head = self.ask(&format!("blobs/{digest}"), &fields)?;
        let mut at = self.source.origin.clone();
        for _ in 0..REDIRECTS_MAX {
            if ![301, 302, 303, 307, 308].contains(&head.status) {
                return Ok(head);
            }
            let url = head.location.as_deref().and_then(|place| Url::parse(place, Some(&at)));
            let url = url.ok_or_else(|| self.bad(&head, what))?;
            allow(&url.origin, self.plain, Fault::Unreachable)?;
            self.pass_over();
            // Who we are is the registry's to know.
            let shown = self.proof.as_ref().filter(|_| url.origin == self.source.origin);
            let shown = shown.map_or_else(String::new, |proof| format!("Authorization: {proof}\r\n"));
            head = self.once(&url, &format!("{shown}{fields}"))?;
            at = url.origin;
        }
        if ![301, 302, 303, 307, 308].contains(&head.status) {
            return Ok(head);
        }
        let words = format!("{}: {what}: more than {REDIRECTS_MAX} redirects", self.who());
        Err(Failure::new(Fault::Unreachable, words).into())
    }

    /// Streams the blob of `size` bytes into `take`, from the byte `from` on; `take` counts what it was given by itself.
    ///
    /// # Errors
    /// [`Broken`]; what `take` says.
    pub fn stream(
        &mut self,
        what: &str,
        (digest, size): (&Digest, u64),
        from: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Broken> {
        let wrong = |who: &str, why: &str| Failure::new(Fault::Form, format!("{who}: {what}: {why}"));
        let head = self.blob(what, digest, from)?;
        let who = self.who().to_owned();
        // A registry that knows no ranges sends all of it: what is there already is passed over.
        let mut skip = match (head.status, head.range) {
            (200, _) => from,
            (206, Some((first, whole))) if (first, whole) == (from, size) => 0,
            (206 | 416, _) => return Err(wrong(&who, "it sends another part than was asked for").into()),
            _ => return Err(self.bad(&head, what).into()),
        };
        let length = size - from + skip;
        if head.length.is_some_and(|said| said != length) {
            return Err(wrong(&who, &format!("it has another length than its {size} bytes")).into());
        }
        let (mut piece, mut left) = (Vec::new(), size - from);
        let Some(link) = &mut self.link else { return Ok(()) };
        loop {
            link.next(&mut piece, &mut self.watch)?;
            if piece.is_empty() {
                break;
            }
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip = skip.saturating_sub(u64::try_from(passed).unwrap_or(skip));
            let bytes = piece.get(passed..).unwrap_or_default();
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if count > left {
                return Err(wrong(&who, &format!("it sends more than its {size} bytes")).into());
            }
            left -= count;
            take(bytes)?;
        }
        if left == 0 {
            return Ok(());
        }
        let failure = Failure::new(Fault::Unreachable, format!("{who}: {what}: it ends too early"));
        Err(Broken { failure, again: true })
    }
}
