//! The operator's word: which controllers this gateway obeys, by which ways, and what they may do.
//!
//! In:  `/etc/shg/agent.toml` of the image, or `/data/state/agent.toml` in its place. Out: a [`Configuration`], checked.
//!
//! ```toml
//! [[controller]]
//! endpoint = "os::00D09E-controller"
//! broker = "mqtt.isp.example"      # a name or an address
//! port = 8883
//! tls = true                       # false only with in_the_clear = true: all is read, and may be changed, on the way
//! mqtt = "5"                       # or "3.1.1"
//! topic = "/usp/controller"        # where the controller listens
//! agent_topic = "/usp/agent/1"     # where we listen; left out: the broker has to say
//! username = "gateway"
//! password = "…"
//! role = "full"                    # full, operate, read; or one of [[role]]
//!
//! [[controller]]
//! endpoint = "self::cloud"
//! url = "wss://usp.isp.example/usp" # WebSocket: we call
//!
//! [[controller]]
//! endpoint = "self::home"
//! accept = "/usp"                  # WebSocket: it calls, with username and password
//!
//! [[controller]]
//! endpoint = "self::app"
//! local = "hello"                  # it is on the box: root, or a service
//!
//! [discovery]                      # whom a DHCP server names, or DNS, is a controller, too
//! role = "operate"
//! domain = "isp.example"           # where DNS is asked; left out: nowhere, unless a DHCP server says
//!
//! [websocket]
//! listen = "192.168.1.1:8088"
//! tls = true                       # false only with in_the_clear = true
//!
//! [[role]]
//! name = "support"
//! rules = [{ order = 1, targets = ["Device.DeviceInfo."], rights = "r--n" }]
//!
//! [[challenge]]                    # configuration/challenge.rs
//!
//! [[credential]]                   # configuration/credential.rs
//! ```
//!
//! Not here: what controllers change themselves (`settings.rs`).

pub mod challenge;
pub mod credential;
pub mod transport;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use usp::permission::{May, Rule};

use crate::backoff;
use crate::discovery::dns::Name;
use challenge::{Challenge, ChallengeText};
use credential::{Credential, CredentialText};
use transport::Transport;

/// The image's.
pub const SHIPPED: &str = "/etc/shg/agent.toml";
/// The operator's, on the data disk.
pub const GIVEN: &str = "/data/state/agent.toml";
/// What is read of a file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// For how long a change of the network is on trial where the file does not say it, in seconds: a dead connection is noticed after 90, then
/// a broker is tried again within 60.
const CONFIRM_WITHIN_S: u32 = 180;
/// What it may say. Source: the longest, `network`'s own limit.
const CONFIRM_S: std::ops::RangeInclusive<u32> = 10..=86_400;
/// What the longest wait for a connection may be, in seconds. Source: the longest of TR-369's (R-WS.19).
const RETRY_S: std::ops::RangeInclusive<u32> = 10..=5120;
/// Controllers.
pub const CONTROLLERS_MAX: usize = 8;
/// Roles of the operator's own.
const ROLES_MAX: usize = 16;
/// The same with ours.
pub const ROLES_ALL_MAX: usize = ROLES_MAX + 3;
/// Rules of one role, and targets of one rule.
const RULES_MAX: usize = 32;
/// Letters of a text.
const TEXT_MAX: usize = 256;

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It is no TOML, or has words that are none.
    Text(String),
    /// A value that cannot be.
    Value(&'static str, String),
    /// More than there may be.
    Many(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(words) => write!(f, "agent.toml: {words}"),
            Self::Value(key, value) => write!(f, "agent.toml: {key}: {value} is none"),
            Self::Many(what) => write!(f, "agent.toml: too many {what}"),
        }
    }
}

impl std::error::Error for Error {}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Who is obeyed.
    pub controllers: Vec<Controller>,
    /// What that means: ours and the operator's.
    pub roles: Vec<Role>,
    /// For how long a change of the network is on trial, in seconds.
    pub confirm_within_s: u32,
    /// The longest wait before a controller or its broker is tried again, in seconds.
    pub retry_max_s: u32,
    /// Where controllers call by WebSocket, and whether by TLS.
    pub websocket: Option<(SocketAddr, bool)>,
    /// A controller that nobody has configured is taken.
    pub discovery: Option<Discovery>,
    /// Who knows a word has a role.
    pub challenges: Vec<Challenge>,
    /// Whose signature is for what. None: anchors alone count, and brokers that are named here.
    pub credentials: Arc<[Credential]>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            controllers: Vec::new(),
            roles: Vec::new(),
            confirm_within_s: CONFIRM_WITHIN_S,
            retry_max_s: backoff::LAST_S,
            websocket: None,
            discovery: None,
            challenges: Vec::new(),
            credentials: Arc::default(),
        }
    }
}

/// What a controller that nobody has configured may do, and where one is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Which of the roles, by its place.
    pub role: usize,
    /// The domain in which DNS knows it, where a DHCP server names nobody; empty: none. A name that a DHCP server gives in place of a URL
    /// goes before it.
    pub domain: String,
}

