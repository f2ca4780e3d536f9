//! Who has which address of a pool's, in either family: the rows that the tables of DHCPv4 and DHCPv6 have alike.
//!
//! In:  the world, rows. Out: rows of hosts and of their addresses, and what stands in these. `IPV4` says whose table asks.
//!
//! A client has its host's row, whichever family its address is of.

use std::net::IpAddr;

use usp::message::read::ValueType as T;

use super::{Parameter, entries, until};
use crate::model::{moving, read};
use crate::network::Host;
use crate::world::World;

/// Hosts behind `link` that have an address, and are there.
pub(super) fn clients<const IPV4: bool>(world: &World, link: &str) -> Vec<u32> {
    let network = &world.network;
    let its = network.hosts.iter().filter(|host| host.link == link && host.family(IPV4).next().is_some());
    its.filter(|host| host.is_active()).filter_map(|host| network.rows.hosts.row(&host.mac)).collect()
}

pub(super) fn host<'w>(world: &'w World, row: Option<&u32>) -> Option<&'w Host> {
    let mac = world.network.rows.hosts.name(*row?)?;
    world.network.hosts.iter().find(|host| host.mac == mac)
}

/// Addresses that a client has, from 1.
pub(super) fn address_rows<const IPV4: bool>(world: &World, rows: &[u32]) -> Vec<u32> {
    let count = host(world, rows.get(1)).map_or(0, |host| host.family(IPV4).count());
    (1..).take(count).collect()
}

/// An address, and how long it is its host's, in seconds.
fn leased<const IPV4: bool>(world: &World, rows: &[u32]) -> Option<(IpAddr, u32)> {
    let place = usize::try_from(rows.get(2)?.checked_sub(1)?).ok()?;
    host(world, rows.get(1))?.family(IPV4).nth(place).copied()
}

/// How many addresses a client has, by the name that its family's table has for it.
pub(super) const fn count<const IPV4: bool>(name: &'static str) -> Parameter {
    read(name, T::UnsignedInt, |world, rows| entries(&address_rows::<IPV4>(world, rows)))
}

/// An address of a client.
pub(super) const fn address<const IPV4: bool>() -> Parameter {
    read("IPAddress", T::String, |world, rows| {
        leased::<IPV4>(world, rows).map(|(address, _)| address.to_string())
    })
}

/// When it is no longer its host's, by the name that its family's table has for it.
pub(super) const fn end<const IPV4: bool>(name: &'static str) -> Parameter {
    moving(name, T::DateTime, |world, rows| {
        leased::<IPV4>(world, rows).map(|(_, left_s)| until(world, left_s))
    })
}
