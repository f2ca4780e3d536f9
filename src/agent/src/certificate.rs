//! What the gateway's own certificate says.
//!
//! In:  a certificate in DER, as `identity` makes it or the operator has given it. Out: its number, names, times; its fingerprint. What is not
//! of the usual form is none.
//!
//! Not here: whether anybody believes it (`trust`).
//!
//! Source: RFC 5280 §4.1, X.690 (DER).

use ring::digest::{SHA256, digest};

/// What is shown of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number: bytes in hex, with colons.
    pub serial: String,
    /// Who has signed it: the common name.
    pub issuer: String,
    /// Whose it is: the common name.
    pub subject: String,
    /// From when on it counts, in seconds since 1970.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
    /// SHA-256 of all of it: bytes in hex, with colons.
    pub fingerprint: String,
}

const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
/// `id-at-commonName`. Source: RFC 5280 §A.1.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

impl Certificate {
    /// Reads one.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (SEQUENCE, whole, _) = element(der)? else { return None };
        let (SEQUENCE, mut body, _) = element(whole)? else { return None };
        if let (VERSION, _, rest) = element(body)? {
            body = rest;
        }
        let (INTEGER, serial, body) = element(body)? else { return None };
        let (SEQUENCE, _, body) = element(body)? else { return None };
        let (SEQUENCE, issuer, body) = element(body)? else { return None };
        let (SEQUENCE, times, body) = element(body)? else { return None };
        let (SEQUENCE, subject, _) = element(body)? else { return None };
        let (before, first, times) = element(times)?;
        let (after, last, _) = element(times)?;
        Some(Self {
            serial: hex(serial),
            issuer: common_name(issuer)?,
            subject: common_name(subject)?,
            not_before_s: time(before, first)?,
            not_after_s: time(after, last)?,
            fingerprint: hex(digest(&SHA256, der).as_ref()),
        })
    }
}

/// The next element: its tag, what is in it, what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(one, rest)| (usize::from(*one), rest))?,
        0x82 => {
            rest.split_first_chunk::<2>().map(|(two, rest)| (usize::from(u16::from_be_bytes(*two)), rest))?
        }
        _ => return None,
    };
    rest.split_at_checked(length).map(|(inside, after)| (tag, inside, after))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// The common name among relative names; empty: there is none.
fn common_name(mut names: &[u8]) -> Option<String> {
    while !names.is_empty() {
        let (SET, set, rest) = element(names)? else { return None };
        let (SEQUENCE, pair, _) = element(set)? else { return None };
        let (OBJECT, kind, value) = element(pair)? else { return None };
        let (_, text, _) = element(value)?;
        if kind == COMMON_NAME {
            return String::from_utf8(text.to_vec()).ok();
        }
        names = rest;
    }
    Some(String::new())
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year. Source: RFC 5280 §4.1.2.5.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { year + 2000 } else { year + 1900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |place: usize| rest.get(place * 2..place * 2 + 2)?.parse::<i64>().ok();
    let [month, day, hour, minute, second] = [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?];
    // A date to days since 1970. Source: Hinnant, "chrono-compatible low-level date algorithms" (2021), days_from_civil.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::{Certificate, GENERALIZED_TIME, UTC_TIME, time};

    /// Made by openssl 3.0: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/O=isp/CN=os::00D09E-17' -days 30
    /// -set_serial 0x1234 -outform DER`; it says what `openssl x509 -noout -text -fingerprint -sha256` says of it.
    const MADE: &[u8] = include_bytes!("../tests/data/certificate.der");

    #[test]
    fn a_certificate_of_somebody_elses_is_read() {
        let one = Certificate::read(MADE).unwrap();
        assert_eq!((one.serial.as_str(), one.subject.as_str()), ("12:34", "os::00D09E-17"));
        assert_eq!((one.issuer.as_str(), one.not_after_s - one.not_before_s), ("os::00D09E-17", 30 * 86_400));
        assert_eq!(one.fingerprint, include_str!("../tests/data/certificate.sha256").trim());
        for cut in 0..MADE.len() {
            let _ = Certificate::read(&MADE[..cut]);
        }
        assert_eq!(Certificate::read(b"\x30\x82\xff\xff"), None);
    }

    #[test]
    fn times_are_those_of_date() {
        // Said by date(1) -u -d.
        for (tag, text, seconds) in [
            (UTC_TIME, "000229000000Z", 951_782_400),
            (UTC_TIME, "700101000001Z", 1),
            (GENERALIZED_TIME, "20390101000000Z", 2_177_452_800),
        ] {
            assert_eq!(time(tag, text.as_bytes()), Some(seconds), "{text}");
        }
        assert_eq!(time(UTC_TIME, b"0002290000"), None);
    }
}
