//! When a certificate's dates mean something: once `time` has said that the clock is right.
//!
//! In:  the file [`SYNCHRONIZED`], which `time` makes when the clock is set and which is gone after a reboot. Out: the time, or none.
//!
//! A gateway has no battery: it starts at the image's build time, at which a certificate that has been revoked by expiry is still good.
//!
//! Source: RFC 5280 §4.1.2.5 (validity); RFC 8915 §8.5 (the first time of all).

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// It is there if, and only if, the clock is believed.
pub const SYNCHRONIZED: &str = "/run/time/synchronized";

/// By which clock a certificate's dates are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's, once it is believed. Until then there is no time, and no certificate is good.
    Believed,
    /// This time, in seconds since 1970, as if it stood still. For `time` alone, whose first question (NTS) comes before there is a
    /// clock: the time below which the clock never goes, so that a server's certificate is judged at all.
    Supposed(u64),
}

/// Is the clock believed?
#[must_use]
pub fn is_believed() -> bool {
    Path::new(SYNCHRONIZED).exists()
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = match self {
            // Not the standard library's, which has 32 bits of it on i686 (`sys::wall`).
            Self::Believed if is_believed() => {
                Duration::from_nanos(u64::try_from(sys::wall::now_ns().ok()?).ok()?)
            }
            Self::Believed => return None,
            Self::Supposed(seconds) => Duration::from_secs(*seconds),
        };
        Some(UnixTime::since_unix_epoch(since))
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, is_believed};
    use rustls::time_provider::TimeProvider;

    #[test]
    fn there_is_no_time_before_it_is_believed() {
        assert_eq!(Clock::Believed.current_time().is_some(), is_believed());
        assert_eq!(Clock::Supposed(7).current_time().map(|time| time.as_secs()), Some(7));
    }
}
