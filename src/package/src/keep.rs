//! What is on the data disk: the store, the book, the newest list of keys.
//!
//! In:  folders, when they are there. Out: what is installed, whose keys count, what was ordered; each change is on the disk when it returns.
//!
//! Source: docs/keys.md, docs/state.md.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bundle::envelope;
use bundle::key::{self, Public};
use bundle::keyring::{self, Keyring};
use bundle::record::Installed;
use bundle::sign::Architecture;
use contract::Name;
use contract::installed::Service;
use contract::limit::SLICES;
use contract::manifest::Manifest;
use contract::packages::{Fault, Kept as Volume, State, Unit, Uses};
use contract::restart::ordered;
use log::{info, warn};
use state::Kept;

use crate::book::{self, Book};
use crate::disk::Folder;
use crate::failure::Failure;
use crate::fetch::{Shared, lock};
use crate::operator;
use crate::store::Store;

/// The image's keys.
pub const KEYS: &str = "/etc/shg/keys";
/// In it: the root's public key, and the list that it signed. The kept list has the same name.
pub const ROOT: &str = "root.public";
/// See [`ROOT`].
pub const LIST: &str = "keyring";
/// The form of the kept list: as the root signed it. `storage` reads it, too.
pub const LIST_VERSION: u16 = 1;
/// The data disk.
pub const DISK: &str = "/data";
/// Gateways of today.
pub const ARCHITECTURE: Architecture = Architecture::I386;

/// Where things are: elsewhere in tests.
#[derive(Debug)]
pub struct Places {
    /// The image's keys.
    pub keys: PathBuf,
    /// Bundles.
    pub bundles: PathBuf,
    /// Our small files.
    pub state: state::Folder,
    /// The operator's word, the first that is there.
    pub word: Vec<PathBuf>,
}

impl Places {
    /// As they are on a gateway, with another disk in tests.
    #[must_use]
    pub fn on(disk: &Path) -> Self {
        Self {
            keys: PathBuf::from(KEYS),
            bundles: disk.join("bundles"),
            state: state::Folder::at(&disk.join("state/package")),
            word: vec![disk.join("state/package.toml"), PathBuf::from(operator::SHIPPED)],
        }
    }
}

/// Everything on the disk.
#[derive(Debug)]
pub struct Keep {
    store: Shared,
    book: Book,
    book_file: state::File,
    /// The book could not be written: the disk has it as it was, or as it was to be.
    is_unsure: bool,
    list_file: state::File,
    /// What the image says, without what was kept; or why nobody's keys count.
    shipped: Result<Keyring, Failure>,
    /// Whose keys count.
    keyring: Option<Keyring>,
    /// Which file system it is: another disk is another one.
    device: u64,
}

/// Source: stat(2), `st_dev`.
fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_dir).map(|found| found.dev())
}

fn disk(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Fault::Disk, error)
}

impl Keep {
    /// Opens what is on the disk. Where the image has no root key, nobody's bundles count, and the rest is as it is: slices are kept without.
    ///
    /// # Errors
    /// [`Fault::Disk`]: it is not there (yet): try again.
    pub fn open(places: &Places) -> Result<Self, Failure> {
        let device = device(&places.bundles).filter(|_| places.state.is_there());
        let none = "there is no data disk, so nothing can be installed; see ctl disk";
        let device = device.ok_or_else(|| Failure::new(Fault::Disk, none))?;
        let shipped = shipped(&places.keys);
        let (book_file, list_file) =
            (places.state.file("book", book::BYTES_MAX), places.state.file(LIST, envelope::BYTES_MAX));
        let keyring = match &shipped {
            Ok(shipped) => Some(newest(shipped, &list_file)?),
            Err(failure) => {
                warn!("{failure}");
                None
            }
        };
        keyring.iter().for_each(counts);
        let folder = Folder::new(&places.bundles)
            .map_err(|error| disk(&format!("{}: {error}", places.bundles.display())))?;
        let store = Store::open(folder, keyring.clone(), ARCHITECTURE)?;
        let mut book = match book_file.load() {
            Ok(Some(Kept { version: book::VERSION, bytes })) => Book::parse(&bytes).unwrap_or_default(),
            Ok(_) => Book::default(),
            Err(error @ state::Error::Broken(_)) => {
                warn!("{error}: what was ordered is not known any more");
                Book::default()
            }
            Err(error) => return Err(disk(&error)),
        };
        // A service whose record is not believed now may be believed again: its row stays as long as its record.
        let records = store.records()?;
        book.retain(
            |name| records.iter().any(|record| record == name.as_str()),
            |service, provider| uses(&store, &records, service, provider),
        );
        let store = Arc::new(Mutex::new(store));
        Ok(Self { store, book, book_file, is_unsure: false, list_file, shipped, keyring, device })
    }

