//! A DHCPv4 message: bytes to what we know of it, and back.
//!
//! In:  the payload of a datagram. Out: a [`Message`] whose every field has the form that its RFC asks for, or an [`Error`].
//!
//! Options that we do not know are passed over. An option that comes in pieces is put together (RFC 3396), also from the fields that
//! option 52 lends to it. Nothing here keeps more than a [`Message`].
//!
//! Not here: IP and UDP (`datagram.rs`); what a message means (`terms.rs`, `server.rs`).
//!
//! Source: RFC 2131 §2 and §4.1, RFC 2132, RFC 3396.

use std::net::Ipv4Addr;

use contract::leases::Controller;
use contract::limit::NAME_SERVERS;
use heapless::Vec;

use crate::options::{Error, HEADER_BYTES, Options, Routes, code};
use crate::usp;

/// What we write never exceeds what every host takes: 576 bytes with 28 of IP and UDP. Source: RFC 2131 §2.
pub const MESSAGE_BYTES_MAX: usize = 548;
/// Shorter ones are padded: BOOTP relays and old clients drop them. Source: RFC 1542 §2.1.
pub const MESSAGE_BYTES_MIN: usize = 300;
/// The longest client identifier that we keep; one that is longer counts as absent.
pub const IDENTIFIER_BYTES: usize = 64;
/// The longest host name that we keep; the rest is cut off. Source: RFC 1035 §2.3.4.
pub const HOST_BYTES: usize = 63;
/// Option codes that we ask for at once.
pub const PARAMETERS: usize = 12;
/// What option 60 and option 125 hold, in bytes.
pub const VENDOR_BYTES: usize = 64;
/// Source: RFC 2131 §3, "99, 130, 83 and 99".
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// The sums of all that we put behind the header, each with two bytes of code and length: as a client, and as a server.
const CLIENT_BYTES_MAX: usize = 3 // 53
    + 2 * 6 // 50, 54
    + 4 // 57
    + 2 + PARAMETERS
    + 2 + IDENTIFIER_BYTES
    + 2 * (2 + VENDOR_BYTES) // 60, 125
    + 2 + usp::CLASS.len() // 124
    + 2 + HOST_BYTES
    + 1; // End
const SERVER_BYTES_MAX: usize = 3 // 53
    + 6 * 6 // 51, 54, 58, 59, 1, 3
    + 2 + 4 * NAME_SERVERS
    + 2 + HOST_BYTES // 15
    + 2 + IDENTIFIER_BYTES
    + 1; // End
const _: () = assert!(HEADER_BYTES + CLIENT_BYTES_MAX <= MESSAGE_BYTES_MAX);
const _: () = assert!(HEADER_BYTES + SERVER_BYTES_MAX <= MESSAGE_BYTES_MAX);

/// An Ethernet address.
pub type Mac = [u8; 6];
/// A client identifier (option 61) as it was sent.
pub type Identifier = Vec<u8, IDENTIFIER_BYTES>;
/// A message as bytes.
pub type Bytes = Vec<u8, MESSAGE_BYTES_MAX>;

/// What kind of message it is. Source: RFC 2132 §9.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: who is there?
    Discover = 1,
    /// Server: this you could have.
    Offer = 2,
    /// Client: I take this.
    Request = 3,
    /// Client: somebody has this address already.
    Decline = 4,
    /// Server: it is yours.
    Ack = 5,
    /// Server: no.
    Nak = 6,
    /// Client: I do not need it any more.
    Release = 7,
    /// Client: I have an address; tell me the rest.
    Inform = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];

    /// Is it a server that says this?
    #[must_use]
    pub fn is_reply(self) -> bool {
        match self {
            Self::Offer | Self::Ack | Self::Nak => true,
            Self::Discover | Self::Request | Self::Decline | Self::Release | Self::Inform => false,
        }
    }
}

