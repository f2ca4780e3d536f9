//! What is on the disk: what controllers have set, commands under way, which boot was told.
//!
//! Where there is no disk (yet) all of it is in memory, and the rest works.

use contract::leases::Controller;
use log::warn;
use serde::de::DeserializeOwned;
use state::{File, Folder, RETRY_MS};

use super::Room;
use crate::answer::REQUEST_MS;
use crate::bulk::profile;
use crate::journal::{self, Journal};
use crate::kept_form;
use crate::machine;
use crate::model::boot_map;
use crate::settings::{self, Settings, roles};
use crate::world::World;

/// Whom a DHCP server has named, in bytes: five short texts.
const NAMED_BYTES_MAX: usize = 1024;

/// Files, and what was last written.
#[derive(Debug)]
pub(super) struct Kept {
    settings: File,
    services: File,
    bulk: File,
    boot: File,
    journal: File,
    named: File,
    roles: File,
    /// What was last kept; `None`: the disk was not there yet.
    last: Option<Settings>,
    last_journal: Option<Journal>,
    /// Something may be other than what was kept.
    pub(super) dirty: bool,
    retry_ms: u64,
    /// The disk was looked for once.
    tried: bool,
    said: bool,
}

impl Kept {
    pub(super) fn new(folder: &Folder) -> Self {
        Self {
            settings: folder.file("settings", settings::BYTES_MAX),
            // A secret that was taken back does not stay behind.
            services: folder.file("services", settings::BYTES_MAX).without_old(),
            boot: folder.file("boot", 64),
            bulk: folder.file("bulk", profile::BYTES_MAX).without_old(),
            journal: folder.file("requests", journal::BYTES_MAX),
            named: folder.file("discovered", NAMED_BYTES_MAX),
            roles: folder.file("roles", roles::BYTES_MAX).without_old(),
            last: None,
            last_journal: None,
            dirty: false,
            retry_ms: 0,
            tried: false,
            said: false,
        }
    }

    /// Whom a DHCP server has named. Where that cannot be kept the next life waits for the server.
    pub(super) fn keep_named(&self, named: &Controller) {
        let bytes = kept_form::write(named, NAMED_BYTES_MAX).filter(|_| self.last.is_some());
        let Some(bytes) = bytes else { return };
        self.named.save(settings::VERSION, &bytes).unwrap_or_else(|error| warn!("{error}"));
    }

    /// Whom a DHCP server has named to a former life.
    pub(super) fn named(&self) -> Option<Controller> {
        load(&self.named)
    }

    /// What was kept before is known; without a disk there is nothing to know.
    pub(super) fn is_loaded(&self) -> bool {
        self.last.is_some() || self.tried
    }

    /// When the disk is tried again, in milliseconds after boot.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (self.last.is_none() || self.dirty).then_some(self.retry_ms)
    }
}

impl Room {
    /// What was kept, once the disk is there.
    pub(super) fn load(&mut self, now_ms: u64) {
        if self.kept.last.is_some() || now_ms < self.kept.retry_ms {
            return;
        }
        self.kept.retry_ms = now_ms.saturating_add(RETRY_MS);
        let found = match self.kept.settings.load() {
            Ok(found) => found,
            Err(state::Error::Absent) => {
                self.kept.tried = true;
                return;
            }
            Err(error) => {
                warn!("{error}");
                None
            }
        };
        let found = found.filter(|kept| kept.version == settings::VERSION);
        let mut found = found.and_then(|kept| Settings::read(&kept.bytes)).unwrap_or_default();
        found.services = load(&self.kept.services).unwrap_or_default();
        found.bulk = load(&self.kept.bulk).unwrap_or_default();
        found.roles = load(&self.kept.roles).unwrap_or_default();
        self.kept.last = Some(found.clone());
        self.kept.retry_ms = now_ms; // the disk is there
        self.adopt_known();
        found.roles.absorb(std::mem::take(&mut self.world.settings.roles));
        self.world.settings.roles = found.roles.clone();
        self.seat_services();
        let made_meanwhile = std::mem::take(&mut self.world.settings);
        let mut merged = World::new(self.world.configuration.clone(), String::new(), found).settings;
        for mut one in made_meanwhile.subscriptions {
            one.row = merged.next_subscription;
            merged.next_subscription = merged.next_subscription.saturating_add(1);
            merged.subscriptions.push(one);
        }
        for mut one in made_meanwhile.thresholds {
            merged.next_threshold = merged.next_threshold.saturating_add(1);
            one.row = merged.next_threshold;
            merged.thresholds.push(one);
        }
        for mut one in made_meanwhile.services.given {
            merged.services.next = merged.services.next.saturating_add(1);
            one.row = merged.services.next;
            merged.services.given.push(one);
        }
        for mut one in made_meanwhile.bulk.profiles {
            merged.bulk.next = merged.bulk.next.saturating_add(1);
            one.row = merged.bulk.next;
            merged.bulk.profiles.push(one);
        }
        self.world.settings = merged;
        self.tenants.tell(&self.world);
        self.bulk.set(&self.world, now_ms);
        self.kept.dirty = true;
        self.load_journal(now_ms);
        self.news.look(&self.world, now_ms);
        self.begin_boot(now_ms);
    }

