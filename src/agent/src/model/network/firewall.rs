//! `Device.NAT.`, `Device.Firewall.`: ports of the Internet play's address that lead into the home, and pinholes of IPv6.
//!
//! Both tables have what is wanted, and what hosts of the home have asked for by PCP; the first has ports that lead to services, too, as their
//! manifests say. Only of what is wanted anything is set here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::Name;
use contract::learn::Mapping;
use contract::limit::FORWARDS;
use contract::manifest::Protocol;
use contract::prefix::Prefix;
use contract::wanted::{Forward, Pinhole, Wanted};
use usp::Code;
use usp::message::read::{ObjectAccess, ValueType as T};

use super::{Grow, Object, address, alias, change, enabled, entries, interface, no, wanted, yes};
use crate::model::{boolean, count, moving, number, read, text};
use crate::network::{Places, Served, asked_key, served_key};
use crate::world::World;

/// Letters of a description. Source: `contract::wanted::Forward`.
const DESCRIPTION_MAX: usize = 48;
/// The Internet protocols' numbers. Source: the IANA registry "Protocol Numbers".
const TCP: &str = "6";
const UDP: &str = "17";

/// A row of either table.
enum Row<'w, W> {
    Wanted(&'w W),
    Asked(&'w Mapping, u32),
    Served(&'w Served),
}

impl<W> Row<'_, W> {
    /// One value of it, whichever it is.
    fn say(&self, wanted: impl Fn(&W) -> String, asked: impl Fn(&Mapping) -> String) -> String {
        match self {
            Self::Wanted(one) => wanted(one),
            Self::Asked(one, _) => asked(one),
            Self::Served(one) => asked(&one.mapping),
        }
    }
}

fn asked<'w>(world: &'w World, ipv4: bool, key: &str) -> Option<(&'w Mapping, u32)> {
    world.network.asked(ipv4).find(|(one, _)| asked_key(one) == key)
}

fn forward<'w>(world: &'w World, rows: &[u32]) -> Option<Row<'w, Forward>> {
    let key = world.network.rows.forwards.name(*rows.first()?)?;
    let named = wanted(world)?.forward.iter().find(|one| one.name.as_str() == key).map(Row::Wanted);
    let named = named.or_else(|| asked(world, true, key).map(|(one, left_s)| Row::Asked(one, left_s)));
    named.or_else(|| world.network.served.iter().find(|one| served_key(one) == key).map(Row::Served))
}

fn pinhole<'w>(world: &'w World, rows: &[u32]) -> Option<Row<'w, Pinhole>> {
    let key = world.network.rows.pinholes.name(*rows.first()?)?;
    let named = wanted(world)?.pinhole.iter().find(|one| one.name.as_str() == key).map(Row::Wanted);
    named.or_else(|| asked(world, false, key).map(|(one, left_s)| Row::Asked(one, left_s)))
}