/// A message, as far as we know its fields. `UNSPECIFIED` stands for an address field that is not filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind.
    pub kind: Kind,
    /// The number of the exchange.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// The client cannot hear unicast yet.
    pub broadcast: bool,
    /// The client's address, where it has one.
    pub ciaddr: Ipv4Addr,
    /// The address given.
    pub yiaddr: Ipv4Addr,
    /// The relay.
    pub giaddr: Ipv4Addr,
    /// The client's link-layer address.
    pub chaddr: Mac,
    /// Option 1.
    pub mask: Option<Ipv4Addr>,
    /// The first of option 3.
    pub router: Option<Ipv4Addr>,
    /// The first of option 6.
    pub name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// Option 12, unchecked: at most [`HOST_BYTES`].
    pub host: Vec<u8, HOST_BYTES>,
    /// Option 50.
    pub requested: Option<Ipv4Addr>,
    /// Option 51.
    pub lease_s: Option<u32>,
    /// Option 54.
    pub server: Option<Ipv4Addr>,
    /// Option 15, unchecked: at most [`HOST_BYTES`].
    pub domain: Vec<u8, HOST_BYTES>,
    /// The first of option 42; only read.
    pub time_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// The first of option 120, where it is a list of addresses; only read.
    pub sip_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// Option 121; only read.
    pub routes: Routes,
    /// Option 60; only written, never read.
    pub vendor_class: Vec<u8, VENDOR_BYTES>,
    /// Option 124 says that we ask for a USP controller; only written, never read.
    pub asks_for_controller: bool,
    /// The USP controller in option 125 or 43; only read.
    pub controller: Option<Controller>,
    /// Option 125; only written, but for the controller in it.
    pub vendor_specific: Vec<u8, VENDOR_BYTES>,
    /// The first of option 55; only written, never read.
    pub parameters: Vec<u8, PARAMETERS>,
    /// Option 57; only written, never read.
    pub size_max: Option<u16>,
    /// Option 58.
    pub renew_s: Option<u32>,
    /// Option 59.
    pub rebind_s: Option<u32>,
    /// Option 61.
    pub identifier: Option<Identifier>,
}

impl Message {
    /// An empty message.
    #[must_use]
    pub fn new(kind: Kind, xid: u32, chaddr: Mac) -> Self {
        Self {
            kind,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            mask: None,
            router: None,
            name_servers: Vec::new(),
            host: Vec::new(),
            requested: None,
            lease_s: None,
            server: None,
            domain: Vec::new(),
            time_servers: Vec::new(),
            sip_servers: Vec::new(),
            routes: Vec::new(),
            vendor_class: Vec::new(),
            asks_for_controller: false,
            controller: None,
            vendor_specific: Vec::new(),
            parameters: Vec::new(),
            size_max: None,
            renew_s: None,
            rebind_s: None,
            identifier: None,
        }
    }

