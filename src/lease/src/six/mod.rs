//! IPv6: routers and DHCPv6 on the WAN, router advertisements and DHCPv6 on the LAN.
//!
//! In:  what `network` wants of IPv6 on a link, packets, time. Out: packets; all that is known of IPv6 on a link ([`contract::learn::Ipv6`]).
//!
//! First what is written on the wire, then what follows from it (all of that is pure), then the sockets around it.
//!
//! Not here: addresses and routes in the kernel (`network`), IPv6CP (`ppp`).
//!
//! Source: RFC 4861, RFC 8415, RFC 7084, RFC 9096; docs/ipv6.md.

pub mod bytes;
pub mod packet;

pub mod advert;
pub mod domain;
pub mod message;

pub mod chance;
pub mod keyed;

pub mod router;

pub mod grant;

pub mod client;

pub mod answer;
pub mod question;

pub mod told;

pub mod announce;

pub mod bindings;
pub mod server;

pub mod keep;
pub mod socket;

pub mod lan;
pub mod wan;
