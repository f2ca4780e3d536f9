//! Hosts of the home: their names, addresses, link-layer addresses, as `lease` says them.
//!
//! In:  frames of the wire `resolve`. Out: addresses of a name, the name of an address, the host behind an address.
//!
//! A name that means something to programs (`wpad` makes browsers take a proxy) is no host's, whatever the host says.
//!
//! Source: RFC 1123 §2.1 (labels); RFC 6761; VU#598349 (`wpad`, `isatap`).

use std::collections::HashMap;
use std::net::IpAddr;

use contract::limit::LOCAL_NAMES;
use contract::mac::Mac;
use contract::resolve::Local;
use heapless::Vec;

/// Our own.
pub const GATEWAY: &str = "gateway";
/// Names that no host gets.
const NOBODYS: [&str; 5] = [GATEWAY, "localhost", "wpad", "isatap", "local"];
/// Addresses of one name.
pub const ADDRESSES: usize = 8;

/// A host by its address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    /// Its label in lower case; empty: it has none.
    label: Box<str>,
    mac: Mac,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Hosts {
    addresses: HashMap<Box<str>, Vec<IpAddr, ADDRESSES>>,
    hosts: HashMap<IpAddr, Host>,
}

impl Hosts {
    /// Takes a frame. With `first` those that were said before are forgotten.
    pub fn take(&mut self, first: bool, names: &[Local]) {
        if first {
            *self = Self::default();
        }
        for local in names {
            if self.hosts.len() >= LOCAL_NAMES && !self.hosts.contains_key(&local.address) {
                return;
            }
            let label = label(&local.name).unwrap_or_default();
            if !label.is_empty() {
                let known = self.addresses.entry(label.clone()).or_default();
                if !known.contains(&local.address) {
                    // The ninth address of a name is not told.
                    let _ = known.push(local.address);
                }
            }
            self.hosts.insert(local.address, Host { label, mac: local.mac });
        }
    }

    /// How many addresses are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.hosts.len()
    }

    /// The addresses of a label in lower case. `None`: there is no such host.
    #[must_use]
    pub fn addresses(&self, label: &[u8]) -> Option<&[IpAddr]> {
        let label = std::str::from_utf8(label).ok()?;
        self.addresses.get(label).map(Vec::as_slice)
    }

    /// The label of an address.
    #[must_use]
    pub fn label(&self, address: IpAddr) -> Option<&str> {
        self.hosts.get(&address).map(|host| &*host.label).filter(|label| !label.is_empty())
    }

    /// Whose address it is. An address that a host made from its link-layer address says so itself (RFC 4291, appendix A).
    #[must_use]
    pub fn mac(&self, address: IpAddr) -> Option<Mac> {
        if let Some(host) = self.hosts.get(&address) {
            return Some(host.mac);
        }
        let IpAddr::V6(address) = address else { return None };
        let [.., a, b, c, 0xff, 0xfe, d, e, f] = address.octets() else { return None };
        Some(Mac([a ^ 2, b, c, d, e, f]))
    }
}

/// The label that a host is known by: the first one of its name, if it is one.
fn label(name: &str) -> Option<Box<str>> {
    let label = name.split('.').next()?.to_ascii_lowercase();
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let good = plain && !label.starts_with('-') && !label.ends_with('-') && (1..=63).contains(&label.len());
    (good && !NOBODYS.contains(&label.as_str())).then(|| label.into())
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use contract::mac::Mac;
    use contract::resolve::Local;

    fn local(name: &str, address: &str) -> Local {
        Local {
            name: name.into(),
            address: address.parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            link: "lan".into(),
        }
    }

    #[test]
    fn a_host_has_the_name_that_it_says_if_it_may() {
        let mut hosts = Hosts::default();
        hosts.take(
            true,
            &[local("Printer", "192.168.1.7"), local("printer.lan", "fd00::7"), local("wpad", "192.168.1.8")],
        );
        hosts.take(false, &[local("bad name", "192.168.1.9"), local("", "192.168.1.10")]);
        assert_eq!(hosts.count(), 5);
        assert_eq!(hosts.addresses(b"printer").map(<[_]>::len), Some(2));
        for label in [&b"wpad"[..], b"bad name", b"", b"lan"] {
            assert_eq!(hosts.addresses(label), None);
        }
        assert_eq!(hosts.label("192.168.1.7".parse().unwrap()), Some("printer"));
        assert_eq!(hosts.label("192.168.1.8".parse().unwrap()), None);
        for (address, known) in
            [("192.168.1.8", true), ("192.168.1.77", false), ("fe80::ff:fe00:1", true), ("fe80::1", false)]
        {
            let mac = hosts.mac(address.parse().unwrap());
            assert_eq!(mac, known.then_some(Mac([2, 0, 0, 0, 0, 1])), "{address}");
        }
        hosts.take(true, &[]);
        assert_eq!((hosts.count(), hosts.addresses(b"printer")), (0, None));
    }
}
