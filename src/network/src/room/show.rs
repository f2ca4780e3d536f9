//! The serving end of the wire `show`: rows for people, the same as data, and orders of the operator's.
//!
//! In:  one ask. Out: rows, and how it ended.
//!
//! A text, or a network as data, comes as a sealed memory file: nobody can change it while we read. What the agent changes is on trial, always.
//!
//! Not here: which rows there are (`tell.rs`), what becomes of a text (`configuration.rs`).
//!
//! Source: memfd_create(2), fcntl(2) `F_GET_SEALS`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use contract::Text;
use contract::limit::WANTED_BYTES;
use contract::show::{Answer, Ask, Part};
use contract::wanted::{self, Wanted};
use contract::wires::uid;
use log::warn;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use sys::seqpacket::Descriptors;
use wire::Connection;

use crate::Error;
use crate::configuration::read_text;
use crate::gateway::Gateway;
use crate::tell::{found, tell, traffic};

/// What a text's file has to be sealed against.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SHRINK);

/// Answers. Is the client to be kept?
pub(super) fn answer(gateway: &mut Gateway, client: &Connection, ask: &Ask, along: Descriptors) -> bool {
    let rows = match ask {
        Ask::Network => tell(gateway),
        Ask::Traffic => traffic(gateway),
        Ask::Found => found(gateway),
        Ask::Wanted => return tell_wanted(gateway, client),
        ask if client.uid() == uid::AGENT && skips_trial(ask) => {
            Err(Error::Refused("a controller changes nothing without a trial".to_owned()))
        }
        Ask::Apply { confirm_within_s } => apply(gateway, *confirm_within_s, along),
        Ask::Change { confirm_within_s } => change(gateway, *confirm_within_s, along),
        Ask::Confirm => gateway.confirm().map(|()| Vec::new()),
        Ask::Revert => gateway.revert().map(|()| differs(gateway)),
    };
    let end = match rows {
        Ok(rows) if !rows.iter().all(|row| client.send(row, &[]).is_ok()) => return false,
        Ok(_) => Answer::Done,
        Err(error) => {
            if changes(ask) {
                warn!("{error}");
            }
            Answer::Refused(Text::format(format_args!("{error}")))
        }
    };
    client.send(&end, &[]).is_ok()
}

/// Does it change what is wanted?
pub(super) fn changes(ask: &Ask) -> bool {
    match ask {
        Ask::Network | Ask::Traffic | Ask::Found | Ask::Wanted => false,
        Ask::Apply { .. } | Ask::Change { .. } | Ask::Confirm | Ask::Revert => true,
    }
}

/// Could it change something for good at once?
fn skips_trial(ask: &Ask) -> bool {
    match ask {
        Ask::Apply { .. } | Ask::Change { confirm_within_s: 0 } => true,
        Ask::Network
        | Ask::Traffic
        | Ask::Found
        | Ask::Wanted
        | Ask::Change { .. }
        | Ask::Confirm
        | Ask::Revert => false,
    }
}

/// What is wanted, without its secrets.
fn tell_wanted(gateway: &Gateway, client: &Connection) -> bool {
    let refuse = |why: &str| client.send(&Answer::Refused(why.into()), &[]).is_ok();
    let Some(wanted) = gateway.configuration.whole() else { return refuse("nothing is wanted yet") };
    let wanted = wanted.as_ref().clone().without_secrets();
    let mut bytes = vec![0; WANTED_BYTES];
    let Ok(used) = postcard::to_slice(&wanted, &mut bytes) else { return refuse("it is too long") };
    let Ok(file) = sealed(used) else { return refuse("no memory") };
    let left_ms = gateway.configuration.due_ms().map(|ends_ms| ends_ms.saturating_sub(sys::clock::boot_ms()));
    // A trial that ends within a second is one, too.
    let trial_s =
        left_ms.map_or(0, |left_ms| u32::try_from(left_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1));
    client.send(&Answer::Wanted { trial_s }, &[file.as_fd()]).is_ok()
        && client.send(&Answer::Done, &[]).is_ok()
}

/// A memory file that nobody can change any more.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = memfd_create(c"wanted", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut memory = File::from(memory);
    memory.write_all(bytes)?;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SEALS | SealFlag::F_SEAL_SEAL))?;
    Ok(memory.into())
}

/// Another network, as data.
fn change(gateway: &mut Gateway, confirm_within_s: u32, along: Descriptors) -> Result<Vec<Answer>, Error> {
    let [file, ..] = along;
    let file = file.ok_or_else(|| Error::Refused("no network came along".to_owned()))?;
    let bytes = sealed_bytes(file)?;
    let wanted: Wanted =
        postcard::from_bytes(&bytes).map_err(|_| Error::Refused("this is no network".to_owned()))?;
    let before = gateway.configuration.whole();
    let wanted = before.map(|before| wanted.clone().with_secrets_of(&before)).unwrap_or(wanted);
    let text = wanted::write(&wanted).ok_or_else(|| Error::Refused("it is too long".to_owned()))?;
    gateway.take(text, confirm_within_s)?;
    Ok(differs(gateway))
}

fn apply(gateway: &mut Gateway, confirm_within_s: u32, along: Descriptors) -> Result<Vec<Answer>, Error> {
    let [file, ..] = along;
    let file = file.ok_or_else(|| Error::Refused("no text came along".to_owned()))?;
    let text = read_text(sealed_bytes(file)?.as_slice()).map_err(Error::Read)?;
    gateway.take(text, confirm_within_s)?;
    Ok(differs(gateway))
}

/// What is in a sealed memory file: of one that is too long, one byte more than it may have.
fn sealed_bytes(file: OwnedFd) -> Result<Vec<u8>, Error> {
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(Error::kernel("the text's file"))?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS) {
        return Err(Error::Refused("the text's file is not sealed".to_owned()));
    }
    let mut file = File::from(file);
    let limit = u64::try_from(WANTED_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(limit).read_to_end(&mut bytes))
        .map_err(Error::Read)?;
    Ok(bytes)
}

/// What is not as wanted after all.
fn differs(gateway: &Gateway) -> Vec<Answer> {
    let rows = gateway.fault().into_iter();
    rows.map(|row| Answer::Row { part: Part::Differs, text: Text::from(row) }).collect()
}

#[cfg(test)]
mod tests {
    use contract::show::Ask;

    use super::skips_trial;

    #[test]
    fn a_controller_changes_nothing_without_a_trial() {
        let table = [
            ("a text", Ask::Apply { confirm_within_s: 60 }, true),
            ("a text, for good", Ask::Apply { confirm_within_s: 0 }, true),
            ("data, for good", Ask::Change { confirm_within_s: 0 }, true),
            ("data, on trial", Ask::Change { confirm_within_s: 60 }, false),
            ("its end", Ask::Confirm, false),
            ("a question", Ask::Wanted, false),
        ];
        for (name, ask, skips) in table {
            assert_eq!(skips_trial(&ask), skips, "{name}");
        }
    }
}