    /// Reads a message.
    ///
    /// # Errors
    /// See [`Error`]. Bytes from strangers: any bytes are allowed, and none make it panic.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Error::NotDhcp)?;
        if take(header, 236) != COOKIE {
            return Err(Error::NotDhcp);
        }
        // Hardware type 1 and 6 bytes of address: Ethernet. Source: RFC 1700, "Number Hardware Type".
        let [op, 1, 6, _hops] = take(header, 0) else { return Err(Error::NotEthernet) };
        let options = Options::read(bytes)?;
        let kind = options.fixed(code::KIND)?.and_then(|[number]| known(number)).ok_or(Error::Kind)?;
        // 1 is BOOTREQUEST, 2 is BOOTREPLY. Source: RFC 2131 §2.
        if op != if kind.is_reply() { 2 } else { 1 } {
            return Err(Error::Kind);
        }
        let identifier = options.all(code::IDENTIFIER);
        let [flags, _] = take(header, 10);
        Ok(Self {
            secs: u16::from_be_bytes(take(header, 8)),
            broadcast: flags & 0x80 != 0,
            ciaddr: Ipv4Addr::from(take(header, 12)),
            yiaddr: Ipv4Addr::from(take(header, 16)),
            giaddr: Ipv4Addr::from(take(header, 24)),
            mask: options.fixed(code::MASK)?.map(Ipv4Addr::from),
            router: options.addresses::<1>(code::ROUTER)?.first().copied(),
            name_servers: options.addresses(code::NAME_SERVERS)?,
            time_servers: options.addresses(code::TIME_SERVERS).unwrap_or_default(),
            sip_servers: options.sip_servers(),
            routes: options.routes(),
            controller: usp::of_option(&options.all(code::VENDOR_SPECIFIC))
                .or_else(|| usp::of_plain_option(&options.all(code::VENDOR))),
            host: options.all(code::HOST).iter().copied().take(HOST_BYTES).collect(),
            domain: options.all(code::DOMAIN).iter().copied().take(HOST_BYTES).collect(),
            requested: options.fixed(code::REQUESTED)?.map(Ipv4Addr::from),
            lease_s: options.fixed(code::LEASE)?.map(u32::from_be_bytes),
            server: options.fixed(code::SERVER)?.map(Ipv4Addr::from),
            renew_s: options.fixed(code::RENEW)?.map(u32::from_be_bytes),
            rebind_s: options.fixed(code::REBIND)?.map(u32::from_be_bytes),
            // Two bytes at least: RFC 2132 §9.14.
            identifier: Identifier::from_slice(&identifier).ok().filter(|identifier| identifier.len() >= 2),
            ..Self::new(kind, u32::from_be_bytes(take(header, 4)), take(header, 28))
        })
    }

    /// The message as bytes, padded to [`MESSAGE_BYTES_MIN`].
    #[must_use]
    pub fn write(&self) -> Bytes {
        let mut out = Writer(Bytes::new());
        out.put(&[if self.kind.is_reply() { 2 } else { 1 }, 1, 6, 0]);
        out.put(&self.xid.to_be_bytes());
        out.put(&self.secs.to_be_bytes());
        out.put(&[if self.broadcast { 0x80 } else { 0 }, 0]);
        for address in [self.ciaddr, self.yiaddr, Ipv4Addr::UNSPECIFIED, self.giaddr] {
            out.put(&address.octets());
        }
        out.put(&self.chaddr);
        out.put(&[0; 10 + 64 + 128]); // The rest of chaddr, sname, file.
        out.put(&COOKIE);
        // The kind is a byte by its declaration.
        #[allow(clippy::as_conversions, reason = "a field-less enum of repr(u8)")]
        out.option(code::KIND, &[self.kind as u8]);
        let address = |address: Option<Ipv4Addr>| address.map(|address| address.octets());
        let number = |number: Option<u32>| number.map(u32::to_be_bytes);
        let words = [
            (code::REQUESTED, address(self.requested)),
            (code::SERVER, address(self.server)),
            (code::LEASE, number(self.lease_s)),
            (code::RENEW, number(self.renew_s)),
            (code::REBIND, number(self.rebind_s)),
            (code::MASK, address(self.mask)),
            (code::ROUTER, address(self.router)),
        ];
        for (code, word) in words {
            out.option(code, word.as_ref().map_or(&[], |word| word.as_slice()));
        }
        let servers: Vec<u8, { 4 * NAME_SERVERS }> =
            self.name_servers.iter().flat_map(Ipv4Addr::octets).collect();
        out.option(code::NAME_SERVERS, &servers);
        out.option(
            code::SIZE,
            self.size_max.map(u16::to_be_bytes).as_ref().map_or(&[], |size| size.as_slice()),
        );
        out.option(code::PARAMETERS, &self.parameters);
        out.option(code::IDENTIFIER, self.identifier.as_deref().unwrap_or_default());
        out.option(code::HOST, &self.host);
        out.option(code::DOMAIN, &self.domain);
        out.option(code::VENDOR_CLASS, &self.vendor_class);
        out.option(code::VENDOR_CLASSES, if self.asks_for_controller { &usp::CLASS } else { &[] });
        out.option(code::VENDOR_SPECIFIC, &self.vendor_specific);
        out.put(&[code::END]);
        let length = out.0.len().max(MESSAGE_BYTES_MIN);
        // It fits: the length is at most the capacity.
        let _ = out.0.resize(length, code::PAD);
        out.0
    }
}

fn known(number: u8) -> Option<Kind> {
    Kind::ALL.get(usize::from(number).checked_sub(1)?).copied()
}

/// `N` bytes of the header from `place` on, all of them zero where it ends before.
fn take<const N: usize>(header: &[u8; HEADER_BYTES], place: usize) -> [u8; N] {
    header.get(place..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

struct Writer(Bytes);

impl Writer {
    /// Appends `bytes`; the assertion at the head of this file says that they fit.
    fn put(&mut self, bytes: &[u8]) {
        let _ = self.0.extend_from_slice(bytes);
    }

    /// Appends an option, unless it is empty.
    fn option(&mut self, code: u8, bytes: &[u8]) {
        if let Ok(length @ 1..) = u8::try_from(bytes.len()) {
            self.put(&[code, length]);
            self.put(bytes);
        }
    }
}
