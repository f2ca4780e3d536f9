//! What an event is about: a kind, a place, and a serial number, so that news of what was there before is not taken for news of what is.
//!
//! In:  those three. Out: the number that epoll gives back, and back.
//!
//! Source: epoll(7), the questions on closed descriptors in one list of events.

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The wire `resolve`, or one of its clients.
    Desk,
    /// The wire `told`.
    Told,
    /// Datagrams of a link, IPv4.
    Udp4,
    /// Datagrams of a link, IPv6.
    Udp6,
    /// Connections of a link, IPv4.
    Tcp4,
    /// Connections of a link, IPv6.
    Tcp6,
    /// A client by TCP.
    Caller,
    /// A question to an upstream by UDP.
    Pending,
    /// A connection to an upstream.
    Stream,
    /// A socket of the relay.
    Relay,
}

const KINDS: [Kind; 10] = [
    Kind::Desk,
    Kind::Told,
    Kind::Udp4,
    Kind::Udp6,
    Kind::Tcp4,
    Kind::Tcp6,
    Kind::Caller,
    Kind::Pending,
    Kind::Stream,
    Kind::Relay,
];

/// An event's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What.
    pub kind: Kind,
    /// Which of them.
    pub place: usize,
    /// Which life of it.
    pub serial: u32,
}

impl Token {
    /// As epoll keeps it.
    #[must_use]
    pub fn number(self) -> u64 {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0);
        let kind = u64::try_from(kind).unwrap_or(0);
        let place = u64::try_from(self.place).unwrap_or(0) & 0xffff;
        kind << 56 | place << 32 | u64::from(self.serial)
    }

    /// What epoll gave back.
    #[must_use]
    pub fn of(number: u64) -> Option<Self> {
        let kind = *KINDS.get(usize::try_from(number >> 56).ok()?)?;
        let place = usize::try_from(number >> 32 & 0xffff).ok()?;
        Some(Self { kind, place, serial: u32::try_from(number & 0xffff_ffff).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::{KINDS, Token};

    #[test]
    fn it_comes_back_as_it_was() {
        for kind in KINDS {
            let token = Token { kind, place: 513, serial: u32::MAX };
            assert_eq!(Token::of(token.number()), Some(token));
        }
        assert_eq!(Token::of(u64::MAX), None);
    }
}
