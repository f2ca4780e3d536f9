//! Whom to ask: the upstreams, which of them answer, and whose turn it is.
//!
//! In:  the list of `network`, what became of each question, moments. Out: the next one to ask.
//!
//! The one that answered last is asked first, so that a slow or dead one costs one question's wait and not everybody's. One that has failed
//! three times in a row rests; when all rest, the one whose rest ends first is asked all the same.
//!
//! Source: RFC 1035 §7.2 for the manner; RFC 6891 §6.2.2 (no EDNS); RFC 7858 §3 (port 853).

use std::net::{IpAddr, SocketAddr};

use contract::wanted::reach;
use log::{info, warn};

/// Failures in a row until it rests.
const FAILURES_MAX: u32 = 3;
/// How long it rests at first, in milliseconds; doubled each time.
const REST_MS: u64 = 5_000;
/// The longest rest, in milliseconds.
const REST_MS_MAX: u64 = 60_000;
/// How long an upstream that did not understand EDNS is asked without, in milliseconds.
const PLAIN_MS: u64 = 600_000;

/// An upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub address: SocketAddr,
    /// The name that its certificate bears; empty: it is asked in the clear.
    pub tls: String,
    /// Questions that it was sent.
    pub questions: u64,
    /// Answers of it that were taken.
    pub answers: u64,
    /// Questions that it did not answer, or not well.
    pub failures: u64,
    /// How long it takes, in milliseconds, smoothed.
    pub takes_ms: u64,
    failures_in_a_row: u32,
    rests_until_ms: u64,
    plain_until_ms: u64,
}

impl Upstream {
    fn new(told: &reach::Upstream) -> Self {
        let port = match (told.port, told.tls.is_empty()) {
            (0, true) => 53,
            (0, false) => 853,
            (port, _) => port,
        };
        Self {
            address: SocketAddr::new(told.address, port),
            tls: told.tls.to_string(),
            questions: 0,
            answers: 0,
            failures: 0,
            takes_ms: 0,
            failures_in_a_row: 0,
            rests_until_ms: 0,
            plain_until_ms: 0,
        }
    }

    /// Is it asked by TLS?
    #[must_use]
    pub fn is_tls(&self) -> bool {
        !self.tls.is_empty()
    }

    /// Does it rest?
    #[must_use]
    pub fn rests(&self, now_ms: u64) -> bool {
        self.rests_until_ms > now_ms
    }

