//! What our router advertisements say, and when they go.
//!
//! In:  what is wanted, what hosts were told, who we are, moments, questions. Out: an [`Advert`]; when it is due.
//!
//! A change is said at once, three times; then every few minutes. A host that asks is answered at once, alone, where it has an address;
//! words to everybody keep three seconds between them.
//!
//! Pure. Not here: prefixes that go (`told.rs`), sockets (`lan.rs`).
//!
//! Source: RFC 4861 §6.2; RFC 7084 L-2 to L-16; RFC 9096 §3.4, §3.5; RFC 8106 §5; RFC 7772 §5.1 (answers to one host).

use std::net::Ipv6Addr;

use contract::learn::Server;
use contract::wanted::LanIpv6;
use heapless::Vec;

use super::advert::{Advert, PrefixInfo};
use super::chance::delay_ms;
use super::told::Told;
use crate::message::Mac;
use crate::schedule::{Moment, is_due};

/// The longest and the shortest pause between words to everybody, in milliseconds. Source: RFC 4861 §6.2.1, MaxRtrAdvInterval,
/// MinRtrAdvInterval.
const EVERY_MS_MAX: u64 = 600_000;
const EVERY_MS_MIN: u64 = 200_000;
/// The shortest pause where what is said holds for a moment only, in milliseconds. Source: RFC 4861 §6.2.1, "no less than 4 seconds".
const SHORT_EVERY_MS: u64 = 4_000;
/// For how long a word holds, in seconds: three of the longest pauses. Source: RFC 4861 §6.2.1, AdvDefaultLifetime; RFC 8106 §5.1.
pub const LIFETIME_S: u16 = 1_800;
/// How often a change is said, and the longest pause between, in milliseconds. Source: RFC 4861 §10,
/// MAX_INITIAL_RTR_ADVERTISEMENTS, MAX_INITIAL_RTR_ADVERT_INTERVAL.
const CHANGES: u8 = 3;
const CHANGE_EVERY_MS: u64 = 16_000;
/// The shortest pause between words to everybody, in milliseconds. Source: RFC 4861 §10, MIN_DELAY_BETWEEN_RAS.
const PAUSE_MS: u64 = 3_000;
/// Answers to single hosts at once, and in every second after that.
const BURST: u64 = 32;
const EACH_S: u64 = 8;

/// Who we are on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Us {
    /// Our link-layer address.
    pub mac: Mac,
    /// Our link-local address.
    pub link_local: Ipv6Addr,
}

/// What is said.
#[must_use]
pub fn advert(wanted: &Server, told: &Told, us: Us, now_ms: u64) -> Advert {
    let own = told.own().iter().map(|own| {
        let (preferred_s, valid_s) = own.lifetimes_s(now_ms);
        PrefixInfo { prefix: own.prefix, on_link: true, autonomous: true, preferred_s, valid_s }
    });
    // Neither preferred nor on the link any more. Source: RFC 9096 §3.5.
    let old = told.old().map(|prefix| PrefixInfo {
        prefix,
        on_link: true,
        autonomous: true,
        preferred_s: 0,
        valid_s: 0,
    });
    let lifetime_s = u32::from(LIFETIME_S);
    // Source: RFC 7084 L-3, RFC 4191 §4.
    let leads = told.own().iter().map(|own| (own.prefix, own.lifetimes_s(now_ms).1.min(lifetime_s)));
    let leads_no_more = told.old().map(|prefix| (prefix, 0));
    Advert {
        managed: wanted.ipv6 == LanIpv6::Stateful,
        other: wanted.ipv6 != LanIpv6::None,
        lifetime_s: if wanted.default_router { LIFETIME_S } else { 0 },
        mac: Some(us.mac),
        mtu: if wanted.mtu < MTU_MIN { 0 } else { wanted.mtu.into() },
        prefixes: own.chain(old).collect(),
        routes: leads.chain(leads_no_more).collect(),
        // By our link-local address, which no change of prefixes takes away.
        name_servers: Vec::from_iter([(us.link_local, lifetime_s)]),
        domain: (!wanted.domain.is_empty()).then(|| (wanted.domain.clone(), lifetime_s)),
        ..Advert::default()
    }
}

