//! `Device.LocalAgent.`: controllers, transports, requests.
//!
//! Not here: what controllers subscribe to (`subscription.rs`), what a transport has for itself (`transport.rs`).

use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;
use usp::session::TRIES_MAX;

use super::{Command, Event, Object, Order, Parameter, Set, boolean, count, moving, number, read, set};
use crate::configuration::transport::{Caller, Transport};
use crate::job::What;
use crate::roles;
use crate::settings::{SUBSCRIPTIONS_MAX, Said, Settings};
use crate::threshold::Operator;
use crate::world::{World, date};

fn place(rows: &[u32]) -> Option<usize> {
    usize::try_from(rows.first()?.checked_sub(1)?).ok()
}

/// Whoever has gone has no row any more.
fn controllers(world: &World, _: &[u32]) -> Vec<u32> {
    let all = (1..).zip(&world.configuration.controllers);
    all.filter(|(_, one)| one.transport != Transport::Local(Caller::Nobody)).map(|(row, _)| row).collect()
}

/// The controller that is in this service; empty: there is none.
pub(super) fn internal(world: &World, service: &str) -> String {
    let mut all = (1..).zip(&world.configuration.controllers);
    let found = all.find(|(_, one)| one.transport.is_in(service));
    found.map(|(row, _): (u32, _)| format!("Device.LocalAgent.Controller.{row}")).unwrap_or_default()
}

/// Somebody who is not in a service has to be able to say yes again.
fn enable(world: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let enable = boolean(value)?;
    change(settings, rows, |said| said.enable = enable)?;
    let mut others = (1..).zip(&settings.controllers).filter(|(row, _)| !roles::is_service(world, *row));
    if others.any(|(_, said)| said.enable) { Ok(()) } else { Err(Code::INVALID_CONFIGURATION) }
}

fn one(_: &World, _: &[u32]) -> Vec<u32> {
    vec![1]
}

fn get<V>(world: &World, rows: &[u32], part: impl FnOnce(&Said) -> V) -> Option<V> {
    world.settings.controllers.get(place(rows)?).map(part)
}

fn protocol(world: &World, rows: &[u32]) -> Option<String> {
    world.configuration.controllers.get(place(rows)?).map(|one| one.transport.word().to_owned())
}

