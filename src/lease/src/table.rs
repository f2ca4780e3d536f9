//! Who has which address of the pool: offered, given, or found to be somebody else's.
//!
//! In:  a client's key, a wish, a moment. Out: an address, or none.
//!
//! Addresses are stable: a client gets what it had, even after its lease has ended, and a new client's address follows from its key,
//! so that it is the same after the table was lost. Each client has one row, each address has one row, and there are at most
//! [`ROWS_MAX`]. Rows stand in the order in which their clients came. An address that is kept for a client is nobody else's.
//!
//! Pure: no clock, no file. What outlives the daemon is in `book.rs`.
//!
//! Source: RFC 2131 §4.3.1.

use std::net::Ipv4Addr;

use contract::learn::Server;
use contract::name::Text;

use crate::message::{Identifier, Mac};

/// The most rows: a large home has a tenth of it, and all of them fit in 128 KiB.
pub const ROWS_MAX: usize = 512;
/// How long an offered address waits for its request, in milliseconds.
pub const OFFER_MS: u64 = 60_000;
/// How old an offer is that nobody has asked for when, with no address left, it is taken back for another, in milliseconds. Clients ask
/// within a second.
pub const OFFER_STALE_MS: u64 = 5_000;
/// How long an address that somebody else uses is left alone, in milliseconds. dnsmasq waits as long.
pub const DECLINE_MS: u64 = 600_000;

/// Who a client is: what it calls itself, else its link-layer address. Source: RFC 2131 §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Its identifier (option 61).
    Identifier(Identifier),
    /// Its link-layer address.
    Mac(Mac),
}

impl Key {
    /// The bytes, for [`hash`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Identifier(identifier) => identifier,
            Self::Mac(mac) => mac,
        }
    }
}

/// A client, as it shows itself in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Who it is.
    pub key: Key,
    /// Its link-layer address.
    pub mac: Mac,
    /// Its own name for itself, fit for a terminal.
    pub host: Text<64>,
}

/// What an address is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Offered, not yet asked for.
    Offered,
    /// Given.
    Given,
    /// Whoever we gave it to found somebody else there. Nobody gets it.
    Declined,
    /// Somebody was heard there who has not asked us yet. Only this one gets it.
    Seen,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The address.
    pub address: Ipv4Addr,
    /// Who has it, or had it last.
    pub guest: Guest,
    /// What it is to us.
    pub state: Use,
    /// Until when, in milliseconds after boot. After that it stays the guest's as long as nobody else needs it.
    pub until_ms: u64,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A lease got more time.
    Renewed,
    /// Somebody has another address, or another name, or none any more.
    Moved,
}

/// All addresses that were ever offered or given.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    change: Option<Change>,
}

