//! `Device.SoftwareModules.`: services, as the supervisor knows them. An ExecutionUnit is a service.
//!
//! Not here yet: deployment units and execution environments, which come with bundles.

use contract::control::State;
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::{Command, Object, Order, moving, read};
use crate::world::World;

fn status(state: State) -> &'static str {
    match state {
        State::Down | State::Failed | State::Waiting => "Idle",
        State::Preparing | State::Starting => "Starting",
        State::Up => "Active",
        State::Ending => "Stopping",
        State::Returning => "Restarting",
    }
}

fn fault(state: State, ready: bool) -> &'static str {
    match state {
        State::Failed | State::Waiting if ready => "FailureWhileActive",
        State::Failed | State::Waiting => "FailureOnStart",
        State::Down | State::Preparing | State::Starting | State::Up | State::Ending | State::Returning => {
            "NoFault"
        }
    }
}

fn name(world: &World, rows: &[u32]) -> Result<contract::Name, Code> {
    let unit = rows.first().and_then(|row| world.unit(*row));
    unit.map(|unit| unit.name.clone()).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn unit(world: &World, rows: &[u32], get: fn(&contract::control::Process) -> String) -> Option<String> {
    world.unit(*rows.first()?).map(get)
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.SoftwareModules.",
        &[read("ExecutionUnitNumberOfEntries", T::UnsignedInt, |world, _| {
            Some(world.units.len().to_string())
        })],
    ),
    Object::table(
        "Device.SoftwareModules.ExecutionUnit.{i}.",
        &[&["EUID"], &["Alias"]],
        |world, _| world.units.iter().map(|(row, _)| *row).collect(),
        &[
            read("EUID", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Name", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
            read("Status", T::String, |world, rows| unit(world, rows, |one| status(one.state).to_owned())),
            read("ExecutionFaultCode", T::String, |world, rows| {
                unit(world, rows, |one| fault(one.state, one.ready_ms.is_some()).to_owned())
            }),
            read("ExecutionFaultMessage", T::String, |world, rows| {
                unit(world, rows, |one| one.reason.to_string())
            }),
            // KiB; 0 while it does not run.
            moving("MemoryInUse", T::Int, |world, rows| {
                unit(world, rows, |one| (one.memory_bytes.unwrap_or(0) / 1024).to_string())
            }),
        ],
    )
    .with(&[
        Command {
            name: "SetRequestedState",
            kind: CommandType::Async,
            inputs: &["*RequestedState"],
            outputs: &[],
            order: |world, rows, argument| {
                let name = name(world, rows)?;
                match argument("RequestedState").as_deref() {
                    Some("Active") => Ok(Order::Start(name)),
                    Some("Idle") => Ok(Order::Stop(name)),
                    Some(_) | None => Err(Code::INVALID_COMMAND_ARGUMENTS),
                }
            },
        },
        Command {
            name: "Restart",
            kind: CommandType::Async,
            inputs: &[],
            outputs: &[],
            order: |world, rows, _| name(world, rows).map(Order::Restart),
        },
    ]),
];
