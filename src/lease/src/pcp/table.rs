//! Ports that hosts have asked for: which, whose, until when.
//!
//! In:  a [`Map`] of a host, a moment. Out: what it gets, or why not.
//!
//! Pure. The order is that of time; a mapping that is made anew keeps its place.
//!
//! Source: RFC 6887 §11.3, §15; RFC 6886 §3.3, §3.4.

use std::net::IpAddr;

use contract::learn::{Mapping, Pcp};
use contract::limit::MAPPINGS;
use contract::manifest::Protocol;
use heapless::Vec;

use super::message::{Code, Map, Nonce};

/// Ports of one host: one program has a few, and nobody takes what all share.
pub const HOST_MAPPINGS: usize = 32;
/// Ports below are not given, on either side: services that nobody should open to the world by a program's word.
pub const PORT_MIN: u16 = 1_024;
/// How long a mapping is at least and at most, in seconds. Source: RFC 6887 §15 (two minutes, a day).
pub const LIFETIME_S_MIN: u32 = 120;
/// See [`LIFETIME_S_MIN`].
pub const LIFETIME_S_MAX: u32 = 86_400;

/// A port that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What `network` has to know.
    pub mapping: Mapping,
    /// Who may change it; none: it was made by version 0, and any program of that host may.
    nonce: Option<Nonce>,
    /// Until when, in milliseconds after boot.
    pub until_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Table {
    entries: Vec<Entry, MAPPINGS>,
}

