//! One rule of the firewall, as the kernel's small machine runs it: load into a register, compare, act.
//!
//! In:  what a rule says, word by word. Out: a list of expressions, as bytes. Pure.
//!
//! Each method adds what nft(8) compiles the same words to, so `nft list ruleset` reads them back as words; the tests hold it to that.
//!
//! Not here: which rules there are (`firewall.rs`), tables and chains (`ruleset.rs`).
//!
//! Source: linux/netfilter/nf_tables.h, linux/netfilter/nf_conntrack_common.h; `nft --debug=netlink`.

use std::net::{IpAddr, Ipv6Addr};

use contract::manifest::Protocol;
use contract::prefix::Prefix;

use crate::bytes::{ELEMENT, Writer};
use crate::set::{self, Field};

mod act;
mod frame;

pub use frame::Tag;

/// `NFT_REG_VERDICT`.
const VERDICT: u32 = 0;
/// The register that everything goes through: `NFT_REG_1`, 16 bytes.
const FIRST: u32 = 1;
/// The other one, for a port beside an address.
const SECOND: u32 = 2;

/// `NFT_META_PROTOCOL`.
const PROTOCOL: u32 = 1;
/// `NFT_META_PRIORITY`.
const PRIORITY: u32 = 2;
/// `NFT_META_MARK`.
const MARK: u32 = 3;
/// `NFT_META_SKUID`.
const OWNER: u32 = 10;
/// `NFT_META_IIFNAME`.
const LINK_IN: u32 = 6;
/// `NFT_META_OIFNAME`.
const LINK_OUT: u32 = 7;
/// `NFT_META_NFPROTO`.
const FAMILY: u32 = 15;
/// `NFT_META_L4PROTO`.
const TRANSPORT: u32 = 16;

/// `NFT_PAYLOAD_LL_HEADER`.
const LINK_HEADER: u32 = 0;
/// `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK_HEADER: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
const TRANSPORT_HEADER: u32 = 2;

/// `NFT_CMP_EQ`.
const EQUAL: u32 = 0;
/// `NFT_CMP_NEQ`.
const OTHER: u32 = 1;
/// `NFT_CMP_LTE`.
const AT_MOST: u32 = 3;
/// `NFT_CMP_GTE`.
const AT_LEAST: u32 = 5;

const IPV4: u8 = 2; // NFPROTO_IPV4
const IPV6: u8 = 10; // NFPROTO_IPV6
const ICMP: u8 = 1; // IANA protocol numbers, also the next ones
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// States of a connection: bits of `NFT_CT_STATE`.
pub const INVALID: u32 = 1;
/// Packets of a connection that was let in.
pub const ESTABLISHED: u32 = 2;
/// Packets about one.
pub const RELATED: u32 = 4;

/// One end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// A part of a key that is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The link that it came by.
    LinkIn,
    /// The link that it goes by.
    LinkOut,
    /// Its transport protocol.
    Protocol,
    /// The port that it is to.
    ToPort,
    /// The IPv4 address that it is from.
    From4,
    /// The IPv4 address that it is to.
    To4,
    /// The IPv6 address that it is from.
    From6,
    /// The IPv6 address that it is to.
    To6,
}

impl Load {
    fn field(self) -> Field {
        match self {
            Self::LinkIn | Self::LinkOut => Field::Link,
            Self::Protocol => Field::Protocol,
            Self::ToPort => Field::Port,
            Self::From4 | Self::To4 => Field::Ipv4,
            Self::From6 | Self::To6 => Field::Ipv6,
        }
    }
}

/// One rule in the making.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its chain.
    pub chain: &'static str,
    /// A word for whoever lists it.
    pub comment: String,
    /// Its expressions: a list of [`ELEMENT`]s.
    pub expressions: Writer,
    /// What it has said of the family and of the transport protocol.
    family: Option<u8>,
    transport: Option<u8>,
}

