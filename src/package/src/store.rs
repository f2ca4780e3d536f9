//! The store: which bundles are there, and how one comes and goes.
//!
//! In:  small parts and images. Out: installed services; nothing else on the disk after [`Store::open`].
//!
//! The order on the disk is everything. An image is written under its digest with `.part` behind, brought to the disk and checked meanwhile,
//! renamed, and its folder brought to the disk; only then its record is written beside, brought to the disk, and takes the place of the one before. So
//! a record never names an image that is not whole, and at any instant a service is the old one or the new one. What no record names is
//! taken away, but for one `.part`, whose download goes on where it was cut.
//!
//! An update has to prove itself. The record before is written beside (`.old`) and brought to the disk before the new one takes its place; it is
//! removed when the new one is settled. Who opens the store and finds it has it back: so whatever is cut in between, the old one is the one.
//!
//! Not here: where the bytes come from.

use std::io::Read;

use bundle::digest::{Digest, Sum};
use bundle::erofs;
use bundle::form;
use bundle::keyring::Keyring;
use bundle::record::{self, Installed, Record};
use bundle::sign::{Architecture, Step};
use contract::Name;
use log::{info, warn};

use crate::disk::{Disk, Place};
use crate::{Error, RESERVE_BYTES, SERVICES_MAX};

/// Behind the name of an image that is not there yet.
const PART: &str = ".part";
/// Behind the name of a record that does not count yet.
const NEW: &str = ".new";
/// Behind the name of the record that a newer one has taken the place of, until that has proven itself.
const OLD: &str = ".old";

/// What is installed.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    /// Whose bundles count; `None`: nobody's.
    keyring: Option<Keyring>,
    architecture: Architecture,
    installed: Vec<Installed>,
    /// The image that is being fetched: nobody tidies it away.
    fetched: Option<Digest>,
    /// What was put where nothing was, and is not settled.
    first: Option<Name>,
}

/// The parts of a bundle that may be installed once its image is whole.
#[derive(Debug, Clone)]
pub struct Candidate {
    found: Installed,
}

/// A candidate whose image is on the disk, whole and of the one form.
#[derive(Debug)]
pub struct Checked {
    found: Installed,
}

/// What a bundle has taken the place of.
#[derive(Debug)]
pub struct Replaced {
    name: Name,
    old: Option<Installed>,
}

/// What became of the parts that were offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// They are installed already: nothing is to be done.
    Same,
    /// The image has to be fetched: from which byte on.
    Fetch(u64),
}

fn disk_error(name: &str, step: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let name = name.to_owned();
    move |cause| Error::Disk(name, step, cause)
}

/// Believes the parts, or says why not.
fn believe(record: Record, keyring: Option<&Keyring>) -> Result<Installed, Error> {
    let parts = form::parse(&record.manifest).map_err(Error::Form)?;
    let (stated, service) = parts.statement(&record.config).map_err(Error::Form)?;
    let statement = keyring.ok_or(Error::Unkeyed)?.open(&record.signature).map_err(Error::Signature)?;
    if statement != stated {
        return Err(Error::Statement);
    }
    Ok(Installed { statement, service, image: parts.layer.digest, image_bytes: parts.layer.size, record })
}

impl<D: Disk> Store<D> {
    /// Opens what is on `disk` and takes away what is left of anything that was cut. Without a keyring no bundle counts.
    ///
    /// A record that is not whole, is not believed any more or has lost its image is left out, with a word in the log. Its file stays: a list of
    /// keys that is wrong must not cost a service.
    ///
    /// # Errors
    /// [`Error::Disk`]: the folders cannot be read.
    pub fn open(
        disk: D,
        keyring: impl Into<Option<Keyring>>,
        architecture: Architecture,
    ) -> Result<Self, Error> {
        let keyring = keyring.into();
        let mut store =
            Self { disk, keyring, architecture, installed: Vec::new(), fetched: None, first: None };
        store.bring_back()?;
        let images = store.disk.list(Place::Images).map_err(disk_error("images", "cannot be listed"))?;
        let records = store.disk.list(Place::Records).map_err(disk_error("records", "cannot be listed"))?;
        for (name, _) in records.iter().filter(|(name, _)| !name.ends_with(NEW)).take(SERVICES_MAX) {
            match store.load(name) {
                Ok(found) if images.contains(&(found.image.hex(), found.image_bytes)) => {
                    store.installed.push(found)
                }
                Ok(_) => warn!("bundle {name}: its image is gone"),
                Err(error) => warn!("{error}"),
            }
        }
        store.tidy()?;
        Ok(store)
    }

