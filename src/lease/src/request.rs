//! What our client says, as a message.
//!
//! In:  a [`Say`] and our link-layer address. Out: a [`Message`] and where it goes.
//!
//! The client identifier is hardware type and address (RFC 2132 §9.14): what access networks key their leases and their line profiles
//! on. RFC 4361's form asks for a stored DUID that survives everything; it comes with DHCPv6. No host name is sent: an operator does
//! not need one.
//!
//! Source: RFC 2131 §4.4.1 (table 5) and §4.3.2 (what a `REQUEST` holds in which state).

use std::net::Ipv4Addr;

use heapless::Vec;

use crate::client::Say;
use crate::message::{Identifier, Kind, Mac, Message, code};
use crate::schedule::Try;

/// What we would like to be told.
const PARAMETERS: [u8; 7] =
    [code::MASK, code::ROUTER, code::NAME_SERVERS, code::LEASE, code::SERVER, code::RENEW, code::REBIND];
/// The largest message that we take, in bytes with IP and UDP: an Ethernet frame, as nothing here puts fragments together.
pub const SIZE_MAX: u16 = 1500;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To everybody on the link, from this address (`UNSPECIFIED` while we have none).
    Broadcast {
        /// From which address.
        from: Ipv4Addr,
    },
    /// To one server, by the kernel's own UDP.
    Unicast {
        /// From our address.
        from: Ipv4Addr,
        /// To the server.
        to: Ipv4Addr,
    },
}

/// Returns the message that says `say`, and where it goes.
#[must_use]
pub fn message(say: Say, own: Mac) -> (Message, Way) {
    let nobody = Way::Broadcast { from: Ipv4Addr::UNSPECIFIED };
    match say {
        Say::Discover(asked) => (question(Kind::Discover, asked, own), nobody),
        Say::Take(asked, address, server) => {
            let request = question(Kind::Request, asked, own);
            (Message { requested: Some(address), server: Some(server), ..request }, nobody)
        }
        Say::Confirm(asked, address) => {
            (Message { requested: Some(address), ..question(Kind::Request, asked, own) }, nobody)
        }
        Say::Renew(asked, address, server) => {
            let request = Message { ciaddr: address, ..question(Kind::Request, asked, own) };
            (request, Way::Unicast { from: address, to: server })
        }
        Say::Rebind(asked, address) => {
            let request = Message { ciaddr: address, ..question(Kind::Request, asked, own) };
            (request, Way::Broadcast { from: address })
        }
        Say::Decline(asked, address, server) => {
            let decline = plain(Kind::Decline, asked, own);
            (Message { requested: Some(address), server: Some(server), ..decline }, nobody)
        }
    }
}

fn question(kind: Kind, asked: Try, own: Mac) -> Message {
    let parameters = Vec::from_slice(&PARAMETERS).unwrap_or_default();
    Message { parameters, size_max: Some(SIZE_MAX), ..plain(kind, asked, own) }
}

fn plain(kind: Kind, asked: Try, own: Mac) -> Message {
    let [a, b, c, d, e, f] = own;
    // Hardware type 1: Ethernet. Source: RFC 1700.
    let identifier = Identifier::from_slice(&[1, a, b, c, d, e, f]).ok();
    Message { secs: asked.secs, identifier, ..Message::new(kind, asked.xid, own) }
}

#[cfg(test)]
mod tests {
    use super::{Way, message};
    use crate::client::Say;
    use crate::message::Kind;
    use crate::schedule::{Moment, Try};
    use std::net::Ipv4Addr;

    #[test]
    fn a_request_holds_what_its_state_asks_for() {
        let asked = Try { secs: 5, ..Try::first(Moment { ms: 0, random: 9 << 32 }) };
        let (address, server) = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        let none = Ipv4Addr::UNSPECIFIED;
        let everybody = |from| Way::Broadcast { from };
        // RFC 2131 §4.3.2: what is said, kind, ciaddr, requested address, server identifier, way
        let table = [
            (Say::Discover(asked), Kind::Discover, none, None, None, everybody(none)),
            (
                Say::Take(asked, address, server),
                Kind::Request,
                none,
                Some(address),
                Some(server),
                everybody(none),
            ),
            (Say::Confirm(asked, address), Kind::Request, none, Some(address), None, everybody(none)),
            (
                Say::Renew(asked, address, server),
                Kind::Request,
                address,
                None,
                None,
                Way::Unicast { from: address, to: server },
            ),
            (Say::Rebind(asked, address), Kind::Request, address, None, None, everybody(address)),
            (
                Say::Decline(asked, address, server),
                Kind::Decline,
                none,
                Some(address),
                Some(server),
                everybody(none),
            ),
        ];
        for (say, kind, ciaddr, requested, server, way) in table {
            let (message, to) = message(say, [2, 0, 0, 0, 0, 1]);
            assert_eq!((message.kind, message.ciaddr, to), (kind, ciaddr, way), "{say:?}");
            assert_eq!((message.requested, message.server, message.xid), (requested, server, 9), "{say:?}");
        }
    }
}