    /// Another boot than the last one that was told: each controller hears of it, and what it wants to know.
    fn begin_boot(&mut self, now_ms: u64) {
        let this = machine::boot_id();
        let before = self.kept.boot.load().ok().flatten().map(|kept| kept.bytes);
        if before.as_ref() == Some(&this) {
            return;
        }
        self.world.settings.levels.begin(None);
        if self.kept.boot.save(1, &this).is_ok() {
            let cause = if before.is_none() { "FirstUse" } else { "LocalReboot" };
            for row in (1..).zip(&self.world.settings.controllers).map(|(row, _)| row) {
                let arguments = [
                    ("CommandKey", String::new()),
                    ("Cause", cause.to_owned()),
                    ("FirmwareUpdated", "false".to_owned()),
                    ("ParameterMap", boot_map(&self.world, row)),
                ];
                let whom = (Some(row), false, now_ms);
                self.news.happen(&self.world, ("Device.", "Boot"), &arguments, whom);
            }
        }
    }

    fn load_journal(&mut self, now_ms: u64) {
        let found = self.kept.journal.load().unwrap_or_else(|error| {
            warn!("{error}");
            None
        });
        let found = found.filter(|kept| kept.version == journal::VERSION);
        let Some(journal) = found.and_then(|kept| Journal::read(&kept.bytes)) else { return };
        self.kept.last_journal = Some(journal.clone());
        let outbox = journal.restore(&mut self.world, now_ms.saturating_add(REQUEST_MS), now_ms);
        self.news.restore(&self.world, outbox, now_ms);
    }

    /// Commands under way, and news of those that have ended, before another room or a controller learns more. Where it cannot be kept we
    /// go on: a gateway whose disk is full can still be told to stop something.
    pub(super) fn keep_journal(&mut self) {
        if self.kept.last.is_none() {
            return;
        }
        let quiet = self.news.is_empty() && self.world.requests.is_empty();
        if quiet && self.kept.last_journal.as_ref().is_some_and(|last| last.is_idle(&self.world)) {
            return;
        }
        let now = Journal::of(&self.world, self.news.outbox(&self.world));
        if self.kept.last_journal.as_ref() == Some(&now) {
            return;
        }
        let Some(bytes) = now.write() else { return };
        match self.kept.journal.save(journal::VERSION, &bytes) {
            Ok(()) => {
                self.kept.last_journal = Some(now);
                self.kept.said = false;
            }
            Err(error) if !std::mem::replace(&mut self.kept.said, true) => warn!("{error}"),
            Err(_) => {}
        }
    }

    /// What controllers have set.
    pub(super) fn keep(&mut self, now_ms: u64) {
        if !self.kept.dirty || now_ms < self.kept.retry_ms {
            return;
        }
        let Some(last) = &self.kept.last else { return };
        let now = self.world.settings.kept();
        self.kept.dirty = *last != now;
        if !self.kept.dirty {
            return;
        }
        let services = kept_form::write(&now.services, settings::BYTES_MAX);
        let bulk = kept_form::write(&now.bulk, profile::BYTES_MAX);
        let roles = kept_form::write(&now.roles, roles::BYTES_MAX);
        let (Some(bytes), Some(services), Some(bulk), Some(roles)) = (now.write(), services, bulk, roles)
        else {
            warn!("settings: too many to be kept");
            self.kept.dirty = false;
            return;
        };
        let parts = [
            (last.services != now.services, &self.kept.services, services),
            (last.bulk != now.bulk, &self.kept.bulk, bulk),
            (last.roles != now.roles, &self.kept.roles, roles),
            (true, &self.kept.settings, bytes),
        ];
        let mut changed = parts.iter().filter(|(changed, _, _)| *changed);
        match changed.try_for_each(|(_, file, bytes)| file.save(settings::VERSION, bytes)) {
            Ok(()) => {
                self.kept.last = Some(now);
                self.kept.dirty = false;
            }
            Err(error) => {
                warn!("{error}");
                self.kept.retry_ms = now_ms.saturating_add(RETRY_MS);
            }
        }
    }
}

/// What a file of one kind says; nothing where it says nothing that is known.
fn load<T: DeserializeOwned>(file: &File) -> Option<T> {
    let found = file.load().unwrap_or_else(|error| {
        warn!("{error}");
        None
    });
    let found = found.filter(|kept| kept.version == settings::VERSION)?;
    kept_form::read(&found.bytes)
}