/// What every link carries: a smaller one is no limit that IPv6 knows. Source: RFC 8200 §5.
const MTU_MIN: u16 = 1_280;

/// The last word: we are no router any more. Source: RFC 4861 §6.2.5.
#[must_use]
pub fn last(advert: Advert) -> Advert {
    let name_servers = advert.name_servers.iter().map(|server| (server.0, 0)).collect();
    Advert { lifetime_s: 0, name_servers, domain: None, ..advert }
}

/// When to speak.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The next word to everybody; `None`: not yet.
    next_ms: Option<u64>,
    /// The last one.
    last_ms: Option<u64>,
    /// How often the newest change still has to be said.
    changes: u8,
    /// Answers to single hosts that may still go now, in thousandths, and when that was last counted.
    budget: u64,
    filled_ms: u64,
}

impl Times {
    /// There is something new to say, or a new link to say it on.
    pub fn change(&mut self, now_ms: u64) {
        self.changes = CHANGES;
        self.soon(now_ms);
    }

    /// The link is gone.
    pub fn stop(&mut self) {
        *self = Self::default();
    }

    /// As soon as the pause allows.
    fn soon(&mut self, now_ms: u64) {
        let earliest_ms = self.last_ms.map_or(now_ms, |last_ms| last_ms.saturating_add(PAUSE_MS).max(now_ms));
        self.next_ms = Some(self.next_ms.map_or(earliest_ms, |next_ms| next_ms.min(earliest_ms)));
    }

    /// A host asked. Is it to be answered at once, alone? Else everybody is told soon.
    ///
    /// * `has_address` — it has one that an answer can go to. Source: RFC 4861 §4.1.
    pub fn asked(&mut self, has_address: bool, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        self.budget = self.budget.saturating_add(passed_ms.saturating_mul(EACH_S)).min(BURST * 1_000);
        if let Some(left) = self.budget.checked_sub(1_000).filter(|_| has_address) {
            self.budget = left;
            return true;
        }
        self.soon(now_ms);
        false
    }

