//! Where a path leads in the tree as it is now.
//!
//! In:  a [`Path`], a [`World`]. Out: [`Spot`]s and [`Place`]s, at most [`PLACES_MAX`].
//!
//! Who looks finds by what he may read: a search for what he may not finds nothing (R-GIN.0). Not here: who may see what is found.
//!
//! Source: TR-369 §2.5.

use usp::Code;
use usp::path::condition::Condition;
use usp::path::{Follow, Leaf, Path, Step};

use crate::access::Access;
use crate::model::{Object, Parameter, objects};
use crate::world::World;

/// Places that one path may lead to.
pub const PLACES_MAX: usize = 2048;
/// References that are followed one after another.
const FOLLOWED_MAX: usize = 4;

/// A place between the root and an object: an object, a table, or what only holds others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// As the model writes it, with `{i}`.
    pub schema: String,
    /// The rows in it.
    pub rows: Vec<u32>,
}

/// An object that is there.
#[derive(Debug, Clone)]
pub struct Place {
    /// Which.
    pub object: &'static Object,
    /// In which rows.
    pub rows: Vec<u32>,
}

impl Place {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> String {
        self.object.place(&self.rows)
    }

    /// The rows that lead to it, and itself.
    pub fn all(&self) -> impl Iterator<Item = String> {
        let tables = self.object.path.match_indices("{i}.").map(|(at, mark)| at + mark.len());
        let ends = tables.filter_map(|end| self.object.path.get(..end));
        let above = ends.map(|schema| crate::model::place(schema, &self.rows));
        above.chain([self.path()])
    }

    /// What it is known by: a set of parameters, with what they are now.
    #[must_use]
    pub fn keys(&self, world: &World) -> Vec<(&'static str, String)> {
        let names = self.object.keys.iter().flat_map(|set| set.iter());
        let parameters = names.filter_map(|name| self.object.parameter(name));
        parameters.filter_map(|one| Some((one.name, (one.get)(world, &self.rows)?))).collect()
    }
}

impl Spot {
    fn root(name: &str) -> Result<Self, Code> {
        Self { schema: String::new(), rows: Vec::new() }.down(name)
    }

    fn down(&self, name: &str) -> Result<Self, Code> {
        let schema = format!("{}{name}.", self.schema);
        let known = objects().any(|object| object.path.starts_with(&schema));
        if known { Ok(Self { schema, rows: self.rows.clone() }) } else { Err(Code::INVALID_PATH) }
    }

    /// The object itself, where it is one.
    #[must_use]
    pub fn object(&self) -> Option<&'static Object> {
        objects().find(|object| object.path == self.schema)
    }

    /// The table of which this is the name.
    #[must_use]
    pub fn table(&self) -> Option<&'static Object> {
        let schema = format!("{}{{i}}.", self.schema);
        objects().find(|object| object.path == schema)
    }

    /// The rows there are.
    #[must_use]
    pub fn rows_below(&self, world: &World) -> Option<Vec<u32>> {
        let rows = self.table()?.rows?;
        Some(rows(world, &self.rows))
    }

    fn row(&self, row: u32) -> Self {
        let rows = self.rows.iter().copied().chain([row]).collect();
        Self { schema: format!("{}{{i}}.", self.schema), rows }
    }

    /// Every object at and below it, of at most `depth` names further down; 0: all.
    #[must_use]
    pub fn below(&self, world: &World, depth: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for object in objects().filter(|object| object.path.starts_with(&self.schema)) {
            let rest = object.path.get(self.schema.len()..).unwrap_or_default();
            let names = rest.split('.').filter(|name| !name.is_empty() && *name != "{i}").count();
            if depth == 0 || names < depth {
                expand(world, object, self.rows.clone(), &mut places);
            }
        }
        places
    }
}

/// Adds `object` in each of its rows that begin with `rows`.
fn expand(world: &World, object: &'static Object, rows: Vec<u32>, places: &mut Vec<Place>) {
    if places.len() >= PLACES_MAX {
        return;
    }
    let Some((end, mark)) = object.path.match_indices("{i}.").nth(rows.len()) else {
        places.push(Place { object, rows });
        return;
    };
    let schema = object.path.get(..end + mark.len()).unwrap_or_default();
    let table = objects().find(|table| table.path == schema).and_then(|table| table.rows);
    for row in table.map(|table| table(world, &rows)).unwrap_or_default() {
        expand(world, object, rows.iter().copied().chain([row]).collect(), places);
    }
}

/// Where `path` leads, without its leaf. A search that finds nothing leads nowhere.
///
/// # Errors
/// 7026: the model has no such place. 7016: a row is not there. 7005: too many places.
pub fn spots(world: &World, access: Access<'_>, path: &Path<'_>) -> Result<Vec<Spot>, Code> {
    walk((world, access), &path.steps, 0)
}

