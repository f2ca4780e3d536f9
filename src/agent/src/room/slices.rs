//! Slices as a whole: restarted, emptied, given back with all that is in them; and changes of units that no controller has asked for.
//!
//! To empty a slice is to uninstall its bundles, one after another: each is an operation of ours, which nobody waits for and everybody hears of.
//!
//! Source: TR-181 2.19.1, `ExecEnv.{i}.Restart()`, `Reset()`, `Remove()`, `DUStateChange!`.

use contract::Name;
use contract::control::State;
use contract::packages::Unit;
use log::warn;
use usp::Code;

use super::Room;
use crate::job::{End, Job, LONGEST_S, Phase, What};
use crate::model::{Order, settle, uninstall, uuid_of, welcome};
use crate::rental::{self, Wish};
use crate::rooms::Given;
use crate::settings::levels::OfSlice;
use crate::world::{Request, date};

impl Room {
    /// Restarts what runs in a slice.
    pub(super) fn restart_slice(&mut self, slice: &Name, why: &str, now_ms: u64) -> Given {
        self.world.settings.levels.begin(Some(slice));
        self.kept.dirty = true;
        for order in settle(&self.world, slice) {
            self.rooms.give(&order, now_ms)?;
        }
        let its = self.world.facts.compliance.iter().filter(|one| one.slice == *slice);
        let runs = |name: &Name| {
            let process = self.world.facts.processes.iter().find(|process| process.name == *name);
            process
                .is_some_and(|process| matches!(process.state, State::Up | State::Starting | State::Waiting))
        };
        let services: Vec<Name> = its.map(|one| one.service.clone()).filter(runs).collect();
        for service in services {
            self.rooms.give(&Order::Restart(service), now_ms)?;
        }
        let now_s = self.world.facts.now_s.unwrap_or(0);
        let restarts = &mut self.world.tables.restarts;
        let count = restarts.iter().find(|one| one.0 == *slice).map_or(0, |one| one.1);
        restarts.retain(|one| one.0 != *slice);
        restarts.push((slice.clone(), count.saturating_add(1), now_s, why.to_owned()));
        if let Some(row) = self.world.tables.slices.row(slice) {
            let arguments = [("RestartTime", date(Some(now_s))), ("RestartReason", why.to_owned())];
            let object = format!("Device.SoftwareModules.ExecEnv.{row}.");
            self.news.happen(&self.world, (&object, "Restarted"), &arguments, (None, false, now_ms));
        }
        Ok(())
    }

    /// A slice is on another level, or on or off: its services follow.
    pub(super) fn set_run_level(&mut self, slice: &Name, level: u16, now_ms: u64) {
        let of = OfSlice { current: level, ..self.world.settings.levels.slice(slice) };
        self.world.settings.levels.put_slice(of);
        self.kept.dirty = true;
        self.stale = true;
        let orders = settle(&self.world, slice);
        self.follow_level(orders, now_ms);
    }

    /// Units that have come get the level of their slice; what is gone is forgotten.
    pub(super) fn level_units(&mut self, before: &[Unit], now_ms: u64) {
        let (units, slices) = (&self.world.facts.bundles, &self.world.facts.promised);
        self.world.settings.levels.keep(
            |slice| slices.iter().any(|one| one.slice.as_ref() == Some(slice)),
            |service| units.iter().any(|unit| unit.name == *service),
        );
        let new = |unit: &&Unit| before.iter().all(|one| one.name != unit.name);
        let units: Vec<Unit> = units.iter().filter(new).cloned().collect();
        let mut settings = std::mem::take(&mut self.world.settings);
        let orders = units.iter().flat_map(|unit| welcome(&self.world, &mut settings, unit)).collect();
        self.world.settings = settings;
        self.follow_level(orders, now_ms);
    }

