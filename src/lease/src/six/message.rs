//! A DHCPv6 message: bytes to what we know of it, and back.
//!
//! In:  the payload of a datagram. Out: a [`Message`], or `None` where it is none. What has no room or makes no sense is passed over; an
//! option that is cut off makes the whole message none.
//!
//! Relays' messages are not for us: our server is the only one of its link, and a client hears servers, not relays.
//!
//! Not here: UDP (`packet.rs`); what a message means (`client.rs`, `server.rs`).
//!
//! Source: RFC 8415 §7.3, §8, §21; RFC 3646 (23, 24), RFC 5908 (56).

pub mod code;

use std::net::Ipv6Addr;

use contract::leases::Controller;
use contract::limit::{IPV6_PREFIXES, NAME_SERVERS};
use contract::name::Text;
use contract::prefix::Prefix;
use heapless::Vec;

use super::advert::first;
use super::bytes::{Reader, Writer};
use super::domain;
use crate::message::VENDOR_BYTES;
use crate::usp;

/// What we write fits in what every link carries, with 48 bytes of IPv6 and UDP in front. Source: RFC 8200 §5.
pub const MESSAGE_BYTES_MAX: usize = 1_280 - 48;
/// The longest identifier of a client or server: two bytes of type and 128. Source: RFC 8415 §11.1.
pub const DUID_BYTES: usize = 130;
/// Associations in one message: addresses and prefixes, and twice as many as a sane client has.
pub const ASSOCIATIONS: usize = 4;
/// Option codes that are asked for at once.
const WANTED: usize = 16;

/// Who a client or a server is. Source: RFC 8415 §11.
pub type Duid = Vec<u8, DUID_BYTES>;
/// A message as bytes.
pub type Bytes = Vec<u8, MESSAGE_BYTES_MAX>;

/// What a message is for. Source: RFC 8415 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Who is there?
    Solicit = 1,
    /// A server offers.
    Advertise = 2,
    /// I take it.
    Request = 3,
    /// Is it good here?
    Confirm = 4,
    /// More time, please.
    Renew = 5,
    /// More time, please, whoever you are.
    Rebind = 6,
    /// A server grants.
    Reply = 7,
    /// I do not need it any more.
    Release = 8,
    /// Somebody uses it.
    Decline = 9,
    /// Words without addresses.
    Information = 11,
}

const KINDS: [Kind; 10] = [
    Kind::Solicit,
    Kind::Advertise,
    Kind::Request,
    Kind::Confirm,
    Kind::Renew,
    Kind::Rebind,
    Kind::Reply,
    Kind::Release,
    Kind::Decline,
    Kind::Information,
];

impl Kind {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        #[allow(clippy::as_conversions, reason = "a field-less enum of repr(u8)")]
        let number = self as u8;
        number
    }
}

/// How it went. Source: RFC 8415 §21.13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Success,
    /// Not, and no reason that we know.
    Failed,
    /// There is no address.
    NoAddress,
    /// The server does not know of it.
    NoBinding,
    /// These addresses are not of this link.
    NotOnLink,
    /// There is no prefix.
    NoPrefix,
}

const STATUSES: [(u16, Status); 6] = [
    (0, Status::Success),
    (1, Status::Failed),
    (2, Status::NoAddress),
    (3, Status::NoBinding),
    (4, Status::NotOnLink),
    (6, Status::NoPrefix),
];

/// What an association is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Addresses.
    Addresses,
    /// Prefixes.
    Prefixes,
}

/// An address (a prefix of 128 bits) or a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// It.
    pub prefix: Prefix,
    /// How long it is preferred, in seconds; `u32::MAX`: for ever.
    pub preferred_s: u32,
    /// How long it is valid, in seconds; `u32::MAX`: for ever.
    pub valid_s: u32,
}

