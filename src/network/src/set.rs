//! Sets and maps of the firewall: what a rule looks up at once, however many there are.
//!
//! In:  a name, the kind of its keys and data, elements. Out: netlink attributes; and from what the kernel lists, the elements again.
//!
//! An element that comes or goes does not replace the table: connections and other rules see nothing of it.
//!
//! Not here: batches (`ruleset.rs`), which sets there are (`firewall/sets.rs`).
//!
//! Source: linux/netfilter/nf_tables.h, `NFTA_SET_…`; datatypes are those of nft(8), so that it lists them as words.

use std::collections::BTreeSet;
use std::net::IpAddr;

use contract::manifest::Protocol;
use contract::prefix::Prefix;

use crate::bytes::{ELEMENT, Writer, attribute, attributes};
use crate::expression::number;

/// One part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// A transport protocol.
    Protocol,
    /// A port.
    Port,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A link's name.
    Link,
    /// A packet's mark.
    Mark,
}

impl Field {
    /// nft's number for it. Source: nftables, `enum datatypes`.
    fn datatype(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Mark => 19,
            Self::Link => 41,
        }
    }

    /// How many bytes it takes in registers: whole words of four.
    #[must_use]
    pub fn bytes(self) -> u32 {
        match self {
            Self::Protocol | Self::Port | Self::Ipv4 | Self::Mark => 4,
            Self::Ipv6 | Self::Link => 16,
        }
    }

    /// What nft remembers of its order of bytes: 1 the machine's, 2 the network's.
    fn order(self) -> u8 {
        match self {
            Self::Protocol | Self::Link | Self::Mark => 1,
            Self::Port | Self::Ipv4 | Self::Ipv6 => 2,
        }
    }
}

/// One element, as it lies in registers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element {
    /// Its key.
    pub key: Vec<u8>,
    /// What a map says of it; empty in a set.
    pub data: Vec<u8>,
    /// It is no element, but the first that is none any more (`NFT_SET_ELEM_INTERVAL_END`).
    pub ends: bool,
}

/// A set, or a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// What its keys are.
    pub key: &'static [Field],
    /// What it says of them: empty for a set.
    pub data: &'static [Field],
    /// Its keys are runs: an element holds until the one that ends it.
    pub runs: bool,
    /// Its elements.
    pub elements: BTreeSet<Element>,
}

/// `NFT_SET_INTERVAL`.
const RUNS: u32 = 4;
/// `NFT_SET_MAP`.
const MAP: u32 = 8;

fn datatype(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, field| all << 6 | field.datatype()) // A part of a key has six bits.
}

fn bytes(fields: &[Field]) -> u32 {
    fields.iter().map(|field| field.bytes()).sum()
}

impl Set {
    /// An empty set with such keys.
    #[must_use]
    pub fn of(name: &'static str, key: &'static [Field]) -> Self {
        Self { name, key, data: &[], runs: false, elements: BTreeSet::new() }
    }

    /// A set that says something of each key.
    #[must_use]
    pub fn saying(self, data: &'static [Field]) -> Self {
        Self { data, ..self }
    }

    /// With an element.
    #[must_use]
    pub fn with(mut self, key: Vec<u8>, data: Vec<u8>) -> Self {
        self.elements.insert(Element { key, data, ends: false });
        self
    }

    /// With all addresses of these prefixes that are of its family.
    #[must_use]
    pub fn with_prefixes<'p>(mut self, prefixes: impl IntoIterator<Item = &'p Prefix>) -> Self {
        let ipv4 = self.key == [Field::Ipv4];
        let mut runs: Vec<(u128, u128)> =
            prefixes.into_iter().filter(|prefix| prefix.is_ipv4() == ipv4).map(run).collect();
        runs.sort_unstable();
        let mut joined: Vec<(u128, u128)> = Vec::new();
        for (first, last) in runs {
            match joined.last_mut() {
                Some((_, end)) if end.checked_add(1).is_none_or(|next| first <= next) => {
                    *end = last.max(*end)
                }
                Some(_) | None => joined.push((first, last)),
            }
        }
        let most = if ipv4 { u128::from(u32::MAX) } else { u128::MAX };
        let mut add = |address: u128, ends| {
            let key = if ipv4 {
                u32::try_from(address).unwrap_or(u32::MAX).to_be_bytes().to_vec()
            } else {
                address.to_be_bytes().to_vec()
            };
            self.elements.insert(Element { key, data: Vec::new(), ends });
        };
        // nft says that nothing is in it before the first run; so do we, that its words and ours are alike.
        if joined.first().is_some_and(|(first, _)| *first != 0) {
            add(0, true);
        }
        for (first, last) in joined {
            add(first, false);
            if last < most {
                add(last + 1, true);
            }
        }
        Self { runs: true, ..self }
    }

    /// What tells it from another set.
    pub(crate) fn definition(&self) -> Writer {
        let flags = if self.runs { RUNS } else { 0 } | if self.data.is_empty() { 0 } else { MAP };
        let set = Writer::default()
            .put_text(1, crate::ruleset::TABLE) // NFTA_SET_TABLE
            .put_text(2, self.name) // NFTA_SET_NAME
            .put_be32(4, datatype(self.key)) // NFTA_SET_KEY_TYPE
            .put_be32(5, bytes(self.key)); // NFTA_SET_KEY_LEN
        let set = if flags == 0 { set } else { set.put_be32(3, flags) }; // NFTA_SET_FLAGS: the kernel lists none where none is set
        if self.data.is_empty() {
            return set;
        }
        set.put_be32(6, datatype(self.data)).put_be32(7, bytes(self.data)) // NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN
    }

    /// What makes it, as number `number` of its batch.
    pub(crate) fn making(&self, number: u32) -> Writer {
        let order = |fields: &[Field]| match fields {
            [one] => one.order(),
            _ => 0,
        };
        // What nft keeps for itself: kind (0: keys, 1: data), length, order of bytes, in the machine's order.
        let [key, data] = [self.key, self.data].map(|fields| u32::from(order(fields)).to_ne_bytes());
        let mut notes = [&[0, 4], &key[..]].concat();
        if !self.data.is_empty() {
            notes.extend([&[1, 4], &data[..]].concat());
        }
        self.definition().put_be32(10, number).put(13, &notes) // NFTA_SET_ID, NFTA_SET_USERDATA
    }

    /// Does the kernel list this set: its name, the kind of its keys?
    pub(crate) fn is(&self, listed: &[u8]) -> bool {
        let flags =
            attribute(listed, 3).and_then(|value| value.try_into().ok()).map_or(0, u32::from_be_bytes);
        let same = flags & RUNS != 0 && self.runs || flags & RUNS == 0 && !self.runs;
        same && crate::bytes::agrees(&self.definition().end(), listed)
    }
}

