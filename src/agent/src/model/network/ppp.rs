//! `Device.PPP.`: sessions of plays by PPP over Ethernet.
//!
//! Source: RFC 1661, RFC 2516.

use contract::Text;
use contract::learn::Session;
use contract::leases::Answer;
use contract::wanted::access::Pppoe;
use contract::wanted::{WanIpv4, Wanted};
use usp::Code;
use usp::message::read::ValueType as T;

use super::{Object, alias, change, entries, list, no, side, sides, stats, status, yes};
use crate::model::{read, text};
use crate::network::{Link, Side};
use crate::world::World;

/// Letters of a name, and of a secret. Source: `contract::wanted::access::Pppoe`.
const WORD_MAX: usize = 64;

fn is_session(side: &Side<'_>) -> bool {
    side.access.is_some_and(|access| access.ipv4 == WanIpv4::Pppoe)
}

fn wanted_session<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Pppoe> {
    side(world, rows)?.access?.pppoe.as_ref()
}

fn link<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Link> {
    world.network.link(&side(world, rows)?.link())
}

/// What `lease` says of it: its state, the session, why the last one ended.
fn told<'w>(world: &'w World, rows: &[u32]) -> Option<(&'w str, Option<&'w Session>, &'w str)> {
    let frames = side(world, rows)?.frame_link();
    world.network.leases.iter().find_map(|answer| {
        let Answer::Session { link, state, session, reason, .. } = answer else { return None };
        (*link == frames).then_some((state.as_str(), session.as_ref(), reason.as_str()))
    })
}

fn session<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Session> {
    told(world, rows)?.1
}

fn of_session(world: &World, rows: &[u32], get: fn(&Session) -> String) -> Option<String> {
    Some(session(world, rows).map(get).unwrap_or_default())
}

fn say<'w>(wanted: &'w mut Wanted, rows: &[u32]) -> Result<&'w mut Pppoe, Code> {
    super::ip::access(wanted, rows)?.pppoe.as_mut().ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn word(value: &str) -> Result<Text<64>, Code> {
    text(value, WORD_MAX).map(|said| said.as_str().into())
}

fn identifier(number: u64) -> String {
    std::net::Ipv6Addr::from_bits(u128::from(number)).to_string()
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.PPP.",
        &[
            read("InterfaceNumberOfEntries", T::UnsignedInt, |world, _| entries(&sides(world, is_session))),
            read("SupportedNCPs", T::String, |_, _| Some("IPCP,IPv6CP".to_owned())),
        ],
    ),
    Object::table(
        "Device.PPP.Interface.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| sides(world, is_session),
        &[
            read("Enable", T::Boolean, yes),
            read("Status", T::String, |world, rows| status(link(world, rows))),
            read("Alias", T::String, alias),
            read("Name", T::String, |world, rows| Some(side(world, rows)?.link().to_string())),
            read("LowerLayers", T::String, |world, rows| {
                super::ethernet::beneath(world, *rows.first()?).ok()
            }),
            read("ConnectionStatus", T::String, |world, rows| {
                let state = told(world, rows).map_or("", |(state, _, _)| state);
                let word = match state {
                    "UP" => "Connected",
                    "SIGNING IN" => "Authenticating",
                    "REQUESTING" | "LINKING" | "ADDRESSING" | "SEARCHING" => "Connecting",
                    "" => "Unconfigured",
                    _ => "Disconnected",
                };
                Some(word.to_owned())
            }),
            // Why, in words of the session's own.
            read("X_SHG_LastReason", T::String, |world, rows| {
                Some(told(world, rows).map_or("", |(_, _, reason)| reason).to_owned())
            }),
            change(
                "Username",
                T::String,
                |world, rows| wanted_session(world, rows).map(|one| one.user.to_string()),
                |wanted, _, rows, value| {
                    let said = word(value)?;
                    say(wanted, rows).map(|session| session.user = said)
                },
            ),
            // Never told. Source: TR-181 ("when read, this parameter returns an empty string").
            super::hidden("Password", |wanted, _, rows, value| {
                let said = word(value)?;
                say(wanted, rows).map(|session| session.password = said)
            }),
            read("ConnectionTrigger", T::String, |_, _| Some("AlwaysOn".to_owned())),
            read("CurrentMRUSize", T::UnsignedInt, |world, rows| {
                Some(session(world, rows).map_or(0, |session| session.mtu).to_string())
            }),
            read("IPCPEnable", T::Boolean, yes),
            read("IPv6CPEnable", T::Boolean, |world, rows| {
                let ipv6 = side(world, rows)?.access?.ipv6;
                Some((ipv6 != contract::wanted::WanIpv6::None).to_string())
            }),
        ],
    ),
    Object::single(
        "Device.PPP.Interface.{i}.PPPoE.",
        &[
            change(
                "ACName",
                T::String,
                |world, rows| wanted_session(world, rows).map(|one| one.concentrator.to_string()),
                |wanted, _, rows, value| {
                    let said = word(value)?;
                    say(wanted, rows).map(|session| session.concentrator = said)
                },
            ),
            change(
                "ServiceName",
                T::String,
                |world, rows| wanted_session(world, rows).map(|one| one.service.to_string()),
                |wanted, _, rows, value| {
                    let said = word(value)?;
                    say(wanted, rows).map(|session| session.service = said)
                },
            ),
        ],
    ),
    Object::single(
        "Device.PPP.Interface.{i}.IPCP.",
        &[
            read("LocalIPAddress", T::String, |world, rows| {
                of_session(world, rows, |session| session.address.to_string())
            }),
            read("RemoteIPAddress", T::String, |world, rows| {
                of_session(world, rows, |session| session.peer.to_string())
            }),
            read("DNSServers", T::String, |world, rows| {
                of_session(world, rows, |session| list(&session.name_servers))
            }),
            read("PassthroughEnable", T::Boolean, no),
        ],
    ),
    Object::single(
        "Device.PPP.Interface.{i}.IPv6CP.",
        &[
            read("LocalInterfaceIdentifier", T::String, |world, rows| {
                of_session(world, rows, |session| identifier(session.identifier))
            }),
            read("RemoteInterfaceIdentifier", T::String, |world, rows| {
                of_session(world, rows, |session| identifier(session.peer_identifier))
            }),
        ],
    ),
    stats!("Device.PPP.Interface.{i}.Stats.", link),
];
