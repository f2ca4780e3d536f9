//! `Device.SoftwareModules.ExecEnvClass.{i}.`, `ExecEnv.{i}.`: a slice is an execution environment, and there is one class of them.
//!
//! `Allocated…` are a slice's ceilings; its floors, which the standard has no word for, are in `X_SHG_Guarantee.` (`guarantee.rs`).
//!
//! Not here: whether something fits (`supervisor`).

use contract::Name;
use contract::control::Promised;
use contract::manifest::{Cpu, Disk, Memory, Rate};
use contract::slice::Slice;
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::software::{percent, permille_in_use};
use super::{Argument, Command, Event, Object, Order, boolean, count, levels, moving, number, read, text};
use crate::roles;
use crate::world::{Request, World, date};

/// What a controller may say about a slice's size, beside its name.
const SIZES: [&str; 12] = [
    "AllocatedMemory",
    "AllocatedCPUPercent",
    "X_SHG_CPUCeiling",
    "X_SHG_CPUFloor",
    "X_SHG_MemoryFloor",
    "X_SHG_UplinkFloor",
    "X_SHG_DownlinkFloor",
    "X_SHG_DiskFloor",
    "X_SHG_UplinkCeiling",
    "X_SHG_DownlinkCeiling",
    "X_SHG_DiskReadCeiling",
    "X_SHG_DiskWriteCeiling",
];
/// What is said of a new slice.
const ADDED: [&str; 16] = with_sizes(["*Name", "ParentExecEnv", "AvailableRoles", "AvailableUserRoles"]);
/// And of one that gets another size.
const MODIFIED: [&str; 13] = with_sizes(["Force"]);
/// Letters of a reason.
const REASON_MAX: usize = 128;

