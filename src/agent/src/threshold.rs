//! Thresholds: what controllers want to hear of numbers that rise above a value, fall below it, or become it.
//!
//! In:  a world, each time that it is another, and every [`LOOK_MS`] while there is a threshold: what moves all the time tells nobody that it
//! has. Out: which of them were met, by which parameter, and its value.
//!
//! The first look at a parameter is its beginning: nothing is told of what was before. Who is at the value itself is neither above nor below.
//!
//! Source: TR-181 2.19.1, `Device.LocalAgent.Threshold.{i}.`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use usp::message::read::ValueType;
use usp::path::Path;

use crate::access::Access;
use crate::journal;
use crate::resolve::parameters;
use crate::world::World;

/// How often what moves is looked at, in milliseconds.
pub const LOOK_MS: u64 = 5_000;
/// Thresholds of all controllers.
pub const THRESHOLDS_MAX: usize = 32;
/// Thresholds of one controller.
pub const THRESHOLDS_OF_ONE_MAX: usize = 8;
/// Parameters that one threshold looks at.
const VALUES_OF_ONE_MAX: usize = 64;

/// How a value meets a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Operator {
    /// From below to above.
    #[default]
    Rise,
    /// From above to below.
    Fall,
    /// One of both.
    Cross,
    /// It becomes the value.
    Eq,
    /// It was the value.
    NotEq,
}

impl Operator {
    /// Every one, with its word. Source: TR-181, `Device.LocalAgent.SupportedThresholdOperator`.
    pub const WORDS: [(Self, &'static str); 5] = [
        (Self::Rise, "Rise"),
        (Self::Fall, "Fall"),
        (Self::Cross, "Cross"),
        (Self::Eq, "Eq"),
        (Self::NotEq, "NotEq"),
    ];
}

/// Whether it is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Each time.
    #[default]
    Normal,
    /// Once: then it is off.
    Single,
}

impl Mode {
    /// Both, with their words. Source: TR-181, `Threshold.{i}.OperatingMode`.
    pub const WORDS: [(Self, &'static str); 2] = [(Self::Normal, "Normal"), (Self::Single, "Single")];
}

/// A threshold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Threshold {
    /// Its row.
    pub row: u32,
    /// The endpoint id of the controller that has made it: by its rights values are read, and it alone is told.
    pub controller: String,
    /// Another name.
    pub alias: String,
    /// It is looked at.
    pub enable: bool,
    /// Whether it is told again.
    pub mode: Mode,
    /// An object, or several.
    pub reference: String,
    /// The parameter of it.
    pub parameter: String,
    /// How it is met.
    pub operator: Operator,
    /// The value; `None`: there is none yet.
    pub value: Option<i64>,
}

/// What was last seen of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// How it was to the value.
    now: Ordering,
    /// On which side it was before, where it is at the value.
    side: Ordering,
}

/// It is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// The threshold's row.
    pub row: u32,
    /// The row of the controller that is told.
    pub controller: u32,
    /// Which parameter.
    pub path: String,
    /// What it is now.
    pub value: String,
}

/// What was last seen.
#[derive(Debug, Default)]
pub struct Thresholds {
    /// Of each row: as it was set then, and of each parameter.
    seen: BTreeMap<u32, (Threshold, BTreeMap<String, Seen>)>,
    looked_ms: u64,
}

/// Is it a number without a fraction?
#[must_use]
pub fn is_number(kind: ValueType) -> bool {
    matches!(kind, ValueType::Int | ValueType::Long | ValueType::UnsignedInt | ValueType::UnsignedLong)
}

impl Thresholds {
    /// When what moves is looked at next, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self, world: &World) -> Option<u64> {
        let any = world.settings.thresholds.iter().any(|one| one.enable && one.value.is_some());
        any.then(|| self.looked_ms.saturating_add(LOOK_MS))
    }

    /// Looks; what is met now and was not before.
    pub fn look(&mut self, world: &World, now_ms: u64) -> Vec<Met> {
        self.looked_ms = now_ms;
        let all = &world.settings.thresholds;
        self.seen.retain(|row, _| all.iter().any(|one| one.row == *row && one.enable));
        let mut met = Vec::new();
        for threshold in all.iter().filter(|one| one.enable) {
            let Some(controller) = journal::row(world, &threshold.controller) else { continue };
            let before = self.seen.remove(&threshold.row).filter(|(then, _)| then == threshold);
            let before = before.map(|(_, seen)| seen).unwrap_or_default();
            let mut now = BTreeMap::new();
            for (path, text, value) in values(world, threshold, controller) {
                let Some(wanted) = threshold.value else { continue };
                let next = step(before.get(&path).copied(), value.cmp(&i128::from(wanted)));
                if before.get(&path).is_some_and(|seen| is_met(threshold.operator, *seen, next)) {
                    met.push(Met { row: threshold.row, controller, path: path.clone(), value: text });
                }
                now.insert(path, next);
            }
            self.seen.insert(threshold.row, (threshold.clone(), now));
        }
        met
    }
}

