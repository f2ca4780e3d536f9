//! Times in certificates, and dates.
//!
//! In:  letters of a certificate, or seconds since 1970. Out: the other one.
//!
//! Source: RFC 5280 §4.1.2.5; Hinnant, "chrono-compatible low-level date algorithms" (2021).

use crate::der::{self, tag};

/// A date and a time of day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The year, the month from 1, the day from 1.
    pub day: (i64, i64, i64),
    /// Hours, minutes, seconds.
    pub time: (i64, i64, i64),
}

impl Date {
    /// The date of so many seconds since 1970. Source: Hinnant, `civil_from_days`.
    #[must_use]
    pub fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let date = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { day: (year, month, date), time: (rest / 3_600, rest / 60 % 60, rest % 60) }
    }

    /// Seconds since 1970. Source: Hinnant, `days_from_civil`.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        let ((year, month, day), (hour, minute, second)) = (self.day, self.time);
        let shifted = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        days * 86_400 + hour * 3_600 + minute * 60 + second
    }
}

/// Reads `YYMMDDHHMMSSZ`, or with four digits of the year; in seconds since 1970.
pub(crate) fn read(kind: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match kind {
        tag::UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { year + 2000 } else { year + 1900 }, rest)
        }
        tag::GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |place: usize| rest.get(place * 2..place * 2 + 2)?.parse::<i64>().ok();
    Some(Date { day: (year, part(0)?, part(1)?), time: (part(2)?, part(3)?, part(4)?) }.seconds())
}

/// Writes it: with two digits of the year until 2049, as the RFC has it.
pub(crate) fn write(seconds: i64) -> Vec<u8> {
    let Date { day: (year, month, day), time: (hour, minute, second) } = Date::of(seconds);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year {
        1950..2050 => der::wrap(tag::UTC_TIME, &[format!("{:02}", year % 100).as_bytes(), rest.as_bytes()]),
        _ => der::wrap(tag::GENERALIZED_TIME, &[format!("{year:04}").as_bytes(), rest.as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, read, tag, write};

    #[test]
    fn times_are_those_of_date() {
        // Said by date(1) -u -d.
        for (kind, text, seconds) in [
            (tag::UTC_TIME, "000229000000Z", 951_782_400),
            (tag::UTC_TIME, "700101000001Z", 1),
            (tag::UTC_TIME, "491231235959Z", 2_524_607_999),
            (tag::GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (tag::GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(read(kind, text.as_bytes()), Some(seconds), "{text}");
            assert_eq!(Date::of(seconds).seconds(), seconds, "{text}");
            assert_eq!(write(seconds)[2..], *text.as_bytes(), "{text}");
        }
        // Four digits before 2050 are not for us to write, but to read.
        assert_eq!(read(tag::GENERALIZED_TIME, b"20390101000000Z"), Some(2_177_452_800));
        assert_eq!(read(tag::UTC_TIME, b"0002290000"), None);
    }
}
