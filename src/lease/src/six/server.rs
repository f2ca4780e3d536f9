//! What our DHCPv6 server answers.
//!
//! In:  a message of a host's and a moment. Out: an answer, or silence.
//!
//! Words are told to all who ask. Addresses are given where that is wanted: one in each prefix of the link, with the same lower half. What
//! a host has of a prefix that is the link's no more is taken back with its next question.
//!
//! Pure: `lan.rs` has the sockets, `bindings.rs` the table. It is the only server of its link. It delegates no prefixes, and says so.
//!
//! Source: RFC 8415 §18.3; §16 (which messages are answered); RFC 9096 §3.4 (lifetimes).

use std::net::Ipv6Addr;

use contract::learn;
use contract::limit::NAME_SERVERS;
use contract::wanted::LanIpv6;
use heapless::Vec;

use super::advert::first;
use super::bindings::{Bindings, Guest, Row};
use super::keyed::Secret;
use super::message::{Association, Duid, Item, Kind, Message, Of, Status, code};
use super::told::{Told, VALID_S_MAX};

/// When a host is to ask for words again, in seconds. Source: RFC 8415 §7.6 asks for 600 at least.
const REFRESH_S: u32 = 3_600;
/// Messages that are answered at once, and in every second after that, as with DHCPv4.
const BURST: u64 = 64;
const EACH_S: u64 = 16;

/// What a server knows when it answers.
#[derive(Debug, Clone, Copy)]
pub struct View<'v> {
    /// What is wanted of it.
    pub wanted: &'v learn::Server,
    /// The prefixes of the link.
    pub told: &'v Told,
    /// Its identifier.
    pub duid: &'v Duid,
    /// What addresses are drawn with.
    pub secret: &'v Secret,
    /// Name servers: ourselves.
    pub name_servers: &'v Vec<Ipv6Addr, NAME_SERVERS>,
}

/// The server of one link.
#[derive(Debug, Clone, Default)]
pub struct Server {
    bindings: Bindings,
    /// Messages that may still be answered now, in thousandths, and when that was last counted.
    budget: u64,
    filled_ms: u64,
}

impl Server {
    /// Who has what.
    #[must_use]
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Returns what to answer to `ask`. `None`: nothing.
    pub fn answer(&mut self, ask: &Message, view: View<'_>, now_ms: u64) -> Option<Message> {
        if !is_for_us(ask, view.duid) || !self.may_answer(now_ms) {
            return None;
        }
        self.bindings.expire(now_ms);
        let kind = if ask.kind == Kind::Solicit && !ask.rapid { Kind::Advertise } else { Kind::Reply };
        let mut reply = Message::new(kind, ask.xid);
        (reply.client, reply.server) = (ask.client.clone(), Some(view.duid.clone()));
        let gives = view.wanted.ipv6 == LanIpv6::Stateful && !view.told.own().is_empty();
        let duid = ask.client.as_ref();
        match (ask.kind, duid) {
            (Kind::Information, _) => {}
            (Kind::Solicit | Kind::Request | Kind::Renew | Kind::Rebind, Some(duid)) => {
                for association in &ask.associations {
                    let answer = self.association(association, duid, gives, (view, kind, now_ms));
                    let _fits = reply.associations.push(answer);
                }
                reply.rapid = ask.kind == Kind::Solicit && ask.rapid;
            }
            (Kind::Confirm, _) => reply.status = Some(confirm(ask, view)?),
            (Kind::Release | Kind::Decline, Some(duid)) => {
                for association in
                    ask.associations.iter().filter(|association| association.of == Of::Addresses)
                {
                    let guest = Guest { duid, id: association.id };
                    if ask.kind == Kind::Release {
                        self.bindings.release(guest);
                    } else {
                        self.bindings.decline(guest, now_ms);
                    }
                }
                reply.status = Some(Status::Success);
                return Some(reply);
            }
            (
                Kind::Solicit
                | Kind::Request
                | Kind::Renew
                | Kind::Rebind
                | Kind::Release
                | Kind::Decline
                | Kind::Advertise
                | Kind::Reply,
                _,
            ) => return None,
        }
        words(&mut reply, ask, view);
        Some(reply)
    }

    fn may_answer(&mut self, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        self.budget = self.budget.saturating_add(passed_ms.saturating_mul(EACH_S)).min(BURST * 1_000);
        let left = self.budget.checked_sub(1_000);
        self.budget = left.unwrap_or(self.budget);
        left.is_some()
    }

