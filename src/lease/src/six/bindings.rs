//! Who has which address by DHCPv6: the lower half of it, which stays when the prefix goes.
//!
//! In:  who asks, moments. Out: the lower half; rows for a person.
//!
//! It follows from a secret and from who asks, so it is the same after a boot and after a crash, and no file has to remember it. Where
//! somebody else has that one already, the next is drawn.
//!
//! Pure. Not here: prefixes (`told.rs`), words (`server.rs`).
//!
//! Source: RFC 8415 §13.1 (an address is not to be guessed: RFC 7943 §4 does it so).

use std::net::Ipv6Addr;

use contract::prefix::Prefix;
use heapless::Vec;

use super::advert::first;
use super::keyed::{self, Secret};
use super::message::Duid;
use crate::message::Mac;

/// Hosts that are known at once: as with DHCPv4, ten times a large home.
pub const ROWS: usize = 512;
/// Lower halves that somebody else was found to have, and for how long they are given to nobody, in milliseconds.
const DECLINED: usize = 32;
const DECLINED_MS: u64 = 600_000;
/// How often another lower half is drawn.
const DRAWS: u8 = 16;
/// All lower halves have this bit above 32 that are drawn: neither our own `::1` nor one that a host makes of its link-layer address.
const MARK: u64 = 1 << 32;

/// One host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Who: what follows from its identifier and the number of its association.
    key: u64,
    /// The lower half of its addresses.
    half: u32,
    /// Its link-layer address, where its identifier holds one.
    pub mac: Mac,
    /// Until when, in milliseconds after boot.
    pub until_ms: u64,
}

impl Row {
    /// Its address in `prefix`.
    #[must_use]
    pub fn address(&self, prefix: Prefix) -> Ipv6Addr {
        Ipv6Addr::from_bits(first(prefix).to_bits() | u128::from(MARK | u64::from(self.half)))
    }
}

/// All hosts of one link.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    rows: Vec<Row, ROWS>,
    declined: Vec<(u32, u64), DECLINED>,
}

/// What a host is known by.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'m> {
    /// Its identifier.
    pub duid: &'m Duid,
    /// The number of its association.
    pub id: u32,
}

impl Guest<'_> {
    fn key(&self) -> u64 {
        let mut bytes = self.duid.to_vec();
        bytes.extend(self.id.to_be_bytes());
        // Rows are compared by it and nothing is hidden by it: any key will do.
        keyed::number(&[0; 16], &bytes)
    }

    /// DUID-LLT and DUID-LL hold an address of Ethernet. Source: RFC 8415 §11.2, §11.4.
    fn mac(&self) -> Mac {
        match self.duid.as_slice() {
            [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().unwrap_or_default(),
            _ => Mac::default(),
        }
    }
}

impl Bindings {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of `guest`, if it has one.
    #[must_use]
    pub fn find(&self, guest: Guest<'_>) -> Option<&Row> {
        let key = guest.key();
        self.rows.iter().find(|row| row.key == key)
    }

    /// What `guest` has, or would get; `None`: there is no room. Nothing is written down.
    #[must_use]
    pub fn offer(&self, guest: Guest<'_>, secret: &Secret, now_ms: u64) -> Option<Row> {
        if let Some(row) = self.find(guest) {
            return Some(*row);
        }
        let key = guest.key();
        let free = |half: &u32| {
            let taken = self.rows.iter().any(|row| row.half == *half && row.until_ms > now_ms);
            !taken && !self.declined.iter().any(|row| row.0 == *half && row.1 > now_ms)
        };
        let half = (0..DRAWS).map(|draw| draw_of(secret, key, draw)).find(free)?;
        Some(Row { key, half, mac: guest.mac(), until_ms: now_ms })
    }

    /// `guest` has an address until `until_ms`; `None`: there is no room.
    pub fn give(&mut self, guest: Guest<'_>, secret: &Secret, until_ms: u64, now_ms: u64) -> Option<Row> {
        let row = Row { until_ms, ..self.offer(guest, secret, now_ms)? };
        self.rows.retain(|known| known.key != row.key && known.until_ms > now_ms);
        self.rows.push(row).ok()?;
        Some(row)
    }

    /// `guest` does not need it any more.
    pub fn release(&mut self, guest: Guest<'_>) {
        let key = guest.key();
        self.rows.retain(|row| row.key != key);
    }

    /// Somebody else has what `guest` was given.
    pub fn decline(&mut self, guest: Guest<'_>, now_ms: u64) {
        let Some(half) = self.find(guest).map(|row| row.half) else { return };
        self.release(guest);
        self.declined.retain(|row| row.1 > now_ms);
        let _full = self.declined.push((half, now_ms.saturating_add(DECLINED_MS)));
    }

    /// Forgets whose time is over.
    pub fn expire(&mut self, now_ms: u64) {
        self.rows.retain(|row| row.until_ms > now_ms);
    }
}

/// Draw number `draw` of whoever has this key.
fn draw_of(secret: &Secret, key: u64, draw: u8) -> u32 {
    let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
    let [_, _, _, _, bytes @ ..] = keyed::number(secret, &[a, b, c, d, e, f, g, h, draw]).to_be_bytes();
    u32::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Bindings, Guest, ROWS};
    use crate::six::message::Duid;

    const SECRET: [u8; 16] = [7; 16];

    fn duid(number: u16) -> Duid {
        let [high, low] = number.to_be_bytes();
        Duid::from_slice(&[0, 3, 0, 1, 2, 0, 0, 0, high, low]).unwrap()
    }

    #[test]
    fn a_host_has_the_same_after_a_boot() {
        let mut bindings = Bindings::default();
        let me = duid(1);
        let guest = Guest { duid: &me, id: 1 };
        let row = bindings.give(guest, &SECRET, 1_000, 0).unwrap();
        assert_eq!(row.mac, [2, 0, 0, 0, 0, 1]);
        assert_eq!(Bindings::default().offer(guest, &SECRET, 0).map(|row| row.half), Some(row.half));
        assert_ne!(Bindings::default().offer(Guest { id: 2, ..guest }, &SECRET, 0).unwrap().half, row.half);
        bindings.decline(guest, 10);
        let other = bindings.give(guest, &SECRET, 1_000, 10).unwrap();
        assert_ne!(other.half, row.half, "somebody has it");
        let address = other.address("2001:db8:1::/64".parse().unwrap());
        assert_eq!(address.segments()[..6], [0x2001, 0xdb8, 1, 0, 0, 1]);
    }

    #[test]
    fn there_are_so_many_and_no_two_have_the_same() {
        let mut bindings = Bindings::default();
        for number in 0..u16::try_from(ROWS).unwrap() {
            assert!(bindings.give(Guest { duid: &duid(number), id: 1 }, &SECRET, 1_000, 0).is_some());
        }
        let mut halves: Vec<u32> = bindings.rows().iter().map(|row| row.half).collect();
        halves.sort_unstable();
        halves.dedup();
        assert_eq!(halves.len(), ROWS);
        let late = duid(9_999);
        assert!(bindings.give(Guest { duid: &late, id: 1 }, &SECRET, 2_000, 999).is_none());
        assert!(
            bindings.give(Guest { duid: &late, id: 1 }, &SECRET, 2_000, 1_000).is_some(),
            "their time is over"
        );
        assert_eq!(bindings.rows().len(), 1);
    }
}