/// The tree, and who looks.
type Seen<'w> = (&'w World, Access<'w>);

fn walk(seen: Seen<'_>, steps: &[Step<'_>], followed: usize) -> Result<Vec<Spot>, Code> {
    let Some((Step::Name(root), steps)) = steps.split_first() else { return Err(Code::INVALID_PATH) };
    let mut spots = vec![Spot::root(root)?];
    // What leads nowhere is still looked at: a path that the model does not have is an error all the same.
    let mut schema = spots.first().cloned();
    for step in steps {
        let mut next = Vec::new();
        for spot in &spots {
            next.extend(one_step(seen, spot, step, followed)?);
            if next.len() > PLACES_MAX {
                return Err(Code::RESOURCES_EXCEEDED);
            }
        }
        schema = match (schema, step) {
            (Some(spot), Step::Name(name)) => Some(spot.down(name)?),
            (Some(spot), Step::Instance(_) | Step::Each | Step::Row | Step::Search(_)) => {
                spot.table().ok_or(Code::INVALID_PATH)?;
                Some(spot.row(0))
            }
            (_, Step::Follow(..)) | (None, _) => None,
        };
        spots = next;
    }
    Ok(spots)
}

fn one_step(seen: Seen<'_>, spot: &Spot, step: &Step<'_>, followed: usize) -> Result<Vec<Spot>, Code> {
    if let Step::Name(name) = step {
        return Ok(vec![spot.down(name)?]);
    }
    if let Step::Follow(name, which) = step {
        return follow(seen, spot, (name, *which), followed);
    }
    let rows = spot.rows_below(seen.0).ok_or(Code::INVALID_PATH)?;
    match step {
        Step::Instance(row) if rows.contains(row) => Ok(vec![spot.row(*row)]),
        Step::Instance(_) => Err(Code::OBJECT_DOES_NOT_EXIST),
        Step::Each => Ok(rows.into_iter().map(|row| spot.row(row)).collect()),
        Step::Search(conditions) => {
            let mut found = Vec::new();
            for row in rows {
                let spot = spot.row(row);
                let mut holds = true;
                for condition in conditions {
                    holds = holds && meets(seen, &spot, condition)?;
                }
                if holds {
                    found.push(spot);
                }
            }
            Ok(found)
        }
        Step::Row | Step::Name(_) | Step::Follow(..) => Err(Code::INVALID_PATH),
    }
}

fn meets(seen: Seen<'_>, spot: &Spot, condition: &Condition<'_>) -> Result<bool, Code> {
    let mut spot = spot.clone();
    let (objects, name) = condition.parameter.rsplit_once('.').unwrap_or(("", condition.parameter));
    for step in objects.split('.').filter(|step| !step.is_empty()) {
        spot = spot.down(step)?;
    }
    let (parameter, value) = value(seen.0, &spot, name)?;
    let at = spot.object().map(|object| object.place(&spot.rows)).unwrap_or_default();
    Ok(seen.1.at(&format!("{at}{name}")).read && condition.holds(parameter.kind, &value))
}

fn value(world: &World, spot: &Spot, name: &str) -> Result<(&'static Parameter, String), Code> {
    let parameter = spot.object().and_then(|object| object.parameter(name)).ok_or(Code::INVALID_PATH)?;
    let value = (parameter.get)(world, &spot.rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    Ok((parameter, value))
}

fn follow(
    seen: Seen<'_>,
    spot: &Spot,
    (name, which): (&str, Follow),
    followed: usize,
) -> Result<Vec<Spot>, Code> {
    if followed >= FOLLOWED_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    let (_, list) = value(seen.0, spot, name)?;
    let places = list.split(',').map(str::trim).filter(|place| !place.is_empty());
    let chosen: Vec<&str> = match which {
        Follow::First => places.take(1).collect(),
        Follow::Place(place) => {
            places.skip(usize::try_from(place).unwrap_or(usize::MAX).saturating_sub(1)).take(1).collect()
        }
        Follow::Each => places.collect(),
    };
    let mut spots = Vec::new();
    for place in chosen {
        let text = if place.ends_with('.') { place.to_owned() } else { format!("{place}.") };
        let path = Path::parse(&text).map_err(|_| Code::INVALID_PATH)?;
        // A reference to what is gone leads nowhere (TR-106 §3.2.4).
        if let Ok(found) = walk(seen, &path.steps, followed + 1) {
            spots.extend(found);
        }
    }
    Ok(spots)
}

/// Objects of a path as the model writes them, with `{i}` in place of rows.
#[must_use]
pub fn schema(path: &Path<'_>) -> String {
    let one = |step: &Step<'_>| match step {
        Step::Name(name) => format!("{name}."),
        Step::Instance(_) | Step::Each | Step::Row | Step::Search(_) => "{i}.".to_owned(),
        // Where it leads is not known before there is something.
        Step::Follow(name, _) => format!("{name}+."),
    };
    path.steps.iter().map(one).collect()
}

