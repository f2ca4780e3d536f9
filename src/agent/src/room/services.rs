//! Services that came with roles: each is a controller, and has a row behind those of the operator's file as long as it has roles.
//!
//! In:  what a slice has for its services, what bundles were given when they came. Out: rows of controllers that come by the Unix socket.
//!
//! Rows stay where they are: that of one who has gone is nobody's, until another needs one. What the first has asked for went with it.
//!
//! Source: docs/decisions/0123-roles-of-services.md.

use contract::Name;
use contract::packages::Unit;
use log::info;

use super::Room;
use crate::configuration::Controller;
use crate::configuration::transport::{Caller, Transport};
use crate::job::{Job, What};
use crate::peer::Peer;
use crate::roles;
use crate::settings::Said;
use crate::settings::roles::Granted;
use crate::world::Link;

/// A controller on the box.
fn controller(endpoint: String, caller: Caller) -> Controller {
    // Frames come whole and in order: no session is needed.
    Controller { endpoint, transport: Transport::Local(caller), role: 0, session: false, discovered: None }
}

/// Is it the way to the controller that came with this service?
fn is_of(transport: &Transport, service: &Name) -> bool {
    matches!(transport, Transport::Local(Caller::Granted(name)) if name == service)
}

/// Puts `one` in this place, which is there or the next.
fn put<T>(all: &mut Vec<T>, place: usize, one: T) {
    match all.get_mut(place) {
        Some(there) => *there = one,
        None => all.push(one),
    }
}

impl Room {
    /// From now on a slice has these roles for its services, and no others.
    pub(super) fn set_roles(&mut self, slice: &Name, available: Vec<String>) {
        let settings = &mut self.world.settings.roles;
        let is_less = settings.of_slice(slice).iter().any(|role| !available.contains(role));
        settings.put_slice(slice, available);
        self.kept.dirty = true;
        self.stale = true;
        if !is_less {
            return;
        }
        // What waits for one of its services was found by rights that it has no more.
        let its = settings.granted().iter().filter(|one| one.slice == *slice);
        for granted in its {
            let mut all = (1..).zip(&self.world.configuration.controllers);
            let found = all.find(|(_, one)| is_of(&one.transport, &granted.service));
            found.into_iter().for_each(|(row, _)| self.news.forget(row));
        }
    }

    /// An operation on a bundle has ended well: its service has the roles that were asked for, as far as its slice has them.
    pub(super) fn give_roles(&mut self, job: &Job, unit: Option<&Unit>) {
        self.forget_gone();
        let roles = &mut self.world.settings.roles;
        match (job.what, unit) {
            (What::Uninstall, _) => job.service.iter().for_each(|service| roles.forget(service)),
            (What::Install | What::Update, None) => {}
            (What::Install | What::Update, Some(unit)) => {
                let [since_s, _] = unit.installed_s;
                let before = roles.of_service(&unit.name).filter(|one| one.since_s == since_s).cloned();
                let (required, optional) = before.map(|one| (one.required, one.optional)).unwrap_or_default();
                let has = roles.of_slice(&unit.provider).to_vec();
                let liked =
                    |list: &Vec<String>| list.iter().filter(|one| has.contains(one)).cloned().collect();
                roles.put_service(Granted {
                    service: unit.name.clone(),
                    slice: unit.provider.clone(),
                    since_s,
                    required: job.wishes.required.clone().unwrap_or(required),
                    optional: job.wishes.optional.as_ref().map_or(optional, liked),
                });
            }
        }
        self.seat_services();
    }

    /// Bundles that have gone without a word to us: their roles do nothing, but take a place.
    fn forget_gone(&mut self) {
        let all = self.world.settings.roles.granted().iter();
        let gone = all.filter(|one| !roles::is_there(&self.world, one)).map(|one| one.service.clone());
        for service in gone.collect::<Vec<Name>>() {
            self.world.settings.roles.forget(&service);
        }
    }

    /// Each service that has roles has a row, and no other has.
    pub(super) fn seat_services(&mut self) {
        for place in 0..self.world.configuration.controllers.len() {
            let one = self.world.configuration.controllers.get(place).map(|one| &one.transport);
            let Some(Transport::Local(Caller::Granted(service))) = one else { continue };
            if self.world.settings.roles.of_service(service).is_none() {
                info!("{service}: a controller no more");
                self.seat(place, controller(String::new(), Caller::Nobody));
            }
        }
        let granted: Vec<Name> =
            self.world.settings.roles.granted().iter().map(|one| one.service.clone()).collect();
        for service in granted {
            let endpoint = format!("{}{service}", roles::ENDPOINT);
            let all = &self.world.configuration.controllers;
            // Where the operator's file has a controller of this name that one holds.
            if all.iter().all(|one| one.endpoint != endpoint) {
                let free = all.iter().position(|one| one.transport == Transport::Local(Caller::Nobody));
                let place = free.unwrap_or(all.len());
                info!("{service}: a controller, {endpoint}");
                self.seat(place, controller(endpoint, Caller::Granted(service)));
            }
        }
    }

    /// Another one is in this place from now on: what there was of the one before goes, its connection, too.
    fn seat(&mut self, place: usize, controller: Controller) {
        let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
        let there = controller.transport != Transport::Local(Caller::Nobody);
        let said = Said { enable: there, ..Said::of(&controller, row) };
        let due_ms = self.began_ms.saturating_add(u64::from(said.periodic_s) * 1000);
        let before = self.world.settings.controllers.get(place).map(|one| one.endpoint.clone());
        if let Some(endpoint) = before {
            self.world.challenges.forget(&endpoint);
            self.world.settings.thresholds.retain(|one| one.controller != endpoint);
        }
        put(&mut self.peers, place, Peer::new(controller.clone(), &self.world, &self.own));
        put(&mut self.world.links, place, Link::default());
        put(&mut self.periodic_ms, place, due_ms);
        put(&mut self.world.settings.controllers, place, said);
        put(&mut self.world.configuration.controllers, place, controller);
        self.world.settings.subscriptions.retain(|one| one.recipient != row);
        self.news.forget(row);
        self.broker.forget(row);
        self.kept.dirty = true;
        self.stale = true;
    }
}
