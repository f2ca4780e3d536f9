//! Services' volumes as `storage` gives them, used by somebody who has a service's owner and no right more.
//!
//! In:  a service, limits, what to make. Out: what was made, or why no more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use contract::limit::SERVICES;
use contract::mount::Ask;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use ctl::Error;
use ctl::command::Out;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use crate::images::{ask, name};
use crate::live::usage;

/// Whose services these are.
const PROVIDER: &str = "demo";
/// What is written at once.
const PIECE: usize = 64 * 1024;

/// The volumes that are held, by service, each with its first uid.
#[derive(Debug, Default)]
pub(crate) struct Volumes(RefCell<BTreeMap<String, (OwnedFd, u32)>>);

fn number<T: std::str::FromStr>(word: &str) -> Result<T, Error> {
    word.parse().map_err(|_| usage("a number"))
}

/// Does `act` with files of `uid`, and without the right to overlook what files say.
fn as_owner<T>(uid: u32, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    setfsgid(Gid::from_raw(uid));
    setfsuid(Uid::from_raw(uid));
    let outcome = act();
    setfsuid(Uid::from_raw(0));
    setfsgid(Gid::from_raw(0));
    outcome
}

/// Writes up to `bytes`, and says how many there are.
fn fill(path: &str, bytes: usize) -> (usize, io::Result<()>) {
    let mut written = 0;
    let outcome = File::create(path).and_then(|mut file| {
        while written < bytes {
            let piece = [7; PIECE];
            written += file.write(piece.get(..(bytes - written).min(PIECE)).unwrap_or_default())?;
        }
        file.sync_all()
    });
    (written, outcome)
}

/// Makes up to `count` empty files, and says how many there are.
fn make(path: &str, count: usize) -> (usize, io::Result<()>) {
    for done in 0..count {
        if let Err(error) = File::create(format!("{path}-{done}")) {
            return (done, Err(error));
        }
    }
    (count, Ok(()))
}

/// Makes folders within each other.
fn deepen(path: &str, depth: usize) -> (usize, io::Result<()>) {
    for done in 0..depth {
        let new = format!("{path}-new");
        let made = fs::create_dir(&new);
        let moved = made.and_then(|()| if done > 0 { fs::rename(path, format!("{new}/d")) } else { Ok(()) });
        if let Err(error) = moved.and_then(|()| fs::rename(&new, path)) {
            return (done, Err(error));
        }
    }
    (depth, Ok(()))
}

impl Volumes {
    /// Carries out what follows `volume`.
    pub(crate) fn say(&self, words: &[&str], out: Out<'_>) -> Result<(), Error> {
        match words {
            ["open", service, slot, bytes, inodes] => {
                self.open(service, number(slot)?, [number(bytes)?, number(inodes)?])
            }
            ["fill", service, file, bytes] => self.use_it([service, file], number(bytes)?, fill, out),
            ["make", service, file, count] => self.use_it([service, file], number(count)?, make, out),
            ["deepen", service, folder, depth] => self.use_it([service, folder], number(depth)?, deepen, out),
            ["show", service, file] => {
                let (path, uid) = self.path(service, file)?;
                let about = as_owner(uid, || fs::metadata(path))?;
                Ok(writeln!(out, "owner {} bytes {}", about.uid(), about.len())?)
            }
            ["drop", service] => {
                self.0.borrow_mut().remove(*service);
                ask(&Ask::Drop { service: name(service)?, provider: name(PROVIDER)? }).map(drop)
            }
            _ => Err(usage(
                "volume open SERVICE SLOT BYTES INODES, fill, make, deepen SERVICE FILE NUMBER, show SERVICE FILE, drop SERVICE",
            )),
        }
    }

    fn open(&self, service: &str, slot: u32, [bytes, inodes]: [u64; 2]) -> Result<(), Error> {
        // Those of the last tenants: nobody has them while fewer services run than there is room for.
        let slots = u32::try_from(SERVICES).unwrap_or(0);
        let slot = slots.checked_sub(slot + 1).ok_or_else(|| usage("a slot, counted from the last"))?;
        let uid_base = TENANT_UID_BASE + slot * TENANT_UID_COUNT;
        let service = name(service)?;
        let (provider, uid_count) = (name(PROVIDER)?, TENANT_UID_COUNT);
        let wish = Ask::Volume { service: service.clone(), provider, uid_base, uid_count, bytes, inodes };
        let volume = ask(&wish)?.ok_or_else(|| Error::Refused("no mount came along".to_owned()))?;
        self.0.borrow_mut().insert(service.to_string(), (volume, uid_base));
        Ok(())
    }

    fn path(&self, service: &str, file: &str) -> Result<(String, u32), Error> {
        let held = self.0.borrow();
        let (volume, uid) =
            held.get(service).ok_or_else(|| Error::Refused(format!("{service}: not open")))?;
        Ok((format!("/proc/self/fd/{}/{file}", volume.as_raw_fd()), *uid))
    }

    fn use_it(
        &self,
        [service, file]: [&str; 2],
        count: usize,
        act: fn(&str, usize) -> (usize, io::Result<()>),
        out: Out<'_>,
    ) -> Result<(), Error> {
        let (path, uid) = self.path(service, file)?;
        let (done, outcome) = as_owner(uid, || Ok(act(&path, count)))?;
        let why = outcome.err().map_or_else(String::new, |error| format!(": {error}"));
        Ok(writeln!(out, "{done} of {count}{why}")?)
    }
}
