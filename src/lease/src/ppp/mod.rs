//! PPPoE: a session with an access concentrator, spoken by us; the kernel only carries its packets.
//!
//! In:  a wish from `network`, news of the link, packets, descriptors of a PPP link. Out: packets, what was learned.
//!
//! Discovery goes by `AF_PACKET`; the control protocols go by the kernel's PPPoE socket until the peer has let us in. Then `network` is
//! asked to make a PPP link of it, and they go by the descriptors of channel and unit that it gives.
//!
//! Not here: the PPP link's addresses, routes and MTU (`network`), IPv6 over it (router advertisements, DHCPv6).
//!
//! Source: RFC 2516, RFC 4638 (PPPoE); RFC 1661 (PPP); docs/pppoe.md.

pub mod automaton;
pub mod packet;

pub mod layer;

pub mod auth;
pub mod ipcp;
pub mod ipv6cp;
pub mod lcp;

pub mod discovery;

pub mod echo;
pub mod live;
pub mod session;

pub mod kernel;
pub mod line;
pub mod memory;
