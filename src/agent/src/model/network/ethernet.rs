//! `Device.Ethernet.`, `Device.Bridging.`: cables, links on them, VLANs of plays; bridges.
//!
//! Links: 1 the operator's, 2 the home's bridge, 3 the guests'. Bridges: 1 the home's, 2 the guests', 3 TV's own.

use contract::wanted::{GUEST_BRIDGE, TV_BRIDGE};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Object, alias, change, enabled, entries, no, nothing, side, sides, stats, status, wanted, yes};
use crate::model::{count, number, read};
use crate::network::{Link, Network, Side};
use crate::world::World;

/// Source: IEEE 802.1Q-2022 §9.6 (TPID of a customer's tag).
const TPID: u32 = 0x8100;
/// The largest VLAN. Source: IEEE 802.1Q-2022 §9.6.
pub(super) const VLAN_MAX: u16 = 4094;

fn cable<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    world.network.link(world.network.rows.ports.name(*rows.first()?)?)
}

/// Where a cable is in the tree.
fn cable_path(network: &Network, name: &str) -> String {
    let row = network.rows.ports.row(name);
    row.map(|row| format!("Device.Ethernet.Interface.{row}")).unwrap_or_default()
}

fn links(world: &World, _: &[u32]) -> Vec<u32> {
    let Some(wanted) = wanted(world) else { return Vec::new() };
    if wanted.guest.is_some() { vec![1, 2, 3] } else { vec![1, 2] }
}

fn link_name(world: &World, rows: &[u32]) -> Option<String> {
    let wanted = wanted(world)?;
    Some(match rows.first()? {
        1 => wanted.wan.link.to_string(),
        2 => wanted.lan.bridge.to_string(),
        3 => GUEST_BRIDGE.to_owned(),
        _ => return None,
    })
}

fn link<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    world.network.link(&link_name(world, rows)?)
}

fn tagged(side: &Side<'_>) -> bool {
    side.access.is_some_and(|access| access.vlan != 0)
}

fn tag<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    world.network.link(&side(world, rows)?.frame_link())
}

fn bridge_name(world: &World, row: u32) -> Option<String> {
    let wanted = wanted(world)?;
    let bridged = wanted.tv.as_ref().is_some_and(|tv| !tv.ports.is_empty());
    match row {
        1 => Some(wanted.lan.bridge.to_string()),
        2 => wanted.guest.as_ref().map(|_| GUEST_BRIDGE.to_owned()),
        3 => bridged.then(|| TV_BRIDGE.to_owned()),
        _ => None,
    }
}

fn bridges(world: &World, _: &[u32]) -> Vec<u32> {
    (1..=3).filter(|row| bridge_name(world, *row).is_some()).collect()
}

/// A bridge's ports: 1 is the gateway's own, the others are cables, at their own rows and one.
fn ports(world: &World, rows: &[u32]) -> Vec<u32> {
    let Some(bridge) = rows.first().and_then(|row| bridge_name(world, *row)) else { return Vec::new() };
    let network = &world.network;
    let its = network.links.iter().filter(|link| link.bridge == bridge);
    let cables = its.filter_map(|link| network.rows.ports.row(&link.name));
    [1].into_iter().chain(cables.map(|row| row.saturating_add(1))).collect()
}

