//! `ExecutionUnit.{i}.AutoRestart.`: how a service that ends by itself is started again.
//!
//! Whether it is, is its manifest's word, or an operator's over it, which `package` keeps. The numbers are the supervisor's, the same for every
//! service (`contract::restart`).
//!
//! Not here: services that do their work and end, and are started again later (`again_s` and `start_at` of a manifest), but for when that is.

use contract::control::Process;
use contract::manifest::Restart;
use contract::restart::{CRASHES_MAX, DELAY_GROWTH, DELAY_MS_MAX, DELAY_MS_MIN, WELL_MS};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Argument, Object, Order, Parameter, Set, boolean, moving, read};
use crate::world::{World, date, date_after_boot};

/// A time that does not come. Source: TR-106 §3.2.1.
const INFINITE: &str = "9999-12-31T23:59:59Z";

/// The supervisor's numbers by TR-181's names, in its units: seconds, thousandths, starts. The end after which a service is given up is not
/// followed by a start.
const NUMBERS: [(&str, u64); 5] = [
    ("RetryMinimumWaitInterval", DELAY_MS_MIN / 1_000),
    ("RetryMaximumWaitInterval", DELAY_MS_MAX / 1_000),
    ("RetryIntervalMultiplier", DELAY_GROWTH * 1_000),
    ("MaximumRetryCount", CRASHES_MAX as u64 - 1),
    ("ResetPeriod", WELL_MS / 1_000),
];

fn process(world: &World, rows: &[u32], get: fn(&World, &Process) -> String) -> Option<String> {
    world.service(*rows.first()?).map(|process| get(world, process))
}

/// One of [`NUMBERS`], where the service is there.
fn number(world: &World, rows: &[u32], place: usize) -> Option<String> {
    world.service(*rows.first()?)?;
    NUMBERS.get(place).map(|(_, number)| number.to_string())
}

/// What an order says of numbers that it cannot have otherwise.
pub(super) fn asks_for_others(argument: Argument<'_>) -> bool {
    NUMBERS.iter().any(|(name, number)| {
        let said = argument(&format!("AutoRestart.{name}")).filter(|said| !said.is_empty());
        said.is_some_and(|said| said != number.to_string())
    })
}

pub(super) const OBJECTS: &[Object] = &[Object::single(
    "Device.SoftwareModules.ExecutionUnit.{i}.AutoRestart.",
    &[
        Parameter {
            name: "Enable",
            kind: T::Boolean,
            get: |world, rows| process(world, rows, |_, one| (one.restart != Restart::Never).to_string()),
            set: Some(Set::Order(|world, _, rows, value| {
                let restarts = boolean(value)?;
                let service = rows.first().and_then(|row| world.service(*row));
                let name = &service.ok_or(Code::OBJECT_DOES_NOT_EXIST)?.name;
                // A service of the image is started again as the image says.
                let unit = world.facts.bundles.iter().find(|unit| unit.name == *name);
                unit.ok_or(Code::NOT_WRITEABLE)?;
                Ok(vec![Order::Restarts(name.clone(), restarts)])
            })),
            tells: true,
        },
        // The first two starts after an end come at once.
        read(NUMBERS[0].0, T::UnsignedInt, |world, rows| number(world, rows, 0)),
        read(NUMBERS[1].0, T::UnsignedInt, |world, rows| number(world, rows, 1)),
        read(NUMBERS[2].0, T::UnsignedInt, |world, rows| number(world, rows, 2)),
        read(NUMBERS[3].0, T::UnsignedInt, |world, rows| number(world, rows, 3)),
        read(NUMBERS[4].0, T::UnsignedInt, |world, rows| number(world, rows, 4)),
        moving("RetryCount", T::UnsignedInt, |world, rows| {
            process(world, rows, |_, one| one.restarts.to_string())
        }),
        moving("LastRestarted", T::DateTime, |world, rows| {
            process(world, rows, |world, one| {
                one.restarted_ms.map_or_else(|| date(None), |at_ms| date_after_boot(world, at_ms))
            })
        }),
        moving("NextRestart", T::DateTime, |world, rows| {
            process(world, rows, |world, one| {
                one.next_ms.map_or_else(|| INFINITE.to_owned(), |at_ms| date_after_boot(world, at_ms))
            })
        }),
    ],
)];
