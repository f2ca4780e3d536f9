//! The way to a controller: by a broker, by WebSocket in either direction, or on the box.
//!
//! In:  what the operator's file says of one controller. Out: a [`Transport`], checked.

use std::fmt;

use contract::Name;
use mqtt::packet::Version;

use super::{ControllerText, Error, plain};

/// The way to a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// By a broker.
    Mqtt(Broker),
    /// By WebSocket: we call.
    WebSocket(Url),
    /// By WebSocket: it calls.
    Accepted(Accepted),
    /// It is on the box, and comes by the Unix socket.
    Local(Caller),
}

impl Transport {
    /// Its word. Source: TR-181, `Device.LocalAgent.MTP.{i}.Protocol`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Mqtt(_) => "MQTT",
            Self::WebSocket(_) | Self::Accepted(_) => "WebSocket",
            Self::Local(_) => "UDS",
        }
    }

    /// Do its messages go over a network without TLS, as the operator's file wants it?
    #[must_use]
    pub fn is_in_the_clear(&self) -> bool {
        match self {
            Self::Mqtt(one) => !one.tls,
            Self::WebSocket(one) => !one.tls,
            Self::Accepted(_) | Self::Local(_) => false,
        }
    }

    /// Is its controller in this service?
    #[must_use]
    pub fn is_in(&self, service: &str) -> bool {
        match self {
            Self::Local(Caller::Service(name)) => name == service,
            Self::Local(Caller::Granted(name)) => name.as_str() == service,
            Self::Local(Caller::Root | Caller::Nobody)
            | Self::Mqtt(_)
            | Self::WebSocket(_)
            | Self::Accepted(_) => false,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |tls| if tls { "s" } else { "" };
        match self {
            Self::Mqtt(one) => write!(f, "mqtt{}://{}:{}", s(one.tls), one.host, one.port),
            Self::WebSocket(one) => write!(f, "ws{}://{}:{}{}", s(one.tls), one.host, one.port, one.path),
            Self::Accepted(one) => write!(f, "it calls: WebSocket {}", one.path),
            Self::Local(Caller::Root) => write!(f, "it comes: root, Unix socket"),
            Self::Local(Caller::Service(name)) => write!(f, "it comes: {name}, Unix socket"),
            Self::Local(Caller::Granted(name)) => write!(f, "it comes: {name}, Unix socket"),
            Self::Local(Caller::Nobody) => f.write_str("nobody"),
        }
    }
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// By TLS.
    pub tls: bool,
    /// The protocol.
    pub version: Version,
    /// Where the controller listens.
    pub topic: String,
    /// Where we listen.
    pub agent_topic: Option<String>,
    /// Who we are to the broker.
    pub username: Option<String>,
    /// And how we prove it.
    pub password: Option<String>,
    /// How often we speak at least, in seconds.
    pub keep_alive_s: u16,
}

/// A controller that is called by WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// By TLS.
    pub tls: bool,
    /// The path, and a query where it has one.
    pub path: String,
    /// Name and password, where it wants some.
    pub credentials: Option<(String, String)>,
    /// How often we speak at least, in seconds.
    pub keep_alive_s: u16,
}

/// A controller that calls by WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The path that it asks for.
    pub path: String,
    /// Its name, and how it proves it; `None`: by its certificate.
    pub credentials: Option<(String, String)>,
    /// How often it is spoken to at least, in seconds.
    pub keep_alive_s: u16,
}

/// Who comes by the Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// root: a program of the gateway's.
    Root,
    /// A service, by its name.
    Service(String),
    /// A service that came with roles (`roles.rs`); the file does not name it.
    Granted(Name),
    /// Nobody comes by it any more: the service has gone.
    Nobody,
}

/// Without TLS nothing is spoken, unless a word of its own says so (docs/decisions/0128-in-the-clear.md).
pub(super) fn protected(tls: bool, in_the_clear: Option<bool>, whose: &str) -> Result<(), Error> {
    if tls || in_the_clear == Some(true) {
        return Ok(());
    }
    Err(Error::Value("without TLS (it needs in_the_clear = true)", whose.to_owned()))
}

/// One of the ways, and nothing that belongs to another.
pub(super) fn transport(text: ControllerText) -> Result<Transport, Error> {
    let ways = [&text.broker, &text.url, &text.accept, &text.local].into_iter().flatten().count();
    if ways != 1 {
        return Err(Error::Value("one of broker, url, accept, local", text.endpoint));
    }
    let is_mqtt = text.broker.is_some();
    let of_mqtt = [
        ("mqtt", text.mqtt.is_some()),
        ("topic", text.topic.is_some()),
        ("agent_topic", text.agent_topic.is_some()),
        ("port", text.port.is_some()),
        ("tls", text.tls.is_some()),
    ];
    if let Some((key, _)) = of_mqtt.into_iter().find(|(_, there)| *there && !is_mqtt) {
        return Err(Error::Value(key, "without broker it".to_owned()));
    }
    if text.in_the_clear.is_some() && text.broker.is_none() && text.url.is_none() {
        return Err(Error::Value("in_the_clear", "without broker or url it".to_owned()));
    }
    let keep_alive_s = text.keep_alive_s.unwrap_or(60).clamp(10, 3600);
    let username = text.username.clone().map(|one| plain("username", one)).transpose()?;
    let password = text.password.clone().map(|one| plain("password", one)).transpose()?;
    if let Some(caller) = text.local {
        return Ok(Transport::Local(match caller.as_str() {
            "root" => Caller::Root,
            _ => Caller::Service(plain("local", caller)?),
        }));
    }
    if let Some(path) = text.accept {
        if username.is_some() != password.is_some() {
            return Err(Error::Value("username and password (both, or a certificate: neither)", path));
        }
        let (path, credentials) = (way("accept", path)?, username.zip(password));
        return Ok(Transport::Accepted(Accepted { path, credentials, keep_alive_s }));
    }
    if let Some(url) = text.url {
        let (credentials, url) = (username.zip(password), of_url(&url)?);
        protected(url.tls, text.in_the_clear, &text.endpoint)?;
        return Ok(Transport::WebSocket(Url { credentials, keep_alive_s, ..url }));
    }
    protected(text.tls.unwrap_or(true), text.in_the_clear, &text.endpoint)?;
    broker(text, (username, password), keep_alive_s).map(Transport::Mqtt)
}

