//! A time of day, as `03:30`: when a service that does its work and ends is started.
//!
//! In:  what the provider wrote. Out: a minute of the day, in UTC: a gateway has no time zone, and no hour that comes twice or not at all.
//!
//! Not here: when it comes (the supervisor's `schedule.rs`).
//!
//! Source: docs/manifest.md; ISO 8601-1 §5.3.1.3 for the form.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(feature = "text")]
use super::{Manifest, Restart, Update};
use crate::name::Text;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// `HH:MM`.
const BYTES: usize = 5;

/// A minute of the day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

/// A text that is no time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTime;

impl fmt::Display for NoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no time of day: \"00:00\" to \"23:59\", in UTC")
    }
}

impl core::error::Error for NoTime {}

impl TimeOfDay {
    /// Seconds since midnight, below 86 400.
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::from(self.0) * 60
    }

    /// That minute of the day; `None`: a day has 1440 of them.
    #[must_use]
    pub fn of_minute(minute: u16) -> Option<Self> {
        (minute < DAY_MINUTES).then_some(Self(minute))
    }
}

impl FromStr for TimeOfDay {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let [h1, h2, b':', m1, m2] = text.as_bytes() else { return Err(NoTime) };
        let number = |tens: u8, ones: u8| match (tens, ones) {
            (b'0'..=b'9', b'0'..=b'9') => Ok(u16::from(tens - b'0') * 10 + u16::from(ones - b'0')),
            (_, _) => Err(NoTime),
        };
        match (number(*h1, *h2)?, number(*m1, *m2)?) {
            (hour @ 0..24, minute @ 0..60) => Ok(Self(hour * 60 + minute)),
            (_, _) => Err(NoTime),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // On wires and in records as a number: a service of a bundle has to fit in a page.
        if serializer.is_human_readable() {
            serializer.serialize_str(&Text::<BYTES>::format(format_args!("{self}")))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Self::of_minute(u16::deserialize(deserializer)?).ok_or_else(|| de::Error::custom(NoTime));
        }
        let no = |_| de::Error::custom(NoTime);
        heapless::String::<BYTES>::deserialize(deserializer).map_err(no)?.parse().map_err(de::Error::custom)
    }
}

/// Rules of `start_at` that are broken where the first of a pair is true.
#[cfg(feature = "text")]
pub(super) fn start_rules(manifest: &Manifest) -> [(bool, &'static str); 4] {
    let times = &manifest.start_at;
    let is = !times.is_empty();
    let twice = |(index, time): (usize, &TimeOfDay)| times.iter().skip(index + 1).any(|other| other == time);
    [
        (times.iter().enumerate().any(twice), "start_at: one twice"),
        (is && manifest.again_s != 0, "start_at: not with again_s; one of the two says when it starts again"),
        (
            is && manifest.restart == Restart::Always,
            "start_at: for services that end; `restart` is on-failure or never",
        ),
        (
            is && manifest.update == Update::Overlap,
            "update: overlap: for services that stay up; start_at is for those that end",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{NoTime, TimeOfDay};
    use std::string::ToString;

    #[test]
    fn a_time_of_day_is_read_and_written() {
        for (text, seconds) in [
            ("00:00", Ok(0)),
            ("03:30", Ok(12_600)),
            ("23:59", Ok(86_340)),
            ("24:00", Err(NoTime)),
            ("12:60", Err(NoTime)),
            ("3:30", Err(NoTime)),
            ("03:3", Err(NoTime)),
            ("03:30Z", Err(NoTime)),
            ("+3:30", Err(NoTime)),
            ("03-30", Err(NoTime)),
            ("", Err(NoTime)),
        ] {
            let read: Result<TimeOfDay, NoTime> = text.parse();
            assert_eq!(read.map(TimeOfDay::seconds), seconds, "{text}");
            assert!(read.is_err() || read.unwrap().to_string() == text, "{text}");
        }
        assert_eq!((0..2_000).filter_map(TimeOfDay::of_minute).count(), 1_440);
    }
}
