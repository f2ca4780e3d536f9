//! What the PCP server answers: both versions, both families.
//!
//! In:  a datagram of a host, a moment. Out: an answer, or silence; and mappings.
//!
//! Pure: `pcp.rs` has the sockets.
//!
//! The *epoch* counts the seconds since the mappings were lost: at a start (they are kept in memory only) and when the address outside
//! changes. A host that sees it go back makes its mappings anew. Source: RFC 6887 §8.5.
//!
//! A host may ask for itself only, and only if it is of the network: by IPv4 in its prefix, by IPv6 in one that is its own now.

use std::net::{IpAddr, Ipv4Addr};

use contract::learn::{Mapping, Pcp, Server as Wanted};
use contract::wanted::contains;

use super::message::{self, Bytes, Code, Map, Request};
use super::natpmp;
use super::table::Table;

/// The server of one network.
#[derive(Debug)]
pub struct Answerer {
    wanted: Wanted,
    table: Table,
    epoch_ms: u64,
    changed: bool,
}

impl Answerer {
    /// A server that begins at `now_ms` after boot.
    #[must_use]
    pub fn new(wanted: Wanted, now_ms: u64) -> Self {
        // That there are no mappings is the first news.
        Self { wanted, table: Table::default(), epoch_ms: now_ms, changed: true }
    }

    /// Wants something else of it. Did the epoch begin anew?
    pub fn want(&mut self, wanted: Wanted, now_ms: u64) -> bool {
        let moved = self.external() != wanted.pcp.as_ref().map(|pcp| pcp.external);
        self.wanted = wanted;
        if moved {
            self.table.clear();
            self.epoch_ms = now_ms;
            self.changed = true;
        }
        self.trim(now_ms);
        moved
    }

    /// The ports that are given.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Have they changed since this was last asked?
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Have they changed since that was last asked?
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Leaves out what has ended, and what is of no use any more: its host's prefix is gone, its port is forwarded by hand now.
    pub fn trim(&mut self, now_ms: u64) {
        let Self { wanted, table, .. } = self;
        let stays = |mapping: &Mapping| {
            let by_hand = wanted.pcp.as_ref().is_some_and(|pcp| {
                mapping.host.is_ipv4()
                    && pcp.taken.iter().any(|(protocol, first, last)| {
                        *protocol == mapping.protocol && (first..=last).contains(&&mapping.external_port)
                    })
            });
            is_of(wanted, mapping.host) && !by_hand
        };
        self.changed |= table.trim(now_ms, stays);
    }

    /// The answer to `bytes` of `from`.
    pub fn answer(&mut self, bytes: &[u8], from: IpAddr, now_ms: u64) -> Option<Bytes> {
        let epoch_s = self.epoch_s(now_ms);
        if bytes.first() == Some(&natpmp::VERSION) {
            return self.answer_old(bytes, from, now_ms);
        }
        let asked = message::read(bytes, from)?;
        let done = match asked.request {
            Ok(Request::Announce) => return Some(message::announcement(epoch_s)),
            Ok(Request::Map(map)) => self.map(from, map, now_ms),
            Err(code) => Err(code),
        };
        Some(match done {
            Ok(map) => message::mapped(&map, epoch_s),
            Err(code) => asked.refusal(code, epoch_s),
        })
    }

    /// Version 0 is for IPv4 only.
    fn answer_old(&mut self, bytes: &[u8], from: IpAddr, now_ms: u64) -> Option<Bytes> {
        let epoch_s = self.epoch_s(now_ms);
        match natpmp::read(bytes).filter(|_| from.is_ipv4())? {
            natpmp::Request::Address => Some(natpmp::address(self.address(), epoch_s)),
            natpmp::Request::Other(operation) => Some(natpmp::unknown(operation, epoch_s)),
            natpmp::Request::Map(map) => Some(match self.map(from, map, now_ms) {
                Ok(map) => natpmp::mapped(&map, Code::Success, epoch_s),
                Err(code) => natpmp::mapped(&map, code, epoch_s),
            }),
        }
    }

    fn map(&mut self, from: IpAddr, map: Map, now_ms: u64) -> Result<Map, Code> {
        let pcp = self.wanted.pcp.as_ref().ok_or(Code::Denied)?;
        if !is_of(&self.wanted, from) {
            return Err(Code::Denied);
        }
        if from.is_ipv4() && pcp.external.is_unspecified() {
            return Err(Code::Network);
        }
        let before = self.table.entries().len();
        let got = self.table.map(from, map, pcp, now_ms)?;
        self.changed |= self.table.entries().len() != before;
        Ok(got)
    }

    /// What is said unasked, in both versions: where we are, and since when. Source: RFC 6887 §14.1.2, RFC 6886 §3.2.1.
    #[must_use]
    pub fn announcements(&self, now_ms: u64) -> [Bytes; 2] {
        let epoch_s = self.epoch_s(now_ms);
        [message::announcement(epoch_s), natpmp::address(self.address(), epoch_s)]
    }

    fn external(&self) -> Option<Ipv4Addr> {
        self.wanted.pcp.as_ref().map(|pcp: &Pcp| pcp.external)
    }