impl Rule {
    /// An empty rule.
    #[must_use]
    pub fn of(chain: &'static str) -> Self {
        Self { chain, comment: String::new(), expressions: Writer::default(), family: None, transport: None }
    }

    /// With a word for whoever lists it: at most 127 bytes are kept (`NFTNL_UDATA_COMMENT_MAXLEN` is 128, with its NUL).
    #[must_use]
    pub fn says(self, comment: &str) -> Self {
        Self { comment: comment.chars().filter(char::is_ascii).take(127).collect(), ..self }
    }

    /// It came in by this link.
    #[must_use]
    pub fn comes_by(self, link: &str) -> Self {
        self.meta(LINK_IN).compare(EQUAL, &set::link(link))
    }

    /// It came in by a link whose name begins so.
    #[must_use]
    pub fn comes_by_any(self, beginning: &str) -> Self {
        self.meta(LINK_IN).compare(EQUAL, beginning.as_bytes())
    }

    /// It goes out by this link.
    #[must_use]
    pub fn goes_by(self, link: &str) -> Self {
        self.meta(LINK_OUT).compare(EQUAL, &set::link(link))
    }

    /// It goes out by a link whose name begins so.
    #[must_use]
    pub fn goes_by_any(self, beginning: &str) -> Self {
        self.meta(LINK_OUT).compare(EQUAL, beginning.as_bytes())
    }

    /// Its connection is in one of these states.
    #[must_use]
    pub fn state(self, states: u32) -> Self {
        let load = Writer::default().put_be32(1, FIRST).put_be32(2, 0); // NFTA_CT_DREG, NFTA_CT_KEY: NFT_CT_STATE
        self.add("ct", load).mask(&states.to_ne_bytes()).compare(OTHER, &[0; 4])
    }

    /// Its addresses were translated on its way in: it is one that a rule of ours has let in.
    #[must_use]
    pub fn led(self) -> Self {
        self.status(0x20, OTHER) // IPS_DST_NAT
    }

    /// It is the first of its connection: others are *new* as long as nobody has answered. Source: nf_conntrack_common.h.
    #[must_use]
    pub fn first(self) -> Self {
        self.status(8, EQUAL) // IPS_CONFIRMED
    }

    fn status(self, bit: u32, compared: u32) -> Self {
        let load = Writer::default().put_be32(1, FIRST).put_be32(2, 2); // NFTA_CT_DREG, NFTA_CT_KEY: NFT_CT_STATUS
        self.add("ct", load).mask(&bit.to_ne_bytes()).compare(compared, &[0; 4])
    }

    /// It is of this family.
    #[must_use]
    pub fn ipv6(self) -> Self {
        self.family(IPV6)
    }

    /// It is of that family.
    #[must_use]
    pub fn ipv4(self) -> Self {
        self.family(IPV4)
    }

    /// It is from this prefix.
    #[must_use]
    pub fn from(self, prefix: Prefix) -> Self {
        self.address(Side::Source, prefix, EQUAL)
    }

    /// It is of the prefix's family, and not from it.
    #[must_use]
    pub fn not_from(self, prefix: Prefix) -> Self {
        self.address(Side::Source, prefix, OTHER)
    }

    /// It is to this prefix.
    #[must_use]
    pub fn to(self, prefix: Prefix) -> Self {
        self.address(Side::Target, prefix, EQUAL)
    }

    /// It is IPv6, and the lower half of the address that it is to is this one's.
    #[must_use]
    pub fn to_identifier(self, identifier: Ipv6Addr) -> Self {
        let mask = u128::from(u64::MAX).to_be_bytes();
        self.family(IPV6).payload(NETWORK_HEADER, 24, 16).mask(&mask).compare(EQUAL, &identifier.octets())
    }

    /// It has not been passed on by anybody: its hop limit is as it was sent. It is IPv6. Source: RFC 4861 §11.2.
    #[must_use]
    pub fn from_the_link(self) -> Self {
        self.family(IPV6).payload(NETWORK_HEADER, 7, 1).compare(EQUAL, &[255])
    }

