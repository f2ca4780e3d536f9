//! Where answers go: a row for each request that was passed on, by the branch that we gave it.
//!
//! In:  requests, time. Out: a branch; for an answer the way back. An answer to nothing that we have sent goes nowhere, so nobody can have us
//! send to whom he likes.
//!
//! The branch follows from the request's own by a secret of ours: a request that is sent again gets the same one, and so do the `CANCEL`
//! and the `ACK` that belong to an `INVITE` (RFC 3261 §16.11).

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;

use crate::side::Side;

/// How long an answer may take, in milliseconds: an `INVITE` rings for three minutes (timer C, RFC 3261 §16.6).
pub const TRANSACTION_MS: u64 = 200_000;
/// Requests that wait for answers; beyond them the eldest is forgotten.
pub const TRANSACTIONS_MAX: usize = 256;
/// How a branch begins. Source: RFC 3261 §8.1.1.7.
const COOKIE: &str = "z9hG4bK";

/// A request that was passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    branch: String,
    /// The side it came from.
    pub side: Side,
    /// Who sent it.
    pub from: SocketAddrV4,
    until_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Transactions {
    secret: RandomState,
    rows: Vec<Transaction>,
}

impl Transactions {
    /// The branch under which a request is passed on: with `via`, its own first `Via`, from `from`.
    pub fn begin(&mut self, side: Side, from: SocketAddrV4, via: &str, now_ms: u64) -> String {
        let theirs = crate::uri::parameter(via, "branch").unwrap_or(via);
        let hashed = self.secret.hash_one((theirs, from));
        let branch = format!("{COOKIE}shg{hashed:016x}");
        self.rows.retain(|row| row.until_ms > now_ms && row.branch != branch);
        if self.rows.len() >= TRANSACTIONS_MAX {
            self.rows.remove(0);
        }
        let until_ms = now_ms.saturating_add(TRANSACTION_MS);
        self.rows.push(Transaction { branch: branch.clone(), side, from, until_ms });
        branch
    }

    /// The request that an answer with `via` as its first `Via` belongs to, if it came from the other side than `side`.
    #[must_use]
    pub fn of(&self, via: &str, side: Side, now_ms: u64) -> Option<&Transaction> {
        let branch = crate::uri::parameter(via, "branch")?;
        self.rows.iter().find(|row| row.branch == branch && row.side != side && row.until_ms > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::{TRANSACTION_MS, TRANSACTIONS_MAX, Transactions};
    use crate::side::Side;

    #[test]
    fn an_answer_goes_back_where_the_request_came_from() {
        let mut all = Transactions::default();
        let phone = "192.168.1.20:5062".parse().unwrap();
        let via = "SIP/2.0/UDP 192.168.1.20;branch=z9hG4bK77";
        let branch = all.begin(Side::Home, phone, via, 0);
        assert_eq!(all.begin(Side::Home, phone, via, 1), branch, "sent again");
        assert_ne!(
            all.begin(Side::Home, "192.168.1.21:5062".parse().unwrap(), via, 1),
            branch,
            "another phone"
        );
        let ours = format!("SIP/2.0/UDP 203.0.113.7;branch={branch}");
        assert_eq!(all.of(&ours, Side::Play, 2).map(|row| row.from), Some(phone));
        assert_eq!(all.of(&ours, Side::Home, 2), None, "an answer from the side that asked");
        assert_eq!(all.of("SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKshg0", Side::Play, 2), None, "nobody asked");
        assert_eq!(all.of(&ours, Side::Play, 1 + TRANSACTION_MS), None, "too late");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut all = Transactions::default();
        for number in 0..2 * TRANSACTIONS_MAX {
            all.begin(Side::Home, "192.168.1.20:5062".parse().unwrap(), &format!("x;branch={number}"), 0);
        }
        assert_eq!(all.rows.len(), TRANSACTIONS_MAX);
    }
}
