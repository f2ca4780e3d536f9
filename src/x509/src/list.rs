//! What a list of revoked certificates says of itself: whose it is, since when it counts, when the next one was to come.
//!
//! In:  DER that others wrote. Out: that, for people, and to tell the newer list from the older one.
//!
//! Not here: who is in it, and whether its signature is good (rustls: see `trust`).
//!
//! Source: RFC 5280 §5.1.2.

use crate::certificate::common_name;
use crate::der::{element, tag, whole};
use crate::time;

/// What is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Who has signed it: the common name.
    pub issuer: String,
    /// Since when it counts, in seconds since 1970.
    pub this_update_s: i64,
    /// When the next one was to come; `None`: it does not say.
    pub next_update_s: Option<i64>,
}

impl List {
    /// Reads one. `None`: it is none, or longer than 65 535 bytes.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (tag::SEQUENCE, signed, []) = element(der)? else { return None };
        let (tag::SEQUENCE, body, _) = element(signed)? else { return None };
        let (tag::INTEGER, _version, body) = element(body)? else { return None };
        let (tag::SEQUENCE, _algorithm, body) = element(body)? else { return None };
        let (issuer, body) = whole(body)?;
        let (kind, this, body) = element(body)?;
        let next = element(body).and_then(|(kind, next, _)| time::read(kind, next));
        let this_update_s = time::read(kind, this)?;
        Some(Self { issuer: common_name(issuer)?, this_update_s, next_update_s: next })
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    /// Made by openssl 3.0: `openssl ca -gencrl -crl_lastupdate 20260101000000Z -crl_nextupdate 21250101000000Z -cert sub.pem -keyfile sub.key`,
    /// with one certificate in its index; it says what `openssl crl -noout -issuer -lastupdate -nextupdate` says of it.
    const MADE: &[u8] = include_bytes!("../tests/data/list.der");

    #[test]
    fn a_list_of_somebody_elses_is_read() {
        let one = List::read(MADE).unwrap();
        assert_eq!((one.issuer.as_str(), one.this_update_s), ("sub", 1_767_225_600));
        assert_eq!(one.next_update_s, Some(4_891_363_200));
        for cut in 0..MADE.len() {
            assert_eq!(List::read(&MADE[..cut]), None, "{cut}");
        }
        assert_eq!(List::read(include_bytes!("../tests/data/certificate.der")), None);
    }
}
