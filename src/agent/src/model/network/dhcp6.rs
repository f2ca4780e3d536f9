//! `Device.DHCPv6.`: clients of plays, the server of the home. A client of the server has its host's row.

use contract::leases::Answer;
use contract::wanted::{LanIpv6, WanIpv6};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Object, alias, change, entries, interface, leased, no, side, sides, wanted, yes};
use crate::model::{boolean, read};
use crate::network::{LAN, Side};
use crate::world::World;

fn asks(side: &Side<'_>) -> bool {
    side.access.is_some_and(|access| access.ipv6 == WanIpv6::Dhcp)
}

fn state<'w>(world: &'w World, rows: &[u32]) -> Option<&'w str> {
    let its = side(world, rows)?.link();
    world.network.leases.iter().find_map(|answer| {
        let Answer::Ipv6 { state, known, .. } = answer else { return None };
        (known.link == its).then_some(state.as_str())
    })
}

fn pools(world: &World, _: &[u32]) -> Vec<u32> {
    if wanted(world).is_some() { vec![1] } else { Vec::new() }
}

fn lan(world: &World) -> Option<LanIpv6> {
    Some(wanted(world)?.lan.ipv6)
}

fn clients(world: &World, _: &[u32]) -> Vec<u32> {
    wanted(world).map_or_else(Vec::new, |wanted| leased::clients::<false>(world, &wanted.lan.bridge))
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.DHCPv6.",
        &[read("ClientNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, asks)))],
    ),
    Object::table(
        "Device.DHCPv6.Client.{i}.",
        &[&["Interface"], &["Alias"]],
        |world, _| sides(world, asks),
        &[
            read("Enable", T::Boolean, yes),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, rows| rows.first().map(|row| interface(*row))),
            read("Status", T::String, super::enabled),
            // The client's own word for where it is.
            read("X_SHG_State", T::String, |world, rows| {
                Some(state(world, rows).unwrap_or_default().to_owned())
            }),
            read("RequestAddresses", T::Boolean, yes),
            read("RequestPrefixes", T::Boolean, |_, rows| Some((rows.first() == Some(&1)).to_string())),
            read("RapidCommit", T::Boolean, no),
        ],
    ),
    Object::single(
        "Device.DHCPv6.Server.",
        &[
            read("Enable", T::Boolean, |world, _| lan(world).map(|ipv6| (ipv6 != LanIpv6::None).to_string())),
            read("PoolNumberOfEntries", T::UnsignedInt, |world, _| entries(&pools(world, &[]))),
        ],
    ),
    Object::table(
        "Device.DHCPv6.Server.Pool.{i}.",
        &[&["Order"], &["Alias"]],
        pools,
        &[
            read("Enable", T::Boolean, |world, _| lan(world).map(|ipv6| (ipv6 != LanIpv6::None).to_string())),
            read("Status", T::String, |world, _| {
                Some(if lan(world)? == LanIpv6::None { "Disabled" } else { "Enabled" }.to_owned())
            }),
            read("Alias", T::String, alias),
            read("Order", T::String, |_, _| Some("1".to_owned())),
            read("Interface", T::String, |_, _| Some(interface(LAN))),
            // Addresses, beside all else that hosts are told.
            change(
                "IANAEnable",
                T::Boolean,
                |world, _| lan(world).map(|ipv6| (ipv6 == LanIpv6::Stateful).to_string()),
                |wanted, _, _, value| {
                    let stateful = boolean(value)?;
                    if wanted.lan.ipv6 == LanIpv6::None {
                        return if stateful { Err(Code::INVALID_VALUE) } else { Ok(()) };
                    }
                    wanted.lan.ipv6 = if stateful { LanIpv6::Stateful } else { LanIpv6::Stateless };
                    Ok(())
                },
            ),
            read("IAPDEnable", T::Boolean, no),
            read("ClientNumberOfEntries", T::UnsignedInt, |world, rows| entries(&clients(world, rows))),
        ],
    ),
    Object::table(
        "Device.DHCPv6.Server.Pool.{i}.Client.{i}.",
        &[&["Alias"]],
        clients,
        &[
            read("Alias", T::String, alias),
            read("Active", T::Boolean, yes),
            leased::count::<false>("IPv6AddressNumberOfEntries"),
        ],
    ),
    Object::table(
        "Device.DHCPv6.Server.Pool.{i}.Client.{i}.IPv6Address.{i}.",
        &[&["IPAddress"]],
        leased::address_rows::<false>,
        &[leased::address::<false>(), leased::end::<false>("ValidLifetime")],
    ),
];
