//! When a broker is tried again: soon, then later and later, never later than a minute, and not all gateways at once.
//!
//! In:  failures in a row, a random number. Out: milliseconds.
//!
//! The wait before try n is at random between half and all of `1, 2, 4, … 60` seconds. When the network comes back, it is tried at once
//! (`room.rs`).
//!
//! Source: R-MQTT.10; the cap is ours: an agent that waits for minutes after a broker's maintenance is of no use.

/// The first wait, in seconds.
pub const FIRST_S: u64 = 1;
/// The longest.
pub const LAST_S: u64 = 60;

/// The wait after `failures` in a row, in milliseconds.
#[must_use]
pub fn wait_ms(failures: u32, random: u32) -> u64 {
    let whole = (FIRST_S << failures.saturating_sub(1).min(16)).min(LAST_S) * 1000;
    let half = whole / 2;
    half + u64::from(random) % half.max(1)
}

#[cfg(test)]
mod tests {
    use super::{LAST_S, wait_ms};

    #[test]
    fn it_grows_and_has_an_end() {
        let table = [
            (1, 500, 1_000),
            (2, 1_000, 2_000),
            (3, 2_000, 4_000),
            (7, 30_000, 60_000),
            (u32::MAX, 30_000, 60_000),
        ];
        for (failures, least, most) in table {
            for random in [0, 1, 12_345, u32::MAX] {
                let wait = wait_ms(failures, random);
                assert!((least..=most).contains(&wait), "{failures} {random}: {wait}");
                assert!(wait <= LAST_S * 1000);
            }
        }
    }
}
