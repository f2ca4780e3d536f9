//! What a DHCPv6 server has granted us: addresses, prefixes, and when each of them ends.
//!
//! In:  replies, moments. Out: what we hold, and when to ask for more time.
//!
//! Pure. Not here: what follows (`client.rs`).
//!
//! Source: RFC 8415 §14.2 (T1, T2), §18.2.10.1 (what a reply does), §21.4, §21.21.

use std::net::Ipv6Addr;

use contract::leases::Controller;
use contract::limit::{IPV6_PREFIXES, NAME_SERVERS};
use contract::name::Text;
use contract::prefix::Prefix;
use heapless::Vec;

use super::advert::first;
use super::chance::{at, left_s};
use super::message::{Association, Duid, Item, Message, Of, Status};
use crate::schedule::is_due;

/// The shortest time to T1, in milliseconds: a server that grants seconds is not asked without end.
const RENEW_MS_MIN: u64 = 10_000;

/// What a client wants, and calls it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// An address of our own.
    pub address: bool,
    /// A prefix for the home.
    pub prefix: bool,
    /// Name servers and other words, if nothing else.
    pub words: bool,
    /// A USP controller among them.
    pub usp: bool,
    /// The number of our associations. Source: RFC 8415 §12.
    pub id: u32,
}

impl Want {
    /// Is anything wanted that a server leases?
    #[must_use]
    pub fn leases(&self) -> bool {
        self.address || self.prefix
    }

    /// Is this association one of those that we want?
    #[must_use]
    pub fn holds(&self, association: &Association) -> bool {
        let wanted = match association.of {
            Of::Addresses => self.address,
            Of::Prefixes => self.prefix,
        };
        wanted && association.id == self.id && times_make_sense(association)
    }
}

/// Source: RFC 8415 §21.4, "T1 later than T2".
fn times_make_sense(association: &Association) -> bool {
    association.rebind_s == 0 || association.renew_s <= association.rebind_s
}

/// Something that is ours for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// An address (128 bits) or a prefix.
    pub prefix: Prefix,
    /// Until when it is preferred, in milliseconds after boot; `None`: for ever; `Some(0)`: no more.
    pub preferred_ms: Option<u64>,
    /// Until when it is valid, in milliseconds after boot; `None`: for ever.
    pub valid_ms: Option<u64>,
}

impl Leased {
    fn new(item: &Item, from_ms: u64) -> Self {
        let preferred_ms = if item.preferred_s == 0 { Some(0) } else { at(from_ms, item.preferred_s) };
        Self { prefix: item.prefix, preferred_ms, valid_ms: at(from_ms, item.valid_s) }
    }

    /// For how long it is preferred, in seconds.
    #[must_use]
    pub fn preferred_s(&self, now_ms: u64) -> u32 {
        left_s(self.preferred_ms, now_ms)
    }

    /// For how long it is valid, in seconds.
    #[must_use]
    pub fn valid_s(&self, now_ms: u64) -> u32 {
        left_s(self.valid_ms, now_ms)
    }

    /// Its address, where it is one.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        first(self.prefix)
    }
}

/// Several of them.
pub type Many = Vec<Leased, IPV6_PREFIXES>;

/// What we hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Who granted it last.
    pub server: Duid,
    /// Addresses.
    pub addresses: Many,
    /// Prefixes.
    pub prefixes: Many,
    /// T1, in milliseconds after boot; `None`: never.
    pub renew_ms: Option<u64>,
    /// T2, in milliseconds after boot; `None`: never.
    pub rebind_ms: Option<u64>,
    /// What else the server said.
    pub words: Words,
}

/// What a server says beside addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// Name servers.
    pub name_servers: Vec<Ipv6Addr, NAME_SERVERS>,
    /// Time servers.
    pub time_servers: Vec<Ipv6Addr, NAME_SERVERS>,
    /// The USP controller.
    pub controller: Option<Controller>,
    /// The domain of local names; empty: none.
    pub domain: Text<63>,
}

impl Words {
    /// Those of a reply.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            name_servers: message.name_servers.clone(),
            time_servers: message.time_servers.clone(),
            controller: message.controller.clone(),
            domain: message.domain.clone().unwrap_or_default(),
        }
    }
}

/// Does any association that we want carry this status?
#[must_use]
pub fn says(message: &Message, want: &Want, status: Status) -> bool {
    let mut ours = message.associations.iter().filter(|association| want.holds(association));
    message.status == Some(status) || ours.any(|association| association.status == Some(status))
}

