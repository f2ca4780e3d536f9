//! What a server offers or grants, checked: only terms that we could live with become [`Terms`].
//!
//! In:  a [`Message`] from a server. Out: a [`Reply`], or nothing.
//!
//! Not here: whether we asked for it (`client.rs`).
//!
//! Source: RFC 2131 §4.3.1 (table 3), §4.4.5; RFC 2132.

use std::net::{IpAddr, Ipv4Addr};

use contract::learn::Lease;
use contract::leases::Controller;
use contract::limit::NAME_SERVERS;
use contract::name::Text;
use contract::prefix::Prefix;
use contract::wanted::LinkName;
use heapless::Vec;

use crate::message::{Kind, Mac, Message};
use crate::options::Routes;
use crate::usp;

/// The shortest lease that we take, in seconds: with less we would do nothing but renew. Cable modems give 20 s until they are online.
pub const LEASE_S_MIN: u32 = 4;
/// A lease that never ends. Source: RFC 2131 §3.3.
pub const LEASE_S_INFINITE: u32 = u32::MAX;

/// What a server offers or grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub prefix_length: u8,
    /// The router.
    pub router: Option<Ipv4Addr>,
    /// Classless routes; where there are some, there is no router beside them (RFC 3442).
    pub routes: Routes,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// Time servers.
    pub time_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// SIP servers.
    pub sip_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The USP controller.
    pub controller: Option<Controller>,
    /// The domain of local names; empty: none.
    pub domain: Text<63>,
    /// Who says so.
    pub server: Ipv4Addr,
    /// How long, in seconds: at least [`LEASE_S_MIN`]; [`LEASE_S_INFINITE`] for ever.
    pub lease_s: u32,
    /// When to renew, in seconds, where the server says it in a way that makes sense.
    pub renew_s: Option<u32>,
    /// When to rebind, in seconds, likewise: both or none.
    pub rebind_s: Option<u32>,
}

impl Terms {
    /// As `network` wants to hear it.
    #[must_use]
    pub fn lease(&self, link: &LinkName) -> Lease {
        Lease {
            link: link.clone(),
            address: self.address,
            prefix_length: self.prefix_length,
            router: self.router,
            routes: self.routes.clone(),
            name_servers: self.name_servers.clone(),
            time_servers: self.time_servers.clone(),
            sip_servers: self.sip_servers.clone(),
            server: self.server,
            lease_s: self.lease_s,
        }
    }
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It offers.
    Offer(Terms),
    /// It grants.
    Ack(Terms),
    /// It refuses.
    Nak {
        /// Who refuses.
        server: Ipv4Addr,
    },
}

/// What `message` says to the client with the address `own`, and the number of its exchange. `None`: nothing that we could use.
#[must_use]
pub fn reply(message: &Message, own: Mac) -> Option<(u32, Reply)> {
    if message.chaddr != own {
        return None;
    }
    let reply = match message.kind {
        Kind::Offer => Reply::Offer(terms(message)?),
        Kind::Ack => Reply::Ack(terms(message)?),
        Kind::Nak => Reply::Nak { server: message.server? },
        Kind::Discover | Kind::Request | Kind::Decline | Kind::Release | Kind::Inform => return None,
    };
    Some((message.xid, reply))
}

fn terms(message: &Message) -> Option<Terms> {
    let address = Some(message.yiaddr).filter(|address| is_host(*address))?;
    let prefix_length = message.mask.map_or_else(|| class(address), length)?;
    let lease_s = message.lease_s.filter(|lease_s| *lease_s >= LEASE_S_MIN)?;
    let times = message.renew_s.zip(message.rebind_s);
    let times = times.filter(|(renew_s, rebind_s)| 0 < *renew_s && renew_s < rebind_s && *rebind_s < lease_s);
    let hosts = |all: &[Ipv4Addr]| all.iter().copied().filter(|server| is_host(*server)).collect();
    let routes: Routes = message.routes.iter().copied().filter(|route| is_route(*route, address)).collect();
    // Whoever sends classless routes has said with them what the router is for. Source: RFC 3442, "Client Behavior".
    let router = message.router.filter(|router| routes.is_empty() && is_host(*router) && *router != address);
    Some(Terms {
        address,
        prefix_length,
        router,
        routes,
        name_servers: hosts(&message.name_servers),
        time_servers: hosts(&message.time_servers),
        sip_servers: hosts(&message.sip_servers),
        controller: message.controller.clone(),
        domain: usp::domain(&message.domain),
        server: message.server.filter(|server| is_host(*server))?,
        lease_s,
        renew_s: times.map(|(renew_s, _)| renew_s),
        rebind_s: times.map(|(_, rebind_s)| rebind_s),
    })
}

/// Could one host have `address`? Not "this network", loopback, multicast, reserved or broadcast. Source: RFC 6890 §2.2.2.
#[must_use]
pub fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

/// Could packets go this way? To hosts, by another host or by none.
fn is_route((prefix, router): (Prefix, Ipv4Addr), own: Ipv4Addr) -> bool {
    let IpAddr::V4(first) = prefix.first() else { return false };
    let to_hosts = prefix.length() == 0 || is_host(first);
    to_hosts && (router.is_unspecified() || (is_host(router) && router != own))
}

