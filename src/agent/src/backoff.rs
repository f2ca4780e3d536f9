//! When something is tried again: soon, then later and later, and not by all gateways at once.
//!
//! In:  failures in a row, a random number. Out: milliseconds.
//!
//! A broker is tried after `1, 2, 4, … 60` seconds, each at random between half and all of it. News that is not answered, sessions that are
//! not taken up, and controllers by WebSocket have the waits of TR-369: m·k^n to m·k^(n+1) seconds. A connection has a longest wait of the
//! operator's besides, and when the network comes back, it is tried at once (`room.rs`).
//!
//! Source: R-MQTT.10, R-NOT.1, R-E2E.10, R-WS.19; the longest wait is ours: an agent that waits for an hour after a controller's maintenance is
//! of no use.

/// The first wait for a broker, in seconds.
pub const FIRST_S: u64 = 1;
/// The longest wait for a connection where the operator's file does not say it, in seconds.
pub const LAST_S: u32 = 60;
/// The tenth wait of the standard's is its longest (R-NOT.2).
const TRIES_THAT_COUNT: u32 = 9;

/// The wait for a broker after `failures` in a row, in milliseconds, no longer than `last_s`.
#[must_use]
pub fn wait_ms(failures: u32, last_s: u32, random: u32) -> u64 {
    let whole = (FIRST_S << failures.saturating_sub(1).min(16)).min(u64::from(last_s)) * 1000;
    within(whole / 2, whole, random)
}

/// The standard's wait after `tries` tries, in milliseconds: from m·k^n to m·k^(n+1), with m in seconds and k in thousandths.
#[must_use]
pub fn standard_ms(tries: u32, retry: (u16, u16), random: u32) -> u64 {
    let (from, to) = standard(tries, retry);
    within(from, to, random)
}

/// The same for a connection after `failures` in a row, no longer than `last_s`. The longest wait is at random, too: from half of it on.
#[must_use]
pub fn connection_ms(failures: u32, retry: (u16, u16), last_s: u32, random: u32) -> u64 {
    let (from, to) = standard(failures.saturating_sub(1), retry);
    let last = u64::from(last_s) * 1000;
    within(from.min(last / 2), to.min(last), random)
}

fn standard(tries: u32, (least_s, times): (u16, u16)) -> (u64, u64) {
    let next = |wait: u64| wait.saturating_mul(u64::from(times)) / 1000;
    let from = (0..tries.min(TRIES_THAT_COUNT)).fold(u64::from(least_s) * 1000, |wait, _| next(wait));
    (from, next(from))
}

fn within(from: u64, to: u64, random: u32) -> u64 {
    from.saturating_add(u64::from(random) % to.saturating_sub(from).max(1))
}

#[cfg(test)]
mod tests {
    use super::{LAST_S, connection_ms, standard_ms, wait_ms};

    const RANDOM: [u32; 5] = [0, 1, 7, 12_345, u32::MAX];

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
            for random in RANDOM {
                let wait = wait_ms(failures, LAST_S, random);
                assert!((least..=most).contains(&wait), "{failures} {random}: {wait}");
            }
        }
        assert_eq!(wait_ms(9, 10, 0), 5_000, "as long as the operator says");
    }

    // Shows R-NOT.1, R-NOT.2, R-BULK.3, R-E2E.11, R-WS.19.
    #[test]
    fn waits_are_those_of_the_standard() {
        // Source: TR-369 §7.6 and §4.4, tables of retry intervals.
        for (tries, from, to) in [(0, 5, 10), (1, 10, 20), (4, 80, 160), (9, 2560, 5120), (50, 2560, 5120)] {
            for random in RANDOM {
                let range = from * 1000..=to * 1000;
                let wait = standard_ms(tries, (5, 2000), random);
                assert!(range.contains(&wait), "{tries}: {wait}");
                let wait = connection_ms(tries + 1, (5, 2000), 5120, random);
                assert!(range.contains(&wait), "{tries}, a connection: {wait}");
            }
        }
    }

    #[test]
    fn no_connection_waits_longer_than_the_operator_likes() {
        let table = [
            (1, (5, 2000), 5_000, 10_000),
            (3, (5, 2000), 20_000, 40_000),
            (4, (5, 2000), 30_000, 60_000),
            (50, (5, 2000), 30_000, 60_000),
            (1, (u16::MAX, u16::MAX), 30_000, 60_000),
            (9, (1, 1000), 1_000, 1_000),
        ];
        for (failures, retry, least, most) in table {
            for random in RANDOM {
                let wait = connection_ms(failures, retry, LAST_S, random);
                assert!((least..=most).contains(&wait), "{failures} {retry:?}: {wait}");
            }
        }
    }
}
