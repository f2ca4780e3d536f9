//! The prefixes that hosts of a link were told: those that are its own, and those that were and that a host may still hold.
//!
//! In:  what is its own now, what an earlier life told, moments. Out: which are told how.
//!
//! A prefix that is given up is told as such at once, and for as long as a host may hold it. After a boot nobody knows how long that is,
//! so it counts from the boot.
//!
//! Pure. Not here: the message (`announce.rs`), the disk (`keep.rs`).
//!
//! Source: RFC 9096 §3.4 (lifetimes), §3.5 (what is given up); RFC 7084 L-13.

use contract::learn::OnLink;
use contract::limit::IPV6_PREFIXES;
use contract::prefix::Prefix;
use heapless::Vec;

use super::chance::{at, left_s};
use crate::schedule::is_due;

/// The longest that hosts are told to prefer and to hold a prefix, in seconds. Source: RFC 9096 §3.4, ND_PREFERRED_LIMIT, ND_VALID_LIMIT.
pub const PREFERRED_S_MAX: u32 = 2_700;
/// See [`PREFERRED_S_MAX`].
pub const VALID_S_MAX: u32 = 5_400;

/// A prefix that is the link's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// It.
    pub prefix: Prefix,
    /// Until when it is preferred, in milliseconds after boot; `None`: for ever.
    preferred_ms: Option<u64>,
    /// Until when it is valid, in milliseconds after boot; `None`: for ever.
    valid_ms: Option<u64>,
}

impl Own {
    /// How long hosts are told to prefer it and to hold it, in seconds.
    #[must_use]
    pub fn lifetimes_s(&self, now_ms: u64) -> (u32, u32) {
        let valid_s = left_s(self.valid_ms, now_ms).min(VALID_S_MAX);
        (left_s(self.preferred_ms, now_ms).min(PREFERRED_S_MAX).min(valid_s), valid_s)
    }
}

/// What hosts of a link were told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    own: Vec<Own, IPV6_PREFIXES>,
    /// Prefixes that are given up, and until when that is said, in milliseconds after boot.
    old: Vec<(Prefix, u64), IPV6_PREFIXES>,
}

impl Told {
    /// Those that are its own.
    #[must_use]
    pub fn own(&self) -> &[Own] {
        &self.own
    }

    /// The shortest time for which hosts are told to prefer one, in seconds; those that are preferred no more do not count.
    #[must_use]
    pub fn shortest_s(&self, now_ms: u64) -> u32 {
        let times = self.own.iter().map(|own| own.lifetimes_s(now_ms).0);
        times.filter(|preferred_s| *preferred_s > 0).min().unwrap_or(PREFERRED_S_MAX)
    }

    /// Those that are given up.
    pub fn old(&self) -> impl Iterator<Item = Prefix> {
        self.old.iter().map(|old| old.0)
    }

    /// All that a host may hold: what has to be remembered.
    pub fn all(&self) -> impl Iterator<Item = Prefix> {
        self.own.iter().map(|own| own.prefix).chain(self.old())
    }

    /// From now on these are its own. Do hosts have to hear of it at once?
    pub fn set(&mut self, prefixes: &[OnLink], now_ms: u64) -> bool {
        let before = self.own.clone();
        self.own = prefixes
            .iter()
            .filter(|on_link| {
                on_link.prefix.length() == 64 && !on_link.prefix.is_ipv4() && on_link.valid_s > 0
            })
            .take(IPV6_PREFIXES)
            .map(|on_link| Own {
                prefix: on_link.prefix,
                preferred_ms: if on_link.preferred_s == 0 {
                    Some(0)
                } else {
                    at(now_ms, on_link.preferred_s)
                },
                valid_ms: at(now_ms, on_link.valid_s),
            })
            .collect();
        for gone in &before {
            if !self.own.iter().any(|own| own.prefix == gone.prefix) {
                self.give_up(gone.prefix, now_ms);
            }
        }
        let own = &self.own;
        self.old.retain(|old| !own.iter().any(|own| own.prefix == old.0));
        // Other times of the same prefixes can wait for the next word, unless one is preferred no more, or again.
        let said = |own: &Own| (own.prefix, is_due(own.preferred_ms, now_ms));
        !before.iter().map(said).eq(self.own.iter().map(said))
    }

    fn give_up(&mut self, prefix: Prefix, now_ms: u64) {
        let until_ms = now_ms.saturating_add(u64::from(VALID_S_MAX) * 1_000);
        self.old.retain(|old| old.0 != prefix);
        if self.old.is_full() {
            self.old.remove(0); // The one that was given up first.
        }
        let _fits = self.old.push((prefix, until_ms));
    }

