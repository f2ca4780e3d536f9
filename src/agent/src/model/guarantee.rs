//! What the standard has no word for: floors and ceilings of services and slices, and how promises were kept. Vendor's objects, `X_SHG_…`.
//!
//! Processor time is in thousandths of a hardware thread, memory in KiB, a direction of the line in kbit/s, the data disk in thousandths of
//! what it does, and its ceiling in KiB a second that are read; times are in the unit of their names. How it is measured: docs/sla.md. Why the prefix: docs/decisions/0060-vendor-prefix.md.

use contract::sla::{Compliance, Window};
use usp::message::read::ValueType as T;

use super::environment::capacity;
use super::{Event, Object, moving, read};
use crate::world::World;

/// The windows of compliance, in the order of their rows.
const SPANS: [&str; 3] = ["Minute", "Hour", "Day"];

fn kib(mib: u32) -> u64 {
    u64::from(mib).saturating_mul(1024)
}

/// One of the amounts, in the order of the contract.
fn part<const N: usize>(all: [u32; N], place: usize) -> Option<String> {
    let number = *all.get(place)?;
    Some(if place == 1 { kib(number) } else { u64::from(number) }.to_string())
}

fn of_gateway(world: &World, promised: bool, place: usize) -> Option<String> {
    let gateway = capacity(world)?;
    part(if promised { gateway.promised } else { gateway.all }, place)
}

fn of_slice(world: &World, rows: &[u32], place: usize) -> Option<String> {
    part(world.slice(*rows.first()?)?.all, place)
}

fn of_its_services(world: &World, rows: &[u32], place: usize) -> Option<String> {
    part(world.slice(*rows.first()?)?.promised, place)
}

fn compliance<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Compliance> {
    world.compliance(&world.service(*rows.first()?)?.name)
}

fn floor(world: &World, rows: &[u32], place: usize) -> Option<String> {
    part(compliance(world, rows)?.promised, place)
}

fn ceiling(world: &World, rows: &[u32], place: usize) -> Option<String> {
    part(compliance(world, rows)?.ceilings, place)
}

fn window(world: &World, rows: &[u32], get: fn(&Window) -> u64) -> Option<String> {
    let place = usize::try_from(rows.get(1)?.checked_sub(1)?).ok()?;
    compliance(world, rows)?.windows.get(place).map(|window| get(window).to_string())
}

fn breach(world: &World, rows: &[u32], get: fn(contract::sla::Breach) -> String) -> Option<String> {
    Some(compliance(world, rows)?.last.map(get).unwrap_or_default())
}

