//! What a service uses of the gateway, as its manifest says: `ExecEnv.{i}.ApplicationData.{i}.`, `ExecutionUnit.{i}.NetworkConfig.`, disk
//! space; and `ExecutionUnit.{i}.EnvVariable.{i}.`.
//!
//! A service has one volume at most; it is in its bundle's row. Those that are seen are of services that are installed: what was kept of
//! one that is not is seen when it is there again.
//!
//! Not here: what may be in a volume, and how it is counted (`storage`); ports that lead to services (`network/firewall.rs`).

use contract::manifest::Volume;
use contract::packages::Unit;
use usp::message::read::ValueType as T;

use super::deployment::uuid_of;
use super::environment::path;
use super::{Object, moving, read};
use crate::network::{LAN, served_key};
use crate::world::World;

/// What a volume is called among those of its service, of which there is one: the word for it in manifests.
const NAME: &str = "volume";

/// The bundle of the service in this row; nothing where it is part of the image.
fn of_service<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Unit> {
    let service = world.service(*rows.first()?)?;
    world.facts.bundles.iter().find(|unit| unit.name == service.name)
}

/// Volumes of a slice, by their bundles' rows.
pub(super) fn volumes(world: &World, rows: &[u32]) -> Vec<u32> {
    let slice = rows.first().and_then(|row| world.slice(*row)).and_then(|one| one.slice.as_ref());
    let all = world.facts.bundles.iter();
    let its = all.filter(|unit| unit.uses.volume.is_some() && Some(&unit.provider) == slice);
    let mut rows: Vec<u32> = its.filter_map(|unit| world.tables.bundles.row(&unit.name)).collect();
    rows.sort_unstable();
    rows
}

fn volume(
    world: &World,
    rows: &[u32],
    get: impl FnOnce(&World, &Unit, &Volume) -> Option<String>,
) -> Option<String> {
    let unit = world.bundle(*rows.get(1)?)?;
    get(world, unit, unit.uses.volume.as_ref()?)
}

/// A number of bytes in a larger unit; what is begun counts.
fn whole(bytes: u64, unit: u64) -> String {
    bytes.div_ceil(unit).to_string()
}

/// What may be in the volume of a service, in KiB; -1: it has none.
pub(super) fn allocated_kib(world: &World, rows: &[u32]) -> Option<String> {
    world.service(*rows.first()?)?;
    let volume = of_service(world, rows).and_then(|unit| unit.uses.volume.as_ref());
    Some(volume.map_or_else(|| "-1".to_owned(), |volume| whole(volume.bytes(), 1 << 10)))
}

/// What is in it, in KiB; -1: it has none, or its disk does not say it.
pub(super) fn used_kib(world: &World, rows: &[u32]) -> Option<String> {
    let service = world.service(*rows.first()?)?;
    let used = world.facts.volumes.get(&service.name);
    Some(used.map_or_else(|| "-1".to_owned(), |bytes| whole(*bytes, 1 << 10)))
}

/// Where the volume of a service is in the tree; empty: it has none.
pub(super) fn volume_of(world: &World, rows: &[u32]) -> Option<String> {
    world.service(*rows.first()?)?;
    let found = of_service(world, rows).filter(|unit| unit.uses.volume.is_some()).and_then(|unit| {
        let row = world.tables.bundles.row(&unit.name)?;
        let slice = path(world, &unit.provider);
        (!slice.is_empty()).then(|| format!("{slice}.ApplicationData.{row}"))
    });
    Some(found.unwrap_or_default())
}

