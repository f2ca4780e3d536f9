//! `Device.LocalAgent.`: controllers, transports, subscriptions, requests.

use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;
use usp::path::Path;

use super::{Command, Event, Made, Object, Order, boolean, count, moving, number, read, set, text};
use crate::job::What;
use crate::settings::{NotifType, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_ONE_MAX, Settings, Subscription};
use crate::world::{World, date};

/// Letters of a name that a controller gives.
const NAME_MAX: usize = 64;
/// Letters of a subscription's own name.
const ID_MAX: usize = 256;
/// References of one subscription, and letters of all of them.
const REFERENCES_MAX: usize = 16;
const REFERENCE_LETTERS_MAX: usize = 1024;

fn place(rows: &[u32]) -> Option<usize> {
    usize::try_from(rows.first()?.checked_sub(1)?).ok()
}

fn controllers(world: &World, _: &[u32]) -> Vec<u32> {
    (1..).zip(&world.settings.controllers).map(|(row, _)| row).collect()
}

fn one(_: &World, _: &[u32]) -> Vec<u32> {
    vec![1]
}

fn said<T: ToString>(world: &World, rows: &[u32], get: fn(&crate::settings::Said) -> T) -> Option<String> {
    world.settings.controllers.get(place(rows)?).map(|said| get(said).to_string())
}

fn protocol(world: &World, rows: &[u32]) -> Option<String> {
    world.configuration.controllers.get(place(rows)?).map(|one| one.transport.word().to_owned())
}

