//! `Device.DHCPv4.`: clients of plays, the servers of home and guests, addresses that are kept, leases.
//!
//! Pools: 1 the home's, 2 the guests'. A client of a pool has its host's row.

use std::net::Ipv4Addr;

use contract::learn::Lease;
use contract::leases::Answer;
use contract::mac::Mac;
use contract::manifest::Kind;
use contract::wanted::{GUEST_BRIDGE, Pool, Reservation, WanIpv4, Wanted};
use usp::Code;
use usp::message::read::{ObjectAccess, ValueType as T};

use super::{
    Grow, Object, address, alias, change, entries, interface, leased, list, mask, side, sides, wanted, yes,
};
use crate::model::{boolean, moving, number, read, text};
use crate::network::{GUEST, LAN, Places, Side};
use crate::world::World;

/// The row of the home's pool.
const HOME_POOL: u32 = 1;
/// A new address is kept for nobody until its row says for whom; such a row is not enabled.
const NOBODY: Mac = Mac([0; 6]);
/// Letters of a domain. Source: `contract::wanted::Lan`.
const DOMAIN_MAX: usize = 63;

fn asks(side: &Side<'_>) -> bool {
    side.access.is_some_and(|access| access.ipv4 == WanIpv4::Dhcp)
}

/// What `lease` says of a client: its state, its lease, what is left of it.
fn client<'w>(world: &'w World, rows: &[u32]) -> Option<(&'w str, Option<&'w Lease>, u32)> {
    let frames = side(world, rows)?.frame_link();
    world.network.leases.iter().find_map(|answer| {
        let Answer::Client { link, state, lease, remaining_s, .. } = answer else { return None };
        (*link == frames).then_some((state.as_str(), lease.as_ref(), *remaining_s))
    })
}

fn of_lease(world: &World, rows: &[u32], get: fn(&Lease) -> String) -> Option<String> {
    Some(client(world, rows).and_then(|(_, lease, _)| lease).map(get).unwrap_or_default())
}

/// A client's state (RFC 2131 figure 5), in TR-181's words.
fn state(world: &World, rows: &[u32]) -> Option<String> {
    let word = match client(world, rows).map_or("", |(state, _, _)| state) {
        "SELECTING" => "Selecting",
        "REQUESTING" | "REBOOTING" | "INIT-REBOOT" => "Requesting",
        "BOUND" => "Bound",
        "RENEWING" => "Renewing",
        "REBINDING" => "Rebinding",
        _ => "Init",
    };
    Some(word.to_owned())
}

/// A pool: the gateway's address in it, its prefix's length, what it gives, whose link it is.
struct Given<'w> {
    address: Ipv4Addr,
    length: u8,
    pool: Option<&'w Pool>,
    link: &'w str,
    side: u32,
}

fn given<'w>(world: &'w World, rows: &[u32]) -> Option<Given<'w>> {
    let wanted = wanted(world)?;
    if *rows.first()? == HOME_POOL {
        let lan = &wanted.lan;
        let (address, length, pool) = (lan.address, lan.prefix_length, lan.dhcp.as_ref());
        return Some(Given { address, length, pool, link: &lan.bridge, side: LAN });
    }
    let guest = wanted.guest.as_ref()?;
    let (address, length, pool) = (guest.address, guest.prefix_length, Some(&guest.dhcp));
    Some(Given { address, length, pool, link: GUEST_BRIDGE, side: GUEST })
}

fn pools(world: &World, _: &[u32]) -> Vec<u32> {
    (1..=2).filter(|row| given(world, &[*row]).is_some()).collect()
}

fn of_pool(world: &World, rows: &[u32], get: fn(&Pool) -> String) -> Option<String> {
    Some(given(world, rows)?.pool.map(get).unwrap_or_default())
}

fn pool<'w>(wanted: &'w mut Wanted, rows: &[u32]) -> Result<&'w mut Pool, Code> {
    let pool = match rows.first() {
        Some(&HOME_POOL) => wanted.lan.dhcp.as_mut(),
        Some(_) | None => wanted.guest.as_mut().map(|guest| &mut guest.dhcp),
    };
    pool.ok_or(Code::INVALID_CONFIGURATION)
}

fn clients(world: &World, rows: &[u32]) -> Vec<u32> {
    given(world, rows).map_or_else(Vec::new, |given| leased::clients::<true>(world, given.link))
}

/// Addresses are kept in the home only.
fn kept_rows(world: &World, rows: &[u32]) -> Vec<u32> {
    if rows.first() == Some(&HOME_POOL) { world.network.rows.kept.all() } else { Vec::new() }
}

