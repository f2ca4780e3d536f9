//! `Device.BulkData.`: profiles, what they report and how.
//!
//! Not here: encodings and the collector (`bulk/form.rs`), reports (`bulk.rs` of the room).

mod form;

use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;
use usp::path::{Leaf, Path, Step};

use super::{
    Command, Event, Made, Object, Order, Parameter, Set, alias, boolean, count, number, read, set, text,
};
use crate::bulk::profile::{
    BYTES_MAX, Encoding, INTERVAL_S_MIN, Layout, PARAMETERS_MAX, PROFILES_MAX, Profile, Protocol, Reference,
    Table, Timestamp, URI_PARAMETERS_MAX,
};
use crate::journal;
use crate::resolve::referenced;
use crate::settings::Settings;
use crate::world::{World, date};

/// Letters of a name, a URL, a path.
const TEXT_MAX: usize = 256;
/// Letters of a name in a report.
const NAME_MAX: usize = 64;

const PROTOCOLS: [(Protocol, &str); 3] =
    [(Protocol::Http, "HTTP"), (Protocol::Mqtt, "MQTT"), (Protocol::Event, "USPEventNotif")];
const ENCODINGS: [(Encoding, &str); 2] = [(Encoding::Json, "JSON"), (Encoding::Csv, "CSV")];
const LAYOUTS: [(Layout, &str); 2] =
    [(Layout::NameValuePair, "NameValuePair"), (Layout::ObjectHierarchy, "ObjectHierarchy")];
const TABLES: [(Table, &str); 2] =
    [(Table::ParameterPerColumn, "ParameterPerColumn"), (Table::ParameterPerRow, "ParameterPerRow")];
const TIMES: [(Timestamp, &str); 3] =
    [(Timestamp::UnixEpoch, "Unix-Epoch"), (Timestamp::Iso8601, "ISO-8601"), (Timestamp::None, "None")];

fn get<V>(world: &World, rows: &[u32], part: impl FnOnce(&Profile) -> V) -> Option<V> {
    world.settings.bulk.one(*rows.first()?).map(part)
}

fn change(settings: &mut Settings, rows: &[u32], change: impl FnOnce(&mut Profile)) -> Result<(), Code> {
    let row = rows.first().copied().unwrap_or(0);
    settings.bulk.one_mut(row).map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    let fits = crate::kept_form::write(&settings.bulk, BYTES_MAX).is_some();
    if fits { Ok(()) } else { Err(Code::RESOURCES_EXCEEDED) }
}

fn add(world: &World, settings: &mut Settings, _: &[u32], controller: u32) -> Result<u32, Code> {
    let bulk = &mut settings.bulk;
    let endpoint = journal::endpoint(world, controller).ok_or(Code::PERMISSION_DENIED)?;
    if bulk.profiles.len() >= PROFILES_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    bulk.next = bulk.next.saturating_add(1);
    let row = bulk.next;
    bulk.profiles.push(Profile::new(row, endpoint));
    Ok(row)
}

fn is_twin(settings: &Settings, rows: &[u32]) -> bool {
    let Some(new) = rows.first().and_then(|row| settings.bulk.one(*row)) else { return false };
    settings.bulk.profiles.iter().any(|one| one.row != new.row && one.alias == new.alias)
}

fn remove(settings: &mut Settings, rows: &[u32]) {
    settings.bulk.profiles.retain(|one| rows.first() != Some(&one.row));
}

/// One of the two lists of a profile, and how long it may be.
type List = (fn(&Profile) -> &Vec<Reference>, fn(&mut Profile) -> &mut Vec<Reference>, usize);
const PARAMETERS: List = (|one| &one.parameters, |one| &mut one.parameters, PARAMETERS_MAX);
const URI: List = (|one| &one.uri, |one| &mut one.uri, URI_PARAMETERS_MAX);

fn listed(world: &World, rows: &[u32], list: List) -> Vec<u32> {
    get(world, rows, |one| list.0(one).iter().map(|one| one.row).collect()).unwrap_or_default()
}

fn reference<V>(world: &World, rows: &[u32], list: List, part: fn(&Reference) -> V) -> Option<V> {
    let row = rows.get(1)?;
    get(world, rows, |one| list.0(one).iter().find(|one| one.row == *row).map(part))?
}

