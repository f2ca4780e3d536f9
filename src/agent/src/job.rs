//! One operation on a deployment unit, from the order to its end: a pure machine that survives a crash of ours or of `package`.
//!
//! In:  what has happened to it. Out: what is to be done, and its end, once.
//!
//! ```text
//! Waiting ── room ──▶ Asked ── done ──▶ Looking ── rows ──▶ ended
//!    after a crash      │ gone             ▲
//!         └──────────▶ Lost ── room ──▶ Awaiting ── done, or nothing is being done
//! ```
//! Before `package` is asked the operation is on the disk, without who may fetch the bundle; and so is that it is asked now. So who finds it
//! there asks `package` whether it is under way, and where it is not, whether its unit is as it was to be. One that only waited, and needs no
//! word that was not kept, waits on. What has failed is not tried again (R-SMM.1).
//!
//! Not here: wires (`packages.rs`), what controllers are told (`room/jobs.rs`).
//!
//! Source: TR-369 §A.1 (R-SMM); TR-181 2.19.1, `Device.SoftwareModules.`.

use contract::Name;
use contract::packages::{Fault, State as Doing, Unit};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod two;
#[cfg(test)]
mod world;

/// How long one may take, in seconds. Source: R-SMM.1.
pub const LONGEST_S: u64 = 24 * 60 * 60;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum What {
    /// A unit comes.
    Install,
    /// A newer one takes its place.
    Update,
    /// It goes.
    Uninstall,
}

impl What {
    /// Source: TR-181, `DUStateChange!.OperationPerformed`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Install => "Install",
            Self::Update => "Update",
            Self::Uninstall => "Uninstall",
        }
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// What is done.
    pub what: What,
    /// The service, where it is known.
    pub service: Option<Name>,
    /// What the unit is called everywhere; empty: not known before it is there.
    pub uuid: String,
    /// What `package` calls it.
    pub tag: String,
    /// Where the bundle is.
    pub url: String,
    /// Who may fetch it. Neither is kept.
    #[serde(skip)]
    pub username: String,
    /// And by which word.
    #[serde(skip)]
    pub password: String,
    /// The slice that it has to be for.
    pub slice: Option<Name>,
    /// What the service has kept goes, too.
    pub drop_data: bool,
    /// The image before an update.
    pub image: [u8; 32],
    /// The version before.
    pub version: u64,
    /// When it was ordered, in seconds since 1970; 0: the clock was not believed.
    pub begun_s: u64,
    /// Roles that its service shall have. The journal keeps them beside it: the form of this is older.
    #[serde(skip)]
    pub wishes: Wishes,
    /// Its service is started again when it ends by itself, or not; `None`: as its manifest says. It is kept as wishes are.
    #[serde(skip)]
    pub restarts: Option<bool>,
}

impl Job {
    /// Can whoever finds it on the disk ask for it as it was ordered? Who may fetch the bundle is not there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.username.is_empty() && self.password.is_empty()
    }
}

/// Roles that a service shall have. `None`: those that it has. Source: TR-181, `InstallDU()`, `Update()`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wishes {
    /// Without these it is of no use.
    pub required: Option<Vec<String>>,
    /// And these it likes to have.
    pub optional: Option<Vec<String>>,
}

impl Wishes {
    /// Is any role in it?
    #[must_use]
    pub fn any(&self) -> bool {
        self.required.iter().chain(&self.optional).any(|list| !list.is_empty())
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// It was not asked yet.
    Waiting,
    /// It was asked.
    Asked,
    /// Who had asked is gone, or `package` is. From the disk every one comes so that may have been asked.
    #[default]
    Lost,
    /// It was asked whether it is under way.
    Awaiting,
    /// It was done, or is not under way: what is there is looked at.
    Looking {
        /// It was done.
        done: bool,
    },
}

impl Phase {
    /// How far an operation is that was found on the disk: it may have been asked there, and it is as it was ordered.
    #[must_use]
    pub fn found(asked: bool, is_whole: bool) -> Self {
        if asked || !is_whole { Self::Lost } else { Self::Waiting }
    }
}

/// What has happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// There is room for it at `package`.
    Room,
    /// `package` has done it.
    Done,
    /// It has not, and why.
    Refused(Fault),
    /// All units, as they are.
    Rows(Found),
    /// The connection is gone.
    Gone,
    /// A controller takes it back.
    Cancel,
    /// It takes too long.
    Late,
}

