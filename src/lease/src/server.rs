//! What our server answers.
//!
//! In:  a message and a moment. Out: an answer and the way it goes, or silence.
//!
//! Pure: `lan.rs` has the sockets, `table.rs` the addresses. It is the only server of its link, so it says no where another would keep
//! silent: a client from elsewhere learns at once that its old address is of no use here.
//!
//! While there are no name servers to tell, leases are short, so that nobody has to do without them for half a day.
//!
//! Source: RFC 2131 §4.3 (tables 3 and 4), §4.1 (which way an answer goes); RFC 6842 (the identifier comes back).

use std::net::Ipv4Addr;

use contract::learn::Server as Wanted;
use contract::limit::NAME_SERVERS;
use contract::name::Text;
use contract::wanted::contains;
use heapless::Vec;

use crate::budget::Budget;
use crate::message::{Kind, Mac, Message};
use crate::table::{self, Change, Guest, Key, OFFER_MS, Row, Table, Use};

/// How long a lease is while we know no name servers, in seconds.
pub const LEASE_S_WITHOUT_NAMES: u32 = 120;
/// Which way an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To everybody on the link.
    Broadcast,
    /// In a frame to this link-layer address, for a host that does not yet have the address that it is given.
    Frame(Mac, Ipv4Addr),
    /// To a host that has this address.
    Unicast(Ipv4Addr),
    /// To a relay that has this address; it passes the answer on.
    Relay(Ipv4Addr),
}

/// The server of one link.
#[derive(Debug)]
pub struct Server {
    /// What is wanted of it.
    wanted: Wanted,
    /// What it tells about name servers, where the wish names none.
    name_servers: Vec<Ipv4Addr, NAME_SERVERS>,
    /// Its addresses.
    table: Table,
    /// Who may still be answered.
    budget: Budget,
}