/// `first`, and sizes behind it.
const fn with_sizes<const FIRST: usize, const ALL: usize>(
    first: [&'static str; FIRST],
) -> [&'static str; ALL] {
    assert!(FIRST + SIZES.len() == ALL);
    let mut all = [""; ALL];
    let (head, tail) = all.split_at_mut(FIRST);
    head.copy_from_slice(&first);
    tail.copy_from_slice(&SIZES);
    all
}

fn promised(world: &World, rows: &[u32], get: fn(&Slice) -> String) -> Option<String> {
    world.slice(*rows.first()?)?.rented.as_ref().map(get)
}

/// What the gateway has for all slices together.
pub(super) fn capacity(world: &World) -> Option<&Promised> {
    world.facts.promised.iter().find(|one| one.slice.is_none())
}

/// What a slice may have of the processor, in thousandths of a hardware thread; 0: it is not known.
pub(super) fn permille(world: &World, slice: Option<&Name>) -> u64 {
    let rented = world.facts.promised.iter().find(|one| one.slice.is_some() && one.slice.as_ref() == slice);
    rented.and_then(|one| one.rented.as_ref()).map_or(0, |slice| u64::from(slice.cpu.ceiling_permille))
}

/// Where a slice is in the tree; empty: it is not.
pub(super) fn path(world: &World, slice: &str) -> String {
    world
        .tables
        .slices
        .row(slice)
        .map(|row| format!("Device.SoftwareModules.ExecEnv.{row}"))
        .unwrap_or_default()
}

/// The slice that a reference leads to.
pub(super) fn referenced(world: &World, reference: &str) -> Option<Name> {
    let row = crate::resolve::referenced(world, reference, "Device.SoftwareModules.ExecEnv.{i}.")?;
    world.slice(row)?.slice.clone()
}

/// Memory that services of a slice have, in KiB.
fn memory_in_use(world: &World, slice: &Slice) -> u64 {
    let its = world.facts.compliance.iter().filter(|one| one.slice == slice.name);
    let processes =
        its.filter_map(|one| world.facts.processes.iter().find(|process| process.name == one.service));
    processes.filter_map(|process| process.memory_bytes).sum::<u64>() / 1024
}

fn active(world: &World, rows: &[u32]) -> Option<String> {
    let slice = world.slice(*rows.first()?)?.slice.clone();
    let its = world.facts.compliance.iter().filter(|one| Some(&one.slice) == slice.as_ref());
    let up = |name: &Name| {
        let process = world.facts.processes.iter().find(|process| process.name == *name);
        process.is_some_and(|process| process.state == contract::control::State::Up)
    };
    let rows = its.filter(|one| up(&one.service)).filter_map(|one| world.tables.services.row(&one.service));
    let paths: Vec<String> = rows.map(|row| format!("Device.SoftwareModules.ExecutionUnit.{row}")).collect();
    Some(paths.join(","))
}

/// Gives `slice` the sizes that were said. -1: what the gateway has. A ceiling of the line, or of the disk, that is 0 is none.
fn resize(world: &World, slice: &mut Slice, argument: Argument<'_>) -> Result<(), Code> {
    let [all_permille, all_mib, ..] = capacity(world).map(|one| one.all).ok_or(Code::INTERNAL)?;
    let said = |name: &str| match argument(name).as_deref() {
        None | Some("-1") => Ok(None),
        Some(text) => number::<u32>(text, 0, u32::MAX).map(Some).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS),
    };
    let everything = |name: &str| argument(name).as_deref() == Some("-1");
    if everything("AllocatedMemory") {
        slice.memory.ceiling_mib = all_mib;
    }
    if everything("AllocatedCPUPercent") {
        slice.cpu.ceiling_permille = all_permille;
    }
    for (name, ceiling) in [
        ("X_SHG_UplinkCeiling", &mut slice.uplink.ceiling_kbit_s),
        ("X_SHG_DownlinkCeiling", &mut slice.downlink.ceiling_kbit_s),
        ("X_SHG_DiskReadCeiling", &mut slice.disk.read_ceiling_kib_s),
        ("X_SHG_DiskWriteCeiling", &mut slice.disk.write_ceiling_kib_s),
    ] {
        if everything(name) {
            *ceiling = 0;
        }
    }
    let [memory_kib, percent, permille, floor_permille, floor_kib, rest @ ..] = SIZES.map(said);
    let [uplink, downlink, disk, up_most, down_most, reads, writes] = rest;
    let set = |place: &mut u32, value: Option<u32>| {
        if let Some(value) = value {
            *place = value;
        }
    };
    set(&mut slice.memory.ceiling_mib, memory_kib?.map(|kib| kib.div_ceil(1024)));
    let of_all = |percent: u32| u64::from(percent).saturating_mul(u64::from(all_permille)) / 100;
    set(
        &mut slice.cpu.ceiling_permille,
        percent?.map(|percent| u32::try_from(of_all(percent)).unwrap_or(u32::MAX)),
    );
    set(&mut slice.cpu.ceiling_permille, permille?);
    set(&mut slice.cpu.floor_permille, floor_permille?);
    set(&mut slice.memory.floor_mib, floor_kib?.map(|kib| kib.div_ceil(1024)));
    set(&mut slice.uplink.floor_kbit_s, uplink?);
    set(&mut slice.downlink.floor_kbit_s, downlink?);
    set(&mut slice.uplink.ceiling_kbit_s, up_most?);
    set(&mut slice.downlink.ceiling_kbit_s, down_most?);
    set(&mut slice.disk.floor_permille, disk?);
    set(&mut slice.disk.read_ceiling_kib_s, reads?);
    set(&mut slice.disk.write_ceiling_kib_s, writes?);
    // What is more than there is on any gateway is short here, rather than nonsense.
    let is_more = slice.memory.ceiling_mib > all_mib || slice.cpu.ceiling_permille > all_permille;
    match slice.fault() {
        None => Ok(()),
        Some(_) if is_more => Err(Code::SYSTEM_RESOURCES_EXCEEDED),
        Some(_) => Err(Code::INVALID_COMMAND_ARGUMENTS),
    }
}

fn rent(world: &World, argument: Argument<'_>) -> Result<Order, Code> {
    let name = argument("Name").unwrap_or_default();
    let name = Name::new(&name).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?;
    let comes = |request: &Request| request.slice.as_ref().is_some_and(|(wish, _)| *wish.slice() == name);
    if world.tables.slices.row(&name).is_some() || world.requests.iter().any(comes) {
        return Err(Code::COMMAND_FAILURE);
    }
    // There is none above a slice.
    if argument("ParentExecEnv").is_some_and(|parent| !parent.is_empty()) {
        return Err(Code::UNKNOWN_EXEC_ENV);
    }
    let [permille, mib, ..] = capacity(world).map(|one| one.all).ok_or(Code::INTERNAL)?;
    let mut slice = Slice {
        name,
        cpu: Cpu { floor_permille: 10, ceiling_permille: permille },
        memory: Memory { floor_mib: 0, high_mib: 0, ceiling_mib: mib },
        disk: Disk::default(),
        uplink: Rate::default(),
        downlink: Rate::default(),
    };
    resize(world, &mut slice, argument)?;
    // What nobody has is left out; and nobody has an account, so there is no role of a user's. Source: TR-181, `AddExecEnv()`.
    let mut available = roles::list(&argument("AvailableRoles").unwrap_or_default())?;
    available.retain(|role| roles::is_one(world, role));
    Ok(Order::Rent(slice, Some(available)))
}