    /// What is granted, or offered, to one association of a host's.
    fn association(
        &mut self,
        ask: &Association,
        duid: &Duid,
        gives: bool,
        (view, kind, now_ms): (View<'_>, Kind, u64),
    ) -> Association {
        let mut answer = Association::new(ask.of, ask.id);
        if ask.of == Of::Prefixes {
            answer.status = Some(Status::NoPrefix);
            return answer;
        }
        let guest = Guest { duid, id: ask.id };
        let until_ms = now_ms.saturating_add(u64::from(VALID_S_MAX) * 1_000);
        let row = match (gives, kind == Kind::Reply) {
            (false, _) => None,
            (true, true) => self.bindings.give(guest, view.secret, until_ms, now_ms),
            (true, false) => self.bindings.offer(guest, view.secret, now_ms),
        };
        answer.items = row.map(|row| items(&row, view.told, now_ms)).unwrap_or_default();
        let times =
            answer.items.iter().map(|item| item.preferred_s).filter(|preferred_s| *preferred_s > 0).min();
        if let Some(preferred_s) = times {
            // Source: RFC 8415 §21.4, ".5 and .8 times the shortest preferred lifetime".
            (answer.renew_s, answer.rebind_s) = (preferred_s / 2, preferred_s / 5 * 4);
        }
        // What it has and should have no more. Source: RFC 8415 §18.3.4.
        for item in ask.items.iter().filter(|_| kind == Kind::Reply) {
            if !answer.items.iter().any(|given| given.prefix == item.prefix) {
                let _full = answer.items.push(Item { preferred_s: 0, valid_s: 0, ..*item });
            }
        }
        if row.is_none() {
            answer.status = Some(Status::NoAddress);
        }
        answer
    }
}

/// One address in each prefix of the link.
fn items(row: &Row, told: &Told, now_ms: u64) -> Vec<Item, 8> {
    let item = |own: &super::told::Own| {
        let (preferred_s, valid_s) = own.lifetimes_s(now_ms);
        let prefix = contract::prefix::Prefix::host(row.address(own.prefix).into());
        Item { prefix, preferred_s, valid_s }
    };
    told.own().iter().map(item).collect()
}

/// Is it one that a server of its link answers? Source: RFC 8415 §16.
fn is_for_us(ask: &Message, duid: &Duid) -> bool {
    let to_us = ask.server.as_ref() == Some(duid);
    match ask.kind {
        Kind::Solicit | Kind::Confirm | Kind::Rebind => ask.client.is_some() && ask.server.is_none(),
        Kind::Request | Kind::Renew | Kind::Release | Kind::Decline => ask.client.is_some() && to_us,
        Kind::Information => ask.associations.is_empty() && (ask.server.is_none() || to_us),
        Kind::Advertise | Kind::Reply => false,
    }
}

/// Are all its addresses of this link? `None`: it names none. Source: RFC 8415 §18.3.3.
fn confirm(ask: &Message, view: View<'_>) -> Option<Status> {
    let addresses = ask.associations.iter().filter(|association| association.of == Of::Addresses);
    let mut addresses = addresses.flat_map(|association| association.items.iter()).peekable();
    addresses.peek()?;
    let on_link = |item: &Item| view.told.own().iter().any(|own| own.prefix.holds(first(item.prefix).into()));
    Some(if addresses.all(on_link) { Status::Success } else { Status::NotOnLink })
}

/// What it asks for beside addresses.
fn words(reply: &mut Message, ask: &Message, view: View<'_>) {
    let wants = |code| ask.wanted.contains(&code);
    if wants(code::NAME_SERVERS) {
        reply.name_servers = view.name_servers.clone();
    }
    if wants(code::DOMAINS) && !view.wanted.domain.is_empty() {
        reply.domain = Some(view.wanted.domain.clone());
    }
    if ask.kind == Kind::Information {
        reply.refresh_s = wants(code::REFRESH).then_some(REFRESH_S);
    }
}

#[cfg(test)]
mod tests {
    use super::{Server, View};
    use crate::six::message::{Association, Duid, Item, Kind, Message, Of, Status, code};
    use crate::six::told::Told;
    use contract::learn::{self, OnLink};
    use contract::wanted::LanIpv6;
    use heapless::Vec;

    const ONE: &str = "2001:db8:1::/64";
    const TWO: &str = "2001:db8:2::/64";

    struct Stage {
        server: Server,
        wanted: learn::Server,
        told: Told,
        us: Duid,
    }

    impl Stage {
        fn new(ipv6: LanIpv6) -> Self {
            let mut wanted = learn::Server::silent("lan".into(), [192, 168, 1, 1].into(), 24);
            (wanted.ipv6, wanted.domain) = (ipv6, "home.arpa".into());
            let us = Duid::from_slice(&[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]).unwrap();
            let mut stage = Self { server: Server::default(), wanted, told: Told::default(), us };
            stage.own(&[ONE]);
            stage
        }

        fn own(&mut self, prefixes: &[&str]) {
            let own =
                |text: &&str| OnLink { prefix: text.parse().unwrap(), preferred_s: 1_000, valid_s: 2_000 };
            self.told.set(&prefixes.iter().map(own).collect::<std::vec::Vec<_>>(), 0);
        }