    /// Updates that were cut before they were settled: the one before is the one again.
    fn bring_back(&mut self) -> Result<(), Error> {
        let records = self.disk.list(Place::Records).map_err(disk_error("records", "cannot be listed"))?;
        let limit = u64::try_from(record::BYTES_MAX).unwrap_or(0);
        for (old, _) in &records {
            let Some(name) = old.strip_suffix(OLD) else { continue };
            let bytes = self.disk.read(Place::Records, old, limit).ok();
            if bytes.as_deref().and_then(Record::parse).is_some() {
                warn!("bundle {name}: an update was cut off; the version before is back");
                self.disk.rename(Place::Records, old, name).map_err(disk_error(old, "cannot be renamed"))?;
            } else {
                // It was being written: nothing had taken its place yet.
                self.disk.remove(Place::Records, old).map_err(disk_error(old, "cannot be removed"))?;
            }
            self.names(Place::Records)?;
        }
        Ok(())
    }

    fn load(&self, name: &str) -> Result<Installed, Error> {
        let limit = u64::try_from(record::BYTES_MAX).unwrap_or(0);
        let bytes =
            self.disk.read(Place::Records, name, limit).map_err(disk_error(name, "cannot be read"))?;
        let broken = || disk_error(name, "is not whole")(std::io::ErrorKind::InvalidData.into());
        let found = believe(Record::parse(&bytes).ok_or_else(broken)?, self.keyring.as_ref())?;
        if found.statement.name.as_str() == name { Ok(found) } else { Err(Error::Statement) }
    }

    /// What is installed, settled or not.
    #[must_use]
    pub fn installed(&self) -> &[Installed] {
        &self.installed
    }

    /// Whose service `name` is, where it is installed.
    #[must_use]
    pub fn provider(&self, name: &Name) -> Option<Name> {
        let found = self.installed.iter().find(|one| one.statement.name == *name);
        found.map(|one| one.statement.provider.clone())
    }

    /// Was `name` put where nothing was, and is it not settled? It may still be taken back, and then nobody should have heard of it.
    #[must_use]
    pub fn is_first(&self, name: &Name) -> bool {
        self.first.as_ref() == Some(name)
    }

