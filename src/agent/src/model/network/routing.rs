//! `Device.Routing.`, `Device.RouterAdvertisement.`: routes of plays, which have a table each; what hosts of the home are told of IPv6.

use contract::leases::Answer;
use contract::show::Route;
use contract::wanted::{LanIpv6, WanIpv4};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{
    Object, alias, change, enabled, entries, interface, interface_of, list, mask, no, nothing, sides, wanted,
    yes,
};
use crate::model::{boolean, count, read};
use crate::network::{LAN, Side, route_key};
use crate::world::World;

fn is_play(side: &Side<'_>) -> bool {
    side.access.is_some()
}

/// Routes of the play whose row this is.
fn routes(world: &World, rows: &[u32], ipv4: bool) -> Vec<u32> {
    let Some(play) = rows.first().and_then(|row| u8::try_from(row.checked_sub(1)?).ok()) else {
        return Vec::new();
    };
    let its = world.network.routes.iter().filter(|one| one.play == play && one.to.is_ipv4() == ipv4);
    its.filter_map(|one| world.network.rows.routes.row(&route_key(one))).collect()
}

fn route<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Route> {
    let key = world.network.rows.routes.name(*rows.get(1)?)?;
    world.network.routes.iter().find(|one| route_key(one) == key)
}

/// Who has told it.
fn origin(world: &World, rows: &[u32], ipv4: bool) -> Option<String> {
    let access = world.network.side(*rows.first()?)?.access?;
    let word = match (ipv4, access.ipv4) {
        (false, _) => "RA",
        (true, WanIpv4::Dhcp) => "DHCPv4",
        (true, WanIpv4::Pppoe) => "IPCP",
        (true, WanIpv4::Static | WanIpv4::None) => "Static",
    };
    Some(word.to_owned())
}

fn via(world: &World, rows: &[u32], none: &str) -> Option<String> {
    Some(route(world, rows)?.via.map_or_else(|| none.to_owned(), |via| via.to_string()))
}

/// Who tells the home of IPv6: rows are those of the sides.
fn tells(world: &World, _: &[u32]) -> Vec<u32> {
    if wanted(world).is_some() { vec![LAN] } else { Vec::new() }
}

fn lan_ipv6(world: &World) -> Option<LanIpv6> {
    Some(wanted(world)?.lan.ipv6)
}

/// Prefixes that hosts of this link are told.
fn told(world: &World, rows: &[u32]) -> Option<String> {
    let its = world.network.side(*rows.first()?)?.link();
    let prefixes = world.network.leases.iter().filter_map(|answer| {
        let Answer::Told { link, prefix, valid_s, .. } = answer else { return None };
        (*link == its && *valid_s > 0).then_some(prefix)
    });
    Some(list(prefixes))
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.Routing.",
        &[read("RouterNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, is_play)))],
    ),
    Object::table(
        "Device.Routing.Router.{i}.",
        &[&["Alias"]],
        |world, _| sides(world, is_play),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("IPv4ForwardingNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&routes(world, rows, true))
            }),
            read("IPv6ForwardingNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&routes(world, rows, false))
            }),
        ],
    ),
    Object::table(
        "Device.Routing.Router.{i}.IPv4Forwarding.{i}.",
        &[
            &["DestIPAddress", "DestSubnetMask", "GatewayIPAddress", "Interface", "ForwardingMetric"],
            &["Alias"],
        ],
        |world, rows| routes(world, rows, true),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("StaticRoute", T::Boolean, no),
            read("DestIPAddress", T::String, |world, rows| {
                route(world, rows).map(|one| one.to.first().to_string())
            }),
            read("DestSubnetMask", T::String, |world, rows| {
                route(world, rows).map(|one| mask(one.to.length()))
            }),
            read("GatewayIPAddress", T::String, |world, rows| via(world, rows, "0.0.0.0")),
            read("Interface", T::String, |world, rows| {
                route(world, rows).map(|one| interface_of(world, &one.link))
            }),
            read("Origin", T::String, |world, rows| origin(world, rows, true)),
            read("ForwardingMetric", T::Int, |world, rows| {
                route(world, rows).map(|one| one.metric.to_string())
            }),
        ],
    ),
    Object::table(
        "Device.Routing.Router.{i}.IPv6Forwarding.{i}.",
        &[&["DestIPPrefix", "NextHop", "Interface", "ForwardingMetric"], &["Alias"]],
        |world, rows| routes(world, rows, false),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("DestIPPrefix", T::String, |world, rows| route(world, rows).map(|one| one.to.to_string())),
            read("NextHop", T::String, |world, rows| via(world, rows, "")),
            read("Interface", T::String, |world, rows| {
                route(world, rows).map(|one| interface_of(world, &one.link))
            }),
            read("Origin", T::String, |world, rows| origin(world, rows, false)),
            read("ForwardingMetric", T::Int, |world, rows| {
                route(world, rows).map(|one| one.metric.to_string())
            }),
        ],
    ),
    Object::single(
        "Device.RouterAdvertisement.",
        &[
            read("Enable", T::Boolean, yes),
            read("InterfaceSettingNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
        ],
    ),
    Object::table(
        "Device.RouterAdvertisement.InterfaceSetting.{i}.",
        &[&["Interface"], &["Alias"]],
        tells,
        &[
            change(
                "Enable",
                T::Boolean,
                |world, _| lan_ipv6(world).map(|ipv6| (ipv6 != LanIpv6::None).to_string()),
                |wanted, _, _, value| {
                    let on = boolean(value)?;
                    if on != (wanted.lan.ipv6 != LanIpv6::None) {
                        wanted.lan.ipv6 = if on { LanIpv6::Stateless } else { LanIpv6::None };
                    }
                    Ok(())
                },
            ),
            read("Status", T::String, |world, _| {
                let off = lan_ipv6(world)? == LanIpv6::None;
                Some(if off { "Disabled" } else { "Enabled" }.to_owned())
            }),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, rows| rows.first().map(|row| interface(*row))),
            read("ManualPrefixes", T::String, nothing),
            read("Prefixes", T::String, told),
            // Hosts have to ask by DHCPv6 for their addresses. Source: RFC 4861 §4.2.
            change(
                "AdvManagedFlag",
                T::Boolean,
                |world, _| lan_ipv6(world).map(|ipv6| (ipv6 == LanIpv6::Stateful).to_string()),
                |wanted, _, _, value| {
                    let stateful = boolean(value)?;
                    match wanted.lan.ipv6 {
                        LanIpv6::None if stateful => return Err(Code::INVALID_VALUE),
                        LanIpv6::None => {}
                        LanIpv6::Stateless | LanIpv6::Stateful => {
                            wanted.lan.ipv6 = if stateful { LanIpv6::Stateful } else { LanIpv6::Stateless };
                        }
                    }
                    Ok(())
                },
            ),
            read("AdvOtherConfigFlag", T::Boolean, yes),
            read("AdvMobileAgentFlag", T::Boolean, no),
            read("AdvNDProxyFlag", T::Boolean, no),
        ],
    ),
];