fn kept<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Reservation> {
    let mac = world.network.rows.kept.name(*rows.get(1)?)?;
    wanted(world)?.lan.reservation.iter().find(|one| one.mac.to_string() == mac)
}

fn keep<'w>(wanted: &'w mut Wanted, places: &Places, rows: &[u32]) -> Result<&'w mut Reservation, Code> {
    let mac = rows.get(1).and_then(|row| places.kept.name(*row));
    let found = wanted.lan.reservation.iter_mut().find(|one| Some(one.mac.to_string().as_str()) == mac);
    found.ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

const KEEP: Grow = Grow {
    add: |wanted, places, rows| {
        if rows.first() != Some(&HOME_POOL) {
            return Err(Code::NOT_CREATABLE);
        }
        if wanted.lan.reservation.iter().any(|one| one.mac == NOBODY) {
            return Err(Code::DUPLICATE_KEY);
        }
        let (mac, address) = (NOBODY, Ipv4Addr::UNSPECIFIED);
        let new = Reservation { enable: false, mac, address, name: "".into(), class: None };
        wanted.lan.reservation.push(new).map_err(|_| Code::RESOURCES_EXCEEDED)?;
        Ok(places.kept.add(&NOBODY.to_string()))
    },
    delete: |wanted, places, rows| {
        let mac = keep(wanted, places, rows)?.mac;
        wanted.lan.reservation.retain(|one| one.mac != mac);
        Ok(())
    },
};

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.DHCPv4.",
        &[read("ClientNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, asks)))],
    ),
    Object::table(
        "Device.DHCPv4.Client.{i}.",
        &[&["Interface"], &["Alias"]],
        |world, _| sides(world, asks),
        &[
            read("Enable", T::Boolean, yes),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, rows| rows.first().map(|row| interface(*row))),
            read("Status", T::String, super::enabled),
            read("DHCPStatus", T::String, state),
            read("IPAddress", T::String, |world, rows| {
                of_lease(world, rows, |lease| lease.address.to_string())
            }),
            read("SubnetMask", T::String, |world, rows| {
                of_lease(world, rows, |lease| mask(lease.prefix_length))
            }),
            read("IPRouters", T::String, |world, rows| of_lease(world, rows, |lease| list(lease.router))),
            read("DNSServers", T::String, |world, rows| {
                of_lease(world, rows, |lease| list(&lease.name_servers))
            }),
            moving("LeaseTimeRemaining", T::Int, |world, rows| {
                let left_s = client(world, rows).and_then(|(_, lease, left_s)| lease.map(|_| left_s));
                // For ever, and no lease, are both -1 or 0 in TR-181.
                Some(left_s.map_or("0".to_owned(), |left_s| i32::try_from(left_s).unwrap_or(-1).to_string()))
            }),
            read("DHCPServer", T::String, |world, rows| {
                of_lease(world, rows, |lease| lease.server.to_string())
            }),
        ],
    ),
    Object::single(
        "Device.DHCPv4.Server.",
        &[
            change(
                "Enable",
                T::Boolean,
                |world, _| Some(wanted(world)?.lan.dhcp.is_some_and(|pool| pool.enable).to_string()),
                |wanted, _, _, value| {
                    let enable = boolean(value)?;
                    pool(wanted, &[HOME_POOL]).map(|pool| pool.enable = enable)
                },
            ),
            read("PoolNumberOfEntries", T::UnsignedInt, |world, _| entries(&pools(world, &[]))),
        ],
    ),
    Object::table(
        "Device.DHCPv4.Server.Pool.{i}.",
        &[&["Order"], &["Alias"]],
        pools,
        &[
            change(
                "Enable",
                T::Boolean,
                |world, rows| Some(given(world, rows)?.pool.is_some_and(|pool| pool.enable).to_string()),
                |wanted, _, rows, value| {
                    let enable = boolean(value)?;
                    // Guests have no other way to an address.
                    if rows.first() != Some(&HOME_POOL) && !enable {
                        return Err(Code::INVALID_VALUE);
                    }
                    pool(wanted, rows).map(|pool| pool.enable = enable)
                },
            ),
            read("Status", T::String, |world, rows| {
                let on = given(world, rows)?.pool.is_some_and(|pool| pool.enable);
                Some(if on { "Enabled" } else { "Disabled" }.to_owned())
            }),
            read("Alias", T::String, alias),
            read("Order", T::String, |_, rows| rows.first().map(u32::to_string)),
            read("Interface", T::String, |world, rows| Some(interface(given(world, rows)?.side))),
            change(
                "MinAddress",
                T::String,
                |world, rows| of_pool(world, rows, |pool| pool.first.to_string()),
                |wanted, _, rows, value| {
                    let said = address(value)?;
                    pool(wanted, rows).map(|pool| pool.first = said)
                },
            ),
            change(
                "MaxAddress",
                T::String,
                |world, rows| of_pool(world, rows, |pool| pool.last.to_string()),
                |wanted, _, rows, value| {
                    let said = address(value)?;
                    pool(wanted, rows).map(|pool| pool.last = said)
                },
            ),
            read("SubnetMask", T::String, |world, rows| Some(mask(given(world, rows)?.length))),
            read("DNSServers", T::String, |world, rows| Some(given(world, rows)?.address.to_string())),
            change(
                "DomainName",
                T::String,
                |world, _| Some(wanted(world)?.lan.domain.to_string()),
                |wanted, _, rows, value| {
                    if rows.first() != Some(&HOME_POOL) {
                        return Err(Code::NOT_WRITEABLE);
                    }
                    wanted.lan.domain = text(value, DOMAIN_MAX)?.as_str().into();
                    Ok(())
                },
            ),
            read("IPRouters", T::String, |world, rows| Some(given(world, rows)?.address.to_string())),
            change(
                "LeaseTime",
                T::Int,
                |world, rows| of_pool(world, rows, |pool| pool.lease_s.to_string()),
                |wanted, _, rows, value| {
                    let said = number(value, 120, u32::MAX / 2)?;
                    pool(wanted, rows).map(|pool| pool.lease_s = said)
                },
            ),
            read("StaticAddressNumberOfEntries", T::UnsignedInt, |world, rows| {
                entries(&kept_rows(world, rows))
            }),
            read("ClientNumberOfEntries", T::UnsignedInt, |world, rows| entries(&clients(world, rows))),
        ],
    ),
    Object {
        access: ObjectAccess::AddDelete,
        grows: Some(KEEP),
        ..Object::table(
            "Device.DHCPv4.Server.Pool.{i}.StaticAddress.{i}.",
            &[&["Chaddr"], &["Alias"]],
            kept_rows,
            &[
                change(
                    "Enable",
                    T::Boolean,
                    |world, rows| kept(world, rows).map(|one| one.enable.to_string()),
                    |wanted, places, rows, value| {
                        let enable = boolean(value)?;
                        keep(wanted, places, rows).map(|one| one.enable = enable)
                    },
                ),
                read("Alias", T::String, alias),
                change(
                    "Chaddr",
                    T::String,
                    |world, rows| {
                        kept(world, rows)
                            .map(|one| if one.mac == NOBODY { String::new() } else { one.mac.to_string() })
                    },
                    |wanted, places, rows, value| {
                        let mac: Mac = address(&value.to_ascii_lowercase())?;
                        keep(wanted, places, rows)?.mac = mac;
                        let row = rows.get(1).copied().unwrap_or(0);
                        let alone = places.kept.rename(row, &mac.to_string());
                        if alone { Ok(()) } else { Err(Code::DUPLICATE_KEY) }
                    },
                ),
                change(
                    "Yiaddr",
                    T::String,
                    |world, rows| kept(world, rows).map(|one| one.address.to_string()),
                    |wanted, places, rows, value| {
                        let said = address(value)?;
                        keep(wanted, places, rows).map(|one| one.address = said)
                    },
                ),
                change(
                    "X_SHG_Class",
                    T::String,
                    |world, rows| kept(world, rows).map(|one| one.class.map_or("", Kind::word).to_owned()),
                    |wanted, places, rows, value| {
                        let said = match value {
                            "" => None,
                            word => Some(word.parse().map_err(|_| Code::INVALID_VALUE)?),
                        };
                        keep(wanted, places, rows).map(|one| one.class = said)
                    },
                ),
            ],
        )
    },
    Object::table(
        "Device.DHCPv4.Server.Pool.{i}.Client.{i}.",
        &[&["Chaddr"], &["Alias"]],
        clients,
        &[
            read("Alias", T::String, alias),
            read("Chaddr", T::String, |world, rows| {
                leased::host(world, rows.get(1)).map(|host| host.mac.clone())
            }),
            read("Active", T::Boolean, yes),
            leased::count::<true>("IPv4AddressNumberOfEntries"),
        ],
    ),
    Object::table(
        "Device.DHCPv4.Server.Pool.{i}.Client.{i}.IPv4Address.{i}.",
        &[&["IPAddress"]],
        leased::address_rows::<true>,
        &[leased::address::<true>(), leased::end::<true>("LeaseTimeRemaining")],
    ),
];