    /// The names of all records, also of those that are not believed now.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn records(&self) -> Result<Vec<String>, Error> {
        let records = self.disk.list(Place::Records).map_err(disk_error("records", "cannot be listed"))?;
        Ok(records.into_iter().map(|(name, _)| name).collect())
    }

    /// Looks at the small parts of a bundle: everything that can be refused without its image is refused here.
    ///
    /// # Errors
    /// [`Error`] says why it is not taken.
    pub fn offer(&self, record: &Record) -> Result<Offer, Error> {
        let found = believe(record.clone(), self.keyring.as_ref())?;
        if found.statement.architecture != self.architecture {
            return Err(Error::Architecture);
        }
        let name = &found.statement.name;
        match self.installed.iter().find(|old| old.statement.name == *name) {
            None if self.installed.len() >= SERVICES_MAX => return Err(Error::Full),
            None => {}
            Some(old) => match found.statement.after(&old.statement) {
                Step::Newer => {}
                Step::Same => return Ok(Offer::Same),
                Step::Foreign => return Err(Error::Foreign(name.clone())),
                Step::Refused => {
                    return Err(Error::Older(name.clone(), old.statement.version, found.statement.version));
                }
            },
        }
        let had = self.had(&found.image)?.unwrap_or(0).min(found.image_bytes);
        let need = found.image_bytes - had;
        let free = self.disk.free_bytes().map_err(disk_error("data disk", "cannot be asked"))?;
        let free = free.saturating_sub(RESERVE_BYTES);
        if need > free { Err(Error::Space(need, free)) } else { Ok(Offer::Fetch(had)) }
    }

    /// How much of an image is there.
    fn had(&self, image: &Digest) -> Result<Option<u64>, Error> {
        let images = self.disk.list(Place::Images).map_err(disk_error("images", "cannot be listed"))?;
        let (whole, part) = (image.hex(), format!("{}{PART}", image.hex()));
        Ok(images.iter().find(|(name, _)| *name == whole || *name == part).map(|(_, size)| *size))
    }

    /// Takes more bytes of the image of `record`, in order.
    ///
    /// # Errors
    /// [`Error::Digest`]: there are more than it has; what was there is thrown away. [`Error::Disk`].
    pub fn take(&mut self, record: &Record, bytes: &[u8]) -> Result<(), Error> {
        let parts = form::parse(&record.manifest).map_err(Error::Form)?;
        let name = format!("{}{PART}", parts.layer.digest.hex());
        let had = self.had(&parts.layer.digest)?.unwrap_or(0);
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if had.checked_add(more).is_none_or(|all| all > parts.layer.size) {
            self.disk.remove(Place::Images, &name).map_err(disk_error(&name, "cannot be removed"))?;
            return Err(Error::Digest(parts.layer.digest));
        }
        self.disk.append(Place::Images, &name, bytes).map_err(disk_error(&name, "cannot be written"))
    }

    /// The bundle of `record`, of whose image so many bytes are there; the rest is to be taken. Other cut images go now.
    ///
    /// # Errors
    /// As [`Store::offer`]; [`Error::Same`]: it is installed already.
    pub fn candidate(&mut self, record: &Record) -> Result<(Candidate, u64), Error> {
        let Offer::Fetch(had) = self.offer(record)? else {
            let parts = form::parse(&record.manifest).map_err(Error::Form)?;
            return Err(Error::Same(parts.version));
        };
        let found = believe(record.clone(), self.keyring.as_ref())?;
        self.fetched = Some(found.image);
        self.tidy()?;
        Ok((Candidate { found }, had))
    }

    /// No image is being fetched any more. What there is of the last one stays, until it is asked for again or another one comes.
    pub fn leave(&mut self) {
        self.fetched = None;
    }

    /// Installs the bundle of `record`, all bytes of whose image were taken. The one that had its name is gone when this returns.
    ///
    /// # Errors
    /// [`Error`] says why not; the one before is as it was, and of this one nothing stays but an image that is cut.
    pub fn install(&mut self, record: Record) -> Result<(), Error> {
        if self.offer(&record)? == Offer::Same {
            return Ok(());
        }
        let candidate = Candidate { found: believe(record, self.keyring.as_ref())? };
        let checked = self.check(candidate)?;
        let replaced = self.put(checked)?;
        self.settle(replaced)
    }

    /// As [`Candidate::check`], for who has nothing else to do meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn check(&mut self, candidate: Candidate) -> Result<Checked, Error> {
        candidate.check(&mut self.disk)
    }

    /// Puts a bundle in its place. What it replaced is still there: [`Store::settle`] lets it go, [`Store::take_back`] brings it back.
    ///
    /// # Errors
    /// [`Error`] says why not; the one before is as it was.
    pub fn put(&mut self, Checked { found }: Checked) -> Result<Replaced, Error> {
        let (whole, part) = (found.image.hex(), format!("{}{PART}", found.image.hex()));
        let images = self.disk.list(Place::Images).map_err(disk_error("images", "cannot be listed"))?;
        if !images.contains(&(whole.clone(), found.image_bytes)) {
            self.disk.rename(Place::Images, &part, &whole).map_err(disk_error(&part, "cannot be renamed"))?;
            self.names(Place::Images)?;
        }
        let name = found.statement.name.clone();
        if let Some(old) = self.installed.iter().find(|old| old.statement.name == name) {
            let (old, bytes) = (format!("{name}{OLD}"), old.record.bytes());
            self.write(&old, &bytes)?;
            self.names(Place::Records)?;
        }
        self.write_record(&found)?;
        info!("bundle {name}: version {} is installed", found.statement.version);
        let place = self.installed.iter().position(|old| old.statement.name == name);
        let old = place.map(|place| self.installed.remove(place));
        self.installed.push(found);
        self.fetched = None;
        self.first = Some(name.clone()).filter(|_| old.is_none());
        Ok(Replaced { name, old })
    }

    /// What was replaced is not needed any more.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn settle(&mut self, Replaced { name, old }: Replaced) -> Result<(), Error> {
        self.first = None;
        if old.is_some() {
            let old = format!("{name}{OLD}");
            self.disk.remove(Place::Records, &old).map_err(disk_error(&old, "cannot be removed"))?;
            // For good, before anybody is told.
            self.names(Place::Records)?;
        }
        self.tidy()
    }

    /// The bundle that was put last is not kept: what it had replaced is installed again, or nothing.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn take_back(&mut self, Replaced { name, old }: Replaced) -> Result<(), Error> {
        self.first = None;
        let Some(old) = old else { return self.remove(&name) };
        let beside = format!("{name}{OLD}");
        self.disk.rename(Place::Records, &beside, &name).map_err(disk_error(&beside, "cannot be renamed"))?;
        self.names(Place::Records)?;
        self.installed.retain(|one| one.statement.name != name);
        info!("bundle {name}: version {} is installed again", old.statement.version);
        self.installed.push(old);
        self.tidy()
    }

    /// Writes a record, and waits until it has its place.
    fn write_record(&mut self, found: &Installed) -> Result<(), Error> {
        let name = found.statement.name.as_str();
        let new = format!("{name}{NEW}");
        self.write(&new, &found.record.bytes())?;
        self.disk.rename(Place::Records, &new, name).map_err(disk_error(&new, "cannot be renamed"))?;
        self.names(Place::Records)
    }

    /// Writes the file `name` of records anew, and brings it to the disk.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.disk.remove(Place::Records, name).map_err(disk_error(name, "cannot be removed"))?;
        self.disk.append(Place::Records, name, bytes).map_err(disk_error(name, "cannot be written"))?;
        self.disk.settle(Place::Records, name).map_err(disk_error(name, "cannot be brought to the disk"))
    }

    fn names(&mut self, place: Place) -> Result<(), Error> {
        self.disk.settle_names(place).map_err(disk_error("folder", "cannot be brought to the disk"))
    }

    /// Removes the service `name`, believed or not.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Disk`].
    pub fn remove(&mut self, name: &Name) -> Result<(), Error> {
        if !self.records()?.iter().any(|record| *record == name.as_str()) {
            return Err(Error::Absent(name.clone()));
        }
        self.disk.remove(Place::Records, name).map_err(disk_error(name, "cannot be removed"))?;
        // The record first, and for good: an image that goes before it would leave a service without one.
        self.names(Place::Records)?;
        self.installed.retain(|old| old.statement.name != *name);
        info!("bundle {name}: removed");
        self.tidy()
    }

    /// From now on these keys count. What is installed stays, whoever signed it.
    pub fn believe(&mut self, keyring: Keyring) {
        self.keyring = Some(keyring);
    }

    /// Takes away what no record names. One part of an image stays: the one that is being fetched, or the largest, whose download may go on.
    ///
    /// # Errors
    /// [`Error::Disk`].
    fn tidy(&mut self) -> Result<(), Error> {
        let images = self.disk.list(Place::Images).map_err(disk_error("images", "cannot be listed"))?;
        let records = self.disk.list(Place::Records).map_err(disk_error("records", "cannot be listed"))?;
        let parts = images.iter().filter(|(name, _)| name.ends_with(PART));
        let largest = parts.max_by_key(|(_, size)| *size).map(|(name, _)| name.clone());
        let kept = self.fetched.map(|image| format!("{}{PART}", image.hex())).or(largest);
        // A record that is not believed now may be later, with other keys: what it names stays, too.
        let named = self.named(&records);
        for (name, _) in &images {
            if !named.iter().any(|image| image.hex() == *name) && kept.as_ref() != Some(name) {
                self.disk.remove(Place::Images, name).map_err(disk_error(name, "cannot be removed"))?;
            }
        }
        for (name, _) in records.iter().filter(|(name, _)| name.ends_with(NEW)) {
            self.disk.remove(Place::Records, name).map_err(disk_error(name, "cannot be removed"))?;
        }
        Ok(())
    }

    /// The images that whole records name.
    fn named(&self, records: &[(String, u64)]) -> Vec<Digest> {
        let limit = u64::try_from(record::BYTES_MAX).unwrap_or(0);
        let whole = records.iter().filter(|(name, _)| !name.ends_with(NEW));
        let read = whole.filter_map(|(name, _)| self.disk.read(Place::Records, name, limit).ok());
        let parsed = read.filter_map(|bytes| Record::parse(&bytes));
        parsed
            .filter_map(|record| form::parse(&record.manifest).ok())
            .map(|parts| parts.layer.digest)
            .collect()
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Gives the disk back.
    #[must_use]
    pub fn close(self) -> D {
        self.disk
    }
}

