//! `Device.IP.`: the sides of the network, their addresses and prefixes.

use contract::show::Address;
use contract::wanted::{Access, LanIpv6, WanIpv4, WanIpv6, Wanted};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{
    Object, address, alias, change, enabled, entries, length_of, mask, no, nothing, side, sides, stats,
    status, until, wanted, yes,
};
use crate::model::{boolean, number, read};
use crate::network::{GUEST, LAN, Link, address_key};
use crate::world::World;

/// The smallest and the largest packet that a play may have, in bytes. Source: RFC 8200 §5, IEEE 802.3 with room for jumbo frames.
const MTU: (u16, u16) = (1280, 9000);

/// How the play in this row comes in.
pub(super) fn access<'w>(wanted: &'w mut Wanted, rows: &[u32]) -> Result<&'w mut Access, Code> {
    let place = rows.first().and_then(|row| usize::try_from(row.checked_sub(1)?).ok());
    let access = place.and_then(|place| wanted.accesses_mut().into_iter().nth(place).flatten());
    access.ok_or(Code::NOT_WRITEABLE)
}

fn link<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    world.network.link(&side(world, rows)?.link())
}

fn addresses(world: &World, rows: &[u32], ipv4: bool) -> Vec<u32> {
    let Some(link) = side(world, rows).map(|side| side.link()) else { return Vec::new() };
    let its = world.network.addresses.iter().filter(|one| one.link == link && one.address.is_ipv4() == ipv4);
    its.filter_map(|one| world.network.rows.addresses.row(&address_key(one))).collect()
}

fn one<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Address> {
    let key = world.network.rows.addresses.name(*rows.get(1)?)?;
    world.network.addresses.iter().find(|one| address_key(one) == key)
}

/// How an IPv4 address has come.
fn origin(world: &World, rows: &[u32]) -> Option<String> {
    let word = match side(world, rows)?.access.map(|access| access.ipv4) {
        Some(WanIpv4::Dhcp) => "DHCP",
        Some(WanIpv4::Pppoe) => "IPCP",
        Some(WanIpv4::Static | WanIpv4::None) | None => "Static",
    };
    Some(word.to_owned())
}

/// The address that a side is wanted to have, where it can be said.
fn place<'w>(wanted: &'w mut Wanted, rows: &[u32]) -> Result<(&'w mut std::net::Ipv4Addr, &'w mut u8), Code> {
    match rows.first() {
        Some(&LAN) => Ok((&mut wanted.lan.address, &mut wanted.lan.prefix_length)),
        Some(&GUEST) => {
            let guest = wanted.guest.as_mut().ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
            Ok((&mut guest.address, &mut guest.prefix_length))
        }
        Some(_) | None => {
            let fixed = access(wanted, rows)?.fixed.as_mut().ok_or(Code::NOT_WRITEABLE)?;
            Ok((&mut fixed.address, &mut fixed.prefix_length))
        }
    }
}

fn life_status(one: &Address) -> &'static str {
    let [preferred_s, _] = one.life_s;
    if preferred_s == 0 { "Deprecated" } else { "Preferred" }
}

fn has_ipv6(world: &World, rows: &[u32]) -> Option<bool> {
    let side = side(world, rows)?;
    let ours = wanted(world)?.lan.ipv6 != LanIpv6::None;
    Some(side.access.map_or(ours, |access| access.ipv6 != WanIpv6::None))
}

/// A side's prefixes: an address of ours with its prefix stands for each that hosts share.
fn prefixes(world: &World, rows: &[u32]) -> Vec<u32> {
    let shared = |row: &u32| {
        let rows = [rows.first().copied().unwrap_or(0), *row];
        one(world, &rows).is_some_and(|one| one.length < 128 && !is_own(one))
    };
    addresses(world, rows, false).into_iter().filter(shared).collect()
}

/// Of the link alone (RFC 4291 §2.5.6).
fn is_own(one: &Address) -> bool {
    matches!(one.address, std::net::IpAddr::V6(address) if address.is_unicast_link_local())
}

