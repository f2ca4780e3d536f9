//! Streams that pass, or are thrown away: a multicast route each.
//!
//! In:  streams without a route, who watches what, counters. Out: routes to be set and dropped. Pure.
//!
//! A stream that nobody watches has a route that leads nowhere: else the kernel would tell of each of its packets.
//!
//! Source: RFC 4605 §4.3.

use std::net::IpAddr;

use sys::mroute::Route;

use crate::message::Unrouted;

/// Streams at a time: what a full house watches, and what a flood of made-up sources may have. The one that was idle longest makes room.
pub const STREAMS_MAX: usize = 256;
/// A stream without a packet for so long is forgotten, in milliseconds.
pub const IDLE_MS: u64 = 60_000;

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its route, as the kernel has it.
    pub route: Route,
    /// Packets that it has had.
    pub packets: u64,
    /// When it was last seen to have more, in milliseconds after boot.
    pub seen_ms: u64,
}

/// A change of the kernel's routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Set it.
    Set(Route),
    /// Drop it.
    Drop(Route),
}

/// All streams of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    rows: Vec<Stream>,
}

impl Streams {
    /// Those of a former life.
    #[must_use]
    pub fn adopted(routes: Vec<Route>, now_ms: u64) -> Self {
        let rows = routes.into_iter().take(STREAMS_MAX);
        Self { rows: rows.map(|route| Stream { route, packets: 0, seen_ms: now_ms }).collect() }
    }

    /// All of them.
    #[must_use]
    pub fn rows(&self) -> &[Stream] {
        &self.rows
    }

    /// The kernel tells of a stream. `to`: the numbers of the links that watch it, as bits.
    pub fn meet(&mut self, told: Unrouted, to: u32, now_ms: u64) -> Vec<Change> {
        let Unrouted { from, source, group } = told;
        let mut changes = Vec::new();
        self.rows.retain(|row| row.route.source != source || row.route.group != group);
        if self.rows.len() >= STREAMS_MAX
            && let Some(place) = self.idlest()
        {
            changes.push(Change::Drop(self.rows.swap_remove(place).route));
        }
        let route = Route { source, group, from, to };
        self.rows.push(Stream { route: route.clone(), packets: 0, seen_ms: now_ms });
        changes.push(Change::Set(route));
        changes
    }

    /// Who goes first: those that are thrown away, then the one that was idle longest.
    fn idlest(&self) -> Option<usize> {
        let rows = self.rows.iter().enumerate();
        rows.min_by_key(|(_, row)| (row.route.to != 0, row.seen_ms)).map(|(place, _)| place)
    }

    /// Somebody watches something else now. `to` says for each stream by which links it leaves.
    pub fn settle(&mut self, to: impl Fn(&Route) -> u32) -> Vec<Change> {
        let mut changes = Vec::new();
        for row in &mut self.rows {
            let wanted = to(&row.route);
            if row.route.to != wanted {
                row.route.to = wanted;
                changes.push(Change::Set(row.route.clone()));
            }
        }
        changes
    }

    /// Counts packets, and forgets streams that have had none for [`IDLE_MS`]; `packets` says how many one has had, `None` where the
    /// kernel has no such route any more.
    pub fn count(&mut self, packets: impl Fn(IpAddr, IpAddr) -> Option<u64>, now_ms: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        self.rows.retain_mut(|row| {
            let Some(packets) = packets(row.route.source, row.route.group) else { return false };
            if packets != row.packets {
                (row.packets, row.seen_ms) = (packets, now_ms);
            }
            let idle = now_ms.saturating_sub(row.seen_ms) >= IDLE_MS;
            if idle {
                changes.push(Change::Drop(row.route.clone()));
            }
            !idle
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, IDLE_MS, STREAMS_MAX, Streams};
    use crate::message::Unrouted;

    fn told(last: u8, group: u8) -> Unrouted {
        Unrouted { from: 0, source: [192, 0, 2, last].into(), group: [239, 1, 1, group].into() }
    }

    #[test]
    fn a_stream_has_a_route_while_it_flows() {
        let mut streams = Streams::default();
        let [Change::Set(route)] = &streams.meet(told(1, 1), 0b10, 0)[..] else { panic!() };
        assert_eq!(route.to, 0b10);
        assert_eq!(streams.settle(|_| 0b10), [], "nothing is different");
        assert!(
            matches!(&streams.settle(|_| 0)[..], [Change::Set(route)] if route.to == 0),
            "nobody watches"
        );
        assert_eq!(streams.count(|_, _| Some(5), 1_000), []);
        assert_eq!(streams.count(|_, _| Some(5), 1_000 + IDLE_MS - 1), []);
        assert!(matches!(&streams.count(|_, _| Some(5), 1_000 + IDLE_MS)[..], [Change::Drop(_)]));
        assert!(streams.rows().is_empty());
        streams.meet(told(1, 1), 0, 0);
        assert_eq!(streams.count(|_, _| None, 1), [], "the kernel has dropped it");
        assert!(streams.rows().is_empty());
    }

    #[test]
    fn made_up_streams_take_no_place_from_watched_ones() {
        let mut streams = Streams::default();
        streams.meet(told(1, 1), 0b10, 0);
        for number in 0..STREAMS_MAX + 50 {
            let [low, high, ..] = number.to_le_bytes();
            streams.meet(told(low, 2 + high), 0, 1);
        }
        assert_eq!(streams.rows().len(), STREAMS_MAX);
        assert!(streams.rows().iter().any(|row| row.route.to == 0b10));
    }
}