/// The row of `table` that a reference leads to: by its number, or by a search that only it meets (R-ARC.11).
#[must_use]
pub fn referenced(world: &World, text: &str, table: &str) -> Option<u32> {
    let text = format!("{}.", text.trim_end_matches('.'));
    let path = Path::parse(&text).ok()?;
    let found = spots(world, Access::ours(world), &path).ok()?;
    let [one] = found.as_slice() else { return None };
    if one.schema == table { one.rows.last().copied() } else { None }
}

/// The parameters that `path` names: an object's are all of those at and below it.
///
/// # Errors
/// As [`spots`]; 7026 where the model has no such parameter.
pub fn parameters(
    world: &World,
    access: Access<'_>,
    (path, depth): (&Path<'_>, usize),
) -> Result<Vec<(Place, &'static [Parameter])>, Code> {
    let mut found = Vec::new();
    for spot in spots(world, access, path)? {
        match path.leaf {
            Leaf::Object => {
                found.extend(spot.below(world, depth).into_iter().map(|place| {
                    let parameters = place.object.parameters;
                    (place, parameters)
                }));
            }
            Leaf::Parameter(name) => {
                let object = spot.object().ok_or(Code::INVALID_PATH)?;
                let at =
                    object.parameters.iter().position(|one| one.name == name).ok_or(Code::INVALID_PATH)?;
                let parameter = object.parameters.get(at..=at).unwrap_or_default();
                found.push((Place { object, rows: spot.rows }, parameter));
            }
            Leaf::Command(_) | Leaf::Event(_) => return Err(Code::INVALID_PATH),
        }
        if found.len() > PLACES_MAX {
            return Err(Code::RESOURCES_EXCEEDED);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use usp::path::Path;

    use super::{Access, spots};
    use crate::testing::world;

    // Shows R-GET.1a.
    #[test]
    fn paths_lead_somewhere() {
        let table: &[(&str, Result<&[&str], u32>)] = &[
            ("Device.", Ok(&["Device. []"])),
            ("Device.LocalAgent.Controller.2.", Ok(&["Device.LocalAgent.Controller.{i}. [2]"])),
            ("Device.LocalAgent.Controller.", Ok(&["Device.LocalAgent.Controller. []"])),
            (
                "Device.LocalAgent.Controller.*.",
                Ok(&["Device.LocalAgent.Controller.{i}. [1]", "Device.LocalAgent.Controller.{i}. [2]"]),
            ),
            (
                "Device.LocalAgent.Controller.[EndpointID==\"self::b\"&&Enable==true].E2ESession.",
                Ok(&["Device.LocalAgent.Controller.{i}.E2ESession. [2]"]),
            ),
            ("Device.LocalAgent.Controller.[E2ESession.Enable==false].", Ok(&[])),
            ("Device.LocalAgent.Controller.[EndpointID==\"x\"].Nothing.", Err(7026)),
            ("Device.LocalAgent.Controller.[Nothing==1].", Err(7026)),
            ("Device.LocalAgent.Controller.9.", Err(7016)),
            ("Device.LocalAgent.Controller.{i}.", Err(7026)),
            ("Device.Nothing.", Err(7026)),
            ("Other.", Err(7026)),
            (
                "Device.LocalAgent.Controller.2.MTP.1.MQTT.AgentMTPReference+.",
                Ok(&["Device.LocalAgent.MTP.{i}. [2]"]),
            ),
            (
                "Device.LocalAgent.Controller.1.AssignedRole+.Permission.*.",
                Ok(&["Device.LocalAgent.ControllerTrust.Role.{i}.Permission.{i}. [1, 1]"]),
            ),
        ];
        let world = world();
        for (text, want) in table {
            let got = spots(&world, Access::ours(&world), &Path::parse(text).unwrap());
            let got = got.map(|spots| {
                spots.iter().map(|spot| format!("{} {:?}", spot.schema, spot.rows)).collect::<Vec<_>>()
            });
            let got = got.as_ref().map(|spots| spots.iter().map(String::as_str).collect::<Vec<_>>());
            let want = want.map(<[&str]>::to_vec);
            assert_eq!(got.map_err(|code| code.number()), want, "{text}");
        }
    }
}
