//! Orders to other rooms, and the ends of commands that took their time.
//!
//! Not here: operations on bundles (`jobs.rs`), on slices (`rental.rs`).

use contract::control::State;
use log::warn;
use usp::Code;

use super::Room;
use crate::answer::First;
use crate::model::Order;
use crate::world::Request;

/// How a command has ended: what it says, or why it is not done.
pub(super) type Ended = Result<Vec<(&'static str, String)>, (Code, String)>;

impl Room {
    /// Orders that have to be carried out before a controller hears that they are.
    pub(super) fn give_first(&mut self, first: First, now_ms: u64) -> Result<(), String> {
        for order in &first.orders {
            let given = match order {
                Order::Network(wanted, controller) => self.try_network(wanted, *controller, now_ms),
                Order::RunLevel(slice, level) => {
                    self.set_run_level(slice, *level, now_ms);
                    Ok(())
                }
                Order::Reboot
                | Order::Start(_)
                | Order::Stop(_)
                | Order::Restart(_)
                | Order::Cancel(_)
                | Order::Collect(_)
                | Order::Bundle(..)
                | Order::Rent(..)
                | Order::Roles(..)
                | Order::Release(_)
                | Order::Autostart(..)
                | Order::Restarts(..)
                | Order::Drop(..)
                | Order::OnBoard(_)
                | Order::EndSession(_)
                | Order::Reconnect(_)
                | Order::Certify(_)
                | Order::Refused(_)
                | Order::Says(_)
                | Order::Log(_)
                | Order::Timer(_)
                | Order::Challenge(_)
                | Order::RestartSlice(..)
                | Order::Empty(..) => self.rooms.give(order, now_ms).map_err(|(_, why)| why),
            };
            if given.is_err() {
                first.undo(&mut self.world);
                return given;
            }
        }
        Ok(())
    }

    pub(super) fn give(&mut self, request: Option<u32>, order: Order, now_ms: u64) {
        if let (Some(row), Order::Bundle(_, fault)) = (request, &order) {
            if let Some((end, words)) = fault {
                self.end_job(row, *end, (*words).to_owned(), now_ms);
            }
            return;
        }
        // Those on slices are begun when they are on the disk.
        if matches!(order, Order::Rent(..) | Order::Release(_)) || self.does_itself(&order, now_ms) {
            return;
        }
        if let Order::Certify(given) = &order {
            let end = self.certify(given.as_deref()).map_err(|why| (Code::COMMAND_FAILURE, why));
            if let Some(row) = request {
                self.end(row, end, now_ms);
            }
            return;
        }
        if let Order::Roles(slice, roles) = &order {
            self.set_roles(slice, roles.clone());
            request.into_iter().for_each(|row| self.end(row, Ok(Vec::new()), now_ms));
            return;
        }
        let outcome = if let Order::RestartSlice(slice, why) = &order {
            self.restart_slice(slice, why, now_ms)
        } else {
            self.rooms.give(&order, now_ms)
        };
        let Some(row) = request else {
            if let Err((_, reason)) = outcome {
                warn!("an order was not taken: {reason}");
            }
            return;
        };
        if let Err(reason) = outcome {
            self.end(row, Err(reason), now_ms);
            return;
        }
        if let Some(request) = self.world.request_mut(row) {
            request.begun = true;
        }
        // It may be there already.
        self.asked_ms = 0;
        self.refresh(now_ms);
        self.done_at_once(row, order, now_ms);
    }

    /// What a room does at once has ended by now; the rest is waited for.
    fn done_at_once(&mut self, row: u32, order: Order, now_ms: u64) {
        match order {
            Order::RestartSlice(..) => self.end(row, Ok(Vec::new()), now_ms),
            Order::Rent(..)
            | Order::Release(_)
            | Order::Roles(..)
            | Order::Reboot
            | Order::Start(_)
            | Order::Stop(_)
            | Order::Restart(_)
            | Order::Cancel(_)
            | Order::Collect(_)
            | Order::Bundle(..)
            | Order::Autostart(..)
            | Order::Restarts(..)
            | Order::Drop(..)
            | Order::RunLevel(..)
            | Order::OnBoard(_)
            | Order::EndSession(_)
            | Order::Reconnect(_)
            | Order::Network(..)
            | Order::Certify(_)
            | Order::Refused(_)
            | Order::Says(_)
            | Order::Log(_)
            | Order::Timer(_)
            | Order::Challenge(_)
            | Order::Empty(..) => {}
        }
    }

    /// Asks for a certificate, or takes one; what it says.
    fn certify(&mut self, given: Option<&str>) -> Result<Vec<(&'static str, String)>, String> {
        let Some(text) = given else { return Ok(vec![("Request", self.own.request()?)]) };
        self.own.enrol(text)?;
        if let Some((_, certificate)) = self.own.who() {
            self.world.certificate = certificate;
        }
        Ok(Vec::new())
    }

    /// What no other room has to do is done here. `false`: another has.
    fn does_itself(&mut self, order: &Order, now_ms: u64) -> bool {
        let place = |row: u32| usize::try_from(row).unwrap_or(0).saturating_sub(1);
        match order {
            Order::OnBoard(row) => {
                let said = self.world.settings.controllers.get_mut(place(*row));
                said.into_iter().for_each(|said| said.onboarded = false);
                self.kept.dirty = true;
                self.onboarding.again(*row);
            }
            Order::EndSession(row) => {
                let peer = self.peers.get_mut(place(*row));
                peer.into_iter().for_each(|peer| peer.end_session(now_ms));
            }
            Order::Reconnect(row) => {
                let peer = self.peers.get_mut(place(*row));
                peer.into_iter().for_each(|peer| peer.reconnect(now_ms));
            }
            Order::RunLevel(slice, level) => self.set_run_level(slice, *level, now_ms),
            Order::Collect(profile) => self.bulk.force(*profile, now_ms),
            Order::Reboot
            | Order::Start(_)
            | Order::Stop(_)
            | Order::Restart(_)
            | Order::Cancel(_)
            | Order::Bundle(..)
            | Order::Rent(..)
            | Order::Roles(..)
            | Order::Release(_)
            | Order::Autostart(..)
            | Order::Restarts(..)
            | Order::Drop(..)
            | Order::Network(..)
            | Order::Refused(_)
            | Order::Says(_)
            | Order::Log(_)
            | Order::Timer(_)
            | Order::Challenge(_)
            | Order::Certify(_)
            | Order::RestartSlice(..)
            | Order::Empty(..) => return false,
        }
        true
    }

    /// A controller takes a command back.
    pub(super) fn cancel(&mut self, row: u32, now_ms: u64) {
        if self.world.request(row).is_some_and(|request| request.job.is_some()) {
            self.cancel_job(row, now_ms);
        } else if self.world.request(row).is_some_and(|request| request.slice.is_some()) {
            self.cancel_slice(row, now_ms);
        } else {
            self.end(row, Err((Code::COMMAND_CANCELED, "canceled by a controller".to_owned())), now_ms);
        }
    }

    /// A command that took its time has ended.
    pub(super) fn end(&mut self, row: u32, end: Ended, now_ms: u64) {
        let Some(place) = self.world.requests.iter().position(|request| request.row == row) else { return };
        let request = self.world.requests.remove(place);
        self.stale = true;
        // What we have asked ourselves, to empty a slice, nobody waits for.
        if request.originator == 0 {
            return;
        }
        let end = end.as_ref().map(Vec::as_slice).map_err(Clone::clone);
        self.news.complete(&self.world, (&request.command, &request.key), end, (true, now_ms));
    }

    pub(super) fn finish_requests(&mut self, now_ms: u64) {
        self.empty_slices(now_ms);
        let now_s = self.world.facts.now_s;
        for request in &mut self.world.requests {
            if let Some(timer) = &mut request.timer {
                timer.hear_clock(now_s, now_ms);
                request.until_ms = timer.until_ms();
            }
        }
        let is_short = |one: &&Request| one.job.is_none() && one.empties.is_none() && one.slice.is_none();
        let all = self.world.requests.iter().filter(is_short);
        let ended: Vec<(u32, Ended)> =
            all.filter_map(|one| Some((one.row, self.ended(one, now_ms)?))).collect();
        for (row, end) in ended {
            self.end(row, end, now_ms);
        }
    }

    /// Whether a command has ended, and how.
    fn ended(&self, request: &Request, now_ms: u64) -> Option<Ended> {
        let fail = |words: String| Some(Err((Code::COMMAND_FAILURE, words)));
        if request.timer.is_some() {
            return (now_ms >= request.until_ms).then(|| Ok(Vec::new()));
        }
        let Some((name, wanted)) = request.unit.as_ref().filter(|_| request.begun) else {
            // It was cut off before it was given, or before its end was told.
            return (now_ms >= request.until_ms)
                .then(|| Err((Code::COMMAND_FAILURE, "it was interrupted".to_owned())));
        };
        let process = self.world.facts.processes.iter().find(|process| process.name == *name);
        match (process.map(|process| process.state), wanted) {
            (Some(State::Up), true) | (Some(State::Down), false) => Some(Ok(Vec::new())),
            (Some(State::Failed), true) => {
                let reason = process.map(|process| process.reason.to_string()).unwrap_or_default();
                fail(format!("{name}: {reason}"))
            }
            // Before the first answer nothing is known.
            (None, _) if self.world.facts.processes.is_empty() && now_ms < request.until_ms => None,
            (None, _) => fail(format!("{name}: it is not there any more")),
            (Some(_), _) if now_ms >= request.until_ms => fail(format!("{name}: not within a minute")),
            (Some(_), _) => None,
        }
    }
}
