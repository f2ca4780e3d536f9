//! A disk that remembers every step, and what it may look like if the power goes after any of them.
//!
//! What the store may count on is what POSIX promises and no more: bytes are there for good once their file was settled, names once their
//! folder was. Bytes that were not settled may be there, in part, or be zeros. Names of one folder come in the order in which they were
//! given (a journal keeps it), as far as they come; the two folders know nothing of each other.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bundle::erofs::Source;
use package::disk::{Disk, Opened, Place};

/// A change of a folder's names.
#[derive(Debug, Clone)]
enum Names {
    Add(String, usize),
    Rename(String, String),
    Remove(String),
}

fn change(names: &mut BTreeMap<String, usize>, change: &Names) {
    match change {
        Names::Add(name, file) => drop(names.insert(name.clone(), *file)),
        Names::Remove(name) => drop(names.remove(name)),
        Names::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Folder {
    /// As programs see it.
    now: BTreeMap<String, usize>,
    /// As it is for good.
    settled: BTreeMap<String, usize>,
    /// What is between the two.
    pending: Vec<Names>,
}

#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    settled: usize,
}

/// What becomes of bytes that were not settled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tail {
    Lost,
    Half,
    Zeros,
    There,
}

/// A disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape {
    folders: [Folder; 2],
    files: Vec<File>,
    /// Every state after a step, if they are kept.
    pub(crate) states: Option<Vec<Tape>>,
    /// Steps until one fails, and whether that is the end of the disk's patience.
    pub(crate) fails_in: Option<usize>,
    /// What may be written.
    pub(crate) free: u64,
}

impl Tape {
    /// An empty one, where so much may be written.
    pub(crate) fn new(free: u64) -> Self {
        Self { free, ..Self::default() }
    }

    fn folder(&self, place: Place) -> &Folder {
        match place {
            Place::Images => &self.folders[0],
            Place::Records => &self.folders[1],
        }
    }

    fn folder_mut(&mut self, place: Place) -> &mut Folder {
        match place {
            Place::Images => &mut self.folders[0],
            Place::Records => &mut self.folders[1],
        }
    }

    fn file(&self, place: Place, name: &str) -> io::Result<usize> {
        self.folder(place).now.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_names(&mut self, place: Place, names: Names) {
        let folder = self.folder_mut(place);
        change(&mut folder.now, &names);
        folder.pending.push(names);
    }

    /// A step begins. Does it fail?
    fn step(&mut self) -> io::Result<()> {
        if let Some(mut states) = self.states.take() {
            states.push(self.clone());
            self.states = Some(states);
        }
        match &mut self.fails_in {
            Some(0) => {
                self.fails_in = None;
                Err(io::Error::from_raw_os_error(5)) // EIO
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Everything that may be on this disk if the power goes now.
    pub(crate) fn after_a_cut(&self) -> Vec<Tape> {
        let mut found = Vec::new();
        for images in 0..=self.folders[0].pending.len() {
            for records in 0..=self.folders[1].pending.len() {
                for tail in [Tail::Lost, Tail::Half, Tail::Zeros, Tail::There] {
                    found.push(self.cut([images, records], tail));
                }
            }
        }
        found
    }

    fn cut(&self, names: [usize; 2], tail: Tail) -> Tape {
        let mut after = Tape { states: None, fails_in: None, ..self.clone() };
        for (folder, count) in after.folders.iter_mut().zip(names) {
            for names in folder.pending.drain(..).take(count) {
                change(&mut folder.settled, &names);
            }
            folder.now = folder.settled.clone();
        }
        for file in &mut after.files {
            let loose = file.bytes.len() - file.settled;
            match tail {
                Tail::Lost => file.bytes.truncate(file.settled),
                Tail::Half => file.bytes.truncate(file.settled + loose / 2),
                Tail::Zeros => file.bytes[file.settled..].fill(0),
                Tail::There => {}
            }
            file.settled = file.bytes.len();
        }
        after
    }

    /// A bit of a file turns over.
    pub(crate) fn rot(&mut self, place: Place, name: &str, at: usize) {
        let file = self.file(place, name).unwrap();
        self.files[file].bytes[at] ^= 1;
    }
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = Read::read(&mut self.bytes.get(self.at..).unwrap_or_default(), buffer)?;
        self.at += count;
        Ok(count)
    }
}

impl Source for Reader<'_> {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        Source::read(self.bytes, at, buffer)
    }
}

impl Disk for Tape {
    fn list(&self, place: Place) -> io::Result<Vec<(String, u64)>> {
        let size = |file: &usize| u64::try_from(self.files[*file].bytes.len()).unwrap();
        Ok(self.folder(place).now.iter().map(|(name, file)| (name.clone(), size(file))).collect())
    }

    fn append(&mut self, place: Place, name: &str, bytes: &[u8]) -> io::Result<()> {
        let failed = self.step();
        let file = self.file(place, name).unwrap_or_else(|_| {
            self.files.push(File::default());
            self.files.len() - 1
        });
        if !self.folder(place).now.contains_key(name) {
            self.rename_names(place, Names::Add(name.to_owned(), file));
        }
        // A write that fails may have written a part.
        let written = if failed.is_err() { bytes.len() / 2 } else { bytes.len() };
        self.files[file].bytes.extend(&bytes[..written]);
        failed
    }

    fn settle(&mut self, place: Place, name: &str) -> io::Result<()> {
        self.step()?;
        let file = self.file(place, name)?;
        self.files[file].settled = self.files[file].bytes.len();
        Ok(())
    }

    /// What is not settled may be there at any time. So it is settled last.
    fn settle_beside<T>(
        &mut self,
        place: Place,
        name: &str,
        read: impl FnOnce(&Self) -> T,
    ) -> (T, io::Result<()>) {
        let done = read(self);
        (done, self.settle(place, name))
    }

    fn rename(&mut self, place: Place, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.file(place, from)?;
        self.rename_names(place, Names::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, place: Place, name: &str) -> io::Result<()> {
        self.step()?;
        if self.file(place, name).is_ok() {
            self.rename_names(place, Names::Remove(name.to_owned()));
        }
        Ok(())
    }

    fn settle_names(&mut self, place: Place) -> io::Result<()> {
        self.step()?;
        let folder = self.folder_mut(place);
        for names in folder.pending.drain(..) {
            change(&mut folder.settled, &names);
        }
        Ok(())
    }

    fn read(&self, place: Place, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.files[self.file(place, name)?].bytes.clone();
        let fits = u64::try_from(bytes.len()).unwrap() <= limit;
        if fits { Ok(bytes) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn open(&self, place: Place, name: &str) -> io::Result<Box<dyn Opened + '_>> {
        Ok(Box::new(Reader { bytes: &self.files[self.file(place, name)?].bytes, at: 0 }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.free)
    }
}
