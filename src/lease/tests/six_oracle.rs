//! Our DHCPv6 against somebody else's codec: what we write, dhcproto reads as we meant it; what dhcproto writes, we read.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv6Addr;

use contract::prefix::Prefix;
use dhcproto::v6::{
    self, DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, MessageType, NtpSuboption, ORO, OptionCode,
    StatusCode,
};
use dhcproto::{Decodable, Decoder, Encodable};
use lease::six::message::{Association, Duid, Item, Kind, Message, Of, Status, code};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};

const KINDS: [(Kind, MessageType); 10] = [
    (Kind::Solicit, MessageType::Solicit),
    (Kind::Advertise, MessageType::Advertise),
    (Kind::Request, MessageType::Request),
    (Kind::Confirm, MessageType::Confirm),
    (Kind::Renew, MessageType::Renew),
    (Kind::Rebind, MessageType::Rebind),
    (Kind::Reply, MessageType::Reply),
    (Kind::Release, MessageType::Release),
    (Kind::Decline, MessageType::Decline),
    (Kind::Information, MessageType::InformationRequest),
];

type Lifetimes = (u32, u32);

/// Addresses that hosts have: of 2000::/3.
fn global(bits: u128) -> Ipv6Addr {
    Ipv6Addr::from_bits(bits >> 3 | 1 << 125)
}

fn item(bits: u128, length: u8, (one, other): Lifetimes) -> Item {
    Item {
        prefix: Prefix::new(global(bits).into(), length),
        preferred_s: one.min(other),
        valid_s: one.max(other),
    }
}

/// Any message that we can say, but for a domain, which we do not read.
fn message() -> impl Strategy<Value = Message> {
    let head = (0..KINDS.len(), 0..1_u32 << 24, any::<bool>(), any::<u8>(), any::<Option<u16>>());
    let duid = || proptest::option::of(proptest::collection::vec(any::<u8>(), 3..20));
    let items = || proptest::collection::vec((any::<u128>(), 16..65_u8, any::<Lifetimes>()), 0..3);
    let associations = (items(), items(), any::<[u32; 3]>(), any::<bool>());
    let words = (proptest::collection::vec(any::<u128>(), 0..4), any::<Option<u32>>(), any::<Option<u32>>());
    (head, duid(), duid(), associations, words).prop_map(|(head, client, server, associations, words)| {
        let (kind, xid, rapid, preference, elapsed) = head;
        let mut message = Message::new(KINDS[kind].0, xid);
        let duid = |bytes: Option<Vec<u8>>| bytes.map(|bytes| Duid::from_slice(&bytes).unwrap());
        (message.client, message.server) = (duid(client), duid(server));
        (message.rapid, message.preference, message.elapsed) = (rapid, preference, elapsed);
        let (addresses, prefixes, [id, one, other], failed) = associations;
        for (of, items) in [(Of::Addresses, addresses), (Of::Prefixes, prefixes)] {
            let mut association = Association::new(of, id);
            (association.renew_s, association.rebind_s) = (one.min(other), one.max(other));
            association.status = failed.then_some(Status::NoPrefix);
            let length = |length| if of == Of::Addresses { 128 } else { length };
            association.items =
                items.into_iter().map(|(bits, long, times)| item(bits, length(long), times)).collect();
            message.associations.push(association).unwrap();
        }
        message.status = failed.then_some(Status::NoBinding);
        let (servers, refresh_s, solicit_max_s) = words;
        let servers: heapless::Vec<Ipv6Addr, 3> = servers.into_iter().take(3).map(global).collect();
        (message.name_servers, message.time_servers) = (servers.clone(), servers);
        (message.refresh_s, message.solicit_max_s) = (refresh_s, solicit_max_s);
        message.wanted = heapless::Vec::from_iter([code::NAME_SERVERS, code::SOLICIT_MAX]);
        message
    })
}

fn theirs(kind: Kind) -> MessageType {
    KINDS.iter().find(|row| row.0 == kind).unwrap().1
}

fn one(options: &DhcpOptions, code: OptionCode) -> Option<DhcpOption> {
    options.get(code).cloned()
}

