//! The network: what `network`, `lease` and `time` say, in TR-181's words; and what of it can be wanted otherwise.
//!
//! Rows of `IP.Interface` are the sides of the network: 1 to 3 the plays (Internet, voice, TV), 4 the home, 5 guests. What stands for a play
//! elsewhere (a VLAN, a DHCP client, a router) has the play's row there, too. All other rows are things that keep their own.
//!
//! A change is one of the wanted network as a whole; its rules are checked at the end of the request, and it is on trial until the controller
//! is heard again (`room/trial.rs`).
//!
//! Source: TR-181 2.19.1.

use contract::wanted::Wanted;
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Get, Object, Parameter, Set, moving};
use crate::network::{Link, Places, Side};
use crate::world::World;

mod dhcp;
mod dhcp6;
mod ethernet;
mod firewall;
mod hosts;
mod ip;
mod leased;
mod names;
mod ppp;
mod qos;
mod routing;
mod time;
mod trial;

/// A change of the wanted network, at these rows.
pub(super) type Change = fn(&mut Wanted, &mut Places, &[u32], &str) -> Result<(), Code>;

/// How rows come and go by a controller's word.
#[derive(Debug, Clone, Copy)]
pub struct Grow {
    /// Makes one, and says which it is.
    pub add: fn(&mut Wanted, &mut Places, &[u32]) -> Result<u32, Code>,
    /// Takes one away.
    pub delete: fn(&mut Wanted, &Places, &[u32]) -> Result<(), Code>,
}

pub(super) const OBJECTS: &[&[Object]] = &[
    ethernet::OBJECTS,
    ip::OBJECTS,
    ppp::OBJECTS,
    routing::OBJECTS,
    dhcp::OBJECTS,
    dhcp6::OBJECTS,
    names::OBJECTS,
    firewall::OBJECTS,
    qos::OBJECTS,
    hosts::OBJECTS,
    time::OBJECTS,
    trial::OBJECTS,
];

/// A parameter that is wanted so, and can be wanted otherwise.
const fn change(name: &'static str, kind: T, get: Get, change: Change) -> Parameter {
    Parameter { name, kind, get, set: Some(Set::Network(change)), tells: true }
}

/// A secret: it is said, and never told.
const fn hidden(name: &'static str, change: Change) -> Parameter {
    Parameter { name, kind: T::String, get: nothing, set: Some(Set::Hidden(change)), tells: false }
}

fn wanted(world: &World) -> Option<&Wanted> {
    world.network.wanted.as_deref()
}

fn side<'w>(world: &'w World, rows: &[u32]) -> Option<Side<'w>> {
    world.network.side(*rows.first()?)
}

/// Rows of the sides that are as `holds` says.
fn sides(world: &World, holds: fn(&Side<'_>) -> bool) -> Vec<u32> {
    world.network.sides().filter(holds).map(|side| side.row).collect()
}

fn yes(_: &World, _: &[u32]) -> Option<String> {
    Some("true".to_owned())
}

fn no(_: &World, _: &[u32]) -> Option<String> {
    Some("false".to_owned())
}

fn nothing(_: &World, _: &[u32]) -> Option<String> {
    Some(String::new())
}

/// Every row of a table has one.
fn alias(_: &World, rows: &[u32]) -> Option<String> {
    rows.last().map(|row| format!("cpe-{row}"))
}

fn enabled(_: &World, _: &[u32]) -> Option<String> {
    Some("Enabled".to_owned())
}

fn entries(rows: &[u32]) -> Option<String> {
    super::count(rows.len())
}

/// Source: RFC 2863 §3.1.13 (`ifOperStatus`), as TR-181 words it.
fn status(link: Option<&Link>) -> Option<String> {
    let word = match link {
        None => "NotPresent",
        Some(link) if !link.up => "Down",
        Some(link) if !link.carrier => "LowerLayerDown",
        Some(_) => "Up",
    };
    Some(word.to_owned())
}

/// Where a side is in the tree.
fn interface(row: u32) -> String {
    format!("Device.IP.Interface.{row}")
}

/// Where the side is whose addresses this link carries; empty: none does.
fn interface_of(world: &World, link: &str) -> String {
    let side = world.network.sides().find(|side| side.link().as_str() == link);
    side.map(|side| interface(side.row)).unwrap_or_default()
}

/// A list, as TR-106 writes it.
fn list<I: ToString>(items: impl IntoIterator<Item = I>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

/// A mask of so many bits.
fn mask(length: u8) -> String {
    let bits = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(length))).unwrap_or(0);
    std::net::Ipv4Addr::from_bits(bits).to_string()
}

/// The length that a mask stands for.
fn length_of(mask: &str) -> Result<u8, Code> {
    let bits = address::<std::net::Ipv4Addr>(mask)?.to_bits();
    let ones = bits.leading_ones();
    if bits.count_ones() != ones {
        return Err(Code::INVALID_VALUE);
    }
    u8::try_from(ones).map_err(|_| Code::INVALID_VALUE)
}

fn address<A: std::str::FromStr>(text: &str) -> Result<A, Code> {
    text.parse().map_err(|_| Code::INVALID_VALUE)
}

/// A number of seconds that is left, as a time. For ever, or not known: TR-106's own words for that.
fn until(world: &World, remaining_s: u32) -> String {
    let Some(now_s) = world.facts.now_s.filter(|_| remaining_s != u32::MAX) else {
        let forever = remaining_s == u32::MAX;
        return if forever { "9999-12-31T23:59:59Z" } else { "0001-01-01T00:00:00Z" }.to_owned();
    };
    crate::world::date(Some(now_s.saturating_add(i64::from(remaining_s))))
}

/// What a link has carried: the object of `$path`, whose link is what `$of` says.
macro_rules! stats {
    ($path:literal, $of:expr) => {
        Object::single(
            $path,
            &[
                super::carried("BytesSent", T::UnsignedLong, |world, rows| {
                    super::counter($of(world, rows)?, 0)
                }),
                super::carried("BytesReceived", T::UnsignedLong, |world, rows| {
                    super::counter($of(world, rows)?, 1)
                }),
                super::carried("PacketsSent", T::UnsignedLong, |world, rows| {
                    super::counter($of(world, rows)?, 2)
                }),
                super::carried("PacketsReceived", T::UnsignedLong, |world, rows| {
                    super::counter($of(world, rows)?, 3)
                }),
                super::carried("ErrorsSent", T::UnsignedInt, |world, rows| {
                    super::counter($of(world, rows)?, 4)
                }),
                super::carried("ErrorsReceived", T::UnsignedInt, |world, rows| {
                    super::counter($of(world, rows)?, 5)
                }),
                super::carried("DiscardPacketsSent", T::UnsignedInt, |world, rows| {
                    super::counter($of(world, rows)?, 6)
                }),
                super::carried("DiscardPacketsReceived", T::UnsignedInt, |world, rows| {
                    super::counter($of(world, rows)?, 7)
                }),
                super::carried("MulticastPacketsReceived", T::UnsignedLong, |world, rows| {
                    super::counter($of(world, rows)?, 8)
                }),
            ],
        )
    };
}
use stats;

const fn carried(name: &'static str, kind: T, get: Get) -> Parameter {
    moving(name, kind, get)
}

/// One of a link's counters. Of 32 bits where TR-181 says so: it begins again then.
fn counter(link: &Link, place: usize) -> Option<String> {
    link.counters.get(place).map(u64::to_string)
}