fn port<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    let network = &world.network;
    match rows.get(1)? {
        1 => network.link(&bridge_name(world, *rows.first()?)?),
        row => network.link(network.rows.ports.name(row.checked_sub(1)?)?),
    }
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.Ethernet.",
        &[
            read("InterfaceNumberOfEntries", T::UnsignedInt, |world, _| {
                entries(&world.network.rows.ports.all())
            }),
            read("LinkNumberOfEntries", T::UnsignedInt, |world, _| entries(&links(world, &[]))),
            read("VLANTerminationNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, tagged))),
        ],
    ),
    Object::table(
        "Device.Ethernet.Interface.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| world.network.rows.ports.all(),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| status(cable(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| {
                world.network.rows.ports.name(*rows.first()?).map(str::to_owned)
            }),
            read("LowerLayers", T::String, nothing),
            read("Upstream", T::Boolean, |world, rows| {
                let name = world.network.rows.ports.name(*rows.first()?)?;
                Some((name == wanted(world)?.wan.link.as_str()).to_string())
            }),
            read("MACAddress", T::String, |world, rows| {
                Some(cable(world, rows).map(|link| link.mac.clone()).unwrap_or_default())
            }),
            // As the two ends agree.
            read("MaxBitRate", T::Int, |_, _| Some("-1".to_owned())),
            read("CurrentBitRate", T::UnsignedInt, |world, rows| {
                Some(cable(world, rows).map_or(0, |link| link.mbit_s).to_string())
            }),
            read("DuplexMode", T::String, |_, _| Some("Auto".to_owned())),
            read("CurrentDuplexMode", T::String, |world, rows| {
                let full = cable(world, rows).is_some_and(|link| link.duplex);
                Some(if full { "Full" } else { "Half" }.to_owned())
            }),
        ],
    ),
    stats!("Device.Ethernet.Interface.{i}.Stats.", cable),
    Object::table(
        "Device.Ethernet.Link.{i}.",
        &[&["Name"], &["Alias"]],
        links,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| status(link(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, link_name),
            read("LowerLayers", T::String, |world, rows| {
                Some(match rows.first()? {
                    1 => cable_path(&world.network, &link_name(world, rows)?),
                    row => format!("Device.Bridging.Bridge.{}.Port.1", row.checked_sub(1)?),
                })
            }),
            read("MACAddress", T::String, |world, rows| {
                Some(link(world, rows).map(|link| link.mac.clone()).unwrap_or_default())
            }),
            read("MTU", T::UnsignedInt, |world, rows| {
                Some(link(world, rows).map_or(0, |link| link.mtu).to_string())
            }),
        ],
    ),
    stats!("Device.Ethernet.Link.{i}.Stats.", link),
    Object::table(
        "Device.Ethernet.VLANTermination.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| sides(world, tagged),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| status(tag(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| Some(side(world, rows)?.frame_link().to_string())),
            read("LowerLayers", T::String, |_, _| Some("Device.Ethernet.Link.1".to_owned())),
            change(
                "VLANID",
                T::UnsignedInt,
                |world, rows| Some(side(world, rows)?.access?.vlan.to_string()),
                |wanted, _, rows, value| {
                    let vlan = number(value, 1, VLAN_MAX)?;
                    super::ip::access(wanted, rows).map(|access| access.vlan = vlan)
                },
            ),
            change(
                "VLANPriority",
                T::Int,
                |world, rows| Some(side(world, rows)?.access?.priority.to_string()),
                |wanted, _, rows, value| {
                    let priority = number(value, 0, 7)?;
                    super::ip::access(wanted, rows).map(|access| access.priority = priority)
                },
            ),
            read("TPID", T::UnsignedInt, |_, _| Some(TPID.to_string())),
        ],
    ),
    stats!("Device.Ethernet.VLANTermination.{i}.Stats.", tag),
    Object::single(
        "Device.Bridging.",
        &[
            read("MaxBridgeEntries", T::UnsignedInt, |_, _| count(3)),
            read("BridgeNumberOfEntries", T::UnsignedInt, |world, _| entries(&bridges(world, &[]))),
        ],
    ),
    Object::table(
        "Device.Bridging.Bridge.{i}.",
        &[&["Name"], &["Alias"]],
        bridges,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| bridge_name(world, *rows.first()?)),
            // Guests' frames never meet the home's: each has a bridge (decision 21).
            read("Standard", T::String, |_, _| Some("802.1D-2004".to_owned())),
            read("PortNumberOfEntries", T::UnsignedInt, |world, rows| entries(&ports(world, rows))),
            read("VLANNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
        ],
    ),
    Object::table(
        "Device.Bridging.Bridge.{i}.Port.{i}.",
        &[&["Name"], &["Alias"]],
        ports,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| status(port(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| {
                let name = port(world, rows).map(|link| link.name.clone());
                Some(name.unwrap_or_default())
            }),
            read("ManagementPort", T::Boolean, |_, rows| Some((rows.get(1) == Some(&1)).to_string())),
            read("LowerLayers", T::String, |world, rows| {
                let bridge = *rows.first()?;
                Some(match rows.get(1)? {
                    1 => {
                        let others = ports(world, rows).into_iter().filter(|row| *row != 1);
                        super::list(others.map(|row| format!("Device.Bridging.Bridge.{bridge}.Port.{row}")))
                    }
                    row => format!("Device.Ethernet.Interface.{}", row.checked_sub(1)?),
                })
            }),
            read("PortState", T::String, |world, rows| {
                let carries = port(world, rows).is_some_and(|link| link.up && link.carrier);
                Some(if carries { "Forwarding" } else { "Disabled" }.to_owned())
            }),
            read("PriorityTagging", T::Boolean, no),
        ],
    ),
    stats!("Device.Bridging.Bridge.{i}.Port.{i}.Stats.", port),
];

/// What is beneath a side's frames.
pub(super) fn beneath(world: &World, row: u32) -> Result<String, Code> {
    let side = world.network.side(row).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    Ok(match (row, side.access) {
        (_, Some(access)) if access.vlan != 0 => format!("Device.Ethernet.VLANTermination.{row}"),
        (_, Some(_)) => "Device.Ethernet.Link.1".to_owned(),
        (row, None) => format!("Device.Ethernet.Link.{}", row.saturating_sub(2)),
    })
}
