//! Run levels of slices and services in the tree, and whether a slice is on. What they mean: `settings/levels.rs`.

use contract::Name;
use contract::control::{Process, State};
use contract::packages::Unit;
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::{Command, Order, Parameter, Set, Tell, boolean, number};
use crate::settings::Settings;
use crate::settings::levels::{LEVEL_MAX, OfService, OfSlice};
use crate::world::World;

fn slice(world: &World, rows: &[u32]) -> Option<OfSlice> {
    Some(world.settings.levels.slice(world.slice(*rows.first()?)?.slice.as_ref()?))
}

/// The bundle of the service in a row; nothing where it is part of the image.
fn bundle<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Unit> {
    let service = world.service(*rows.first()?)?;
    world.facts.bundles.iter().find(|unit| unit.name == service.name)
}

/// Whether a slice is on.
pub(super) fn is_on(world: &World, slice: &Name) -> bool {
    world.settings.levels.slice(slice).enable
}

/// What `package` is told of a unit: whether its service starts by itself at boot.
fn order(settings: &Settings, unit: &Unit) -> Order {
    let (levels, slice) = (&settings.levels, settings.levels.slice(&unit.provider));
    let service = levels.service(&unit.name, unit.autostart);
    Order::Autostart(unit.name.clone(), levels.starts(&service, &slice, slice.initial))
}

