//! The beginning of a life: what PID 1 gives back becomes processes, wires and facts again; what is missing is made.
//!
//! In:  the store's slots and the tables of daemons and manifests. Out: a `House`'s parts.
//!
//! No process is restarted because the supervisor died. One that ended meanwhile ends here, with its true status.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use contract::Name;
use contract::control::{Facts, State};
use contract::limit::{SERVICES, SLICES};
use contract::slice::{self, Slices};
use contract::wires;
use log::{info, warn};
use sandbox::Network;
use sys::{seqpacket, stream};

use crate::core::DAEMONS;
use crate::keep::{Back, Keep};
use crate::leave::Leave;
use crate::overlap::{self, Side};
use crate::process::{Process, What, is_there, label};
use crate::record::{Kept, Rented};
use crate::ring::Ring;
use crate::tenant::Tenant;
use crate::{Error, catalogue, record};

/// How long PID 1 may take for each word of what it gives back, in milliseconds.
const BACK_MS: u16 = 5_000;

/// What was kept, to be taken out by kind and name.
#[derive(Debug)]
pub struct Store(Vec<Back>);

impl Store {
    /// Takes everything that PID 1 gives back.
    ///
    /// # Errors
    /// As [`Keep::take_back`].
    pub fn take_back(keep: &Keep) -> Result<Self, Error> {
        keep.take_back(BACK_MS).map(Self)
    }

    /// Is it the first life? Then nothing was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, kind: &str, name: &str) -> Option<Back> {
        let place = self.0.iter().position(|back| back.label.parts() == (kind, name))?;
        Some(self.0.swap_remove(place))
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        self.0.iter().any(|back| back.label.parts() == (kind, name))
    }

    fn descriptor(&mut self, kind: &str, name: &str) -> Option<OwnedFd> {
        self.take(kind, name).map(|back| back.descriptor)
    }
}

/// The listening sockets of all wires, in the order of `contract::wires::ALL`. One that was not kept is bound.
///
/// # Errors
/// [`Error::Wire`]: it cannot be bound.
pub fn wires(store: &mut Store, keep: &Keep) -> Result<Vec<OwnedFd>, Error> {
    let folder = Path::new("/run/wire");
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            warn!("{}: {error}", folder.display())
        }
        Ok(()) | Err(_) => {}
    }
    let mut sockets = Vec::new();
    for wire in wires::ALL {
        let socket = match store.descriptor(label::WIRE, wire.name) {
            Some(socket) => socket,
            None => {
                let listen = if wire.is_stream() { stream::listen } else { seqpacket::listen };
                let socket = listen(Path::new(wire.path)).map_err(|errno| Error::Wire(wire.name, errno))?;
                // Whoever connects is asked who he is (`SO_PEERCRED`); the file's mode is not the lock.
                let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
                if let Err(error) = std::fs::set_permissions(wire.path, open) {
                    warn!("{}: {error}", wire.path);
                }
                keep.store(label::WIRE, wire.name, 0, socket.as_fd());
                socket
            }
        };
        sockets.push(socket);
    }
    Ok(sockets)
}

/// When things happened, and the file in which that is kept.
///
/// # Errors
/// [`Error::System`]: there is no memory for it.
pub fn facts(store: &mut Store, keep: &Keep) -> Result<(Facts, OwnedFd), Error> {
    const NAME: &str = "supervisor";
    if let Some(file) = store.descriptor(label::RECORD, NAME) {
        return Ok((record::read(&file).unwrap_or_default(), file));
    }
    let file = record::file()?;
    keep.store(label::RECORD, NAME, 0, file.as_fd());
    Ok((Facts::default(), file))
}

/// The slices that are rented, and the file in which that is kept. In the first life they are those of the image.
///
/// # Errors
/// [`Error::System`]: there is no memory for it.
pub fn slices(store: &mut Store, keep: &Keep) -> Result<(Rented, OwnedFd), Error> {
    const NAME: &str = "all";
    if let Some(file) = store.descriptor(label::SLICES, NAME) {
        return Ok((record::read_rented(&file).unwrap_or_default(), file));
    }
    let file = record::file()?;
    let slices = Slices { version: slice::VERSION, slice: catalogue::slices().take(SLICES).collect() };
    let rented = Rented { slices, ..Rented::default() };
    record::write_rented(&file, &rented);
    keep.store(label::SLICES, NAME, 0, file.as_fd());
    Ok((rented, file))
}