fn lead<'w>(wanted: &'w mut Wanted, places: &Places, rows: &[u32]) -> Result<&'w mut Forward, Code> {
    let name = rows.first().and_then(|row| places.forwards.name(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    // What a host has asked for is the host's.
    wanted.forward.iter_mut().find(|one| one.name.as_str() == name).ok_or(Code::NOT_WRITEABLE)
}

fn open<'w>(wanted: &'w mut Wanted, places: &Places, rows: &[u32]) -> Result<&'w mut Pinhole, Code> {
    let name = rows.first().and_then(|row| places.pinholes.name(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    wanted.pinhole.iter_mut().find(|one| one.name.as_str() == name).ok_or(Code::NOT_WRITEABLE)
}

/// A name that no other row has.
fn fresh(taken: &[&str]) -> Result<Name, Code> {
    let mut names = (1..=FORWARDS.saturating_add(1)).map(|number| format!("usp-{number}"));
    let free = names.find(|name| !taken.contains(&name.as_str()));
    free.and_then(|name| Name::new(&name).ok()).ok_or(Code::RESOURCES_EXCEEDED)
}

const LEAD: Grow = Grow {
    add: |wanted, places, _| {
        let name = fresh(&wanted.forward.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())?;
        let row = places.forwards.add(&name);
        let new = Forward {
            enable: false,
            name,
            description: "".into(),
            protocol: Protocol::Tcp,
            port: 0,
            last: 0,
            to: Ipv4Addr::UNSPECIFIED,
            to_port: 0,
            from: None,
        };
        wanted.forward.push(new).map_err(|_| Code::RESOURCES_EXCEEDED)?;
        Ok(row)
    },
    delete: |wanted, places, rows| {
        let name = lead(wanted, places, rows)?.name.clone();
        wanted.forward.retain(|one| one.name != name);
        Ok(())
    },
};

const OPEN: Grow = Grow {
    add: |wanted, places, _| {
        let name = fresh(&wanted.pinhole.iter().map(|one| one.name.as_str()).collect::<Vec<_>>())?;
        let row = places.pinholes.add(&name);
        let new = Pinhole {
            enable: false,
            name,
            description: "".into(),
            protocol: Protocol::Tcp,
            port: 0,
            to: Ipv6Addr::UNSPECIFIED,
            from: None,
        };
        wanted.pinhole.push(new).map_err(|_| Code::RESOURCES_EXCEEDED)?;
        Ok(row)
    },
    delete: |wanted, places, rows| {
        let name = open(wanted, places, rows)?.name.clone();
        wanted.pinhole.retain(|one| one.name != name);
        Ok(())
    },
};

fn status(enable: bool) -> String {
    if enable { "Enabled" } else { "Disabled" }.to_owned()
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// A prefix of one family, or a single address; empty: from everywhere.
fn from(value: &str, ipv4: bool) -> Result<Option<Prefix>, Code> {
    if value.is_empty() {
        return Ok(None);
    }
    let prefix = match value.parse::<IpAddr>() {
        Ok(single) => Prefix::new(single, if single.is_ipv4() { 32 } else { 128 }),
        Err(_) => address(value)?,
    };
    if prefix.is_ipv4() == ipv4 { Ok(Some(prefix)) } else { Err(Code::INVALID_VALUE) }
}

/// One address is written without its length, as TR-181's `RemoteHost` is.
fn from_text(from: Option<Prefix>) -> String {
    from.map_or_else(String::new, |from| {
        let single = from.length() == if from.is_ipv4() { 32 } else { 128 };
        if single { from.first().to_string() } else { from.to_string() }
    })
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.NAT.",
        &[
            read("InterfaceSettingNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
            read("PortMappingNumberOfEntries", T::UnsignedInt, |world, _| {
                entries(&world.network.rows.forwards.all())
            }),
            read("MaxNumberOfPortMappings", T::UnsignedInt, |_, _| count(FORWARDS)),
        ],
    ),
    Object::table(
        "Device.NAT.InterfaceSetting.{i}.",
        &[&["Interface"], &["Alias"]],
        |world, _| if world.network.side(1).is_some() { vec![1] } else { Vec::new() },
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("Interface", T::String, |_, rows| rows.first().map(|row| interface(*row))),
        ],
    ),
    Object {
        access: ObjectAccess::AddDelete,
        grows: Some(LEAD),
        ..Object::table(
            "Device.NAT.PortMapping.{i}.",
            &[&["RemoteHost", "ExternalPort", "Protocol"], &["Alias"]],
            |world, _| world.network.rows.forwards.all(),
            FORWARD,
        )
    },
    Object::single(
        "Device.Firewall.",
        &[
            read("Enable", T::Boolean, yes),
            // The rules are the house's own (docs/firewall.md), and these tables.
            read("Config", T::String, |_, _| Some("High".to_owned())),
            read("Type", T::String, |_, _| Some("Stateful".to_owned())),
            read("Version", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
            read("PinholeNumberOfEntries", T::UnsignedInt, |world, _| {
                entries(&world.network.rows.pinholes.all())
            }),
        ],
    ),
    Object {
        access: ObjectAccess::AddDelete,
        grows: Some(OPEN),
        ..Object::table(
            "Device.Firewall.Pinhole.{i}.",
            &[&["Alias"]],
            |world, _| world.network.rows.pinholes.all(),
            PINHOLE,
        )
    },
];

const FORWARD: &[super::Parameter] = &[
    change(
        "Enable",
        T::Boolean,
        |world, rows| Some(forward(world, rows)?.say(|one| one.enable.to_string(), |_| "true".to_owned())),
        |wanted, places, rows, value| {
            let enable = boolean(value)?;
            lead(wanted, places, rows).map(|one| one.enable = enable)
        },
    ),
    read("Status", T::String, |world, rows| {
        Some(match forward(world, rows)? {
            Row::Wanted(one) => status(one.enable),
            Row::Asked(..) => status(true),
            Row::Served(one) => status(one.up),
        })
    }),
    read("Alias", T::String, alias),
    read("Origin", T::String, |world, rows| {
        let word = match forward(world, rows)? {
            Row::Wanted(_) => "Controller",
            Row::Asked(..) => "User",
            Row::Served(_) => "System",
        };
        Some(word.to_owned())
    }),
    read("AllInterfaces", T::Boolean, no),
    read("Interface", T::String, |_, _| Some(interface(1))),
    // 0: for ever.
    moving("RemainingLeaseTime", T::UnsignedInt, |world, rows| {
        Some(match forward(world, rows)? {
            Row::Wanted(_) | Row::Served(_) => "0".to_owned(),
            Row::Asked(_, left_s) => left_s.to_string(),
        })
    }),
    change(
        "RemoteHost",
        T::String,
        |world, rows| Some(forward(world, rows)?.say(|one| from_text(one.from), |_| String::new())),
        |wanted, places, rows, value| {
            let said = from(value, true)?;
            lead(wanted, places, rows).map(|one| one.from = said)
        },
    ),
    change(
        "ExternalPort",
        T::UnsignedInt,
        |world, rows| {
            Some(forward(world, rows)?.say(|one| one.port.to_string(), |one| one.external_port.to_string()))
        },
        |wanted, places, rows, value| {
            let port = number(value, 0, u16::MAX)?;
            lead(wanted, places, rows).map(|one| one.port = port)
        },
    ),
    change(
        "ExternalPortEndRange",
        T::UnsignedInt,
        |world, rows| Some(forward(world, rows)?.say(|one| one.last.to_string(), |_| "0".to_owned())),
        |wanted, places, rows, value| {
            let last = number(value, 0, u16::MAX)?;
            lead(wanted, places, rows).map(|one| one.last = last)
        },
    ),
    change(
        "InternalPort",
        T::UnsignedInt,
        |world, rows| {
            Some(forward(world, rows)?.say(|one| one.to_port.to_string(), |one| one.port.to_string()))
        },
        |wanted, places, rows, value| {
            let port = number(value, 0, u16::MAX)?;
            lead(wanted, places, rows).map(|one| one.to_port = port)
        },
    ),
    change(
        "Protocol",
        T::String,
        |world, rows| {
            let row = forward(world, rows)?;
            Some(row.say(|one| word(one.protocol).to_owned(), |one| word(one.protocol).to_owned()))
        },
        |wanted, places, rows, value| {
            let protocol = match value {
                "TCP" => Protocol::Tcp,
                "UDP" => Protocol::Udp,
                _ => return Err(Code::INVALID_VALUE),
            };
            lead(wanted, places, rows).map(|one| one.protocol = protocol)
        },
    ),
    change(
        "InternalClient",
        T::String,
        |world, rows| {
            let to = |one: &Forward| {
                if one.to.is_unspecified() { String::new() } else { one.to.to_string() }
            };
            let host = |one: &Mapping| {
                if one.host.is_unspecified() { String::new() } else { one.host.to_string() }
            };
            Some(forward(world, rows)?.say(to, host))
        },
        |wanted, places, rows, value| {
            let to = if value.is_empty() { Ipv4Addr::UNSPECIFIED } else { address(value)? };
            lead(wanted, places, rows).map(|one| one.to = to)
        },
    ),
    change(
        "Description",
        T::String,
        |world, rows| {
            Some(match forward(world, rows)? {
                Row::Wanted(one) => one.description.to_string(),
                Row::Asked(..) => "asked for by PCP".to_owned(),
                Row::Served(one) => format!("leads to the service {}", one.service),
            })
        },
        |wanted, places, rows, value| {
            let said = text(value, DESCRIPTION_MAX)?;
            lead(wanted, places, rows).map(|one| one.description = said.as_str().into())
        },
    ),
];

const PINHOLE: &[super::Parameter] = &[
    change(
        "Enable",
        T::Boolean,
        |world, rows| Some(pinhole(world, rows)?.say(|one| one.enable.to_string(), |_| "true".to_owned())),
        |wanted, places, rows, value| {
            let enable = boolean(value)?;
            open(wanted, places, rows).map(|one| one.enable = enable)
        },
    ),
    read("Status", T::String, |world, rows| {
        Some(pinhole(world, rows)?.say(|one| status(one.enable), |_| status(true)))
    }),
    read("Alias", T::String, alias),
    read("Origin", T::String, |world, rows| {
        Some(pinhole(world, rows)?.say(|_| "Controller".to_owned(), |_| "User".to_owned()))
    }),
    change(
        "Description",
        T::String,
        |world, rows| {
            Some(
                pinhole(world, rows)?
                    .say(|one| one.description.to_string(), |_| "asked for by PCP".to_owned()),
            )
        },
        |wanted, places, rows, value| {
            let said = text(value, DESCRIPTION_MAX)?;
            open(wanted, places, rows).map(|one| one.description = said.as_str().into())
        },
    ),
    read("Interface", T::String, |_, _| Some(interface(1))),
    read("IPVersion", T::Int, |_, _| Some("6".to_owned())),
    // The interface identifier: it stays when the prefix changes.
    change(
        "DestIP",
        T::String,
        |world, rows| {
            let to = |one: &Pinhole| {
                if one.to.is_unspecified() { String::new() } else { one.to.to_string() }
            };
            Some(pinhole(world, rows)?.say(to, |one| one.host.to_string()))
        },
        |wanted, places, rows, value| {
            let whole: Ipv6Addr = if value.is_empty() { Ipv6Addr::UNSPECIFIED } else { address(value)? };
            let to = Ipv6Addr::from_bits(whole.to_bits() & u128::from(u64::MAX));
            open(wanted, places, rows).map(|one| one.to = to)
        },
    ),
    change(
        "DestPort",
        T::Int,
        |world, rows| Some(pinhole(world, rows)?.say(|one| one.port.to_string(), |one| one.port.to_string())),
        |wanted, places, rows, value| {
            let port = number(value, 0, u16::MAX)?;
            open(wanted, places, rows).map(|one| one.port = port)
        },
    ),
    change(
        "Protocol",
        T::String,
        |world, rows| {
            let number = |protocol| match protocol {
                Protocol::Tcp => TCP.to_owned(),
                Protocol::Udp => UDP.to_owned(),
            };
            Some(pinhole(world, rows)?.say(|one| number(one.protocol), |one| number(one.protocol)))
        },
        |wanted, places, rows, value| {
            let protocol = match value {
                TCP => Protocol::Tcp,
                UDP => Protocol::Udp,
                _ => return Err(Code::INVALID_VALUE),
            };
            open(wanted, places, rows).map(|one| one.protocol = protocol)
        },
    ),
    change(
        "SourcePrefixes",
        T::String,
        |world, rows| {
            let whole = |from: Option<Prefix>| from.map_or_else(String::new, |from| from.to_string());
            Some(pinhole(world, rows)?.say(|one| whole(one.from), |_| String::new()))
        },
        |wanted, places, rows, value| {
            let said = from(value, false)?;
            open(wanted, places, rows).map(|one| one.from = said)
        },
    ),
    moving("RemainingLeaseTime", T::UnsignedInt, |world, rows| {
        Some(match pinhole(world, rows)? {
            Row::Wanted(_) | Row::Served(_) => "0".to_owned(),
            Row::Asked(_, left_s) => left_s.to_string(),
        })
    }),
];