/// What one client has of one kind. Source: RFC 8415 §12.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Of what.
    pub of: Of,
    /// Its number with this client.
    pub id: u32,
    /// T1, in seconds; 0: as the client likes.
    pub renew_s: u32,
    /// T2, in seconds; 0: as the client likes.
    pub rebind_s: u32,
    /// What it holds.
    pub items: Vec<Item, IPV6_PREFIXES>,
    /// How it went.
    pub status: Option<Status>,
}

impl Association {
    /// One that holds nothing.
    #[must_use]
    pub fn new(of: Of, id: u32) -> Self {
        Self { of, id, renew_s: 0, rebind_s: 0, items: Vec::new(), status: None }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What for.
    pub kind: Kind,
    /// The number of the exchange, of 24 bits.
    pub xid: u32,
    /// The client.
    pub client: Option<Duid>,
    /// The server.
    pub server: Option<Duid>,
    /// Addresses and prefixes.
    pub associations: Vec<Association, ASSOCIATIONS>,
    /// How it went with the whole.
    pub status: Option<Status>,
    /// How much the server wants to be taken; 255: at once.
    pub preference: u8,
    /// In two messages instead of four.
    pub rapid: bool,
    /// For how long we have asked, in hundredths of a second.
    pub elapsed: Option<u16>,
    /// Options that are asked for.
    pub wanted: Vec<u16, WANTED>,
    /// It asks for a USP controller; only written.
    pub asks_for_controller: bool,
    /// Who we are, in option 17; only written.
    pub device: Vec<u8, VENDOR_BYTES>,
    /// The USP controller that a server names; only read.
    pub controller: Option<Controller>,
    /// Name servers.
    pub name_servers: Vec<Ipv6Addr, NAME_SERVERS>,
    /// The domain of local names; of several that come the first.
    pub domain: Option<Text<63>>,
    /// When to ask for information again, in seconds.
    pub refresh_s: Option<u32>,
    /// Time servers, where they are told as addresses.
    pub time_servers: Vec<Ipv6Addr, NAME_SERVERS>,
    /// The longest pause between solicitations, in seconds.
    pub solicit_max_s: Option<u32>,
    /// The longest pause between questions for information, in seconds.
    pub inform_max_s: Option<u32>,
}

impl Message {
    /// An empty one.
    #[must_use]
    pub fn new(kind: Kind, xid: u32) -> Self {
        Self {
            kind,
            xid: xid & 0xff_ffff,
            client: None,
            server: None,
            associations: Vec::new(),
            status: None,
            preference: 0,
            rapid: false,
            elapsed: None,
            wanted: Vec::new(),
            asks_for_controller: false,
            device: Vec::new(),
            controller: None,
            name_servers: Vec::new(),
            domain: None,
            refresh_s: None,
            time_servers: Vec::new(),
            solicit_max_s: None,
            inform_max_s: None,
        }
    }

    /// Reads one.
    ///
    /// Bytes from strangers: any bytes are allowed, and none make it panic.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [kind, x0, x1, x2] = reader.chunk()?;
        let kind = KINDS.into_iter().find(|known| known.number() == kind)?;
        let mut message = Self::new(kind, u32::from_be_bytes([0, x0, x1, x2]));
        for option in Options(reader) {
            let (code, value) = option?;
            message.take(code, Reader(value))?;
        }
        Some(message)
    }

