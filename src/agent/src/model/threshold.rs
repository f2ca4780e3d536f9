//! `Device.LocalAgent.Threshold.{i}.`: values of which controllers want to hear when they are passed.
//!
//! Not here: when that is (`threshold.rs`).

use usp::Code;
use usp::message::read::ValueType as T;
use usp::path::{Leaf, Path};

use super::{Event, Made, Object, Parameter, Set, alias, boolean, read, text};
use crate::access::Access;
use crate::journal;
use crate::resolve::spots;
use crate::settings::Settings;
use crate::threshold::{Mode, Operator, THRESHOLDS_MAX, THRESHOLDS_OF_ONE_MAX, Threshold, is_number};
use crate::world::World;

/// Letters of a path, and of a name in it.
const REFERENCE_MAX: usize = 256;
const NAME_MAX: usize = 64;

fn get<V>(world: &World, rows: &[u32], part: impl FnOnce(&Threshold) -> V) -> Option<V> {
    world.settings.thresholds.iter().find(|one| rows.last() == Some(&one.row)).map(part)
}

fn change(settings: &mut Settings, rows: &[u32], change: impl FnOnce(&mut Threshold)) -> Result<(), Code> {
    let one = settings.thresholds.iter_mut().find(|one| rows.last() == Some(&one.row));
    one.map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn add(world: &World, settings: &mut Settings, _: &[u32], controller: u32) -> Result<u32, Code> {
    let controller = journal::endpoint(world, controller).ok_or(Code::INTERNAL)?.to_owned();
    let all = &mut settings.thresholds;
    let of_one = all.iter().filter(|one| one.controller == controller).count();
    if all.len() >= THRESHOLDS_MAX || of_one >= THRESHOLDS_OF_ONE_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    settings.next_threshold = settings.next_threshold.saturating_add(1);
    let row = settings.next_threshold;
    all.push(Threshold { row, controller, alias: format!("cpe-{row}"), ..Threshold::default() });
    Ok(row)
}

fn is_twin(settings: &Settings, rows: &[u32]) -> bool {
    let all = &settings.thresholds;
    let Some(new) = all.iter().find(|one| rows.last() == Some(&one.row)) else { return false };
    all.iter().any(|one| one.row != new.row && one.alias == new.alias)
}

fn remove(settings: &mut Settings, rows: &[u32]) {
    settings.thresholds.retain(|one| rows.last() != Some(&one.row));
}

/// Has the model this, as far as it is said by now: objects, and a number in them?
fn is_of_model(world: &World, (reference, parameter): (&str, &str)) -> bool {
    let Ok(path) = Path::parse(if reference.is_empty() { "Device." } else { reference }) else {
        return false;
    };
    // Where there is no row now, the model still has what is in one.
    let known = |schema: &str| super::objects().find(|object| object.path == schema);
    let found = path.leaf == Leaf::Object && spots(world, Access::ours(world), &path).is_ok();
    let schema = crate::resolve::schema(&path);
    let is_there = |object: &Object| object.parameter(parameter).is_some_and(|one| is_number(one.kind));
    found && (reference.is_empty() || parameter.is_empty() || known(&schema).is_some_and(is_there))
}

fn refer(world: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let value = text(value, REFERENCE_MAX)?;
    let parameter = one(settings, rows, |one| one.parameter.clone());
    if !is_of_model(world, (&value, &parameter)) {
        return Err(Code::INVALID_VALUE);
    }
    change(settings, rows, |one| one.reference = value)
}

fn name(world: &World, settings: &mut Settings, rows: &[u32], value: &str) -> Result<(), Code> {
    let value = text(value, NAME_MAX)?;
    let reference = one(settings, rows, |one| one.reference.clone());
    let is_name = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || !is_of_model(world, (&reference, &value)) {
        return Err(Code::INVALID_VALUE);
    }
    change(settings, rows, |one| one.parameter = value)
}

/// Of a row that may not be in the world yet.
fn one(settings: &Settings, rows: &[u32], get: impl FnOnce(&Threshold) -> String) -> String {
    settings.thresholds.iter().find(|one| rows.last() == Some(&one.row)).map(get).unwrap_or_default()
}

const fn own(name: &'static str, get: super::Get, set: super::Own) -> Parameter {
    Parameter { name, kind: T::String, get, set: Some(Set::Own(set)), tells: true }
}

pub(super) const OBJECTS: &[Object] = &[Object {
    events: &[Event { name: "Triggered", arguments: &["ParamPath", "ParamValue"] }],
    ..Object::table(
        "Device.LocalAgent.Threshold.{i}.",
        &[&["Alias"]],
        |world, _| world.settings.thresholds.iter().map(|one| one.row).collect(),
        &[
            once!("Alias", alias, alias()),
            field!("Enable", Boolean, enable, boolean()),
            choice!("OperatingMode", mode, Mode::WORDS),
            own("ReferencePath", |world, rows| get(world, rows, |one| one.reference.clone()), refer),
            own("ThresholdParam", |world, rows| get(world, rows, |one| one.parameter.clone()), name),
            choice!("ThresholdOperator", operator, Operator::WORDS),
            super::set(
                "ThresholdValue",
                T::String,
                |world, rows| {
                    get(world, rows, |one| one.value.map(|value| value.to_string()).unwrap_or_default())
                },
                |settings, rows, value| {
                    let value = value.parse().map_err(|_| Code::INVALID_VALUE)?;
                    change(settings, rows, |one| one.value = Some(value))
                },
            ),
            read("Controller", T::String, |world, rows| {
                let row = journal::row(world, &get(world, rows, |one| one.controller.clone())?);
                Some(row.map(|row| format!("Device.LocalAgent.Controller.{row}")).unwrap_or_default())
            }),
        ],
    )
    .made(Made { add, is_twin, remove })
}];