fn change(settings: &mut Settings, rows: &[u32], change: impl FnOnce(&mut Said)) -> Result<(), Code> {
    let said = place(rows).and_then(|place| settings.controllers.get_mut(place));
    said.map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn requested(world: &World, rows: &[u32], get: fn(&crate::world::Request) -> String) -> Option<String> {
    world.request(*rows.first()?).map(get)
}

pub(super) const OBJECTS: &[Object] = &[
    Object {
        events: &[Event { name: "Periodic", arguments: &[] }],
        ..Object::single(
            "Device.LocalAgent.",
            &[
                read("EndpointID", T::String, |world, _| Some(world.endpoint.clone())),
                read("SoftwareVersion", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
                moving("UpTime", T::UnsignedInt, |world, _| Some(world.facts.agent_s.to_string())),
                // Nothing of it is advertised.
                read("AdvertisedDeviceSubtypes", T::String, |_, _| Some(String::new())),
                read("SupportedProtocols", T::String, |_, _| Some("MQTT,WebSocket,UDS".to_owned())),
                read("SupportedFingerprintAlgorithms", T::String, |_, _| Some("SHA-256".to_owned())),
                read("SupportedNumberOfSubscriptions", T::Int, |_, _| count(SUBSCRIPTIONS_MAX)),
                read("CertificateNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(super::trust::certificates(world, &[]).len())
                }),
                read("MaxSubscriptionChangeAdoptionTime", T::UnsignedInt, |_, _| count(0)),
                read("MTPNumberOfEntries", T::UnsignedInt, |world, _| count(controllers(world, &[]).len())),
                read("ControllerNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(controllers(world, &[]).len())
                }),
                read("SubscriptionNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(world.settings.subscriptions.len())
                }),
                read("SupportedThresholdOperator", T::String, |_, _| {
                    Some(Operator::WORDS.map(|(_, word)| word).join(","))
                }),
                read("ThresholdNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(world.settings.thresholds.len())
                }),
                read("RequestNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(world.requests.iter().filter(|one| one.originator != 0).count())
                }),
            ],
        )
    },
    Object::table(
        "Device.LocalAgent.MTP.{i}.",
        &[&["Alias"]],
        controllers,
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |world, rows| get(world, rows, |said| said.enable.to_string())),
            read("Status", T::String, |world, rows| {
                let link = world.links.get(place(rows)?)?;
                Some(if link.up { "Up" } else { "Down" }.to_owned())
            }),
            read("Protocol", T::String, protocol),
        ],
    ),
    Object::table(
        "Device.LocalAgent.Controller.{i}.",
        &[&["EndpointID"], &["Alias"]],
        controllers,
        &[
            read("Alias", T::String, |world, rows| get(world, rows, |said| said.alias.clone())),
            read("EndpointID", T::String, |world, rows| get(world, rows, |said| said.endpoint.clone())),
            Parameter {
                name: "Enable",
                kind: T::Boolean,
                get: |world, rows| get(world, rows, |said| said.enable.to_string()),
                set: Some(Set::Own(enable)),
                tells: true,
            },
            read("AssignedRole", T::String, |world, rows| {
                let held = roles::assigned(world, *rows.first()?);
                Some(roles::references(held.roles(&world.configuration).map(|(place, _)| place)))
            }),
            read("ProvisioningCode", T::String, |world, rows| {
                let discovered = world.configuration.controllers.get(place(rows)?)?.discovered.as_ref();
                Some(discovered.map(|one| one.provisioning_code.clone()).unwrap_or_default())
            }),
            read("InheritedRole", T::String, |world, rows| {
                let held = roles::inherited(world, *rows.first()?);
                Some(roles::references(held.roles(&world.configuration).map(|(place, _)| place)))
            }),
            field!("PeriodicNotifInterval", UnsignedInt, periodic_s, number(1, u32::MAX)),
            // At no particular moment.
            read("PeriodicNotifTime", T::DateTime, |_, _| Some(date(None))),
            field!("USPNotifRetryMinimumWaitInterval", UnsignedInt, retry_minimum_s, number(1, u16::MAX)),
            field!("USPNotifRetryIntervalMultiplier", UnsignedInt, retry_multiplier, number(1000, u16::MAX)),
            field!("OnBoardingComplete", Boolean, onboarded, boolean()),
            field!("OnBoardingRestartTime", UnsignedInt, onboarding_restart_s, number(0, u32::MAX)),
            read("MTPNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
            read("BootParameterNumberOfEntries", T::UnsignedInt, |world, rows| {
                get(world, rows, |said| said.boot.len().to_string())
            }),
        ],
    )
    .with(&[Command {
        name: "SendOnBoardRequest",
        kind: CommandType::Sync,
        inputs: &[],
        outputs: &[],
        order: |world, rows, _| match get(world, rows, |said| said.enable) {
            Some(true) => rows.first().map(|row| Order::OnBoard(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST),
            Some(false) => Err(Code::COMMAND_FAILURE),
            None => Err(Code::OBJECT_DOES_NOT_EXIST),
        },
    }]),
    Object::table(
        "Device.LocalAgent.Controller.{i}.MTP.{i}.",
        &[&["Protocol"], &["Alias"]],
        one,
        &[
            read("Alias", T::String, |_, _| Some("cpe-1".to_owned())),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Protocol", T::String, protocol),
        ],
    ),
    Object::single(
        "Device.LocalAgent.Controller.{i}.E2ESession.",
        &[
            field!("Enable", Boolean, session, boolean()),
            read("Status", T::String, |world, rows| {
                let up = world.links.get(place(rows)?)?.session;
                Some(if up { "Up" } else { "Down" }.to_owned())
            }),
            set(
                "SessionRetryMinimumWaitInterval",
                T::UnsignedInt,
                |world, rows| get(world, rows, |said| said.session_retry.minimum_s.to_string()),
                |settings, rows, value| {
                    let value = number(value, 1, u16::MAX)?;
                    change(settings, rows, |said| said.session_retry.minimum_s = value)
                },
            ),
            set(
                "SessionRetryIntervalMultiplier",
                T::UnsignedInt,
                |world, rows| get(world, rows, |said| said.session_retry.multiplier.to_string()),
                |settings, rows, value| {
                    let value = number(value, 1000, u16::MAX)?;
                    change(settings, rows, |said| said.session_retry.multiplier = value)
                },
            ),
            read("CurrentRetryCount", T::UnsignedInt, |world, rows| {
                Some(world.links.get(place(rows)?)?.session_tries.to_string())
            }),
            field!("MaxUSPRecordSize", UnsignedInt, record_bytes, number(0, u32::MAX)),
            read("MaxRetransmitTries", T::Int, |_, _| Some(TRIES_MAX.to_string())),
            read("PayloadSecurity", T::String, |_, _| Some("None".to_owned())),
            // Never.
            read("SessionExpiration", T::UnsignedInt, |_, _| count(0)),
        ],
    )
    .with(&[Command {
        name: "Reset",
        kind: CommandType::Sync,
        inputs: &[],
        outputs: &[],
        order: |_, rows, _| {
            rows.first().map(|row| Order::EndSession(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST)
        },
    }]),
    Object::table(
        "Device.LocalAgent.Request.{i}.",
        &[&["Originator", "Command", "CommandKey"]],
        // What we have asked ourselves is nobody's.
        |world, _| world.requests.iter().filter(|one| one.originator != 0).map(|one| one.row).collect(),
        &[
            read("Originator", T::String, |world, rows| {
                requested(world, rows, |one| format!("Device.LocalAgent.Controller.{}", one.originator))
            }),
            read("Command", T::String, |world, rows| requested(world, rows, |one| one.command.clone())),
            read("CommandKey", T::String, |world, rows| requested(world, rows, |one| one.key.clone())),
            read("Status", T::String, |world, rows| {
                requested(world, rows, |one| if one.canceled { "Canceling" } else { "Active" }.to_owned())
            }),
            // Of a bundle on its way, in bytes; 0: it is not known yet.
            moving("X_SHG_BytesReceived", T::UnsignedLong, |world, rows| {
                requested(world, rows, |one| one.progress.0.to_string())
            }),
            moving("X_SHG_BytesTotal", T::UnsignedLong, |world, rows| {
                requested(world, rows, |one| one.progress.1.to_string())
            }),
        ],
    )
    .with(&[Command {
        name: "Cancel",
        kind: CommandType::Sync,
        inputs: &[],
        outputs: &[],
        order: |world, rows, _| {
            let request =
                rows.first().and_then(|row| world.request(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
            // What is being taken away cannot be put back.
            match &request.job {
                Some((job, _)) if job.what == What::Uninstall => Err(Code::COMMAND_FAILURE),
                Some(_) | None => Ok(Order::Cancel(request.row)),
            }
        },
    }]),
];