    /// Is it still the disk that was opened?
    #[must_use]
    pub fn is_there(&self, places: &Places) -> bool {
        device(&places.bundles) == Some(self.device) && places.state.is_there()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Shared {
        &self.store
    }

    /// What was ordered.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Changes the book, on the disk first.
    ///
    /// # Errors
    /// [`Fault::Disk`]: it is as it was, here; what is on the disk is known again with the next change that is written.
    pub fn write(&mut self, change: impl FnOnce(&mut Book)) -> Result<(), Failure> {
        let mut book = self.book.clone();
        change(&mut book);
        if book != self.book || self.is_unsure {
            self.is_unsure = true;
            self.book_file.save(book::VERSION, &book.bytes()).map_err(|error| disk(&error))?;
            self.is_unsure = false;
            self.book = book;
        }
        Ok(())
    }

    /// Changes the slices in the book, on the disk first. `change` says whether there is room.
    ///
    /// # Errors
    /// As [`Keep::write`]; [`Fault::Resources`]: there is no room.
    pub fn write_slices(&mut self, change: impl FnOnce(&mut Book) -> bool) -> Result<(), Failure> {
        let mut fits = true;
        self.write(|book| fits = change(book))?;
        let full = || Failure::new(Fault::Resources, format!("{SLICES} slices are kept already"));
        if fits { Ok(()) } else { Err(full()) }
    }

    /// Can any bundle be installed at all?
    ///
    /// # Errors
    /// [`Fault::Signature`]: nobody's keys count.
    pub fn trusts(&self) -> Result<(), Failure> {
        self.shipped.as_ref().map(drop).map_err(Failure::clone)
    }

    /// Takes a newer list of keys.
    ///
    /// # Errors
    /// [`Fault::Older`], [`Fault::Signature`], [`Fault::Disk`]: it is not taken.
    pub fn take_list(&mut self, list: &[u8]) -> Result<(), Failure> {
        let shipped = self.shipped.as_ref().map_err(Failure::clone)?;
        let now = self.keyring.as_ref().unwrap_or(shipped);
        let newer = shipped.update(list);
        let newer = newer.map_err(|fault| {
            let is_old = matches!(fault, keyring::Fault::Old(..));
            let has_changed = now.root != shipped.root;
            let hint =
                if has_changed { " (a new root counts from the image on that has its key)" } else { "" };
            Failure::new(if is_old { Fault::Older } else { Fault::Signature }, format!("{fault}{hint}"))
        })?;
        if newer.serial <= now.serial {
            let fault = keyring::Fault::Old(newer.serial, now.serial);
            return Err(Failure::new(Fault::Older, fault));
        }
        self.list_file.save(LIST_VERSION, list).map_err(|error| disk(&error))?;
        counts(&newer);
        lock(&self.store).believe(newer.clone());
        self.keyring = Some(newer);
        Ok(())
    }

    /// A row for each bundle; `state` says what is being done with it. One that was put for the first time is none before it is settled.
    #[must_use]
    pub fn units(&self, state: impl Fn(&Name) -> State) -> Vec<Unit> {
        let unit = |one: &Installed| {
            let (name, entry) = (&one.statement.name, self.book.entry(&one.statement.name));
            Unit {
                name: name.clone(),
                provider: one.statement.provider.clone(),
                summary: one.service.summary.clone(),
                version: one.statement.version,
                source: entry.map_or_else(|| "".into(), |entry| entry.source.clone()),
                tag: entry.map_or_else(|| "".into(), |entry| entry.tag.clone()),
                image: one.image.0,
                image_bytes: one.image_bytes,
                autostart: self.starts(one),
                state: state(name),
                installed_s: entry.map_or([0, 0], |entry| entry.installed_s),
                uses: Uses::of(&one.service),
            }
        };
        let store = lock(&self.store);
        let told = store.installed().iter().filter(|one| !store.is_first(&one.statement.name));
        let mut units: Vec<Unit> = told.map(unit).collect();
        units.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        units
    }

    /// Volumes of services that are gone. One whose service is being put is among them until that is settled.
    #[must_use]
    pub fn kept(&self) -> Vec<Volume> {
        let store = lock(&self.store);
        let has_it = |one: &Volume| store.provider(&one.service).is_some_and(|its| its == one.provider);
        let is_used = |one: &&Volume| has_it(one) && !store.is_first(&one.service);
        self.book.kept().iter().filter(|one| !is_used(one)).cloned().collect()
    }

    /// May a service have the volume of `service` of `provider`?
    ///
    /// # Errors
    /// [`Fault::Disk`].
    pub fn is_used(&self, service: &Name, provider: &Name) -> Result<bool, Failure> {
        let store = lock(&self.store);
        Ok(uses(&store, &store.records()?, service, provider) != Some(false))
    }

    /// What stays of `service` where it goes at `now_s`, as its manifest says, and whoever removes it. Of a bundle that is not believed nobody
    /// knows.
    #[must_use]
    pub fn stays(&self, service: &Name, drop_data: bool, now_s: u64) -> Option<Volume> {
        let store = lock(&self.store);
        let one = store.installed().iter().find(|one| one.statement.name == *service)?;
        let entry = self.book.entry(service);
        Some(Volume {
            service: service.clone(),
            provider: one.statement.provider.clone(),
            tag: entry.map_or_else(|| "".into(), |entry| entry.tag.clone()),
            volume: one.service.volume.clone().filter(|volume| volume.kept && !drop_data)?,
            since_s: [entry.map_or(0, |entry| entry.installed_s[0]), now_s],
        })
    }

    fn starts(&self, one: &Installed) -> bool {
        let ordered = self.book.entry(&one.statement.name).and_then(|entry| entry.autostart);
        ordered.unwrap_or(one.service.autostart)
    }

    /// What the supervisor is told of a bundle.
    #[must_use]
    pub fn service(&self, one: &Installed) -> Service {
        let mut manifest = one.service.clone();
        manifest.autostart = self.starts(one);
        let entry = self.book.entry(&one.statement.name);
        manifest.restart = ordered(manifest.restart, entry.and_then(|entry| entry.restarts));
        Service { manifest, image: one.image.0, version: one.statement.version }
    }

    /// What is said of the service `name`.
    #[must_use]
    pub fn manifest(&self, name: &Name) -> Option<Manifest> {
        let store = lock(&self.store);
        store.installed().iter().find(|one| one.statement.name == *name).map(|one| one.service.clone())
    }

    /// And of all of them.
    #[must_use]
    pub fn services(&self) -> Vec<Service> {
        lock(&self.store).installed().iter().map(|one| self.service(one)).collect()
    }
}

/// Has a service the volume of `service` of `provider`? Whose a service is whose bundle is not believed nobody knows: `None`.
fn uses(store: &Store<Folder>, records: &[String], service: &Name, provider: &Name) -> Option<bool> {
    match store.provider(service) {
        Some(its) => Some(its == *provider),
        None => (!records.iter().any(|record| record == service.as_str())).then_some(false),
    }
}

fn counts(keyring: &Keyring) {
    info!("keys: {} count, list {}", keyring.entries.len(), keyring.serial);
}

/// What the image says about keys.
fn shipped(folder: &Path) -> Result<Keyring, Failure> {
    let unread = |name: &str, why: &dyn std::fmt::Display| {
        let words = format!("no key is trusted: {}/{name}: {why}", folder.display());
        Failure::new(Fault::Signature, words)
    };
    let read = |name: &str, limit: usize| {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let file = File::open(folder.join(name)).map_err(|error| unread(name, &error))?;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| unread(name, &error))?;
        Ok::<_, Failure>(bytes)
    };
    let root = String::from_utf8(read(ROOT, key::FILE_BYTES_MAX)?).map_err(|error| unread(ROOT, &error))?;
    let root = Public::parse(&root).map_err(|fault| unread(ROOT, &fault))?;
    Keyring::new(root).update(&read(LIST, envelope::BYTES_MAX)?).map_err(|fault| unread(LIST, &fault))
}

/// The newest list: the image's, or the one that was kept.
fn newest(shipped: &Keyring, file: &state::File) -> Result<Keyring, Failure> {
    let kept = match file.load() {
        Ok(Some(Kept { version: LIST_VERSION, bytes })) => bytes,
        Ok(_) => return Ok(shipped.clone()),
        Err(error @ state::Error::Broken(_)) => {
            warn!("keyring: {error}: the image's list counts");
            return Ok(shipped.clone());
        }
        Err(error) => return Err(disk(&error)),
    };
    match shipped.update(&kept) {
        Ok(newer) => Ok(newer),
        // The image's has caught up.
        Err(keyring::Fault::Old(..)) => Ok(shipped.clone()),
        Err(fault) => {
            warn!("on the data disk: {fault}: the image's list counts");
            Ok(shipped.clone())
        }
    }
}