/// A process that ended while there was no supervisor: its place, and its wait status.
pub type Ended = (usize, i32);

/// Every process: daemons first, then services of the image as far as they are `shipped`; and those of them that ended while there was no
/// supervisor, with their status.
///
/// # Errors
/// What making a new one says.
pub fn processes(
    store: &mut Store,
    keep: &Keep,
    shipped: fn(&catalogue::Entry) -> bool,
) -> Result<(Vec<Process>, Vec<Ended>), Error> {
    let daemons = DAEMONS.iter().filter(|daemon| is_there(daemon));
    let mut kinds: Vec<(Name, What)> = Vec::new();
    for daemon in daemons {
        // A test of the table shows that each is a name.
        if let Ok(name) = Name::new(daemon.name) {
            kinds.push((name, What::Daemon(daemon)));
        }
    }
    for (slot, entry) in (0_u8..).zip(catalogue::entries().filter(shipped).take(SERVICES)) {
        kinds.push((entry.manifest.name.clone(), What::Tenant(Box::new(Tenant::new(entry, slot)?))));
    }
    let (mut processes, mut corpses) = (Vec::new(), Vec::new());
    for (name, what) in kinds {
        let (process, status) = one(store, keep, name, what)?;
        if let Some(status) = status {
            corpses.push((processes.len(), status));
        }
        processes.push(process);
    }
    of_bundles(store, &mut processes, &mut corpses);
    for stray in &store.0 {
        let (kind, name) = stray.label.parts();
        warn!("{kind}.{name} was kept and belongs to nobody");
        keep.forget(kind, name);
    }
    Ok((processes, corpses))
}

/// Services of bundles. One that is not whole was never started, or was gone: it stays a stray, and package says which there are.
fn of_bundles(store: &mut Store, processes: &mut Vec<Process>, corpses: &mut Vec<Ended>) {
    let records = store.0.iter().filter(|back| back.label.parts().0 == label::RECORD);
    let with_side =
        |back: &Back| Some((Side::of(back.label.parts().1), record::read_bundle(&back.descriptor)?));
    let mut kept: Vec<(Side, Kept)> = records.filter_map(with_side).collect();
    overlap::settle(&mut kept);
    kept.sort_by_key(|(_, kept)| kept.slot);
    for (side, Kept { slot, leaves, trial, part, service }) in kept {
        let name = service.manifest.name.clone();
        let clashes = |other: &Process| match other.name == name {
            true => other.bundle().is_none() || other.part() == part,
            false => other.slot() == Some(slot),
        };
        if processes.iter().any(clashes) {
            continue;
        }
        let Ok(mut tenant) = Tenant::of_bundle(service, slot, (side, part)) else { continue };
        if let Some(bundle) = &mut tenant.bundle {
            bundle.leave = leaves.then(Leave::default);
            bundle.trial = trial;
        }
        if let Ok((process, status)) = again(store, &name, What::Tenant(Box::new(tenant))) {
            corpses.extend(status.map(|status| (processes.len(), status)));
            processes.push(process);
        }
    }
}

fn one(store: &mut Store, keep: &Keep, name: Name, what: What) -> Result<(Process, Option<i32>), Error> {
    let what = match again(store, &name, what) {
        Ok(adopted) => return Ok(adopted),
        Err(what) => what,
    };
    // New, or a life ended while it was being made; then it had not been started.
    let mut process = Process::new(name, what, keep)?;
    process.begin();
    process.write_record(); // A next life may come before its turn does.
    Ok((process, None))
}

/// A process that was kept. Where a part of it is missing, `what` comes back.
fn again(store: &mut Store, name: &Name, what: What) -> Result<(Process, Option<i32>), What> {
    let key = match &what {
        What::Tenant(tenant) => tenant.bundle.as_ref().map_or(Side::Plain, |bundle| bundle.side).key(name),
        What::Daemon(_) => Side::Plain.key(name),
    };
    let kinds = [label::RECORD, label::RING, label::READER, label::WRITER, label::NOTE, label::NOTIFY];
    if !kinds.iter().all(|kind| store.has(kind, &key)) {
        return Err(what);
    }
    let [Some(record), Some(file), Some(reader), Some(writer), Some(note), Some(notify)] =
        kinds.map(|kind| store.descriptor(kind, &key))
    else {
        return Err(what);
    };
    let ring = Ring { file, reader, writer };
    let mut process = Process::again(name.clone(), what, record, ring, (note, notify));
    if let What::Tenant(tenant) = &mut process.what {
        tenant.network = store.descriptor(label::NETWORK, &key).and_then(|kept| Network::reopen(kept).ok());
    }
    let pid = store.take(label::PID, &key);
    Ok(match pid {
        Some(back) if process.record.pid == Some(back.pid) => {
            process.pidfd = Some(back.descriptor);
            if back.status == -1 {
                info!("{}: adopted, process {}", process.name, back.pid);
            }
            (process, (back.status != -1).then_some(back.status))
        }
        Some(_) | None => {
            end_strays(&process);
            unmade(&mut process);
            (process, None)
        }
    })
}