        fn ask(&mut self, ask: &Message) -> Option<Message> {
            let name_servers = Vec::from_iter(["fe80::1".parse().unwrap()]);
            let view = View {
                wanted: &self.wanted,
                told: &self.told,
                duid: &self.us,
                secret: &[3; 16],
                name_servers: &name_servers,
            };
            // Late enough that it may always answer.
            self.server.filled_ms = 0;
            self.server.answer(ask, view, 100_000)
        }

        fn message(&self, kind: Kind, to_us: bool) -> Message {
            let mut message = Message::new(kind, 7);
            message.client = Duid::from_slice(&[0, 3, 0, 1, 2, 0, 0, 0, 0, 9]).ok();
            message.server = to_us.then(|| self.us.clone());
            message.wanted = Vec::from_iter([code::NAME_SERVERS, code::DOMAINS, code::REFRESH]);
            message
        }
    }

    fn with(mut message: Message, items: &[Item]) -> Message {
        let mut association = Association::new(Of::Addresses, 5);
        association.items = items.iter().copied().collect();
        message.associations = Vec::from_iter([association]);
        message
    }

    #[test]
    fn words_are_told_to_all() {
        let mut stage = Stage::new(LanIpv6::Stateless);
        let reply = stage.ask(&stage.message(Kind::Information, false)).unwrap();
        assert_eq!((reply.kind, reply.xid, reply.name_servers.len()), (Kind::Reply, 7, 1));
        assert_eq!((reply.domain.as_deref(), reply.refresh_s), (Some("home.arpa"), Some(3_600)));
        let offer = stage.ask(&with(stage.message(Kind::Solicit, false), &[])).unwrap();
        assert_eq!((offer.kind, offer.associations[0].status), (Kind::Advertise, Some(Status::NoAddress)));
        assert!(stage.server.bindings().rows().is_empty());
    }

    #[test]
    fn a_host_gets_an_address_and_another_when_the_prefix_changes() {
        let mut stage = Stage::new(LanIpv6::Stateful);
        let offer = stage.ask(&with(stage.message(Kind::Solicit, false), &[])).unwrap();
        assert!(offer.kind == Kind::Advertise && stage.server.bindings().rows().is_empty());
        let item = offer.associations[0].items[0];
        assert_eq!((item.preferred_s, item.valid_s), (900, 1_900));
        let reply = stage.ask(&with(stage.message(Kind::Request, true), &[item])).unwrap();
        assert_eq!(reply.associations[0].items.as_slice(), [item]);
        assert_eq!((reply.associations[0].renew_s, reply.associations[0].rebind_s), (450, 720));
        assert_eq!(stage.server.bindings().rows().len(), 1);

        stage.own(&[TWO]);
        assert_eq!(confirm(&mut stage, item), Some(Status::NotOnLink));
        let renewed = stage.ask(&with(stage.message(Kind::Renew, true), &[item])).unwrap();
        let [new, old] = renewed.associations[0].items.as_slice() else { panic!("{renewed:?}") };
        assert_eq!((old.prefix, old.valid_s, old.preferred_s), (item.prefix, 0, 0));
        assert!(TWO.parse::<contract::prefix::Prefix>().unwrap().holds(new.prefix.first()));
        assert_eq!(confirm(&mut stage, *new), Some(Status::Success));

        let done = stage.ask(&with(stage.message(Kind::Release, true), &[*new])).unwrap();
        assert!(done.status == Some(Status::Success) && stage.server.bindings().rows().is_empty());
    }

    fn confirm(stage: &mut Stage, item: Item) -> Option<Status> {
        stage.ask(&with(stage.message(Kind::Confirm, false), &[item])).unwrap().status
    }

    #[test]
    fn what_is_for_others_is_not_answered() {
        let mut stage = Stage::new(LanIpv6::Stateful);
        let table = [
            ("a solicitation to a server", stage.message(Kind::Solicit, true)),
            ("a request to nobody", stage.message(Kind::Request, false)),
            ("a server's word", stage.message(Kind::Reply, true)),
            ("nobody's", Message { client: None, ..stage.message(Kind::Renew, true) }),
            ("words with addresses", with(stage.message(Kind::Information, false), &[])),
            ("a confirmation of nothing", with(stage.message(Kind::Confirm, false), &[])),
        ];
        for (what, ask) in table {
            assert_eq!(stage.ask(&ask), None, "{what}");
        }
        let mut home = stage.message(Kind::Solicit, false);
        home.rapid = true;
        home.associations = Vec::from_iter([Association::new(Of::Prefixes, 1)]);
        let reply = stage.ask(&home).unwrap();
        assert_eq!((reply.kind, reply.rapid), (Kind::Reply, true));
        assert_eq!(reply.associations[0].status, Some(Status::NoPrefix));
    }
}
