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
    /// Ports of the home's devices.
    #[serde(default)]
    pub home: Vec<Port, REACHES>,
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

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Text::<9>::format(format_args!("{self}")))
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        heapless::String::<9>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Port;

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