/// `ModifyAvailableRoles()`: a role that a service of the slice cannot be without stays.
fn modify_roles(world: &World, rows: &[u32], argument: Argument<'_>) -> Result<Order, Code> {
    let name = name(world, rows)?;
    if argument("AvailableUserRoles").is_some_and(|list| !list.trim().is_empty()) {
        return Err(Code::UNAVAILABLE_USER_ROLE);
    }
    let list = roles::list(&argument("AvailableRoles").unwrap_or_default())?;
    if list.iter().any(|role| !roles::is_one(world, role)) {
        return Err(Code::UNAVAILABLE_ROLE);
    }
    let mut gone = world.settings.roles.of_slice(&name).iter().filter(|role| !list.contains(role));
    if gone.any(|role| roles::is_one(world, role) && roles::is_required(world, &name, role)) {
        return Ok(Order::Refused(
            "AvailableRoles: a service of the environment requires one that is not in it",
        ));
    }
    Ok(Order::Roles(name, list))
}

fn said_true(argument: Argument<'_>, name: &str) -> Result<bool, Code> {
    argument(name).map_or(Ok(false), |said| boolean(&said)).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)
}

/// Has a slice bundles in it?
fn holds(world: &World, slice: &Name) -> bool {
    world.facts.bundles.iter().any(|unit| unit.provider == *slice)
}

