//! Phones: under which name the operator knows each, and where it is.
//!
//! In:  a phone's `Contact`, the registrar's answer, time. Out: a token, which is the user of the contact that the operator is told; and back.
//!
//! Source: RFC 3261 §10.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;

/// Phones, and contacts of calls that are being made.
pub const BINDINGS_MAX: usize = 64;
/// Contacts of one host: it cannot take all places.
pub const HOST_BINDINGS_MAX: usize = 16;
/// A contact that is not registered stands as long as a call may, in milliseconds.
const CALL_MS: u64 = 24 * 3_600_000;

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The user of the contact that the operator is told.
    pub token: String,
    /// The phone's own `Contact` URI.
    pub contact: String,
    /// Where it is.
    pub address: SocketAddrV4,
    /// Until when it is registered, in milliseconds after boot; `None`: it is not.
    pub registered_until_ms: Option<u64>,
    seen_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Bindings {
    secret: RandomState,
    rows: Vec<Binding>,
}

impl Bindings {
    /// All of them.
    #[must_use]
    pub fn rows(&self) -> &[Binding] {
        &self.rows
    }

    /// The token of a phone's contact, which is at `address`. `None`: there are too many.
    pub fn token(&mut self, contact: &str, address: SocketAddrV4, now_ms: u64) -> Option<String> {
        self.expire(now_ms);
        let known =
            self.rows.iter_mut().find(|row| row.contact == contact && row.address.ip() == address.ip());
        if let Some(known) = known {
            (known.address, known.seen_ms) = (address, now_ms);
            return Some(known.token.clone());
        }
        let same_host = |row: &&Binding| row.address.ip() == address.ip();
        if self.rows.iter().filter(same_host).count() >= HOST_BINDINGS_MAX {
            self.forget(|row| row.address.ip() == address.ip());
        } else if self.rows.len() >= BINDINGS_MAX {
            self.forget(|_| true);
        }
        if self.rows.len() >= BINDINGS_MAX {
            return None;
        }
        let token = format!("p{:016x}", self.secret.hash_one((contact, address.ip())));
        let binding = Binding {
            token: token.clone(),
            contact: contact.to_owned(),
            address,
            registered_until_ms: None,
            seen_ms: now_ms,
        };
        self.rows.push(binding);
        Some(token)
    }

    /// Forgets the one that was not seen for longest, of those that are not registered and of which `which` holds.
    fn forget(&mut self, which: impl Fn(&Binding) -> bool) {
        let rows = self.rows.iter().enumerate();
        let idle = rows.filter(|(_, row)| row.registered_until_ms.is_none() && which(row));
        if let Some((place, _)) = idle.min_by_key(|(_, row)| row.seen_ms) {
            self.rows.remove(place);
        }
    }

    fn expire(&mut self, now_ms: u64) {
        for row in &mut self.rows {
            row.registered_until_ms = row.registered_until_ms.filter(|until_ms| *until_ms > now_ms);
        }
        self.rows
            .retain(|row| row.registered_until_ms.is_some() || now_ms.saturating_sub(row.seen_ms) < CALL_MS);
    }

    /// The registrar has taken a contact for `expires_s` seconds; 0: no longer.
    pub fn register(&mut self, token: &str, expires_s: u32, now_ms: u64) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.token == token) {
            let until_ms = now_ms.saturating_add(u64::from(expires_s) * 1_000);
            row.registered_until_ms = (expires_s > 0).then_some(until_ms);
        }
    }

    /// The phone behind a token.
    #[must_use]
    pub fn of(&self, token: &str) -> Option<&Binding> {
        self.rows.iter().find(|row| row.token == token)
    }
}

#[cfg(test)]
mod tests {
    use super::{BINDINGS_MAX, Bindings, HOST_BINDINGS_MAX};

    #[test]
    fn a_phone_is_found_by_its_token() {
        let mut all = Bindings::default();
        let at = "192.168.1.20:5062".parse().unwrap();
        let token = all.token("sip:a@192.168.1.20:5062", at, 0).unwrap();
        all.register(&token, 60, 0);
        let moved = "192.168.1.20:1024".parse().unwrap();
        assert_eq!(all.token("sip:a@192.168.1.20:5062", moved, 1).as_ref(), Some(&token), "the same phone");
        assert_eq!(all.of(&token).map(|row| row.address), Some(moved));
        let other = "192.168.1.21:5062".parse().unwrap();
        assert_ne!(
            all.token("sip:a@192.168.1.20:5062", other, 1),
            Some(token.clone()),
            "another host says it is that"
        );
        all.register(&token, 0, 2);
        assert_eq!(all.of(&token).unwrap().registered_until_ms, None);
    }

    #[test]
    fn registered_phones_keep_their_place() {
        let mut all = Bindings::default();
        let token = all.token("sip:a@192.168.1.20", "192.168.1.20:5060".parse().unwrap(), 0).unwrap();
        all.register(&token, 3_600, 0);
        for number in 0..200_u64 {
            let at = "192.168.1.20:5060".parse().unwrap();
            all.token(&format!("sip:{number}@192.168.1.20"), at, number);
        }
        assert!(all.of(&token).is_some() && all.rows().len() <= HOST_BINDINGS_MAX);
        for host in 0..=255 {
            all.token("sip:x", std::net::SocketAddrV4::new([10, 0, 0, host].into(), 5060), 300);
        }
        assert!(all.of(&token).is_some() && all.rows().len() <= BINDINGS_MAX);
    }
}
