//! The data disk's life: none, mounted, broken, let go of.
//!
//! In:  what `block.rs` sees and the kernel's events. Out: calls of [`Mounts`], and words to people.
//!
//! The first device that can be used becomes the data disk and stays it until it goes; then all others are looked at again. One that
//! is marked damaged is mounted read-only: there is no repair on the gateway, and writing would make it worse.
//!
//! Not here: the mounts themselves (`volume.rs`).

use contract::mount::{Disk as State, DiskState};
use log::{info, warn};

use crate::block::{Look, Places};
use crate::uevent::{Device, Event};
use crate::{DATA, DATA_LABEL, Error};

/// What can be done to the mount at [`DATA`].
pub trait Mounts {
    /// The device that is mounted there, if any: by our life before.
    fn mounted(&self) -> Option<Device>;
    /// Mounts `device` there.
    ///
    /// # Errors
    /// What the kernel says of it; nothing is mounted then.
    fn mount(&self, device: &Device, read_only: bool) -> Result<(), Error>;
    /// Makes what every data disk has, where it is not there, and puts its queue in order.
    ///
    /// # Errors
    /// Something else stands in its place, or the kernel says no.
    fn settle(&self, read_only: bool) -> Result<(), Error>;
    /// Lets nothing more be written.
    ///
    /// # Errors
    /// What the kernel says.
    fn write_protect(&self) -> Result<(), Error>;
    /// Takes it out of everybody's sight; who holds a file open gets errors from it.
    fn detach(&self);
    /// Writes everything out and takes it away.
    ///
    /// # Errors
    /// What the kernel says; it is out of sight all the same.
    fn finish(&self) -> Result<(), Error>;
    /// Sizes, if they can be had.
    fn space(&self) -> Option<Space>;
}

/// Sizes of a mounted disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub size_bytes: u64,
    /// What a daemon may still write, in bytes.
    pub free_bytes: u64,
    /// Nothing can be written.
    pub read_only: bool,
}

/// Where the disk is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    Absent,
    Mounted { device: Device, damaged: bool },
    Broken { device: Device, reason: String },
    Finished,
}

/// The data disk.
#[derive(Debug)]
pub struct Disk<M> {
    places: Places,
    mounts: M,
    life: Life,
}

impl<M: Mounts> Disk<M> {
    /// No disk yet.
    pub fn new(places: Places, mounts: M) -> Self {
        Self { places, mounts, life: Life::Absent }
    }

    /// The first look: takes over what an earlier life has mounted, else searches.
    pub fn begin(&mut self) {
        if let Some(device) = self.mounts.mounted() {
            info!("{device}: is at {DATA} already");
            let damaged = matches!(self.places.look(&device), Look::Ours(found) if found.damaged);
            self.life = Life::Mounted { device, damaged };
        }
        let adopted = self.life.clone();
        self.look_around();
        if let Life::Mounted { damaged, .. } = adopted
            && adopted == self.life
        {
            // Our last life may have died before it had made everything.
            self.mounts.settle(damaged).unwrap_or_else(|error| warn!("{error}"));
        }
        if self.life == Life::Absent {
            warn!("data disk: none yet; everything that needs none goes on");
        }
    }

