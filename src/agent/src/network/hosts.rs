//! Hosts of the home: who has, or had, an address of our DHCP server; those for whom one is kept.
//!
//! In:  what `lease` says. Out: a row a host, by its link-layer address.
//!
//! Not here: hosts that have given themselves an address; nobody in this house knows of them.

use std::net::IpAddr;

use contract::leases::Answer;
use contract::mac::Mac;

use super::Network;

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its link-layer address.
    pub mac: String,
    /// What it is called; empty: it has not said.
    pub name: String,
    /// On which link.
    pub link: String,
    /// Its addresses, and how long each still holds, in seconds; 0: it is kept for it, and not in use.
    pub addresses: Vec<(IpAddr, u32)>,
}

impl Host {
    /// Does one of its addresses hold?
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.addresses.iter().any(|(_, remaining_s)| *remaining_s > 0)
    }

    /// Its addresses of one family.
    pub fn family(&self, ipv4: bool) -> impl Iterator<Item = &(IpAddr, u32)> {
        self.addresses.iter().filter(move |(address, _)| address.is_ipv4() == ipv4)
    }
}

/// All of them, in order of their first lease.
pub(super) fn hosts(network: &Network) -> Vec<Host> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut add = |mac: String, name: &str, link: &str, address: (IpAddr, u32)| {
        let place = hosts.iter().position(|host| host.mac == mac).unwrap_or_else(|| {
            hosts.push(Host { mac, name: String::new(), link: link.to_owned(), addresses: Vec::new() });
            hosts.len().saturating_sub(1)
        });
        if let Some(host) = hosts.get_mut(place) {
            if !name.is_empty() {
                name.clone_into(&mut host.name);
            }
            host.addresses.push(address);
        }
    };
    for answer in &network.leases {
        match answer {
            Answer::Given { link, address, mac, host, remaining_s } => {
                add(Mac(*mac).to_string(), host, link, ((*address).into(), *remaining_s));
            }
            Answer::Given6 { link, address, mac, remaining_s } if *mac != [0; 6] => {
                add(Mac(*mac).to_string(), "", link, ((*address).into(), *remaining_s));
            }
            Answer::Kept { link, address, mac, name } => {
                add(mac.to_string(), name, link, ((*address).into(), 0));
            }
            Answer::Given6 { .. }
            | Answer::Client { .. }
            | Answer::Session { .. }
            | Answer::Mapping { .. }
            | Answer::Ipv6 { .. }
            | Answer::Told { .. }
            | Answer::Done => {}
        }
    }
    hosts
}
