//! One rule of the firewall, as the kernel's small machine runs it: load into a register, compare, act.
//!
//! In:  what a rule says, word by word. Out: a list of expressions, as bytes. Pure.
//!
//! Each method adds what nft(8) compiles the same words to, so `nft list ruleset` reads them back as words; the tests hold it to that.
//!
//! Not here: which rules there are (`firewall.rs`), tables and chains (`ruleset.rs`).
//!
//! Source: linux/netfilter/nf_tables.h, linux/netfilter/nf_conntrack_common.h; `nft --debug=netlink`.

use std::net::Ipv4Addr;

use contract::manifest::Protocol;

use crate::bytes::{ELEMENT, Writer};
use crate::target::Prefix;

/// `NFT_REG_VERDICT`.
const VERDICT: u32 = 0;
/// The register that everything goes through: `NFT_REG_1`, 16 bytes.
const FIRST: u32 = 1;
/// The other one, for a port beside an address.
const SECOND: u32 = 2;

/// `NFT_META_IIFNAME`.
const LINK_IN: u32 = 6;
/// `NFT_META_OIFNAME`.
const LINK_OUT: u32 = 7;
/// `NFT_META_NFPROTO`.
const FAMILY: u32 = 15;
/// `NFT_META_L4PROTO`.
const TRANSPORT: u32 = 16;

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
const ICMP: u8 = 1; // IANA protocol numbers, also the next two
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// States of a connection: bits of `NFT_CT_STATE`.
pub const INVALID: u32 = 1;
/// Packets of a connection that was let in.
pub const ESTABLISHED: u32 = 2;
/// Packets about one.
pub const RELATED: u32 = 4;

/// One rule in the making.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Its chain.
    pub chain: &'static str,
    /// A word for whoever lists it.
    pub comment: String,
    /// Its expressions: a list of [`ELEMENT`]s.
    pub expressions: Writer,
}

impl Rule {
    /// An empty rule.
    #[must_use]
    pub fn of(chain: &'static str) -> Self {
        Self { chain, comment: String::new(), expressions: Writer::default() }
    }

    /// With a word for whoever lists it: at most 127 bytes are kept (`NFTNL_UDATA_COMMENT_MAXLEN` is 128, with its NUL).
    #[must_use]
    pub fn says(self, comment: &str) -> Self {
        Self { comment: comment.chars().filter(char::is_ascii).take(127).collect(), ..self }
    }

    /// It came in by this link.
    #[must_use]
    pub fn comes_by(self, link: &str) -> Self {
        self.meta(LINK_IN).compare(EQUAL, &name(link))
    }

    /// It came in by a link whose name begins so.
    #[must_use]
    pub fn comes_by_any(self, beginning: &str) -> Self {
        self.meta(LINK_IN).compare(EQUAL, beginning.as_bytes())
    }

    /// It goes out by this link.
    #[must_use]
    pub fn goes_by(self, link: &str) -> Self {
        self.meta(LINK_OUT).compare(EQUAL, &name(link))
    }

    /// Its connection is in one of these states.
    #[must_use]
    pub fn state(self, states: u32) -> Self {
        let load = Writer::default().put_be32(1, FIRST).put_be32(2, 0); // NFTA_CT_DREG, NFTA_CT_KEY: NFT_CT_STATE
        self.add("ct", load).mask(&states.to_ne_bytes()).compare(OTHER, &[0; 4])
    }

    /// It is from this IPv4 prefix.
    #[must_use]
    pub fn from(self, prefix: Prefix) -> Self {
        self.family(IPV4).address(12, prefix, EQUAL)
    }

    /// It is IPv4, and not from this prefix.
    #[must_use]
    pub fn not_from(self, prefix: Prefix) -> Self {
        self.family(IPV4).address(12, prefix, OTHER)
    }

    /// It is IPv4 and to this prefix.
    #[must_use]
    pub fn to(self, prefix: Prefix) -> Self {
        self.family(IPV4).address(16, prefix, EQUAL)
    }

    /// It is to this port.
    #[must_use]
    pub fn port(self, protocol: Protocol, port: u16) -> Self {
        self.transport(number(protocol)).payload(TRANSPORT_HEADER, 2, 2).compare(EQUAL, &port.to_be_bytes())
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
        let limit = Writer::default()
            .put(1, &per_second.to_be_bytes()) // NFTA_LIMIT_RATE
            .put(2, &1_u64.to_be_bytes()) // NFTA_LIMIT_UNIT: a second
            .put_be32(3, burst) // NFTA_LIMIT_BURST
            .put_be32(4, 0) // NFTA_LIMIT_TYPE: packets
            .put_be32(5, 0); // NFTA_LIMIT_FLAGS: up to, not over
        self.add("limit", limit)
    }

