//! One order, from its source to the disk: the small parts first, then the image, which goes on where it was cut.
//!
//! In:  an order, the store. Out: a bundle in its place, with what it replaced; or why not. Progress as it comes.
//!
//! Everything that can be refused without the image is refused before a byte of it is fetched. The store is locked for moments only, so
//! whoever asks for it meanwhile is answered.
//!
//! Not here: who is told of it (`room.rs`).
//!
//! Source: docs/bundles.md; docs/decisions/0037-a-record-after-its-image.md.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bundle::form::{self, MANIFEST_BYTES_MAX};
use bundle::record::Record;
use bundle::reference::Which;
use contract::Name;
use contract::packages::{Fault, Install};

use crate::disk::Folder;
use crate::failure::Failure;
use crate::link::Broken;
use crate::registry::{Registry, Source};
use crate::store::{Candidate, Replaced, Store};
use crate::watch::Watch;

/// The store, for the thread that fetches and the one that answers.
pub type Shared = Arc<Mutex<Store<Folder>>>;

/// Tries in a row that bring no byte more.
const TRIES_MAX: u32 = 4;
/// Before another try.
const REST: Duration = Duration::from_secs(1);
/// Progress is said that often, at most.
const TELL: Duration = Duration::from_millis(200);

/// What is said on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It is this service's.
    Known(Name),
    /// So many bytes of so many are there.
    Progress(u64, u64),
}

/// A bundle that was put in its place.
#[derive(Debug)]
pub struct Put {
    /// Its service.
    pub service: Name,
    /// What it replaced.
    pub replaced: Replaced,
}

/// The store, for a moment. A thread that died with it left it whole: that is what the store is for.
pub fn lock(store: &Shared) -> MutexGuard<'_, Store<Folder>> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One order, while it is being done.
struct Errand<'e, 'r> {
    install: &'e Install,
    registry: Registry<'r>,
    store: &'e Shared,
    tell: &'e mut dyn FnMut(News),
}

/// Does what `install` says.
///
/// # Errors
/// [`Failure`]; what was installed before is as it was.
pub fn fetch(
    install: &Install,
    plain: &[String],
    store: &Shared,
    watch: Watch,
    tell: &mut dyn FnMut(News),
) -> Result<Put, Failure> {
    let source = Source::parse(&install.source, plain)?;
    let user = (install.username.as_str(), install.password.as_str());
    let registry = Registry::new(&source, plain, Some(user).filter(|user| !user.0.is_empty()), watch);
    let mut errand = Errand { install, registry, store, tell };
    let record = errand.parts(&source)?;
    let (candidate, had) = lock(store).candidate(&record)?;
    let outcome = errand.finish(candidate, had, &record);
    lock(store).leave();
    outcome
}

fn form(fault: form::Fault) -> Failure {
    Failure::new(Fault::Form, format!("bundle: {fault}"))
}

impl Errand<'_, '_> {
    /// The small parts.
    fn parts(&mut self, source: &Source) -> Result<Record, Failure> {
        let limit = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(0);
        let manifest = self.patiently(|registry| registry.manifest(&source.reference.which, limit))?;
        let parts = form::parse(&manifest).map_err(form)?;
        let (digest, size) = (parts.config.digest, parts.config.size);
        let config = self.patiently(|registry| registry.small("the service's manifest", &digest, size))?;
        parts.statement(&config).map_err(form)?;
        let tag = Which::Tag(form::signature_tag(&parts.manifest));
        let signature = self.patiently(|registry| registry.manifest(&tag, limit)).map_err(|failure| {
            let is_missing = failure.fault == Fault::Missing;
            let words = "bundle: it is not signed: shg bundle sign, and push it again";
            if is_missing { Failure::new(Fault::Signature, words) } else { failure }
        })?;
        let signature = form::parse_signature(&signature, &parts.manifest).map_err(form)?;
        let (digest, size) = (signature.digest, signature.size);
        let signature = self.patiently(|registry| registry.small("the signature", &digest, size))?;
        Ok(Record { manifest, config, signature })
    }

    /// Tries again what was cut off, a few times.
    fn patiently<T>(
        &mut self,
        mut one: impl FnMut(&mut Registry<'_>) -> Result<T, Broken>,
    ) -> Result<T, Failure> {
        let mut tries = 1;
        loop {
            match one(&mut self.registry) {
                Ok(done) => return Ok(done),
                Err(broken) if !broken.again || tries >= TRIES_MAX => return Err(broken.failure),
                Err(_) => self.registry.watch().rest(REST, "registry")?,
            }
            tries += 1;
        }
    }

    /// Is it what was asked for? Then its image.
    fn finish(&mut self, candidate: Candidate, had: u64, record: &Record) -> Result<Put, Failure> {
        let service = self.wanted(&candidate)?;
        (self.tell)(News::Known(service.clone()));
        self.image(&candidate, had, record)?;
        let mut disk = lock(self.store).disk().clone();
        let checked = candidate.check(&mut disk)?;
        let watch = self.registry.watch();
        watch.begin(0);
        watch.look("order")?;
        let replaced = lock(self.store).put(checked)?;
        Ok(Put { service, replaced })
    }

    fn wanted(&self, candidate: &Candidate) -> Result<Name, Failure> {
        let statement = &candidate.bundle().statement;
        let name = statement.name.clone();
        let refused = |fault, words: String| Err(Failure::new(fault, format!("bundle {name}: {words}")));
        if let Some(slice) = self.install.slice.as_ref().filter(|slice| **slice != statement.provider) {
            let provider = &statement.provider;
            return refused(Fault::Slice, format!("it runs in the slice {provider}, not in {slice}"));
        }
        match &self.install.update {
            Some(update) if *update != name => refused(
                Fault::Foreign,
                format!("it is another service than {update}, which is to be updated"),
            ),
            None if lock(self.store).installed().iter().any(|one| one.statement.name == name) => {
                refused(Fault::Duplicate, "a version of it is installed; ask for an update".to_owned())
            }
            Some(_) | None => Ok(name),
        }
    }

    /// Fetches what is not there yet of the image.
    fn image(&mut self, candidate: &Candidate, had: u64, record: &Record) -> Result<(), Failure> {
        let (digest, size) = (candidate.bundle().image, candidate.bundle().image_bytes);
        let (store, tell) = (self.store, &mut *self.tell);
        let (mut at, mut tries, mut told) = (had.min(size), 0, Instant::now());
        tell(News::Progress(at, size));
        self.registry.watch().begin(size);
        while at < size {
            let began = at;
            let mut take = |bytes: &[u8]| {
                lock(store).take(record, bytes)?;
                at = at.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    tell(News::Progress(at, size));
                }
                Ok(())
            };
            if let Err(broken) = self.registry.stream("the image", (&digest, size), began, &mut take) {
                tries = if at > began { 0 } else { tries + 1 };
                if !broken.again || tries >= TRIES_MAX {
                    return Err(broken.failure);
                }
                self.registry.watch().rest(REST, "registry")?;
            }
        }
        tell(News::Progress(size, size));
        Ok(())
    }
}
