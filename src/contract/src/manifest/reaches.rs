//! What a service may talk to: the table `reaches` of its manifest.
//!
//! In:  what the provider wrote. Out: a `Reaches`, bounded; what it does not name is not reached.
//!
//! Not here: what others may ask of the service (`serves`).
//!
//! Source: docs/manifest.md.

use core::fmt;
use core::str::FromStr;

use heapless::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Protocol;
use crate::limit::REACHES;
use crate::name::Text;
use crate::prefix::Prefix;

/// What a service may talk to. The gateway's name server answers it in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaches {
    /// All of the Internet.
    #[serde(default = "yes")]
    pub internet: bool,
    /// Its provider's servers: reached where the rest of the Internet is not.
    #[serde(default)]
    pub provider: Vec<Prefix, REACHES>,
    /// Ports of the home's devices, of all or of a class.
    #[serde(default)]
    pub home: Vec<AtHome, REACHES>,
    /// Searches for devices of the home (SSDP) are passed between it and the home.
    #[serde(default)]
    pub ssdp: bool,
    /// Announcements of the home (mDNS, RFC 6762) are passed between it and the home.
    #[serde(default)]
    pub mdns: bool,
    /// It may read links, addresses and routes of its own network (netlink).
    #[serde(default)]
    pub routes: bool,
}

const fn yes() -> bool {
    true
}

impl Default for Reaches {
    fn default() -> Self {
        Self {
            internet: true,
            provider: Vec::new(),
            home: Vec::new(),
            ssdp: false,
            mdns: false,
            routes: false,
        }
    }
}

/// A port of a protocol, as `tcp/8883`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port, 1 to 65535.
    pub port: u16,
}

/// A text that is no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPort;

impl fmt::Display for NoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no port: \"tcp/\" or \"udp/\", and 1 to 65535")
    }
}

impl core::error::Error for NoPort {}

impl FromStr for Port {
    type Err = NoPort;

    fn from_str(text: &str) -> Result<Self, NoPort> {
        let (protocol, port) = match text.split_once('/') {
            Some(("tcp", port)) => (Protocol::Tcp, port),
            Some(("udp", port)) => (Protocol::Udp, port),
            Some(_) | None => return Err(NoPort),
        };
        match port.parse() {
            Ok(port @ 1..) if !text.contains('+') => Ok(Self { protocol, port }),
            Ok(_) | Err(_) => Err(NoPort),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tcp => write!(f, "tcp/{}", self.port),
            Protocol::Udp => write!(f, "udp/{}", self.port),
        }
    }
}

/// What a device of the home is: whoever lives there says so (`lan.reservation`), no device says it of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It prints or scans.
    Printer,
    /// It sees.
    Camera,
    /// It shows: a television, a box at one.
    Screen,
    /// It plays music.
    Speaker,
    /// It keeps files.
    Storage,
    /// It lights.
    Light,
    /// It measures.
    Sensor,
    /// It does housework, heats, opens.
    Appliance,
    /// Others hang on it: a bridge to radios of its own.
    Hub,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Printer,
        Self::Camera,
        Self::Screen,
        Self::Speaker,
        Self::Storage,
        Self::Light,
        Self::Sensor,
        Self::Appliance,
        Self::Hub,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Printer => "printer",
            Self::Camera => "camera",
            Self::Screen => "screen",
            Self::Speaker => "speaker",
            Self::Storage => "storage",
            Self::Light => "light",
            Self::Sensor => "sensor",
            Self::Appliance => "appliance",
            Self::Hub => "hub",
        }
    }
}

/// A word that is no kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKind;

impl fmt::Display for NoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no class of devices; there are")?;
        let mut each = Kind::ALL.iter().enumerate();
        let comma = |place| if place == 0 { "" } else { "," };
        each.try_for_each(|(place, kind)| write!(f, "{} {}", comma(place), kind.word()))
    }
}

impl core::error::Error for NoKind {}

impl FromStr for Kind {
    type Err = NoKind;

    fn from_str(text: &str) -> Result<Self, NoKind> {
        Self::ALL.into_iter().find(|kind| kind.word() == text).ok_or(NoKind)
    }
}

/// A port of the home's devices: of all of them, as `tcp/8883`, or of a class, as `printer:tcp/631`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtHome {
    /// Of which devices. `None`: of every one.
    pub kind: Option<Kind>,
    /// Which port.
    pub port: Port,
}

/// The longest text of an [`AtHome`], in bytes.
const AT_HOME_BYTES: usize = "appliance:udp/65535".len();

/// A text that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAtHome {
    /// Of its device.
    Kind(NoKind),
    /// Of its port.
    Port(NoPort),
}

impl fmt::Display for NoAtHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(why) => why.fmt(f),
            Self::Port(why) => why.fmt(f),
        }
    }
}

impl core::error::Error for NoAtHome {}

impl FromStr for AtHome {
    type Err = NoAtHome;

    fn from_str(text: &str) -> Result<Self, NoAtHome> {
        let (kind, port) = match text.split_once(':') {
            Some((kind, port)) => (Some(kind.parse().map_err(NoAtHome::Kind)?), port),
            None => (None, text),
        };
        Ok(Self { kind, port: port.parse().map_err(NoAtHome::Port)? })
    }
}

impl fmt::Display for AtHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{}:", kind.word())?;
        }
        self.port.fmt(f)
    }
}

/// As it goes over wires and into records, where bytes count: kind, is it UDP, port.
type Short = (Option<Kind>, bool, u16);

impl Serialize for AtHome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&Text::<AT_HOME_BYTES>::format(format_args!("{self}")));
        }
        let short: Short = (self.kind, self.port.protocol == Protocol::Udp, self.port.port);
        short.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AtHome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return heapless::String::<AT_HOME_BYTES>::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom);
        }
        let (kind, udp, port) = Short::deserialize(deserializer)?;
        let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
        if port == 0 {
            Err(de::Error::custom(NoPort))
        } else {
            Ok(Self { kind, port: Port { protocol, port } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_HOME_BYTES, AtHome, Kind, Port};

    fn said(what: impl core::fmt::Display) -> heapless::String<128> {
        heapless::format!("{what}").unwrap()
    }

    #[test]
    fn devices_of_the_home_are_of_a_class_or_of_all() {
        for kind in Kind::ALL {
            let text: heapless::String<AT_HOME_BYTES> =
                heapless::format!("{}:udp/65535", kind.word()).unwrap();
            let read: AtHome = text.parse().unwrap();
            assert_eq!((read.kind, said(read).as_str()), (Some(kind), text.as_str()));
        }
        let read: AtHome = "tcp/631".parse().unwrap();
        assert_eq!((read.kind, said(read).as_str()), (None, "tcp/631"));
        for (text, why) in [
            ("toaster:tcp/80", "no class of devices; there are printer, camera,"),
            ("printer:", "no port"),
            (":tcp/80", "no class"),
            ("printer:tcp/80:tcp/81", "no port"),
            ("printer", "no port"),
        ] {
            let error = said(text.parse::<AtHome>().unwrap_err());
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_port_is_checked_where_it_comes_in() {
        for text in ["tcp/1", "udp/65535"] {
            let back: heapless::String<16> = heapless::format!("{}", text.parse::<Port>().unwrap()).unwrap();
            assert_eq!(back.as_str(), text);
        }
        for text in ["", "tcp", "tcp/", "tcp/0", "tcp/65536", "tcp/+1", "sctp/1", "TCP/1", "tcp/1/2", "80"] {
            assert!(text.parse::<Port>().is_err(), "{text}");
        }
    }
}
