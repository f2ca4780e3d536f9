//! DHCPv4: a client on the WAN, a server on the LAN.
//!
//! In:  a wish from `network` (wire `learn`), packets of two links. Out: leases got (told to `network`) and leases given.
//!
//! Not here: addresses and routes in the kernel (`network`), DNS, DHCPv6, router advertisements, PPPoE.
//!
//! Source: RFC 2131, RFC 2132; docs/leases.md.
#![forbid(unsafe_code)]

pub mod message;

pub mod arp;
pub mod datagram;

pub mod client;
pub mod request;
pub mod schedule;
pub mod terms;

pub mod server;
pub mod table;
