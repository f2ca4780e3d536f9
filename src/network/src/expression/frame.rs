//! What a rule asks of a frame at a bridge's port: the tags that it has.
//!
//! In:  a rule. Out: the same, and a comparison.
//!
//! The kernel takes the outer tag off every frame before a bridge sees it and keeps it aside. It is as if the frame had none, but where the
//! link's header is asked for: there the tag is put back.
//!
//! Source: net/core/dev.c (`__netif_receive_skb_core`), net/netfilter/nft_payload.c (`nft_payload_copy_vlan`); linux/if_ether.h.

use super::{EQUAL, LINK_HEADER, PROTOCOL, Rule};

/// A VLAN's tag: that of a customer, that of a provider. Source: IEEE 802.1Q table 9-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// `ETH_P_8021Q`.
    Customer,
    /// `ETH_P_8021AD`.
    Provider,
}

impl Tag {
    fn protocol(self) -> [u8; 2] {
        match self {
            Self::Customer => [0x81, 0x00],
            Self::Provider => [0x88, 0xa8],
        }
    }
}

impl Rule {
    /// Its outer tag is such a one.
    #[must_use]
    pub fn begins_with(self, tag: Tag) -> Self {
        const AT: u32 = 12; // Behind both stations' addresses.
        self.payload(LINK_HEADER, AT, 2).compare(EQUAL, &tag.protocol())
    }

    /// Behind the outer tag stands such a one.
    #[must_use]
    pub fn holds(self, tag: Tag) -> Self {
        self.meta(PROTOCOL).compare(EQUAL, &tag.protocol())
    }
}