    /// The address that it is to is one of the gateway's own.
    #[must_use]
    pub fn to_us(self) -> Self {
        const LOCAL: u32 = 2; // RTN_LOCAL
        self.fib(3, 2).compare(EQUAL, &LOCAL.to_ne_bytes()) // NFT_FIB_RESULT_ADDRTYPE; NFTA_FIB_F_DADDR
    }

    /// What is sent to the address that it is from leaves by this link.
    #[must_use]
    pub fn source_is_behind(self, link: &str) -> Self {
        self.fib(2, 1).compare(EQUAL, &set::link(link)) // NFT_FIB_RESULT_OIFNAME; NFTA_FIB_F_SADDR
    }

    /// The same, of links whose names begin so.
    #[must_use]
    pub fn source_is_behind_any(self, beginning: &str) -> Self {
        self.fib(2, 1).compare(EQUAL, beginning.as_bytes())
    }

    /// What is sent to the address that it is from does not leave by the link that it came by.
    #[must_use]
    pub fn source_is_elsewhere(self) -> Self {
        self.fib(1, 1 | 8 | 32).compare(EQUAL, &[0; 4]) // NFT_FIB_RESULT_OIF; NFTA_FIB_F_SADDR, _IIF, _PRESENT
    }

    /// Who sent it, of the gateway's own daemons.
    #[must_use]
    pub fn sent_by(self, uid: u32) -> Self {
        self.meta(OWNER).compare(EQUAL, &uid.to_ne_bytes())
    }

    /// What is loaded, one behind the other, is in this set.
    #[must_use]
    pub fn is_in(self, set: &str, loads: &[Load]) -> Self {
        self.load(loads).add("lookup", Writer::default().put_text(1, set).put_be32(2, FIRST)) // NFTA_LOOKUP_SET, _SREG
    }

    /// It is to this port.
    #[must_use]
    pub fn port(self, protocol: Protocol, port: u16) -> Self {
        self.transport(number(protocol)).payload(TRANSPORT_HEADER, 2, 2).compare(EQUAL, &port.to_be_bytes())
    }

    /// It is to one of these ports, first to last.
    #[must_use]
    pub fn ports(self, protocol: Protocol, first: u16, last: u16) -> Self {
        if first == last {
            return self.port(protocol, first);
        }
        let loaded = self
            .transport(number(protocol))
            .payload(TRANSPORT_HEADER, 2, 2)
            .compare(AT_LEAST, &first.to_be_bytes());
        if last == u16::MAX { loaded } else { loaded.compare(AT_MOST, &last.to_be_bytes()) }
    }

    /// It is from this port of UDP.
    #[must_use]
    pub fn from_port(self, port: u16) -> Self {
        self.transport(UDP).payload(TRANSPORT_HEADER, 0, 2).compare(EQUAL, &port.to_be_bytes())
    }

    /// It is TCP or UDP.
    #[must_use]
    pub fn has_ports(self, protocol: Protocol) -> Self {
        self.transport(number(protocol))
    }

    /// It is IGMP. Source: RFC 3376.
    #[must_use]
    pub fn igmp(self) -> Self {
        self.transport(IGMP)
    }

    /// It is UDP, from this port to that one.
    #[must_use]
    pub fn udp_ports(self, from: u16, to: u16) -> Self {
        let both = [from.to_be_bytes(), to.to_be_bytes()].concat();
        self.transport(UDP).payload(TRANSPORT_HEADER, 0, 4).compare(EQUAL, &both)
    }

    /// It is an ICMP message of this type.
    #[must_use]
    pub fn icmp(self, kind: u8) -> Self {
        self.family(IPV4).transport(ICMP).payload(TRANSPORT_HEADER, 0, 1).compare(EQUAL, &[kind])
    }

