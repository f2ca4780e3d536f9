//! The tree of parameters as a table: one row a parameter, with how it is read and how it is set.
//!
//! In:  a [`World`]. Out: values; and changes of its [`Settings`]. All the rest that is read comes from other rooms (`world.rs`).
//!
//! The rows of an object stand in the files below; `docs/datamodel.md` is made of them by a test.
//!
//! Source: TR-181 2.19.1 (Device:2), whose names these are.

/// A parameter that is one field of what a controller sets: `field!(name, kind, field, read(limits))`. It is read as text, and set to what
/// `read` makes of a text; `get` and `change` of the module lead to the thing whose field it is.
macro_rules! field {
    ($name:literal, $kind:ident, $field:ident, $read:ident($($limit:expr),*)) => {
        $crate::model::set(
            $name,
            usp::message::read::ValueType::$kind,
            |world, rows| get(world, rows, |one| one.$field.to_string()),
            |settings, rows, value| {
                let value = $read(value, $($limit),*)?;
                change(settings, rows, |one| one.$field = value)
            },
        )
    };
}

/// The same of a text that is said when its row is made, and never again (R-KEY.1): `once!(name, field, read(limits))`.
macro_rules! once {
    ($name:literal, $field:ident, $read:ident($($limit:expr),*)) => {
        $crate::model::Parameter {
            name: $name,
            kind: usp::message::read::ValueType::String,
            get: |world, rows| get(world, rows, |one| one.$field.clone()),
            set: Some($crate::model::Set::Own(|world, settings, rows, value| {
                if get(world, rows, |_| ()).is_some() {
                    return Err(usp::Code::NOT_WRITEABLE);
                }
                let value = $read(value, $($limit),*)?;
                change(settings, rows, |one| one.$field = value)
            })),
            tells: true,
        }
    };
}

/// The same of a field that is one of a few words: `choice!(name, field, words)`.
macro_rules! choice {
    ($name:literal, $field:ident, $words:expr) => {
        $crate::model::set(
            $name,
            usp::message::read::ValueType::String,
            |world, rows| get(world, rows, |one| $crate::model::word(&$words, one.$field)),
            |settings, rows, value| {
                let value = $crate::model::kind(value, &$words)?;
                change(settings, rows, |one| one.$field = value)
            },
        )
    };
}

mod agent;
mod boot;
mod device;
mod machine;
mod subscription;
mod threshold;
mod transport;
mod trust;

mod software;

mod restart;
mod uses;

mod deployment;
mod environment;
mod levels;

mod guarantee;

mod service;

mod brought;

mod bulk;

mod network;

use std::rc::Rc;

use usp::Code;
use usp::message::read::{CommandType, ObjectAccess, ValueType};

use crate::job::{End, Job};
use crate::settings::Settings;
use crate::world::World;

/// An object, or a table's rows.
#[derive(Debug)]
pub struct Object {
    /// Its path, with `{i}` for a row.
    pub path: &'static str,
    /// Whether a controller makes and removes rows.
    pub access: ObjectAccess,
    /// What a row is known by: sets of parameters.
    pub keys: &'static [&'static [&'static str]],
    /// The rows there are, in the row of the tables above it. `None`: it is no table.
    pub rows: Option<Rows>,
    /// How a controller makes and removes rows of the wanted network.
    pub grows: Option<network::Grow>,
    /// What is in it.
    pub parameters: &'static [Parameter],
    /// What can be done with it.
    pub commands: &'static [Command],
    /// What happens to it.
    pub events: &'static [Event],
    /// How a controller makes and removes rows, where it can.
    pub made: Option<Made>,
}

/// How a controller makes and removes rows. Rows of the tables above are in `&[u32]`; where a row is there, it is the last.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Makes one for the controller in the row that comes last; its number.
    pub add: fn(&World, &mut Settings, &[u32], u32) -> Result<u32, Code>,
    /// Is it known by what another is known by?
    pub is_twin: fn(&Settings, &[u32]) -> bool,
    /// It goes.
    pub remove: fn(&mut Settings, &[u32]),
}