/// How a unit is, seen from an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// As the operation wants it.
    Wanted,
    /// As it was before.
    Before,
    /// On its way.
    Between,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Rest,
    /// Ask for the operation.
    Ask,
    /// Ask whether it is under way.
    Await,
    /// Ask for all units.
    List,
    /// Have it given up, and wait for its end.
    Cancel,
    /// It has ended: tell it, and forget it.
    End(End),
    /// It has ended, and is to be given up.
    GiveUp(End),
}

/// How it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Good,
    /// `package` has refused it.
    Refused(Fault),
    /// It was cut off, and is not done.
    Interrupted,
    /// It was canceled before it was asked.
    Canceled,
    /// It took too long.
    Late,
    /// What was asked makes no sense: the code of TR-181's fault.
    Nonsense(u32),
}

/// What follows `event` in `phase` of an operation of the kind `what`.
#[must_use]
pub fn next(what: What, phase: Phase, event: Event) -> (Phase, Act) {
    use {Act as A, Event as E, Phase as P};
    match (phase, event) {
        (P::Waiting, E::Room) => (P::Asked, A::Ask),
        (P::Waiting, E::Cancel) => (phase, A::End(End::Canceled)),
        (P::Lost, E::Room) if what == What::Uninstall => (P::Looking { done: false }, A::List),
        (P::Lost, E::Room) => (P::Awaiting, A::Await),
        (P::Asked | P::Awaiting, E::Done) => (P::Looking { done: true }, A::List),
        (P::Awaiting, E::Refused(Fault::Absent)) => (P::Looking { done: false }, A::List),
        (P::Asked | P::Awaiting, E::Refused(fault)) => (phase, A::End(End::Refused(fault))),
        (P::Looking { done: true }, E::Rows(_)) | (P::Looking { .. }, E::Rows(Found::Wanted)) => {
            (phase, A::End(End::Good))
        }
        (P::Looking { done: false }, E::Rows(Found::Before)) => (phase, A::End(End::Interrupted)),
        (P::Looking { done: false }, E::Rows(Found::Between)) => (P::Lost, A::Rest),
        // Before its disk is there `package` knows nothing of what is on it.
        (P::Looking { done: false }, E::Refused(Fault::Disk)) => (P::Lost, A::Rest),
        (P::Looking { done }, E::Refused(_)) => {
            (phase, A::End(if done { End::Good } else { End::Interrupted }))
        }
        (P::Asked | P::Awaiting | P::Looking { .. }, E::Gone) => (P::Lost, A::Rest),
        (P::Asked | P::Awaiting | P::Lost, E::Cancel) if what != What::Uninstall => (phase, A::Cancel),
        (P::Waiting, E::Late) => (phase, A::End(End::Late)),
        (P::Asked | P::Awaiting | P::Lost | P::Looking { .. }, E::Late) => (phase, A::GiveUp(End::Late)),
        (P::Asked | P::Awaiting | P::Lost | P::Looking { .. }, E::Cancel)
        | (P::Asked | P::Awaiting | P::Looking { .. }, E::Room)
        | (P::Waiting | P::Lost, E::Done | E::Refused(_) | E::Gone)
        | (P::Waiting | P::Lost | P::Asked | P::Awaiting, E::Rows(_))
        | (P::Looking { .. }, E::Done) => (phase, A::Rest),
    }
}

/// How the unit of `job` is among all `units`.
#[must_use]
pub fn found(job: &Job, units: &[Unit]) -> Found {
    let unit = match job.what {
        What::Install => units.iter().find(|unit| unit.tag.as_str() == job.tag),
        What::Update | What::Uninstall => units.iter().find(|unit| Some(&unit.name) == job.service.as_ref()),
    };
    match (job.what, unit.map(|unit| (unit.state, unit.image == job.image))) {
        (What::Install, Some(_)) | (What::Uninstall, None) => Found::Wanted,
        (What::Uninstall, Some((Doing::Removing, _))) => Found::Between,
        (What::Update, Some((_, false))) => Found::Wanted,
        (What::Install | What::Update, None) | (What::Uninstall | What::Update, Some(_)) => Found::Before,
    }
}