    fn address(&self) -> Ipv4Addr {
        self.external().unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    fn epoch_s(&self, now_ms: u64) -> u32 {
        u32::try_from(now_ms.saturating_sub(self.epoch_ms) / 1_000).unwrap_or(u32::MAX)
    }
}

/// Is `host` one of the network's, and not ourselves?
fn is_of(wanted: &Wanted, host: IpAddr) -> bool {
    match host {
        IpAddr::V4(host) => host != wanted.address && contains(wanted.address, wanted.prefix_length, host),
        IpAddr::V6(_) => wanted.prefixes.iter().any(|on| on.preferred_s > 0 && on.prefix.holds(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::Answerer;
    use contract::learn::{OnLink, Pcp, Server};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn wanted(external: [u8; 4]) -> Server {
        let pcp = Some(Pcp { external: external.into(), taken: Default::default() });
        let on = OnLink { prefix: "2001:db8::/64".parse().unwrap(), preferred_s: 60, valid_s: 60 };
        let prefixes = heapless::Vec::from_iter([on]);
        Server { pcp, prefixes, ..Server::silent("lan".into(), [192, 168, 1, 1].into(), 24) }
    }

    fn map(host: IpAddr) -> Vec<u8> {
        let wide = match host {
            IpAddr::V4(host) => host.to_ipv6_mapped(),
            IpAddr::V6(host) => host,
        };
        let mut bytes = vec![2, 1, 0, 0, 0, 0, 0x0e, 0x10];
        bytes.extend(wide.octets());
        bytes.extend([7; 12]);
        bytes.extend([6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        bytes.extend(Ipv6Addr::UNSPECIFIED.octets());
        bytes
    }

    #[test]
    fn hosts_of_the_network_are_served_and_nobody_else() {
        let table: [(&str, IpAddr, u8); 6] = [
            ("of the prefix", Ipv4Addr::new(192, 168, 1, 100).into(), 0),
            ("from elsewhere", Ipv4Addr::new(192, 168, 2, 100).into(), 2),
            ("ourselves", Ipv4Addr::new(192, 168, 1, 1).into(), 2),
            ("of the IPv6 prefix", "2001:db8::5".parse().unwrap(), 0),
            ("of another", "2001:db8:1::5".parse().unwrap(), 2),
            ("link-local", "fe80::5".parse().unwrap(), 2),
        ];
        for (what, host, code) in table {
            let mut server = Answerer::new(wanted([203, 0, 113, 7]), 0);
            let answer = server.answer(&map(host), host, 5_000).unwrap();
            assert_eq!((answer[3], answer[11]), (code, 5), "{what}");
            assert_eq!(server.table().entries().len(), usize::from(code == 0), "{what}");
        }
        let mut server = Answerer::new(wanted([0; 4]), 0);
        let host = Ipv4Addr::new(192, 168, 1, 100).into();
        assert_eq!(server.answer(&map(host), host, 0).unwrap()[3], 7, "there is no address outside");
        let odd = server.answer(&[9, 0, 0, 0], host, 0).unwrap();
        assert_eq!(odd[..4], [2, 128, 0, 1], "the version that we speak");
    }

    #[test]
    fn the_epoch_begins_anew_when_mappings_are_lost() {
        let host = Ipv4Addr::new(192, 168, 1, 100).into();
        let mut server = Answerer::new(wanted([203, 0, 113, 7]), 0);
        assert!(server.take_change(), "that there are none is said");
        server.answer(&map(host), host, 1_000).unwrap();
        assert!(server.take_change());
        server.answer(&map(host), host, 2_000).unwrap();
        assert!(!server.take_change(), "more time is no news");
        let mut other = wanted([203, 0, 113, 7]);
        other.mtu = 1_400;
        assert!(!server.want(other, 60_000));
        assert_eq!(server.answer(&[0, 0], host, 60_000).unwrap()[4..8], [0, 0, 0, 60]);
        assert!(server.want(wanted([203, 0, 113, 8]), 61_000) && server.take_change());
        assert!(server.table().entries().is_empty());
        let address = server.answer(&[0, 0], host, 61_000).unwrap();
        assert_eq!(address[4..], [0, 0, 0, 0, 203, 0, 113, 8]);
    }

    #[test]
    fn a_mapping_goes_with_its_prefix_and_for_a_forward() {
        let hosts: [IpAddr; 2] = [Ipv4Addr::new(192, 168, 1, 100).into(), "2001:db8::5".parse().unwrap()];
        let mut server = Answerer::new(wanted([203, 0, 113, 7]), 0);
        for host in hosts {
            server.answer(&map(host), host, 0).unwrap();
        }
        let mut without = wanted([203, 0, 113, 7]);
        without.prefixes.clear();
        server.want(without.clone(), 1);
        assert_eq!(server.table().entries().len(), 1);
        without.pcp.as_mut().unwrap().taken.push((contract::manifest::Protocol::Tcp, 8_000, 9_000)).unwrap();
        server.want(without, 2);
        assert!(server.table().entries().is_empty());
    }
}