/// The rows that a table has.
pub type Rows = fn(&World, &[u32]) -> Vec<u32>;
/// An argument of a command, by its name. A name that ends with `*` is the first of all that begin so and say something.
pub type Argument<'a> = &'a dyn Fn(&str) -> Option<String>;
/// What a command makes of its arguments.
pub type Make = fn(&World, &[u32], Argument<'_>) -> Result<Order, Code>;
/// How a parameter is read.
pub type Get = fn(&World, &[u32]) -> Option<String>;
/// How it is set.
pub type Say = fn(&mut Settings, &[u32], &str) -> Result<(), Code>;

/// How it is set, where the world has to be asked.
pub type Own = fn(&World, &mut Settings, &[u32], &str) -> Result<(), Code>;

/// How it is set, and what other rooms are told of that.
pub type Tell = fn(&World, &mut Settings, &[u32], &str) -> Result<Vec<Order>, Code>;

/// How a parameter is set.
#[derive(Debug, Clone, Copy)]
pub enum Set {
    /// It is ours.
    Say(Say),
    /// It is ours, and whose it is the world knows.
    Own(Own),
    /// The same, and nobody reads it back.
    Secret(Own),
    /// It is part of the wanted network.
    Network(network::Change),
    /// The same, and nobody reads it back.
    Hidden(network::Change),
    /// It is another room's, too: what that is told. It has to be done before the controller hears that it is.
    Order(Tell),
}

/// A parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ValueType,
    /// How it is read. `None` there: the row is gone.
    pub get: Get,
    /// How it is set, where it can be.
    pub set: Option<Set>,
    /// Its change can be told.
    pub tells: bool,
}

impl Parameter {
    /// Nobody reads it back.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.set, Some(Set::Secret(_) | Set::Hidden(_)))
    }
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name, without brackets.
    pub name: &'static str,
    /// Whether it takes its time.
    pub kind: CommandType,
    /// What it wants to know; those that it must know begin with `*`.
    pub inputs: &'static [&'static str],
    /// What it says at its end.
    pub outputs: &'static [&'static str],
    /// Makes an order of it.
    pub order: Make,
}

