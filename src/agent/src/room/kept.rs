//! What is on the disk: what controllers have set, commands under way, which boot was told.
//!
//! Where there is no disk (yet) all of it is in memory, and the rest works.

use log::warn;
use state::{File, Folder, RETRY_MS};

use super::Room;
use crate::answer::REQUEST_MS;
use crate::journal::{self, Journal};
use crate::kept_form;
use crate::machine;
use crate::settings::{self, Services, Settings};
use crate::world::World;

/// Files, and what was last written.
#[derive(Debug)]
pub(super) struct Kept {
    settings: File,
    services: File,
    boot: File,
    journal: File,
    /// What was last kept; `None`: the disk was not there yet.
    last: Option<Settings>,
    last_journal: Option<Journal>,
    /// Something may be other than what was kept.
    pub(super) dirty: bool,
    retry_ms: u64,
    said: bool,
}

impl Kept {
    pub(super) fn new(folder: &Folder) -> Self {
        Self {
            settings: folder.file("settings", settings::BYTES_MAX),
            // A secret that was taken back does not stay behind.
            services: folder.file("services", settings::BYTES_MAX).without_old(),
            boot: folder.file("boot", 64),
            journal: folder.file("requests", journal::BYTES_MAX),
            last: None,
            last_journal: None,
            dirty: false,
            retry_ms: 0,
            said: false,
        }
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
            Err(state::Error::Absent) => return,
            Err(error) => {
                warn!("{error}");
                None
            }
        };
        let found = found.filter(|kept| kept.version == settings::VERSION);
        let mut found = found.and_then(|kept| Settings::read(&kept.bytes)).unwrap_or_default();
        found.services = self.load_services();
        self.kept.last = Some(found.clone());
        self.kept.retry_ms = now_ms; // the disk is there
        let made_meanwhile = std::mem::take(&mut self.world.settings);
        let mut merged = World::new(self.world.configuration.clone(), String::new(), found).settings;
        for mut one in made_meanwhile.subscriptions {
            one.row = merged.next_subscription;
            merged.next_subscription = merged.next_subscription.saturating_add(1);
            merged.subscriptions.push(one);
        }
        for mut one in made_meanwhile.services.given {
            merged.services.next = merged.services.next.saturating_add(1);
            one.row = merged.services.next;
            merged.services.given.push(one);
        }
        self.world.settings = merged;
        self.tenants.tell(&self.world);
        self.kept.dirty = true;
        self.load_journal(now_ms);
        self.news.look(&self.world, now_ms);
        let this = machine::boot_id();
        let before = self.kept.boot.load().ok().flatten().map(|kept| kept.bytes);
        if before.as_ref() != Some(&this) && self.kept.boot.save(1, &this).is_ok() {
            let cause = if before.is_none() { "FirstUse" } else { "LocalReboot" };
            let arguments =
                [("CommandKey", ""), ("Cause", cause), ("FirmwareUpdated", "false"), ("ParameterMap", "{}")];
            let arguments = arguments.map(|(key, value)| (key, value.to_owned()));
            self.news.happen(&self.world, ("Device.", "Boot"), &arguments, (None, false, now_ms));
        }
    }

    /// What services are told.
    fn load_services(&self) -> Services {
        let found = self.kept.services.load().unwrap_or_else(|error| {
            warn!("{error}");
            None
        });
        let found = found.filter(|kept| kept.version == settings::VERSION);
        found.and_then(|kept| kept_form::read(&kept.bytes)).unwrap_or_default()
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
        let (Some(bytes), Some(services)) = (now.write(), services) else {
            warn!("settings: too many to be kept");
            self.kept.dirty = false;
            return;
        };
        let told = if last.services == now.services {
            Ok(())
        } else {
            self.kept.services.save(settings::VERSION, &services)
        };
        match told.and_then(|()| self.kept.settings.save(settings::VERSION, &bytes)) {
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
