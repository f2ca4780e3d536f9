//! `X_SHG_Service.` of an ExecutionUnit: what a service says of itself by its socket, and what it is told.
//!
//! Not here: the socket (`tenants.rs`). What the words mean: docs/tenant.md.

use contract::tenant::{SETTINGS, VALUE_BYTES};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Event, Made, Object, Parameter, Set, count, moving, read, text};
use crate::settings::{Given, Settings};
use crate::tenants::report::{Metric, Report};
use crate::tenants::word;
use crate::world::{World, date};

/// Values of all services together, in bytes: what the file on the disk holds.
const BYTES_MAX: usize = 96 * 1024;

fn name(world: &World, rows: &[u32]) -> Option<String> {
    world.tables.services.name(*rows.first()?).map(ToString::to_string)
}

/// What the service has said; nothing where it never said a word.
fn report<T>(world: &World, rows: &[u32], get: fn(&Report) -> T) -> Option<T>
where
    T: Default,
{
    let service = world.service(*rows.first()?)?;
    Some(world.facts.reports.get(&service.name).map(get).unwrap_or_default())
}

fn metric<T>(world: &World, rows: &[u32], get: fn(&Metric) -> T) -> Option<T> {
    let service = world.service(*rows.first()?)?;
    let report = world.facts.reports.get(&service.name)?;
    report.metrics.get(rows.get(1)?).map(get)
}

fn metrics(world: &World, rows: &[u32]) -> Vec<u32> {
    let service = rows.first().and_then(|row| world.service(*row));
    let report = service.and_then(|service| world.facts.reports.get(&service.name));
    report.map(|report| report.metrics.keys().copied().collect()).unwrap_or_default()
}

/// Rows of what the service is told, of one of the two kinds.
fn given(world: &World, rows: &[u32], is_secret: bool) -> Vec<u32> {
    let Some(service) = name(world, rows) else { return Vec::new() };
    let all = world.settings.services.given.iter();
    all.filter(|one| one.service == service && one.is_secret == is_secret).map(|one| one.row).collect()
}

fn one<T>(world: &World, rows: &[u32], get: fn(&Given) -> T) -> Option<T> {
    world.settings.given(*rows.last()?).map(get)
}

fn add(world: &World, settings: &mut Settings, rows: &[u32], is_secret: bool) -> Result<u32, Code> {
    let service = name(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    let services = &mut settings.services;
    let of_kind = services.given.iter().filter(|one| one.service == service && one.is_secret == is_secret);
    if of_kind.count() >= SETTINGS {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    services.next = services.next.saturating_add(1);
    let row = services.next;
    services.given.push(Given { row, service, is_secret, ..Given::default() });
    Ok(row)
}

fn is_twin(settings: &Settings, rows: &[u32]) -> bool {
    let Some(new) = rows.last().and_then(|row| settings.given(*row)) else { return false };
    let key = |one: &Given| (one.service.clone(), one.is_secret, one.name.clone());
    let others = settings.services.given.iter().filter(|one| one.row != new.row);
    others.into_iter().any(|other| key(other) == key(new))
}

fn remove(settings: &mut Settings, rows: &[u32]) {
    settings.services.given.retain(|one| rows.last() != Some(&one.row));
}

fn say_name(_: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let name = word::name(value).ok_or(Code::INVALID_VALUE)?;
    let row = rows.last().copied().unwrap_or(0);
    settings.given_mut(row).ok_or(Code::OBJECT_DOES_NOT_EXIST)?.name = name;
    if is_twin(settings, rows) { Err(Code::DUPLICATE_KEY) } else { Ok(()) }
}

fn say_value(_: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let value = text(value, VALUE_BYTES)?;
    let row = rows.last().copied().unwrap_or(0);
    settings.given_mut(row).ok_or(Code::OBJECT_DOES_NOT_EXIST)?.value = value;
    let bytes = |one: &Given| one.service.len() + one.name.len() + one.value.len();
    let all: usize = settings.services.given.iter().map(bytes).sum();
    if all > BYTES_MAX { Err(Code::RESOURCES_EXCEEDED) } else { Ok(()) }
}

/// Its name, and its value as `set` has it.
const fn pair(get: super::Get, set: Set) -> [Parameter; 2] {
    let name = Parameter {
        name: "Name",
        kind: T::String,
        get: |world, rows| one(world, rows, |one| one.name.clone()),
        set: Some(Set::Own(say_name)),
        tells: true,
    };
    [name, Parameter { name: "Value", kind: T::String, get, set: Some(set), tells: true }]
}

const CONFIGURATION: &[Parameter] =
    &pair(|world, rows| one(world, rows, |one| one.value.clone()), Set::Own(say_value));
const SECRET: &[Parameter] = &pair(|world, rows| one(world, rows, |_| String::new()), Set::Secret(say_value));

pub(super) const OBJECTS: &[Object] = &[
    Object {
        // With each value that came along: `Data.<name>`.
        events: &[Event { name: "Event", arguments: &["Name", "Time", "Data."] }],
        ..Object::single(
            "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Service.",
            &[
                // Processes of it that have the socket open.
                read("Connections", T::UnsignedInt, |world, rows| {
                    report(world, rows, |one| one.connections).map(|count| count.to_string())
                }),
                // Unknown, Good, Failing: its own word.
                read("Health", T::String, |world, rows| {
                    report(world, rows, |one| one.health).map(|health| health.word().to_owned())
                }),
                read("HealthReason", T::String, |world, rows| report(world, rows, |one| one.reason.clone())),
                // Lines that were taken, and those that were not.
                moving("Lines", T::UnsignedInt, |world, rows| {
                    report(world, rows, |one| one.lines).map(|count| count.to_string())
                }),
                moving("LinesRefused", T::UnsignedInt, |world, rows| {
                    report(world, rows, |one| one.refused).map(|count| count.to_string())
                }),
                read("MetricNumberOfEntries", T::UnsignedInt, |world, rows| {
                    count(metrics(world, rows).len())
                }),
                read("ConfigurationNumberOfEntries", T::UnsignedInt, |world, rows| {
                    count(given(world, rows, false).len())
                }),
                read("SecretNumberOfEntries", T::UnsignedInt, |world, rows| {
                    count(given(world, rows, true).len())
                }),
            ],
        )
    },
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Service.Metric.{i}.",
        &[&["Name"]],
        metrics,
        &[
            read("Name", T::String, |world, rows| metric(world, rows, |one| one.name.clone())),
            // Gauge or Counter.
            read("Type", T::String, |world, rows| metric(world, rows, |one| one.kind.word().to_owned())),
            moving("Value", T::Decimal, |world, rows| metric(world, rows, |one| one.value.clone())),
            moving("Time", T::DateTime, |world, rows| metric(world, rows, |one| date(one.at_s))),
        ],
    ),
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Service.Configuration.{i}.",
        &[&["Name"]],
        |world, rows| given(world, rows, false),
        CONFIGURATION,
    )
    .made(Made { add: |world, settings, rows, _| add(world, settings, rows, false), is_twin, remove }),
    // What is in it is not read back.
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.X_SHG_Service.Secret.{i}.",
        &[&["Name"]],
        |world, rows| given(world, rows, true),
        SECRET,
    )
    .made(Made { add: |world, settings, rows, _| add(world, settings, rows, true), is_twin, remove }),
];