    fn follow_level(&mut self, orders: Vec<Order>, now_ms: u64) {
        self.kept.dirty |= !orders.is_empty();
        for order in orders {
            if let Err((_, why)) = self.rooms.give(&order, now_ms) {
                warn!("run level: {why}");
            }
        }
    }

    /// Goes on with slices that are to be empty.
    pub(super) fn empty_slices(&mut self, now_ms: u64) {
        let waits =
            self.world.requests.iter().filter_map(|one| Some((one.row, one.empties.clone()?, one.until_ms)));
        for (row, (slice, gives), until_ms) in waits.collect::<Vec<_>>() {
            if !self.rooms.packages.is_up() {
                continue;
            }
            let bundles = self.world.facts.bundles.iter().filter(|unit| unit.provider == slice);
            // A list without a unit may come before the end of the operation that took it away.
            let left: Vec<Unit> = bundles.cloned().collect();
            if now_ms >= until_ms {
                self.end(row, Err((Code::COMMAND_FAILURE, "not within a day".to_owned())), now_ms);
            } else if left.is_empty() && !self.world.requests.iter().any(|one| one.originator == 0) {
                self.asked_ms = 0;
                self.refresh(now_ms);
                match self.world.request_mut(row).filter(|_| gives) {
                    // Given back as by an order of its own.
                    Some(request) => {
                        request.empties = None;
                        request.slice = Some((Wish::Release(slice), rental::Phase::Waiting));
                    }
                    None => self.end(row, Ok(Vec::new()), now_ms),
                }
            } else {
                left.iter().for_each(|unit| self.uninstall_too(unit, now_ms));
            }
        }
    }

    /// An operation of our own on a unit, unless there is one.
    fn uninstall_too(&mut self, unit: &Unit, now_ms: u64) {
        let under_way = |request: &Request| {
            request.job.as_ref().is_some_and(|(job, _)| job.service.as_ref() == Some(&unit.name))
        };
        if self.world.requests.iter().any(under_way) {
            return;
        }
        let number = self.world.next_request;
        self.world.next_request = number.saturating_add(1);
        let job = uninstall(&self.world, unit);
        self.world.requests.push(Request {
            row: number,
            originator: 0,
            command: String::new(),
            key: String::new(),
            unit: None,
            until_ms: now_ms.saturating_add(LONGEST_S * 1000),
            begun: false,
            job: Some((job, Phase::Waiting)),
            progress: (0, 0),
            canceled: false,
            empties: None,
            slice: None,
            timer: None,
        });
    }

    /// Tells of units that have come, changed or gone without an operation of ours: `ctl` did it.
    pub(super) fn tell_of_others(&mut self, before: &[Unit], now_ms: u64) {
        let now = self.world.facts.bundles.clone();
        let ours = |unit: &Unit| {
            let jobs = self.world.requests.iter().filter_map(|request| request.job.as_ref());
            jobs.into_iter()
                .any(|(job, _)| job.service.as_ref() == Some(&unit.name) || job.tag == unit.tag.as_str())
        };
        let mut changes: Vec<(What, Unit)> = Vec::new();
        for unit in now.iter().filter(|unit| !ours(unit)) {
            match before.iter().find(|one| one.name == unit.name) {
                None => changes.push((What::Install, unit.clone())),
                Some(old) if old.image != unit.image => changes.push((What::Update, unit.clone())),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|unit| !ours(unit) && now.iter().all(|one| one.name != unit.name));
        changes.extend(gone.map(|unit| (What::Uninstall, unit.clone())));
        for (what, unit) in changes {
            let job = Job { what, ..uninstall(&self.world, &unit) };
            let there = Some(&unit).filter(|_| what != What::Uninstall);
            let named = (uuid_of(&unit), unit.version.to_string());
            let change = self.state_change(&job, (End::Good, there), named, (0, String::new(), ""));
            let event = ("Device.SoftwareModules.", "DUStateChange");
            self.news.happen(&self.world, event, &change, (None, true, now_ms));
        }
    }
}