pub(super) const OBJECTS: &[Object] = &[
    // What the gateway has for slices, and what of it is promised.
    Object::single(
        "Device.SoftwareModules.X_SHG_Capacity.",
        &[
            read("CPU", T::UnsignedInt, |world, _| of_gateway(world, false, 0)),
            read("CPUPromised", T::UnsignedInt, |world, _| of_gateway(world, true, 0)),
            read("Memory", T::UnsignedInt, |world, _| of_gateway(world, false, 1)),
            read("MemoryPromised", T::UnsignedInt, |world, _| of_gateway(world, true, 1)),
            read("Uplink", T::UnsignedInt, |world, _| of_gateway(world, false, 2)),
            read("UplinkPromised", T::UnsignedInt, |world, _| of_gateway(world, true, 2)),
            read("Downlink", T::UnsignedInt, |world, _| of_gateway(world, false, 3)),
            read("DownlinkPromised", T::UnsignedInt, |world, _| of_gateway(world, true, 3)),
            read("Disk", T::UnsignedInt, |world, _| of_gateway(world, false, 4)),
            read("DiskPromised", T::UnsignedInt, |world, _| of_gateway(world, true, 4)),
        ],
    ),
    // What a slice is promised, and what of it is promised to its services.
    Object::single(
        "Device.SoftwareModules.ExecEnv.{i}.X_SHG_Guarantee.",
        &[
            read("CPUFloor", T::UnsignedInt, |world, rows| of_slice(world, rows, 0)),
            read("CPUPromised", T::UnsignedInt, |world, rows| of_its_services(world, rows, 0)),
            read("CPUCeiling", T::UnsignedInt, |world, rows| {
                world.slice(*rows.first()?)?.rented.as_ref().map(|one| one.cpu.ceiling_permille.to_string())
            }),
            read("MemoryFloor", T::UnsignedInt, |world, rows| of_slice(world, rows, 1)),
            read("MemoryPromised", T::UnsignedInt, |world, rows| of_its_services(world, rows, 1)),
            read("MemoryCeiling", T::UnsignedInt, |world, rows| {
                world
                    .slice(*rows.first()?)?
                    .rented
                    .as_ref()
                    .map(|one| kib(one.memory.ceiling_mib).to_string())
            }),
            read("UplinkFloor", T::UnsignedInt, |world, rows| of_slice(world, rows, 2)),
            read("UplinkPromised", T::UnsignedInt, |world, rows| of_its_services(world, rows, 2)),
            // Of the line; 0: none.
            read("UplinkCeiling", T::UnsignedInt, |world, rows| {
                world.slice(*rows.first()?)?.rented.as_ref().map(|one| one.uplink.ceiling_kbit_s.to_string())
            }),
            read("DownlinkFloor", T::UnsignedInt, |world, rows| of_slice(world, rows, 3)),
            read("DownlinkPromised", T::UnsignedInt, |world, rows| of_its_services(world, rows, 3)),
            read("DownlinkCeiling", T::UnsignedInt, |world, rows| {
                world
                    .slice(*rows.first()?)?
                    .rented
                    .as_ref()
                    .map(|one| one.downlink.ceiling_kbit_s.to_string())
            }),
            read("DiskFloor", T::UnsignedInt, |world, rows| of_slice(world, rows, 4)),
            read("DiskPromised", T::UnsignedInt, |world, rows| of_its_services(world, rows, 4)),
            read("DiskReadCeiling", T::UnsignedInt, |world, rows| {
                let rented = world.slice(*rows.first()?)?.rented.as_ref();
                rented.map(|one| one.disk.read_ceiling_kib_s.to_string())
            }),
            read("DiskWriteCeiling", T::UnsignedInt, |world, rows| {
                let rented = world.slice(*rows.first()?)?.rented.as_ref();
                rented.map(|one| one.disk.write_ceiling_kib_s.to_string())
            }),
        ],
    ),
    // A ceiling of 0 is none.
    Object::single(
        "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Guarantee.",
        &[
            read("CPUFloor", T::UnsignedInt, |world, rows| floor(world, rows, 0)),
            read("CPUCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 0)),
            read("MemoryFloor", T::UnsignedInt, |world, rows| floor(world, rows, 1)),
            read("MemoryCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 1)),
            read("UplinkFloor", T::UnsignedInt, |world, rows| floor(world, rows, 2)),
            read("UplinkCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 2)),
            read("DownlinkFloor", T::UnsignedInt, |world, rows| floor(world, rows, 3)),
            read("DownlinkCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 3)),
            read("DiskFloor", T::UnsignedInt, |world, rows| floor(world, rows, 4)),
            read("DiskReadCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 4)),
            read("DiskWriteCeiling", T::UnsignedInt, |world, rows| ceiling(world, rows, 5)),
        ],
    ),
    Object {
        events: &[Event { name: "Breach", arguments: &["Cause", "Unit", "Promised", "Got", "Time"] }],
        ..Object::single(
            "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Compliance.",
            &[
                read("Breaches", T::UnsignedInt, |world, rows| {
                    Some(compliance(world, rows)?.breaches.to_string())
                }),
                read("LastCause", T::String, |world, rows| {
                    breach(world, rows, |one| one.cause.words().0.to_owned())
                }),
                read("LastUnit", T::String, |world, rows| {
                    breach(world, rows, |one| one.cause.words().1.to_owned())
                }),
                read("LastPromised", T::String, |world, rows| {
                    breach(world, rows, |one| one.promised.to_string())
                }),
                read("LastGot", T::String, |world, rows| breach(world, rows, |one| one.got.to_string())),
                read("WindowNumberOfEntries", T::UnsignedInt, |_, _| super::count(SPANS.len())),
            ],
        )
    },
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Compliance.Window.{i}.",
        &[&["Span"]],
        |world, rows| if compliance(world, rows).is_some() { vec![1, 2, 3] } else { Vec::new() },
        &[
            read("Span", T::String, |_, rows| {
                let place = usize::try_from(rows.get(1)?.checked_sub(1)?).ok()?;
                SPANS.get(place).map(|span| (*span).to_owned())
            }),
            moving("MeasuredMs", T::UnsignedInt, |world, rows| window(world, rows, |one| one.span_ms.into())),
            moving("WantedMs", T::UnsignedInt, |world, rows| window(world, rows, |one| one.wanted_ms.into())),
            moving("UpMs", T::UnsignedInt, |world, rows| window(world, rows, |one| one.up_ms.into())),
            moving("CPUTimeUs", T::UnsignedLong, |world, rows| window(world, rows, |one| one.cpu_us)),
            moving("CPUWaitedUs", T::UnsignedLong, |world, rows| window(world, rows, |one| one.waited_us)),
            moving("CPUOwedUs", T::UnsignedLong, |world, rows| window(world, rows, |one| one.owed_us)),
            moving("MemoryPeak", T::UnsignedInt, |world, rows| {
                window(world, rows, |one| one.memory_kib.into())
            }),
            moving("BytesSent", T::UnsignedLong, |world, rows| window(world, rows, |one| one.up_bytes)),
            moving("BytesReceived", T::UnsignedLong, |world, rows| window(world, rows, |one| one.down_bytes)),
            moving("BytesOwed", T::UnsignedLong, |world, rows| window(world, rows, |one| one.owed_bytes)),
            moving("BytesOfDisk", T::UnsignedLong, |world, rows| window(world, rows, |one| one.disk_bytes)),
        ],
    ),
];