    /// Let through.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(1) // NF_ACCEPT
    }

    /// Thrown away.
    #[must_use]
    pub fn throw_away(self) -> Self {
        self.verdict(0) // NF_DROP
    }

    /// Thrown away, and the sender is told: by a reset if it is TCP, which nothing takes for a passing trouble.
    #[must_use]
    pub fn reset(self) -> Self {
        self.transport(TCP).add("reject", Writer::default().put_be32(1, 1)) // NFTA_REJECT_TYPE: NFT_REJECT_TCP_RST
    }

    /// Thrown away, and the sender is told: administratively prohibited, in the words of its own IP version.
    #[must_use]
    pub fn refuse(self) -> Self {
        // NFTA_REJECT_TYPE: NFT_REJECT_ICMPX_UNREACH; NFTA_REJECT_ICMP_CODE: NFT_REJECT_ICMPX_ADMIN_PROHIBITED
        self.add("reject", Writer::default().put_be32(1, 2).put(2, &[3]))
    }

    /// Sent on with the address of the link that it leaves by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.add("masq", Writer::default())
    }

    /// Sent on to this address and port.
    #[must_use]
    pub fn send_to(self, address: Ipv4Addr, port: u16) -> Self {
        let nat = Writer::default()
            .put_be32(1, 1) // NFTA_NAT_TYPE: NFT_NAT_DNAT
            .put_be32(2, u32::from(IPV4)) // NFTA_NAT_FAMILY
            .put_be32(3, FIRST) // NFTA_NAT_REG_ADDR_MIN
            .put_be32(5, SECOND); // NFTA_NAT_REG_PROTO_MIN
        self.immediate(FIRST, &address.octets()).immediate(SECOND, &port.to_be_bytes()).add("nat", nat)
    }

    /// It begins a TCP connection (or answers that): the largest segment that it offers is cut to what the route can carry.
    #[must_use]
    pub fn clamp(self) -> Self {
        const SYN: u8 = 2;
        const SYN_OR_RST: u8 = 6;
        let begins =
            self.transport(TCP).payload(TRANSPORT_HEADER, 13, 1).mask(&[SYN_OR_RST]).compare(EQUAL, &[SYN]);
        let route = Writer::default().put_be32(1, FIRST).put_be32(2, 3); // NFTA_RT_DREG, NFTA_RT_KEY: NFT_RT_TCPMSS
        let turn = Writer::default()
            .put_be32(1, FIRST) // NFTA_BYTEORDER_SREG
            .put_be32(2, FIRST) // NFTA_BYTEORDER_DREG
            .put_be32(3, 1) // NFTA_BYTEORDER_OP: NFT_BYTEORDER_HTON
            .put_be32(4, 2) // NFTA_BYTEORDER_LEN
            .put_be32(5, 2); // NFTA_BYTEORDER_SIZE
        let write = Writer::default()
            .put(2, &[2]) // NFTA_EXTHDR_TYPE: TCPOPT_MAXSEG
            .put_be32(3, 2) // NFTA_EXTHDR_OFFSET
            .put_be32(4, 2) // NFTA_EXTHDR_LEN
            .put_be32(6, 1) // NFTA_EXTHDR_OP: NFT_EXTHDR_OP_TCPOPT
            .put_be32(7, FIRST); // NFTA_EXTHDR_SREG
        begins.add("rt", route).add("byteorder", turn).add("exthdr", write)
    }

    fn add(mut self, name: &str, data: Writer) -> Self {
        let expression = Writer::default().put_text(1, name).nest(2, data); // NFTA_EXPR_NAME, NFTA_EXPR_DATA
        self.expressions = self.expressions.nest(ELEMENT, expression);
        self
    }

    fn meta(self, key: u32) -> Self {
        self.add("meta", Writer::default().put_be32(1, FIRST).put_be32(2, key)) // NFTA_META_DREG, NFTA_META_KEY
    }

    fn payload(self, base: u32, offset: u32, length: u32) -> Self {
        let load = Writer::default()
            .put_be32(1, FIRST) // NFTA_PAYLOAD_DREG
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
        let length = u32::try_from(mask.len()).unwrap_or(0);
        let bits = Writer::default()
            .put_be32(1, FIRST) // NFTA_BITWISE_SREG
            .put_be32(2, FIRST) // NFTA_BITWISE_DREG
            .put_be32(3, length) // NFTA_BITWISE_LEN
            .nest(4, data(mask)) // NFTA_BITWISE_MASK
            .nest(5, data(&vec![0; mask.len()])); // NFTA_BITWISE_XOR
        self.add("bitwise", bits)
    }

    fn immediate(self, register: u32, value: &[u8]) -> Self {
        self.add("immediate", Writer::default().put_be32(1, register).nest(2, data(value)))
    }

    fn verdict(self, code: u32) -> Self {
        let data = Writer::default().nest(2, Writer::default().put_be32(1, code)); // NFTA_DATA_VERDICT, NFTA_VERDICT_CODE
        self.add("immediate", Writer::default().put_be32(1, VERDICT).nest(2, data))
    }

    fn family(self, family: u8) -> Self {
        self.meta(FAMILY).compare(EQUAL, &[family])
    }

    fn transport(self, protocol: u8) -> Self {
        self.meta(TRANSPORT).compare(EQUAL, &[protocol])
    }

    fn address(self, offset: u32, prefix: Prefix, operation: u32) -> Self {
        let (length, first) = (u32::from(prefix.length()), prefix.first().octets());
        // Whole bytes need no mask: only they are loaded.
        if length > 0 && length.is_multiple_of(8) {
            let alike = first.get(..usize::from(prefix.length() / 8)).unwrap_or_default();
            return self.payload(NETWORK_HEADER, offset, length / 8).compare(operation, alike);
        }
        self.payload(NETWORK_HEADER, offset, 4).mask(&prefix.mask().to_be_bytes()).compare(operation, &first)
    }
}

fn data(value: &[u8]) -> Writer {
    Writer::default().put(1, value) // NFTA_DATA_VALUE
}

/// A link's name as registers hold it: sixteen bytes, the rest zero (`IFNAMSIZ`).
fn name(link: &str) -> Vec<u8> {
    let mut bytes = link.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}