    /// Takes an option in; `None` where it is not what it says.
    fn take(&mut self, code: u16, mut value: Reader<'_>) -> Option<()> {
        match code {
            code::CLIENT => self.client = Some(duid(value.0)?),
            code::SERVER => self.server = Some(duid(value.0)?),
            code::IA_NA | code::IA_PD => {
                let of = if code == code::IA_NA { Of::Addresses } else { Of::Prefixes };
                let _full = self.associations.push(association(of, value)?);
            }
            code::WANTED => {
                while let Some(wanted) = value.half() {
                    let _full = self.wanted.push(wanted);
                }
            }
            code::PREFERENCE => self.preference = value.byte()?,
            code::ELAPSED => self.elapsed = Some(value.half()?),
            code::STATUS => self.status = Some(status(value)?),
            code::RAPID => self.rapid = true,
            code::VENDOR => self.controller = self.controller.take().or_else(|| usp::of_option_6(value.0)),
            code::DOMAINS => self.domain = domain::read(value.0),
            code::NAME_SERVERS => {
                while let Some(address) = value.address() {
                    push(&mut self.name_servers, address);
                }
            }
            code::REFRESH => self.refresh_s = Some(value.word()?),
            code::TIME_SERVERS => {
                for option in Options(value) {
                    if let (code::TIME_SERVER_ADDRESS, address) = option? {
                        push(&mut self.time_servers, Reader(address).address()?);
                    }
                }
            }
            code::SOLICIT_MAX => self.solicit_max_s = Some(value.word()?),
            code::INFORM_MAX => self.inform_max_s = Some(value.word()?),
            _ => {}
        }
        Some(())
    }

    /// The message as bytes; `None` where it is too much.
    #[must_use]
    pub fn write(&self) -> Option<Bytes> {
        let mut out = Writer::new();
        let [_, x0, x1, x2] = self.xid.to_be_bytes();
        out.put(&[self.kind.number(), x0, x1, x2]);
        for (code, duid) in [(code::CLIENT, &self.client), (code::SERVER, &self.server)] {
            if let Some(duid) = duid {
                option(&mut out, code, duid);
            }
        }
        for association in &self.associations {
            write_association(&mut out, association);
        }
        if let Some(status) = self.status {
            write_status(&mut out, status);
        }
        if self.preference != 0 {
            option(&mut out, code::PREFERENCE, &[self.preference]);
        }
        if self.rapid {
            option(&mut out, code::RAPID, &[]);
        }
        if let Some(elapsed) = self.elapsed {
            option(&mut out, code::ELAPSED, &elapsed.to_be_bytes());
        }
        if !self.wanted.is_empty() {
            let codes = out_head(&mut out, code::WANTED);
            self.wanted.iter().for_each(|wanted| out.put(&wanted.to_be_bytes()));
            out.fill(codes);
        }
        if self.asks_for_controller {
            option(&mut out, code::VENDOR_CLASS, &usp::CLASS_6);
        }
        if !self.device.is_empty() {
            option(&mut out, code::VENDOR, &self.device);
        }
        self.write_words(&mut out);
        out.end()
    }

    fn write_words(&self, out: &mut Writer<MESSAGE_BYTES_MAX>) {
        if !self.name_servers.is_empty() {
            let addresses = out_head(out, code::NAME_SERVERS);
            self.name_servers.iter().for_each(|address| out.put(&address.octets()));
            out.fill(addresses);
        }
        if let Some(name) = self.domain.as_ref().and_then(|name| domain::write(name)) {
            option(out, code::DOMAINS, &name);
        }
        if !self.time_servers.is_empty() {
            let addresses = out_head(out, code::TIME_SERVERS);
            for address in &self.time_servers {
                option(out, code::TIME_SERVER_ADDRESS, &address.octets());
            }
            out.fill(addresses);
        }
        let words = [
            (code::REFRESH, self.refresh_s),
            (code::SOLICIT_MAX, self.solicit_max_s),
            (code::INFORM_MAX, self.inform_max_s),
        ];
        for (code, word) in words {
            if let Some(word) = word {
                option(out, code, &word.to_be_bytes());
            }
        }
    }
}

/// The options of a message; one that is cut off is shown as `None`, and is the last. Source: RFC 8415 §21.1.
struct Options<'b>(Reader<'b>);

impl<'b> Iterator for Options<'b> {
    type Item = Option<(u16, &'b [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let code = self.0.half();
        let length = self.0.half().map(usize::from);
        let value = length.and_then(|length| self.0.take(length));
        let option = code.zip(value);
        if option.is_none() {
            self.0 = Reader(&[]);
        }
        Some(option)
    }
}