/// An association as they have it.
fn association(ours: &Association) -> DhcpOption {
    let mut opts = DhcpOptions::new();
    // They put what is equal in front.
    for item in ours.items.iter().rev() {
        let std::net::IpAddr::V6(first) = item.prefix.first() else { panic!("an address of IPv4") };
        opts.insert(match ours.of {
            Of::Addresses => DhcpOption::IAAddr(IAAddr {
                addr: first,
                preferred_life: item.preferred_s,
                valid_life: item.valid_s,
                opts: DhcpOptions::new(),
            }),
            Of::Prefixes => DhcpOption::IAPrefix(IAPrefix {
                preferred_lifetime: item.preferred_s,
                valid_lifetime: item.valid_s,
                prefix_len: item.prefix.length(),
                prefix_ip: first,
                opts: DhcpOptions::new(),
            }),
        });
    }
    if ours.status.is_some() {
        opts.insert(status(v6::Status::NoPrefixAvail));
    }
    let (id, t1, t2) = (ours.id, ours.renew_s, ours.rebind_s);
    match ours.of {
        Of::Addresses => DhcpOption::IANA(IANA { id, t1, t2, opts }),
        Of::Prefixes => DhcpOption::IAPD(IAPD { id, t1, t2, opts }),
    }
}

fn status(status: v6::Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: String::new() })
}

/// Every option of a message as they have it.
fn options(ours: &Message) -> DhcpOptions {
    let duid = |duid: &Option<Duid>| duid.as_ref().map(|duid| duid.to_vec());
    let servers = Some(ours.name_servers.to_vec()).filter(|servers| !servers.is_empty());
    let times: Vec<_> =
        ours.time_servers.iter().map(|address| NtpSuboption::ServerAddress(*address)).collect();
    let all = [
        duid(&ours.client).map(DhcpOption::ClientId),
        duid(&ours.server).map(DhcpOption::ServerId),
        ours.status.map(|_| status(v6::Status::NoBinding)),
        (ours.preference != 0).then_some(DhcpOption::Preference(ours.preference)),
        ours.rapid.then_some(DhcpOption::RapidCommit),
        ours.elapsed.map(DhcpOption::ElapsedTime),
        servers.map(DhcpOption::DomainNameServers),
        Some(times).filter(|times| !times.is_empty()).map(DhcpOption::NtpServer),
        ours.refresh_s.map(DhcpOption::InformationRefreshTime),
    ];
    let mut options = DhcpOptions::new();
    let associations = ours.associations.iter().map(association);
    all.into_iter().flatten().chain(associations).for_each(|option| options.insert(option));
    options
}

proptest! {
    // What fails is printed; a file beside the sources would not be looked at.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_read_what_we_write(ours in message()) {
        let bytes = ours.write().unwrap();
        let read = v6::Message::decode(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(read.msg_type(), theirs(ours.kind));
        prop_assert_eq!(u32::from_be_bytes([0, read.xid()[0], read.xid()[1], read.xid()[2]]), ours.xid);
        let want = options(&ours);
        let codes = [
            OptionCode::ClientId, OptionCode::ServerId, OptionCode::IANA, OptionCode::IAPD, OptionCode::StatusCode,
            OptionCode::Preference, OptionCode::RapidCommit, OptionCode::ElapsedTime, OptionCode::DomainNameServers,
            OptionCode::NtpServer,
        ];
        for code in codes {
            prop_assert_eq!(one(read.opts(), code), one(&want, code), "{:?}", code);
        }
        let wanted = vec![OptionCode::DomainNameServers, OptionCode::SolMaxRt];
        prop_assert_eq!(
            one(read.opts(), OptionCode::ORO),
            Some(DhcpOption::ORO(ORO { opts: wanted }))
        );
        // And so do we.
        prop_assert_eq!(Message::read(&bytes), Some(ours));
    }

    #[test]
    fn we_read_what_they_write(ours in message()) {
        let mut message = v6::Message::new_with_id(theirs(ours.kind), ours.xid.to_be_bytes()[1..].try_into().unwrap());
        message.set_opts(options(&ours));
        let want = Message { wanted: heapless::Vec::new(), solicit_max_s: None, ..ours };
        prop_assert_eq!(Message::read(&message.to_vec().unwrap()), Some(want));
    }
}