impl Table {
    /// Every row, in no order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Every lease that is given and not over.
    pub fn given(&self, now_ms: u64) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.state == Use::Given && row.until_ms > now_ms)
    }

    /// What has changed since this was last asked.
    pub fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    fn changes(&mut self, change: Change) {
        self.change = self.change.max(Some(change));
    }

    /// Leaves out every row that `server` could not give.
    pub fn fit(&mut self, server: &Server) {
        let before = self.rows.len();
        self.rows.retain(|row| can_give(server, row.guest.mac, row.address));
        if self.rows.len() != before {
            self.changes(Change::Moved);
        }
    }

    /// Takes in what an earlier life has given, where nobody has its address now, nor it another one.
    pub fn remember(&mut self, server: &Server, row: Row) {
        let known = |old: &Row| old.address == row.address || old.guest.key == row.guest.key;
        let room = self.rows.len() < ROWS_MAX && !self.rows.iter().any(known);
        if room && can_give(server, row.guest.mac, row.address) {
            self.rows.push(row);
            self.changes(Change::Moved);
        }
    }

    /// Is `address` this guest's already, given and not over?
    #[must_use]
    pub fn holds(&self, guest: &Guest, address: Ipv4Addr, now_ms: u64) -> bool {
        self.rows.iter().any(|row| {
            row.address == address
                && row.guest.key == guest.key
                && row.state == Use::Given
                && row.until_ms > now_ms
        })
    }

    /// May `guest` have `address`? It is in the pool, and nobody else has it.
    #[must_use]
    pub fn is_free_for(&self, server: &Server, guest: &Guest, address: Ipv4Addr, now_ms: u64) -> bool {
        can_give(server, guest.mac, address)
            && self.rows.iter().filter(|row| row.address == address).all(|row| {
                row.until_ms <= now_ms
                    || match row.state {
                        Use::Offered | Use::Given => row.guest.key == guest.key,
                        Use::Seen => row.guest.mac == guest.mac,
                        Use::Declined => false,
                    }
            })
    }

    /// The address to offer to `guest`: what is kept for it, what it had, what it asks for, what its key says, what has been free for
    /// longest, what was offered to somebody who has not come back for it.
    #[must_use]
    pub fn choose(
        &self,
        server: &Server,
        guest: &Guest,
        wanted: Option<Ipv4Addr>,
        now_ms: u64,
    ) -> Option<Ipv4Addr> {
        let its = |row: &&Row| match row.state {
            Use::Offered | Use::Given => row.guest.key == guest.key,
            Use::Seen => row.guest.mac == guest.mac,
            Use::Declined => false,
        };
        let had = self.rows.iter().find(its).map(|row| row.address);
        let free = |address: &Ipv4Addr| self.is_free_for(server, guest, *address, now_ms);
        let unused = |address: &Ipv4Addr| self.rows.iter().all(|row| row.address != *address);
        let stale = |row: &&Row| {
            let offered_ms = row.until_ms.saturating_sub(OFFER_MS);
            row.state == Use::Offered
                && offered_ms.saturating_add(OFFER_STALE_MS) <= now_ms
                && can_give(server, guest.mac, row.address)
        };
        kept_for(server, guest.mac)
            .filter(free)
            .or(had.filter(free))
            .or(wanted.filter(free))
            .or_else(|| {
                candidates(server, guest.key.bytes()).find(|address| unused(address) && free(address))
            })
            .or_else(|| {
                let over = self.rows.iter().filter(|row| free(&row.address));
                over.min_by_key(|row| row.until_ms).map(|row| row.address)
            })
            .or_else(|| self.rows.iter().filter(stale).min_by_key(|row| row.until_ms).map(|row| row.address))
    }

    /// Writes down that `address` is `guest`'s until `until_ms`; what either had before is gone. `false`: the table is full of
    /// addresses that are in use.
    pub fn put(&mut self, row: Row, now_ms: u64) -> bool {
        let same = |old: &&mut Row| {
            old.address == row.address && old.guest.key == row.guest.key && is_bound(old.state)
        };
        if let Some(old) = self.rows.iter_mut().find(same) {
            let renewed = old.state == row.state && old.until_ms > now_ms && old.guest == row.guest;
            let change = if renewed { Change::Renewed } else { Change::Moved };
            let told = old.state == Use::Given || row.state == Use::Given;
            *old = row;
            if told {
                self.changes(change);
            }
            return true;
        }
        let mut moved = row.state == Use::Given;
        self.rows.retain(|old| {
            let stays = match old.state {
                Use::Offered | Use::Given => old.guest.key != row.guest.key,
                Use::Declined | Use::Seen => true,
            };
            let stays = old.address != row.address && stays;
            moved |= !stays && old.state == Use::Given;
            stays
        });
        if self.rows.len() >= ROWS_MAX {
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, old)| old.until_ms);
            match oldest {
                Some((place, old)) if old.until_ms <= now_ms => drop(self.rows.remove(place)),
                Some(_) | None => return false,
            }
        }
        self.rows.push(row);
        if moved {
            self.changes(Change::Moved);
        }
        true
    }

    /// What was offered is given until `until_ms`.
    pub fn give(&mut self, address: Ipv4Addr, until_ms: u64) {
        let offered = |row: &&mut Row| row.address == address && row.state == Use::Offered;
        if let Some(row) = self.rows.iter_mut().find(offered) {
            (row.state, row.until_ms) = (Use::Given, until_ms);
            self.changes(Change::Moved);
        }
    }

    /// The guest gives `address` back; it will get it again if it can. `false`: it was not its.
    pub fn release(&mut self, guest: &Guest, address: Ipv4Addr, now_ms: u64) -> bool {
        let its =
            |row: &&mut Row| row.address == address && row.guest.key == guest.key && row.state == Use::Given;
        let Some(row) = self.rows.iter_mut().find(its) else { return false };
        row.until_ms = now_ms;
        self.changes(Change::Moved);
        true
    }

    /// The guest found somebody else at the address that we gave it. `false`: it was not its.
    pub fn decline(&mut self, guest: &Guest, address: Ipv4Addr, now_ms: u64) -> bool {
        let its =
            |row: &&mut Row| row.address == address && row.guest.key == guest.key && is_bound(row.state);
        let Some(row) = self.rows.iter_mut().find(its) else { return false };
        row.state = Use::Declined;
        row.until_ms = now_ms.saturating_add(DECLINE_MS);
        self.changes(Change::Moved);
        true
    }

    /// Somebody with the link-layer address `mac` uses `address`, which was only offered. It is kept for this one for a while.
    pub fn see(&mut self, address: Ipv4Addr, mac: Mac, now_ms: u64) {
        let offered = |row: &&mut Row| row.address == address && row.state == Use::Offered;
        if let Some(row) = self.rows.iter_mut().find(offered) {
            let guest = Guest { key: Key::Mac(mac), mac, host: Text::default() };
            *row = Row { address, guest, state: Use::Seen, until_ms: now_ms.saturating_add(DECLINE_MS) };
        }
    }

    /// The guest took another server's offer.
    pub fn forget_offer(&mut self, guest: &Guest) {
        self.rows.retain(|row| row.guest.key != guest.key || row.state != Use::Offered);
    }
}

