//! How controllers are spoken to: `Device.MQTT.`, `Device.UnixDomainSockets.`, and what of `LocalAgent` is a transport's own. The operator's
//! file says it.
//!
//! A client of MQTT has the row of its controller, so a row that is left out is a controller that is spoken to otherwise.

use usp::Code;
use usp::message::read::{CommandType, ValueType as T};

use super::{Command, Object, Order, Parameter, Set, count, moving, number, read};
use crate::backoff;
use crate::configuration::transport::{Accepted, Broker, Transport, Url};
use crate::peer::Traffic;
use crate::settings::{Retry, Settings};
use crate::world::{World, date};
use mqtt::client::ANSWER_S;
use mqtt::counts::Counts;
use mqtt::packet::Version;

fn place(row: Option<&u32>) -> Option<usize> {
    usize::try_from(row?.checked_sub(1)?).ok()
}

fn transport<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Transport> {
    world.configuration.controllers.get(place(rows.first())?).map(|one| &one.transport)
}

fn brokers(world: &World, _: &[u32]) -> Vec<u32> {
    let all = (1..).zip(&world.configuration.controllers);
    all.filter(|(_, one)| matches!(one.transport, Transport::Mqtt(_))).map(|(row, _)| row).collect()
}

fn broker(world: &World, rows: &[u32], get: fn(&Broker) -> String) -> Option<String> {
    match transport(world, rows)? {
        Transport::Mqtt(broker) => Some(get(broker)),
        Transport::WebSocket(_) | Transport::Accepted(_) | Transport::Local(_) => None,
    }
}

/// A controller that we call.
fn called(world: &World, rows: &[u32], get: fn(&Url) -> String) -> Option<String> {
    match transport(world, rows)? {
        Transport::WebSocket(url) => Some(get(url)),
        Transport::Mqtt(_) | Transport::Accepted(_) | Transport::Local(_) => None,
    }
}

/// How a controller that we call is called again.
fn retry(world: &World, rows: &[u32], get: fn(Retry) -> u16) -> Option<String> {
    called(world, rows, |_| String::new())?;
    world.settings.controllers.get(place(rows.first())?).map(|said| get(said.web_retry).to_string())
}

