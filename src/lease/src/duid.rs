//! Who we are to DHCP servers, in both families: the DUID, and the number of a link (IAID).
//!
//! In:  the link-layer address of a link of the operator's side; its name. Out: bytes.
//!
//! It is a DUID-LL: it needs no memory, so it is the same before the data disk has come and after it was lost; the link is soldered on,
//! as RFC 8415 asks. All plays share the WAN link's address, so they share the DUID and differ by IAID.
//!
//! Source: RFC 8415 §11.4 (DUID-LL), §12 (IAID); RFC 4361 §6.1 (the client identifier of DHCPv4).

use heapless::Vec;

use crate::message::{Identifier, Mac};

/// Bytes of a DUID-LL for Ethernet: its type, the hardware type, the address.
pub const DUID_BYTES: usize = 10;
/// DUID-LL. Source: RFC 8415 §11.4.
const LINK_LAYER: [u8; 2] = [0, 3];
/// Ethernet. Source: RFC 1700, "Number Hardware Type".
const ETHERNET: [u8; 2] = [0, 1];
/// The type of a client identifier that holds an IAID and a DUID. Source: RFC 4361 §6.1.
const NODE_SPECIFIC: u8 = 255;

/// A DUID.
pub type Duid = Vec<u8, DUID_BYTES>;

/// Our DUID.
#[must_use]
pub fn duid(mac: Mac) -> Duid {
    LINK_LAYER.into_iter().chain(ETHERNET).chain(mac).collect()
}

/// The number of the link `name`: always the same, and another for another name (FNV-1a, 32 bits: draft-eastlake-fnv §2).
#[must_use]
pub fn iaid(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The client identifier of DHCPv4 on the link `name`. Source: RFC 4361 §6.1.
#[must_use]
pub fn identifier(mac: Mac, name: &str) -> Identifier {
    [NODE_SPECIFIC].into_iter().chain(iaid(name).to_be_bytes()).chain(duid(mac)).collect()
}

#[cfg(test)]
mod tests {
    use super::{duid, iaid, identifier};

    #[test]
    fn we_are_always_the_same() {
        let mac = [2, 0, 0, 0, 0, 1];
        assert_eq!(duid(mac).as_slice(), [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        assert_ne!(iaid("wan"), iaid("wan.20"));
        assert_eq!(iaid("a"), 0xe40c_292c, "draft-eastlake-fnv, appendix C");
        let words = identifier(mac, "a");
        assert_eq!(words.as_slice(), [255, 0xe4, 0x0c, 0x29, 0x2c, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
    }
}