fn refer(
    settings: &mut Settings,
    rows: &[u32],
    list: List,
    say: impl FnOnce(&mut Reference),
) -> Result<(), Code> {
    let row = rows.get(1).copied().unwrap_or(0);
    let mut found = false;
    change(settings, rows, |one| {
        let reference = list.1(one).iter_mut().find(|one| one.row == row);
        found = reference.map(say).is_some();
    })?;
    if found { Ok(()) } else { Err(Code::OBJECT_DOES_NOT_EXIST) }
}

fn add_reference(settings: &mut Settings, rows: &[u32], list: List) -> Result<u32, Code> {
    let row = rows.first().copied().unwrap_or(0);
    let profile = settings.bulk.one_mut(row).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    if list.0(profile).len() >= list.2 {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    profile.next = profile.next.saturating_add(1);
    let row = profile.next;
    list.1(profile).push(Reference { row, ..Reference::default() });
    Ok(row)
}

fn drop_reference(settings: &mut Settings, rows: &[u32], list: List) {
    let Some(profile) = rows.first().and_then(|row| settings.bulk.one_mut(*row)) else { return };
    list.1(profile).retain(|one| rows.get(1) != Some(&one.row));
}

/// What a list of references has in each row: a name, and what it stands for.
macro_rules! references {
    ($list:ident, $($more:tt)*) => {
        [
            set(
                "Name",
                T::String,
                |world, rows| reference(world, rows, $list, |one| one.name.clone()),
                |settings, rows, value| {
                    let name = text(value, NAME_MAX)?;
                    refer(settings, rows, $list, |one| one.name = name)
                },
            ),
            set(
                "Reference",
                T::String,
                |world, rows| reference(world, rows, $list, |one| one.path.clone()),
                |settings, rows, value| {
                    let path = path(value)?;
                    refer(settings, rows, $list, |one| one.path = path)
                },
            ),
            $($more)*
        ]
    };
}

/// A path that can be reported: of a parameter or an object.
fn path(value: &str) -> Result<String, Code> {
    let value = text(value, TEXT_MAX)?;
    let good = value.is_empty()
        || Path::parse(&value).is_ok_and(|path| {
            let row = path.steps.iter().any(|step| matches!(step, Step::Row));
            matches!(path.leaf, Leaf::Object | Leaf::Parameter(_)) && !row
        });
    if good { Ok(value) } else { Err(Code::INVALID_VALUE) }
}

/// A broker: none, or a row of `Device.MQTT.Client`.
fn client(world: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let row = referenced(world, value, "Device.MQTT.Client.{i}.");
    let client = match row {
        Some(row) => format!("Device.MQTT.Client.{row}"),
        None if value.is_empty() => String::new(),
        None => return Err(Code::INVALID_VALUE), // R-ARC.12
    };
    change(settings, rows, |one| one.client = client)
}

/// A topic to publish to: no wildcard.
fn topic(value: &str) -> Result<String, Code> {
    if value.contains(['+', '#']) { Err(Code::INVALID_VALUE) } else { text(value, TEXT_MAX) }
}

/// Reports that are kept; -1: as many as there is room for.
fn retained(value: &str) -> Result<i32, Code> {
    value.parse().ok().filter(|number| *number >= -1).ok_or(Code::INVALID_VALUE)
}

/// A time, as the tree writes it; the unknown time is none.
fn moment(value: &str) -> Result<i64, Code> {
    if value == date(None) {
        return Ok(0);
    }
    // By halves: `date` goes one way only, and is monotonous.
    let (mut from, mut to) = (1_i64, 253_402_300_799_i64); // 9999-12-31T23:59:59Z
    while from < to {
        let middle = from + (to - from) / 2;
        if date(Some(middle)).as_str() < value { from = middle + 1 } else { to = middle }
    }
    if date(Some(from)) == value { Ok(from) } else { Err(Code::INVALID_TYPE) }
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.BulkData.",
        &[
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Status", T::String, |_, _| Some("Enabled".to_owned())),
            read("MinReportingInterval", T::UnsignedInt, |_, _| Some(INTERVAL_S_MIN.to_string())),
            read("Protocols", T::String, |_, _| Some("HTTP,MQTT,USPEventNotif".to_owned())),
            read("EncodingTypes", T::String, |_, _| Some("JSON,CSV".to_owned())),
            read("ParameterWildCardSupported", T::Boolean, |_, _| Some("true".to_owned())),
            read("MaxNumberOfProfiles", T::Int, |_, _| count(PROFILES_MAX)),
            read("MaxNumberOfParameterReferences", T::Int, |_, _| count(PARAMETERS_MAX)),
            read("ProfileNumberOfEntries", T::UnsignedInt, |world, _| {
                count(world.settings.bulk.profiles.len())
            }),
        ],
    ),
    Object {
        events: &[Event { name: "Push", arguments: &["Data"] }],
        ..Object::table(
            "Device.BulkData.Profile.{i}.",
            &[&["Alias"]],
            |world, _| world.settings.bulk.profiles.iter().map(|one| one.row).collect(),
            PROFILE,
        )
        .made(Made { add, is_twin, remove })
    }
    .with(&[Command {
        name: "ForceCollection",
        kind: CommandType::Sync,
        inputs: &[],
        outputs: &[],
        order: |world, rows, _| match get(world, rows, |one| (one.row, one.enable)) {
            Some((row, true)) => Ok(Order::Collect(row)),
            Some((_, false)) => Err(Code::COMMAND_FAILURE),
            None => Err(Code::OBJECT_DOES_NOT_EXIST),
        },
    }]),
    Object::table(
        "Device.BulkData.Profile.{i}.Parameter.{i}.",
        &[],
        |world, rows| listed(world, rows, PARAMETERS),
        &references!(
            PARAMETERS,
            set(
                "Exclude",
                T::Boolean,
                |world, rows| reference(world, rows, PARAMETERS, |one| one.exclude.to_string()),
                |settings, rows, value| {
                    let exclude = boolean(value)?;
                    refer(settings, rows, PARAMETERS, |one| one.exclude = exclude)
                },
            ),
        ),
    )
    .made(Made {
        add: |_, settings, rows, _| add_reference(settings, rows, PARAMETERS),
        is_twin: |_, _| false,
        remove: |settings, rows| drop_reference(settings, rows, PARAMETERS),
    }),
    Object::single("Device.BulkData.Profile.{i}.CSVEncoding.", form::CSV),
    Object::single("Device.BulkData.Profile.{i}.JSONEncoding.", form::JSON),
    Object::single("Device.BulkData.Profile.{i}.HTTP.", form::HTTP),
    Object::table(
        "Device.BulkData.Profile.{i}.HTTP.RequestURIParameter.{i}.",
        &[&["Name"]],
        |world, rows| listed(world, rows, URI),
        &references!(URI,),
    )
    .made(Made {
        add: |_, settings, rows, _| add_reference(settings, rows, URI),
        is_twin: |settings, rows| {
            let profile = rows.first().and_then(|row| settings.bulk.one(*row));
            let all = profile.map(|profile| profile.uri.as_slice()).unwrap_or_default();
            let new = all.iter().find(|one| rows.get(1) == Some(&one.row));
            new.is_some_and(|new| all.iter().any(|one| one.row != new.row && one.name == new.name))
        },
        remove: |settings, rows| drop_reference(settings, rows, URI),
    }),
    Object::single(
        "Device.BulkData.Profile.{i}.MQTT.",
        &[
            Parameter {
                name: "Reference",
                kind: T::String,
                get: |world, rows| get(world, rows, |one| one.client.clone()),
                set: Some(Set::Own(client)),
                tells: true,
            },
            field!("PublishTopic", String, topic, topic()),
            read("PublishQoS", T::UnsignedInt, |world, rows| get(world, rows, |_| "1".to_owned())),
            read("PublishRetain", T::Boolean, |world, rows| get(world, rows, |_| "false".to_owned())),
        ],
    ),
];

const PROFILE: &[Parameter] = &[
    field!("Enable", Boolean, enable, boolean()),
    once!("Alias", alias, alias()),
    field!("Name", String, name, text(TEXT_MAX)),
    // Whose rights count.
    read("Controller", T::String, |world, rows| {
        let controller = get(world, rows, |one| one.controller.clone())?;
        let row = journal::row(world, &controller);
        Some(row.map(|row| format!("Device.LocalAgent.Controller.{row}")).unwrap_or_default())
    }),
    field!("NumberOfRetainedFailedReports", Int, retained, retained()),
    choice!("Protocol", protocol, PROTOCOLS),
    choice!("EncodingType", encoding, ENCODINGS),
    field!("ReportingInterval", UnsignedInt, interval_s, number(INTERVAL_S_MIN, u32::MAX)),
    set(
        "TimeReference",
        T::DateTime,
        |world, rows| get(world, rows, |one| date(Some(one.reference_s))),
        |settings, rows, value| {
            let seconds = moment(value)?;
            change(settings, rows, |one| one.reference_s = seconds)
        },
    ),
    read("ParameterNumberOfEntries", T::UnsignedInt, |world, rows| {
        get(world, rows, |one| one.parameters.len().to_string())
    }),
];
