//! `Device.DNS.`: whom the gateway asks for names, as it has learned it; and those whom it is told to ask.

use std::net::{IpAddr, Ipv4Addr};

use contract::leases::Answer;
use contract::wanted::{Upstream, Wanted};
use usp::Code;
use usp::message::read::{ObjectAccess, ValueType as T};

use super::{Grow, Object, address, alias, change, enabled, entries, interface, wanted, yes};
use crate::model::{boolean, read, text};
use crate::network::{Places, upstream_key};
use crate::world::World;

/// Letters of a server's name. Source: `contract::wanted::Upstream`.
const NAME_MAX: usize = 63;

/// Servers that the Internet play has told: by which way, and their addresses.
fn learned(world: &World) -> Vec<(&'static str, IpAddr)> {
    let Some(side) = world.network.side(1) else { return Vec::new() };
    let (frames, link) = (side.frame_link(), side.link());
    let mut servers = Vec::new();
    for answer in &world.network.leases {
        match answer {
            Answer::Client { link, lease: Some(lease), .. } if *link == frames => {
                servers.extend(lease.name_servers.iter().map(|one| ("DHCPv4", IpAddr::from(*one))));
            }
            Answer::Session { link, session: Some(session), .. } if *link == frames => {
                servers.extend(session.name_servers.iter().map(|one| ("IPCP", IpAddr::from(*one))));
            }
            Answer::Ipv6 { known, .. } if known.link == link => {
                servers.extend(known.name_servers.iter().map(|one| ("DHCPv6", IpAddr::from(*one))));
            }
            Answer::Client { .. }
            | Answer::Session { .. }
            | Answer::Ipv6 { .. }
            | Answer::Given { .. }
            | Answer::Kept { .. }
            | Answer::Mapping { .. }
            | Answer::Told { .. }
            | Answer::Given6 { .. }
            | Answer::Done => {}
        }
    }
    if let Some(fixed) = side.access.and_then(|access| access.fixed.as_ref()) {
        servers.extend(fixed.name_servers.iter().map(|one| ("Static", IpAddr::from(*one))));
    }
    servers
}

fn servers(world: &World, _: &[u32]) -> Vec<u32> {
    (1..).zip(learned(world)).map(|(row, _)| row).collect()
}

fn server(world: &World, rows: &[u32]) -> Option<(&'static str, IpAddr)> {
    learned(world).get(usize::try_from(rows.first()?.checked_sub(1)?).ok()?).copied()
}

fn upstream<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Upstream> {
    let key = world.network.rows.upstreams.name(*rows.first()?)?;
    wanted(world)?.dns.upstream.iter().find(|one| upstream_key(one) == key)
}

fn ask<'w>(wanted: &'w mut Wanted, places: &Places, rows: &[u32]) -> Result<&'w mut Upstream, Code> {
    let key = rows.first().and_then(|row| places.upstreams.name(*row));
    let found = wanted.dns.upstream.iter_mut().find(|one| Some(upstream_key(one).as_str()) == key);
    found.ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

const ASK: Grow = Grow {
    add: |wanted, places, _| {
        let address = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let new = Upstream { enable: false, address, port: 0, tls: "".into() };
        let key = upstream_key(&new);
        if wanted.dns.upstream.iter().any(|one| upstream_key(one) == key) {
            return Err(Code::DUPLICATE_KEY);
        }
        wanted.dns.upstream.push(new).map_err(|_| Code::RESOURCES_EXCEEDED)?;
        Ok(places.upstreams.add(&key))
    },
    delete: |wanted, places, rows| {
        let key = upstream_key(ask(wanted, places, rows)?);
        wanted.dns.upstream.retain(|one| upstream_key(one) != key);
        Ok(())
    },
};

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.DNS.",
        &[read("SupportedRecordTypes", T::String, |_, _| Some("A,AAAA,PTR".to_owned()))],
    ),
    Object::single(
        "Device.DNS.Client.",
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("ServerNumberOfEntries", T::UnsignedInt, |world, _| entries(&servers(world, &[]))),
        ],
    ),
    Object::table(
        "Device.DNS.Client.Server.{i}.",
        &[&["DNSServer"], &["Alias"]],
        servers,
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("Alias", T::String, alias),
            read("DNSServer", T::String, |world, rows| {
                server(world, rows).map(|(_, address)| address.to_string())
            }),
            read("Interface", T::String, |_, _| Some(interface(1))),
            read("Type", T::String, |world, rows| server(world, rows).map(|(way, _)| way.to_owned())),
        ],
    ),
    Object::single(
        "Device.DNS.Relay.",
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, enabled),
            read("ForwardNumberOfEntries", T::UnsignedInt, |world, _| {
                entries(&world.network.rows.upstreams.all())
            }),
        ],
    ),
    Object {
        access: ObjectAccess::AddDelete,
        grows: Some(ASK),
        ..Object::table(
            "Device.DNS.Relay.Forwarding.{i}.",
            &[&["DNSServer"], &["Alias"]],
            |world, _| world.network.rows.upstreams.all(),
            &[
                change(
                    "Enable",
                    T::Boolean,
                    |world, rows| upstream(world, rows).map(|one| one.enable.to_string()),
                    |wanted, places, rows, value| {
                        let enable = boolean(value)?;
                        ask(wanted, places, rows).map(|one| one.enable = enable)
                    },
                ),
                read("Status", T::String, |world, rows| {
                    let on = upstream(world, rows)?.enable;
                    Some(if on { "Enabled" } else { "Disabled" }.to_owned())
                }),
                read("Alias", T::String, alias),
                change(
                    "DNSServer",
                    T::String,
                    |world, rows| upstream(world, rows).map(|one| one.address.to_string()),
                    |wanted, places, rows, value| {
                        let said = address(value)?;
                        let server = ask(wanted, places, rows)?;
                        server.address = said;
                        let row = rows.first().copied().unwrap_or(0);
                        let alone = places.upstreams.rename(row, &upstream_key(server));
                        if alone { Ok(()) } else { Err(Code::DUPLICATE_KEY) }
                    },
                ),
                read("Interface", T::String, |_, _| Some(interface(1))),
                read("Type", T::String, |_, _| Some("Static".to_owned())),
                // The name that its certificate bears; empty: it is asked without TLS.
                change(
                    "X_SHG_TLSName",
                    T::String,
                    |world, rows| upstream(world, rows).map(|one| one.tls.to_string()),
                    |wanted, places, rows, value| {
                        let said = text(value, NAME_MAX)?;
                        ask(wanted, places, rows).map(|one| one.tls = said.as_str().into())
                    },
                ),
            ],
        )
    },
];
