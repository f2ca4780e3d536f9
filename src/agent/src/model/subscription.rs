//! `Device.LocalAgent.Subscription.{i}.`: what controllers want to hear of.
//!
//! Not here: what they hear (`news.rs`).

use usp::Code;
use usp::message::read::ValueType as T;
use usp::path::Path;

use super::{Made, Object, Parameter, Set, alias, boolean, number, read, text};
use crate::roles;
use crate::settings::{
    NotifType, SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_ONE_MAX, SUBSCRIPTIONS_OF_SERVICE_MAX, Settings,
    Subscription,
};
use crate::world::{World, date};

/// Letters of a subscription's own name.
const ID_MAX: usize = 256;
/// References of one subscription, and letters of all of them.
const REFERENCES_MAX: usize = 16;
const REFERENCE_LETTERS_MAX: usize = 1024;

fn get<V>(world: &World, rows: &[u32], part: impl FnOnce(&Subscription) -> V) -> Option<V> {
    world.settings.subscription(*rows.first()?).map(part)
}

fn change(settings: &mut Settings, rows: &[u32], change: impl FnOnce(&mut Subscription)) -> Result<(), Code> {
    let row = rows.first().copied().unwrap_or(0);
    settings.subscription_mut(row).map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn subscribe(world: &World, settings: &mut Settings, _: &[u32], recipient: u32) -> Result<u32, Code> {
    let of_one = settings.subscriptions.iter().filter(|one| one.recipient == recipient).count();
    let most = if roles::is_service(world, recipient) {
        SUBSCRIPTIONS_OF_SERVICE_MAX
    } else {
        SUBSCRIPTIONS_OF_ONE_MAX
    };
    if settings.subscriptions.len() >= SUBSCRIPTIONS_MAX || of_one >= most {
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

/// References stay once there are some. Source: TR-181, `Subscription.{i}.ReferenceList` (it is immutable).
fn refer(world: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let list = references(value)?;
    let before = get(world, rows, |one| one.references.clone()).unwrap_or_default();
    if !before.is_empty() && before != list {
        return Err(Code::NOT_WRITEABLE);
    }
    change(settings, rows, |one| one.references = list)
}

pub(super) const OBJECTS: &[Object] = &[Object::table(
    "Device.LocalAgent.Subscription.{i}.",
    &[&["Recipient", "ID"], &["Alias"]],
    |world, _| world.settings.subscriptions.iter().map(|one| one.row).collect(),
    &[
        once!("Alias", alias, alias()),
        field!("Enable", Boolean, enable, boolean()),
        // TR-181 has 64 letters; usp-js makes one of a whole path.
        field!("ID", String, id, text(ID_MAX)),
        read("Recipient", T::String, |world, rows| {
            get(world, rows, |one| format!("Device.LocalAgent.Controller.{}", one.recipient))
        }),
        read("CreationDate", T::DateTime, |world, rows| get(world, rows, |one| date(Some(one.created_s)))),
        choice!("NotifType", kind, NotifType::WORDS),
        Parameter {
            name: "ReferenceList",
            kind: T::String,
            get: |world, rows| get(world, rows, |one| one.references.join(",")),
            set: Some(Set::Own(refer)),
            tells: true,
        },
        field!("Persistent", Boolean, persistent, boolean()),
        field!("TimeToLive", UnsignedInt, time_to_live_s, number(0, u32::MAX)),
        field!("NotifRetry", Boolean, retry, boolean()),
        field!("NotifExpiration", UnsignedInt, expiration_s, number(0, u32::MAX)),
    ],
)
.made(Made { add: subscribe, is_twin, remove: unsubscribe })];
