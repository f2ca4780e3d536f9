//! `Device.LocalAgent.ControllerTrust.`: what roles grant. The operator's file says it.

use usp::message::read::ValueType as T;
use usp::permission::{May, Rule};

use super::{Object, count, read};
use crate::configuration::Role;
use crate::world::World;

fn place(row: Option<&u32>) -> Option<usize> {
    usize::try_from(row?.checked_sub(1)?).ok()
}

fn rows_of<T>(list: &[T]) -> Vec<u32> {
    (1..).zip(list).map(|(row, _)| row).collect()
}

fn role<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Role> {
    world.configuration.roles.get(place(rows.first())?)
}

fn rule<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Rule> {
    role(world, rows)?.rules.get(place(rows.get(1))?)
}

fn rights(world: &World, rows: &[u32], get: fn(&Rule) -> May) -> Option<String> {
    rule(world, rows).map(|rule| get(rule).text())
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.LocalAgent.ControllerTrust.",
        &[
            read("UntrustedRole", T::String, |_, _| Some(String::new())),
            read("BannedRole", T::String, |_, _| Some(String::new())),
            read("TOFUAllowed", T::Boolean, |_, _| Some("false".to_owned())),
            read("RoleNumberOfEntries", T::UnsignedInt, |world, _| count(world.configuration.roles.len())),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| rows_of(&world.configuration.roles),
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Name", T::String, |world, rows| role(world, rows).map(|role| role.name.clone())),
            read("PermissionNumberOfEntries", T::UnsignedInt, |world, rows| {
                role(world, rows).and_then(|role| count(role.rules.len()))
            }),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.Permission.{i}.",
        &[&["Order"], &["Alias"]],
        |world, rows| role(world, rows).map(|role| rows_of(&role.rules)).unwrap_or_default(),
        &[
            read("Alias", T::String, |_, rows| rows.get(1).map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |world, rows| rule(world, rows).map(|rule| rule.enable.to_string())),
            read("Order", T::UnsignedInt, |world, rows| rule(world, rows).map(|rule| rule.order.to_string())),
            read("Targets", T::String, |world, rows| rule(world, rows).map(|rule| rule.targets.join(","))),
            read("Param", T::String, |world, rows| rights(world, rows, |rule| rule.param)),
            read("Obj", T::String, |world, rows| rights(world, rows, |rule| rule.object)),
            read("InstantiatedObj", T::String, |world, rows| rights(world, rows, |rule| rule.instance)),
            read("CommandEvent", T::String, |world, rows| rights(world, rows, |rule| rule.command_event)),
        ],
    ),
];
