//! What a service uses of the gateway, as its manifest says: `ExecEnv.{i}.ApplicationData.{i}.`, `ExecutionUnit.{i}.NetworkConfig.`, disk
//! space; and `ExecutionUnit.{i}.EnvVariable.{i}.`.
//!
//! A service has one volume at most. One that stays when its service goes has the row that it had, and has it still when the service is there
//! again.
//!
//! Not here: what may be in a volume, and how it is counted (`storage`); ports that lead to services (`network/firewall.rs`).

use contract::Name;
use contract::manifest::Volume;
use contract::packages::{Kept, Unit};
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::deployment::{uuid_of, uuid_said};
use super::environment::path;
use super::{Command, Object, Order, moving, read};
use crate::network::{LAN, served_key};
use crate::world::World;

/// What a volume is called among those of its service, of which there is one: the word for it in manifests.
const NAME: &str = "volume";
/// Why one is not removed.
const IN_USE: &str =
    "ApplicationData: a unit has it; Uninstall() takes it away, with RetainData that is false";

/// The bundle of the service in this row; nothing where it is part of the image.
fn of_service<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Unit> {
    let service = world.service(*rows.first()?)?;
    world.facts.bundles.iter().find(|unit| unit.name == service.name)
}

/// A volume, and whose it is.
struct Owned<'w> {
    service: &'w Name,
    provider: &'w Name,
    volume: &'w Volume,
    /// What its unit is called, or was.
    uuid: String,
    /// A unit has it; else it was left.
    is_used: bool,
}

/// All volumes: of services that are installed, and those that stay though their services are gone.
fn owned(world: &World) -> impl Iterator<Item = Owned<'_>> {
    let used = world.facts.bundles.iter().filter_map(|unit| {
        let (service, provider, volume) = (&unit.name, &unit.provider, unit.uses.volume.as_ref()?);
        Some(Owned { service, provider, volume, uuid: uuid_of(unit), is_used: true })
    });
    let is_left = move |one: &&Kept| {
        let mut units = world.facts.bundles.iter();
        !units.any(|unit| one.is_of(&unit.name, &unit.provider) && unit.uses.volume.is_some())
    };
    let left = world.facts.kept.iter().filter(is_left).map(|one| {
        let Kept { service, provider, tag, volume, .. } = one;
        Owned { service, provider, volume, uuid: uuid_said(tag, service, provider), is_used: false }
    });
    used.chain(left)
}

/// Those of a slice, by their rows.
pub(super) fn volumes(world: &World, rows: &[u32]) -> Vec<u32> {
    let slice = rows.first().and_then(|row| world.slice(*row)).and_then(|one| one.slice.as_ref());
    let its = owned(world).filter(|one| Some(one.provider) == slice);
    let mut rows: Vec<u32> = its.filter_map(|one| world.tables.volumes.row(one.service)).collect();
    rows.sort_unstable();
    rows
}

/// The one in these rows.
fn volume<'w>(world: &'w World, rows: &[u32]) -> Option<Owned<'w>> {
    let slice = world.slice(*rows.first()?)?.slice.as_ref()?;
    let name = world.tables.volumes.name(*rows.get(1)?)?;
    owned(world).find(|one| one.provider == slice && one.service.as_str() == name)
}

/// Bytes in a volume, where its disk says it.
fn used(world: &World, service: &Name, provider: &Name) -> Option<u64> {
    world.facts.volumes.get(&(service.clone(), provider.clone())).copied()
}

/// What was left goes. What a unit has is its manifest's: it goes with that.
fn remove(world: &World, rows: &[u32]) -> Result<Order, Code> {
    let one = volume(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    if one.is_used {
        return Ok(Order::Refused(IN_USE));
    }
    Ok(Order::Drop(one.service.clone(), one.provider.clone()))
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
    let unit = of_service(world, rows).filter(|unit| unit.uses.volume.is_some());
    let used = unit.and_then(|unit| used(world, &service.name, &unit.provider));
    Some(used.map_or_else(|| "-1".to_owned(), |bytes| whole(bytes, 1 << 10)))
}

/// Where the volume of a service is in the tree; empty: it has none.
pub(super) fn volume_of(world: &World, rows: &[u32]) -> Option<String> {
    world.service(*rows.first()?)?;
    let found = of_service(world, rows).filter(|unit| unit.uses.volume.is_some()).and_then(|unit| {
        let row = world.tables.volumes.row(&unit.name)?;
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
        read("Name", T::String, |world, rows| volume(world, rows).map(|_| NAME.to_owned())),
        // The one that it had, where its unit is gone.
        read("ApplicationUUID", T::String, |world, rows| volume(world, rows).map(|one| one.uuid)),
        // MiB.
        read("Capacity", T::UnsignedInt, |world, rows| {
            volume(world, rows).map(|one| one.volume.size_mib.to_string())
        }),
        // MiB; nothing is in one whose service was never started.
        moving("Utilization", T::UnsignedInt, |world, rows| {
            let one = volume(world, rows)?;
            Some(whole(used(world, one.service, one.provider).unwrap_or(0), 1 << 20))
        }),
        // Who holds the disk holds what is on it (docs/identity.md).
        read("Encrypted", T::Boolean, |world, rows| volume(world, rows).map(|_| "false".to_owned())),
        // It outlives restarts, updates and boots; what becomes of it at the end is for `Uninstall(RetainData)` to say.
        read("Retain", T::String, |world, rows| volume(world, rows).map(|_| "Forever".to_owned())),
        read("AccessPath", T::String, |world, rows| volume(world, rows).map(|one| one.volume.at.to_string())),
    ],
)
.with(&[Command {
    name: "Remove",
    kind: CommandType::Sync,
    inputs: &[],
    outputs: &[],
    order: |world, rows, _| remove(world, rows),
}])];

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
