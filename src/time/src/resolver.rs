//! Asks the name servers that we were told for one name after another.
//!
//! In:  names, name servers, a moment. Out: addresses. Nothing here waits.
//!
//! One question is under way at a time, from a port and with a number that nobody can guess. IPv4 first; IPv6 where there is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use contract::Text;

use crate::dice;
use crate::dns::{self, Kind};

/// How long one name server is waited for, in milliseconds.
const ANSWER_MS: u64 = 2_000;
/// Rounds through all name servers.
const ROUNDS: usize = 2;
/// Names that wait at a time: each server that can be told.
const NAMES_MAX: usize = 16;

/// A name's addresses; none: it has none, or nobody answers.
pub type Found = (Text<63>, Vec<IpAddr>);

/// A question under way.
#[derive(Debug)]
struct Exchange {
    kind: Kind,
    /// Which question it is, of this name and kind.
    number: usize,
    bytes: Vec<u8>,
    socket: Option<UdpSocket>,
    until_ms: u64,
}

/// The names that wait; the first is asked for.
#[derive(Debug, Default)]
pub struct Resolver {
    servers: Vec<IpAddr>,
    names: Vec<Text<63>>,
    exchange: Option<Exchange>,
}

/// A socket at a port of the kernel's choice, which speaks with `to` only.
pub(crate) fn socket(to: SocketAddr) -> Option<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(to).ok()?;
    Some(socket)
}

impl Resolver {
    /// From now on these are asked.
    pub fn tell(&mut self, servers: &[IpAddr]) {
        if self.servers != servers {
            self.servers = servers.to_vec();
            self.exchange = None;
        }
    }

    /// Asks for `name`, after those that wait.
    pub fn ask(&mut self, name: &Text<63>) {
        if !self.names.contains(name) && self.names.len() < NAMES_MAX {
            self.names.push(name.clone());
        }
    }

    /// Forgets all that wait.
    pub fn clear(&mut self) {
        self.names.clear();
        self.exchange = None;
    }

    /// What it waits for.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.exchange.as_ref().and_then(|exchange| exchange.socket.as_ref()).map(AsFd::as_fd)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.exchange.as_ref().map(|exchange| exchange.until_ms).or((!self.names.is_empty()).then_some(0))
    }

    /// Goes on; returns a name that is done, if one is.
    pub fn turn(&mut self, now_ms: u64) -> Option<Found> {
        let name = self.names.first()?.clone();
        let Some(exchange) = &self.exchange else {
            return self.begin(&name, Kind::A, 0, now_ms);
        };
        let (kind, number) = (exchange.kind, exchange.number);
        if let Some(found) = exchange.hear() {
            return match kind {
                Kind::A if found.is_empty() => self.begin(&name, Kind::Aaaa, 0, now_ms),
                Kind::A | Kind::Aaaa => Some(self.done(name, found)),
            };
        }
        if exchange.until_ms > now_ms {
            return None;
        }
        self.begin(&name, kind, number + 1, now_ms)
    }

    /// Asks question `number` of this kind, or gives up after the last.
    fn begin(&mut self, name: &Text<63>, kind: Kind, number: usize, now_ms: u64) -> Option<Found> {
        let [high, low] = dice::bytes();
        let bytes = dns::question(u16::from_ne_bytes([high, low]), name, kind);
        let server = number.checked_rem(self.servers.len()).and_then(|place| self.servers.get(place));
        let (Some(bytes), Some(server)) = (bytes, server.filter(|_| number < self.servers.len() * ROUNDS))
        else {
            return Some(self.done(name.clone(), Vec::new()));
        };
        let socket = socket((*server, dns::PORT).into());
        let sent = socket.as_ref().is_some_and(|socket| socket.send(&bytes).is_ok());
        // Who cannot even be asked is not waited for.
        let until_ms = if sent { now_ms.saturating_add(ANSWER_MS) } else { now_ms };
        self.exchange = Some(Exchange { kind, number, bytes, socket, until_ms });
        None
    }

    fn done(&mut self, name: Text<63>, found: Vec<IpAddr>) -> Found {
        self.exchange = None;
        self.names.retain(|other| *other != name);
        (name, found)
    }
}

impl Exchange {
    /// The addresses, if an answer has come.
    fn hear(&self) -> Option<Vec<IpAddr>> {
        /// Packets that are looked at in one turn.
        const PACKETS_A_TURN: usize = 8;
        let socket = self.socket.as_ref()?;
        let mut buffer = [0; dns::BYTES_MAX];
        (0..PACKETS_A_TURN).find_map(|_| {
            let length = socket.recv(&mut buffer).ok()?;
            dns::read(buffer.get(..length)?, &self.bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Resolver;

    #[test]
    fn without_a_name_server_it_gives_up_at_once() {
        let mut resolver = Resolver::default();
        assert_eq!((resolver.due_ms(), resolver.turn(0)), (None, None));
        resolver.ask(&"ntp.example".into());
        resolver.ask(&"ntp.example".into());
        assert_eq!(resolver.due_ms(), Some(0));
        assert_eq!(resolver.turn(0), Some(("ntp.example".into(), Vec::new())));
        assert_eq!(resolver.turn(0), None);
    }
}