fn set_slice(
    world: &World,
    settings: &mut Settings,
    rows: &[u32],
    change: impl FnOnce(&mut OfSlice),
) -> Result<Vec<Order>, Code> {
    let mut of = slice(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    change(&mut of);
    // What `package` has said is a service's own word before a level made it another.
    let slice = of.slice.clone();
    let its = world.facts.bundles.iter().filter(|unit| unit.provider == slice);
    for unit in its.clone() {
        let service = settings.levels.service(&unit.name, unit.autostart);
        settings.levels.put_service(service);
    }
    settings.levels.put_slice(of);
    Ok(its.map(|unit| order(settings, unit)).collect())
}

fn set_service(
    world: &World,
    settings: &mut Settings,
    rows: &[u32],
    change: impl FnOnce(&mut OfService),
) -> Result<Vec<Order>, Code> {
    world.service(rows.first().copied().unwrap_or(0)).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    // A service of the image starts as the image says.
    let unit = bundle(world, rows).ok_or(Code::NOT_WRITEABLE)?;
    let mut of = settings.levels.service(&unit.name, unit.autostart);
    change(&mut of);
    settings.levels.put_service(of);
    Ok(vec![order(settings, unit)])
}

/// A parameter that `package` is told of.
const fn told(name: &'static str, kind: T, get: super::Get, set: Tell) -> Parameter {
    Parameter { name, kind, get, set: Some(Set::Order(set)), tells: true }
}

/// Of an ExecEnv.
pub(super) const ENABLE: Parameter = told(
    "Enable",
    T::Boolean,
    |world, rows| slice(world, rows).map(|one| one.enable.to_string()),
    |world, settings, rows, value| {
        let enable = boolean(value)?;
        let name = slice(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?.slice;
        let mut orders = set_slice(world, settings, rows, |one| one.enable = enable)?;
        let level = settings.levels.slice(&name).initial;
        orders.push(Order::RunLevel(name, level));
        Ok(orders)
    },
);

/// Of an ExecEnv.
pub(super) const STATUS: Parameter = super::read("Status", T::String, |world, rows| {
    Some(if slice(world, rows)?.enable { "Up" } else { "Disabled" }.to_owned())
});

/// Of an ExecEnv.
pub(super) const INITIAL: Parameter = told(
    "InitialRunLevel",
    T::UnsignedInt,
    |world, rows| slice(world, rows).map(|one| one.initial.to_string()),
    |world, settings, rows, value| {
        let level = number(value, 0, LEVEL_MAX)?;
        set_slice(world, settings, rows, |one| one.initial = level)
    },
);

/// Of an ExecEnv.
pub(super) const CURRENT: Parameter = super::read("CurrentRunLevel", T::Int, |world, rows| {
    slice(world, rows).map(|one| one.current.to_string())
});

/// Of an ExecEnv: the level of services that come.
pub(super) const OF_UNITS: Parameter = told(
    "InitialExecutionUnitRunLevel",
    T::Int,
    |world, rows| slice(world, rows).map(|one| one.of_units.to_string()),
    |world, settings, rows, value| {
        let level = number(value, 0, LEVEL_MAX)?;
        set_slice(world, settings, rows, |one| one.of_units = level)
    },
);

/// Of an ExecEnv.
pub(super) const SET: Command = Command {
    name: "SetRunLevel",
    kind: CommandType::Sync,
    inputs: &["*RequestedRunLevel"],
    outputs: &[],
    order: |world, rows, argument| {
        let of = slice(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
        let level = number(&argument("RequestedRunLevel").unwrap_or_default(), 0, LEVEL_MAX);
        Ok(Order::RunLevel(of.slice, level.map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?))
    },
};

/// Of an ExecutionUnit.
pub(super) const LEVEL: Parameter = told(
    "RunLevel",
    T::UnsignedInt,
    |world, rows| {
        let service = world.service(*rows.first()?)?;
        Some(world.settings.levels.service(&service.name, true).level.to_string())
    },
    |world, settings, rows, value| {
        let level = number(value, 0, LEVEL_MAX)?;
        set_service(world, settings, rows, |one| one.level = level)
    },
);

/// Of an ExecutionUnit.
pub(super) const AUTOSTART: Parameter = told(
    "AutoStart",
    T::Boolean,
    |world, rows| {
        let service = world.service(*rows.first()?)?;
        let Some(unit) = bundle(world, rows) else { return Some(service.autostart.to_string()) };
        let (levels, of) = (&world.settings.levels, world.settings.levels.slice(&unit.provider));
        let its = levels.service(&unit.name, unit.autostart);
        // Where its level is not in the way, what `package` says is its own word: `ctl` may have given it another.
        let free = of.enable && its.level <= of.initial;
        Some(if free { unit.autostart } else { its.starts }.to_string())
    },
    |world, settings, rows, value| {
        let starts = boolean(value)?;
        set_service(world, settings, rows, |one| one.starts = starts)
    },
);

/// Orders that bring the services of a slice to what its level says: those that are to run and do not, and the other way round.
pub(crate) fn settle(world: &World, slice: &Name) -> Vec<Order> {
    let (levels, of) = (&world.settings.levels, world.settings.levels.slice(slice));
    let its = world.facts.bundles.iter().filter(|unit| unit.provider == *slice);
    let one = |unit: &Unit| {
        let service = levels.service(&unit.name, unit.autostart);
        let process = world.facts.processes.iter().find(|process| process.name == unit.name)?;
        match (levels.starts(&service, &of, of.current), is_down(process)) {
            (true, true) => Some(Order::Start(unit.name.clone())),
            // Who does not start by itself was started by somebody: only a level or its slice stops it.
            (false, false) if !of.enable || service.level > of.current => {
                Some(Order::Stop(unit.name.clone()))
            }
            (true, false) | (false, _) => None,
        }
    };
    its.filter_map(one).collect()
}

fn is_down(process: &Process) -> bool {
    match process.state {
        State::Down | State::Failed | State::Ending => true,
        State::Up | State::Starting | State::Preparing | State::Waiting | State::Returning => false,
    }
}

/// What is to be done with a unit that has just come: it gets its slice's level.
pub(crate) fn welcome(world: &World, settings: &mut Settings, unit: &Unit) -> Vec<Order> {
    let of = settings.levels.slice(&unit.provider);
    if settings.levels.knows(&unit.name) || (of.of_units == 0 && of.enable) {
        return Vec::new();
    }
    let service = OfService { service: unit.name.clone(), level: of.of_units, starts: unit.autostart };
    settings.levels.put_service(service);
    let mut orders = vec![order(settings, unit)];
    let runs = world.facts.processes.iter().any(|one| one.name == unit.name && !is_down(one));
    if runs && (!of.enable || of.of_units > of.current) {
        orders.push(Order::Stop(unit.name.clone()));
    }
    orders
}
