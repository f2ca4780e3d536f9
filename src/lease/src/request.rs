//! What our client says, as a message.
//!
//! In:  a [`Say`], our link-layer address, the words that this operator wants to hear. Out: a [`Message`] and where it goes.
//!
//! The client identifier is RFC 4361's, of the DUID that DHCPv6 has too, unless the operator wants another: a text goes behind a zero
//! byte ("no hardware type", RFC 2132 §9.14), bytes in hex go as they are.
//!
//! Source: RFC 2131 §4.4.1 (table 5) and §4.3.2 (what a `REQUEST` holds in which state).

use std::net::Ipv4Addr;

use contract::wanted::access::Dhcp;
use heapless::Vec;

use crate::client::Say;
use crate::duid;
use crate::message::{HOST_BYTES, Identifier, Kind, Mac, Message, PARAMETERS, VENDOR_BYTES};
use crate::options::code;
use crate::schedule::Try;
use crate::usp::Device;

/// What we would like to be told; who the server is it says in any case (RFC 2131 §4.3.1, table 3). Classless routes go before the router (RFC 3442, "Client Behavior").
const WISHES: [u8; 11] = [
    code::MASK,
    code::ROUTES,
    code::ROUTER,
    code::NAME_SERVERS,
    code::TIME_SERVERS,
    code::VENDOR,
    code::LEASE,
    code::RENEW,
    code::REBIND,
    code::SIP_SERVERS,
    code::VENDOR_SPECIFIC,
];
const _: () = assert!(WISHES.len() < PARAMETERS, "and the domain");
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

/// The words that an operator wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    own: Mac,
    identifier: Identifier,
    vendor_class: Vec<u8, VENDOR_BYTES>,
    vendor_specific: Vec<u8, VENDOR_BYTES>,
    host: Vec<u8, HOST_BYTES>,
    usp: bool,
}

impl Words {
    /// The words that `dhcp` asks for on the link `name`, whose address is `own`. What is no hex counts as not asked for.
    #[must_use]
    pub fn new(dhcp: &Dhcp, name: &str, own: Mac) -> Self {
        let identifier = match dhcp.client_id.as_str() {
            "" => None,
            text if text.starts_with("0x") => hex(text),
            // What is too long is cut off.
            text => Some([0].into_iter().chain(text.bytes()).take(Identifier::new().capacity()).collect()),
        };
        Self {
            own,
            identifier: identifier
                .filter(|identifier| identifier.len() >= 2)
                .unwrap_or_else(|| duid::identifier(own, name)),
            vendor_class: dhcp.vendor_class.bytes().collect(),
            vendor_specific: hex(&dhcp.vendor_specific).unwrap_or_default(),
            host: dhcp.host_name.bytes().collect(),
            usp: dhcp.usp,
        }
    }
}

impl Words {
    /// And who we are, behind what the operator has put there, as far as there is room.
    #[must_use]
    pub fn of(mut self, device: &Device) -> Self {
        // What does not fit is left out whole.
        let _ = self.vendor_specific.extend_from_slice(&device.narrow);
        self
    }
}

/// Bytes that are written as `0x0a0b…`. `None`: they are not.
fn hex<const N: usize>(text: &str) -> Option<Vec<u8, N>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::new();
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    rest.is_empty().then_some(bytes)
}