/// A controller, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its endpoint id.
    pub endpoint: String,
    /// The way to it.
    pub transport: Transport,
    /// Which of the roles, by its place.
    pub role: usize,
    /// End-to-end sessions are allowed.
    pub session: bool,
    /// It is not of the operator's file: what else was said of it.
    pub discovered: Option<Discovered>,
}

/// What a DHCP server says of a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// What it wants to be told in return.
    pub provisioning_code: String,
    /// How long a notification waits before it is sent again, in seconds.
    pub retry_minimum_s: Option<u16>,
    /// By how much that grows, in thousandths.
    pub retry_multiplier: Option<u16>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// What it grants.
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    controller: Vec<ControllerText>,
    #[serde(default)]
    role: Vec<RoleText>,
    confirm_within_s: Option<u32>,
    retry_max_s: Option<u32>,
    websocket: Option<WebSocketText>,
    discovery: Option<DiscoveryText>,
    #[serde(default)]
    challenge: Vec<ChallengeText>,
    #[serde(default)]
    credential: Vec<CredentialText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscoveryText {
    role: Option<String>,
    domain: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebSocketText {
    listen: String,
    tls: Option<bool>,
    in_the_clear: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ControllerText {
    endpoint: String,
    broker: Option<String>,
    url: Option<String>,
    accept: Option<String>,
    local: Option<String>,
    port: Option<u16>,
    tls: Option<bool>,
    in_the_clear: Option<bool>,
    mqtt: Option<String>,
    topic: Option<String>,
    agent_topic: Option<String>,
    username: Option<String>,
    password: Option<String>,
    keep_alive_s: Option<u16>,
    role: Option<String>,
    session: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleText {
    name: String,
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    order: u32,
    targets: Vec<String>,
    /// On everything that has no word of its own.
    rights: String,
    param: Option<String>,
    object: Option<String>,
    instance: Option<String>,
    command_event: Option<String>,
}

/// Roles that are always there. What makes a controller a controller (brokers, roles) none of them changes.
fn ours() -> Vec<Role> {
    let read = May { read: true, notify: true, ..May::default() };
    let subscriptions = Rule::same(5, "Device.LocalAgent.Subscription.", May::ALL);
    let role = |name: &str, rules| Role { name: name.to_owned(), rules };
    let operate = Rule { command_event: May { execute: true, ..read }, ..Rule::same(1, "Device.", read) };
    // Who the gateway says it is: to be asked, not to be changed.
    let identity = Rule::same(6, "Device.Security.", read);
    vec![
        role("full", vec![Rule::same(1, "Device.", May::ALL)]),
        role("operate", vec![operate, subscriptions.clone(), identity]),
        role("read", vec![Rule::same(1, "Device.", read), subscriptions]),
    ]
}

/// Reads the operator's word, or the image's. None is no error: then nobody is obeyed.
///
/// # Errors
/// [`Error`]: nobody is obeyed either, and it is said why.
pub fn read(paths: &[&Path]) -> Result<Configuration, Error> {
    for path in paths {
        let Ok(file) = File::open(path) else { continue };
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| Error::Text(error.to_string()))?;
        return parse(&text);
    }
    parse("")
}

/// Reads a text.
///
/// # Errors
/// [`Error`].
pub fn parse(text: &str) -> Result<Configuration, Error> {
    let text: Text = toml::from_str(text).map_err(|error| Error::Text(error.to_string()))?;
    if text.controller.len() > CONTROLLERS_MAX {
        return Err(Error::Many("controllers"));
    }
    if text.role.len() > ROLES_MAX {
        return Err(Error::Many("roles"));
    }
    let confirm_within_s = text.confirm_within_s.unwrap_or(CONFIRM_WITHIN_S);
    if !CONFIRM_S.contains(&confirm_within_s) {
        return Err(Error::Value("confirm_within_s", confirm_within_s.to_string()));
    }
    let retry_max_s = text.retry_max_s.unwrap_or(backoff::LAST_S);
    if !RETRY_S.contains(&retry_max_s) {
        return Err(Error::Value("retry_max_s", retry_max_s.to_string()));
    }
    let mut roles = ours();
    for one in text.role {
        roles.push(role(one)?);
    }
    let mut controllers: Vec<Controller> = Vec::new();
    for one in text.controller {
        let controller = controller(one, &roles)?;
        if controllers.iter().any(|other| other.endpoint == controller.endpoint) {
            return Err(Error::Value("endpoint (it is there twice)", controller.endpoint));
        }
        controllers.push(controller);
    }
    let discovery = text.discovery.map(|one| discovery(one, &roles)).transpose()?;
    let websocket = text.websocket.map(door).transpose()?;
    let challenges = challenge::challenges(text.challenge, &roles)?;
    let credentials: Arc<[Credential]> = credential::credentials(text.credential, &roles)?.into();
    if let Some(one) = controllers.iter().find(|one| !can_prove(one, websocket, &credentials)) {
        let key = "username and password (or [[credential]] and tls: who calls has to prove who it is)";
        return Err(Error::Value(key, one.endpoint.clone()));
    }
    Ok(Configuration {
        controllers,
        roles,
        confirm_within_s,
        retry_max_s,
        websocket,
        discovery,
        challenges,
        credentials,
    })
}

/// Where controllers call, and whether by TLS.
fn door(text: WebSocketText) -> Result<(SocketAddr, bool), Error> {
    let address = text
        .listen
        .parse()
        .map_err(|_| Error::Value("listen (an address and a port)", text.listen.clone()))?;
    let tls = text.tls.unwrap_or(true);
    transport::protected(tls, text.in_the_clear, &text.listen)?;
    Ok((address, tls))
}

/// Who calls without a name and a password has a certificate: there is TLS to show it by, and somebody whose signature counts.
fn can_prove(one: &Controller, door: Option<(SocketAddr, bool)>, credentials: &[Credential]) -> bool {
    match &one.transport {
        Transport::Accepted(one) if one.credentials.is_none() => {
            door.is_none_or(|(_, tls)| tls) && !credentials.is_empty()
        }
        Transport::Accepted(_) | Transport::Mqtt(_) | Transport::WebSocket(_) | Transport::Local(_) => true,
    }
}

fn discovery(text: DiscoveryText, roles: &[Role]) -> Result<Discovery, Error> {
    let domain = text.domain.unwrap_or_default();
    if !domain.is_empty() && Name::of(&domain).is_none() {
        return Err(Error::Value("domain", domain));
    }
    Ok(Discovery { role: place(text.role, roles)?, domain })
}

fn plain(key: &'static str, value: String) -> Result<String, Error> {
    let good = !value.is_empty() && value.len() <= TEXT_MAX && !value.chars().any(char::is_control);
    if good { Ok(value) } else { Err(Error::Value(key, value)) }
}

fn controller(text: ControllerText, roles: &[Role]) -> Result<Controller, Error> {
    let role = place(text.role.clone(), roles)?;
    let (endpoint, session) = (plain("endpoint", text.endpoint.clone())?, text.session.unwrap_or(true));
    Ok(Controller { endpoint, transport: transport::transport(text)?, role, session, discovered: None })
}

/// Where a role stands.
fn place(name: Option<String>, roles: &[Role]) -> Result<usize, Error> {
    let name = name.unwrap_or_else(|| "full".to_owned());
    roles.iter().position(|role| role.name == name).ok_or(Error::Value("role", name))
}

fn role(text: RoleText) -> Result<Role, Error> {
    if text.rules.len() > RULES_MAX {
        return Err(Error::Many("rules"));
    }
    let may = |key, text: &str| May::parse(text).ok_or_else(|| Error::Value(key, text.to_owned()));
    let mut rules = Vec::new();
    for one in text.rules {
        if one.targets.len() > RULES_MAX {
            return Err(Error::Many("targets"));
        }
        let all = may("rights", &one.rights)?;
        let of = |key, text: Option<String>| text.map_or(Ok(all), |text| may(key, &text));
        rules.push(Rule {
            enable: true,
            order: one.order,
            targets: one.targets,
            param: of("param", one.param)?,
            object: of("object", one.object)?,
            instance: of("instance", one.instance)?,
            command_event: of("command_event", one.command_event)?,
        });
    }
    Ok(Role { name: plain("name", text.name)?, rules })
}

#[cfg(test)]
mod tests {
    use super::{Transport, parse};
    use mqtt::packet::Version;

    const GOOD: &str = "[[controller]]\nendpoint = 'self::c'\nbroker = '192.0.2.1'\ntopic = '/c'\n";

    #[test]
    fn the_operators_word_is_checked() {
        let good = parse(GOOD).unwrap();
        let one = &good.controllers[0];
        let Transport::Mqtt(broker) = &one.transport else { unreachable!() };
        assert_eq!((broker.port, broker.tls, broker.version, one.role), (8883, true, Version::V5, 0));
        let table = [
            ("mqtt = '4'", "mqtt: 4"),
            ("role = 'king'", "role: king"),
            ("agent_topic = '/a/#'", "agent_topic: /a/#"),
            ("colour = 'red'", "unknown field"),
            ("port = 70000", "70000"),
            ("[[controller]]\nendpoint = 'self::c'\nbroker = 'x'\ntopic = '/d'", "there twice"),
            ("[[role]]\nname = 'r'\nrules = [{ order = 1, targets = [], rights = 'rrrr' }]", "rights: rrrr"),
        ];
        for (line, why) in table {
            let error = parse(&format!("{GOOD}{line}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
        assert!(parse("[websocket]\nlisten = 'x'").is_err());
        assert!(parse("[discovery]\nrole = 'king'").is_err());
        assert_eq!(parse("[discovery]").unwrap().discovery.map(|one| one.role), Some(0));
        assert!(parse("[discovery]\ndomain = 'isp..example'").is_err());
        assert!(parse("retry_max_s = 5").is_err() && parse("confirm_within_s = 5").is_err());
        assert!(parse("").unwrap().controllers.is_empty(), "without a word nobody is obeyed");
    }
}
