//! `shg` as a USP controller: which gateways there are, and the brokers by which they are spoken to.
//!
//! In:  `~/.config/shg/controller.toml`, options. Out: a [`Fleet`], and those of its gateways that were meant.
//!
//! ```toml
//! endpoint = "self::desk"          # who we are, as the gateways' agent.toml says
//! topic = "/usp/controller"        # where we listen, as it says
//!
//! [[broker]]
//! name = "isp"                     # may be left out where there is one
//! host = "mqtt.isp.example"
//! port = 8883                      # 1883 without TLS
//! tls = true
//! roots = "/etc/ssl/isp.pem"       # whom to believe; left out: as the system does
//! username = "desk"
//! password_file = "/etc/shg/mqtt" # its first line
//!
//! [[gateway]]
//! endpoint = "os::00D09E-4711"
//! topic = "/usp/agent/4711"        # where it listens
//! labels = { site = "lab" }
//! ```
//!
//! Not here: what is said to a gateway (`gateway.rs`, `service.rs`).
//!
//! Source: docs/controller.md.

mod line;
mod talk;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use mqtt::packet::Version;
use serde::Deserialize;

use crate::error::Error;
use crate::keys;
use crate::options::{Known, Options};

pub(crate) use talk::notify;
pub use talk::{Asked, Desk, News, code_words};

/// The file, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Gateways of one file.
pub const GATEWAYS_MAX: usize = 1024;

/// Options of every verb that speaks with gateways.
pub const GATEWAY: Known = Known { name: "gateway", value: "ID", about: "This one, by its endpoint id" };
/// Another.
pub const LABELS: Known =
    Known { name: "labels", value: "K=V,...", about: "Those that have all these labels" };
/// Another.
pub const ALL: Known = Known { name: "all", value: "", about: "Every gateway of the file" };
/// Another.
pub const CONFIG: Known =
    Known { name: "config", value: "FILE", about: "In place of ~/.config/shg/controller.toml" };
/// Another.
pub const TIMEOUT: Known =
    Known { name: "timeout", value: "S", about: "How long a gateway may take to answer (10)" };

/// Gateways, and how they are spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Who we are.
    pub endpoint: String,
    /// Where we listen.
    pub topic: String,
    /// Brokers.
    #[serde(default)]
    pub broker: Vec<Broker>,
    /// Gateways.
    #[serde(default)]
    pub gateway: Vec<Gateway>,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// What gateways call it.
    #[serde(default)]
    pub name: String,
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// By TLS.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Whom to believe: a file of certificates.
    pub roots: Option<PathBuf>,
    /// `5` or `3.1.1`.
    #[serde(default)]
    mqtt: Option<String>,
    /// Who we are to it.
    pub username: Option<String>,
    /// How we prove it: the first line of this file.
    pub password_file: Option<PathBuf>,
}

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Its endpoint id.
    pub endpoint: String,
    /// Where it listens.
    pub topic: String,
    /// Its broker; left out: the first.
    pub broker: Option<String>,
    /// What it is chosen by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

impl Broker {
    /// The protocol.
    #[must_use]
    pub fn version(&self) -> Version {
        if self.mqtt.as_deref() == Some("3.1.1") { Version::V311 } else { Version::V5 }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 8883 } else { 1883 })
    }
}

impl Fleet {
    /// Reads the file that `options` name, or the usual one.
    ///
    /// # Errors
    /// It is not there, or says what cannot be.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let path = match options.get("config") {
            Some(path) => PathBuf::from(path),
            None => {
                usual().ok_or_else(|| Error::Usage("--config: there is no HOME to look in".to_owned()))?
            }
        };
        if !path.exists() {
            let what =
                "it would say which gateways there are (docs/controller.md); --config FILE names another";
            return Err(Error::Refused(format!("{}: not there; {what}", path.display())));
        }
        let text = keys::read(&path, FILE_BYTES_MAX)?;
        let text = String::from_utf8(text).map_err(Error::refused(path.display()))?;
        Self::parse(&text).map_err(|why| Error::Refused(format!("{}: {why}", path.display())))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fleet: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if fleet.gateway.len() > GATEWAYS_MAX {
            return Err(format!("more than {GATEWAYS_MAX} gateways"));
        }
        if fleet.broker.is_empty() {
            return Err("[[broker]]: there is none".to_owned());
        }
        for (place, broker) in fleet.broker.iter().enumerate() {
            if fleet.broker.iter().take(place).any(|other| other.name == broker.name) {
                return Err(format!("broker.name: {:?} is there twice", broker.name));
            }
            if !matches!(broker.mqtt.as_deref(), None | Some("5" | "5.0" | "3.1.1")) {
                return Err(format!("broker.mqtt: {:?} is neither 5 nor 3.1.1", broker.mqtt));
            }
        }
        for topic in fleet.gateway.iter().map(|one| &one.topic).chain([&fleet.topic]) {
            if topic.is_empty() || topic.contains(['+', '#']) {
                return Err(format!("topic: {topic:?} is none to publish to"));
            }
        }
        for (place, gateway) in fleet.gateway.iter().enumerate() {
            if fleet.gateway.iter().take(place).any(|other| other.endpoint == gateway.endpoint) {
                return Err(format!("gateway.endpoint: {} is there twice", gateway.endpoint));
            }
            if fleet.broker_of(gateway).is_none() {
                return Err(format!(
                    "gateway {}: broker {:?} is not there",
                    gateway.endpoint, gateway.broker
                ));
            }
        }
        Ok(fleet)
    }

    /// Where the broker of a gateway stands in the list.
    #[must_use]
    pub fn broker_of(&self, gateway: &Gateway) -> Option<usize> {
        match &gateway.broker {
            None => (!self.broker.is_empty()).then_some(0),
            Some(name) => self.broker.iter().position(|broker| broker.name == *name),
        }
    }

    /// The gateways that are meant. Where nothing is said the only one is, or all where `all` says so.
    ///
    /// # Errors
    /// Nothing says which, or there is none.
    pub fn chosen(&self, options: &Options, all: bool) -> Result<Vec<&Gateway>, Error> {
        let (id, labels) = (options.get("gateway"), options.get("labels"));
        let wanted = labels.map(pairs).transpose()?.unwrap_or_default();
        let nothing = id.is_none() && labels.is_none() && !options.has("all");
        if nothing && !all && self.gateway.len() > 1 {
            return Err(Error::Usage("which gateway? Say --gateway, --labels or --all".to_owned()));
        }
        let meant = |gateway: &&Gateway| {
            id.is_none_or(|id| gateway.endpoint == id)
                && wanted.iter().all(|(key, value)| gateway.labels.get(key) == Some(value))
        };
        let chosen: Vec<&Gateway> = self.gateway.iter().filter(meant).collect();
        if chosen.is_empty() {
            return Err(Error::Absent(format!("gateway {}", id.or(labels).unwrap_or("of any kind"))));
        }
        Ok(chosen)
    }
}