    /// An earlier life told these. Was any of them news?
    pub fn remember(&mut self, prefixes: &[Prefix], now_ms: u64) -> bool {
        let mut news = false;
        for prefix in prefixes {
            if !self.all().any(|known| known == *prefix) {
                self.give_up(*prefix, now_ms);
                news = true;
            }
        }
        news
    }

    /// Gives up what has ended, and forgets what no host can hold any more. Do hosts have to hear of it at once, has anything changed?
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let over: Vec<Prefix, IPV6_PREFIXES> =
            self.own.iter().filter(|own| is_due(own.valid_ms, now_ms)).map(|own| own.prefix).collect();
        let before = self.old.len();
        self.old.retain(|old| old.1 > now_ms);
        let forgot = before != self.old.len();
        self.own.retain(|own| !over.contains(&own.prefix));
        over.iter().for_each(|prefix| self.give_up(*prefix, now_ms));
        let mut faded = false;
        for own in &mut self.own {
            if own.preferred_ms != Some(0) && is_due(own.preferred_ms, now_ms) {
                (own.preferred_ms, faded) = (Some(0), true);
            }
        }
        forgot || faded || !over.is_empty()
    }

    /// When [`Told::expire`] has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let own = self.own.iter().flat_map(|own| [own.preferred_ms.filter(|ms| *ms > 0), own.valid_ms]);
        own.flatten().chain(self.old.iter().map(|old| old.1)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{OnLink, Prefix, Told, VALID_S_MAX};
    use proptest::prelude::{prop_assert, proptest};

    fn own(prefix: &str, preferred_s: u32, valid_s: u32) -> OnLink {
        OnLink { prefix: prefix.parse().unwrap(), preferred_s, valid_s }
    }

    const ONE: &str = "2001:db8:1::/64";
    const TWO: &str = "2001:db8:2::/64";

    #[test]
    fn a_prefix_that_goes_is_given_up_until_nobody_can_hold_it() {
        let mut told = Told::default();
        assert!(told.set(&[own(ONE, 10_000, 20_000)], 0));
        assert_eq!(told.own()[0].lifetimes_s(0), (2_700, 5_400), "never longer than RFC 9096 likes");
        assert!(!told.set(&[own(ONE, 9_000, 19_000)], 1_000), "only other times");
        assert!(told.set(&[own(TWO, 600, 600)], 2_000));
        assert_eq!(told.old().collect::<Vec<_>>(), [ONE.parse().unwrap()]);
        assert_eq!(told.own()[0].lifetimes_s(2_000), (600, 600));
        let until_ms = 2_000 + u64::from(VALID_S_MAX) * 1_000;
        assert!(!told.expire(2_001) && told.expire(602_000), "what ends without a word is given up, too");
        assert!(told.own().is_empty() && told.old().count() == 2);
        assert!(told.expire(until_ms) && told.old().count() == 1);
    }

    #[test]
    fn it_comes_back_and_is_its_own_again() {
        let mut told = Told::default();
        assert!(told.remember(&[ONE.parse().unwrap(), TWO.parse().unwrap()], 0));
        assert!(!told.remember(&[ONE.parse().unwrap()], 0));
        assert!(told.set(&[own(ONE, 600, 600)], 1));
        assert_eq!(told.old().collect::<Vec<_>>(), [TWO.parse().unwrap()]);
        assert!(told.set(&[own(ONE, 0, 600)], 2), "preferred no more");
        assert_eq!(told.own()[0].lifetimes_s(2), (0, 600));
        assert!(told.set(&[own("2001:db8::/56", 600, 600), own("192.0.2.0/24", 600, 600)], 3));
        assert!(told.own().is_empty(), "only prefixes that hosts can make addresses of");
    }

    proptest! {
        #[test]
        fn what_was_told_is_own_or_old(story in proptest::collection::vec((0..4_u16, 0..4_u16, 1..100_000_u32), 1..20)) {
            let (mut told, mut now_ms) = (Told::default(), 0);
            let mut ever: Vec<(Prefix, u64)> = Vec::new();
            for (one, other, step) in story {
                now_ms += u64::from(step);
                let prefixes = [one, other].map(|number| own(&format!("2001:db8:{number:x}::/64"), 600, 1_200));
                let wanted = if one == other { &prefixes[..1] } else { &prefixes[..] };
                told.expire(now_ms);
                told.set(wanted, now_ms);
                for on_link in wanted {
                    ever.retain(|known| known.0 != on_link.prefix);
                    ever.push((on_link.prefix, now_ms));
                }
                for (prefix, last_ms) in &ever {
                    let held = *last_ms + u64::from(VALID_S_MAX) * 1_000 > now_ms;
                    prop_assert!(!held || told.all().any(|known| known == *prefix), "{prefix} is forgotten");
                }
                prop_assert!(told.own().iter().all(|own| !told.old().any(|old| old == own.prefix)));
            }
        }
    }
}
