//! `Device.DeviceInfo.`: the machine.

use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::{Command, Event, Object, Order, moving, number, read};
use crate::world::World;

pub(super) const OBJECTS: &[Object] = &[
    Object {
        commands: &[
            Command {
                name: "Reboot",
                kind: CommandType::Sync,
                inputs: &["Cause", "Reason"],
                outputs: &[],
                order: |_, _, _| Ok(Order::Reboot),
            },
            Command {
                name: "ScheduleTimer",
                kind: CommandType::Async,
                inputs: &["*DelaySeconds"],
                outputs: &[],
                order: |_, _, argument| {
                    let delay_s = number(&argument("DelaySeconds").unwrap_or_default(), 1, u32::MAX);
                    delay_s.map(Order::Timer).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)
                },
            },
        ],
        events: &[Event {
            name: "Boot",
            arguments: &["CommandKey", "Cause", "FirmwareUpdated", "ParameterMap"],
        }],
        ..Object::single(
            "Device.",
            &[read("RootDataModelVersion", T::String, |_, _| Some("2.19".to_owned()))],
        )
    },
    Object::single(
        "Device.DeviceInfo.",
        &[
            read("Manufacturer", T::String, |_, _| Some("Service Hosting Gateway".to_owned())),
            read("ManufacturerOUI", T::String, |world, _| Some(identity(world).0)),
            read("ModelName", T::String, |_, _| Some("Service Hosting Gateway".to_owned())),
            read("ProductClass", T::String, |_, _| Some(PRODUCT_CLASS.to_owned())),
            read("SerialNumber", T::String, |world, _| Some(identity(world).1)),
            read("HardwareVersion", T::String, |_, _| Some(std::env::consts::ARCH.to_owned())),
            read("SoftwareVersion", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
            read("AdditionalSoftwareVersion", T::String, |world, _| {
                Some(format!("Linux {}", world.facts.kernel))
            }),
            moving("UpTime", T::UnsignedInt, |world, _| Some(world.facts.uptime_s.to_string())),
            read("ActiveFirmwareImage", T::String, super::machine::running),
            read("BootFirmwareImage", T::String, super::machine::running),
            read("FirmwareImageNumberOfEntries", T::UnsignedInt, |_, _| super::count(1)),
            read("VendorLogFileNumberOfEntries", T::UnsignedInt, |world, _| {
                super::count(world.tables.processes.all().len())
            }),
        ],
    ),
    Object::single(
        "Device.DeviceInfo.MemoryStatus.",
        &[
            read("Total", T::UnsignedInt, |world, _| Some(world.facts.memory_kib.0.to_string())),
            moving("Free", T::UnsignedInt, |world, _| Some(world.facts.memory_kib.1.to_string())),
            // Of the data disk; 0: there is none.
            read("TotalPersistent", T::UnsignedInt, |world, _| Some(world.facts.disk_kib.0.to_string())),
            moving("FreePersistent", T::UnsignedInt, |world, _| Some(world.facts.disk_kib.1.to_string())),
        ],
    ),
];

/// What it is among its maker's products.
pub(crate) use contract::identify::PRODUCT_CLASS;

/// OUI and serial number, of the endpoint id (TR-369 §2.2: `os::OUI-serial`).
pub(crate) fn identity(world: &World) -> (String, String) {
    let instance = world.endpoint.split_once("::").map_or("", |(_, instance)| instance);
    let (oui, serial) = contract::identify::device(&world.endpoint).unwrap_or(("", instance));
    (oui.to_owned(), serial.to_owned())
}