fn prefix(one: &Address) -> String {
    contract::prefix::Prefix::new(one.address, one.length).to_string()
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.IP.",
        &[
            read("IPv4Capable", T::Boolean, yes),
            read("IPv4Enable", T::Boolean, yes),
            read("IPv4Status", T::String, enabled),
            read("IPv6Capable", T::Boolean, yes),
            read("IPv6Enable", T::Boolean, yes),
            read("IPv6Status", T::String, enabled),
            read("InterfaceNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, |_| true))),
        ],
    ),
    Object::table(
        "Device.IP.Interface.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| sides(world, |_| true),
        &[
            read("Enable", T::Boolean, yes),
            read("IPv4Enable", T::Boolean, |world, rows| {
                let none = side(world, rows)?.access.is_some_and(|access| access.ipv4 == WanIpv4::None);
                Some((!none).to_string())
            }),
            // Of a play: by DHCPv6, with a prefix for the home; of the home: by router advertisements.
            change(
                "IPv6Enable",
                T::Boolean,
                |world, rows| has_ipv6(world, rows).map(|has| has.to_string()),
                |wanted, _, rows, value| {
                    let on = boolean(value)?;
                    match rows.first() {
                        Some(&LAN) => wanted.lan.ipv6 = if on { LanIpv6::Stateless } else { LanIpv6::None },
                        Some(_) | None => {
                            let access = access(wanted, rows)?;
                            if on != (access.ipv6 != WanIpv6::None) {
                                access.ipv6 = if on { WanIpv6::Dhcp } else { WanIpv6::None };
                            }
                        }
                    }
                    Ok(())
                },
            ),
            read("ULAEnable", T::Boolean, no),
            read("Status", T::String, |world, rows| status(link(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| Some(side(world, rows)?.link().to_string())),
            // Which play, or side of the home.
            read("X_SHG_Side", T::String, |world, rows| Some(side(world, rows)?.name.to_owned())),
            // Of a play's frames; 0: they are untagged, and there is no VLANTermination.
            change(
                "X_SHG_VLANID",
                T::UnsignedInt,
                |world, rows| Some(side(world, rows)?.access.map_or(0, |access| access.vlan).to_string()),
                |wanted, _, rows, value| {
                    let vlan = number(value, 0, super::ethernet::VLAN_MAX)?;
                    access(wanted, rows).map(|access| access.vlan = vlan)
                },
            ),
            read("LowerLayers", T::String, |world, rows| {
                let side = side(world, rows)?;
                let session = side.access.is_some_and(|access| access.ipv4 == WanIpv4::Pppoe);
                let beneath = super::ethernet::beneath(world, side.row).ok()?;
                Some(if session { format!("Device.PPP.Interface.{}", side.row) } else { beneath })
            }),
            read("Router", T::String, |world, rows| {
                let side = side(world, rows)?;
                let row = side.access.map_or(1, |_| side.row);
                Some(format!("Device.Routing.Router.{row}"))
            }),
            change(
                "MaxMTUSize",
                T::UnsignedInt,
                |world, rows| {
                    let told = side(world, rows)?.access.map_or(0, |access| u32::from(access.mtu));
                    let has = link(world, rows).map_or(0, |link| link.mtu);
                    Some(if told == 0 { has } else { told }.to_string())
                },
                |wanted, _, rows, value| {
                    let bytes = number(value, MTU.0, MTU.1)?;
                    access(wanted, rows).map(|access| access.mtu = bytes)
                },
            ),
            read("Type", T::String, |_, _| Some("Normal".to_owned())),
            read("Loopback", T::Boolean, no),
            read("AutoIPEnable", T::Boolean, no),
            read("IPv4AddressNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&addresses(world, rows, true))
            }),
            read("IPv6AddressNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&addresses(world, rows, false))
            }),
            read("IPv6PrefixNumberOfEntries", T::UnsignedInt, |world, rows| entries(&prefixes(world, rows))),
        ],
    ),
    stats!("Device.IP.Interface.{i}.Stats.", link),
    Object::table(
        "Device.IP.Interface.{i}.IPv4Address.{i}.",
        &[&["IPAddress", "SubnetMask"], &["Alias"]],
        |world, rows| addresses(world, rows, true),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            change(
                "IPAddress",
                T::String,
                |world, rows| one(world, rows).map(|one| one.address.to_string()),
                |wanted, _, rows, value| {
                    let said = address(value)?;
                    place(wanted, rows).map(|(address, _)| *address = said)
                },
            ),
            change(
                "SubnetMask",
                T::String,
                |world, rows| one(world, rows).map(|one| mask(one.length)),
                |wanted, _, rows, value| {
                    let said = length_of(value)?;
                    place(wanted, rows).map(|(_, length)| *length = said)
                },
            ),
            read("AddressingType", T::String, origin),
        ],
    ),
    Object::table(
        "Device.IP.Interface.{i}.IPv6Address.{i}.",
        &[&["IPAddress", "Prefix"], &["Alias"]],
        |world, rows| addresses(world, rows, false),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("IPAddressStatus", T::String, |world, rows| {
                one(world, rows).map(|one| life_status(one).to_owned())
            }),
            read("Alias", T::String, alias),
            read("IPAddress", T::String, |world, rows| one(world, rows).map(|one| one.address.to_string())),
            read("Origin", T::String, |world, rows| {
                let play = side(world, rows)?.access;
                let word = match play.map(|access| access.ipv6) {
                    _ if one(world, rows).is_some_and(is_own) => "AutoConfigured",
                    Some(WanIpv6::Slaac) => "AutoConfigured",
                    Some(WanIpv6::Dhcp) => "DHCPv6",
                    Some(WanIpv6::None) | None => "Static",
                };
                Some(word.to_owned())
            }),
            read("Prefix", T::String, |world, rows| {
                let row = *rows.get(1)?;
                let shared = prefixes(world, rows).contains(&row);
                let interface = super::interface(*rows.first()?);
                Some(if shared { format!("{interface}.IPv6Prefix.{row}") } else { String::new() })
            }),
            moving_until("PreferredLifetime", |world, rows| {
                one(world, rows).map(|one| until(world, one.life_s[0]))
            }),
            moving_until("ValidLifetime", |world, rows| {
                one(world, rows).map(|one| until(world, one.life_s[1]))
            }),
            read("Anycast", T::Boolean, no),
        ],
    ),
    Object::table(
        "Device.IP.Interface.{i}.IPv6Prefix.{i}.",
        &[&["Prefix"], &["Alias"]],
        prefixes,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("PrefixStatus", T::String, |world, rows| {
                one(world, rows).map(|one| life_status(one).to_owned())
            }),
            read("Alias", T::String, alias),
            read("Prefix", T::String, |world, rows| one(world, rows).map(prefix)),
            read("Origin", T::String, |world, rows| {
                let play = side(world, rows)?.access.is_some();
                Some(if play { "RouterAdvertisement" } else { "Child" }.to_owned())
            }),
            read("StaticType", T::String, |_, _| Some("Inapplicable".to_owned())),
            read("ParentPrefix", T::String, nothing),
            read("OnLink", T::Boolean, yes),
            read("Autonomous", T::Boolean, |world, rows| {
                let stateful = wanted(world)?.lan.ipv6 == LanIpv6::Stateful;
                Some((side(world, rows)?.access.is_some() || !stateful).to_string())
            }),
            moving_until("PreferredLifetime", |world, rows| {
                one(world, rows).map(|one| until(world, one.life_s[0]))
            }),
            moving_until("ValidLifetime", |world, rows| {
                one(world, rows).map(|one| until(world, one.life_s[1]))
            }),
        ],
    ),
];

/// A time that is said anew with every advertisement.
const fn moving_until(name: &'static str, get: crate::model::Get) -> crate::model::Parameter {
    crate::model::moving(name, T::DateTime, get)
}
