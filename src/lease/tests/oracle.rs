//! Our bytes against somebody else's codec: what we write, dhcproto reads as we meant it; what dhcproto writes, we read.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption, Flags, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use lease::message::{Kind, Message};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};

const KINDS: [(Kind, MessageType); 8] = [
    (Kind::Discover, MessageType::Discover),
    (Kind::Offer, MessageType::Offer),
    (Kind::Request, MessageType::Request),
    (Kind::Decline, MessageType::Decline),
    (Kind::Ack, MessageType::Ack),
    (Kind::Nak, MessageType::Nak),
    (Kind::Release, MessageType::Release),
    (Kind::Inform, MessageType::Inform),
];

type Numbers = (usize, u32, u16, bool, [u32; 3], [u8; 6]);
type Options = (Option<u32>, Option<u32>, Option<u32>, Option<u32>, Vec<u32>, Vec<u8>, Vec<u8>);

/// Any message that we can say.
fn message() -> impl Strategy<Value = Message> {
    let numbers =
        (0..KINDS.len(), any::<u32>(), any::<u16>(), any::<bool>(), any::<[u32; 3]>(), any::<[u8; 6]>());
    let bytes = |from, to| proptest::collection::vec(any::<u8>(), from..to);
    let servers = proptest::collection::vec(any::<u32>(), 0..4);
    let number = any::<Option<u32>>;
    let options = (number(), number(), number(), number(), servers, bytes(0, 64), bytes(0, 65));
    (numbers, options).prop_map(|(numbers, options)| build(numbers, options))
}

fn build(numbers: Numbers, options: Options) -> Message {
    let (kind, xid, secs, broadcast, [ciaddr, yiaddr, giaddr], chaddr) = numbers;
    let (mask, requested, lease_s, server, servers, host, identifier) = options;
    let mut message = Message::new(KINDS[kind].0, xid, chaddr);
    (message.secs, message.broadcast) = (secs, broadcast);
    (message.ciaddr, message.yiaddr, message.giaddr) = (ciaddr.into(), yiaddr.into(), giaddr.into());
    (message.mask, message.router) = (mask.map(Ipv4Addr::from), server.map(Ipv4Addr::from));
    (message.requested, message.server) = (requested.map(Ipv4Addr::from), server.map(Ipv4Addr::from));
    (message.lease_s, message.renew_s, message.rebind_s) = (lease_s, mask, requested);
    message.name_servers = servers.into_iter().map(Ipv4Addr::from).collect();
    message.host = host.into_iter().collect();
    message.identifier = Some(identifier.into_iter().collect())
        .filter(|identifier: &lease::message::Identifier| identifier.len() >= 2);
    message
}

fn theirs(kind: Kind) -> MessageType {
    KINDS.iter().find(|row| row.0 == kind).unwrap().1
}

fn option_of(message: &v4::Message, code: OptionCode) -> Option<DhcpOption> {
    message.opts().get(code).cloned()
}

proptest! {
    // What fails is printed; a file beside the sources would not be looked at.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_read_what_we_write(ours in message()) {
        let bytes = ours.write();
        let read = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!((read.xid(), read.secs(), read.flags().broadcast()), (ours.xid, ours.secs, ours.broadcast));
        prop_assert_eq!((read.ciaddr(), read.yiaddr(), read.giaddr()), (ours.ciaddr, ours.yiaddr, ours.giaddr));
        prop_assert_eq!(read.chaddr(), ours.chaddr.as_slice());
        prop_assert_eq!(read.opts().msg_type(), Some(theirs(ours.kind)));
        prop_assert_eq!(option_of(&read, OptionCode::SubnetMask), ours.mask.map(DhcpOption::SubnetMask));
        prop_assert_eq!(option_of(&read, OptionCode::Router), ours.router.map(|router| DhcpOption::Router(vec![router])));
        prop_assert_eq!(option_of(&read, OptionCode::RequestedIpAddress), ours.requested.map(DhcpOption::RequestedIpAddress));
        prop_assert_eq!(option_of(&read, OptionCode::AddressLeaseTime), ours.lease_s.map(DhcpOption::AddressLeaseTime));
        prop_assert_eq!(option_of(&read, OptionCode::ServerIdentifier), ours.server.map(DhcpOption::ServerIdentifier));
        prop_assert_eq!(option_of(&read, OptionCode::Renewal), ours.renew_s.map(DhcpOption::Renewal));
        prop_assert_eq!(option_of(&read, OptionCode::Rebinding), ours.rebind_s.map(DhcpOption::Rebinding));
        let servers = Some(ours.name_servers.to_vec()).filter(|servers| !servers.is_empty());
        prop_assert_eq!(option_of(&read, OptionCode::DomainNameServer), servers.map(DhcpOption::DomainNameServer));
        prop_assert_eq!(
            option_of(&read, OptionCode::ClientIdentifier),
            ours.identifier.as_ref().map(|identifier| DhcpOption::ClientIdentifier(identifier.to_vec()))
        );
        // And so do we.
        prop_assert_eq!(Message::read(&bytes), Ok(ours));
    }

    #[test]
    fn we_read_what_they_write(ours in message()) {
        let mut message = v4::Message::default();
        let reply = ours.kind.is_reply();
        message.set_opcode(if reply { Opcode::BootReply } else { Opcode::BootRequest });
        let flags = if ours.broadcast { Flags::default().set_broadcast() } else { Flags::default() };
        message.set_xid(ours.xid).set_secs(ours.secs).set_flags(flags).set_chaddr(&ours.chaddr);
        message.set_ciaddr(ours.ciaddr).set_yiaddr(ours.yiaddr).set_giaddr(ours.giaddr);
        let servers = Some(ours.name_servers.to_vec()).filter(|servers| !servers.is_empty());
        let identifier = ours.identifier.as_ref().map(|identifier| identifier.to_vec());
        let options = [
            Some(DhcpOption::MessageType(theirs(ours.kind))),
            ours.mask.map(DhcpOption::SubnetMask),
            ours.router.map(|router| DhcpOption::Router(vec![router])),
            servers.map(DhcpOption::DomainNameServer),
            ours.requested.map(DhcpOption::RequestedIpAddress),
            ours.lease_s.map(DhcpOption::AddressLeaseTime),
            ours.server.map(DhcpOption::ServerIdentifier),
            ours.renew_s.map(DhcpOption::Renewal),
            ours.rebind_s.map(DhcpOption::Rebinding),
            identifier.map(DhcpOption::ClientIdentifier),
            // One that we do not know.
            Some(DhcpOption::TFTPServerAddress([10, 0, 0, 1].into())),
        ];
        for option in options.into_iter().flatten() {
            message.opts_mut().insert(option);
        }
        let bytes = message.to_vec().unwrap();
        let want = Message { host: heapless::Vec::new(), ..ours };
        prop_assert_eq!(Message::read(&bytes), Ok(want));
    }
}
