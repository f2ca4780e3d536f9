//! Operations on slices: asked of the supervisor, one at a time, and what controllers are told of their ends.
//!
//! In:  what the supervisor says. Out: steps of `rental.rs`; OperationComplete, once.
//!
//! Source: TR-181 2.19.1, `AddExecEnv()`, `ModifyConstraints()`, `Remove()`.

use contract::control::{Answer, Ask};
use contract::limit::REASON_BYTES;
use contract::{Name, Text};
use usp::Code;

use super::Room;
use super::orders::Ended;
use crate::model::environment_path;
use crate::rental::{Act, End, Event, Phase, Wish, next};

/// How soon a supervisor that is not there is asked again, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// Why it was not done.
type Why = (Code, String);

fn why(code: Code, words: &Text<REASON_BYTES>) -> Option<Why> {
    Some((code, words.to_string()))
}

impl Room {
    /// What the supervisor has said of the one that it was asked.
    pub(super) fn hear_slices(&mut self, now_ms: u64) {
        let Some((row, answer)) = self.rooms.ordered() else { return };
        let refused = match answer {
            None => return self.step_slice(row, Event::Gone, None, now_ms),
            Some(Answer::Refused(words)) => why(Code::COMMAND_FAILURE, &words),
            Some(Answer::Short(words)) => why(Code::SYSTEM_RESOURCES_EXCEEDED, &words),
            Some(
                Answer::Done
                | Answer::Process(_)
                | Answer::Gone(_)
                | Answer::Facts(_)
                | Answer::Layer(_)
                | Answer::Promised(_)
                | Answer::Compliance(_)
                | Answer::Event(_)
                | Answer::Log { .. },
            ) => None,
        };
        // What is rented is another by now.
        self.asked_ms = 0;
        self.refresh(now_ms);
        let slice = self.wish(row).map(|(wish, _)| wish.slice().clone());
        let is_there = slice.is_some_and(|slice| self.is_rented(&slice));
        let event = if refused.is_none() { Event::Done } else { Event::Refused { is_there } };
        self.step_slice(row, event, refused, now_ms);
    }

    fn is_rented(&self, slice: &Name) -> bool {
        self.world.facts.promised.iter().any(|one| one.slice.as_ref() == Some(slice))
    }

    fn wish(&self, row: u32) -> Option<&(Wish, Phase)> {
        self.world.request(row)?.slice.as_ref()
    }

    /// The eldest that waits is asked, where nothing is under way. It is on the disk by now.
    pub(super) fn begin_slices(&mut self, now_ms: u64) {
        let late = self.world.requests.iter().filter(|one| one.slice.is_some() && now_ms >= one.until_ms);
        for row in late.map(|one| one.row).collect::<Vec<_>>() {
            let words = (Code::COMMAND_FAILURE, "not within a day".to_owned());
            self.step_slice(row, Event::Late, Some(words), now_ms);
        }
        if self.slices_due_ms().is_some_and(|due_ms| due_ms <= now_ms)
            && let Some(row) = self.slice_that_waits()
        {
            self.step_slice(row, Event::Room, None, now_ms);
        }
    }

    fn slice_that_waits(&self) -> Option<u32> {
        let waits = |(_, phase): &(Wish, Phase)| matches!(phase, Phase::Waiting | Phase::Lost);
        let found = self.world.requests.iter().find(|one| one.slice.as_ref().is_some_and(waits));
        found.map(|one| one.row)
    }

    /// When the next one is asked, in milliseconds after boot.
    pub(super) fn slices_due_ms(&self) -> Option<u64> {
        let is_free = self.rooms.has_room() && self.slice_that_waits().is_some();
        is_free.then_some(self.slices_look_ms)
    }

    /// A controller takes it back.
    pub(super) fn cancel_slice(&mut self, row: u32, now_ms: u64) {
        if let Some(request) = self.world.request_mut(row) {
            request.canceled = true;
        }
        let words = (Code::COMMAND_CANCELED, "canceled by a controller".to_owned());
        self.step_slice(row, Event::Cancel, Some(words), now_ms);
    }

    fn step_slice(&mut self, row: u32, event: Event, why: Option<Why>, now_ms: u64) {
        let Some((wish, phase)) = self.world.request_mut(row).and_then(|one| one.slice.as_mut()) else {
            return;
        };
        let (after, act) = next(matches!(wish, Wish::Release(_)), *phase, event);
        *phase = after;
        let wish = wish.clone();
        match act {
            Act::Rest if after == Phase::Lost => {
                self.slices_look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
            }
            Act::Rest => {}
            Act::Ask => {
                let ask = match wish {
                    Wish::Rent(slice, _) => Ask::Rent(slice),
                    Wish::Release(name) => Ask::Release(name),
                };
                if self.rooms.order(row, &ask).is_err() {
                    self.step_slice(row, Event::Gone, None, now_ms);
                }
            }
            Act::End(End::Good) => {
                let end = self.is_done(wish);
                self.end(row, Ok(end), now_ms);
            }
            Act::End(End::Refused | End::Canceled | End::Late) => {
                self.rooms.forget_order(row);
                let why = why.unwrap_or((Code::COMMAND_FAILURE, String::new()));
                let end: Ended = Err(why);
                self.end(row, end, now_ms);
            }
        }
    }

    /// It is so: what goes with it, and what is said of it.
    fn is_done(&mut self, wish: Wish) -> Vec<(&'static str, String)> {
        match wish {
            Wish::Rent(slice, roles) => {
                roles.into_iter().for_each(|roles| self.set_roles(&slice.name, roles));
                vec![("ExecEnvRef", environment_path(&self.world, &slice.name))]
            }
            Wish::Release(slice) => {
                self.set_roles(&slice, Vec::new());
                Vec::new()
            }
        }
    }
}