/// Nobody is known to live in its cgroup. Whoever does (its descriptor never came as far as PID 1) would bar the way for the next start.
fn end_strays(process: &Process) {
    let group = process.cgroup();
    if sandbox::cgroup::is_populated(&group) {
        warn!("{}: somebody lives in {group} whom nobody knows", process.name);
        sandbox::cgroup::kill(&group).unwrap_or_else(|error| warn!("{}: {error}", process.name));
    }
}

/// A start was under way when the life ended, and no process came of it: it begins anew, at once. Or an end was being written down that
/// was the last one.
fn unmade(process: &mut Process) {
    let record = &mut process.record;
    record.pid = None;
    record.state = match record.state {
        State::Preparing | State::Starting | State::Up | State::Returning if record.wanted => {
            record.timer_ms = None; // The time was that of another state.
            State::Waiting
        }
        State::Preparing | State::Starting | State::Up | State::Returning | State::Ending => State::Down,
        state @ (State::Down | State::Waiting | State::Failed) => state,
    };
    if record.state == State::Waiting {
        record.timer_ms.get_or_insert(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Store, one, unmade};
    use crate::core::DAEMONS;
    use crate::keep::{Back, Keep};
    use crate::process::{Process, What};
    use contract::Name;
    use contract::control::State as S;
    use contract::keep::{FRAME, Keep as Word};
    use std::os::fd::{AsFd, OwnedFd};

    /// What PID 1 was given to keep.
    fn kept(init: &OwnedFd) -> Store {
        let mut frame = [0; FRAME];
        Store(
            std::iter::from_fn(|| {
                let (length, [descriptor, ..]) = sys::seqpacket::receive(init.as_fd(), &mut frame).ok()?;
                let Some(Word::Store { label, pid }) = Word::decode(&frame[..length]) else { panic!() };
                Some(Back { label, pid, status: -1, descriptor: descriptor.unwrap() })
            })
            .collect(),
        )
    }

    #[test]
    fn who_was_not_started_yet_is_still_to_be_started_in_the_next_life() {
        let (keep, init) = sys::seqpacket::pair().unwrap();
        let keep = Keep::new(keep);
        let life = |store: &mut Store| {
            let name = Name::new("x").unwrap();
            let (process, status) = one(store, &keep, name, What::Daemon(&DAEMONS[0])).unwrap();
            assert!(process.record.wanted && process.record.state == S::Down && status.is_none());
        };
        life(&mut Store(Vec::new()));
        life(&mut kept(&init));
    }

    #[test]
    fn what_was_not_made_begins_anew_and_at_once_or_not_at_all() {
        let (keep, _init) = sys::seqpacket::pair().unwrap();
        let what = What::Daemon(&DAEMONS[0]);
        let mut process = Process::new(Name::new("x").unwrap(), what, &Keep::new(keep)).unwrap();
        // state, wanted, state and timer after it
        for (state, wanted, after, timer_ms) in [
            (S::Preparing, true, S::Waiting, Some(0)),
            (S::Starting, true, S::Waiting, Some(0)),
            (S::Up, true, S::Waiting, Some(0)),
            (S::Up, false, S::Down, Some(77)), // It had ended, and was not to return.
            (S::Ending, true, S::Down, Some(77)),
            (S::Waiting, true, S::Waiting, Some(77)),
            (S::Failed, true, S::Failed, Some(77)),
        ] {
            process.record.state = state;
            process.record.wanted = wanted;
            process.record.timer_ms = Some(77);
            unmade(&mut process);
            assert_eq!((process.record.state, process.record.timer_ms), (after, timer_ms), "{state:?}");
        }
    }
}
