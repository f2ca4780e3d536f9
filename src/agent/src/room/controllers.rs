//! Controllers, each in its turn: they come, ask, are answered, hear news.
//!
//! In:  messages. Out: answers; orders for other rooms; questions to services that bring a part of the tree.

use usp::{GATEWAY, Msg};

use super::Room;
use crate::answer::{Outcome, answer, broken, failed, needs_network, refused};
use crate::broker::cut::cut;
use crate::model::Order;
use crate::peer::{Heard, Way};
use crate::settings::Said;

/// What is left to do when an answer is on its way.
#[derive(Default)]
pub(super) struct After {
    orders: Vec<(Option<u32>, Order)>,
    delivered: Option<String>,
    changed: bool,
    canceled: Vec<u32>,
}

impl Room {
    /// Controllers that come by themselves.
    pub(super) fn let_in(&mut self, now_ms: u64) {
        let (controllers, services) = self.doors.turn(&self.world, now_ms);
        for came in services {
            self.broker.take(&mut self.world, came, now_ms);
        }
        for came in controllers {
            let place = came.place;
            let Some(peer) = self.peers.get_mut(place) else { continue };
            peer.take(came, now_ms);
            self.look_at_link(place);
            self.news.hurry(u32::try_from(place).unwrap_or(0).saturating_add(1), now_ms);
        }
    }

    /// One controller's turn.
    pub(super) fn attend(&mut self, place: usize, now_ms: u64) {
        let row = u32::try_from(place).unwrap_or(0).saturating_add(1);
        let Some(said) = self.world.settings.controllers.get(place).cloned() else { return };
        let Some(peer) = self.peers.get_mut(place) else { return };
        let (up, heard) = peer.turn(&said, (&self.bell.1, now_ms));
        if up {
            self.news.hurry(row, now_ms);
        }
        // Rights that have come with a certificate count for the first message, too.
        self.look_at_link(place);
        for Heard { message, way, .. } in heard {
            match Msg::decode(&message, &GATEWAY) {
                Ok(message) => self.hear(row, &message, (&way, &said), now_ms),
                Err(why) => self.answer(place, broken(&message, &why), (&way, &said), now_ms),
            }
        }
        self.look_at_link(place);
    }

    /// How it stands with a controller, for the tree.
    fn look_at_link(&mut self, place: usize) {
        if let (Some(peer), Some(link)) = (self.peers.get(place), self.world.links.get_mut(place)) {
            let now = peer.link();
            link.traffic = now.traffic; // it moves with every packet, and that is no news
            self.stale |= *link != now;
            *link = now;
        }
    }

    /// A message of the controller in `row`.
    fn hear(&mut self, row: u32, message: &Msg<'_>, (way, said): (&Way, &Said), now_ms: u64) {
        let place = usize::try_from(row).unwrap_or(0).saturating_sub(1);
        self.refresh(now_ms);
        match cut(&self.world, row, message) {
            None => {
                let first = self.world.next_request;
                let (answer, after) = self.obey(row, message, now_ms);
                // A timer that was promised is on the disk: no other room knows of it.
                if self.world.requests.iter().any(|one| one.row >= first && one.timer.is_some()) {
                    self.keep_journal();
                }
                self.answer(place, answer, (way, said), now_ms);
                self.follow(row, after, now_ms);
            }
            Some(Err(why)) => self.answer(place, Some(failed(message, why)), (way, said), now_ms),
            Some(Ok(cut)) => {
                let answer = self.ask_services((row, way), (message, cut), now_ms);
                self.answer(place, answer, (way, said), now_ms);
            }
        }
    }

    fn answer(
        &mut self,
        place: usize,
        answer: Option<Msg<'static>>,
        (way, said): (&Way, &Said),
        now_ms: u64,
    ) {
        let Some(peer) = self.peers.get_mut(place) else { return };
        if let Some(answer) = answer {
            peer.answer(answer.encode(), way, said);
        }
        peer.push(now_ms);
    }

    /// What is asked of the gateway's own tree is done; the answer.
    pub(super) fn obey(&mut self, row: u32, message: &Msg<'_>, now_ms: u64) -> (Option<Msg<'static>>, After) {
        if needs_network(message) {
            self.look_at_network(now_ms);
        }
        let outcome = answer(&mut self.world, row, message, now_ms);
        let Outcome { mut answer, orders, first, delivered, changed, logs, drops, canceled } = outcome;
        if let Some(Err(why)) = first.map(|first| self.give_first(first, now_ms)) {
            answer = Some(refused(message, &why));
        }
        self.read_logs(answer.as_mut(), logs, now_ms);
        self.drop_volumes(answer.as_mut(), drops, now_ms);
        self.stale |= !orders.is_empty();
        if changed || std::mem::take(&mut self.stale) {
            // A subscription's first look comes before what the next message changes.
            self.news.look(&self.world, now_ms);
            self.look_at_thresholds(true, now_ms);
            self.kept.dirty |= changed;
            if changed {
                self.tenants.tell(&self.world);
                self.bulk.set(&self.world, now_ms);
            }
        }
        (answer, After { orders, delivered, changed, canceled })
    }

    /// What comes after an answer: it is on its way before anything ends.
    pub(super) fn follow(&mut self, row: u32, after: After, now_ms: u64) {
        if after.changed {
            self.end_sessions(now_ms);
        }
        if let Some(id) = after.delivered {
            self.news.delivered(row, &id);
        }
        for request in after.canceled {
            self.cancel(request, now_ms);
        }
        for (request, order) in after.orders {
            self.give(request, order, now_ms);
        }
    }

    /// Sessions that are not allowed any more.
    pub(super) fn end_sessions(&mut self, now_ms: u64) {
        for (said, peer) in self.world.settings.controllers.iter().zip(&mut self.peers) {
            if !said.session {
                peer.end_session(now_ms);
            }
        }
    }

    pub(super) fn send_news(&mut self, now_ms: u64) {
        if self.news.is_empty() {
            return;
        }
        let mut random = [0; 4];
        let _ = sys::entropy::random(&mut random);
        for (row, peer) in (1..).zip(&mut self.peers) {
            let place = usize::try_from(row - 1).unwrap_or(0);
            let Some(said) = self.world.settings.controllers.get(place) else { continue };
            let due = self.news.due(&self.world, row, peer.is_up(), (now_ms, u32::from_ne_bytes(random)));
            for message in due {
                peer.tell(message, said);
            }
            peer.push(now_ms);
        }
    }
}
