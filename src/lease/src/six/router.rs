//! The routers of a link of ours: who leads out, and which prefixes make addresses.
//!
//! In:  what happened and when. Out: whether to ask, whether something changed; and all that is known.
//!
//! Pure: `wan.rs` has the sockets. What is known outlives a link that goes and comes; it ends when its lifetime does.
//!
//! A prefix that its router does not tell any more, although it tells others, is no longer preferred: a router that came back with
//! another prefix and forgot the old one is no reason to speak from the old one for a month.
//!
//! Source: RFC 4861 §6.3 (hosts), RFC 4862 §5.5.3 (lifetimes), RFC 7559 (asking), RFC 4191 §3.1 (the best), RFC 8106 §5.3.1.

use std::net::Ipv6Addr;

use contract::limit::{IPV6_PREFIXES, NAME_SERVERS};
use contract::prefix::Prefix;
use heapless::Vec;

use super::advert::{Advert, Preference, PrefixInfo};
use super::chance::{Pauses, Try, at, delay_ms, left_s};
use crate::schedule::{Moment, is_due};

/// Routers of one link that are known at once.
const ROUTERS: usize = 4;
/// A wait before the first question, so that a street does not ask at once. Source: RFC 4861 §10, MAX_RTR_SOLICITATION_DELAY.
const DELAY_MS: u64 = 1_000;
/// Source: RFC 7559 §2.
const PAUSES: Pauses = Pauses { first_ms: 4_000, longest_ms: 3_600_000 };
/// What a stranger may cut a valid lifetime down to, in seconds. Source: RFC 4862 §5.5.3 e.
const VALID_S_MIN: u32 = 7_200;
/// How often an address of one prefix is made anew because somebody has it. Source: RFC 7217 §7, IDGEN_RETRIES.
const AGAIN_MAX: u8 = 3;

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The link has a carrier.
    Up,
    /// It has none.
    Down,
    /// Time has passed; perhaps something is due.
    Time,
    /// A router spoke: its link-local address, and what it said.
    Heard(Ipv6Addr, &'a Advert),
    /// Somebody else has the address that we made of this prefix.
    Conflict(Prefix),
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Ask who is there.
    pub ask: bool,
    /// Something that is known has changed.
    pub changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Router {
    address: Ipv6Addr,
    preference: Preference,
    until_ms: Option<u64>,
    mtu: u32,
    managed: bool,
    other: bool,
}

/// A prefix of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// It.
    pub prefix: Prefix,
    /// Its addresses are on the link.
    pub on_link: bool,
    /// We make an address of it.
    pub autonomous: bool,
    /// Until when that is preferred, in milliseconds after boot; `None`: for ever.
    pub preferred_ms: Option<u64>,
    /// Until when it is valid, in milliseconds after boot; `None`: for ever.
    pub valid_ms: Option<u64>,
    /// How many addresses of it somebody else had.
    pub again: u8,
    router: Ipv6Addr,
}

/// All that is known of the routers of a link.
#[derive(Debug, Clone, Default)]
pub struct Routers {
    up: bool,
    /// The question that is asked, or when to begin.
    asked: Option<Try>,
    begin_ms: Option<u64>,
    routers: Vec<Router, ROUTERS>,
    prefixes: Vec<Known, IPV6_PREFIXES>,
    name_servers: Vec<(Ipv6Addr, Option<u64>), NAME_SERVERS>,
}

impl Routers {
    /// The default router: the most preferred, of those the first that was heard.
    #[must_use]
    pub fn default_router(&self) -> Option<Ipv6Addr> {
        self.best().map(|router| router.address)
    }

    fn best(&self) -> Option<&Router> {
        // Of equals the last is the greatest, so the first comes last.
        self.routers
            .iter()
            .rev()
            .filter(|router| router.until_ms != Some(0))
            .max_by_key(|router| router.preference)
    }