    /// It is an `ICMPv6` message of one of these types.
    #[must_use]
    pub fn icmpv6(self, first: u8, last: u8) -> Self {
        let loaded = self.family(IPV6).transport(ICMPV6).payload(TRANSPORT_HEADER, 0, 1);
        if first == last {
            return loaded.compare(EQUAL, &[first]);
        }
        loaded.compare(AT_LEAST, &[first]).compare(AT_MOST, &[last])
    }

    /// No more than so many a second, and so many at once.
    #[must_use]
    pub fn at_most(self, per_second: u64, burst: u32) -> Self {
        self.rate(per_second, burst, 0)
    }

    /// What is more than so many a second, and so many at once.
    #[must_use]
    pub fn beyond(self, per_second: u64, burst: u32) -> Self {
        self.rate(per_second, burst, 1)
    }

    /// There are more than so many connections that have come to this rule.
    #[must_use]
    pub fn connections_beyond(self, count: u32) -> Self {
        self.add("connlimit", Writer::default().put_be32(1, count).put_be32(2, 1)) // NFTA_CONNLIMIT_COUNT, _FLAGS: NFT_CONNLIMIT_F_INV
    }

    fn rate(self, per_second: u64, burst: u32, flags: u32) -> Self {
        let limit = Writer::default()
            .put(1, &per_second.to_be_bytes()) // NFTA_LIMIT_RATE
            .put(2, &1_u64.to_be_bytes()) // NFTA_LIMIT_UNIT: a second
            .put_be32(3, burst) // NFTA_LIMIT_BURST
            .put_be32(4, 0) // NFTA_LIMIT_TYPE: packets
            .put_be32(5, flags); // NFTA_LIMIT_FLAGS: up to, or NFT_LIMIT_F_INV
        self.add("limit", limit)
    }

    fn add(mut self, name: &str, data: Writer) -> Self {
        let expression = Writer::default().put_text(1, name).nest(2, data); // NFTA_EXPR_NAME, NFTA_EXPR_DATA
        self.expressions = self.expressions.nest(ELEMENT, expression);
        self
    }

    fn meta(self, key: u32) -> Self {
        self.meta_to(FIRST, key)
    }

    fn meta_to(self, to: u32, key: u32) -> Self {
        self.add("meta", Writer::default().put_be32(1, to).put_be32(2, key)) // NFTA_META_DREG, NFTA_META_KEY
    }

    fn fib(self, result: u32, flags: u32) -> Self {
        self.add("fib", Writer::default().put_be32(1, FIRST).put_be32(2, result).put_be32(3, flags)) // NFTA_FIB_DREG, _RESULT, _FLAGS
    }

    /// Loads parts of a key one behind the other, beginning with the first register.
    fn load(mut self, loads: &[Load]) -> Self {
        for load in loads {
            match load {
                Load::From4 | Load::To4 => self = self.family(IPV4),
                Load::From6 | Load::To6 => self = self.family(IPV6),
                Load::LinkIn | Load::LinkOut | Load::Protocol | Load::ToPort => continue,
            }
            break; // Of one family is enough.
        }
        let mut at = 0;
        for load in loads {
            let to = register(at);
            self = match load {
                Load::LinkIn => self.meta_to(to, LINK_IN),
                Load::LinkOut => self.meta_to(to, LINK_OUT),
                Load::Protocol => self.meta_to(to, TRANSPORT),
                Load::ToPort => self.payload_to(to, TRANSPORT_HEADER, 2, 2),
                Load::From4 => self.payload_to(to, NETWORK_HEADER, 12, 4),
                Load::To4 => self.payload_to(to, NETWORK_HEADER, 16, 4),
                Load::From6 => self.payload_to(to, NETWORK_HEADER, 8, 16),
                Load::To6 => self.payload_to(to, NETWORK_HEADER, 24, 16),
            };
            at += load.field().bytes();
        }
        self
    }

