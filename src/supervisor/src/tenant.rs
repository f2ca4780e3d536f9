//! What a process has that is a hosted service: its manifest, its isolation, its promises; and what it has as one of a bundle.
//!
//! In:  a manifest and a slot. Out: a plan, and what is open for its next start.
//!
//! Not here: what every process has (`process.rs`), two versions of one service (`overlap.rs`).

use std::os::fd::OwnedFd;

use contract::installed::Service;
use contract::layer::Layers;
use contract::manifest::Manifest;
use contract::sla::{Amounts, Ceilings};
use sandbox::{Entered, Network, Plan, cgroup};

use crate::Error;
use crate::catalogue::Entry;
use crate::health::Pulse;
use crate::leave::Leave;
use crate::ledger::Ledger;
use crate::overlap::{Part, Side};
use crate::trial::Trial;

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
    /// Its volume, where it has one, while a start is being prepared.
    pub volume: Option<OwnedFd>,
    /// Its link stands.
    pub attached: bool,
    /// Is it well?
    pub pulse: Pulse,
    /// How its promises were kept.
    pub ledger: Ledger,
    /// What was last told of that to who watches.
    pub told: Option<(Amounts, Ceilings, u32)>,
    /// The most memory that it has in this life of its, where the kernel tells that from the others.
    pub peak: Option<cgroup::Peak>,
    /// A start that waits for its layers, and then for its last word.
    pub entered: Option<Entered>,
    /// How often a start was prepared in this life.
    pub attempt: u32,
    /// Times in a row that its image was refused.
    pub refusals: u8,
    /// What it has as a service of a bundle; `None`: it comes with the image of the gateway.
    pub bundle: Option<Bundle>,
}

/// What only a service of a bundle has.
#[derive(Debug)]
pub struct Bundle {
    /// SHA-256 of its sealed image.
    pub image: [u8; 32],
    /// Its version.
    pub version: u64,
    /// package has named it on its connection.
    pub named: bool,
    /// What takes its place once it has ended.
    pub next: Option<Box<Service>>,
    /// It is being taken away.
    pub leave: Option<Leave>,
    /// It has to prove itself, or `next` has.
    pub trial: Option<Trial>,
    /// Its part, where there are two versions of it.
    pub part: Part,
    /// What tells it from the other one.
    pub side: Side,
    /// When its link is asked for again, in milliseconds after boot, where it has yet to move.
    pub link_due_ms: u64,
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
            volume: None,
            attached: false,
            pulse: Pulse::default(),
            ledger: Ledger::default(),
            told: None,
            peak: None,
            entered: None,
            attempt: 0,
            refusals: 0,
            bundle: None,
        })
    }

    /// The tenant of a bundle.
    ///
    /// # Errors
    /// As [`Tenant::new`].
    pub fn of_bundle(service: Service, slot: u8, (side, part): (Side, Part)) -> Result<Self, Error> {
        let Service { manifest, image, version } = service;
        let (next, leave, trial) = (None, None, None);
        let bundle = Bundle { image, version, named: false, next, leave, trial, part, side, link_due_ms: 0 };
        let mut tenant = Self::new(Entry { manifest, without: Layers::NONE }, slot)?;
        tenant.plan.cgroup = side.cgroup(&tenant.plan);
        Ok(Self { bundle: Some(bundle), ..tenant })
    }

    /// Another version takes its place. Nothing of it runs.
    pub fn renew(&mut self) {
        let Some(bundle) = &mut self.bundle else { return };
        let Some(next) = bundle.next.take() else { return };
        // It was planned once before, when it was taken.
        let Ok(mut plan) = Plan::new(&next.manifest, self.slot) else { return };
        plan.cgroup = bundle.side.cgroup(&plan);
        (bundle.image, bundle.version) = (next.image, next.version);
        (self.plan, self.manifest) = (plan, next.manifest);
        (self.root, self.volume) = (None, None);
        // Its link is asked for again: it may be promised something else.
        self.attached = false;
        // Answers to the old one's questions do not count.
        self.attempt = self.attempt.wrapping_add(1);
        self.refusals = 0;
    }

    /// One that is to take another's place has no link before it does.
    #[must_use]
    pub fn needs_link(&self) -> bool {
        self.bundle.as_ref().is_none_or(|bundle| bundle.part != Part::Next)
    }

    /// Is there all that a start needs?
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        let linked = self.attached || !self.needs_link();
        self.root.is_some() && linked && self.volume.is_some() == self.manifest.volume.is_some()
    }
}
