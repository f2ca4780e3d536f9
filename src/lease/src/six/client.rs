//! The life of what DHCPv6 leases us, as a table: event and moment → next step and actions.
//!
//! In:  what happened and when. Out: what to send, and whether something to be told has changed.
//!
//! This module is pure: no socket, no clock, no log. `wan.rs` does the work. Addresses and prefixes are asked for in one exchange. What
//! is held outlives a link that goes and comes; it is given up when it ends, or when a server says so.
//!
//! Not here: what is said (`question.rs`), what a server's words do (`answer.rs`), what is held (`grant.rs`), pauses (`chance.rs`), the form of what we send (`message.rs`).
//!
//! Source: RFC 8415 §18.2; RFC 9096 §3.1, §3.3 (a prefix is not released at the end, and asked for again after the link was away).

use std::net::Ipv6Addr;

use contract::prefix::Prefix;
use heapless::Vec;

use super::chance::{Pauses, Try, delay_ms};
use super::grant::{Held, Want, Words};
use super::message::{Association, Duid, Item, Kind, Message, Of};
use crate::message::VENDOR_BYTES;
use crate::schedule::{Moment, is_due};

/// Pauses, from the first to the longest. Source: RFC 8415 §7.6. Those of `Solicit` and of `Information` may be made longer by a server.
const REQUEST: Pauses = Pauses { first_ms: 1_000, longest_ms: 30_000 };
const CONFIRM: Pauses = Pauses { first_ms: 1_000, longest_ms: 4_000 };
const RENEW: Pauses = Pauses { first_ms: 10_000, longest_ms: 600_000 };
const REBIND: Pauses = RENEW;
const DECLINE: Pauses = Pauses { first_ms: 1_000, longest_ms: 1_000_000 };
const SOLICIT_MS: u64 = 1_000;
const INFORM_MS: u64 = 1_000;
/// SOL_MAX_RT and INF_MAX_RT, in seconds. Source: RFC 8415 §7.6.
const MAX_S: u32 = 3_600;
/// How often a request and a decline are sent. Source: RFC 8415 §7.6, REQ_MAX_RC, DEC_MAX_RC.
const REQUESTS: u32 = 10;
const DECLINES: u32 = 4;
/// For how long we ask for the old after the link came back, in milliseconds. Source: RFC 8415 §7.6, CNF_MAX_RD.
const CONFIRM_MS: u64 = 10_000;
/// A wait before the first question. Source: RFC 8415 §7.6, SOL_MAX_DELAY, INF_MAX_DELAY.
const DELAY_MS: u64 = 1_000;
/// A wait after a server took back what it had offered, in milliseconds: no endless circle.
pub(super) const REFUSED_MS: u64 = 10_000;

/// Where we are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Step {
    /// The link has no carrier.
    #[default]
    Down,
    /// There is nothing to ask for.
    Idle,
    /// Soon we ask.
    Waiting {
        /// When.
        due_ms: u64,
    },
    /// We asked who is there.
    Soliciting {
        /// The question.
        asked: Try,
        /// The best answer so far.
        best: Option<Message>,
    },
    /// We took an offer, or ask a server for what it has forgotten.
    Requesting {
        /// The request.
        asked: Try,
        /// What was offered.
        offer: Message,
    },
    /// We hold something.
    Bound,
    /// We asked its server for more time.
    Renewing {
        /// The question.
        asked: Try,
    },
    /// We ask any server for more time.
    Rebinding {
        /// The question.
        asked: Try,
    },
    /// The link came back, and we ask whether what we hold is still good here.
    Confirming {
        /// The question.
        asked: Try,
    },
    /// Somebody has an address that we were given.
    Declining {
        /// Its times.
        asked: Try,
        /// The word.
        word: Message,
    },
    /// We asked for words only.
    Informing {
        /// The question.
        asked: Try,
    },
    /// We have them.
    Informed {
        /// When to ask again.
        due_ms: Option<u64>,
    },
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The link has a carrier.
    Up,
    /// It has none.
    Down,
    /// Time has passed; perhaps something is due.
    Time,
    /// Something else is wanted.
    Want(Want),
    /// A server spoke.
    Heard(Message),
    /// Somebody else has this address.
    Conflict(Ipv6Addr),
    /// Nothing is wanted any more: what is held is given back.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Send(Message),
    /// What we hold, or its times, are others: tell `network`.
    Changed,
}

