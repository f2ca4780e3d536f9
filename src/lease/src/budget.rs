//! How often one host is answered: what asks without end does not keep us from the others.
//!
//! In:  who asks, and when. Out: whether it is answered.
//!
//! A host that makes up link-layer addresses is not held up here. What it can cost is bounded elsewhere: packets a turn
//! (`crate::PACKETS_A_TURN`), offers that wait (`offers.rs`), rows (`table.rs`).

use crate::message::Mac;

/// Questions of one host that are answered at once, and in every second after that. A client asks four times in an exchange, and with
/// pauses of seconds (RFC 2131 §4.1).
const BURST: u64 = 64;
const EACH_S: u64 = 64;
/// Hosts are told apart by so many sums of their addresses; two with the same share what there is.
const BUCKETS: usize = 512;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Questions that may still be answered, in thousandths.
    left: u64,
    /// When it was last filled, in milliseconds after boot.
    filled_ms: u64,
}

/// What may still be answered to whom.
#[derive(Debug)]
pub struct Budget([Bucket; BUCKETS]);

impl Default for Budget {
    fn default() -> Self {
        Self([Bucket { left: BURST * 1_000, filled_ms: 0 }; BUCKETS])
    }
}

impl Budget {
    /// May one more question of `mac` be answered?
    pub fn may(&mut self, mac: Mac, now_ms: u64) -> bool {
        let sum =
            mac.iter().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
        let Some(bucket) = self.0.get_mut(sum % BUCKETS) else { return false };
        let passed_ms = now_ms.saturating_sub(bucket.filled_ms);
        bucket.filled_ms = now_ms;
        bucket.left = bucket.left.saturating_add(passed_ms.saturating_mul(EACH_S)).min(BURST * 1_000);
        let left = bucket.left.checked_sub(1_000);
        bucket.left = left.unwrap_or(bucket.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn a_flood_of_one_is_answered_in_part_and_others_do_not_feel_it() {
        let mut budget = Budget::default();
        let mut asked =
            |number, now_ms| (0..1_000).filter(|_| budget.may([2, 0, 0, 0, 0, number], now_ms)).count();
        assert_eq!(asked(7, 0), 64, "what comes at once");
        assert_eq!(asked(7, 1_000), 64, "and in a second");
        assert_eq!(asked(7, 1_500), 32);
        assert_eq!(asked(8, 1_500), 64, "another");
    }
}
