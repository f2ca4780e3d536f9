//! Moments: nanoseconds since 1970 here, 64 bits since 1900 on the wire.
//!
//! In:  one. Out: the other. This module is pure.
//!
//! A stamp on the wire has 32 bits of seconds and starts anew every 136 years, the next time in 2036. What it means is the first such moment
//! that is not before the image was built; so an image works for 136 years.
//!
//! Source: RFC 5905 §6.

/// When the image was built, in seconds since 1970: build.rs.
pub const BUILT_S: i64 = decimal(env!("SHG_BUILT_S"));

// Before 1 November 2026 nothing of this was built.
const _: () = assert!(BUILT_S >= 1_793_491_200);

/// A second, in nanoseconds.
pub const SECOND_NS: i64 = 1_000_000_000;

/// From 1900 to 1970, in seconds. Source: RFC 5905 figure 4.
const UNIX_S: i64 = 2_208_988_800;
/// An era, in seconds.
const ERA_S: i64 = 1 << 32;

const fn decimal(text: &str) -> i64 {
    let (bytes, mut place, mut number) = (text.as_bytes(), 0, 0);
    while place < bytes.len() {
        // build.rs has written nothing but digits.
        number = number * 10 + (bytes[place] - b'0') as i64;
        place += 1;
    }
    number
}

/// What `stamp` means, in nanoseconds since 1970: the first moment at or after `pivot_s`.
#[must_use]
pub fn read(stamp: u64, pivot_s: i64) -> i64 {
    let seconds = i64::try_from(stamp >> 32).unwrap_or(0);
    let since_pivot = (seconds - UNIX_S - pivot_s).rem_euclid(ERA_S);
    let nanoseconds = ((stamp & u64::from(u32::MAX)) * 1_000_000_000) >> 32;
    let whole = pivot_s.saturating_add(since_pivot).saturating_mul(SECOND_NS);
    whole.saturating_add(i64::try_from(nanoseconds).unwrap_or(0))
}

/// `moment_ns` as a stamp.
#[must_use]
pub fn write(moment_ns: i64) -> u64 {
    let seconds = (moment_ns.div_euclid(SECOND_NS) + UNIX_S).rem_euclid(ERA_S);
    let nanoseconds = u64::try_from(moment_ns.rem_euclid(SECOND_NS)).unwrap_or(0);
    // Rounded up, so that reading it gives the same nanosecond.
    let fraction = (nanoseconds << 32).div_ceil(1_000_000_000);
    (u64::try_from(seconds).unwrap_or(0) << 32) | fraction
}

/// A short one, 16 bits on each side of the point, in nanoseconds.
#[must_use]
pub fn read_short(short: u32) -> i64 {
    i64::try_from((u64::from(short) * 1_000_000_000) >> 16).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{BUILT_S, SECOND_NS, read, read_short, write};

    #[test]
    fn eras_are_told_apart() {
        // RFC 5905 figure 4; the second day of era 1; the end of 32 bits of Unix seconds.
        let table = [
            ("built", BUILT_S),
            ("a second later", BUILT_S + 1),
            ("the last of era 0", 2_085_978_495),
            ("the first of era 1", 2_085_978_496),
            ("the end of 32 bits", 2_147_483_648),
            ("a century later", BUILT_S + 3_155_760_000),
            ("the last that can be told", BUILT_S + (1 << 32) - 1),
        ];
        for (name, seconds) in table {
            for nanoseconds in [0, 1, 499_999_999, 999_999_999] {
                let moment_ns = seconds * SECOND_NS + nanoseconds;
                assert_eq!(read(write(moment_ns), BUILT_S), moment_ns, "{name}");
            }
        }
        assert_eq!(write(2_085_978_496 * SECOND_NS), 0);
        // What was before the build seems to be 136 years later, and is refused for it.
        assert_eq!(read(write((BUILT_S - 1) * SECOND_NS), BUILT_S), (BUILT_S - 1 + (1 << 32)) * SECOND_NS);
        assert_eq!(read_short(0x0001_8000), 1_500_000_000);
    }
}