/// The elements of a set as one message has them.
pub(crate) fn message<'e>(set: &str, elements: impl IntoIterator<Item = &'e Element>) -> Writer {
    let mut list = Writer::default();
    for element in elements {
        let value = |bytes: &[u8]| Writer::default().put(1, bytes); // NFTA_DATA_VALUE
        let mut one = Writer::default().nest(1, value(&element.key)); // NFTA_SET_ELEM_KEY
        if !element.data.is_empty() {
            one = one.nest(2, value(&element.data)); // NFTA_SET_ELEM_DATA
        }
        if element.ends {
            one = one.put_be32(3, 1); // NFTA_SET_ELEM_FLAGS: NFT_SET_ELEM_INTERVAL_END
        }
        list = list.nest(ELEMENT, one);
    }
    Writer::default()
        .put_text(1, crate::ruleset::TABLE) // NFTA_SET_ELEM_LIST_TABLE
        .put_text(2, set) // NFTA_SET_ELEM_LIST_SET
        .nest(3, list) // NFTA_SET_ELEM_LIST_ELEMENTS
}

/// The elements that one message of the kernel's lists. One that is not understood is as none: the set then differs.
pub(crate) fn listed(attributes_of_message: &[u8]) -> Vec<Element> {
    let list = attribute(attributes_of_message, 3).unwrap_or_default(); // NFTA_SET_ELEM_LIST_ELEMENTS
    let value = |element: &[u8], kind| {
        attribute(element, kind).and_then(|data| attribute(data, 1)).unwrap_or_default().to_vec()
    };
    let elements = attributes(list).filter(|(kind, _)| *kind == ELEMENT);
    let elements = elements.map(|(_, element)| {
        let flags =
            attribute(element, 3).and_then(|value| value.try_into().ok()).map_or(0, u32::from_be_bytes);
        Element { key: value(element, 1), data: value(element, 2), ends: flags & 1 != 0 }
    });
    elements.collect()
}

/// A prefix's first address and its last one.
fn run(prefix: &Prefix) -> (u128, u128) {
    let (first, bits) = match prefix.first() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    (first, first | u128::MAX.checked_shr(128 - bits + u32::from(prefix.length())).unwrap_or(0))
}

/// A protocol and what follows, as keys have them.
#[must_use]
pub fn key(protocol: Protocol) -> Vec<u8> {
    vec![number(protocol), 0, 0, 0]
}

/// A port, as keys have it.
#[must_use]
pub fn port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// A link's name, as keys have it: sixteen bytes, the rest zero (`IFNAMSIZ`).
#[must_use]
pub fn link(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// An address, as keys have it.
#[must_use]
pub fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Element, Field, Set, listed, message, run};

    #[test]
    fn prefixes_become_runs_that_do_not_touch() {
        let prefix = |text: &str| text.parse().unwrap();
        let elements = |texts: &[&str]| -> Vec<(Vec<u8>, bool)> {
            let prefixes: Vec<_> = texts.iter().map(|text| prefix(text)).collect();
            let set = Set::of("x", &[Field::Ipv4]).with_prefixes(&prefixes);
            set.elements.into_iter().map(|element| (element.key, element.ends)).collect()
        };
        let no = |key: [u8; 4]| (key.to_vec(), true);
        let yes = |key: [u8; 4]| (key.to_vec(), false);
        assert_eq!(elements(&[]), []);
        assert_eq!(elements(&["10.0.0.0/8"]), [no([0; 4]), yes([10, 0, 0, 0]), no([11, 0, 0, 0])]);
        assert_eq!(
            elements(&["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "2001:db8::/32"]),
            [no([0; 4]), yes([10, 0, 0, 0]), no([11, 0, 0, 0])],
            "neighbours, one in the other, another family"
        );
        assert_eq!(elements(&["0.0.0.0/0"]), [yes([0; 4])], "all has no end");
        assert_eq!(
            elements(&["240.0.0.0/4", "0.0.0.0/8"]),
            [yes([0; 4]), no([1, 0, 0, 0]), yes([240, 0, 0, 0])]
        );
        assert_eq!(run(&prefix("::/0")), (0, u128::MAX));
        assert_eq!(run(&prefix("2001:db8::1")), (0x2001_0db8 << 96 | 1, 0x2001_0db8 << 96 | 1));
    }

    #[test]
    fn what_was_written_is_read() {
        let element = |last: u8, ends| Element { key: vec![10, 0, 0, last], data: vec![last; 4], ends };
        let all = [element(1, false), element(2, true)];
        assert_eq!(listed(&message("x", &all).end()), all);
    }
}
