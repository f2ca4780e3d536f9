//! Sealed images as `storage` mounts them, looked at by somebody who is no service.
//!
//! In:  a service and its image's digest. Out: what is in the image, or why nothing is; the machine's loop and device-mapper devices.
//!
//! A mount is held here by its descriptor until it is released, whatever becomes of `storage` meanwhile.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use contract::Name;
use contract::limit::SERVICES;
use contract::mount::{Answer, Ask, Image};
use contract::wires::{MOUNT, TENANT_UID_BASE, TENANT_UID_COUNT};
use ctl::Error;
use ctl::command::Out;
use wire::Client;

use crate::cut;
use crate::live::usage;

/// What is read at once: a page, and a block of the image.
const BLOCK: usize = 4096;
/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The mounts that are held, by service.
#[derive(Debug, Default)]
pub(crate) struct Images(RefCell<BTreeMap<String, OwnedFd>>);

pub(crate) fn name(word: &str) -> Result<Name, Error> {
    Name::new(word).map_err(|_| usage("a service's name"))
}

/// Reads 64 hexadecimal digits.
fn digest(word: &str) -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    let pair = |at: usize| u8::from_str_radix(word.get(at * 2..at * 2 + 2)?, 16).ok();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = pair(at).ok_or_else(|| usage("64 hexadecimal digits"))?;
    }
    Ok(bytes)
}

/// The wish for a mount of the bundle of `service` whose image is `hex`.
fn wish(service: &str, hex: &str) -> Result<Ask, Error> {
    // The last tenant's range: nobody has it while fewer services run than there is room for.
    let last = u32::try_from(SERVICES - 1).unwrap_or(0);
    Ok(Ask::Mount {
        service: name(service)?,
        image: Image::Bundle(digest(hex)?),
        uid_base: TENANT_UID_BASE + last * TENANT_UID_COUNT,
        uid_count: TENANT_UID_COUNT,
    })
}

pub(crate) fn ask(ask: &Ask) -> Result<Option<OwnedFd>, Error> {
    let failed = |error| Error::Wire("storage", error);
    let client = Client::dial(MOUNT).map_err(failed)?;
    let (answer, descriptors) = client.call::<Ask, Answer>(ask, &[]).map_err(failed)?;
    match answer {
        Answer::Mounted | Answer::Done => Ok(descriptors.into_iter().flatten().next()),
        Answer::Refused(why) => Err(Error::Refused(why.to_string())),
        Answer::Disk(_) | Answer::Damaged { .. } => {
            Err(Error::Refused("storage spoke of something else".to_owned()))
        }
    }
}

impl Images {
    /// Carries out what follows `image`.
    pub(crate) fn say(&self, words: &[&str], out: Out<'_>) -> Result<(), Error> {
        match words {
            ["mount", service, digest] => self.mount(service, digest, out),
            ["read", service, path] => self.read(service, path, out),
            ["run", service, path] => self.run(service, path, out),
            ["release", service] => self.release(service, out),
            ["devices"] => devices(out),
            ["cut", service, digest, ioctls] => {
                let ioctls = ioctls.parse().map_err(|_| usage("a number of calls"))?;
                cut::after(&wish(service, digest)?, ioctls, out)
            }
            _ => Err(usage(
                "image mount SERVICE DIGEST, read or run SERVICE PATH, release SERVICE, cut SERVICE DIGEST CALLS",
            )),
        }
    }

    /// Asks for a mount of the bundle of `service` whose image is `hex`, and holds it.
    fn mount(&self, service: &str, hex: &str, out: Out<'_>) -> Result<(), Error> {
        let mount =
            ask(&wish(service, hex)?)?.ok_or_else(|| Error::Refused("no mount came along".to_owned()))?;
        self.0.borrow_mut().insert(service.to_owned(), mount);
        Ok(writeln!(out, "mounted")?)
    }

    /// The path of `path` in the mount of `service`.
    fn path(&self, service: &str, path: &str) -> Result<String, Error> {
        let held = self.0.borrow();
        let mount = held.get(service).ok_or_else(|| Error::Refused(format!("{service}: not mounted")))?;
        Ok(format!("/proc/self/fd/{}/{}", mount.as_raw_fd(), path.trim_start_matches('/')))
    }

    /// Reads a file block by block: its owner, its size, a sum over what could be read, and each block that could not.
    fn read(&self, service: &str, path: &str, out: Out<'_>) -> Result<(), Error> {
        let file = File::open(self.path(service, path)?)?;
        let about = file.metadata()?;
        let size = about.len().min(FILE_BYTES_MAX);
        // FNV-1a. Source: draft-eastlake-fnv.
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        let mut block = [0; BLOCK];
        let mut faults = Vec::new();
        for (number, at) in (0..size).step_by(BLOCK).enumerate() {
            let wanted = usize::try_from(size - at).unwrap_or(BLOCK).min(BLOCK);
            let part = block.get_mut(..wanted).unwrap_or_default();
            match file.read_exact_at(part, at) {
                Ok(()) => {
                    sum = part
                        .iter()
                        .fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
                }
                Err(error) => faults.push(format!("block {number}: {error}")),
            }
        }
        writeln!(out, "owner {} bytes {} sum {sum:016x}", about.uid(), about.len())?;
        faults.iter().try_for_each(|fault| writeln!(out, "{fault}"))?;
        Ok(())
    }

    /// Runs a program of the image and prints what it says and how it ended.
    fn run(&self, service: &str, path: &str, out: Out<'_>) -> Result<(), Error> {
        let output = Command::new(self.path(service, path)?).env_clear().output()?;
        out.write_all(&output.stdout)?;
        Ok(writeln!(out, "{}", output.status)?)
    }

    /// Lets go of the mount of `service`, and tells storage.
    fn release(&self, service: &str, out: Out<'_>) -> Result<(), Error> {
        self.0.borrow_mut().remove(service);
        ask(&Ask::Release { service: name(service)? })?;
        Ok(writeln!(out, "released")?)
    }
}

/// Prints every loop device with the file behind it, and every device of the device-mapper with its name.
pub(crate) fn devices(out: Out<'_>) -> Result<(), Error> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/sys/block")?.flatten() {
        let device = entry.file_name().to_string_lossy().into_owned();
        for file in ["loop/backing_file", "dm/name"] {
            if let Ok(text) = fs::read_to_string(entry.path().join(file)) {
                lines.push(format!("{device} {}", text.trim_end()));
            }
        }
    }
    lines.sort();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(())
}
