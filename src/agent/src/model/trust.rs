//! `Device.LocalAgent.ControllerTrust.`, `Device.MQTT.`: what roles grant, and which brokers there are. The operator's file says both.

use usp::message::read::ValueType as T;
use usp::permission::{May, Rule};

use super::{Object, count, read};
use crate::backoff;
use crate::configuration::{Controller, Role};
use crate::world::World;
use mqtt::packet::Version;

fn place(row: Option<&u32>) -> Option<usize> {
    usize::try_from(row?.checked_sub(1)?).ok()
}

fn rows_of<T>(list: &[T]) -> Vec<u32> {
    (1..).zip(list).map(|(row, _)| row).collect()
}

fn role<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Role> {
    world.configuration.roles.get(place(rows.first())?)
}

fn rule<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Rule> {
    role(world, rows)?.rules.get(place(rows.get(1))?)
}

fn rights(world: &World, rows: &[u32], get: fn(&Rule) -> May) -> Option<String> {
    rule(world, rows).map(|rule| get(rule).text())
}

fn broker(world: &World, rows: &[u32], get: fn(&Controller) -> String) -> Option<String> {
    world.configuration.controllers.get(place(rows.first())?).map(get)
}

fn topics(world: &World, rows: &[u32]) -> Vec<u32> {
    let topic = broker(world, rows, |one| one.agent_topic.clone().unwrap_or_default());
    if topic.is_some_and(|topic| !topic.is_empty()) { vec![1] } else { Vec::new() }
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.LocalAgent.ControllerTrust.",
        &[
            read("UntrustedRole", T::String, |_, _| Some(String::new())),
            read("BannedRole", T::String, |_, _| Some(String::new())),
            read("TOFUAllowed", T::Boolean, |_, _| Some("false".to_owned())),
            read("RoleNumberOfEntries", T::UnsignedInt, |world, _| count(world.configuration.roles.len())),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| rows_of(&world.configuration.roles),
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Name", T::String, |world, rows| role(world, rows).map(|role| role.name.clone())),
            read("PermissionNumberOfEntries", T::UnsignedInt, |world, rows| {
                role(world, rows).and_then(|role| count(role.rules.len()))
            }),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.Permission.{i}.",
        &[&["Order"], &["Alias"]],
        |world, rows| role(world, rows).map(|role| rows_of(&role.rules)).unwrap_or_default(),
        &[
            read("Alias", T::String, |_, rows| rows.get(1).map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |world, rows| rule(world, rows).map(|rule| rule.enable.to_string())),
            read("Order", T::UnsignedInt, |world, rows| rule(world, rows).map(|rule| rule.order.to_string())),
            read("Targets", T::String, |world, rows| rule(world, rows).map(|rule| rule.targets.join(","))),
            read("Param", T::String, |world, rows| rights(world, rows, |rule| rule.param)),
            read("Obj", T::String, |world, rows| rights(world, rows, |rule| rule.object)),
            read("InstantiatedObj", T::String, |world, rows| rights(world, rows, |rule| rule.instance)),
            read("CommandEvent", T::String, |world, rows| rights(world, rows, |rule| rule.command_event)),
        ],
    ),
    Object::single(
        "Device.MQTT.",
        &[read("ClientNumberOfEntries", T::UnsignedInt, |world, _| {
            count(world.configuration.controllers.len())
        })],
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
        |world, _| rows_of(&world.configuration.controllers),
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
            read("BrokerAddress", T::String, |world, rows| broker(world, rows, |one| one.broker.clone())),
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
            read("KeepAliveTime", T::UnsignedInt, |world, rows| {
                broker(world, rows, |one| one.keep_alive_s.to_string())
            }),
            read("ConnectRetryTime", T::UnsignedInt, |_, _| Some(backoff::FIRST_S.to_string())),
            read("ConnectRetryIntervalMultiplier", T::UnsignedInt, |_, _| Some("2000".to_owned())),
            read("ConnectRetryMaxInterval", T::UnsignedInt, |_, _| Some(backoff::LAST_S.to_string())),
            read("SubscriptionNumberOfEntries", T::UnsignedInt, |world, rows| {
                count(topics(world, rows).len())
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
];