pub(super) const OF_SLICES: &[Object] = &[Object::table(
    "Device.SoftwareModules.ExecEnv.{i}.ApplicationData.{i}.",
    &[&["ApplicationUUID", "Name"], &["Alias"]],
    volumes,
    &[
        read("Alias", T::String, |_, rows| rows.last().map(|row| format!("cpe-{row}"))),
        read("Name", T::String, |world, rows| volume(world, rows, |_, _, _| Some(NAME.to_owned()))),
        read("ApplicationUUID", T::String, |world, rows| {
            volume(world, rows, |_, unit, _| Some(uuid_of(unit)))
        }),
        // MiB.
        read("Capacity", T::UnsignedInt, |world, rows| {
            volume(world, rows, |_, _, one| Some(one.size_mib.to_string()))
        }),
        // MiB; nothing is in one whose service was never started.
        moving("Utilization", T::UnsignedInt, |world, rows| {
            volume(world, rows, |world, unit, _| {
                Some(whole(world.facts.volumes.get(&unit.name).copied().unwrap_or(0), 1 << 20))
            })
        }),
        // Who holds the disk holds what is on it (docs/identity.md).
        read("Encrypted", T::Boolean, |world, rows| volume(world, rows, |_, _, _| Some("false".to_owned()))),
        // It outlives restarts, updates and boots; what becomes of it at the end is for `Uninstall(RetainData)` to say.
        read("Retain", T::String, |world, rows| volume(world, rows, |_, _, _| Some("Forever".to_owned()))),
        read("AccessPath", T::String, |world, rows| {
            volume(world, rows, |_, _, one| Some(one.at.to_string()))
        }),
    ],
)];

/// What a service finds in its environment: names and values, in its manifest's order. Of one that is there twice it finds the first.
pub(super) fn variables<'w>(world: &'w World, rows: &[u32]) -> Vec<(&'w str, &'w str)> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let all = of_service(world, rows).into_iter().flat_map(|unit| &unit.uses.environment);
    for (key, value) in all.filter_map(|pair| pair.split_once('=')) {
        if found.iter().all(|(other, _)| *other != key) {
            found.push((key, value));
        }
    }
    found
}

fn variable<'w>(world: &'w World, rows: &[u32]) -> Option<(&'w str, &'w str)> {
    let place = usize::try_from(rows.get(1)?.checked_sub(1)?).ok()?;
    variables(world, rows).get(place).copied()
}

pub(super) const OF_UNITS: &[Object] = &[
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.EnvVariable.{i}.",
        &[&["Key"], &["Alias"]],
        |world, rows| (1..).zip(variables(world, rows)).map(|(row, _)| row).collect(),
        &[
            read("Alias", T::String, |_, rows| rows.last().map(|row| format!("cpe-{row}"))),
            read("Key", T::String, |world, rows| variable(world, rows).map(|(key, _)| key.to_owned())),
            read("Value", T::String, |world, rows| variable(world, rows).map(|(_, value)| value.to_owned())),
        ],
    ),
    Object::single(
        "Device.SoftwareModules.ExecutionUnit.{i}.NetworkConfig.",
        &[
            // The sides of the network that it may talk to, or is offered to.
            read("AccessInterfaceRefList", T::String, |world, rows| {
                world.service(*rows.first()?)?;
                let Some(uses) = of_service(world, rows).map(|unit| &unit.uses) else {
                    return Some(String::new());
                };
                let sides = [(uses.internet, 1), (uses.home, LAN)];
                let there = sides.iter().filter(|(uses, row)| *uses && world.network.side(*row).is_some());
                let paths: Vec<String> = there.map(|(_, row)| format!("Device.IP.Interface.{row}")).collect();
                Some(paths.join(","))
            }),
            // Ports of the gateway's address outside that lead to it.
            read("PortMappingRefList", T::String, |world, rows| {
                let service = world.service(*rows.first()?)?;
                let its = world.network.served.iter().filter(|one| one.service == service.name);
                let rows = its.filter_map(|one| world.network.rows.forwards.row(&served_key(one)));
                let paths: Vec<String> = rows.map(|row| format!("Device.NAT.PortMapping.{row}")).collect();
                Some(paths.join(","))
            }),
        ],
    ),
];