/// How many kinds of what we want are offered: a prefix counts more than an address.
#[must_use]
pub fn worth(message: &Message, want: &Want) -> u8 {
    let has = |of| {
        let mut ours = message.associations.iter().filter(|association| want.holds(association));
        ours.any(|association| association.of == of && association.items.iter().any(|item| item.valid_s > 0))
    };
    2 * u8::from(has(Of::Prefixes)) + u8::from(has(Of::Addresses))
}

impl Held {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.prefixes.is_empty()
    }

    /// Takes in what a server grants, from `now_ms` on. What it does not speak of stays as it is.
    pub fn take(&mut self, message: &Message, want: &Want, now_ms: u64) {
        if let Some(server) = &message.server {
            self.server = server.clone();
        }
        self.words = Words::of(message);
        for association in message.associations.iter().filter(|association| want.holds(association)) {
            let place = match association.of {
                Of::Addresses => &mut self.addresses,
                Of::Prefixes => &mut self.prefixes,
            };
            for item in &association.items {
                place.retain(|leased| leased.prefix != item.prefix);
                // None any more, where its lifetime is zero. A home needs at least a /64.
                let fits = association.of == Of::Addresses || (16..=64).contains(&item.prefix.length());
                if item.valid_s > 0 && fits {
                    let _full = place.push(Leased::new(item, now_ms));
                }
            }
        }
        self.set_times(message, want, now_ms);
    }

    /// T1 and T2: the earliest that the server names, else by the shortest preferred lifetime. Source: RFC 8415 §14.2, §21.4.
    fn set_times(&mut self, message: &Message, want: &Want, now_ms: u64) {
        let ours = message.associations.iter().filter(|association| want.holds(association));
        let live = ours.filter(|association| !association.items.is_empty());
        let named = |time: fn(&Association) -> u32| live.clone().map(time).filter(|time| *time != 0).min();
        let all = self.addresses.iter().chain(&self.prefixes);
        let lifetimes = all.map(|leased| match leased.preferred_s(now_ms) {
            0 => leased.valid_s(now_ms),
            preferred_s => preferred_s,
        });
        let shortest_ms =
            lifetimes.min().filter(|shortest_s| *shortest_s != u32::MAX).map(|s| u64::from(s) * 1_000);
        let after = |named: Option<u32>, tenths: u64| match named {
            Some(named) => at(now_ms, named),
            None => shortest_ms.map(|shortest_ms| now_ms.saturating_add(shortest_ms * tenths / 10)),
        };
        let renew_ms = after(named(|association| association.renew_s), 5);
        self.renew_ms = renew_ms.map(|renew_ms| renew_ms.max(now_ms.saturating_add(RENEW_MS_MIN)));
        self.rebind_ms = after(named(|association| association.rebind_s), 8).max(self.renew_ms);
    }

    /// Drops what has ended. Was there anything, or is anything preferred no more?
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = (self.addresses.len(), self.prefixes.len());
        let mut faded = false;
        for many in [&mut self.addresses, &mut self.prefixes] {
            many.retain(|leased| !is_due(leased.valid_ms, now_ms));
            for leased in many {
                if leased.preferred_ms != Some(0) && is_due(leased.preferred_ms, now_ms) {
                    (leased.preferred_ms, faded) = (Some(0), true);
                }
            }
        }
        faded || before != (self.addresses.len(), self.prefixes.len())
    }

    /// When something of it ends, in milliseconds after boot.
    #[must_use]
    pub fn end_ms(&self) -> Option<u64> {
        let all = self.addresses.iter().chain(&self.prefixes);
        let ends = all.flat_map(|leased| [leased.preferred_ms.filter(|ms| *ms > 0), leased.valid_ms]);
        ends.flatten().min()
    }

    /// As associations, for a question about them. `hint`: a prefix that we had once.
    #[must_use]
    pub fn associations(held: Option<&Self>, want: &Want, hint: Option<Prefix>) -> Vec<Association, 4> {
        let mut associations = Vec::new();
        let item = |prefix| Item { prefix, preferred_s: 0, valid_s: 0 };
        for (of, wanted) in [(Of::Addresses, want.address), (Of::Prefixes, want.prefix)] {
            if !wanted {
                continue;
            }
            let mut association = Association::new(of, want.id);
            let many = held.map(|held| if of == Of::Addresses { &held.addresses } else { &held.prefixes });
            let prefixes = many.into_iter().flatten().map(|leased| leased.prefix);
            association.items = prefixes.map(item).collect();
            if of == Of::Prefixes && association.items.is_empty() {
                association.items = hint.into_iter().map(item).collect();
            }
            let _fits = associations.push(association);
        }
        associations
    }
}