    /// Follows what the kernel said.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Came(device) => self.consider(device),
            Event::Went(device) => self.lose(device),
            Event::Lost => self.look_around(),
            Event::Damaged(..) => {}
        }
    }

    /// Looks at every device: is ours still there, and if not, is there another?
    fn look_around(&mut self) {
        if let Some(device) = self.device().filter(|device| !self.places.has(device)) {
            return self.lose(&device);
        }
        for device in self.places.devices() {
            self.consider(&device);
        }
    }

    fn device(&self) -> Option<Device> {
        match &self.life {
            Life::Mounted { device, .. } | Life::Broken { device, .. } => Some(device.clone()),
            Life::Absent | Life::Finished => None,
        }
    }

    /// `device` came: is it the one?
    fn consider(&mut self, device: &Device) {
        match &self.life {
            Life::Finished => return,
            Life::Mounted { device: ours, .. } => {
                let second = ours != device && matches!(self.places.look(device), Look::Ours(_));
                return if second {
                    warn!("{device}: a second data disk; {ours} stays the one")
                };
            }
            Life::Absent | Life::Broken { .. } => {}
        }
        match self.places.look(device) {
            Look::Ours(found) => self.mount(device, found.damaged),
            Look::Broken(fault) => self.refuse(device, fault.to_string()),
            Look::Stranger => {
                let label = String::from_utf8_lossy(DATA_LABEL);
                info!("{device}: ext4, not labelled {label}: left alone");
            }
            Look::Other => {}
            Look::Unreadable(reason) => info!("{device}: cannot be read: {reason}"),
        }
    }

    fn mount(&mut self, device: &Device, damaged: bool) {
        if let Err(error) = self.mounts.mount(device, damaged) {
            return self.refuse(device, error.to_string());
        }
        // Replaying the journal may have brought to light that errors were seen.
        let now = matches!(self.places.look(device), Look::Ours(found) if found.damaged);
        if now && !damaged {
            let protected = self.mounts.write_protect();
            protected.unwrap_or_else(|error| warn!("{error}"));
        }
        let damaged = damaged || now;
        if damaged {
            warn!("{device}: errors were seen on it; read-only until e2fsck has repaired it");
        }
        let size_mib = self.mounts.space().map_or(0, |space| space.size_bytes >> 20);
        info!("{device}: the data disk, {size_mib} MiB at {DATA}");
        self.life = Life::Mounted { device: device.clone(), damaged };
    }

    fn refuse(&mut self, device: &Device, reason: String) {
        warn!("{device}: a data disk that cannot be used: {reason}");
        self.life = Life::Broken { device: device.clone(), reason };
    }

    /// `device` went: was it the one?
    fn lose(&mut self, device: &Device) {
        if self.device().as_ref() != Some(device) {
            return;
        }
        if matches!(self.life, Life::Mounted { .. }) {
            warn!("{device}: the data disk was pulled out; everything that needs none goes on");
            self.mounts.detach();
        }
        self.life = Life::Absent;
        self.look_around();
    }

    /// Lets go of the disk for good: the machine ends.
    ///
    /// # Errors
    /// What the kernel said; it is out of sight all the same.
    pub fn finish(&mut self) -> Result<(), Error> {
        let life = std::mem::replace(&mut self.life, Life::Finished);
        match life {
            Life::Mounted { device, .. } => {
                self.mounts.finish()?;
                info!("{device}: written out and unmounted");
                Ok(())
            }
            Life::Absent | Life::Broken { .. } | Life::Finished => Ok(()),
        }
    }

    /// Its state, for the wire, but for what volumes are promised.
    pub fn state(&self) -> State {
        let none = State {
            state: DiskState::Absent,
            device: "".into(),
            size_bytes: 0,
            free_bytes: 0,
            volumes_bytes: 0,
            promised_bytes: 0,
            reason: "no data disk".into(),
        };
        match &self.life {
            Life::Absent => none,
            Life::Finished => State { reason: "let go of: the machine ends".into(), ..none },
            Life::Broken { device, reason } => State {
                state: DiskState::Broken,
                device: device.clone(),
                reason: reason.as_str().into(),
                ..none
            },
            Life::Mounted { device, damaged } => {
                let space = self.mounts.space();
                let read_only = space.is_none_or(|space| space.read_only);
                let reason = match (damaged, read_only) {
                    (true, _) => "read-only: errors were seen on it; e2fsck repairs it",
                    (false, true) => "read-only: the kernel has just seen errors on it",
                    (false, false) => "",
                };
                State {
                    state: DiskState::Mounted,
                    device: device.clone(),
                    size_bytes: space.map_or(0, |space| space.size_bytes),
                    free_bytes: space.map_or(0, |space| space.free_bytes),
                    reason: reason.into(),
                    ..none
                }
            }
        }
    }
}