/// `~/.config/shg/controller.toml`. Source: XDG Base Directory Specification.
fn usual() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").filter(|one| !one.is_empty()).map(PathBuf::from);
    let config = config.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".config")))?;
    Some(config.join("shg/controller.toml"))
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        (!key.is_empty()).then(|| (key.trim().to_owned(), value.trim().to_owned()))
    };
    let wrong = || Error::Usage(format!("--labels {text}: it is KEY=VALUE,..."));
    text.split(',').map(|one| pair(one).ok_or_else(wrong)).collect()
}

/// A number that no other run has, nor another part of this one.
fn own_number() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{next}", std::process::id(), since.as_micros())
}

/// The first line of a file.
fn secret(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{CONFIG, Fleet, GATEWAY, LABELS};
    use crate::options::Options;

    const GOOD: &str = "endpoint = 'self::desk'\ntopic = '/c'\n[[broker]]\nhost = 'h'\n\
        [[gateway]]\nendpoint = 'os::a'\ntopic = '/a'\nlabels = { site = 'lab', kind = 'x' }\n\
        [[gateway]]\nendpoint = 'os::b'\ntopic = '/b'\nlabels = { site = 'lab' }\n";

    #[test]
    fn a_fleet_is_checked() {
        let good = Fleet::parse(GOOD).unwrap();
        assert_eq!((good.broker[0].port(), good.broker_of(&good.gateway[0])), (8883, Some(0)));
        for (from, to, why) in [
            ("host = 'h'", "host = 'h'\nmqtt = '4'", "neither"),
            ("host = 'h'", "host = 'h'\n[[broker]]\nhost = 'i'", "twice"),
            ("'os::b'", "'os::a'", "twice"),
            ("topic = '/b'", "topic = '/#'", "none to publish"),
            ("topic = '/b'", "topic = '/b'\nbroker = 'z'", "not there"),
            ("topic = '/b'", "topic = '/b'\ncolour = 1", "unknown field"),
            ("[[broker]]\nhost = 'h'", "", "[[broker]]"),
        ] {
            let error = Fleet::parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(why), "{to}: {error}");
        }
    }

    #[test]
    fn who_is_meant_is_chosen() {
        let fleet = Fleet::parse(GOOD).unwrap();
        let chosen = |line: &str, all| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let options = Options::read(&[GATEWAY, LABELS, CONFIG, super::ALL], &words).unwrap();
            let found = fleet.chosen(&options, all).map_err(|error| error.to_string())?;
            Ok::<_, String>(found.iter().map(|one| one.endpoint.clone()).collect::<Vec<_>>().join(" "))
        };
        for (line, all, want) in [
            ("--gateway os::a", false, Ok("os::a")),
            ("--labels site=lab", false, Ok("os::a os::b")),
            ("--labels site=lab,kind=x", false, Ok("os::a")),
            ("--all", false, Ok("os::a os::b")),
            ("", true, Ok("os::a os::b")),
            ("", false, Err("which gateway")),
            ("--gateway os::c", false, Err("os::c: not there")),
            ("--labels site", false, Err("KEY=VALUE")),
        ] {
            match (chosen(line, all), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{line}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{line}: {got}"),
                (got, want) => panic!("{line}: {got:?}, not {want:?}"),
            }
        }
    }
}
