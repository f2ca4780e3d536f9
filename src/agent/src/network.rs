//! What the network is: what is wanted of it, what is there, who has which address, what the clock says.
//!
//! In:  what `network`, `lease` and `time` say; the kernel's files about links (`network/ask.rs`). Out: a [`Network`], and which rows of
//! the tree its parts have.
//!
//! Not here: where of it stands what in the tree (`model/network/`), when a change of it is confirmed (`room/trial.rs`).

use std::rc::Rc;

use contract::Name;
use contract::clock::{Clock, Source};
use contract::learn::Mapping;
use contract::leases;
use contract::show::{Address, Route, Traffic};
use contract::wanted::{Access, GUEST_BRIDGE, LinkName, Profile, Wanted};
use serde::{Deserialize, Serialize};

use crate::rows::Rows;

mod ask;
mod hosts;

pub use ask::Lines;
pub use hosts::Host;

/// Rows of the LAN and of the guests among the sides of the network; before them come the plays, in their order.
pub const LAN: u32 = 4;
/// See [`LAN`].
pub const GUEST: u32 = 5;
/// A port that a host of the home has asked for is known by its protocol and port behind this; no name of an operator's begins so.
const ASKED: &str = "asked/";
/// And one that is a service's behind this.
const SERVED: &str = "served/";

/// All that is said of the network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// What is wanted, without secrets; `None`: nobody says it (yet).
    pub wanted: Option<Rc<Wanted>>,
    /// It is on trial for so many seconds more; 0: it is not.
    pub trial_s: u32,
    /// Links, but services' own.
    pub links: Vec<Link>,
    /// Addresses that they have.
    pub addresses: Vec<Address>,
    /// Routes that are ours.
    pub routes: Vec<Route>,
    /// What classes have carried.
    pub traffic: Vec<Traffic>,
    /// What `lease` says.
    pub leases: Vec<leases::Answer>,
    /// The clock.
    pub clock: Option<Clock>,
    /// Whom it is set by.
    pub sources: Vec<Source>,
    /// Hosts of the home.
    pub hosts: Vec<Host>,
    /// Ports of the Internet play's address that lead to services: their manifests say which.
    pub served: Vec<Served>,
    /// Rows.
    pub rows: Places,
}

/// A port of the Internet play's address that leads to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Which.
    pub service: Name,
    /// The port outside, where it leads to; no host: it has no address.
    pub mapping: Mapping,
    /// It runs.
    pub up: bool,
}

/// A link, as `network` and the kernel's files say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// It is up, by order.
    pub up: bool,
    /// Its cable says so, too.
    pub carrier: bool,
    /// The bridge whose port it is; empty: none.
    pub bridge: String,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// Its link-layer address; empty: it has none.
    pub mac: String,
    /// What its cable carries, in Mbit/s; 0: it is not known.
    pub mbit_s: u32,
    /// In both directions at a time.
    pub duplex: bool,
    /// What it has carried, in the order of [`COUNTERS`].
    pub counters: [u64; COUNTERS.len()],
}

/// The kernel's counters that are read. Source: Documentation/ABI/testing/sysfs-class-net-statistics.
pub const COUNTERS: [&str; 9] = [
    "tx_bytes",
    "rx_bytes",
    "tx_packets",
    "rx_packets",
    "tx_errors",
    "rx_errors",
    "tx_dropped",
    "rx_dropped",
    "multicast",
];

/// Which rows the parts of the network have: each keeps its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// Links with a cable, by name: `Ethernet.Interface`.
    pub ports: Rows,
    /// Forwarded ports, by name: `NAT.PortMapping`.
    pub forwards: Rows,
    /// Pinholes, by name: `Firewall.Pinhole`.
    pub pinholes: Rows,
    /// Addresses that are kept for somebody, by link-layer address: `DHCPv4.Server.Pool.{i}.StaticAddress`.
    pub kept: Rows,
    /// Name servers that were named, by address and port: `DNS.Relay.Forwarding`.
    pub upstreams: Rows,
    /// Hosts, by link-layer address: `Hosts.Host`.
    pub hosts: Rows,
    /// Addresses, by link and address.
    #[serde(skip)]
    pub addresses: Rows,
    /// Routes.
    #[serde(skip)]
    pub routes: Rows,
    /// Classes of traffic, by link and class.
    #[serde(skip)]
    pub queues: Rows,
}

impl Places {
    /// What of them outlives a restart.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let none = Rows::default;
        Self { addresses: none(), routes: none(), queues: none(), ..self.clone() }
    }
}

/// One side of the network: a play, the home, the guests.
#[derive(Debug, Clone, Copy)]
pub struct Side<'w> {
    /// Its row.
    pub row: u32,
    /// What it is called.
    pub name: &'static str,
    /// How it comes in, where it is a play.
    pub access: Option<&'w Access>,
    wanted: &'w Wanted,
}

