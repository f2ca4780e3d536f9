//! One process that is kept: what it is, and what is open for it.
//!
//! Not here: what happens to it (`turn.rs`), how it is made (`start.rs`).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use contract::Name;
use contract::control::{self, Kind, State};
use contract::layer::Layers;
use contract::limit::NAME_BYTES;
use contract::manifest::Manifest;
use log::warn;
use nix::unistd::pipe2;
use sandbox::{Entered, Network, Plan, cgroup};
use sys::descriptor;

use crate::Error;
use crate::catalogue::Entry;
use crate::core::Daemon;
use crate::health::Pulse;
use crate::keep::Keep;
use crate::ledger::Ledger;
use crate::record::{self, Record};
use crate::ring::Ring;

/// Kinds of labels in PID 1's store: the first half of each.
pub mod label {
    /// A pidfd.
    pub const PID: &str = "pid";
    /// A record.
    pub const RECORD: &str = "record";
    /// A log's file, and the two ends of its pipe.
    pub const RING: &str = "ring";
    /// See [`RING`].
    pub const READER: &str = "out";
    /// See [`RING`].
    pub const WRITER: &str = "in";
    /// The two ends of the pipe for readiness.
    pub const NOTE: &str = "note";
    /// See [`NOTE`].
    pub const NOTIFY: &str = "tell";
    /// A tenant's network namespace.
    pub const NETWORK: &str = "net";
    /// Slices that are rented, all of them.
    pub const SLICES: &str = "slices";
    /// A listening wire.
    pub const WIRE: &str = "wire";
}

/// Daemon or tenant, with what only that kind has.
#[derive(Debug)]
pub enum What {
    /// A part of the gateway.
    Daemon(&'static Daemon),
    /// A hosted service.
    Tenant(Box<Tenant>),
}

/// A hosted service.
#[derive(Debug)]
pub struct Tenant {
    /// What it is and needs.
    pub manifest: Manifest,
    /// Its place: ids and address follow from it.
    pub slot: u8,
    /// Its isolation, computed once.
    pub plan: Plan,
    /// The layers that it goes without, in a rehearsal.
    pub without: Layers,
    /// It runs all the same, in a rehearsal.
    pub weak: bool,
    /// Its network, once it was made; kept over restarts.
    pub network: Option<Network>,
    /// Its root, while a start is being prepared.
    pub root: Option<OwnedFd>,
    /// Its link stands.
    pub attached: bool,
    /// Is it well?
    pub pulse: Pulse,
    /// How its promises were kept.
    pub ledger: Ledger,
    /// A start that waits for its layers, and then for its last word.
    pub entered: Option<Entered>,
}

/// One process.
#[derive(Debug)]
pub struct Process {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub what: What,
    /// What the next life must know. It lies in a file that PID 1 keeps, too.
    pub record: Record,
    record_file: OwnedFd,
    /// Its log.
    pub ring: Ring,
    /// Where it says that it is ready: our end and its end.
    pub note: (OwnedFd, OwnedFd),
    /// A descriptor on it, while it runs.
    pub pidfd: Option<OwnedFd>,
    /// It is a child of this life: its status is ours to wait for. Else PID 1 tells.
    pub ours: bool,
    /// It had something to say in this turn.
    pub talks: bool,
}

impl Process {
    /// A process that was never started; everything that it needs is made and kept.
    ///
    /// # Errors
    /// [`Error::System`]: a table of descriptors is full, or there is no memory.
    pub fn new(name: Name, what: What, keep: &Keep) -> Result<Self, Error> {
        let note = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| Error::System("no pipe", errno))?;
        descriptor::set_nonblocking(note.0.as_fd()).map_err(|errno| Error::System("no pipe", errno))?;
        let process = Self {
            name,
            what,
            record: Record::default(),
            record_file: record::file()?,
            ring: Ring::new()?,
            note,
            pidfd: None,
            ours: false,
            talks: false,
        };
        for (kind, descriptor) in [
            (label::RECORD, &process.record_file),
            (label::RING, &process.ring.file),
            (label::READER, &process.ring.reader),
            (label::WRITER, &process.ring.writer),
            (label::NOTE, &process.note.0),
            (label::NOTIFY, &process.note.1),
        ] {
            keep.store(kind, &process.name, 0, descriptor.as_fd());
        }
        process.write_record();
        Ok(process)
    }

    /// The same process in another life: everything is there already.
    #[must_use]
    pub fn again(name: Name, what: What, record_file: OwnedFd, ring: Ring, note: (OwnedFd, OwnedFd)) -> Self {
        let record = record::read(&record_file).unwrap_or_default();
        let mut what = what;
        if let What::Tenant(tenant) = &mut what {
            tenant.ledger = record::read_ledger(&record_file).unwrap_or_default();
        }
        Self { name, what, record, record_file, ring, note, pidfd: None, ours: false, talks: false }
    }

    /// Writes down what the next life must know.
    pub fn write_record(&self) {
        record::write(&self.record_file, &self.record);
    }