fn say(
    settings: &mut Settings,
    rows: &[u32],
    change: impl FnOnce(&mut crate::settings::Said),
) -> Result<(), Code> {
    let said = place(rows).and_then(|place| settings.controllers.get_mut(place));
    said.map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn subscribed<T: ToString>(world: &World, rows: &[u32], get: fn(&Subscription) -> T) -> Option<String> {
    world.settings.subscription(*rows.first()?).map(|one| get(one).to_string())
}

fn change(settings: &mut Settings, rows: &[u32], change: impl FnOnce(&mut Subscription)) -> Result<(), Code> {
    let row = rows.first().copied().unwrap_or(0);
    settings.subscription_mut(row).map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn requested(world: &World, rows: &[u32], get: fn(&crate::world::Request) -> String) -> Option<String> {
    world.request(*rows.first()?).map(get)
}

fn subscribe(world: &World, settings: &mut Settings, _: &[u32], recipient: u32) -> Result<u32, Code> {
    let of_one = settings.subscriptions.iter().filter(|one| one.recipient == recipient).count();
    if settings.subscriptions.len() >= SUBSCRIPTIONS_MAX || of_one >= SUBSCRIPTIONS_OF_ONE_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    let row = settings.next_subscription;
    settings.next_subscription = row.saturating_add(1);
    settings.subscriptions.push(Subscription {
        row,
        recipient,
        id: format!("cpe-{row}"),
        alias: format!("cpe-{row}"),
        created_s: world.facts.now_s.unwrap_or(0),
        ..Subscription::default()
    });
    Ok(row)
}

fn is_twin(settings: &Settings, rows: &[u32]) -> bool {
    let Some(new) = rows.last().and_then(|row| settings.subscription(*row)) else { return false };
    let mut others = settings.subscriptions.iter().filter(|one| one.row != new.row);
    others.any(|one| (one.recipient == new.recipient && one.id == new.id) || one.alias == new.alias)
}

fn unsubscribe(settings: &mut Settings, rows: &[u32]) {
    settings.subscriptions.retain(|one| rows.last() != Some(&one.row));
}

/// Paths, between commas.
fn references(list: &str) -> Result<Vec<String>, Code> {
    let list: Vec<String> =
        list.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    let letters: usize = list.iter().map(String::len).sum();
    if list.len() > REFERENCES_MAX || letters > REFERENCE_LETTERS_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    if list.iter().any(|one| Path::parse(one).is_err()) {
        return Err(Code::INVALID_VALUE);
    }
    Ok(list)
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
                read("SupportedProtocols", T::String, |_, _| Some("MQTT,WebSocket,UDS".to_owned())),
                read("MaxSubscriptionChangeAdoptionTime", T::UnsignedInt, |_, _| count(0)),
                read("MTPNumberOfEntries", T::UnsignedInt, |world, _| count(world.links.len())),
                read("ControllerNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(world.settings.controllers.len())
                }),
                read("SubscriptionNumberOfEntries", T::UnsignedInt, |world, _| {
                    count(world.settings.subscriptions.len())
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
            read("Enable", T::Boolean, |world, rows| said(world, rows, |said| said.enable)),
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
            set(
                "Alias",
                T::String,
                |world, rows| said(world, rows, |said| said.alias.clone()),
                |settings, rows, value| {
                    let alias = text(value, NAME_MAX)?;
                    let taken = (1..).zip(&settings.controllers);
                    if taken.clone().any(|(row, said)| rows.first() != Some(&row) && said.alias == alias) {
                        return Err(Code::DUPLICATE_KEY);
                    }
                    say(settings, rows, |said| said.alias = alias)
                },
            ),
            read("EndpointID", T::String, |world, rows| said(world, rows, |said| said.endpoint.clone())),
            set(
                "Enable",
                T::Boolean,
                |world, rows| said(world, rows, |said| said.enable),
                |settings, rows, value| {
                    let enable = boolean(value)?;
                    say(settings, rows, |said| said.enable = enable)?;
                    // Somebody has to be able to say yes again.
                    let nobody = settings.controllers.iter().all(|said| !said.enable);
                    if nobody { Err(Code::INVALID_CONFIGURATION) } else { Ok(()) }
                },
            ),
            read("AssignedRole", T::String, |world, rows| {
                let role = world.configuration.controllers.get(place(rows)?)?.role.saturating_add(1);
                Some(format!("Device.LocalAgent.ControllerTrust.Role.{role}"))
            }),
            read("InheritedRole", T::String, |_, _| Some(String::new())),
            set(
                "PeriodicNotifInterval",
                T::UnsignedInt,
                |world, rows| said(world, rows, |said| said.periodic_s),
                |settings, rows, value| {
                    let seconds = number(value, 1, u32::MAX)?;
                    say(settings, rows, |said| said.periodic_s = seconds)
                },
            ),
            set(
                "USPNotifRetryMinimumWaitInterval",
                T::UnsignedInt,
                |world, rows| said(world, rows, |said| said.retry_minimum_s),
                |settings, rows, value| {
                    let seconds = number(value, 1, u16::MAX)?;
                    say(settings, rows, |said| said.retry_minimum_s = seconds)
                },
            ),
            set(
                "USPNotifRetryIntervalMultiplier",
                T::UnsignedInt,
                |world, rows| said(world, rows, |said| said.retry_multiplier),
                |settings, rows, value| {
                    let thousandths = number(value, 1000, u16::MAX)?;
                    say(settings, rows, |said| said.retry_multiplier = thousandths)
                },
            ),
            read("MTPNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
        ],
    ),
    Object::table(
        "Device.LocalAgent.Controller.{i}.MTP.{i}.",
        &[&["Protocol"]],
        one,
        &[read("Enable", T::Boolean, |_, _| Some("true".to_owned())), read("Protocol", T::String, protocol)],
    ),
    Object::single(
        "Device.LocalAgent.Controller.{i}.E2ESession.",
        &[
            set(
                "Enable",
                T::Boolean,
                |world, rows| said(world, rows, |said| said.session),
                |settings, rows, value| {
                    let enable = boolean(value)?;
                    say(settings, rows, |said| said.session = enable)
                },
            ),
            read("Status", T::String, |world, rows| {
                let up = world.links.get(place(rows)?)?.session;
                Some(if up { "Up" } else { "Down" }.to_owned())
            }),
            set(
                "MaxUSPRecordSize",
                T::UnsignedInt,
                |world, rows| said(world, rows, |said| said.record_bytes),
                |settings, rows, value| {
                    let bytes = number(value, 0, u32::MAX)?;
                    say(settings, rows, |said| said.record_bytes = bytes)
                },
            ),
        ],
    ),
    Object::table(
        "Device.LocalAgent.Subscription.{i}.",
        &[&["Recipient", "ID"], &["Alias"]],
        |world, _| world.settings.subscriptions.iter().map(|one| one.row).collect(),
        SUBSCRIPTION,
    )
    .made(Made { add: subscribe, is_twin, remove: unsubscribe }),
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

const SUBSCRIPTION: &[super::Parameter] = &[
    set(
        "Alias",
        T::String,
        |world, rows| subscribed(world, rows, |one| one.alias.clone()),
        |settings, rows, value| {
            let alias = text(value, NAME_MAX)?;
            change(settings, rows, |one| one.alias = alias)
        },
    ),
    set(
        "Enable",
        T::Boolean,
        |world, rows| subscribed(world, rows, |one| one.enable),
        |settings, rows, value| {
            let enable = boolean(value)?;
            change(settings, rows, |one| one.enable = enable)
        },
    ),
    set(
        "ID",
        T::String,
        |world, rows| subscribed(world, rows, |one| one.id.clone()),
        |settings, rows, value| {
            // TR-181 has 64 letters; usp-js makes one of a whole path.
            let id = text(value, ID_MAX)?;
            change(settings, rows, |one| one.id = id)
        },
    ),
    read("Recipient", T::String, |world, rows| {
        subscribed(world, rows, |one| format!("Device.LocalAgent.Controller.{}", one.recipient))
    }),
    read("CreationDate", T::DateTime, |world, rows| subscribed(world, rows, |one| date(Some(one.created_s)))),
    set(
        "NotifType",
        T::String,
        |world, rows| subscribed(world, rows, |one| one.kind.word()),
        |settings, rows, value| {
            let kind = NotifType::parse(value).ok_or(Code::INVALID_VALUE)?;
            change(settings, rows, |one| one.kind = kind)
        },
    ),
    set(
        "ReferenceList",
        T::String,
        |world, rows| subscribed(world, rows, |one| one.references.join(",")),
        |settings, rows, value| {
            let list = references(value)?;
            change(settings, rows, |one| one.references = list)
        },
    ),
    set(
        "Persistent",
        T::Boolean,
        |world, rows| subscribed(world, rows, |one| one.persistent),
        |settings, rows, value| {
            let persistent = boolean(value)?;
            change(settings, rows, |one| one.persistent = persistent)
        },
    ),
    set(
        "TimeToLive",
        T::UnsignedInt,
        |world, rows| subscribed(world, rows, |one| one.time_to_live_s),
        |settings, rows, value| {
            let seconds = number(value, 0, u32::MAX)?;
            change(settings, rows, |one| one.time_to_live_s = seconds)
        },
    ),
    set(
        "NotifRetry",
        T::Boolean,
        |world, rows| subscribed(world, rows, |one| one.retry),
        |settings, rows, value| {
            let retry = boolean(value)?;
            change(settings, rows, |one| one.retry = retry)
        },
    ),
    set(
        "NotifExpiration",
        T::UnsignedInt,
        |world, rows| subscribed(world, rows, |one| one.expiration_s),
        |settings, rows, value| {
            let seconds = number(value, 0, u32::MAX)?;
            change(settings, rows, |one| one.expiration_s = seconds)
        },
    ),
];