/// Is it somebody's who asked us for it?
fn is_bound(state: Use) -> bool {
    match state {
        Use::Offered | Use::Given => true,
        Use::Declined | Use::Seen => false,
    }
}

/// The address that is kept for `mac`.
#[must_use]
pub fn kept_for(server: &Server, mac: Mac) -> Option<Ipv4Addr> {
    server.reservations.iter().find(|kept| kept.mac.0 == mac).map(|kept| kept.address)
}

/// Can `server` give `address` to `mac`? It is kept for it, or for nobody and in the pool.
fn can_give(server: &Server, mac: Mac, address: Ipv4Addr) -> bool {
    match server.reservations.iter().find(|kept| kept.address == address) {
        Some(kept) => kept.mac.0 == mac,
        None => is_in_pool(server, address),
    }
}

/// Can `server` give `address`? In its pool, and neither its own nor the first or last of the prefix.
#[must_use]
pub fn is_in_pool(server: &Server, address: Ipv4Addr) -> bool {
    let host_bits = u32::MAX.checked_shr(u32::from(server.prefix_length)).unwrap_or(0);
    let host = address.to_bits() & host_bits;
    server.pool.is_some_and(|pool| (pool.first..=pool.last).contains(&address))
        && address != server.address
        && host != 0
        && host != host_bits
}

/// The pool's addresses from where `key` points on, as many as are needed to meet one that is in no row.
fn candidates(server: &Server, key: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    let ends = server.pool.map_or((1, 0), |pool| (pool.first.to_bits(), pool.last.to_bits()));
    let (first, last) = ends;
    let size = (u64::from(last) + 1).saturating_sub(u64::from(first));
    // The pool's own address, the first and the last of the prefix, what is kept for somebody, and one more than all rows.
    let taken = ROWS_MAX.saturating_add(server.reservations.len());
    let tries = size.min(u64::try_from(taken).unwrap_or(u64::MAX).saturating_add(4));
    let start = hash(key) % size;
    (0..tries).filter_map(move |step| {
        let place = u32::try_from((start + step) % size).ok()?;
        Some(Ipv4Addr::from_bits(first.checked_add(place)?))
    })
}

/// FNV-1a, 64 bits. Source: draft-eastlake-fnv, §2.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
