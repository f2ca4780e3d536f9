//! Numbers as people read them.
//!
//! In:  bytes, durations, counts. Out: short texts.
//!
//! Source: IEC 80000-13 (KiB, MiB).

use std::time::Duration;

/// Bytes, in the largest unit that leaves a whole number in front; one more digit where that number is small.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut rest, mut unit) = (count, 0, 0);
    while size >= 1024 && unit + 1 < UNITS.len() {
        rest = size % 1024 * 10 / 1024;
        size /= 1024;
        unit += 1;
    }
    let unit = UNITS.get(unit).unwrap_or(&"B");
    if size < 10 && rest > 0 {
        format!("{size}.{rest}\u{a0}{unit}")
    } else {
        format!("{}\u{a0}{unit}", grouped(size))
    }
}

/// A duration, in its two largest units.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}\u{a0}s"),
        (0, 0, _) => format!("{minutes}\u{a0}min {}\u{a0}s", seconds % 60),
        (0, _, _) => format!("{hours}\u{a0}h {}\u{a0}min", minutes % 60),
        (1, _, _) => format!("1\u{a0}day {}\u{a0}h", hours % 24),
        _ => format!("{}\u{a0}days {}\u{a0}h", grouped(days), hours % 24),
    }
}

/// A number, its digits in groups of three from ten thousand on.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}'); // A narrow space at which no line breaks.
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 visit`, `2 visits`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{}\u{a0}{}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::{bytes, counted, duration, grouped};
    use proptest::prelude::{any, proptest};
    use std::time::Duration;

    #[test]
    fn numbers_read_well() {
        let table = [
            (bytes(0), "0 B"),
            (bytes(1023), "1023 B"),
            (bytes(1536), "1.5 KiB"),
            (bytes(64 << 10), "64 KiB"),
            (bytes(16 << 20), "16 MiB"),
            (bytes(u64::MAX), "16 777 215 TiB"),
            (duration(Duration::from_millis(999)), "0 s"),
            (duration(Duration::from_secs(61)), "1 min 1 s"),
            (duration(Duration::from_secs(7260)), "2 h 1 min"),
            (duration(Duration::from_secs(90_000)), "1 day 1 h"),
            (duration(Duration::from_secs(200_000)), "2 days 7 h"),
            (grouped(9999), "9999"),
            (grouped(65_536), "65 536"),
            (counted(1, "visit", "visits"), "1 visit"),
            (counted(2, "visit", "visits"), "2 visits"),
        ];
        for (text, want) in table {
            assert_eq!(text.replace(['\u{a0}', '\u{202f}'], " "), want);
        }
    }

    proptest! {
        #[test]
        fn any_number_has_a_short_text(number in any::<u64>()) {
            assert!(bytes(number).chars().count() <= 14 && duration(Duration::from_secs(number)).chars().count() < 40);
        }
    }
}
