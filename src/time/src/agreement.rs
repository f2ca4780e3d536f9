//! What is said to agree on keys: records.
//!
//! In:  bytes. Out: what a server gives us. This module is pure.
//!
//! Source: RFC 8915 §4.

use contract::Text;

use crate::seal::{COOKIE_BYTES_MAX, COOKIES};

/// Where a server's port is. Source: RFC 8915 §7.1.
pub const PORT: u16 = 4_460;
/// The protocol's name in TLS (ALPN). Source: RFC 8915 §7.2.
pub const PROTOCOL: &[u8] = b"ntske/1";
/// What both ends make keys with. Source: RFC 8915 §5.1.
pub const EXPORTER: &[u8] = b"EXPORTER-network-time-security";
/// Both contexts: NTPv4, AEAD_AES_SIV_CMAC_256, to the server or from it.
pub const TO_SERVER: [u8; 5] = [0, 0, 0, 15, 0];
/// See there.
pub const FROM_SERVER: [u8; 5] = [0, 0, 0, 15, 1];
/// An answer, in bytes at most: eight cookies and a few words.
pub const BYTES_MAX: usize = 16 * 1024;

/// Kinds of records. Source: RFC 8915 §7.6.
mod kind {
    pub(super) const END: u16 = 0;
    pub(super) const PROTOCOL: u16 = 1;
    pub(super) const ERROR: u16 = 2;
    pub(super) const WARNING: u16 = 3;
    pub(super) const ALGORITHM: u16 = 4;
    pub(super) const COOKIE: u16 = 5;
    pub(super) const SERVER: u16 = 6;
    pub(super) const PORT: u16 = 7;
}
/// Who does not know this record must not go on.
const CRITICAL: u16 = 0x8000;
const NTP_4: [u8; 2] = [0, 0];
const AES_SIV_CMAC_256: [u8; 2] = [0, 15];
/// Records of one answer.
const RECORDS_MAX: usize = 64;

/// What a server gives us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreement {
    /// Cookies, one at least.
    pub cookies: Vec<Vec<u8>>,
    /// Which server takes them; empty: the one that gave them.
    pub server: Text<63>,
    /// Its port; `None`: the usual one.
    pub port: Option<u16>,
}

/// Our question, whole.
#[must_use]
pub fn question() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, body) in [(kind::PROTOCOL, &NTP_4[..]), (kind::ALGORITHM, &AES_SIV_CMAC_256), (kind::END, &[])]
    {
        bytes.extend((kind | CRITICAL).to_be_bytes());
        bytes.extend(u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

/// What became of an answer, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// There is more to come.
    Part,
    /// It is whole, and good.
    Whole(Agreement),
    /// It is none, or a refusal: why.
    Refused(&'static str),
}

/// Reads an answer, as far as it has come.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Heard {
    let (mut agreement, mut protocol, mut algorithm) = (Agreement::default(), false, false);
    for _ in 0..RECORDS_MAX {
        let Some((kind, body, rest)) = record(bytes) else { return Heard::Part };
        bytes = rest;
        match (kind & !CRITICAL, body) {
            (kind::END, []) if protocol && algorithm && !agreement.cookies.is_empty() => {
                return Heard::Whole(agreement);
            }
            (kind::END, _) => return Heard::Refused("it gives us nothing that we could use"),
            (kind::PROTOCOL, body) => protocol = body == NTP_4,
            (kind::ALGORITHM, body) => algorithm = body == AES_SIV_CMAC_256,
            (kind::ERROR, _) => return Heard::Refused("it says that we are in error"),
            (kind::WARNING, _) => return Heard::Refused("it warns us of something"),
            (kind::COOKIE, cookie) => {
                if agreement.cookies.len() < COOKIES && (1..=COOKIE_BYTES_MAX).contains(&cookie.len()) {
                    agreement.cookies.push(cookie.to_vec());
                }
            }
            (kind::SERVER, name) => match std::str::from_utf8(name) {
                Ok(name) if (1..=63).contains(&name.len()) && name.is_ascii() => {
                    agreement.server = name.into()
                }
                _ => return Heard::Refused("it names a server that has no name"),
            },
            (kind::PORT, &[high, low]) if (high, low) != (0, 0) => {
                agreement.port = Some(u16::from_be_bytes([high, low]));
            }
            (kind::PORT, _) => return Heard::Refused("it names a port that is none"),
            (_, _) if kind & CRITICAL != 0 => {
                return Heard::Refused("it says a critical word that we do not know");
            }
            (_, _) => {}
        }
    }
    Heard::Refused("it says more than anybody needs")
}

fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((u16::from_be_bytes(*kind), body, rest))
}

#[cfg(test)]
mod tests {
    use super::{Heard, question, read};

    type Record<'r> = (u16, &'r [u8]);

    fn records(all: &[Record<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, body) in all {
            bytes.extend(kind.to_be_bytes());
            bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend(*body);
        }
        bytes
    }

    #[test]
    fn the_question_is_the_shortest_one() {
        assert_eq!(question(), [0x80, 1, 0, 2, 0, 0, 0x80, 4, 0, 2, 0, 15, 0x80, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_whole_good_or_refused() {
        let (ntp, siv, end): (Record<'_>, Record<'_>, Record<'_>) =
            ((0x8001, &[0, 0]), (0x8004, &[0, 15]), (0x8000, &[]));
        let cookie: Record<'_> = (5, &[7; 100]);
        let good = records(&[ntp, siv, cookie, cookie, (6, b"ntp.example"), (7, &[0, 123]), (99, b"?"), end]);
        let Heard::Whole(agreement) = read(&good) else { panic!("{:?}", read(&good)) };
        assert_eq!(
            (agreement.cookies.len(), agreement.server.as_str(), agreement.port),
            (2, "ntp.example", Some(123))
        );
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut]), Heard::Part, "cut at {cut}");
        }
        let table: &[(&str, &[Record<'_>])] = &[
            ("no cookie", &[ntp, siv, end]),
            ("no protocol", &[siv, cookie, end]),
            ("another protocol", &[(0x8001, &[0, 1]), siv, cookie, end]),
            ("another algorithm", &[ntp, (0x8004, &[0, 30]), cookie, end]),
            ("an error", &[(0x8002, &[0, 1])]),
            ("a warning", &[(0x8003, &[0, 1])]),
            ("a critical word", &[ntp, siv, cookie, (0x8063, &[]), end]),
            ("a port that is none", &[ntp, siv, cookie, (7, &[0, 0]), end]),
            ("no name", &[ntp, siv, cookie, (6, &[0xff]), end]),
            ("a large cookie", &[ntp, siv, (5, &[0; 300]), end]),
            ("words without end", &[(99, &[][..]); 64]),
        ];
        for (name, all) in table {
            assert!(matches!(read(&records(all)), Heard::Refused(_)), "{name}");
        }
    }
}