impl Replaced {
    /// The one before.
    #[must_use]
    pub fn old(&self) -> Option<&Installed> {
        self.old.as_ref()
    }
}

impl Candidate {
    /// Whose it is, what it is.
    #[must_use]
    pub fn bundle(&self) -> &Installed {
        &self.found
    }

    /// Reads the image while it is brought to the disk. It takes as long as the slower of the two does, and asks nothing of the store.
    ///
    /// # Errors
    /// [`Error::Digest`], [`Error::Image`]: it is not what was signed, and was thrown away. [`Error::Disk`].
    pub fn check<D: Disk>(self, disk: &mut D) -> Result<Checked, Error> {
        let found = self.found;
        let (whole, part) = (found.image.hex(), format!("{}{PART}", found.image.hex()));
        let images = disk.list(Place::Images).map_err(disk_error("images", "cannot be listed"))?;
        if images.contains(&(whole, found.image_bytes)) {
            return Ok(Checked { found });
        }
        let (checked, settled) = disk.settle_beside(Place::Images, &part, |disk| check(disk, &part, &found));
        if let Err(error) = checked {
            // Bytes that are wrong stay wrong: the next try begins at nothing.
            disk.remove(Place::Images, &part).map_err(disk_error(&part, "cannot be removed"))?;
            return Err(error);
        }
        settled.map_err(disk_error(&part, "cannot be brought to the disk"))?;
        Ok(Checked { found })
    }
}

/// Is the file what was signed, and of the form that is mounted?
fn check<D: Disk>(disk: &D, name: &str, found: &Installed) -> Result<(), Error> {
    let lost = || disk_error(name, "cannot be read");
    let mut file = disk.open(Place::Images, name).map_err(lost())?;
    let (mut sum, mut total) = (Sum::default(), 0_u64);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = Read::read(&mut *file, &mut buffer).map_err(lost())?;
        let Some(bytes @ [_, ..]) = buffer.get(..count) else { break };
        sum.take(bytes);
        total += u64::try_from(count).unwrap_or(0);
    }
    if sum.end() != found.image || total != found.image_bytes {
        return Err(Error::Digest(found.image));
    }
    erofs::check(&*file, found.statement.image_blocks).map(drop).map_err(Error::Image)
}