impl Table {
    /// Every port that is given.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// When the first one ends, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.entries.iter().map(|entry| entry.until_ms).min()
    }

    /// Leaves out what has ended and what `stays` does not hold of. Did anything go?
    pub fn trim(&mut self, now_ms: u64, stays: impl Fn(&Mapping) -> bool) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.until_ms > now_ms && stays(&entry.mapping));
        self.entries.len() != before
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Gives `host` what it asks for, or takes it back. Returns what it got: lifetime, port and address outside.
    ///
    /// # Errors
    /// The [`Code`] that says why not; nothing has changed then.
    pub fn map(&mut self, host: IpAddr, map: Map, wanted: &Pcp, now_ms: u64) -> Result<Map, Code> {
        if map.lifetime_s == 0 {
            return self.unmap(host, map);
        }
        let protocol = map.protocol.ok_or(Code::Protocol)?;
        if map.port < PORT_MIN {
            return Err(Code::Denied);
        }
        let lifetime_s = map.lifetime_s.clamp(LIFETIME_S_MIN, LIFETIME_S_MAX);
        let until_ms = now_ms.saturating_add(u64::from(lifetime_s) * 1_000);
        let external = match host {
            IpAddr::V4(_) => IpAddr::V4(wanted.external),
            IpAddr::V6(_) => host,
        };
        let elsewhere = !map.external.is_unspecified() && map.external != external;
        let its = |entry: &&mut Entry| {
            let mapping = entry.mapping;
            mapping.host == host && mapping.protocol == protocol && mapping.port == map.port
        };
        if let Some(entry) = self.entries.iter_mut().find(its) {
            if entry.nonce.is_some() && entry.nonce != map.nonce {
                return Err(Code::Denied);
            }
            let external_port = entry.mapping.external_port;
            let other = map.external_port != 0 && map.external_port != external_port;
            if map.prefers_failure && (other || elsewhere) {
                return Err(Code::External);
            }
            (entry.nonce, entry.until_ms) = (map.nonce, until_ms);
            return Ok(Map { lifetime_s, external_port, external, ..map });
        }
        if self.entries.iter().filter(|entry| entry.mapping.host == host).count() >= HOST_MAPPINGS {
            return Err(Code::Quota);
        }
        let external_port = match host {
            IpAddr::V4(_) => self.choose(protocol, &map, wanted)?,
            IpAddr::V6(_) => map.port,
        };
        let other = map.external_port != 0 && map.external_port != external_port;
        if map.prefers_failure && (other || elsewhere) {
            return Err(Code::External);
        }
        let mapping = Mapping { protocol, external_port, host, port: map.port };
        let entry = Entry { mapping, nonce: map.nonce, until_ms };
        self.entries.push(entry).map_err(|_| Code::Resources)?;
        Ok(Map { lifetime_s, external_port, external, ..map })
    }

    /// Gives back: one port, all of a protocol, or all. What is not there is gone as well. Source: RFC 6887 §15.1, RFC 6886 §3.4.
    fn unmap(&mut self, host: IpAddr, map: Map) -> Result<Map, Code> {
        let meant = |entry: &Entry| {
            let mapping = entry.mapping;
            mapping.host == host
                && map.protocol.is_none_or(|protocol| mapping.protocol == protocol)
                && (map.port == 0 || mapping.port == map.port)
        };
        let others = |entry: &Entry| entry.nonce.is_some() && entry.nonce != map.nonce;
        // All: those of whoever asks. One: it must be its.
        if map.port != 0 && self.entries.iter().any(|entry| meant(entry) && others(entry)) {
            return Err(Code::Denied);
        }
        self.entries.retain(|entry| !meant(entry) || others(entry));
        Ok(map)
    }

    /// The port outside: what is asked for, what is the same inside, what follows from there.
    fn choose(&self, protocol: Protocol, map: &Map, wanted: &Pcp) -> Result<u16, Code> {
        let free = |port: &u16| {
            let taken = |(its, first, last): &(Protocol, u16, u16)| {
                *its == protocol && (first..=last).contains(&port)
            };
            let given = |entry: &Entry| {
                let mapping = entry.mapping;
                mapping.host.is_ipv4() && mapping.protocol == protocol && mapping.external_port == *port
            };
            *port >= PORT_MIN && !wanted.taken.iter().any(taken) && !self.entries.iter().any(given)
        };
        let asked = Some(map.external_port).filter(|port| *port != 0);
        if let Some(port) = asked.filter(free) {
            return Ok(port);
        }
        if map.prefers_failure && asked.is_some() {
            return Err(Code::External);
        }
        let after = (map.port..=u16::MAX).chain(PORT_MIN..map.port);
        after.into_iter().find(|port| free(port)).ok_or(Code::Resources)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, HOST_MAPPINGS, LIFETIME_S_MAX, LIFETIME_S_MIN, Map, Table};
    use contract::learn::Pcp;
    use contract::limit::MAPPINGS;
    use contract::manifest::Protocol::{Tcp, Udp};
    use std::net::{IpAddr, Ipv4Addr};

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

    fn host(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 168, 1, number).into()
    }

    fn wanted() -> Pcp {
        Pcp { external: OUTSIDE, taken: [(Tcp, 5_000, 5_010)].into_iter().collect() }
    }

    fn ask(port: u16, external_port: u16) -> Map {
        Map {
            lifetime_s: 600,
            nonce: Some([7; 12]),
            protocol: Some(Tcp),
            port,
            external_port,
            external: ANY,
            prefers_failure: false,
        }
    }

    #[test]
    fn a_port_is_given_or_refused() {
        let strict = |map: Map| Map { prefers_failure: true, ..map };
        let there = |address: [u8; 4], map: Map| Map { external: Ipv4Addr::from(address).into(), ..map };
        // what, who asks for what, the port outside or why not; host 2 has 8000 to 9000 (nonce 9), by TCP
        let table = [
            ("as asked", 1, ask(8_000, 8_001), Ok(8_001)),
            ("any", 1, ask(8_000, 0), Ok(8_000)),
            ("another has it", 1, ask(8_000, 9_000), Ok(8_000)),
            ("the same inside is another's", 1, ask(9_000, 0), Ok(9_001)),
            ("it or none", 1, strict(ask(8_000, 9_000)), Err(Code::External)),
            ("it or none, and free", 1, strict(ask(8_000, 8_001)), Ok(8_001)),
            ("another protocol", 1, Map { protocol: Some(Udp), ..ask(9_000, 9_000) }, Ok(9_000)),
            ("forwarded already", 1, ask(5_000, 5_005), Ok(5_011)),
            ("forwarded already, or none", 1, strict(ask(5_000, 5_005)), Err(Code::External)),
            ("a low port outside", 1, ask(8_000, 80), Ok(8_000)),
            ("a low port inside", 1, ask(80, 8_000), Err(Code::Denied)),
            ("all ports", 1, ask(0, 0), Err(Code::Denied)),
            ("all protocols", 1, Map { protocol: None, ..ask(0, 0) }, Err(Code::Protocol)),
            ("our address", 1, strict(there([203, 0, 113, 7], ask(8_000, 0))), Ok(8_000)),
            ("not our address", 1, strict(there([203, 0, 113, 8], ask(8_000, 0))), Err(Code::External)),
            ("another one's mapping", 2, ask(8_000, 0), Err(Code::Denied)),
            ("its own", 2, Map { nonce: Some([9; 12]), ..ask(8_000, 0) }, Ok(9_000)),
        ];
        for (what, number, map, want) in table {
            let mut table = Table::default();
            table.map(host(2), Map { nonce: Some([9; 12]), ..ask(8_000, 9_000) }, &wanted(), 0).unwrap();
            let got = table.map(host(number), map, &wanted(), 1_000);
            assert_eq!(got.map(|map| map.external_port), want, "{what}");
            assert_eq!(table.entries().len(), if want.is_ok() && number == 1 { 2 } else { 1 }, "{what}");
            if let Ok(map) = got {
                assert_eq!((map.external, map.lifetime_s), (OUTSIDE.into(), 600), "{what}");
            }
        }
    }

    #[test]
    fn times_have_limits_and_ends() {
        let mut table = Table::default();
        for (asked_s, given_s) in [(1, LIFETIME_S_MIN), (600, 600), (u32::MAX, LIFETIME_S_MAX)] {
            let map = Map { lifetime_s: asked_s, ..ask(8_000, 0) };
            assert_eq!(table.map(host(1), map, &wanted(), 0).unwrap().lifetime_s, given_s);
        }
        table.map(host(1), ask(8_000, 0), &wanted(), 1_000).unwrap();
        assert_eq!(table.due_ms(), Some(601_000));
        assert!(
            !table.trim(600_999, |_| true) && table.trim(601_000, |_| true) && table.entries().is_empty()
        );
    }

    #[test]
    fn what_is_given_back_is_gone() {
        let other = Some([9; 12]);
        let none = |map: Map| Map { lifetime_s: 0, ..map };
        // what, request, how it goes, ports that are left of 8000 and 8001 (nonce 7) and 8002 (nonce 9)
        let table = [
            ("one", none(ask(8_000, 0)), Ok(()), 2),
            ("one that is not there", none(ask(8_009, 0)), Ok(()), 3),
            ("another program's", none(ask(8_002, 0)), Err(Code::Denied), 3),
            ("all of TCP", none(ask(0, 0)), Ok(()), 1),
            ("all", none(Map { protocol: None, ..ask(0, 0) }), Ok(()), 1),
            ("all of UDP", none(Map { protocol: Some(Udp), ..ask(0, 0) }), Ok(()), 3),
            ("all, by version 0", none(Map { nonce: None, ..ask(0, 0) }), Ok(()), 3),
        ];
        for (what, map, want, left) in table {
            let mut table = Table::default();
            for (port, nonce) in [(8_000, Some([7; 12])), (8_001, Some([7; 12])), (8_002, other)] {
                table.map(host(1), Map { nonce, ..ask(port, 0) }, &wanted(), 0).unwrap();
            }
            assert_eq!(table.map(host(1), map, &wanted(), 0).map(drop), want, "{what}");
            assert_eq!(table.entries().len(), left, "{what}");
        }
    }

    #[test]
    fn nobody_takes_all_ports() {
        let mut table = Table::default();
        let mut asked = |number, port| table.map(host(number), ask(port, 0), &wanted(), 0).err();
        for port in (10_000..).take(HOST_MAPPINGS) {
            assert_eq!(asked(1, port), None);
        }
        assert_eq!(asked(1, 9_999), Some(Code::Quota));
        assert_eq!(asked(1, 10_000), None, "what it has, it may renew");
        let hosts = u8::try_from(MAPPINGS / HOST_MAPPINGS).unwrap();
        for (number, port) in
            (2..=hosts).flat_map(|number| (10_000..).take(HOST_MAPPINGS).map(move |port| (number, port)))
        {
            assert_eq!(asked(number, port), None);
        }
        assert_eq!(asked(200, 10_000), Some(Code::Resources));
    }

    #[test]
    fn an_ipv6_host_gets_its_own_port() {
        let mut table = Table::default();
        let host: IpAddr = "2001:db8::5".parse().unwrap();
        let got = table.map(host, ask(8_000, 9_000), &wanted(), 0).unwrap();
        assert_eq!((got.external, got.external_port), (host, 8_000));
        let strict = Map { prefers_failure: true, ..ask(8_001, 9_000) };
        assert_eq!(table.map(host, strict, &wanted(), 0), Err(Code::External));
    }
}
