//! How often one client may make us ask outside: a bucket each, for a bounded number of them.
//!
//! In:  an address, a moment. Out: may it?
//!
//! What is known already is told to everybody: it costs us no more than it costs the asker, and goes only to hosts of our own links.

use std::collections::HashMap;
use std::net::IpAddr;

/// Questions at once: a browser that opens its tabs of yesterday.
const BURST: u32 = 400;
/// Questions a second after that.
const PER_S: u32 = 100;
/// Clients that are counted; when there are more, those who have been quiet are forgotten.
const CLIENTS_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    since_ms: u64,
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Rate {
    buckets: HashMap<IpAddr, Bucket>,
}

impl Bucket {
    fn fill(self, now_ms: u64) -> Self {
        let more = now_ms.saturating_sub(self.since_ms).saturating_mul(PER_S.into()) / 1_000;
        let Ok(more @ 1..) = u32::try_from(more.min(BURST.into())) else { return self };
        Self { left: self.left.saturating_add(more).min(BURST), since_ms: now_ms }
    }
}

impl Rate {
    /// May `client` make us ask at `now_ms`?
    pub fn allows(&mut self, client: IpAddr, now_ms: u64) -> bool {
        if self.buckets.len() >= CLIENTS_MAX && !self.buckets.contains_key(&client) {
            self.buckets.retain(|_, bucket| bucket.fill(now_ms).left < BURST);
            if self.buckets.len() >= CLIENTS_MAX {
                return false;
            }
        }
        let bucket = self.buckets.entry(client).or_insert(Bucket { left: BURST, since_ms: now_ms });
        *bucket = bucket.fill(now_ms);
        let allowed = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, CLIENTS_MAX, PER_S, Rate};
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn a_flood_is_held_back_and_others_are_not() {
        let (mut rate, flood, other) =
            (Rate::default(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let count =
            |rate: &mut Rate, client, now_ms| (0..2_000).filter(|_| rate.allows(client, now_ms)).count();
        assert_eq!(count(&mut rate, flood, 0), BURST as usize);
        assert_eq!(count(&mut rate, flood, 1_000), PER_S as usize);
        assert_eq!(count(&mut rate, other, 1_000), BURST as usize);
        for number in 0..2_000 {
            rate.allows(Ipv4Addr::from_bits(number).into(), 1_000);
        }
        assert!(rate.buckets.len() <= CLIENTS_MAX);
        assert!(rate.allows([198, 51, 100, 1].into(), 60_000), "those who are quiet are forgotten");
    }
}
