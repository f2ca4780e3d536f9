//! One process that is kept: what it is, and what is open for it.
//!
//! Not here: what happens to it (`turn.rs`), how it is made (`start.rs`).

pub mod label;

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use contract::Name;
use contract::control::{self, Kind};
use contract::installed::Service;
use contract::limit::NAME_BYTES;
use contract::manifest::{Restart, Volume};
use log::warn;
use nix::unistd::pipe2;
use sandbox::cgroup;
use sys::descriptor;

use crate::Error;
use crate::core::Daemon;
use crate::events::Wait;
use crate::health::Said;
use crate::keep::Keep;
use crate::record::{self, Kept, Record};
use crate::ring::Ring;
use crate::tenant::{Bundle, Tenant};
use crate::trial::Trial;

/// A process's number: no other one of this life ever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u32);

impl Id {
    /// One that nobody has.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Daemon or tenant, with what only that kind has.
#[derive(Debug)]
pub enum What {
    /// A part of the gateway.
    Daemon(&'static Daemon),
    /// A hosted service.
    Tenant(Box<Tenant>),
}

/// One process.
#[derive(Debug)]
pub struct Process {
    /// Its number in this life.
    pub id: Id,
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
    /// Preparations in a row, in this life of ours, that took too long.
    pub delays: u8,
    /// What was told of it while it waits.
    pub wait: Wait,
    /// When its next time of the day comes, in milliseconds after boot, as the clock was in this turn.
    pub due_ms: Option<u64>,
}

impl Process {
    /// A process that was never started; everything that it needs is made and kept.
    ///
    /// # Errors
    /// [`Error::System`]: a table of descriptors is full, or there is no memory.
    pub fn new(name: Name, what: What, keep: &Keep) -> Result<Self, Error> {
        Self::with(name, what, Ring::new()?, keep)
    }

    /// The same, with this log.
    ///
    /// # Errors
    /// As [`Process::new`].
    pub fn with(name: Name, what: What, ring: Ring, keep: &Keep) -> Result<Self, Error> {
        let note = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| Error::System("no pipe", errno))?;
        descriptor::set_nonblocking(note.0.as_fd()).map_err(|errno| Error::System("no pipe", errno))?;
        let process = Self {
            id: Id::next(),
            name,
            what,
            record: Record::default(),
            record_file: record::file()?,
            ring,
            note,
            pidfd: None,
            ours: false,
            talks: false,
            delays: 0,
            wait: Wait::default(),
            due_ms: None,
        };
        for (kind, descriptor) in [
            (label::RECORD, &process.record_file),
            (label::RING, &process.ring.file),
            (label::READER, &process.ring.reader),
            (label::WRITER, &process.ring.writer),
            (label::NOTE, &process.note.0),
            (label::NOTIFY, &process.note.1),
        ] {
            keep.store(kind, &process.key(), 0, descriptor.as_fd());
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
        Self {
            id: Id::next(),
            name,
            what,
            record,
            record_file,
            ring,
            note,
            pidfd: None,
            ours: false,
            talks: false,
            delays: 0,
            wait: Wait::default(),
            due_ms: None,
        }
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

    /// Writes down what it is, if it is of a bundle: the next one already, where one is to take its place. False: there is no room.
    #[must_use]
    pub fn write_bundle(&self) -> bool {
        let What::Tenant(tenant) = &self.what else { return true };
        let Some(bundle) = &tenant.bundle else { return true };
        let service = bundle.next.as_deref().cloned().unwrap_or_else(|| Service {
            manifest: tenant.manifest.clone(),
            image: bundle.image,
            version: bundle.version,
        });
        let (slot, leaves) = (tenant.slot, bundle.leave.is_some());
        let kept = Kept { slot, leaves, trial: bundle.trial, part: bundle.part, service };
        record::write_bundle(&self.record_file, &kept)
    }

    /// What it has as a service of a bundle.
    #[must_use]
    pub fn bundle(&self) -> Option<&Bundle> {
        match &self.what {
            What::Daemon(_) => None,
            What::Tenant(tenant) => tenant.bundle.as_ref(),
        }
    }

    /// As [`Process::bundle`], to be changed.
    #[must_use]
    pub fn bundle_mut(&mut self) -> Option<&mut Bundle> {
        match &mut self.what {
            What::Daemon(_) => None,
            What::Tenant(tenant) => tenant.bundle.as_mut(),
        }
    }

    /// A service's slot.
    #[must_use]
    pub fn slot(&self) -> Option<u8> {
        match &self.what {
            What::Daemon(_) => None,
            What::Tenant(tenant) => Some(tenant.slot),
        }
    }

    /// It has to prove itself.
    #[must_use]
    pub fn trial(&self) -> Option<Trial> {
        self.bundle()?.trial
    }

    /// What it keeps on the data disk.
    #[must_use]
    pub fn volume(&self) -> Option<&Volume> {
        match &self.what {
            What::Daemon(_) => None,
            What::Tenant(tenant) => tenant.manifest.volume.as_ref(),
        }
    }

    /// It is being taken away.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.bundle().is_some_and(|bundle| bundle.leave.is_some())
    }

    /// The services after whom it starts, and the provider whose they have to be.
    #[must_use]
    pub fn others(&self) -> (&[Name], Option<&Name>) {
        match &self.what {
            What::Daemon(_) => (&[], None),
            What::Tenant(tenant) => (&tenant.manifest.after, Some(&tenant.manifest.provider)),
        }
    }

    /// Its cgroup, below the root of all cgroups.
    #[must_use]
    pub fn cgroup(&self) -> String {
        match &self.what {
            What::Daemon(daemon) => format!("/gateway/{}", daemon.name),
            What::Tenant(tenant) => tenant.plan.cgroup.clone(),
        }
    }

    /// What memory it was promised, others may be promised.
    pub fn give_back_floor(&self) {
        match &self.what {
            What::Daemon(_) => {}
            What::Tenant(tenant) => cgroup::give_back_floor(&tenant.plan.cgroup),
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

    /// Moves what it wrote to its log. Has it said that it is ready since the last time somebody asked, and its reaper how a probe ended?
    /// Reads away whatever else was said there.
    pub fn listen(&mut self) -> Said {
        self.talks = self.ring.pump();
        let mut words = [0; 64];
        let mut said = Said::default();
        // Bounded: a flood is read in as many turns as it takes.
        for _ in 0..16 {
            match nix::unistd::read(&self.note.0, &mut words) {
                Ok(length @ 1..) => {
                    self.talks = true;
                    said.take(words.get(..length).unwrap_or_default());
                }
                Ok(_) | Err(_) => break,
            }
        }
        said
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
            uid_base: match &self.what {
                What::Daemon(_) => None,
                What::Tenant(tenant) => Some(tenant.plan.uid_base),
            },
            layers: record.layers,
            reason: record.reason.clone(),
            autostart: match &self.what {
                What::Daemon(_) => true,
                What::Tenant(tenant) => tenant.manifest.autostart,
            },
            restart: match &self.what {
                What::Daemon(_) => Restart::Always,
                What::Tenant(tenant) => tenant.manifest.restart,
            },
            restarted_ms: record.restarted_ms,
            next_ms: self.next_ms(),
            stop_grace_ms: u32::try_from(self.stop_grace_ms()).unwrap_or(u32::MAX),
        }
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
