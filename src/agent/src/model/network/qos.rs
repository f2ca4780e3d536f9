//! `Device.QoS.`: the line's two directions, and the classes that share it.
//!
//! Shapers: 1 to the operator, 2 to the home. Rates are in bit/s, as TR-181 has them.

use contract::show::Traffic;
use contract::wanted::traffic::Qos;
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Object, alias, change, enabled, entries, interface, no, wanted, yes};
use crate::model::{moving, number, read};
use crate::network::queue_key;
use crate::world::World;

/// The link by which the network sees what comes in by the WAN. Source: `contract::show::Traffic`.
const INWARD: &str = "ifb-wan";
/// Bits of a kilobit.
const KBIT: u64 = 1_000;

fn class<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Traffic> {
    let key = world.network.rows.queues.name(*rows.first()?)?;
    world.network.traffic.iter().find(|one| queue_key(one) == key)
}

fn of_class(world: &World, rows: &[u32], get: fn(&Traffic) -> String) -> Option<String> {
    class(world, rows).map(get)
}

fn bits(kbit_s: u32) -> String {
    u64::from(kbit_s).saturating_mul(KBIT).to_string()
}

fn shapers(world: &World, _: &[u32]) -> Vec<u32> {
    if wanted(world).is_some_and(|wanted| wanted.qos.is_some()) { vec![1, 2] } else { Vec::new() }
}

fn rate(qos: &mut Qos, row: u32) -> &mut u32 {
    if row == 1 { &mut qos.up_kbit_s } else { &mut qos.down_kbit_s }
}

fn queues(world: &World, _: &[u32]) -> Vec<u32> {
    world.network.rows.queues.all()
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.QoS.",
        &[
            read("QueueNumberOfEntries", T::UnsignedInt, |world, _| entries(&queues(world, &[]))),
            read("QueueStatsNumberOfEntries", T::UnsignedInt, |world, _| entries(&queues(world, &[]))),
            read("ShaperNumberOfEntries", T::UnsignedInt, |world, _| entries(&shapers(world, &[]))),
        ],
    ),
    Object::table(
        "Device.QoS.Queue.{i}.",
        &[&["Alias"]],
        queues,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, _| Some(interface(1))),
            read("AllInterfaces", T::Boolean, no),
            read("HardwareAssisted", T::Boolean, no),
            // The line, a play, `services`, or a service's name; and whether it leaves or comes in.
            read("X_SHG_Class", T::String, |world, rows| of_class(world, rows, |one| one.class.to_string())),
            read("X_SHG_Inward", T::Boolean, |world, rows| {
                of_class(world, rows, |one| (one.link.as_str() == INWARD).to_string())
            }),
            read("AssuredRate", T::Long, |world, rows| of_class(world, rows, |one| bits(one.rate_kbit_s))),
            read("ShapingRate", T::Long, |world, rows| of_class(world, rows, |one| bits(one.ceil_kbit_s))),
        ],
    ),
    Object::table(
        "Device.QoS.QueueStats.{i}.",
        &[&["Queue"], &["Alias"]],
        queues,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("Queue", T::String, |_, rows| rows.first().map(|row| format!("Device.QoS.Queue.{row}"))),
            read("Interface", T::String, |_, _| Some(interface(1))),
            moving("OutputPackets", T::UnsignedInt, |world, rows| {
                of_class(world, rows, |one| one.packets.to_string())
            }),
            moving("OutputBytes", T::UnsignedInt, |world, rows| {
                of_class(world, rows, |one| one.bytes.to_string())
            }),
            moving("DroppedPackets", T::UnsignedInt, |world, rows| {
                of_class(world, rows, |one| one.drops.to_string())
            }),
        ],
    ),
    Object::table(
        "Device.QoS.Shaper.{i}.",
        &[&["Alias"]],
        shapers,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, _| Some(interface(1))),
            read("X_SHG_Inward", T::Boolean, |_, rows| Some((rows.first() == Some(&2)).to_string())),
            change(
                "ShapingRate",
                T::Long,
                |world, rows| {
                    let mut qos = wanted(world)?.qos.clone()?;
                    Some(bits(*rate(&mut qos, *rows.first()?)))
                },
                |wanted, _, rows, value| {
                    let kbit_s = number(value, KBIT, u64::from(u32::MAX) * KBIT)? / KBIT;
                    let qos = wanted.qos.as_mut().ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
                    let row = rows.first().copied().unwrap_or(0);
                    *rate(qos, row) = u32::try_from(kbit_s).map_err(|_| Code::INVALID_VALUE)?;
                    Ok(())
                },
            ),
        ],
    ),
];