/// What a command means to other rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The machine is started anew.
    Reboot,
    /// A service is started.
    Start(contract::Name),
    /// It is stopped.
    Stop(contract::Name),
    /// Both.
    Restart(contract::Name),
    /// A request of ours is taken back.
    Cancel(u32),
    /// It cannot be done, and why.
    Refused(&'static str),
    /// It ends after so many seconds, and that is all.
    Timer(u32),
    /// A controller wants to have another role by a word that it knows.
    Challenge(crate::challenge::Ask),
    /// Nothing is done: this is all that it says.
    Says(Vec<(&'static str, String)>),
    /// The log of a service is read, and told in the answer.
    Log(crate::log::Wanted),
    /// All services of a slice are restarted, and why, in the controller's words.
    RestartSlice(contract::Name, String),
    /// All bundles of a slice go; then, perhaps, the slice.
    Empty(contract::Name, bool),
    /// Something is done with a bundle; or it has ended already, and why, in words.
    Bundle(Box<Job>, Option<(End, &'static str)>),
    /// A slice is rented, or given another size; and these roles are available in a new one.
    Rent(contract::slice::Slice, Option<Vec<String>>),
    /// From now on these roles are available in a slice.
    Roles(contract::Name, Vec<String>),
    /// It is given back.
    Release(contract::Name),
    /// A report of the profile of bulk data in this row is made now.
    Collect(u32),
    /// From now on a service starts by itself, or not.
    Autostart(contract::Name, bool),
    /// From now on it is started again when it ends by itself, or not.
    Restarts(contract::Name, bool),
    /// The volume that a service has left goes, before that is answered: whose, and whose service that was.
    Drop(contract::Name, contract::Name),
    /// The session with the controller in this row ends.
    EndSession(u32),
    /// The connection with the controller in this row ends, and is made anew.
    Reconnect(u32),
    /// The controller in this row hears an OnBoardRequest.
    OnBoard(u32),
    /// A slice is on this level from now on.
    RunLevel(contract::Name, u16),
    /// We ask for a certificate, or take one (PEM).
    Certify(Option<String>),
    /// Another network is tried, and kept once the controller in this row is heard again.
    Network(Rc<contract::wanted::Wanted>, u32),
}

/// An event.
#[derive(Debug)]
pub struct Event {
    /// Its name, without its mark.
    pub name: &'static str,
    /// What it says.
    pub arguments: &'static [&'static str],
}

impl Object {
    /// An object that is there once.
    const fn single(path: &'static str, parameters: &'static [Parameter]) -> Self {
        let (access, keys): (_, &[&[&str]]) = (ObjectAccess::ReadOnly, &[]);
        Self {
            path,
            access,
            keys,
            rows: None,
            grows: None,
            parameters,
            commands: &[],
            events: &[],
            made: None,
        }
    }

    /// A table whose rows come and go by themselves.
    const fn table(
        path: &'static str,
        keys: &'static [&'static [&'static str]],
        rows: Rows,
        parameters: &'static [Parameter],
    ) -> Self {
        Self { keys, rows: Some(rows), ..Self::single(path, parameters) }
    }

    /// The same, and a controller makes and removes rows.
    const fn made(self, made: Made) -> Self {
        Self { made: Some(made), access: ObjectAccess::AddDelete, ..self }
    }

    /// The same with commands.
    const fn with(self, commands: &'static [Command]) -> Self {
        Self { commands, ..self }
    }

    /// The same with events.
    const fn tells(self, events: &'static [Event]) -> Self {
        Self { events, ..self }
    }

    /// A parameter of it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|one| one.name == name)
    }

    /// Its path in these rows.
    #[must_use]
    pub fn place(&self, rows: &[u32]) -> String {
        place(self.path, rows)
    }
}

/// A path of the model in these rows.
#[must_use]
pub fn place(schema: &str, rows: &[u32]) -> String {
    let mut place = String::with_capacity(schema.len());
    let mut pieces = schema.split("{i}");
    place.push_str(pieces.next().unwrap_or_default());
    for (piece, row) in pieces.zip(rows) {
        place.push_str(&row.to_string());
        place.push_str(piece);
    }
    place
}

/// A parameter that is read.
const fn read(name: &'static str, kind: ValueType, get: Get) -> Parameter {
    Parameter { name, kind, get, set: None, tells: true }
}

/// One that is never the same: its change is not told.
const fn moving(name: &'static str, kind: ValueType, get: Get) -> Parameter {
    Parameter { name, kind, get, set: None, tells: false }
}

/// One that is read and set.
const fn set(name: &'static str, kind: ValueType, get: Get, set: Say) -> Parameter {
    Parameter { name, kind, get, set: Some(Set::Say(set)), tells: true }
}

/// Where a slice is in the tree; empty: it is not.
#[must_use]
pub fn environment_path(world: &World, slice: &str) -> String {
    environment::path(world, slice)
}

pub(crate) use boot::map as boot_map;
pub(crate) use deployment::{execution_unit, uninstall, uuid_of};
pub(crate) use device::{PRODUCT_CLASS, identity};
pub(crate) use levels::{settle, welcome};

/// A number of entries.
fn count(number: usize) -> Option<String> {
    Some(number.to_string())
}

/// All objects, each after the one that holds it; the network's follow.
pub const OBJECTS: &[&[Object]] = &[
    device::OBJECTS,
    agent::OBJECTS,
    boot::OBJECTS,
    subscription::OBJECTS,
    threshold::OBJECTS,
    transport::OF_AGENT,
    transport::OF_CONTROLLER,
    trust::OBJECTS,
    machine::OBJECTS,
    transport::OBJECTS,
    software::OBJECTS,
    environment::OBJECTS,
    uses::OF_SLICES,
    deployment::OBJECTS,
    software::UNITS,
    restart::OBJECTS,
    uses::OF_UNITS,
    guarantee::OBJECTS,
    service::OBJECTS,
    brought::OBJECTS,
    bulk::OBJECTS,
];

/// Does this path lead to the network, or to all?
#[must_use]
pub fn is_of_network(path: &str) -> bool {
    let roots = network::OBJECTS.iter().copied().flatten().map(|object| object.path);
    // A table's name is one that its rows begin with, and the root is what all begin with.
    roots.into_iter().any(|root| path.starts_with(root) || root.starts_with(path))
}

/// Every object.
pub fn objects() -> impl Iterator<Item = &'static Object> {
    OBJECTS.iter().chain(network::OBJECTS).copied().flatten()
}

/// Reads a boolean. Source: TR-106 §3.2 (xsd:boolean).
///
/// # Errors
/// 7011.
pub fn boolean(text: &str) -> Result<bool, Code> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Code::INVALID_TYPE),
    }
}

