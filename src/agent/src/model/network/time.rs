//! `Device.Time.`: the clock, and whom it is set by.
//!
//! Clients: 1 asks by NTP, 2 by NTS.

use contract::Text;
use contract::clock::{Source, State};
use contract::limit::TIME_SERVERS;
use contract::wanted::{Time, Wanted};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Object, alias, change, list, no, nothing, wanted, yes};
use crate::model::{count, moving, read, text};
use crate::world::{World, date};

/// Letters of a server's name. Source: `contract::wanted::Time`.
const NAME_MAX: usize = 63;
/// The row that asks by NTS.
const NTS: u32 = 2;

type Servers = heapless::Vec<Text<NAME_MAX>, TIME_SERVERS>;

fn servers<'t>(time: &'t Time, rows: &[u32]) -> &'t Servers {
    if rows.first() == Some(&NTS) { &time.nts } else { &time.server }
}

/// Those of a row, as a list.
fn say(wanted: &mut Wanted, rows: &[u32], value: &str) -> Result<(), Code> {
    let mut said = Servers::new();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let name = text(name, NAME_MAX)?;
        said.push(name.as_str().into()).map_err(|_| Code::RESOURCES_EXCEEDED)?;
    }
    *(if rows.first() == Some(&NTS) { &mut wanted.time.nts } else { &mut wanted.time.server }) = said;
    Ok(())
}

/// One of the servers by NTP.
fn server(world: &World, place: usize) -> Option<String> {
    Some(wanted(world)?.time.server.get(place).map(ToString::to_string).unwrap_or_default())
}

/// The same, to be said: an empty one is taken out.
fn say_one(wanted: &mut Wanted, place: usize, value: &str) -> Result<(), Code> {
    let name = text(value, NAME_MAX)?;
    let servers = &mut wanted.time.server;
    match (name.is_empty(), place < servers.len()) {
        (true, true) => {
            let _ = servers.remove(place);
        }
        (true, false) => {}
        (false, true) => {
            if let Some(server) = servers.get_mut(place) {
                *server = name.as_str().into();
            }
        }
        (false, false) => servers.push(name.as_str().into()).map_err(|_| Code::RESOURCES_EXCEEDED)?,
    }
    Ok(())
}

fn clock_status(world: &World) -> &'static str {
    match world.network.clock.as_ref().map(|clock| clock.state) {
        Some(State::Synchronized) => "Synchronized",
        Some(State::Built | State::Remembered) | None => "Unsynchronized",
    }
}

/// Sources of a row that are asked.
fn asked<'w>(world: &'w World, rows: &[u32]) -> impl Iterator<Item = &'w Source> {
    let sealed = rows.first() == Some(&NTS);
    world.network.sources.iter().filter(move |one| one.sealed == sealed)
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.Time.",
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, _| {
                let known = world.facts.now_s.is_some();
                Some(if known { "Synchronized" } else { clock_status(world) }.to_owned())
            }),
            change(
                "NTPServer1",
                T::String,
                |world, _| server(world, 0),
                |w, _, _, value| say_one(w, 0, value),
            ),
            change(
                "NTPServer2",
                T::String,
                |world, _| server(world, 1),
                |w, _, _, value| say_one(w, 1, value),
            ),
            change(
                "NTPServer3",
                T::String,
                |world, _| server(world, 2),
                |w, _, _, value| say_one(w, 2, value),
            ),
            change(
                "NTPServer4",
                T::String,
                |world, _| server(world, 3),
                |w, _, _, value| say_one(w, 3, value),
            ),
            moving("CurrentLocalTime", T::DateTime, |world, _| Some(date(world.facts.now_s))),
            // The gateway shows no local time to anybody.
            read("LocalTimeZone", T::String, |_, _| Some("UTC0".to_owned())),
            read("ClientNumberOfEntries", T::UnsignedInt, |_, _| count(2)),
            read("ServerNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
        ],
    ),
    Object::table(
        "Device.Time.Client.{i}.",
        &[&["Alias"]],
        |_, _| vec![1, NTS],
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| {
                let used = asked(world, rows).next().is_some();
                Some(if used { clock_status(world) } else { "Unsynchronized" }.to_owned())
            }),
            read("Alias", T::String, alias),
            read("Mode", T::String, |_, _| Some("Unicast".to_owned())),
            read("Version", T::UnsignedInt, |_, _| count(4)),
            change(
                "Servers",
                T::String,
                |world, rows| Some(list(servers(&wanted(world)?.time, rows))),
                |wanted, _, rows, value| say(wanted, rows, value),
            ),
            // The one that counts most, where it is one of this row's.
            read("ServerInUse", T::String, |world, rows| {
                let used =
                    world.network.clock.as_ref().map(|clock| clock.source.as_str()).unwrap_or_default();
                let its = asked(world, rows).any(|one| one.name.as_str() == used);
                Some(if its { used } else { "" }.to_owned())
            }),
            read("Interface", T::String, nothing),
            read("Peer", T::Boolean, no),
        ],
    ),
    Object::single(
        "Device.Time.Client.{i}.Authentication.",
        &[read("Enable", T::Boolean, |_, rows| Some((rows.first() == Some(&NTS)).to_string()))],
    ),
];