/// It is called again otherwise.
fn change(
    world: &World,
    settings: &mut Settings,
    rows: &[u32],
    change: impl FnOnce(&mut Retry),
) -> Result<(), Code> {
    called(world, rows, |_| String::new()).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    let said = place(rows.first()).and_then(|place| settings.controllers.get_mut(place));
    said.map(|said| change(&mut said.web_retry)).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

/// A controller that calls us.
fn accepted(world: &World, rows: &[u32], get: fn(&Accepted, (u16, bool)) -> String) -> Option<String> {
    let door = world.configuration.websocket.map_or((0, false), |(address, tls)| (address.port(), tls));
    match transport(world, rows)? {
        Transport::Accepted(accepted) => Some(get(accepted, door)),
        Transport::Mqtt(_) | Transport::WebSocket(_) | Transport::Local(_) => None,
    }
}

/// A controller on the box.
fn local(world: &World, rows: &[u32], text: &str) -> Option<String> {
    matches!(transport(world, rows)?, Transport::Local(_)).then(|| text.to_owned())
}

/// What the client of a broker has counted; where it is a time, in milliseconds after boot.
fn counted(world: &World, rows: &[u32], get: fn(&Traffic) -> String) -> Option<String> {
    broker(world, rows, |_| String::new())?;
    world.links.get(place(rows.first())?).map(|link| get(&link.traffic))
}

fn when(world: &World, rows: &[u32], get: fn(&Counts) -> Option<u64>) -> Option<String> {
    broker(world, rows, |_| String::new())?;
    let at_ms = get(&world.links.get(place(rows.first())?)?.traffic.counts);
    let ago_s = at_ms.map(|at_ms| world.facts.uptime_s.saturating_sub(at_ms / 1000));
    let at_s = ago_s.and_then(|ago_s| world.facts.now_s?.checked_sub_unsigned(ago_s));
    Some(date(at_s))
}

fn topics(world: &World, rows: &[u32]) -> Vec<u32> {
    let topic = broker(world, rows, |one| one.agent_topic.clone().unwrap_or_default());
    if topic.is_some_and(|topic| !topic.is_empty()) { vec![1] } else { Vec::new() }
}

/// The one socket for controllers on the box.
const SOCKET: &str = "Device.UnixDomainSockets.UnixDomainSocket.1";

/// Below `Device.LocalAgent.`, behind its tables.
pub(super) const OF_AGENT: &[Object] = &[
    Object::single(
        "Device.LocalAgent.MTP.{i}.MQTT.",
        &[
            read("Reference", T::String, |world, rows| {
                let row = rows.first()?;
                broker(world, rows, |_| String::new()).map(|_| format!("Device.MQTT.Client.{row}"))
            }),
            read("ResponseTopicConfigured", T::String, |world, rows| {
                broker(world, rows, |one| one.agent_topic.clone().unwrap_or_default())
            }),
            read("ResponseTopicDiscovered", T::String, |world, rows| {
                broker(world, rows, |_| String::new())?;
                world.links.get(place(rows.first())?).map(|link| link.topic.clone())
            }),
            read("PublishQoS", T::UnsignedInt, |world, rows| broker(world, rows, |_| "1".to_owned())),
        ],
    ),
    // Where a controller calls us.
    Object::single(
        "Device.LocalAgent.MTP.{i}.WebSocket.",
        &[
            read("Port", T::UnsignedInt, |world, rows| {
                accepted(world, rows, |_, (port, _)| port.to_string())
            }),
            read("Path", T::String, |world, rows| accepted(world, rows, |one, _| one.path.clone())),
            read("EnableEncryption", T::Boolean, |world, rows| {
                accepted(world, rows, |_, (_, tls)| tls.to_string())
            }),
        ],
    ),
    Object::single(
        "Device.LocalAgent.MTP.{i}.UDS.",
        &[read("UnixDomainSocketRef", T::String, |world, rows| local(world, rows, SOCKET))],
    ),
];

/// Below `Device.LocalAgent.Controller.{i}.MTP.{i}.`.
pub(super) const OF_CONTROLLER: &[Object] = &[
    Object::single(
        "Device.LocalAgent.Controller.{i}.MTP.{i}.MQTT.",
        &[
            read("AgentMTPReference", T::String, |world, rows| {
                let row = rows.first()?;
                broker(world, rows, |_| String::new()).map(|_| format!("Device.LocalAgent.MTP.{row}"))
            }),
            read("Topic", T::String, |world, rows| broker(world, rows, |one| one.topic.clone())),
        ],
    ),
    Object::single(
        "Device.LocalAgent.Controller.{i}.MTP.{i}.WebSocket.",
        &[
            read("Host", T::String, |world, rows| called(world, rows, |one| one.host.clone())),
            read("Port", T::UnsignedInt, |world, rows| called(world, rows, |one| one.port.to_string())),
            read("Path", T::String, |world, rows| called(world, rows, |one| one.path.clone())),
            read("EnableEncryption", T::Boolean, |world, rows| {
                called(world, rows, |one| one.tls.to_string())
            }),
            read("IsEncrypted", T::Boolean, |world, rows| {
                let up = world.links.get(place(rows.first())?)?.up;
                called(world, rows, |one| one.tls.to_string())
                    .map(|tls| if up { tls } else { "false".to_owned() })
            }),
            read("KeepAliveInterval", T::UnsignedInt, |world, rows| {
                called(world, rows, |one| one.keep_alive_s.to_string())
            }),
            moving("CurrentRetryCount", T::UnsignedInt, |world, rows| {
                called(world, rows, |_| String::new())?;
                world.links.get(place(rows.first())?).map(|link| link.tries.to_string())
            }),
            Parameter {
                set: Some(Set::Own(|world, settings, rows, value| {
                    let value = number(value, 1, u16::MAX)?;
                    change(world, settings, rows, |retry| retry.minimum_s = value)
                })),
                ..read("SessionRetryMinimumWaitInterval", T::UnsignedInt, |world, rows| {
                    retry(world, rows, |retry| retry.minimum_s)
                })
            },
            Parameter {
                set: Some(Set::Own(|world, settings, rows, value| {
                    let value = number(value, 1000, u16::MAX)?;
                    change(world, settings, rows, |retry| retry.multiplier = value)
                })),
                ..read("SessionRetryIntervalMultiplier", T::UnsignedInt, |world, rows| {
                    retry(world, rows, |retry| retry.multiplier)
                })
            },
        ],
    ),
    Object::single(
        "Device.LocalAgent.Controller.{i}.MTP.{i}.UDS.",
        &[
            read("UnixDomainSocketRef", T::String, |world, rows| local(world, rows, SOCKET)),
            read("USPServiceRef", T::String, |world, rows| local(world, rows, "")),
        ],
    ),
];

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.MQTT.",
        &[read("ClientNumberOfEntries", T::UnsignedInt, |world, _| count(brokers(world, &[]).len()))],
    ),
    Object::single(
        "Device.MQTT.Capabilities.",
        &[
            read("ProtocolVersionsSupported", T::String, |_, _| Some("3.1.1,5.0".to_owned())),
            read("TransportProtocolSupported", T::String, |_, _| Some("TCP/IP,TLS".to_owned())),
        ],
    ),
    Object::table(
        "Device.MQTT.Client.{i}.",
        &[&["Name"], &["Alias"]],
        brokers,
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Name", T::String, |_, rows| rows.first().map(|row| format!("controller-{row}"))),
            read("Enable", T::Boolean, |world, rows| {
                world.settings.controllers.get(place(rows.first())?).map(|said| said.enable.to_string())
            }),
            read("Status", T::String, |world, rows| {
                let link = world.links.get(place(rows.first())?)?;
                Some(if link.up { "Connected" } else { "Error_BrokerUnreachable" }.to_owned())
            }),
            read("ProtocolVersion", T::String, |world, rows| {
                broker(world, rows, |one| match one.version {
                    Version::V5 => "5.0".to_owned(),
                    Version::V311 => "3.1.1".to_owned(),
                })
            }),
            read("BrokerAddress", T::String, |world, rows| broker(world, rows, |one| one.host.clone())),
            read("BrokerPort", T::UnsignedInt, |world, rows| broker(world, rows, |one| one.port.to_string())),
            read("TransportProtocol", T::String, |world, rows| {
                broker(world, rows, |one| if one.tls { "TLS" } else { "TCP/IP" }.to_owned())
            }),
            read("ClientID", T::String, |world, rows| {
                world.links.get(place(rows.first())?).map(|link| link.client.clone())
            }),
            read("Username", T::String, |world, rows| {
                broker(world, rows, |one| one.username.clone().unwrap_or_default())
            }),
            // Never told. Source: TR-181 ("when read, this parameter returns an empty string").
            read("Password", T::String, |_, _| Some(String::new())),
            read("CleanSession", T::Boolean, |_, _| Some("true".to_owned())),
            // Where answers go, as the broker has said with 5.0.
            read("ResponseInformation", T::String, |world, rows| {
                world.links.get(place(rows.first())?).map(|link| link.said.clone())
            }),
            read("KeepAliveTime", T::UnsignedInt, |world, rows| {
                broker(world, rows, |one| one.keep_alive_s.to_string())
            }),
            // With 3.1.1 and 5.0 nothing is sent twice on one connection: what is not acknowledged so long ends it.
            read("MessageRetryTime", T::UnsignedInt, |_, _| Some(ANSWER_S.to_string())),
            read("ConnectRetryTime", T::UnsignedInt, |_, _| Some(backoff::FIRST_S.to_string())),
            read("ConnectRetryIntervalMultiplier", T::UnsignedInt, |_, _| Some("2000".to_owned())),
            read("ConnectRetryMaxInterval", T::UnsignedInt, |world, _| {
                Some(world.configuration.retry_max_s.to_string())
            }),
            read("SubscriptionNumberOfEntries", T::UnsignedInt, |world, rows| {
                count(topics(world, rows).len())
            }),
        ],
    )
    .with(&[Command {
        name: "ForceReconnect",
        kind: CommandType::Sync,
        inputs: &[],
        outputs: &[],
        order: |_, rows, _| rows.first().map(|row| Order::Reconnect(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST),
    }]),
    // Over connections, since the agent's start or since the controller was enabled.
    Object::single(
        "Device.MQTT.Client.{i}.Stats.",
        &[
            moving("BrokerConnectionEstablished", T::DateTime, |world, rows| {
                when(world, rows, |counts| counts.connected_ms)
            }),
            moving("LastPublishMessageSent", T::DateTime, |world, rows| {
                when(world, rows, |counts| counts.publish_sent_ms)
            }),
            moving("LastPublishMessageReceived", T::DateTime, |world, rows| {
                when(world, rows, |counts| counts.publish_received_ms)
            }),
            moving("PublishSent", T::UnsignedLong, |world, rows| {
                counted(world, rows, |one| one.counts.publish_sent.to_string())
            }),
            moving("PublishReceived", T::UnsignedLong, |world, rows| {
                counted(world, rows, |one| one.counts.publish_received.to_string())
            }),
            moving("SubscribeSent", T::UnsignedLong, |world, rows| {
                counted(world, rows, |one| one.counts.subscribe_sent.to_string())
            }),
            // A topic is never given back before the connection ends.
            moving("UnSubscribeSent", T::UnsignedLong, |world, rows| {
                counted(world, rows, |_| "0".to_owned())
            }),
            moving("MQTTMessagesSent", T::UnsignedLong, |world, rows| {
                counted(world, rows, |one| one.counts.sent.to_string())
            }),
            moving("MQTTMessagesReceived", T::UnsignedLong, |world, rows| {
                counted(world, rows, |one| one.counts.received.to_string())
            }),
            moving("ConnectionErrors", T::UnsignedInt, |world, rows| {
                counted(world, rows, |one| one.connection_errors.to_string())
            }),
            moving("PublishErrors", T::UnsignedInt, |world, rows| {
                counted(world, rows, |one| one.counts.publish_errors.to_string())
            }),
        ],
    ),
    Object::table(
        "Device.MQTT.Client.{i}.Subscription.{i}.",
        &[&["Topic"]],
        topics,
        &[
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Status", T::String, |world, rows| {
                let link = world.links.get(place(rows.first())?)?;
                Some(if link.up { "Subscribed" } else { "Unsubscribed" }.to_owned())
            }),
            read("Topic", T::String, |world, rows| {
                broker(world, rows, |one| one.agent_topic.clone().unwrap_or_default())
            }),
            read("QoS", T::UnsignedInt, |_, _| Some("1".to_owned())),
        ],
    ),
    Object::single(
        "Device.UnixDomainSockets.",
        &[read("UnixDomainSocketNumberOfEntries", T::UnsignedInt, |_, _| count(1))],
    ),
    Object::table(
        "Device.UnixDomainSockets.UnixDomainSocket.{i}.",
        &[&["Alias"]],
        |_, _| vec![1],
        &[
            read("Alias", T::String, |_, _| Some("cpe-1".to_owned())),
            read("Mode", T::String, |_, _| Some("Listen".to_owned())),
            // In a service it is `/dev/usp`.
            read("Path", T::String, |_, _| Some(contract::wires::LOCAL.path.to_owned())),
        ],
    ),
];