/// Reads a number within limits.
///
/// # Errors
/// 7011: it is none. 7012: it is too small or too large.
pub fn number<T: std::str::FromStr + PartialOrd>(text: &str, least: T, most: T) -> Result<T, Code> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Code::INVALID_TYPE);
    }
    let number: T = text.parse().map_err(|_| Code::INVALID_VALUE)?;
    if number < least || number > most { Err(Code::INVALID_VALUE) } else { Ok(number) }
}

/// The word for `one`; empty: it has none.
pub fn word<K: Copy + PartialEq>(words: &[(K, &str)], one: K) -> String {
    words.iter().find(|(kind, _)| *kind == one).map_or(String::new(), |(_, word)| (*word).to_owned())
}

/// Whose word it is.
///
/// # Errors
/// 7012: nobody's.
pub fn kind<K: Copy>(text: &str, words: &[(K, &str)]) -> Result<K, Code> {
    words.iter().find(|(_, word)| *word == text).map(|(kind, _)| *kind).ok_or(Code::INVALID_VALUE)
}

/// Reads a text of at most `most` bytes without control characters.
///
/// # Errors
/// 7012.
pub fn text(text: &str, most: usize) -> Result<String, Code> {
    let good = text.len() <= most && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(Code::INVALID_VALUE) }
}

/// Letters of an alias. Source: TR-106 §3.6.
const ALIAS_MAX: usize = 64;

/// Reads a row's other name: it begins with a letter.
///
/// # Errors
/// 7012.
pub fn alias(text: &str) -> Result<String, Code> {
    let begins = text.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic());
    if begins { self::text(text, ALIAS_MAX) } else { Err(Code::INVALID_VALUE) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::objects;

    #[test]
    fn the_table_is_in_order() {
        let mut seen = BTreeSet::from([String::new()]);
        for object in objects() {
            let trimmed = object.path.trim_end_matches('.').trim_end_matches(".{i}");
            let parent = trimmed.rsplit_once('.').map_or(String::new(), |(parent, _)| format!("{parent}."));
            assert!(seen.contains(&parent), "{}: before what holds it", object.path);
            assert!(seen.insert(object.path.to_owned()), "{}: twice", object.path);
            assert_eq!(object.rows.is_some(), object.path.ends_with("{i}."), "{}", object.path);
            let names: BTreeSet<&str> = object.parameters.iter().map(|one| one.name).collect();
            assert_eq!(names.len(), object.parameters.len(), "{}: a parameter twice", object.path);
            assert!(
                object.keys.iter().flat_map(|set| set.iter()).all(|key| names.contains(key)),
                "{}",
                object.path
            );
        }
    }
}
