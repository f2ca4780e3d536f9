//! The controller that was discovered: it is looked for, comes, gives way to another, and is known again after a restart.
//!
//! There is one at most, and it stands behind those of the operator's file: their rows stay as they are.

use contract::leases;
use log::{info, warn};

use super::Room;
use crate::backoff;
use crate::configuration::transport::{Caller, Transport};
use crate::configuration::{CONTROLLERS_MAX, Controller};
use crate::discovery::search::Search;
use crate::discovery::service::{Error, Found, Sought};
use crate::discovery::{self, Pointed};
use crate::peer::{Peer, random};
use crate::settings::Said;
use crate::world::Link;

/// How long it is believed that DNS knows nobody, in milliseconds: a name server is not asked without end.
const NOBODY_MS: u64 = 15 * 60 * 1000;
/// How long what DNS says is believed, in seconds, whatever it says itself.
const BELIEVED_S: std::ops::RangeInclusive<u32> = 300..=86_400;

/// Who was named, and who is looked for.
#[derive(Debug, Default)]
pub(super) struct Whereabouts {
    /// Who was named last, by whomever.
    named: Option<leases::Controller>,
    /// Who is looked for in DNS.
    sought: Option<Sought>,
    search: Option<Search>,
    /// When DNS is asked, in milliseconds after boot.
    due_ms: u64,
    failures: u32,
    /// Why the last search was in vain.
    fault: Option<Error>,
}

impl Whereabouts {
    /// From now on this one is looked for.
    fn seek(&mut self, sought: Option<Sought>) {
        if self.sought != sought {
            *self = Self { named: self.named.take(), sought, ..Self::default() };
        }
    }

    /// When DNS is to be asked, in milliseconds after boot; while it is asked its answer rings.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (self.sought.is_some() && self.search.is_none()).then_some(self.due_ms)
    }

    /// What a search has come to; it is said once.
    fn end(&mut self, outcome: Result<Found, Error>, now_ms: u64) -> Option<Found> {
        self.search = None;
        match outcome {
            Ok(found) => {
                let believed_s = found.ttl_s.clamp(*BELIEVED_S.start(), *BELIEVED_S.end());
                self.due_ms = now_ms.saturating_add(u64::from(believed_s) * 1000);
                (self.failures, self.fault) = (0, None);
                Some(found)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait_ms = match error {
                    Error::Nobody | Error::Domain => NOBODY_MS,
                    Error::Unreachable(_) | Error::Answer(_) => {
                        backoff::wait_ms(self.failures, backoff::LAST_S, random())
                    }
                };
                self.due_ms = now_ms.saturating_add(wait_ms);
                if self.fault.as_ref() != Some(&error) {
                    let domain = self.sought.as_ref().map(|sought| sought.domain.as_str());
                    warn!("DNS-SD: {}: {error}", domain.unwrap_or_default());
                }
                self.fault = Some(error);
                None
            }
        }
    }

    /// The network is another: what was in vain is tried now.
    pub(super) fn hurry(&mut self) {
        if self.fault.is_some() {
            self.due_ms = 0;
        }
    }
}

impl Room {
    /// Looks who is named now. Nobody is no news: a lease may end, and the controller is called all the same.
    pub(super) fn discover(&mut self) {
        let Some(said) = &self.world.configuration.discovery else { return };
        match discovery::pointed(&self.world.network.leases, &said.domain) {
            Some(Pointed::Named(named)) => {
                self.whereabouts.seek(None);
                self.hear_named(named, Vec::new());
            }
            Some(Pointed::Sought(sought)) => self.whereabouts.seek(Some(sought)),
            None => {}
        }
    }

    /// Has DNS asked, and hears what it says.
    pub(super) fn search(&mut self, now_ms: u64) {
        let whereabouts = &mut self.whereabouts;
        if let Some(outcome) = whereabouts.search.as_ref().and_then(Search::done) {
            let found = whereabouts.end(outcome, now_ms);
            found.into_iter().for_each(|found| self.hear_named(found.controller, found.standby));
        } else if whereabouts.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            let sought = whereabouts.sought.clone();
            whereabouts.search = sought.map(|sought| Search::begin(sought, &self.bell.1));
        }
    }

    /// This one was named, by whomever, and stands by there.
    fn hear_named(&mut self, named: leases::Controller, standby: Vec<(String, u16)>) {
        let Some(said) = &self.world.configuration.discovery else { return };
        if self.whereabouts.named.as_ref() != Some(&named) {
            self.kept.keep_named(&named);
            let found = discovery::controller(&named, said.role);
            self.whereabouts.named = Some(named);
            match found {
                Ok(controller) => self.adopt(controller),
                Err(error) => warn!("{error}"),
            }
        }
        let mut all = self.peers.iter_mut();
        all.find(|one| one.is_discovered()).into_iter().for_each(|one| one.stand_by(standby.clone()));
    }

    /// The disk is there: whom a former life was told of, unless somebody was named since.
    pub(super) fn adopt_known(&mut self) {
        let Some(said) = &self.world.configuration.discovery else { return };
        match &self.whereabouts.named {
            Some(named) => self.kept.keep_named(named),
            None => {
                let known = self.kept.named().and_then(|named| discovery::controller(&named, said.role).ok());
                known.into_iter().for_each(|controller| self.adopt(controller));
            }
        }
    }

    /// From now on this one is obeyed, behind those of the file.
    fn adopt(&mut self, controller: Controller) {
        let all = &self.world.configuration.controllers;
        if all.iter().any(|one| one.discovered.is_none() && one.endpoint == controller.endpoint) {
            return; // The operator has said how it is called.
        }
        let place = all.iter().position(|one| one.discovered.is_some()).unwrap_or(all.len());
        if all.get(place) == Some(&controller) {
            return;
        }
        // Services that came with roles have rows of their own beside these.
        let of_services = all
            .iter()
            .filter(|one| matches!(one.transport, Transport::Local(Caller::Granted(_) | Caller::Nobody)));
        if place.saturating_sub(of_services.count()) >= CONTROLLERS_MAX {
            return warn!("{}: discovered, and there is no place for it", controller.endpoint);
        }
        info!("{}: discovered, {}", controller.endpoint, controller.transport);
        let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
        let peer = Peer::new(controller.clone(), &self.world, &self.own);
        let before = all.get(place).map(|one| one.endpoint.clone());
        put(&mut self.world.configuration.controllers, place, controller.clone());
        put(&mut self.peers, place, peer);
        put(&mut self.world.links, place, Link::default());
        if before.as_ref() != Some(&controller.endpoint) {
            // What another has asked for is not for this one.
            self.world.settings.subscriptions.retain(|one| one.recipient != row);
            let said = Said::of(&controller, row);
            let due_ms = self.began_ms.saturating_add(u64::from(said.periodic_s) * 1000);
            put(&mut self.periodic_ms, place, due_ms);
            put(&mut self.world.settings.controllers, place, said);
        }
        self.kept.dirty = true;
        self.stale = true;
    }
}

/// Puts `one` in this place, which is there or the next.
fn put<T>(all: &mut Vec<T>, place: usize, one: T) {
    match all.get_mut(place) {
        Some(there) => *there = one,
        None => all.push(one),
    }
}
