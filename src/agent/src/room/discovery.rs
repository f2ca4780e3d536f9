//! The controller that was discovered: it comes, gives way to another, and is known again after a restart.
//!
//! There is one at most, and it stands behind those of the operator's file: their rows stay as they are.

use log::{info, warn};

use super::Room;
use crate::configuration::{CONTROLLERS_MAX, Controller};
use crate::discovery;
use crate::peer::Peer;
use crate::settings::Said;
use crate::world::Link;

impl Room {
    /// Looks whom DHCP servers name now. Nobody is no news: a lease may end, and the controller is called all the same.
    pub(super) fn discover(&mut self) {
        let Some(role) = self.world.configuration.discovery else { return };
        let Some(named) = discovery::named(&self.world.network.leases) else { return };
        if self.named.as_ref() == Some(named) {
            return;
        }
        let named = named.clone();
        self.kept.keep_named(&named);
        let found = discovery::controller(&named, role);
        self.named = Some(named);
        match found {
            Ok(controller) => self.adopt(controller),
            Err(error) => warn!("{error}"),
        }
    }

    /// The disk is there: whom a former life was told of, unless somebody was named since.
    pub(super) fn adopt_known(&mut self) {
        let Some(role) = self.world.configuration.discovery else { return };
        match &self.named {
            Some(named) => self.kept.keep_named(named),
            None => {
                let known = self.kept.named().and_then(|named| discovery::controller(&named, role).ok());
                known.into_iter().for_each(|controller| self.adopt(controller));
            }
        }
    }

    /// From now on this one is obeyed, behind those of the file.
    fn adopt(&mut self, controller: Controller) {
        let all = &mut self.world.configuration.controllers;
        if all.iter().any(|one| one.discovered.is_none() && one.endpoint == controller.endpoint) {
            return; // The operator has said how it is called.
        }
        let place = all.iter().position(|one| one.discovered.is_some()).unwrap_or(all.len());
        if all.get(place) == Some(&controller) {
            return;
        }
        if place >= CONTROLLERS_MAX {
            return warn!("{}: discovered, and there is no place for it", controller.endpoint);
        }
        info!("{}: discovered, {}", controller.endpoint, controller.transport);
        let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
        let peer = Peer::new(controller.clone(), &self.world.endpoint, &self.own);
        let before = all.get(place).map(|one| one.endpoint.clone());
        put(all, place, controller.clone());
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
    all.truncate(place);
    all.push(one);
}