    fn payload(self, base: u32, offset: u32, length: u32) -> Self {
        self.payload_to(FIRST, base, offset, length)
    }

    fn payload_to(self, to: u32, base: u32, offset: u32, length: u32) -> Self {
        let load = Writer::default()
            .put_be32(1, to) // NFTA_PAYLOAD_DREG
            .put_be32(2, base) // NFTA_PAYLOAD_BASE
            .put_be32(3, offset) // NFTA_PAYLOAD_OFFSET
            .put_be32(4, length); // NFTA_PAYLOAD_LEN
        self.add("payload", load)
    }

    fn compare(self, operation: u32, value: &[u8]) -> Self {
        let compare = Writer::default()
            .put_be32(1, FIRST) // NFTA_CMP_SREG
            .put_be32(2, operation) // NFTA_CMP_OP
            .nest(3, data(value)); // NFTA_CMP_DATA
        self.add("cmp", compare)
    }

    fn mask(self, mask: &[u8]) -> Self {
        self.flip(mask, &vec![0; mask.len()])
    }

    /// Keeps the bits of `mask`, and turns those of `flipped`.
    fn flip(self, mask: &[u8], flipped: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or(0);
        let bits = Writer::default()
            .put_be32(1, FIRST) // NFTA_BITWISE_SREG
            .put_be32(2, FIRST) // NFTA_BITWISE_DREG
            .put_be32(3, length) // NFTA_BITWISE_LEN
            .nest(4, data(mask)) // NFTA_BITWISE_MASK
            .nest(5, data(flipped)); // NFTA_BITWISE_XOR
        self.add("bitwise", bits)
    }

    fn family(mut self, family: u8) -> Self {
        if self.family.replace(family) == Some(family) {
            return self; // It is said.
        }
        self.meta(FAMILY).compare(EQUAL, &[family])
    }

    fn transport(mut self, protocol: u8) -> Self {
        if self.transport.replace(protocol) == Some(protocol) {
            return self;
        }
        self.meta(TRANSPORT).compare(EQUAL, &[protocol])
    }

    fn address(self, side: Side, prefix: Prefix, operation: u32) -> Self {
        let (offset, first, family) = match (side, prefix.first()) {
            (Side::Source, IpAddr::V4(first)) => (12, first.octets().to_vec(), IPV4),
            (Side::Target, IpAddr::V4(first)) => (16, first.octets().to_vec(), IPV4),
            (Side::Source, IpAddr::V6(first)) => (8, first.octets().to_vec(), IPV6),
            (Side::Target, IpAddr::V6(first)) => (24, first.octets().to_vec(), IPV6),
        };
        let (length, all) = (prefix.length(), if family == IPV4 { 4 } else { 16 });
        let loaded = self.family(family);
        if length == 0 && operation == EQUAL {
            return loaded;
        }
        // Whole bytes need no mask: only they are loaded.
        if length > 0 && length.is_multiple_of(8) {
            let alike = first.get(..usize::from(length / 8)).unwrap_or_default();
            return loaded.payload(NETWORK_HEADER, offset, u32::from(length / 8)).compare(operation, alike);
        }
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0).to_be_bytes();
        let mask = mask.get(..first.len()).unwrap_or_default();
        loaded.payload(NETWORK_HEADER, offset, all).mask(mask).compare(operation, &first)
    }
}

/// The register in which byte number `at` of a key lies, as the kernel lists it: the four of sixteen bytes begin with
/// `NFT_REG_1`, the sixteen of four with `NFT_REG32_00`.
fn register(at: u32) -> u32 {
    if at.is_multiple_of(16) { FIRST + at / 16 } else { 8 + at / 4 }
}

fn data(value: &[u8]) -> Writer {
    Writer::default().put(1, value) // NFTA_DATA_VALUE
}

/// The protocol's number. Source: IANA, protocol numbers.
#[must_use]
pub fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}
