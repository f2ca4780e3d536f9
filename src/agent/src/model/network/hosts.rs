//! `Device.Hosts.`: hosts of the home and of guests, as the DHCP server knows them.

use std::net::IpAddr;

use contract::wanted::GUEST_BRIDGE;
use usp::message::read::ValueType as T;

use super::leased::host;
use super::{Object, alias, entries, interface, interface_of, wanted};
use crate::model::{moving, read};
use crate::network::Host;
use crate::world::World;

fn one<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Host> {
    host(world, rows.first())
}

fn family(world: &World, rows: &[u32], ipv4: bool) -> Vec<u32> {
    let count = one(world, rows).map_or(0, |host| host.family(ipv4).count());
    (1..).take(count).collect()
}

fn at(world: &World, rows: &[u32], ipv4: bool) -> Option<IpAddr> {
    let place = usize::try_from(rows.get(1)?.checked_sub(1)?).ok()?;
    one(world, rows)?.family(ipv4).nth(place).map(|(address, _)| *address)
}

/// Whether an address of it was given, rather than kept.
fn given(host: &Host, ipv4: bool) -> Option<&(IpAddr, u32)> {
    host.family(ipv4).find(|(_, left_s)| *left_s > 0)
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.Hosts.",
        &[read("HostNumberOfEntries", T::UnsignedInt, |world, _| entries(&world.network.rows.hosts.all()))],
    ),
    Object::table(
        "Device.Hosts.Host.{i}.",
        &[&["PhysAddress"], &["Alias"]],
        |world, _| world.network.rows.hosts.all(),
        &[
            read("Alias", T::String, alias),
            read("PhysAddress", T::String, |world, rows| one(world, rows).map(|host| host.mac.clone())),
            read("IPAddress", T::String, |world, rows| {
                let first = one(world, rows)?.addresses.first();
                Some(first.map(|(address, _)| address.to_string()).unwrap_or_default())
            }),
            read("AddressSource", T::String, |world, rows| {
                let dhcp = given(one(world, rows)?, true).is_some();
                Some(if dhcp { "DHCP" } else { "None" }.to_owned())
            }),
            moving("LeaseTimeRemaining", T::Int, |world, rows| {
                let left_s = given(one(world, rows)?, true).map_or(0, |(_, left_s)| *left_s);
                Some(i32::try_from(left_s).unwrap_or(-1).to_string())
            }),
            read("DHCPClient", T::String, |world, rows| {
                let host = one(world, rows)?;
                let pool = if host.link == GUEST_BRIDGE { 2 } else { 1 };
                let row = rows.first()?;
                let client = format!("Device.DHCPv4.Server.Pool.{pool}.Client.{row}");
                Some(given(host, true).map(|_| client).unwrap_or_default())
            }),
            read("Layer3Interface", T::String, |world, rows| {
                let link = one(world, rows)?.link.clone();
                let home = wanted(world).is_some_and(|wanted| wanted.lan.bridge.as_str() == link);
                Some(if home { interface(crate::network::LAN) } else { interface_of(world, &link) })
            }),
            read("HostName", T::String, |world, rows| one(world, rows).map(|host| host.name.clone())),
            read("Active", T::Boolean, |world, rows| {
                one(world, rows).map(|host| host.is_active().to_string())
            }),
            read("IPv4AddressNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&family(world, rows, true))
            }),
            read("IPv6AddressNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&family(world, rows, false))
            }),
        ],
    ),
    Object::table(
        "Device.Hosts.Host.{i}.IPv4Address.{i}.",
        &[&["IPAddress"]],
        |world, rows| family(world, rows, true),
        &[read("IPAddress", T::String, |world, rows| at(world, rows, true).map(|one| one.to_string()))],
    ),
    Object::table(
        "Device.Hosts.Host.{i}.IPv6Address.{i}.",
        &[&["IPAddress"]],
        |world, rows| family(world, rows, false),
        &[read("IPAddress", T::String, |world, rows| at(world, rows, false).map(|one| one.to_string()))],
    ),
];
