//! What a rule does with a packet that its words fit.
//!
//! In:  a rule that compares. Out: the same, and what follows: a verdict, another address, a mark.
//!
//! Not here: what is compared (`expression.rs`).
//!
//! Source: linux/netfilter/nf_tables.h; `nft --debug=netlink`.

use std::net::Ipv4Addr;

use super::{
    EQUAL, FIRST, IPV4, Load, MARK, NETWORK_HEADER, PRIORITY, Rule, SECOND, TCP, TRANSPORT_HEADER, VERDICT,
    data, register,
};
use crate::bytes::Writer;

impl Rule {
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

    /// Thrown away, and the sender is told that its address is not one that may leave here. It is IPv6. Source: RFC 7084 L-14.
    #[must_use]
    pub fn refuse_source(self) -> Self {
        // NFTA_REJECT_TYPE: NFT_REJECT_ICMP_UNREACH; NFTA_REJECT_ICMP_CODE: source address failed ingress/egress policy
        self.ipv6().add("reject", Writer::default().put_be32(1, 0).put(2, &[5]))
    }

    /// Judged by the rules of another chain; if they say nothing, the next rule follows.
    #[must_use]
    pub fn asks(self, chain: &str) -> Self {
        const JUMP: i32 = -3; // NFT_JUMP
        self.verdict_by(JUMP, chain)
    }

    /// Judged by the rules of another chain and none behind this one.
    #[must_use]
    pub fn goes_to(self, chain: &str) -> Self {
        const GOTO: i32 = -4; // NFT_GOTO
        self.verdict_by(GOTO, chain)
    }

    /// Nothing more of this chain.
    #[must_use]
    pub fn leaves(self) -> Self {
        const RETURN: i32 = -5; // NFT_RETURN
        self.verdict(RETURN.cast_unsigned())
    }

    /// What follows in this connection takes the short way, and its packets are still counted.
    #[must_use]
    pub fn offload(self, flowtable: &str) -> Self {
        self.add("flow_offload", Writer::default().put_text(1, flowtable)) // NFTA_FLOW_TABLE_NAME
    }

    /// The mark's bits of `mask` are `mark`, on the packet and on its connection.
    #[must_use]
    pub fn mark(self, mark: u32, mask: u32) -> Self {
        let set = Writer::default().put_be32(2, MARK).put_be32(3, FIRST); // NFTA_META_KEY, NFTA_META_SREG
        let keep = Writer::default().put_be32(2, 3).put_be32(4, FIRST); // NFTA_CT_KEY: NFT_CT_MARK, NFTA_CT_SREG
        self.meta(MARK).bits(!mask, mark).add("meta", set).meta(MARK).add("ct", keep)
    }

    /// The connection that it begins is known in this zone: a table of its own, so to speak, beside those of others. Answers find it
    /// in the zone of everybody, as they come by other links.
    #[must_use]
    pub fn zone(self, zone: u16) -> Self {
        let set = Writer::default()
            .put_be32(2, 17) // NFTA_CT_KEY: NFT_CT_ZONE
            .put_be32(4, FIRST) // NFTA_CT_SREG
            .put(3, &[0]); // NFTA_CT_DIRECTION: IP_CT_DIR_ORIGINAL
        self.immediate(FIRST, &zone.to_ne_bytes()).add("ct", set)
    }

    /// Its priority inside the kernel.
    #[must_use]
    pub fn priority(self, priority: u32) -> Self {
        let set = Writer::default().put_be32(2, PRIORITY).put_be32(3, FIRST);
        self.immediate(FIRST, &priority.to_ne_bytes()).add("meta", set)
    }