fn push(addresses: &mut Vec<Ipv6Addr, NAME_SERVERS>, address: Ipv6Addr) {
    if !address.is_unspecified() && !address.is_multicast() {
        let _full = addresses.push(address);
    }
}

/// Three bytes at least: two of type. Source: RFC 8415 §11.1.
fn duid(value: &[u8]) -> Option<Duid> {
    Duid::from_slice(value).ok().filter(|duid| duid.len() > 2)
}

/// A status that we do not know is a failure.
fn status(mut value: Reader<'_>) -> Option<Status> {
    let number = value.half()?;
    let known = STATUSES.into_iter().find(|known| known.0 == number);
    Some(known.map_or(Status::Failed, |known| known.1))
}

fn association(of: Of, mut value: Reader<'_>) -> Option<Association> {
    let mut association = Association::new(of, value.word()?);
    (association.renew_s, association.rebind_s) = (value.word()?, value.word()?);
    for option in Options(value) {
        match (of, option?) {
            (Of::Addresses, (code::IA_ADDRESS, value)) => {
                let mut value = Reader(value);
                let (address, preferred_s, valid_s) = (value.address()?, value.word()?, value.word()?);
                association.take(Prefix::host(address.into()), preferred_s, valid_s);
            }
            (Of::Prefixes, (code::IA_PREFIX, value)) => {
                let mut value = Reader(value);
                let (preferred_s, valid_s) = (value.word()?, value.word()?);
                let (length, address) = (value.byte()?, value.address()?);
                if length <= 128 {
                    association.take(Prefix::new(address.into(), length), preferred_s, valid_s);
                }
            }
            (_, (code::STATUS, value)) => association.status = Some(status(Reader(value))?),
            (Of::Addresses | Of::Prefixes, _) => {}
        }
    }
    Some(association)
}

impl Association {
    /// Preferred for longer than valid is no item. Source: RFC 8415 §21.6, §21.22.
    fn take(&mut self, prefix: Prefix, preferred_s: u32, valid_s: u32) {
        let address = first(prefix);
        if preferred_s <= valid_s && !address.is_multicast() && !address.is_unicast_link_local() {
            let _full = self.items.push(Item { prefix, preferred_s, valid_s });
        }
    }
}

fn out_head(out: &mut Writer<MESSAGE_BYTES_MAX>, code: u16) -> usize {
    out.put(&code.to_be_bytes());
    out.hole()
}

fn option(out: &mut Writer<MESSAGE_BYTES_MAX>, code: u16, value: &[u8]) {
    let at = out_head(out, code);
    out.put(value);
    out.fill(at);
}

fn write_status(out: &mut Writer<MESSAGE_BYTES_MAX>, status: Status) {
    let number = STATUSES.into_iter().find(|known| known.1 == status).map_or(1, |known| known.0);
    option(out, code::STATUS, &number.to_be_bytes());
}

fn write_association(out: &mut Writer<MESSAGE_BYTES_MAX>, association: &Association) {
    let whole = out_head(out, if association.of == Of::Addresses { code::IA_NA } else { code::IA_PD });
    for word in [association.id, association.renew_s, association.rebind_s] {
        out.put(&word.to_be_bytes());
    }
    for item in &association.items {
        let address = first(item.prefix).octets();
        let lifetimes = [item.preferred_s.to_be_bytes(), item.valid_s.to_be_bytes()];
        match association.of {
            Of::Addresses => {
                let at = out_head(out, code::IA_ADDRESS);
                out.put(&address);
                lifetimes.iter().for_each(|lifetime| out.put(lifetime));
                out.fill(at);
            }
            Of::Prefixes => {
                let at = out_head(out, code::IA_PREFIX);
                lifetimes.iter().for_each(|lifetime| out.put(lifetime));
                out.put(&[item.prefix.length()]);
                out.put(&address);
                out.fill(at);
            }
        }
    }
    if let Some(status) = association.status {
        write_status(out, status);
    }
    out.fill(whole);
}