impl Side<'_> {
    /// The link that carries its addresses.
    #[must_use]
    pub fn link(&self) -> LinkName {
        match (self.row, self.access) {
            (_, Some(access)) => self.wanted.address_link(access),
            (GUEST, None) => GUEST_BRIDGE.into(),
            (_, None) => self.wanted.lan.bridge.clone(),
        }
    }

    /// The link that carries its frames.
    #[must_use]
    pub fn frame_link(&self) -> LinkName {
        self.access.map_or_else(|| self.link(), |access| self.wanted.frame_link(access))
    }
}

impl Network {
    /// The side in `row`.
    #[must_use]
    pub fn side(&self, row: u32) -> Option<Side<'_>> {
        let wanted = self.wanted.as_deref()?;
        let [internet, voice, tv] = wanted.accesses();
        // TV that is bridged has no address of ours.
        let tv = tv.filter(|_| wanted.tv.as_ref().is_some_and(|tv| tv.profile == Profile::Routed));
        let (name, access) = match row {
            1 => ("internet", Some(internet?)),
            2 => ("voice", Some(voice?)),
            3 => ("tv", Some(tv?)),
            LAN => ("lan", None),
            GUEST => ("guest", wanted.guest.as_ref().map(|_| None)?),
            _ => return None,
        };
        Some(Side { row, name, access, wanted })
    }

    /// Every side that there is.
    pub fn sides(&self) -> impl Iterator<Item = Side<'_>> {
        (1..=GUEST).filter_map(|row| self.side(row))
    }

    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// Ports that hosts have asked for: of IPv4, or of IPv6.
    pub fn asked(&self, ipv4: bool) -> impl Iterator<Item = (&Mapping, u32)> {
        self.leases.iter().filter_map(move |answer| {
            let leases::Answer::Mapping { mapping, remaining_s, .. } = answer else { return None };
            (mapping.host.is_ipv4() == ipv4).then_some((mapping, *remaining_s))
        })
    }

    /// Takes what is new, in place of what was there; new things get rows.
    pub fn hear(&mut self, mut new: Self) {
        new.rows = std::mem::take(&mut self.rows);
        new.served = std::mem::take(&mut self.served);
        new.hosts = hosts::hosts(&new);
        *self = new;
        self.settle();
    }

    /// These ports lead to services.
    pub fn serve(&mut self, served: Vec<Served>) {
        if self.served != served {
            self.served = served;
            self.settle();
        }
    }

    /// Gives rows to what has none, and takes those of what is gone.
    pub fn settle(&mut self) {
        let Some(wanted) = self.wanted.clone() else { return };
        let cables = [&wanted.wan.link].into_iter().chain(&wanted.lan.ports);
        let cables = cables.chain(wanted.guest.iter().flat_map(|guest| &guest.ports));
        let cables = cables.chain(wanted.tv.iter().flat_map(|tv| &tv.ports));
        let mut rows = std::mem::take(&mut self.rows);
        rows.ports.keep(cables.map(|link| link.as_str()));
        let named: Vec<String> = wanted.forward.iter().map(|one| one.name.to_string()).collect();
        let asked = self.asked(true).map(|(one, _)| asked_key(one));
        let served = self.served.iter().map(served_key);
        keep(&mut rows.forwards, named.into_iter().chain(asked).chain(served));
        let named: Vec<String> = wanted.pinhole.iter().map(|one| one.name.to_string()).collect();
        let asked = self.asked(false).map(|(one, _)| asked_key(one));
        keep(&mut rows.pinholes, named.into_iter().chain(asked));
        keep(&mut rows.kept, wanted.lan.reservation.iter().map(|one| one.mac.to_string()));
        keep(&mut rows.upstreams, wanted.dns.upstream.iter().map(upstream_key));
        keep(&mut rows.hosts, self.hosts.iter().map(|host| host.mac.clone()));
        keep(&mut rows.addresses, self.addresses.iter().map(address_key));
        keep(&mut rows.routes, self.routes.iter().map(route_key));
        keep(&mut rows.queues, self.traffic.iter().map(queue_key));
        self.rows = rows;
    }
}

fn keep(rows: &mut Rows, keys: impl Iterator<Item = String>) {
    let keys: Vec<String> = keys.collect();
    rows.keep(keys.iter().map(String::as_str));
}

/// What a port is known by that a host has asked for.
#[must_use]
pub fn asked_key(one: &Mapping) -> String {
    format!("{ASKED}{:?}/{}/{}", one.protocol, one.external_port, one.host)
}

/// What a port is known by that leads to a service.
#[must_use]
pub fn served_key(one: &Served) -> String {
    format!("{SERVED}{}/{:?}/{}", one.service, one.mapping.protocol, one.mapping.external_port)
}

/// What a name server is known by.
#[must_use]
pub fn upstream_key(one: &contract::wanted::Upstream) -> String {
    format!("{} {}", one.address, one.port)
}

/// What an address is known by.
#[must_use]
pub fn address_key(one: &Address) -> String {
    format!("{} {}", one.link, one.address)
}

/// What a route is known by.
#[must_use]
pub fn route_key(one: &Route) -> String {
    format!("{} {} {} {:?} {}", one.play, one.to, one.link, one.via, one.metric)
}

/// What a class is known by.
#[must_use]
pub fn queue_key(one: &Traffic) -> String {
    format!("{} {}", one.link, one.class)
}
