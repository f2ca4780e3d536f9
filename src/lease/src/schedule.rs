//! When to do what: a lease's times, and the pauses between tries.
//!
//! In:  terms, a moment, a die. Out: milliseconds after boot.
//!
//! Pure: the clock and the dice come in as a [`Moment`].
//!
//! Source: RFC 2131 §4.1 (pauses), §4.4.5 (T1, T2, the end).

use std::net::Ipv4Addr;

use crate::terms::{LEASE_S_INFINITE, Terms};

/// The first pause, in milliseconds. Source: RFC 2131 §4.1.
const PAUSE_MS: u64 = 4_000;
/// The longest pause, in milliseconds. Source: RFC 2131 §4.1.
const PAUSE_MS_MAX: u64 = 64_000;
/// A pause is shorter or longer by up to so many milliseconds. Source: RFC 2131 §4.1.
const JITTER_MS: u64 = 1_000;
/// The shortest pause while a lease is renewed, in milliseconds. Source: RFC 2131 §4.4.5.
const RENEW_PAUSE_MS_MIN: u64 = 60_000;

/// Now, and a random number for whatever has to be left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds after boot.
    pub ms: u64,
    /// Any number: the upper half becomes an exchange's number, the lower half spreads times.
    pub random: u64,
}

impl Moment {
    /// A pause before try `count` + 1, in milliseconds: 4, 8, 16, 32, 64 s and so on, each give or take one.
    fn pause_ms(self, count: u32) -> u64 {
        let doubled = PAUSE_MS.checked_shl(count.saturating_sub(1)).unwrap_or(PAUSE_MS_MAX);
        let spread = (self.random & 0xffff_ffff) % (2 * JITTER_MS + 1);
        doubled.clamp(PAUSE_MS, PAUSE_MS_MAX) - JITTER_MS + spread
    }

    /// A number for an exchange.
    fn xid(self) -> u32 {
        u32::try_from(self.random >> 32).unwrap_or(0)
    }
}

/// A message that we send until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The number of the exchange.
    pub xid: u32,
    /// When we began to look for what we look for, in milliseconds after boot.
    pub began_ms: u64,
    /// When this message was first sent in this exchange: a lease counts from here.
    pub sent_ms: u64,
    /// How long ago we began, in seconds, as the message says it.
    pub secs: u16,
    /// How often it has been sent.
    pub count: u32,
    /// When to send it again.
    pub due_ms: u64,
}

impl Try {
    /// The first message of a new exchange.
    #[must_use]
    pub fn first(now: Moment) -> Self {
        let due_ms = now.ms.saturating_add(now.pause_ms(1));
        Self { xid: now.xid(), began_ms: now.ms, sent_ms: now.ms, secs: 0, count: 1, due_ms }
    }

    /// The same message once more.
    #[must_use]
    pub fn again(self, now: Moment) -> Self {
        let count = self.count.saturating_add(1);
        let due_ms = now.ms.saturating_add(now.pause_ms(count));
        Self { secs: seconds(self.began_ms, now), count, due_ms, ..self }
    }

    /// The `REQUEST` that answers an offer: same exchange, same `secs`, times of its own. Source: RFC 2131 §3.1 step 3.
    #[must_use]
    pub fn answering(self, now: Moment) -> Self {
        Self { secs: self.secs, xid: self.xid, began_ms: self.began_ms, ..Self::first(now) }
    }

    /// The `REQUEST` once more; `secs` does not move. Source: RFC 2131 §3.1 step 3.
    #[must_use]
    pub fn repeating(self, now: Moment) -> Self {
        Self { secs: self.secs, ..self.again(now) }
    }

    /// A `REQUEST` for more time, to be repeated after half of what is left until `until_ms`, at least a minute.
    ///
    /// Each has a number of its own, so an answer says from when on the new time counts. Source: RFC 2131 §4.4.5.
    #[must_use]
    pub fn extending(began_ms: u64, until_ms: Option<u64>, now: Moment) -> Self {
        let left_ms = until_ms.map_or(0, |until_ms| until_ms.saturating_sub(now.ms));
        let due_ms = now.ms.saturating_add((left_ms / 2).max(RENEW_PAUSE_MS_MIN));
        Self { began_ms, secs: seconds(began_ms, now), due_ms, ..Self::first(now) }
    }
}

fn seconds(began_ms: u64, now: Moment) -> u16 {
    u16::try_from(now.ms.saturating_sub(began_ms) / 1_000).unwrap_or(u16::MAX)
}

/// A lease that we hold, and its times in milliseconds after boot; `None`: never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What was granted.
    pub terms: Terms,
    /// T1: ask its server for more time.
    pub renew_ms: Option<u64>,
    /// T2: ask any server for more time.
    pub rebind_ms: Option<u64>,
    /// The end.
    pub end_ms: Option<u64>,
}