    /// Its differentiated services codepoint. Source: RFC 2474 §3.
    #[must_use]
    pub fn dscp(self, codepoint: u8, ipv6: bool) -> Self {
        // The first sixteen bits: version, then, in IPv4 after the header's length, six bits, and two of RFC 3168.
        let (kept, bits): (u16, u16) =
            if ipv6 { (0xf03f, u16::from(codepoint) << 6) } else { (0xff03, u16::from(codepoint) << 2) };
        let sum: [u32; 2] = if ipv6 { [0, 0] } else { [1, 10] }; // NFT_PAYLOAD_CSUM_INET, and where IPv4 has it
        let write = Writer::default()
            .put_be32(5, FIRST) // NFTA_PAYLOAD_SREG
            .put_be32(2, NETWORK_HEADER) // NFTA_PAYLOAD_BASE
            .put_be32(3, 0) // NFTA_PAYLOAD_OFFSET
            .put_be32(4, 2) // NFTA_PAYLOAD_LEN
            .put_be32(6, sum[0]) // NFTA_PAYLOAD_CSUM_TYPE
            .put_be32(7, sum[1]); // NFTA_PAYLOAD_CSUM_OFFSET
        let loaded = if ipv6 { self.ipv6() } else { self.ipv4() }.payload(NETWORK_HEADER, 0, 2);
        loaded.flip(&kept.to_be_bytes(), &bits.to_be_bytes()).add("payload", write)
    }

    /// Sent on to the address and port that this map says of what is loaded.
    #[must_use]
    pub fn lead_by(self, map: &str, loads: &[Load]) -> Self {
        let lookup = Writer::default()
            .put_text(1, map) // NFTA_LOOKUP_SET
            .put_be32(2, FIRST) // NFTA_LOOKUP_SREG
            .put_be32(3, FIRST); // NFTA_LOOKUP_DREG
        let nat = translation().put_be32(5, register(4)); // NFTA_NAT_REG_PROTO_MIN
        self.load(loads).add("lookup", lookup).add("nat", nat)
    }

    /// The packet's mark is what this map says of what is loaded, and so is its connection's.
    #[must_use]
    pub fn mark_by(self, map: &str, loads: &[Load]) -> Self {
        let lookup = Writer::default().put_text(1, map).put_be32(2, FIRST).put_be32(3, FIRST);
        let set = Writer::default().put_be32(2, MARK).put_be32(3, FIRST);
        let keep = Writer::default().put_be32(2, 3).put_be32(4, FIRST);
        self.load(loads).add("lookup", lookup).add("meta", set).meta(MARK).add("ct", keep)
    }

    /// Sent on to this address; the port stays.
    #[must_use]
    pub fn send_to_host(self, address: Ipv4Addr) -> Self {
        self.immediate(FIRST, &address.octets()).add("nat", translation())
    }

    /// Sent on with the address of the link that it leaves by.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.add("masq", Writer::default())
    }

    /// Sent on to this address and port.
    #[must_use]
    pub fn send_to(self, address: Ipv4Addr, port: u16) -> Self {
        let nat = translation().put_be32(5, SECOND); // NFTA_NAT_REG_PROTO_MIN
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

    fn verdict(self, code: u32) -> Self {
        let data = Writer::default().nest(2, Writer::default().put_be32(1, code)); // NFTA_DATA_VERDICT, NFTA_VERDICT_CODE
        self.add("immediate", Writer::default().put_be32(1, VERDICT).nest(2, data))
    }

    fn verdict_by(self, code: i32, chain: &str) -> Self {
        let verdict = Writer::default().put_be32(1, code.cast_unsigned()).put_text(2, chain); // NFTA_VERDICT_CODE, _CHAIN
        let data = Writer::default().nest(2, verdict);
        self.add("immediate", Writer::default().put_be32(1, VERDICT).nest(2, data))
    }

    fn immediate(self, register: u32, value: &[u8]) -> Self {
        self.add("immediate", Writer::default().put_be32(1, register).nest(2, data(value)))
    }

    fn bits(self, mask: u32, set: u32) -> Self {
        self.flip(&mask.to_ne_bytes(), &set.to_ne_bytes())
    }
}

/// The beginning of every translation: to the address in the first register, in IPv4.
fn translation() -> Writer {
    Writer::default()
        .put_be32(1, 1) // NFTA_NAT_TYPE: NFT_NAT_DNAT
        .put_be32(2, u32::from(IPV4)) // NFTA_NAT_FAMILY
        .put_be32(3, FIRST) // NFTA_NAT_REG_ADDR_MIN
}