fn broker(
    text: ControllerText,
    (username, password): (Option<String>, Option<String>),
    keep_alive_s: u16,
) -> Result<Broker, Error> {
    let version = match text.mqtt.as_deref() {
        None | Some("5" | "5.0") => Version::V5,
        Some("3.1.1") => Version::V311,
        Some(other) => return Err(Error::Value("mqtt", other.to_owned())),
    };
    let tls = text.tls.unwrap_or(true);
    Ok(Broker {
        host: plain("broker", text.broker.unwrap_or_default())?,
        port: text.port.unwrap_or(if tls { 8883 } else { 1883 }),
        tls,
        version,
        topic: topic("topic", text.topic.unwrap_or_default())?,
        agent_topic: text.agent_topic.map(|one| topic("agent_topic", one)).transpose()?,
        username,
        password,
        keep_alive_s,
    })
}

/// A path of a URL.
fn way(key: &'static str, path: String) -> Result<String, Error> {
    let path = plain(key, path)?;
    let good = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if good { Ok(path) } else { Err(Error::Value(key, path)) }
}

/// `ws://host:port/path`, or `wss://…`. Source: RFC 6455 §3.
pub(crate) fn of_url(text: &str) -> Result<Url, Error> {
    let bad = || Error::Value("url (ws:// or wss://)", text.to_owned());
    let (tls, rest) = match text.split_once("://").ok_or_else(bad)? {
        ("ws", rest) => (false, rest),
        ("wss", rest) => (true, rest),
        _ => return Err(bad()),
    };
    let (authority, path) =
        rest.split_once('/').map_or((rest, "/".to_owned()), |(one, path)| (one, format!("/{path}")));
    let usual = if tls { 443 } else { 80 };
    // An IPv6 address stands in brackets.
    let (host, port) = match (authority.rsplit_once(':'), authority.ends_with(']')) {
        (Some((host, port)), false) => (host, port.parse().map_err(|_| bad())?),
        (_, true) | (None, false) => (authority, usual),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.contains('@') {
        return Err(bad());
    }
    let (host, path) = (plain("url", host)?, way("url", path)?);
    Ok(Url { host, port, tls, path, credentials: None, keep_alive_s: 60 })
}

/// A topic to publish to or to listen at: no wildcard.
fn topic(key: &'static str, value: String) -> Result<String, Error> {
    let value = plain(key, value)?;
    if value.contains(['+', '#']) { Err(Error::Value(key, value)) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Transport};
    use crate::configuration::parse;

    #[test]
    fn ways_are_checked() {
        for (line, why) in [
            ("", "one of broker"),
            ("url = 'ws://h/'\nlocal = 'root'", "one of broker"),
            ("url = 'http://h/'", "ws://"),
            ("local = 'root'\nin_the_clear = true", "in_the_clear"),
            ("url = 'ws://h/'", "in_the_clear"),
            ("broker = 'h'\ntls = false\ntopic = '/c'", "in_the_clear"),
            ("broker = 'h'\ntls = false\nin_the_clear = false\ntopic = '/c'", "in_the_clear"),
            (
                "accept = '/u'\nusername = 'u'\npassword = 'p'\n[websocket]\nlisten = '[::1]:1'\ntls = false",
                "in_the_clear",
            ),
            ("url = 'wss://h:x/'", "ws://"),
            ("url = 'wss://u@h/'", "ws://"),
            ("url = 'wss://h/'\ntopic = '/c'", "topic"),
            ("accept = '/usp'", "prove"),
            ("accept = '/usp'\nusername = 'u'", "both"),
            ("accept = 'usp'\nusername = 'u'\npassword = 'p'", "accept: usp"),
        ] {
            let error =
                parse(&format!("[[controller]]\nendpoint = 'self::c'\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
        let transport = |line: &str| {
            let text = format!("[[controller]]\nendpoint = 'self::c'\n{line}\n");
            parse(&text).unwrap().controllers.remove(0).transport
        };
        let Transport::WebSocket(url) = transport("url = 'wss://[2001:db8::1]:9/usp?x=1'") else {
            unreachable!()
        };
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("2001:db8::1", 9, "/usp?x=1"));
        let Transport::WebSocket(url) = transport("url = 'ws://h'\nin_the_clear = true") else {
            unreachable!()
        };
        assert_eq!((url.port, url.tls, url.path.as_str()), (80, false, "/"));
        assert_eq!(transport("local = 'hello'"), Transport::Local(Caller::Service("hello".to_owned())));
    }
}
