//! What a server's words do to our client.
//!
//! In:  an advertisement or a reply. Out: the next step, and what is held then.
//!
//! Pure, as `client.rs`, whose other half this is.
//!
//! Source: RFC 8415 §16.3, §16.10 (which messages are for us), §18.2.9 (advertisements), §18.2.10 (replies).

use super::chance::{Try, at};
use super::client::{Action, Actions, Client, REFUSED_MS, Step, add};
use super::grant::{Held, Words, says, worth};
use super::message::{Kind, Message, Status};
use crate::schedule::Moment;

/// What a server may make of SOL_MAX_RT and INF_MAX_RT, in seconds. Source: RFC 8415 §21.24, §21.25.
const MAX_S_RANGE: std::ops::RangeInclusive<u32> = 60..=86_400;
/// A server that wants to be taken at once. Source: RFC 8415 §18.2.1.
const AT_ONCE: u8 = 255;
/// When to ask for information again, where the server does not say, and at least, in seconds. Source: RFC 8415 §7.6.
const REFRESH_S: u32 = 86_400;
const REFRESH_S_MIN: u32 = 600;

impl Client {
    /// Takes in what a server said, where it is said to us and in our exchange.
    pub(super) fn hear(&mut self, message: &Message, now: Moment, actions: &mut Actions) {
        let Some(asked) = self.asked() else { return };
        if asked.xid != message.xid || message.client.as_ref() != Some(&self.duid) || message.server.is_none()
        {
            return;
        }
        // Whatever else it says. Source: RFC 8415 §18.2.9.
        let bound = |said: Option<u32>, now| said.filter(|said| MAX_S_RANGE.contains(said)).or(now);
        self.solicit_max_s = bound(message.solicit_max_s, self.solicit_max_s);
        self.inform_max_s = bound(message.inform_max_s, self.inform_max_s);
        match (message.kind, &self.step) {
            (Kind::Advertise, Step::Soliciting { .. }) => self.weigh(message, now, actions),
            (Kind::Reply, Step::Soliciting { .. }) => {
                if message.rapid && worth(message, &self.want) > 0 {
                    self.take(message, now.ms, actions);
                }
            }
            (Kind::Reply, Step::Requesting { .. }) => self.granted(message, now, actions),
            (Kind::Reply, Step::Renewing { .. } | Step::Rebinding { .. } | Step::Confirming { .. }) => {
                self.extended(message, now, actions);
            }
            (Kind::Reply, Step::Declining { .. }) => self.go_on(now, actions),
            (Kind::Reply, Step::Informing { .. }) => {
                self.words = Words::of(message);
                let refresh_s = message.refresh_s.unwrap_or(REFRESH_S).max(REFRESH_S_MIN);
                self.step = Step::Informed { due_ms: at(now.ms, refresh_s) };
                add(actions, Action::Changed);
            }
            (
                Kind::Solicit
                | Kind::Advertise
                | Kind::Request
                | Kind::Confirm
                | Kind::Renew
                | Kind::Rebind
                | Kind::Reply
                | Kind::Release
                | Kind::Decline
                | Kind::Information,
                _,
            ) => {}
        }
    }

    /// The question that we wait for an answer to.
    fn asked(&self) -> Option<Try> {
        match &self.step {
            Step::Soliciting { asked, .. }
            | Step::Requesting { asked, .. }
            | Step::Renewing { asked }
            | Step::Rebinding { asked }
            | Step::Confirming { asked }
            | Step::Declining { asked, .. }
            | Step::Informing { asked } => Some(*asked),
            Step::Down | Step::Idle | Step::Waiting { .. } | Step::Bound | Step::Informed { .. } => None,
        }
    }

    /// The best offer is the one that holds most of what we want, of those the most preferred, of those the first.
    ///
    /// After the first pause the first is taken, and before that one that wants to be. Source: RFC 8415 §18.2.1, §18.2.9.
    fn weigh(&mut self, offer: &Message, now: Moment, actions: &mut Actions) {
        let rank = |offer: &Message| (worth(offer, &self.want), offer.preference);
        let Step::Soliciting { asked, best } = &self.step else { return };
        if worth(offer, &self.want) == 0 || best.as_ref().is_some_and(|best| rank(best) >= rank(offer)) {
            return;
        }
        if asked.count > 1 || offer.preference == AT_ONCE {
            self.request(offer.clone(), now, actions);
        } else {
            self.step = Step::Soliciting { asked: *asked, best: Some(offer.clone()) };
        }
    }

    /// We hold what `message` grants, from now on: a question may have been asked for hours.
    fn take(&mut self, message: &Message, now_ms: u64, actions: &mut Actions) {
        let held = self.held.get_or_insert_default();
        held.take(message, &self.want, now_ms);
        self.hint = held.prefixes.first().map(|leased| leased.prefix).or(self.hint);
        self.step = Step::Bound;
        add(actions, Action::Changed);
    }

    /// The answer to a request.
    fn granted(&mut self, message: &Message, now: Moment, actions: &mut Actions) {
        if message.status == Some(Status::Failed) {
            return; // It is asked again. Source: RFC 8415 §18.2.10.
        }
        if worth(message, &self.want) > 0 {
            // A new grant: what another server's grant held runs out by itself.
            self.take(message, now.ms, actions);
        } else {
            self.begin(REFUSED_MS, now);
        }
    }

    /// The answer to a wish for more time.
    fn extended(&mut self, message: &Message, now: Moment, actions: &mut Actions) {
        if message.status == Some(Status::Failed) {
            return;
        }
        if says(message, &self.want, Status::NoBinding) {
            // It does not know of it: it is asked for it anew. Source: RFC 8415 §18.2.10.1.
            let mut offer = message.clone();
            offer.associations = Held::associations(self.held.as_ref(), &self.want, None);
            self.request(offer, now, actions);
            return;
        }
        if says(message, &self.want, Status::NotOnLink) {
            self.held = None;
            add(actions, Action::Changed);
            self.begin(0, now);
            return;
        }
        self.take(message, now.ms, actions);
        if self.held.as_ref().is_some_and(Held::is_empty) {
            self.held = None;
            self.begin(0, now);
        }
    }
}