/// Everything that one event can ask for.
pub type Actions = Vec<Action, 4>;

/// The client of one link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Who we are.
    pub duid: Duid,
    /// More of that, in option 17; empty: nobody is told.
    pub device: Vec<u8, VENDOR_BYTES>,
    /// What we want.
    pub(super) want: Want,
    pub(super) step: Step,
    pub(super) held: Option<Held>,
    /// Words that came without a lease.
    pub(super) words: Words,
    /// A prefix that we had in an earlier life.
    pub(super) hint: Option<Prefix>,
    pub(super) solicit_max_s: Option<u32>,
    pub(super) inform_max_s: Option<u32>,
}

impl Client {
    /// A prefix that we had in an earlier life is asked for first.
    pub fn remember(&mut self, hint: Option<Prefix>) {
        self.hint = self.hint.or(hint);
    }

    /// What we hold.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// What servers said beside.
    #[must_use]
    pub fn words(&self) -> &Words {
        self.held.as_ref().map_or(&self.words, |held| &held.words)
    }

    /// A word for a person.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.step {
            Step::Down => "DOWN",
            Step::Idle => "IDLE",
            Step::Waiting { .. } => "INIT",
            Step::Soliciting { .. } => "SOLICITING",
            Step::Requesting { .. } => "REQUESTING",
            Step::Bound => "BOUND",
            Step::Renewing { .. } => "RENEWING",
            Step::Rebinding { .. } => "REBINDING",
            Step::Confirming { .. } => "CONFIRMING",
            Step::Declining { .. } => "DECLINING",
            Step::Informing { .. } => "INFORMING",
            Step::Informed { .. } => "INFORMED",
        }
    }

    /// When [`Event::Time`] has something to do, in milliseconds after boot. `None`: never.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let held = self.held.as_ref();
        let step = match &self.step {
            Step::Down | Step::Idle => None,
            Step::Waiting { due_ms } => Some(*due_ms),
            Step::Soliciting { asked, .. }
            | Step::Requesting { asked, .. }
            | Step::Rebinding { asked }
            | Step::Confirming { asked }
            | Step::Declining { asked, .. }
            | Step::Informing { asked } => Some(asked.due_ms),
            Step::Bound => held.and_then(|held| held.renew_ms),
            Step::Renewing { asked } => {
                let rebind_ms = held.and_then(|held| held.rebind_ms);
                rebind_ms.into_iter().chain([asked.due_ms]).min()
            }
            Step::Informed { due_ms } => *due_ms,
        };
        step.into_iter().chain(held.and_then(Held::end_ms)).min()
    }

    /// Takes in what happens. What has ended is given up first, so no event can keep it past its end.
    pub fn next(&mut self, event: Event, now: Moment) -> Actions {
        let mut actions = Actions::new();
        self.expire(now, &mut actions);
        match event {
            Event::Up => self.up(now, &mut actions),
            Event::Down => self.step = Step::Down,
            Event::Time => {
                if is_due(self.due_ms(), now.ms) {
                    self.due(now, &mut actions);
                }
            }
            Event::Want(want) => self.change(want, now, &mut actions),
            Event::Heard(message) => self.hear(&message, now, &mut actions),
            Event::Conflict(address) => self.conflict(address, now, &mut actions),
            Event::Stop => {
                self.release(now, &mut actions);
                (self.want, self.step) = (Want::default(), Step::Idle);
            }
        }
        actions
    }

    fn expire(&mut self, now: Moment, actions: &mut Actions) {
        let Some(held) = &mut self.held else { return };
        if held.expire(now.ms) {
            add(actions, Action::Changed);
        }
        if held.is_empty() {
            self.held = None;
            if matches!(
                self.step,
                Step::Bound | Step::Renewing { .. } | Step::Rebinding { .. } | Step::Confirming { .. }
            ) {
                self.begin(0, now);
            }
        }
    }

    fn up(&mut self, now: Moment, actions: &mut Actions) {
        if self.step != Step::Down {
            return;
        }
        if self.held.is_some() {
            // With a prefix, a rebind takes the place of the confirmation. Source: RFC 8415 §18.2.12.
            let asked = Try::first(CONFIRM, now);
            self.say(Kind::Rebind, &asked, now, actions);
            self.step = Step::Confirming { asked };
        } else {
            self.begin(delay_ms(DELAY_MS, now), now);
        }
    }

    /// Looks for servers after `after_ms`, where anything is wanted.
    pub(super) fn begin(&mut self, after_ms: u64, now: Moment) {
        let asks = self.want.leases() || self.want.words;
        let due_ms = now.ms.saturating_add(after_ms);
        self.step = if asks { Step::Waiting { due_ms } } else { Step::Idle };
    }

    fn change(&mut self, want: Want, now: Moment, actions: &mut Actions) {
        let before = std::mem::replace(&mut self.want, want);
        if before == want {
            return;
        }
        if !want.leases() && self.held.is_some() {
            self.want = before;
            self.release(now, actions);
            self.want = want;
        }
        let more = (want.address && !before.address) || (want.prefix && !before.prefix);
        match self.step {
            Step::Down => {}
            // Its server may have it too.
            Step::Bound if more => self.renew(now, actions),
            Step::Bound
            | Step::Requesting { .. }
            | Step::Renewing { .. }
            | Step::Rebinding { .. }
            | Step::Confirming { .. }
            | Step::Declining { .. }
                if self.held.is_some() => {}
            Step::Idle
            | Step::Waiting { .. }
            | Step::Soliciting { .. }
            | Step::Requesting { .. }
            | Step::Bound
            | Step::Renewing { .. }
            | Step::Rebinding { .. }
            | Step::Confirming { .. }
            | Step::Declining { .. }
            | Step::Informing { .. }
            | Step::Informed { .. } => self.begin(delay_ms(DELAY_MS, now), now),
        }
    }

    /// Gives back what is held; said once, as nobody waits for the answer.
    fn release(&mut self, now: Moment, actions: &mut Actions) {
        if self.held.is_none() {
            return;
        }
        if self.step != Step::Down {
            self.say(Kind::Release, &Try::first(REQUEST, now), now, actions);
        }
        self.held = None;
        add(actions, Action::Changed);
    }

    fn solicit_pauses(&self) -> Pauses {
        let longest_s = self.solicit_max_s.unwrap_or(MAX_S);
        Pauses { first_ms: SOLICIT_MS, longest_ms: u64::from(longest_s) * 1_000 }
    }

    fn inform_pauses(&self) -> Pauses {
        let longest_s = self.inform_max_s.unwrap_or(MAX_S);
        Pauses { first_ms: INFORM_MS, longest_ms: u64::from(longest_s) * 1_000 }
    }

    fn due(&mut self, now: Moment, actions: &mut Actions) {
        match std::mem::take(&mut self.step) {
            Step::Down => {}
            Step::Idle => self.step = Step::Idle,
            Step::Waiting { .. } => self.look(now, actions),
            Step::Soliciting { best: Some(offer), .. } => self.request(offer, now, actions),
            Step::Soliciting { asked, best: None } => {
                let asked = asked.again(self.solicit_pauses(), now);
                self.say(Kind::Solicit, &asked, now, actions);
                self.step = Step::Soliciting { asked, best: None };
            }
            Step::Requesting { asked, .. } if asked.count >= REQUESTS => self.look(now, actions),
            Step::Requesting { asked, offer } => {
                let asked = asked.again(REQUEST, now);
                self.say_request(&asked, &offer, now, actions);
                self.step = Step::Requesting { asked, offer };
            }
            Step::Bound => self.renew(now, actions),
            Step::Renewing { asked } => {
                if is_due(self.held.as_ref().and_then(|held| held.rebind_ms), now.ms) {
                    let asked = Try::first(REBIND, now);
                    self.say(Kind::Rebind, &asked, now, actions);
                    self.step = Step::Rebinding { asked };
                } else {
                    let asked = asked.again(RENEW, now);
                    self.say(Kind::Renew, &asked, now, actions);
                    self.step = Step::Renewing { asked };
                }
            }
            Step::Rebinding { asked } => {
                let asked = asked.again(REBIND, now);
                self.say(Kind::Rebind, &asked, now, actions);
                self.step = Step::Rebinding { asked };
            }
            // Nobody knows of it: we look for a server, and still hold it.
            Step::Confirming { asked } if now.ms >= asked.began_ms.saturating_add(CONFIRM_MS) => {
                self.look(now, actions)
            }
            Step::Confirming { asked } => {
                let asked = asked.again(CONFIRM, now);
                self.say(Kind::Rebind, &asked, now, actions);
                self.step = Step::Confirming { asked };
            }
            Step::Declining { asked, .. } if asked.count >= DECLINES => self.go_on(now, actions),
            Step::Declining { asked, mut word } => {
                let asked = asked.again(DECLINE, now);
                word.elapsed = Some(asked.elapsed(now.ms));
                add(actions, Action::Send(word.clone()));
                self.step = Step::Declining { asked, word };
            }
            Step::Informing { asked } => {
                let asked = asked.again(self.inform_pauses(), now);
                self.say(Kind::Information, &asked, now, actions);
                self.step = Step::Informing { asked };
            }
            Step::Informed { .. } => self.look(now, actions),
        }
    }

    /// Asks who is there.
    pub(super) fn look(&mut self, now: Moment, actions: &mut Actions) {
        let pauses = if self.want.leases() { self.solicit_pauses() } else { self.inform_pauses() };
        let asked = Try::first(pauses, now);
        if self.want.leases() {
            self.say(Kind::Solicit, &asked, now, actions);
            self.step = Step::Soliciting { asked, best: None };
        } else if self.want.words {
            self.say(Kind::Information, &asked, now, actions);
            self.step = Step::Informing { asked };
        } else {
            self.step = Step::Idle;
        }
    }

    fn renew(&mut self, now: Moment, actions: &mut Actions) {
        let asked = Try::first(RENEW, now);
        self.say(Kind::Renew, &asked, now, actions);
        self.step = Step::Renewing { asked };
    }

    pub(super) fn request(&mut self, offer: Message, now: Moment, actions: &mut Actions) {
        let asked = Try::first(REQUEST, now);
        self.say_request(&asked, &offer, now, actions);
        self.step = Step::Requesting { asked, offer };
    }

    /// After an address was declined: the same server may give another.
    pub(super) fn go_on(&mut self, now: Moment, actions: &mut Actions) {
        if self.held.is_some() { self.renew(now, actions) } else { self.begin(REFUSED_MS, now) }
    }

    fn conflict(&mut self, address: Ipv6Addr, now: Moment, actions: &mut Actions) {
        if self.step == Step::Down {
            return;
        }
        let asked = Try::first(DECLINE, now);
        let Some(held) = &mut self.held else { return };
        let Some(its) = held.addresses.iter().find(|leased| leased.address() == address).copied() else {
            return;
        };
        let mut word = Message::new(Kind::Decline, asked.xid);
        (word.client, word.server) = (Some(self.duid.clone()), Some(held.server.clone()));
        word.elapsed = Some(0);
        let mut association = Association::new(Of::Addresses, self.want.id);
        association.items = Vec::from_iter([Item { prefix: its.prefix, preferred_s: 0, valid_s: 0 }]);
        word.associations = Vec::from_iter([association]);
        held.addresses.retain(|leased| leased.address() != address);
        if held.is_empty() {
            self.held = None;
        }
        add(actions, Action::Send(word.clone()));
        add(actions, Action::Changed);
        self.step = Step::Declining { asked, word };
    }
}

/// No event asks for more than there is room for.
pub(super) fn add(actions: &mut Actions, action: Action) {
    let _fits = actions.push(action);
}