    /// Does it understand EDNS, as far as we know?
    #[must_use]
    pub fn speaks_edns(&self, now_ms: u64) -> bool {
        self.plain_until_ms <= now_ms
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Upstreams {
    list: Vec<Upstream>,
    favourite: usize,
}

impl Upstreams {
    /// Takes a list. Those that stay keep what is known of them. Has anything changed?
    pub fn want(&mut self, told: &[reach::Upstream]) -> bool {
        let list: Vec<Upstream> = told.iter().map(Upstream::new).collect();
        let same = |one: &Upstream, other: &Upstream| one.address == other.address && one.tls == other.tls;
        let unchanged =
            list.len() == self.list.len() && list.iter().zip(&self.list).all(|(one, other)| same(one, other));
        if !unchanged {
            let known = |new: Upstream| self.list.iter().find(|old| same(old, &new)).cloned().unwrap_or(new);
            self.list = list.into_iter().map(known).collect();
            self.favourite = 0;
        }
        !unchanged
    }

    /// All of them, in the order of their wish.
    #[must_use]
    pub fn list(&self) -> &[Upstream] {
        &self.list
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Upstream> {
        self.list.get(place)
    }

    /// Is this address one of theirs?
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.list.iter().any(|upstream| upstream.address.ip() == address)
    }

    /// The next one to ask, of those that are not in the set `tried` (a bit each). With all tried, the set begins anew: who asks counts.
    #[must_use]
    pub fn next(&self, tried: u32, now_ms: u64) -> Option<usize> {
        let places = || (0..self.list.len()).map(|step| (self.favourite + step) % self.list.len().max(1));
        let left = |place: &usize| tried & bit(*place) == 0;
        let rests_until = |place: &usize| self.list.get(*place).map_or(u64::MAX, |one| one.rests_until_ms);
        let awake = |place: &usize| rests_until(place) <= now_ms;
        places()
            .find(|place| left(place) && awake(place))
            .or_else(|| places().filter(left).min_by_key(rests_until))
    }

    /// It was sent a question.
    pub fn asked(&mut self, place: usize) {
        if let Some(upstream) = self.list.get_mut(place) {
            upstream.questions += 1;
        }
    }

    /// It has answered, after `took_ms`.
    pub fn answered(&mut self, place: usize, took_ms: u64) {
        let Some(upstream) = self.list.get_mut(place) else { return };
        if upstream.failures_in_a_row >= FAILURES_MAX {
            info!("upstream {}: it answers again", upstream.address);
        }
        upstream.answers += 1;
        upstream.takes_ms =
            if upstream.answers == 1 { took_ms } else { (upstream.takes_ms * 7 + took_ms) / 8 };
        (upstream.failures_in_a_row, upstream.rests_until_ms) = (0, 0);
        self.favourite = place;
    }

    /// It has not, or not well.
    pub fn failed(&mut self, place: usize, now_ms: u64) {
        let Some(upstream) = self.list.get_mut(place) else { return };
        upstream.failures += 1;
        upstream.failures_in_a_row = upstream.failures_in_a_row.saturating_add(1);
        let over = upstream.failures_in_a_row.checked_sub(FAILURES_MAX);
        let Some(over) = over else { return };
        if over == 0 {
            warn!("upstream {}: it does not answer", upstream.address);
        }
        if !upstream.rests(now_ms) {
            let rest_ms = REST_MS.checked_shl(over.min(8)).unwrap_or(REST_MS_MAX).min(REST_MS_MAX);
            upstream.rests_until_ms = now_ms.saturating_add(rest_ms);
        }
    }

    /// It does not understand EDNS.
    pub fn no_edns(&mut self, place: usize, now_ms: u64) {
        if let Some(upstream) = self.list.get_mut(place) {
            upstream.plain_until_ms = now_ms.saturating_add(PLAIN_MS);
        }
    }
}

/// The place of an upstream in a set.
#[must_use]
pub fn bit(place: usize) -> u32 {
    u32::try_from(place).ok().and_then(|place| 1_u32.checked_shl(place)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{FAILURES_MAX, Upstreams, bit};
    use contract::wanted::reach::Upstream;

    fn three() -> Upstreams {
        let mut upstreams = Upstreams::default();
        let told = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|address| Upstream {
            enable: true,
            address: address.parse().unwrap(),
            port: 0,
            tls: "".into(),
        });
        assert!(upstreams.want(&told) && !upstreams.want(&told));
        upstreams
    }

    #[test]
    fn who_answers_is_asked_and_who_does_not_rests() {
        let mut upstreams = three();
        assert_eq!(upstreams.next(0, 0), Some(0), "in the order of the wish");
        upstreams.answered(1, 20);
        assert_eq!(upstreams.next(0, 0), Some(1), "who answered");
        assert_eq!(upstreams.next(bit(1), 0), Some(2));
        assert_eq!(upstreams.next(bit(0) | bit(1) | bit(2), 0), None);
        for _ in 0..FAILURES_MAX {
            upstreams.failed(1, 1_000);
        }
        assert_eq!(upstreams.next(0, 1_001), Some(2), "it rests");
        assert_eq!(upstreams.next(0, 6_000), Some(1), "and is tried again");
        upstreams.failed(1, 6_000);
        assert_eq!(upstreams.next(bit(0) | bit(2), 6_001), Some(1), "the last one left");
        upstreams.answered(1, 20);
        assert_eq!(upstreams.next(0, 6_001), Some(1));
    }

    #[test]
    fn nobody_is_asked_where_there_is_nobody() {
        assert_eq!(Upstreams::default().next(0, 0), None);
        let mut upstreams = three();
        for place in [0, 1, 2] {
            (0..=FAILURES_MAX).for_each(|_| upstreams.failed(place, u64::try_from(place).unwrap() * 100));
        }
        assert_eq!(upstreams.next(0, 200), Some(0), "all rest: whose rest ends first");
    }
}