    /// The largest packet that it names, in bytes; 0: none.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.best().map_or(0, |router| u16::try_from(router.mtu).unwrap_or(0))
    }

    /// Has any router said that addresses are given by DHCPv6?
    #[must_use]
    pub fn managed(&self) -> bool {
        self.routers.iter().any(|router| router.managed)
    }

    /// Has any router said that other things are told by DHCPv6?
    #[must_use]
    pub fn other(&self) -> bool {
        self.routers.iter().any(|router| router.other || router.managed)
    }

    /// The prefixes of the link.
    #[must_use]
    pub fn prefixes(&self) -> &[Known] {
        &self.prefixes
    }

    /// Name servers.
    pub fn name_servers(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.name_servers.iter().map(|server| server.0)
    }

    /// When [`Event::Time`] has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let asks = [self.begin_ms, self.asked.map(|asked| asked.due_ms)];
        let routers = self.routers.iter().map(|router| router.until_ms.filter(|until_ms| *until_ms > 0));
        let prefixes =
            self.prefixes.iter().flat_map(|known| [known.preferred_ms.filter(|ms| *ms > 0), known.valid_ms]);
        let servers = self.name_servers.iter().map(|server| server.1);
        asks.into_iter().chain(routers).chain(prefixes).chain(servers).flatten().min()
    }

    /// Takes in what happens.
    pub fn next(&mut self, event: Event<'_>, now: Moment) -> Outcome {
        let mut outcome = Outcome { ask: false, changed: self.expire(now.ms) };
        match event {
            Event::Up if !self.up => {
                self.up = true;
                self.asked = None;
                self.begin_ms = Some(now.ms.saturating_add(delay_ms(DELAY_MS, now)));
            }
            Event::Down => (self.up, self.asked, self.begin_ms) = (false, None, None),
            Event::Heard(from, advert) if self.up => outcome.changed |= self.hear(from, advert, now.ms),
            Event::Conflict(prefix) => outcome.changed |= self.conflict(prefix),
            Event::Up | Event::Heard(..) | Event::Time => {}
        }
        if is_due(self.begin_ms, now.ms) {
            self.begin_ms = None;
            self.asked = Some(Try::first(PAUSES, now));
            outcome.ask = true;
        } else if let Some(asked) = self.asked
            && asked.due_ms <= now.ms
        {
            self.asked = Some(asked.again(PAUSES, now));
            outcome.ask = true;
        }
        outcome
    }

    fn hear(&mut self, from: Ipv6Addr, advert: &Advert, now_ms: u64) -> bool {
        let before = (self.routers.clone(), self.prefixes.clone(), self.name_servers.clone());
        if advert.lifetime_s > 0 {
            // There is a way out: no need to ask further. Source: RFC 7559 §2.1.
            (self.asked, self.begin_ms) = (None, None);
        }
        let router = Router {
            address: from,
            preference: advert.preference,
            // One that is none may still tell prefixes, and where to ask.
            until_ms: if advert.lifetime_s == 0 { Some(0) } else { at(now_ms, advert.lifetime_s.into()) },
            mtu: advert.mtu,
            managed: advert.managed,
            other: advert.other,
        };
        match self.routers.iter_mut().find(|known| known.address == from) {
            Some(known) => *known = router,
            None => {
                if let Err(router) = self.routers.push(router) {
                    // A full table is a neighbour's doing: the one that leads nowhere makes room.
                    if let Some(place) = self.routers.iter_mut().find(|known| known.until_ms == Some(0)) {
                        *place = router;
                    }
                }
            }
        }
        for info in &advert.prefixes {
            self.hear_prefix(from, info, now_ms);
        }
        self.give_up(from, advert, now_ms);
        for (address, lifetime_s) in &advert.name_servers {
            self.name_servers.retain(|known| known.0 != *address);
            if *lifetime_s > 0 {
                let _full = self.name_servers.push((*address, at(now_ms, *lifetime_s)));
            }
        }
        // A lifetime that began anew is a change: `network` counts from when it was said.
        before != (self.routers.clone(), self.prefixes.clone(), self.name_servers.clone())
    }

    /// Source: RFC 4861 §6.3.4, RFC 4862 §5.5.3.
    fn hear_prefix(&mut self, router: Ipv6Addr, info: &PrefixInfo, now_ms: u64) {
        let place = self.prefixes.iter_mut().find(|known| known.prefix == info.prefix);
        let autonomous = info.autonomous && info.prefix.length() == 64;
        match place {
            Some(known) => {
                let left = left_s(known.valid_ms, now_ms);
                let valid_s = if !known.autonomous || info.valid_s > VALID_S_MIN || info.valid_s > left {
                    info.valid_s
                } else {
                    left.min(VALID_S_MIN)
                };
                known.valid_ms = at(now_ms, valid_s);
                known.preferred_ms =
                    at(now_ms, info.preferred_s).map(|ms| if info.preferred_s == 0 { 0 } else { ms });
                (known.on_link, known.autonomous, known.router) = (info.on_link, autonomous, router);
            }
            None if info.valid_s > 0 && (info.on_link || autonomous) => {
                let preferred_ms =
                    at(now_ms, info.preferred_s).map(|ms| if info.preferred_s == 0 { 0 } else { ms });
                let _full = self.prefixes.push(Known {
                    prefix: info.prefix,
                    on_link: info.on_link,
                    autonomous,
                    preferred_ms,
                    valid_ms: at(now_ms, info.valid_s),
                    again: 0,
                    router,
                });
            }
            None => {}
        }
        self.prefixes.retain(|known| !is_due(known.valid_ms, now_ms));
    }

    /// What a router leaves out while it tells other prefixes is preferred no more.
    fn give_up(&mut self, router: Ipv6Addr, advert: &Advert, now_ms: u64) {
        if !advert.prefixes.iter().any(|info| info.autonomous && info.preferred_s > 0) {
            return;
        }
        let told = |known: &Known| advert.prefixes.iter().any(|info| info.prefix == known.prefix);
        for known in &mut self.prefixes {
            if known.router == router && !told(known) && !is_due(known.preferred_ms, now_ms) {
                known.preferred_ms = Some(0);
            }
        }
    }

    fn conflict(&mut self, prefix: Prefix) -> bool {
        let Some(known) = self.prefixes.iter_mut().find(|known| known.prefix == prefix && known.autonomous)
        else {
            return false;
        };
        if known.again < AGAIN_MAX {
            known.again += 1;
        } else {
            known.autonomous = false;
        }
        true
    }

    /// Drops what has ended. Was there anything? What is preferred no more is marked, so that it is told once.
    fn expire(&mut self, now_ms: u64) -> bool {
        let before = (self.routers.len(), self.prefixes.len(), self.name_servers.len());
        self.routers.retain(|router| router.until_ms == Some(0) || !is_due(router.until_ms, now_ms));
        self.prefixes.retain(|known| !is_due(known.valid_ms, now_ms));
        self.name_servers.retain(|server| !is_due(server.1, now_ms));
        let mut faded = false;
        for known in &mut self.prefixes {
            if known.preferred_ms != Some(0) && is_due(known.preferred_ms, now_ms) {
                (known.preferred_ms, faded) = (Some(0), true);
            }
        }
        faded || before != (self.routers.len(), self.prefixes.len(), self.name_servers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Routers};
    use crate::schedule::Moment;
    use crate::six::advert::{Advert, Preference, PrefixInfo};
    use std::net::Ipv6Addr;

    const ONE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const TWO: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    fn at(ms: u64) -> Moment {
        Moment { ms, random: 500 }
    }

    fn info(prefix: &str, preferred_s: u32, valid_s: u32) -> PrefixInfo {
        let prefix = prefix.parse().unwrap();
        PrefixInfo { prefix, on_link: true, autonomous: true, preferred_s, valid_s }
    }

    fn advert(lifetime_s: u16, prefixes: &[PrefixInfo]) -> Advert {
        Advert { lifetime_s, prefixes: prefixes.iter().copied().collect(), ..Advert::default() }
    }

    fn up() -> Routers {
        let mut routers = Routers::default();
        let _ = routers.next(Event::Up, at(0));
        routers
    }

    #[test]
    fn it_asks_until_there_is_a_way_out() {
        let mut routers = up();
        assert_eq!(routers.due_ms(), Some(500));
        let mut times = Vec::new();
        for _ in 0..4 {
            let due_ms = routers.due_ms().unwrap();
            assert!(routers.next(Event::Time, at(due_ms)).ask);
            times.push(due_ms);
        }
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 3_600), "{times:?}");
        // One that is no default router does not end it.
        let _ = routers.next(Event::Heard(ONE, &advert(0, &[])), at(60_000));
        assert!(routers.due_ms().is_some() && routers.default_router().is_none());
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[])), at(60_001));
        assert_eq!((routers.default_router(), routers.due_ms()), (Some(ONE), Some(1_860_001)));
        assert!(routers.next(Event::Time, at(1_860_001)).changed && routers.default_router().is_none());
    }

    #[test]
    fn the_most_preferred_leads() {
        let mut routers = up();
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[])), at(0));
        let _ = routers.next(Event::Heard(TWO, &advert(1_800, &[])), at(0));
        assert_eq!(routers.default_router(), Some(ONE), "of equals the first");
        let high = Advert { preference: Preference::High, ..advert(1_800, &[]) };
        let _ = routers.next(Event::Heard(TWO, &high), at(0));
        assert_eq!(routers.default_router(), Some(TWO));
        let _ = routers.next(Event::Heard(TWO, &advert(0, &[])), at(1));
        assert_eq!(routers.default_router(), Some(ONE), "it said that it is none");
    }

    #[test]
    fn a_stranger_cannot_end_a_prefix_at_once() {
        let table = [
            // name, remaining, said, valid then
            ("longer", 10_000, 20_000, 20_000),
            ("shorter, but over two hours", 20_000, 8_000, 8_000),
            ("at once", 20_000, 0, 7_200),
            ("at once, with little left", 1_000, 0, 1_000),
            ("a little more", 1_000, 1_200, 1_200),
        ];
        for (what, left, said, want) in table {
            let mut routers = up();
            let _ = routers.next(Event::Heard(ONE, &advert(1, &[info("2001:db8::/64", 0, left)])), at(0));
            let _ = routers.next(Event::Heard(ONE, &advert(1, &[info("2001:db8::/64", 0, said)])), at(0));
            assert_eq!(routers.prefixes()[0].valid_ms, Some(want * 1_000), "{what}");
        }
    }

    #[test]
    fn a_prefix_that_is_left_out_is_preferred_no_more() {
        let (old, new) = (info("2001:db8:1::/64", 3_600, 7_200), info("2001:db8:2::/64", 3_600, 7_200));
        let mut routers = up();
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[old])), at(0));
        let _ = routers.next(Event::Heard(TWO, &advert(1_800, &[new])), at(1));
        assert_eq!(routers.prefixes()[0].preferred_ms, Some(3_600_000), "another router's word");
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[])), at(1));
        assert_eq!(routers.prefixes()[0].preferred_ms, Some(3_600_000), "no word on prefixes");
        assert!(routers.next(Event::Heard(ONE, &advert(1_800, &[new])), at(2)).changed);
        assert_eq!(routers.prefixes()[0].preferred_ms, Some(0));
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[old])), at(1_000));
        assert_eq!(routers.prefixes()[0].preferred_ms, Some(3_601_000), "it is told again");
    }

    #[test]
    fn what_is_known_outlives_the_link_and_ends() {
        let mut routers = up();
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[info("2001:db8::/64", 60, 120)])), at(0));
        let _ = routers.next(Event::Down, at(10));
        assert!(routers.default_router().is_some());
        assert!(!routers.next(Event::Up, at(20)).ask && routers.due_ms() == Some(520), "it asks anew");
        assert!(routers.next(Event::Time, at(60_000)).changed, "preferred no more");
        assert!(!routers.next(Event::Time, at(60_001)).changed, "said once");
        assert!(routers.next(Event::Time, at(120_000)).changed && routers.prefixes().is_empty());
    }

    #[test]
    fn an_address_that_somebody_has_is_made_anew_three_times() {
        let mut routers = up();
        let info = info("2001:db8::/64", 60, 120);
        let _ = routers.next(Event::Heard(ONE, &advert(1_800, &[info])), at(0));
        for again in 1..=3 {
            assert!(routers.next(Event::Conflict(info.prefix), at(1)).changed);
            assert_eq!(routers.prefixes()[0].again, again);
        }
        let _ = routers.next(Event::Conflict(info.prefix), at(1));
        assert!(!routers.prefixes()[0].autonomous);
    }
}