impl Held {
    /// The lease that `terms` grant, asked for at `sent_ms`.
    ///
    /// T1 and T2 are the server's, else half and seven eighths of the lease, T1 up to a sixteenth earlier by chance, so that a
    /// street of gateways does not ask at once. Source: RFC 2131 §4.4.5.
    #[must_use]
    pub fn new(terms: Terms, sent_ms: u64, now: Moment) -> Self {
        if terms.lease_s == LEASE_S_INFINITE {
            return Self { terms, renew_ms: None, rebind_ms: None, end_ms: None };
        }
        let lease_ms = u64::from(terms.lease_s) * 1_000;
        let half_ms = lease_ms / 2 - (now.random & 0xffff_ffff) % (lease_ms / 32 + 1);
        let after_ms =
            |own_s: Option<u32>, usual_ms| own_s.map_or(usual_ms, |own_s| u64::from(own_s) * 1_000);
        let at = |after_ms| Some(sent_ms.saturating_add(after_ms));
        Self {
            renew_ms: at(after_ms(terms.renew_s, half_ms)),
            rebind_ms: at(after_ms(terms.rebind_s, lease_ms * 7 / 8)),
            end_ms: at(lease_ms),
            terms,
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.terms.address
    }

    /// Has it ended?
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        is_due(self.end_ms, now_ms)
    }

    /// What is left of it, in seconds; `u32::MAX` for ever.
    #[must_use]
    pub fn remaining_s(&self, now_ms: u64) -> u32 {
        let left_ms = self.end_ms.map(|end_ms| end_ms.saturating_sub(now_ms));
        left_ms.map_or(u32::MAX, |left_ms| u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX))
    }
}

/// Has `at_ms` come? `None` never comes.
#[must_use]
pub fn is_due(at_ms: Option<u64>, now_ms: u64) -> bool {
    at_ms.is_some_and(|at_ms| at_ms <= now_ms)
}

#[cfg(test)]
mod tests {
    use super::{Held, Moment, Try};
    use crate::terms::Terms;
    use std::net::Ipv4Addr;

    fn terms(lease_s: u32, times: Option<(u32, u32)>) -> Terms {
        Terms {
            address: Ipv4Addr::new(10, 0, 0, 9),
            prefix_length: 24,
            router: None,
            routes: heapless::Vec::new(),
            name_servers: heapless::Vec::new(),
            time_servers: heapless::Vec::new(),
            sip_servers: heapless::Vec::new(),
            controller: None,
            domain: "".into(),
            server: Ipv4Addr::new(10, 0, 0, 1),
            lease_s,
            renew_s: times.map(|times| times.0),
            rebind_s: times.map(|times| times.1),
        }
    }

    #[test]
    fn pauses_double_and_spread() {
        // try, shortest and longest pause in milliseconds
        let table = [
            (1, 3_000, 5_000),
            (2, 7_000, 9_000),
            (3, 15_000, 17_000),
            (4, 31_000, 33_000),
            (5, 63_000, 65_000),
            (6, 63_000, 65_000),
            (u32::MAX, 63_000, 65_000),
        ];
        for (count, shortest, longest) in table {
            assert_eq!(Moment { ms: 0, random: 0 }.pause_ms(count), shortest);
            assert_eq!(Moment { ms: 0, random: 2_000 }.pause_ms(count), longest);
        }
    }

    #[test]
    fn a_lease_has_its_times() {
        let now = Moment { ms: 5_000, random: 0 };
        // lease, server's times, T1, T2, end
        let table = [
            (1_000, None, Some(501_000), Some(876_000), Some(1_001_000)),
            (1_000, Some((100, 200)), Some(101_000), Some(201_000), Some(1_001_000)),
            (4, None, Some(3_000), Some(4_500), Some(5_000)),
            (u32::MAX, None, None, None, None),
        ];
        for (lease_s, times, renew_ms, rebind_ms, end_ms) in table {
            let held = Held::new(terms(lease_s, times), 1_000, now);
            assert_eq!(
                (held.renew_ms, held.rebind_ms, held.end_ms),
                (renew_ms, rebind_ms, end_ms),
                "{lease_s}"
            );
        }
        let spread = Held::new(terms(3_200, None), 0, Moment { ms: 0, random: 100_000 });
        assert_eq!(spread.renew_ms, Some(1_500_000), "a sixteenth of the half earlier");
    }

    #[test]
    fn more_time_is_asked_for_after_half_of_what_is_left() {
        let now = Moment { ms: 10_000, random: 7 << 32 };
        let table = [(Some(1_010_000), 510_000), (Some(20_000), 70_000), (None, 70_000), (Some(0), 70_000)];
        for (until_ms, due_ms) in table {
            let asked = Try::extending(4_000, until_ms, now);
            assert_eq!((asked.due_ms, asked.secs, asked.xid), (due_ms, 6, 7));
        }
    }
}
