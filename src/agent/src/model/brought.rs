//! `Device.USPServices.`: services that bring a part of the tree; and `Device.X_SHG_Services.`, below which that part is.
//!
//! Not here: what they bring. A service says that itself (`broker.rs`).

use usp::message::read::ValueType as T;

use super::{Object, count, read};
use crate::world::{Brought, World};

/// Who has registered nothing is none yet.
fn rows(world: &World, _: &[u32]) -> Vec<u32> {
    world.brought.iter().filter(|one| !one.paths.is_empty()).map(|one| one.row).collect()
}

fn get(world: &World, rows: &[u32], get: impl FnOnce(&Brought) -> String) -> Option<String> {
    world.brought.iter().find(|one| rows.first() == Some(&one.row)).map(get)
}

fn reference(row: Option<u32>, table: &str) -> String {
    row.map(|row| format!("Device.SoftwareModules.{table}.{row}")).unwrap_or_default()
}

/// There is a controller in this service.
fn is_controller(world: &World, service: &str) -> bool {
    world.configuration.controllers.iter().any(|one| one.transport.is_in(service))
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.USPServices.",
        &[read("USPServiceNumberOfEntries", T::UnsignedInt, |world, _| count(rows(world, &[]).len()))],
    ),
    Object::table(
        "Device.USPServices.USPService.{i}.",
        &[&["EndpointID"]],
        rows,
        &[
            read("EndpointID", T::String, |world, rows| get(world, rows, |one| one.endpoint.clone())),
            read("Protocol", T::String, |world, rows| get(world, rows, |_| "UDS".to_owned())),
            read("DataModelPaths", T::String, |world, rows| get(world, rows, |one| one.paths.join(","))),
            read("DeploymentUnitRef", T::String, |world, rows| {
                get(world, rows, |one| reference(world.tables.bundles.row(&one.service), "DeploymentUnit"))
            }),
            read("ExecutionUnitRef", T::String, |world, rows| {
                get(world, rows, |one| reference(world.tables.services.row(&one.service), "ExecutionUnit"))
            }),
            read("HasController", T::Boolean, |world, rows| {
                get(world, rows, |one| is_controller(world, &one.service).to_string())
            }),
        ],
    ),
    // What is below it services have registered: each an object of its own name.
    Object::single("Device.X_SHG_Services.", &[]),
];