    /// Writes down how its promises were kept.
    pub fn write_ledger(&self) {
        if let What::Tenant(tenant) = &self.what {
            record::write_ledger(&self.record_file, &tenant.ledger);
        }
    }

    /// The services after whom it starts, and the provider whose they have to be.
    #[must_use]
    pub fn others(&self) -> (&[Name], Option<&Name>) {
        match &self.what {
            What::Daemon(_) => (&[], None),
            What::Tenant(tenant) => (&tenant.manifest.after, Some(&tenant.manifest.provider)),
        }
    }

    /// When it is to be started again though it has done its work, in milliseconds after boot.
    #[must_use]
    pub fn again_ms(&self) -> Option<u64> {
        let What::Tenant(tenant) = &self.what else { return None };
        let pause_ms = u64::from(tenant.manifest.again_s) * 1_000;
        let ended = self.record.state == State::Down && !self.record.wanted && self.record.exit.is_some();
        // Whoever was stopped by an order stays so.
        (pause_ms > 0 && ended && self.record.by_itself).then(|| self.record.since_ms + pause_ms)
    }

    /// Its cgroup, below the root of all cgroups.
    #[must_use]
    pub fn cgroup(&self) -> String {
        match &self.what {
            What::Daemon(daemon) => format!("/gateway/{}", daemon.name),
            What::Tenant(tenant) => tenant.plan.cgroup.clone(),
        }
    }

    /// The names of those who must be up before it starts.
    #[must_use]
    pub fn after(&self) -> &'static [&'static str] {
        match &self.what {
            What::Daemon(daemon) => daemon.after,
            What::Tenant(_) => crate::core::TENANTS_AFTER,
        }
    }

    /// How long it may take from its start to being ready, in milliseconds.
    #[must_use]
    pub fn start_deadline_ms(&self) -> u64 {
        match &self.what {
            // The slowest daemon on the emulated board under load.
            What::Daemon(_) => 30_000,
            What::Tenant(tenant) => tenant.manifest.start_deadline_ms.into(),
        }
    }

    /// How long it may take to end, in milliseconds.
    #[must_use]
    pub fn stop_grace_ms(&self) -> u64 {
        match &self.what {
            What::Daemon(_) => 2_000,
            What::Tenant(tenant) => tenant.manifest.stop_grace_ms.into(),
        }
    }

    /// Moves what it wrote to its log. Has it said that it is ready since the last time somebody asked? Reads away whatever else it said
    /// there.
    #[must_use]
    pub fn listen(&mut self) -> bool {
        self.talks = self.ring.pump();
        let mut words = [0; 64];
        let mut ready = false;
        // Bounded: a flood is read in as many turns as it takes.
        for _ in 0..16 {
            match nix::unistd::read(&self.note.0, &mut words) {
                Ok(length @ 1..) => {
                    self.talks = true;
                    ready |= words.get(..length).unwrap_or_default().contains(&b'\n');
                }
                Ok(_) | Err(_) => break,
            }
        }
        ready
    }

    /// One row of `ctl status`.
    #[must_use]
    pub fn row(&self) -> control::Process {
        let record = &self.record;
        control::Process {
            name: self.name.clone(),
            kind: match &self.what {
                What::Daemon(_) => Kind::Daemon,
                What::Tenant(_) => Kind::Tenant,
            },
            state: record.state,
            pid: record.pid.and_then(|pid| u32::try_from(pid).ok()),
            since_ms: record.since_ms,
            ready_ms: record.ready_ms,
            restarts: record.restarts,
            exit: record.exit,
            memory_bytes: record.pid.and_then(|_| cgroup::memory_bytes(&self.cgroup())),
            address: record.address,
            layers: record.layers,
            reason: record.reason.clone(),
            autostart: match &self.what {
                What::Daemon(_) => true,
                What::Tenant(tenant) => tenant.manifest.autostart,
            },
        }
    }
}

impl Tenant {
    /// The tenant of `entry` in `slot`.
    ///
    /// # Errors
    /// [`Error::Sandbox`]: its isolation cannot be planned.
    pub fn new(entry: Entry, slot: u8) -> Result<Self, Error> {
        let Entry { manifest, without } = entry;
        let plan = Plan::new(&manifest, slot)?;
        Ok(Self {
            manifest,
            slot,
            plan,
            without,
            weak: false,
            network: None,
            root: None,
            attached: false,
            pulse: Pulse::default(),
            ledger: Ledger::default(),
            entered: None,
        })
    }

    /// Is there all that a start needs?
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        self.root.is_some() && self.attached
    }
}

/// Is the program of `daemon` in this root?
#[must_use]
pub fn is_there(daemon: &Daemon) -> bool {
    let path = CString::from(daemon.program);
    let there = std::fs::exists(path.to_string_lossy().as_ref()).unwrap_or(false);
    if !there && !daemon.optional {
        warn!("{}: {} is not in this root", daemon.name, path.to_string_lossy());
    }
    there
}

const _: () = assert!(NAME_BYTES + "record.".len() <= contract::limit::LABEL_BYTES);
