//! The options of IPCP: our address, the peer's, name servers.
//!
//! In:  what the peer asks and refuses. Out: what we ask; what was agreed.
//!
//! We ask for no address in particular and take what we are told. Compressed TCP headers are refused.
//!
//! Source: RFC 1332 §3; RFC 1877 §1.

use std::net::Ipv4Addr;

use super::layer::{Options, Verdict};
use super::packet::{self, IPCP, Setting};

const ADDRESS: u8 = 3;
/// Primary and secondary. Source: RFC 1877 §1.1, §1.3.
const NAME_SERVERS: [u8; 2] = [129, 131];

/// The options, both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipcp {
    /// Our address; unspecified: to be told.
    pub address: Ipv4Addr,
    /// Name servers; unspecified: to be told; `None`: the peer tells none.
    pub name_servers: [Option<Ipv4Addr>; 2],
    /// The peer's address; unspecified: it has not said.
    pub peer: Ipv4Addr,
}

impl Default for Ipcp {
    fn default() -> Self {
        let unknown = Ipv4Addr::UNSPECIFIED;
        Self { address: unknown, name_servers: [Some(unknown); 2], peer: unknown }
    }
}

fn address(data: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(data).ok().map(Ipv4Addr::from)
}

impl Options for Ipcp {
    const PROTOCOL: u16 = IPCP;

    fn ask(&self) -> Vec<u8> {
        let mut body = Vec::new();
        packet::put(&mut body, ADDRESS, &self.address.octets());
        for (kind, server) in NAME_SERVERS.into_iter().zip(self.name_servers) {
            if let Some(server) = server {
                packet::put(&mut body, kind, &server.octets());
            }
        }
        body
    }

    fn nak(&mut self, (kind, data): Setting<'_>) {
        let Some(told) = address(data) else { return };
        if kind == ADDRESS {
            self.address = told;
        }
        for (of, server) in NAME_SERVERS.into_iter().zip(&mut self.name_servers) {
            if kind == of {
                *server = Some(told);
            }
        }
    }

    fn reject(&mut self, kind: u8) {
        // Without an address there is nothing to be had; it is asked for again, a bounded number of times.
        for (of, server) in NAME_SERVERS.into_iter().zip(&mut self.name_servers) {
            if kind == of {
                *server = None;
            }
        }
    }

    fn judge(&mut self, settings: &[Setting<'_>]) -> Verdict {
        let (mut refused, mut peer) = (Vec::new(), Ipv4Addr::UNSPECIFIED);
        for (kind, data) in settings {
            match address(data).filter(|told| *kind == ADDRESS && !told.is_unspecified()) {
                Some(told) => peer = told,
                // One that it wants from us, name servers of ours, compression: we have none.
                None => packet::put(&mut refused, *kind, data),
            }
        }
        if !refused.is_empty() {
            return Verdict::Reject(refused);
        }
        self.peer = peer;
        Verdict::Good
    }

    fn echo_head(&self) -> Option<[u8; 4]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Ipcp;
    use crate::ppp::layer::{Options, Verdict};
    use std::net::Ipv4Addr;

    #[test]
    fn we_take_what_we_are_told() {
        let mut ipcp = Ipcp::default();
        assert_eq!(ipcp.ask().len(), 18);
        ipcp.nak((3, &[192, 0, 2, 7]));
        ipcp.nak((129, &[192, 0, 2, 53]));
        ipcp.nak((131, &[1, 2, 3]));
        ipcp.reject(131);
        assert_eq!(ipcp.ask(), [3, 6, 192, 0, 2, 7, 129, 6, 192, 0, 2, 53]);
    }

    #[test]
    fn the_peer_has_an_address_or_none() {
        let table: [(&str, u8, &[u8], Option<Ipv4Addr>); 4] = [
            ("an address", 3, &[192, 0, 2, 1], Some([192, 0, 2, 1].into())),
            ("none: it asks us", 3, &[0, 0, 0, 0], None),
            ("compression", 2, &[0, 0x2d, 15, 1], None),
            ("half an address", 3, &[192, 0], None),
        ];
        for (what, kind, data, peer) in table {
            let mut ipcp = Ipcp::default();
            let good = ipcp.judge(&[(kind, data)]) == Verdict::Good;
            assert_eq!(good.then_some(ipcp.peer), peer, "{what}");
        }
        assert_eq!(Ipcp::default().judge(&[]), Verdict::Good, "it need not say");
    }
}