/// Returns the message that says `say`, and where it goes.
#[must_use]
pub fn message(say: Say, own: &Words) -> (Message, Way) {
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

fn question(kind: Kind, asked: Try, own: &Words) -> Message {
    // Under its domain DNS may know a controller.
    let domain = own.usp.then_some(code::DOMAIN);
    let parameters = WISHES.into_iter().chain(domain).collect();
    let (vendor_class, vendor_specific) = (own.vendor_class.clone(), own.vendor_specific.clone());
    let size_max = Some(SIZE_MAX);
    let (host, asks_for_controller) = (own.host.clone(), own.usp);
    let plain = plain(kind, asked, own);
    Message { parameters, size_max, vendor_class, vendor_specific, asks_for_controller, host, ..plain }
}

/// A `DECLINE` and a `RELEASE` say no more than this. Source: RFC 2131 §4.4.1, table 5.
fn plain(kind: Kind, asked: Try, own: &Words) -> Message {
    let identifier = Some(own.identifier.clone());
    Message { secs: asked.secs, identifier, ..Message::new(kind, asked.xid, own.own) }
}

#[cfg(test)]
mod tests {
    use super::{Way, Words, code, message};
    use crate::client::Say;
    use crate::message::Kind;
    use crate::schedule::{Moment, Try};
    use crate::usp::Device;
    use contract::wanted::access::Dhcp;
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
            let (message, to) = message(say, &Words::new(&Dhcp::default(), "wan", [2, 0, 0, 0, 0, 1]));
            assert_eq!((message.kind, message.ciaddr, to), (kind, ciaddr, way), "{say:?}");
            assert_eq!((message.requested, message.server, message.xid), (requested, server, 9), "{say:?}");
        }
    }

    #[test]
    fn an_operator_is_told_what_it_wants_to_hear() {
        let asked = Try::first(Moment { ms: 0, random: 0 });
        let own = [2, 0, 0, 0, 0, 1];
        let ours: &[u8] = &crate::duid::identifier(own, "wan.20");
        // client_id, the identifier that is sent
        let table: [(&str, &[u8]); 6] = [
            ("", ours),
            ("box-7", b"\0box-7"),
            ("0x01020000000001", &[1, 2, 0, 0, 0, 0, 1]),
            ("0x0", ours),
            ("0xzz01", ours),
            ("0x01", ours),
        ];
        for (client_id, want) in table {
            let dhcp = Dhcp {
                client_id: client_id.into(),
                vendor_class: "sagem".into(),
                vendor_specific: "0x0000063401aa".into(),
                host_name: "box".into(),
                usp: true,
                device: false,
            };
            let words = Words::new(&dhcp, "wan.20", own);
            let device = Device::of("os::00D09E-4711").unwrap();
            let (both, _) = message(Say::Discover(asked), &words.clone().of(&device));
            assert_eq!(
                both.vendor_specific.as_slice(),
                [&[0, 0, 6, 52, 1, 170], device.narrow.as_slice()].concat()
            );
            let long =
                Dhcp { vendor_specific: format!("0x{}", "0a".repeat(50)).as_str().into(), ..dhcp.clone() };
            let (alone, _) = message(Say::Discover(asked), &Words::new(&long, "wan.20", own).of(&device));
            assert_eq!(alone.vendor_specific.len(), 50, "no room for both");
            let (sent, _) = message(Say::Discover(asked), &words);
            assert_eq!(sent.identifier.as_deref(), Some(want), "{client_id}");
            assert_eq!((sent.vendor_class.as_slice(), sent.host.as_slice()), (&b"sagem"[..], &b"box"[..]));
            assert_eq!(sent.vendor_specific.as_slice(), [0, 0, 6, 52, 1, 170]);
            assert!(sent.write().windows(11).any(|bytes| bytes == b"\x7c\x09\0\0\x0d\xe9\x04\x03usp"));
            assert!(sent.parameters.contains(&code::DOMAIN));
            let silent = Words::new(&Dhcp { usp: false, ..dhcp.clone() }, "wan.20", own);
            let (silent, _) = message(Say::Discover(asked), &silent);
            assert!(!silent.parameters.contains(&code::DOMAIN), "what nobody asks for nobody is told");
            let declined = message(Say::Decline(asked, [10, 0, 0, 9].into(), [10, 0, 0, 1].into()), &words).0;
            assert!(declined.vendor_class.is_empty() && declined.parameters.is_empty());
            assert_eq!(declined.identifier.as_deref(), Some(want));
        }
    }
}