/// The length of `mask`, in bits: 1 to 32. `None`: it has holes, or is empty.
fn length(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let length = bits.leading_ones();
    (bits.count_ones() == length).then_some(u8::try_from(length).ok()?).filter(|length| *length > 0)
}

/// The length where the server sent no mask: the address's class. Source: RFC 2132 §3.3 leaves it open; RFC 950 §2.1.
fn class(address: Ipv4Addr) -> Option<u8> {
    let [first, ..] = address.octets();
    match first {
        0..128 => Some(8),
        128..192 => Some(16),
        192..224 => Some(24),
        224.. => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Reply, reply};
    use crate::message::{Kind, Message};
    use std::net::Ipv4Addr;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn ack(bend: fn(&mut Message)) -> Option<Reply> {
        let mut message = Message::new(Kind::Ack, 7, OWN);
        message.yiaddr = Ipv4Addr::new(10, 1, 0, 9);
        message.mask = Some(Ipv4Addr::new(255, 255, 0, 0));
        message.server = Some(Ipv4Addr::new(10, 1, 0, 1));
        message.lease_s = Some(600);
        bend(&mut message);
        reply(&message, OWN).map(|(_, reply)| reply)
    }

    #[test]
    fn only_terms_that_we_could_live_with_are_taken() {
        type Row = (&'static str, fn(&mut Message), bool);
        let table: &[Row] = &[
            ("plain", |_| (), true),
            ("another one's", |m| m.chaddr = [2, 0, 0, 0, 0, 2], false),
            ("no address", |m| m.yiaddr = Ipv4Addr::UNSPECIFIED, false),
            ("loopback", |m| m.yiaddr = Ipv4Addr::LOCALHOST, false),
            ("multicast", |m| m.yiaddr = Ipv4Addr::new(224, 0, 0, 1), false),
            ("broadcast", |m| m.yiaddr = Ipv4Addr::BROADCAST, false),
            ("mask with a hole", |m| m.mask = Some(Ipv4Addr::new(255, 0, 255, 0)), false),
            ("empty mask", |m| m.mask = Some(Ipv4Addr::UNSPECIFIED), false),
            ("no mask", |m| m.mask = None, true),
            ("no lease time", |m| m.lease_s = None, false),
            ("too short", |m| m.lease_s = Some(3), false),
            ("for ever", |m| m.lease_s = Some(u32::MAX), true),
            ("no server", |m| m.server = None, false),
            ("a client's word", |m| m.kind = Kind::Discover, false),
            ("no", |m| m.kind = Kind::Nak, true),
        ];
        for (what, bend, taken) in table {
            assert_eq!(ack(*bend).is_some(), *taken, "{what}");
        }
    }

    #[test]
    fn classless_routes_stand_for_the_router() {
        const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
        const OURS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
        let router = Ipv4Addr::new(10, 1, 0, 1);
        type Row = (&'static str, &'static [(&'static str, Ipv4Addr)], Option<Ipv4Addr>, usize);
        let table: [Row; 5] = [
            ("none", &[], Some(router), 0),
            ("one", &[("10.0.0.0/8", OTHER)], None, 1),
            ("on the link", &[("10.9.0.0/16", Ipv4Addr::UNSPECIFIED), ("0.0.0.0/0", OTHER)], None, 2),
            ("to everybody of a group", &[("224.0.0.0/4", OTHER)], Some(router), 0),
            ("by ourselves", &[("10.0.0.0/8", OURS)], Some(router), 0),
        ];
        for (what, routes, want, count) in table {
            let mut message = Message::new(Kind::Ack, 7, OWN);
            message.yiaddr = Ipv4Addr::new(10, 1, 0, 9);
            (message.server, message.lease_s, message.router) = (Some(router), Some(600), Some(router));
            message.routes =
                routes.iter().map(|(prefix, router)| (prefix.parse().unwrap(), *router)).collect();
            let Some((7, Reply::Ack(terms))) = reply(&message, OWN) else { panic!("{what}") };
            assert_eq!((terms.router, terms.routes.len()), (want, count), "{what}");
        }
    }

    #[test]
    fn times_that_make_no_sense_are_left_out() {
        let table = [
            ("sense", 300, 525, true),
            ("renew after rebind", 525, 300, false),
            ("rebind after the end", 300, 600, false),
            ("at once", 0, 525, false),
        ];
        for (what, renew_s, rebind_s, kept) in table {
            let mut message = Message::new(Kind::Ack, 7, OWN);
            message.yiaddr = Ipv4Addr::new(192, 168, 0, 9);
            message.server = Some(Ipv4Addr::new(192, 168, 0, 1));
            (message.lease_s, message.renew_s, message.rebind_s) = (Some(600), Some(renew_s), Some(rebind_s));
            let Some((7, Reply::Ack(terms))) = reply(&message, OWN) else { panic!("{what}") };
            assert_eq!(terms.renew_s.is_some(), kept, "{what}");
            assert_eq!(terms.prefix_length, 24, "by class");
        }
    }
}