    /// When to speak to everybody, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.next_ms
    }

    /// Is it time to speak to everybody? Then it counts as done.
    ///
    /// * `shortest_s` — the shortest time for which anything that is said holds, in seconds: it is said three times in that, as an
    ///   operator may lease a prefix for minutes, again and again.
    pub fn take(&mut self, shortest_s: u32, now: Moment) -> bool {
        if !is_due(self.next_ms, now.ms) {
            return false;
        }
        self.last_ms = Some(now.ms);
        self.changes = self.changes.saturating_sub(1);
        let usual_ms = EVERY_MS_MIN + delay_ms(EVERY_MS_MAX - EVERY_MS_MIN, now);
        let usual_ms = usual_ms.min((u64::from(shortest_s) * 1_000 / 3).max(SHORT_EVERY_MS));
        let pause_ms = if self.changes > 0 { usual_ms.min(CHANGE_EVERY_MS) } else { usual_ms };
        self.next_ms = Some(now.ms.saturating_add(pause_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{EVERY_MS_MAX, EVERY_MS_MIN, PAUSE_MS, Times, Us, advert, last};
    use crate::schedule::Moment;
    use crate::six::told::Told;
    use contract::learn::{OnLink, Server};
    use contract::wanted::LanIpv6;
    use proptest::prelude::{prop_assert, proptest};

    const US: Us =
        Us { mac: [2, 0, 0, 0, 0, 1], link_local: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };

    /// What is said holds for long.
    const LONG: u32 = 1_800;

    #[test]
    fn what_is_said_follows_from_what_is_wanted() {
        let mut wanted = Server::silent("lan".into(), [192, 168, 1, 1].into(), 24);
        (wanted.ipv6, wanted.mtu, wanted.domain) = (LanIpv6::Stateless, 1_492, "home.arpa".into());
        let mut told = Told::default();
        let one = OnLink { prefix: "2001:db8:1::/64".parse().unwrap(), preferred_s: 9_999, valid_s: 99_999 };
        let two = OnLink { prefix: "2001:db8:2::/64".parse().unwrap(), ..one };
        told.set(&[one], 0);
        told.set(&[two], 0);
        let said = advert(&wanted, &told, US, 0);
        assert_eq!((said.managed, said.other, said.lifetime_s, said.mtu), (false, true, 0, 1_492));
        let lifetimes: Vec<_> =
            said.prefixes.iter().map(|info| (info.prefix, info.preferred_s, info.valid_s)).collect();
        assert_eq!(lifetimes, [(two.prefix, 2_700, 5_400), (one.prefix, 0, 0)]);
        assert_eq!(said.routes.as_slice(), [(two.prefix, 1_800), (one.prefix, 0)]);
        (wanted.default_router, wanted.ipv6, wanted.mtu) = (true, LanIpv6::Stateful, 0);
        let said = advert(&wanted, &told, US, 0);
        assert_eq!((said.managed, said.other, said.lifetime_s, said.mtu), (true, true, 1_800, 0));
        assert!(last(said.clone()).write().is_some() && last(said).lifetime_s == 0);
    }

    #[test]
    fn a_change_is_said_at_once_and_three_times() {
        let mut times = Times::default();
        let mut said = Vec::new();
        times.change(1_000);
        while said.len() < 6 {
            let ms = times.due_ms().unwrap();
            assert!(
                times.take(LONG, Moment { ms, random: 0 }) && !times.take(LONG, Moment { ms, random: 0 })
            );
            said.push(ms);
        }
        assert_eq!(said, [1_000, 17_000, 33_000, 233_000, 433_000, 633_000]);
        assert_eq!(times.due_ms(), Some(833_000));
        for (shortest_s, pause_ms) in [(90, 30_000), (5, 4_000), (0, 4_000)] {
            let ms = times.due_ms().unwrap();
            assert!(times.take(shortest_s, Moment { ms, random: 0 }));
            assert_eq!(times.due_ms(), Some(ms + pause_ms), "what holds for {shortest_s} s");
        }
        let mut times = Times { last_ms: Some(633_000), ..Times::default() };
        times.change(633_001);
        assert_eq!(times.due_ms(), Some(636_000), "three seconds lie between");
    }

    #[test]
    fn a_host_is_answered_alone_a_bounded_number_of_times() {
        let mut times = Times::default();
        times.change(0);
        assert!(times.take(LONG, Moment { ms: 0, random: 0 }));
        let alone = (0..100).filter(|_| times.asked(true, 10_000)).count();
        assert_eq!(alone, 32);
        assert_eq!(times.due_ms(), Some(10_000), "then all are told together");
        assert!(!times.asked(false, 20_000), "it has no address yet");
    }

    proptest! {
        #[test]
        fn words_to_everybody_keep_their_pause(story in proptest::collection::vec((0..20_000_u64, 0..3_u8), 1..60)) {
            let (mut times, mut now_ms, mut last_ms) = (Times::default(), 0, None);
            times.change(0);
            for (step, what) in story {
                now_ms += step;
                match what {
                    0 => times.change(now_ms),
                    1 => drop(times.asked(false, now_ms)),
                    _ => {}
                }
                if times.take(u32::try_from(step).unwrap(), Moment { ms: now_ms, random: step }) {
                    prop_assert!(last_ms.is_none_or(|last_ms| now_ms - last_ms >= PAUSE_MS));
                    last_ms = Some(now_ms);
                }
                let due_ms = times.due_ms().unwrap();
                prop_assert!(due_ms <= now_ms + EVERY_MS_MAX, "it never falls silent");
            }
            prop_assert!(EVERY_MS_MIN > PAUSE_MS);
        }
    }
}
