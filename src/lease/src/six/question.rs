//! What our client says to servers.
//!
//! In:  a client, an exchange, a moment. Out: a message.
//!
//! Pure, as `client.rs`, whose third part this is.
//!
//! Source: RFC 8415 §18.2.1 to §18.2.7 (what is in which message), §21.7 (what is asked for).

use contract::limit::IPV6_PREFIXES;
use heapless::Vec;

use super::chance::Try;
use super::client::{Action, Actions, Client, add};
use super::grant::Held;
use super::message::{Kind, Message, code};
use crate::schedule::Moment;

impl Client {
    /// Says `kind` about what we hold, or about what we would like to have.
    pub(super) fn say(&self, kind: Kind, asked: &Try, now: Moment, actions: &mut Actions) {
        let mut message = Message::new(kind, asked.xid);
        message.client = Some(self.duid.clone());
        message.elapsed = Some(asked.elapsed(now.ms));
        let held = self.held.as_ref();
        if matches!(kind, Kind::Renew | Kind::Release) {
            message.server = held.map(|held| held.server.clone());
        }
        if kind != Kind::Information {
            let hint = self.hint.filter(|_| kind == Kind::Solicit);
            message.associations = Held::associations(held, &self.want, hint);
        }
        message.rapid = kind == Kind::Solicit;
        if kind != Kind::Release {
            message.wanted = wanted(kind, self.want.usp);
            message.asks_for_controller = self.want.usp;
            message.device.clone_from(&self.device);
        }
        add(actions, Action::Send(message));
    }

    /// Takes `offer`, or asks its server for what we hold and it has forgotten.
    pub(super) fn say_request(&self, asked: &Try, offer: &Message, now: Moment, actions: &mut Actions) {
        let mut message = Message::new(Kind::Request, asked.xid);
        (message.client, message.server) = (Some(self.duid.clone()), offer.server.clone());
        message.elapsed = Some(asked.elapsed(now.ms));
        message.wanted = wanted(Kind::Request, self.want.usp);
        message.asks_for_controller = self.want.usp;
        message.device.clone_from(&self.device);
        message.associations = Held::associations(None, &self.want, None);
        for association in &mut message.associations {
            let offered = offer.associations.iter().filter(|offered| self.want.holds(offered));
            let offered = offered.filter(|offered| offered.of == association.of);
            let items = offered.flat_map(|offered| offered.items.iter().copied());
            association.items = items.take(IPV6_PREFIXES).collect();
        }
        add(actions, Action::Send(message));
    }
}

/// What a question asks for beside addresses. Source: RFC 8415 §21.7, §21.24, §21.25.
fn wanted(kind: Kind, usp: bool) -> Vec<u16, 16> {
    let always = [code::NAME_SERVERS, code::TIME_SERVERS];
    let more: &[u16] = match kind {
        Kind::Information => &[code::REFRESH, code::INFORM_MAX],
        Kind::Solicit
        | Kind::Advertise
        | Kind::Request
        | Kind::Confirm
        | Kind::Renew
        | Kind::Rebind
        | Kind::Reply
        | Kind::Release
        | Kind::Decline => &[code::SOLICIT_MAX],
    };
    // Under its domain DNS may know a controller.
    let of_usp: &[u16] = if usp { &[code::VENDOR, code::DOMAINS] } else { &[] };
    always.iter().chain(more).chain(of_usp).copied().collect()
}