impl Server {
    /// A server as `wanted`, with an empty table.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, name_servers: Vec::new(), table: Table::default(), budget: Budget::default() }
    }

    /// What is wanted of it.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Wants something else of it. Addresses that it could not give any more are forgotten.
    pub fn want(&mut self, wanted: Wanted) {
        self.table.fit(&wanted);
        self.wanted = wanted;
    }

    /// From now on it tells these name servers, where the wish names none.
    pub fn set_name_servers(&mut self, name_servers: &[Ipv4Addr]) {
        self.name_servers = name_servers.iter().copied().take(NAME_SERVERS).collect();
    }

    /// Its addresses.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Takes in what an earlier life has given.
    pub fn remember(&mut self, row: Row) {
        self.table.remember(&self.wanted, row);
    }

    /// What has changed in the table since this was last asked.
    pub fn take_change(&mut self) -> Option<Change> {
        self.table.take_change()
    }

    /// Is `address` only offered so far? Then nobody is known to use it, and it is worth asking.
    #[must_use]
    pub fn is_only_offered(&self, address: Ipv4Addr) -> bool {
        self.table.rows().iter().any(|row| row.address == address && row.state == Use::Offered)
    }

    /// Somebody with the link-layer address `mac` uses `address`, which was only offered.
    pub fn see(&mut self, address: Ipv4Addr, mac: Mac, now_ms: u64) {
        self.table.see(address, mac, now_ms);
    }

    /// `reply` has waited for ARP and goes now: what it grants is given from now on.
    pub fn goes(&mut self, reply: &Message, now_ms: u64) {
        if let (Kind::Ack, Some(lease_s)) = (reply.kind, reply.lease_s) {
            self.table.give(reply.yiaddr, now_ms.saturating_add(u64::from(lease_s) * 1_000));
        }
    }

    /// Returns what to answer to `message`. `None`: nothing.
    pub fn answer(&mut self, message: &Message, now_ms: u64) -> Option<(Message, Way)> {
        // A relay that is not of this network has clients of another one.
        let relayed = !message.giaddr.is_unspecified();
        if (relayed && !self.is_on_link(message.giaddr))
            || message.giaddr == self.wanted.address
            || !self.budget.may(message.chaddr, now_ms)
        {
            return None;
        }
        let guest = guest(message);
        let answer = match message.kind {
            Kind::Discover => self.offer(message, guest, now_ms),
            Kind::Request => self.grant(message, guest, now_ms),
            Kind::Inform => self.inform(message),
            Kind::Release => {
                self.table.release(&guest, message.ciaddr, now_ms);
                None
            }
            Kind::Decline => {
                if message.server == Some(self.wanted.address) {
                    let address = message.requested.unwrap_or(Ipv4Addr::UNSPECIFIED);
                    self.table.decline(&guest, address, now_ms);
                }
                None
            }
            Kind::Offer | Kind::Ack | Kind::Nak => None,
        };
        if !relayed {
            return answer;
        }
        // The relay finds its client by these. Source: RFC 2131 §4.1.
        let giaddr = message.giaddr;
        answer.map(|(reply, _)| {
            let broadcast = reply.broadcast || reply.kind == Kind::Nak;
            (Message { giaddr, broadcast, ..reply }, Way::Relay(giaddr))
        })
    }

    fn offer(&mut self, message: &Message, guest: Guest, now_ms: u64) -> Option<(Message, Way)> {
        let address = self.table.choose(&self.wanted, &guest, message.requested, now_ms)?;
        // A guest that has it already keeps what it has.
        if !self.table.holds(&guest, address, now_ms) {
            let until_ms = now_ms.saturating_add(OFFER_MS);
            if !self.table.put(Row { address, guest, state: Use::Offered, until_ms }, now_ms) {
                return None;
            }
        }
        Some(self.addressed(Kind::Offer, message, address))
    }

    /// A `REQUEST`, in whichever state its sender is. Source: RFC 2131 §4.3.2, table 4.
    fn grant(&mut self, message: &Message, guest: Guest, now_ms: u64) -> Option<(Message, Way)> {
        if message.server.is_some_and(|server| server != self.wanted.address) {
            self.table.forget_offer(&guest); // It took another server's offer.
            return None;
        }
        // Selecting and rebooting name the address in an option, renewing and rebinding have it.
        let has = Some(message.ciaddr).filter(|address| !address.is_unspecified());
        let address = message.requested.filter(|_| has.is_none()).or(has)?;
        // Whoever reboots with an address that we do not know to be its own (our table was lost; its home was another one) is
        // answered when ARP has found nobody there. Till then it is offered.
        let reboots = has.is_none() && message.server.is_none();
        let (state, hold_ms) = if reboots && !self.table.holds(&guest, address, now_ms) {
            (Use::Offered, OFFER_MS)
        } else {
            (Use::Given, u64::from(self.lease_s()) * 1_000)
        };
        let until_ms = now_ms.saturating_add(hold_ms);
        let free = self.table.is_free_for(&self.wanted, &guest, address, now_ms);
        // Whoever has an address kept for it moves there, once it is free.
        let kept = table::kept_for(&self.wanted, guest.mac).filter(|kept| *kept != address);
        let moves = kept.is_some_and(|kept| self.table.is_free_for(&self.wanted, &guest, kept, now_ms));
        if free && !moves && self.table.put(Row { address, guest, state, until_ms }, now_ms) {
            return Some(self.addressed(Kind::Ack, message, address));
        }
        // A refusal goes to everybody: the client may believe that it has an address. Source: RFC 2131 §4.1.
        Some((self.reply(Kind::Nak, message), Way::Broadcast))
    }

    /// Only words, for a host that has an address of its own. Source: RFC 2131 §4.3.5.
    fn inform(&self, message: &Message) -> Option<(Message, Way)> {
        let to = Some(message.ciaddr).filter(|address| self.is_on_link(*address))?;
        Some((self.with_words(self.reply(Kind::Ack, message)), Way::Unicast(to)))
    }

    /// An offer or a grant of `address`. Source: RFC 2131 §4.1 for its way.
    fn addressed(&self, kind: Kind, message: &Message, address: Ipv4Addr) -> (Message, Way) {
        let lease_s = self.lease_s();
        let reply = Message {
            yiaddr: address,
            ciaddr: if kind == Kind::Ack { message.ciaddr } else { Ipv4Addr::UNSPECIFIED },
            lease_s: Some(lease_s),
            renew_s: Some(lease_s / 2),
            rebind_s: Some(lease_s / 8 * 7),
            ..self.with_words(self.reply(kind, message))
        };
        let way = if self.is_on_link(message.ciaddr) {
            Way::Unicast(message.ciaddr)
        } else if message.broadcast {
            Way::Broadcast
        } else {
            Way::Frame(message.chaddr, address)
        };
        (reply, way)
    }

    fn reply(&self, kind: Kind, message: &Message) -> Message {
        Message {
            broadcast: message.broadcast,
            server: Some(self.wanted.address),
            identifier: message.identifier.clone(),
            ..Message::new(kind, message.xid, message.chaddr)
        }
    }

    fn with_words(&self, reply: Message) -> Message {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.wanted.prefix_length.min(32))).unwrap_or(0);
        Message {
            mask: Some(Ipv4Addr::from_bits(mask)),
            router: Some(self.wanted.address),
            name_servers: self.name_servers().clone(),
            domain: self.wanted.domain.bytes().collect(),
            ..reply
        }
    }

    fn name_servers(&self) -> &Vec<Ipv4Addr, NAME_SERVERS> {
        if self.wanted.name_servers.is_empty() { &self.name_servers } else { &self.wanted.name_servers }
    }

    fn lease_s(&self) -> u32 {
        let lease_s = self.wanted.pool.map_or(0, |pool| pool.lease_s);
        if self.name_servers().is_empty() { lease_s.min(LEASE_S_WITHOUT_NAMES) } else { lease_s }
    }

    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        !address.is_unspecified() && contains(self.wanted.address, self.wanted.prefix_length, address)
    }
}

fn guest(message: &Message) -> Guest {
    let key = message.identifier.clone().map_or(Key::Mac(message.chaddr), Key::Identifier);
    Guest { key, mac: message.chaddr, host: host(&message.host) }
}

/// A host name fit for a terminal: everything that could do harm there becomes a question mark.
#[must_use]
pub fn host(bytes: &[u8]) -> Text<64> {
    use std::fmt::Write;
    let mut text = Text::default();
    for byte in bytes.iter().filter(|byte| **byte != 0) {
        let plain = byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        // It cannot fail: what is too long is left off.
        let _ = text.write_char(if plain { char::from(*byte) } else { '?' });
    }
    text
}
