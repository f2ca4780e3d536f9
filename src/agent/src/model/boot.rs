//! `Device.LocalAgent.Controller.{i}.BootParameter.{i}.`: what a controller wants to be told at a boot.

use usp::Code;
use usp::path::{Leaf, Path};

use super::{Made, Object, alias, boolean};
use crate::access::Access;
use crate::resolve::parameters;
use crate::settings::{BootParameter, Said, Settings};
use crate::world::World;

/// Of one controller.
const ROWS_MAX: usize = 16;
/// Letters of a path. Source: TR-181, `ParameterName`.
const PATH_MAX: usize = 256;
/// Values that are told at one boot.
const VALUES_MAX: usize = 256;

fn place(rows: &[u32]) -> Option<usize> {
    usize::try_from(rows.first()?.checked_sub(1)?).ok()
}

fn said<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Said> {
    world.settings.controllers.get(place(rows)?)
}

fn said_mut<'s>(settings: &'s mut Settings, rows: &[u32]) -> Option<&'s mut Said> {
    settings.controllers.get_mut(place(rows)?)
}

fn get<V>(world: &World, rows: &[u32], part: impl FnOnce(&BootParameter) -> V) -> Option<V> {
    said(world, rows)?.boot.iter().find(|one| rows.get(1) == Some(&one.row)).map(part)
}

fn change(
    settings: &mut Settings,
    rows: &[u32],
    change: impl FnOnce(&mut BootParameter),
) -> Result<(), Code> {
    let said = said_mut(settings, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    let found = said.boot.iter_mut().find(|one| rows.get(1) == Some(&one.row));
    found.map(change).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn add(_: &World, settings: &mut Settings, rows: &[u32], _: u32) -> Result<u32, Code> {
    let said = said_mut(settings, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    if said.boot.len() >= ROWS_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    said.next_boot = said.next_boot.saturating_add(1);
    let row = said.next_boot;
    said.boot.push(BootParameter { row, alias: format!("cpe-{row}"), ..BootParameter::default() });
    Ok(row)
}

fn is_twin(settings: &Settings, rows: &[u32]) -> bool {
    let all = place(rows).and_then(|place| settings.controllers.get(place)).map(|said| &said.boot);
    let new = all.and_then(|all| all.iter().find(|one| rows.get(1) == Some(&one.row)));
    let same = |one: &BootParameter, new: &BootParameter| {
        one.row != new.row && (one.alias == new.alias || (!one.name.is_empty() && one.name == new.name))
    };
    all.zip(new).is_some_and(|(all, new)| all.iter().any(|one| same(one, new)))
}

fn remove(settings: &mut Settings, rows: &[u32]) {
    if let Some(said) = said_mut(settings, rows) {
        said.boot.retain(|one| rows.get(1) != Some(&one.row));
    }
}

/// A path of parameters, or of objects whose parameters are meant.
fn path(value: &str) -> Result<String, Code> {
    let value = super::text(value, PATH_MAX)?;
    let leads = |text: &str| {
        Path::parse(text).is_ok_and(|path| !matches!(path.leaf, Leaf::Command(_) | Leaf::Event(_)))
    };
    if value.is_empty() || leads(&value) { Ok(value) } else { Err(Code::INVALID_VALUE) }
}

/// What `Boot!` tells the controller in `row`: a JSON object of what it may read. Source: TR-181, `Boot!.ParameterMap`.
pub(crate) fn map(world: &World, row: u32) -> String {
    let access = Access::of(world, row);
    let wanted = said(world, &[row]).map(|said| said.boot.as_slice()).unwrap_or_default();
    let paths = wanted.iter().filter(|one| one.enable).filter_map(|one| Path::parse(&one.name).ok());
    let mut map = serde_json::Map::new();
    for (place, parameters) in
        paths.flat_map(|path| parameters(world, access, (&path, 0)).unwrap_or_default())
    {
        let at = place.path();
        for parameter in parameters {
            let path = format!("{at}{}", parameter.name);
            let value = (parameter.get)(world, &place.rows).filter(|_| access.at(&path).read);
            if let Some(value) = value.filter(|_| map.len() < VALUES_MAX) {
                map.insert(path, value.into());
            }
        }
    }
    serde_json::Value::Object(map).to_string()
}

pub(super) const OBJECTS: &[Object] = &[Object::table(
    "Device.LocalAgent.Controller.{i}.BootParameter.{i}.",
    &[&["ParameterName"], &["Alias"]],
    |world, rows| {
        said(world, rows).map(|said| said.boot.iter().map(|one| one.row).collect()).unwrap_or_default()
    },
    &[
        once!("Alias", alias, alias()),
        field!("Enable", Boolean, enable, boolean()),
        field!("ParameterName", String, name, path()),
    ],
)
.made(Made { add, is_twin, remove })];