/// Parameters that it looks at, as far as its controller may read them.
fn values(world: &World, threshold: &Threshold, controller: u32) -> Vec<(String, String, i128)> {
    let access = Access::of(world, controller);
    let text = format!("{}{}", threshold.reference, threshold.parameter);
    let found = Path::parse(&text).map(|path| parameters(world, access, (&path, 0)));
    let mut values = Vec::new();
    for (place, parameters) in found.into_iter().flatten().flatten().take(VALUES_OF_ONE_MAX) {
        for parameter in parameters.iter().filter(|one| is_number(one.kind)) {
            let path = format!("{}{}", place.path(), parameter.name);
            let value = (parameter.get)(world, &place.rows).filter(|_| access.at(&path).read);
            if let Some((value, number)) = value.and_then(|value| Some((value.clone(), value.parse().ok()?)))
            {
                values.push((path, value, number));
            }
        }
    }
    values
}

fn step(before: Option<Seen>, now: Ordering) -> Seen {
    let side = if now == Ordering::Equal { before.map_or(now, |seen| seen.side) } else { now };
    Seen { now, side }
}

fn is_met(operator: Operator, before: Seen, now: Seen) -> bool {
    let rises = before.side == Ordering::Less && now.side == Ordering::Greater;
    let falls = before.side == Ordering::Greater && now.side == Ordering::Less;
    let was = before.now == Ordering::Equal;
    let is = now.now == Ordering::Equal;
    match operator {
        Operator::Rise => rises,
        Operator::Fall => falls,
        Operator::Cross => rises || falls,
        Operator::Eq => is && !was,
        Operator::NotEq => was && !is,
    }
}

#[cfg(test)]
mod tests {
    use super::{Met, Operator, Threshold, Thresholds};
    use crate::testing::world;

    fn threshold(operator: Operator) -> Threshold {
        Threshold {
            row: 1,
            controller: "self::a".to_owned(),
            enable: true,
            reference: "Device.LocalAgent.Controller.2.".to_owned(),
            parameter: "PeriodicNotifInterval".to_owned(),
            operator,
            value: Some(100),
            ..Threshold::default()
        }
    }

    /// At which of these values in turn it is met.
    fn met(operator: Operator, values: &[u32]) -> Vec<u32> {
        let (mut world, mut thresholds) = (world(), Thresholds::default());
        world.settings.thresholds = vec![threshold(operator)];
        let mut at = Vec::new();
        for value in values {
            world.settings.controllers[1].periodic_s = *value;
            let met = thresholds.look(&world, 0);
            let path = "Device.LocalAgent.Controller.2.PeriodicNotifInterval".to_owned();
            let want = Met { row: 1, controller: 1, path, value: value.to_string() };
            assert!(met.iter().all(|one| *one == want), "{met:?}");
            at.extend(met.iter().map(|_| *value));
        }
        at
    }

    #[test]
    fn values_meet_thresholds() {
        let story = [50, 90, 100, 101, 102, 100, 100, 99, 100, 98, 150, 100, 160];
        assert_eq!(met(Operator::Rise, &story), [101, 150]);
        assert_eq!(met(Operator::Fall, &story), [99]);
        assert_eq!(met(Operator::Cross, &story), [101, 99, 150]);
        assert_eq!(met(Operator::Eq, &story), [100, 100, 100, 100]);
        assert_eq!(met(Operator::NotEq, &story), [101, 99, 98, 160]);
        assert_eq!(met(Operator::Rise, &[500, 501]), [0; 0], "the first look is the beginning");
        assert_eq!(met(Operator::Rise, &[100, 101]), [0; 0], "it was not below");
    }

    #[test]
    fn it_looks_by_the_rights_of_its_controller_and_begins_anew_when_it_is_set() {
        let (mut world, mut thresholds) = (world(), Thresholds::default());
        let mut one = threshold(Operator::Rise);
        one.controller = "self::gone".to_owned();
        world.settings.thresholds = vec![one.clone()];
        world.settings.controllers[1].periodic_s = 1;
        thresholds.look(&world, 0);
        world.settings.controllers[1].periodic_s = 1_000;
        assert!(thresholds.look(&world, 0).is_empty(), "nobody is there to be told");
        world.settings.thresholds = vec![threshold(Operator::Rise)];
        world.settings.controllers[1].periodic_s = 1;
        thresholds.look(&world, 0);
        world.settings.controllers[1].periodic_s = 1_000;
        world.settings.thresholds[0].value = Some(500);
        assert!(thresholds.look(&world, 0).is_empty(), "another value is another beginning");
        world.settings.controllers[0].enable = false;
        world.settings.controllers[1].periodic_s = 1;
        thresholds.look(&world, 0);
        world.settings.controllers[1].periodic_s = 1_000;
        assert!(thresholds.look(&world, 0).is_empty(), "who is not enabled may read nothing");
    }
}