fn name(world: &World, rows: &[u32]) -> Result<Name, Code> {
    let slice = rows.first().and_then(|row| world.slice(*row)).and_then(|one| one.slice.clone());
    slice.ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

/// How often a slice was restarted, when last, and why.
fn restarts(world: &World, rows: &[u32]) -> Option<(u32, i64, String)> {
    let name = name(world, rows).ok()?;
    let found = world.tables.restarts.iter().find(|one| one.0 == name);
    Some(found.map_or((0, 0, String::new()), |one| (one.1, one.2, one.3.clone())))
}

fn modify(world: &World, rows: &[u32], argument: Argument<'_>) -> Result<Order, Code> {
    let rented = rows.first().and_then(|row| world.slice(*row)).and_then(|one| one.rented.clone());
    let mut slice = rented.ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    resize(world, &mut slice, argument)?;
    // Source: TR-181, `ModifyConstraints()`: without force it is refused.
    let force = said_true(argument, "Force")?;
    if !force && u64::from(slice.memory.ceiling_mib).saturating_mul(1024) < memory_in_use(world, &slice) {
        return Err(Code::COMMAND_FAILURE);
    }
    Ok(Order::Rent(slice, None))
}

pub(super) const OBJECTS: &[Object] = &[
    Object::table(
        "Device.SoftwareModules.ExecEnvClass.{i}.",
        &[&["Name"], &["Alias"]],
        |_, _| vec![1],
        &[
            read("Alias", T::String, |_, _| Some("cpe-1".to_owned())),
            read("Name", T::String, |_, _| Some("slice".to_owned())),
            read("Vendor", T::String, |_, _| Some("Service Hosting Gateway".to_owned())),
            read("Version", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
            // It comes with the gateway.
            read("DeploymentUnitRef", T::String, |_, _| Some(String::new())),
            read("CapabilityNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
        ],
    )
    .with(&[Command {
        name: "AddExecEnv",
        kind: CommandType::Async,
        inputs: &ADDED,
        outputs: &["ExecEnvRef"],
        order: |world, _, argument| rent(world, argument),
    }]),
    Object::table(
        "Device.SoftwareModules.ExecEnvClass.{i}.Capability.{i}.",
        &[&["Specification"]],
        |_, _| vec![1],
        &[
            read("Specification", T::String, |_, _| Some("X_SHG_Bundle".to_owned())),
            read("SpecificationURI", T::String, |_, _| Some(String::new())),
            read("SpecificationVersion", T::String, |_, _| Some(contract::manifest::VERSION.to_string())),
        ],
    ),
    Object {
        events: &[Event { name: "Restarted", arguments: &["RestartTime", "RestartReason"] }],
        ..Object::table(
            "Device.SoftwareModules.ExecEnv.{i}.",
            &[&["Name"], &["Alias"]],
            |world, _| world.tables.slices.all(),
            &[
                levels::ENABLE,
                levels::STATUS,
                read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
                read("Name", T::String, |world, rows| promised(world, rows, |one| one.name.to_string())),
                read("Type", T::String, |_, _| Some("slice".to_owned())),
                levels::INITIAL,
                levels::CURRENT,
                levels::OF_UNITS,
                read("Vendor", T::String, |_, _| Some("Service Hosting Gateway".to_owned())),
                read("Version", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
                read("ParentExecEnv", T::String, |_, _| Some(String::new())),
                read("ExecEnvClassRef", T::String, |_, _| {
                    Some("Device.SoftwareModules.ExecEnvClass.1".to_owned())
                }),
                // What is kept is promised to services (`Volume`), not to slices.
                read("AllocatedDiskSpace", T::Int, |_, _| Some("-1".to_owned())),
                read("AvailableDiskSpace", T::Int, |_, _| Some("-1".to_owned())),
                // KiB.
                read("AllocatedMemory", T::Int, |world, rows| {
                    promised(world, rows, |one| {
                        u64::from(one.memory.ceiling_mib).saturating_mul(1024).to_string()
                    })
                }),
                moving("AvailableMemory", T::Int, |world, rows| {
                    let slice = world.slice(*rows.first()?)?.rented.as_ref()?;
                    let all = u64::from(slice.memory.ceiling_mib).saturating_mul(1024);
                    Some(all.saturating_sub(memory_in_use(world, slice)).to_string())
                }),
                // Of what the gateway has for all slices.
                read("AllocatedCPUPercent", T::Int, |world, rows| {
                    let slice = world.slice(*rows.first()?)?.rented.as_ref()?;
                    let [all, ..] = capacity(world)?.all;
                    Some(percent(u64::from(slice.cpu.ceiling_permille), u64::from(all)))
                }),
                moving("AvailableCPUPercent", T::Int, |world, rows| {
                    let slice = world.slice(*rows.first()?)?.rented.as_ref()?;
                    let [all, ..] = capacity(world)?.all;
                    let its = world.facts.compliance.iter().filter(|one| one.slice == slice.name);
                    let used: u64 = its.map(permille_in_use).sum();
                    Some(percent(u64::from(slice.cpu.ceiling_permille).saturating_sub(used), u64::from(all)))
                }),
                read("ActiveExecutionUnits", T::String, active),
                read("RestartCount", T::UnsignedInt, |world, rows| {
                    restarts(world, rows).map(|one| one.0.to_string())
                }),
                read("LastRestarted", T::DateTime, |world, rows| {
                    restarts(world, rows).map(|one| date(Some(one.1)))
                }),
                read("RestartReason", T::String, |world, rows| restarts(world, rows).map(|one| one.2)),
                read("AvailableRoles", T::String, |world, rows| {
                    let slice = world.slice(*rows.first()?)?.slice.as_ref()?;
                    Some(roles::references(roles::available(world, slice)))
                }),
                read("ApplicationDataNumberOfEntries", T::UnsignedInt, |world, rows| {
                    count(super::uses::volumes(world, rows).len())
                }),
                // Nobody has an account (docs/usp.md).
                read("AvailableUserRoles", T::String, |_, _| Some(String::new())),
            ],
        )
        .with(&[
            levels::SET,
            Command {
                name: "ModifyConstraints",
                kind: CommandType::Async,
                inputs: &MODIFIED,
                outputs: &[],
                order: modify,
            },
            Command {
                name: "ModifyAvailableRoles",
                kind: CommandType::Async,
                inputs: &["*AvailableRoles", "AvailableUserRoles"],
                outputs: &[],
                order: modify_roles,
            },
            Command {
                name: "Remove",
                kind: CommandType::Async,
                inputs: &["Force"],
                outputs: &[],
                // What is in it goes first, by force; else it is refused by who admits.
                order: |world, rows, argument| {
                    let (name, force) = (name(world, rows)?, said_true(argument, "Force")?);
                    let empties = force && holds(world, &name);
                    Ok(if empties { Order::Empty(name, true) } else { Order::Release(name) })
                },
            },
            Command {
                name: "Restart",
                kind: CommandType::Async,
                inputs: &["Reason", "Force"],
                outputs: &[],
                order: |world, rows, argument| {
                    let reason = text(&argument("Reason").unwrap_or_default(), REASON_MAX);
                    let reason = reason.map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?;
                    let name = name(world, rows)?;
                    if levels::is_on(world, &name) {
                        Ok(Order::RestartSlice(name, reason))
                    } else {
                        Err(Code::COMMAND_FAILURE)
                    }
                },
            },
            // As it was made: no bundle comes with a slice.
            Command {
                name: "Reset",
                kind: CommandType::Async,
                inputs: &[],
                outputs: &[],
                order: |world, rows, _| Ok(Order::Empty(name(world, rows)?, false)),
            },
        ])
    },
];
