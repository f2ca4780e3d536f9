//! What a certificate says.
//!
//! In:  a certificate in DER, as `identity` makes it or an operator has signed it. Out: its number, names, times, key; its fingerprint. What is
//! not of the usual form is none.
//!
//! Source: RFC 5280 §4.1, §4.2.1.6 (other names), X.690 (DER).

use ring::digest::{SHA256, digest};

use crate::URN;
use crate::der::{element, tag, whole};
use crate::issue::{ALTERNATIVE_NAME, COMMON_NAME};
use crate::time;

/// Certificates from a gateway's own to one that an authority has signed of itself.
const CHAIN_MAX: usize = 4;

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
    /// Its key, as `SubjectPublicKeyInfo` in DER.
    pub public: Vec<u8>,
    /// Other names of its: those that are URIs.
    pub uris: Vec<String>,
    /// Both names in DER.
    pub issuer_name: Vec<u8>,
    /// See `issuer_name`.
    pub subject_name: Vec<u8>,
}

impl Certificate {
    /// Reads one.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (tag::SEQUENCE, signed, []) = element(der)? else { return None };
        let (tag::SEQUENCE, mut body, _) = element(signed)? else { return None };
        if let (tag::EXPLICIT_0, _, rest) = element(body)? {
            body = rest;
        }
        let (tag::INTEGER, serial, body) = element(body)? else { return None };
        let (tag::SEQUENCE, _algorithm, body) = element(body)? else { return None };
        let (issuer_name, body) = whole(body)?;
        let (tag::SEQUENCE, times, body) = element(body)? else { return None };
        let (subject_name, body) = whole(body)?;
        let (public, mut body) = whole(body)?;
        let mut names = Some(Vec::new());
        while !body.is_empty() {
            let (kind, inside, rest) = element(body)?;
            if kind == tag::EXPLICIT_3 {
                let (tag::SEQUENCE, extensions, _) = element(inside)? else { return None };
                names = uris(extensions);
            }
            body = rest;
        }
        let (before, first, times) = element(times)?;
        let (after, last, _) = element(times)?;
        Some(Self {
            serial: hex(serial),
            issuer: common_name(issuer_name)?,
            subject: common_name(subject_name)?,
            not_before_s: time::read(before, first)?,
            not_after_s: time::read(after, last)?,
            fingerprint: hex(digest(&SHA256, der).as_ref()),
            public: public.to_vec(),
            uris: names?,
            issuer_name: issuer_name.to_vec(),
            subject_name: subject_name.to_vec(),
        })
    }

    /// Reads certificates that stand one after another, each signed by the next as far as their names say. `None`: they are not that, or
    /// too many.
    #[must_use]
    pub fn chain(mut der: &[u8]) -> Option<Vec<Self>> {
        let mut chain: Vec<Self> = Vec::new();
        while !der.is_empty() {
            let (one, rest) = whole(der)?;
            let one = Self::read(one)?;
            let fits = chain.last().is_none_or(|before| before.issuer_name == one.subject_name);
            chain.push(one);
            if !fits || chain.len() > CHAIN_MAX {
                return None;
            }
            der = rest;
        }
        (!chain.is_empty()).then_some(chain)
    }

    /// Does it bear this endpoint id (TR-369, R-SEC.0a)?
    #[must_use]
    pub fn is_of(&self, endpoint: &str) -> bool {
        self.uris.iter().any(|uri| uri.strip_prefix(URN) == Some(endpoint))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// The common name of a name; empty: there is none.
pub(crate) fn common_name(name: &[u8]) -> Option<String> {
    let (tag::SEQUENCE, mut names, _) = element(name)? else { return None };
    while !names.is_empty() {
        let (tag::SET, set, rest) = element(names)? else { return None };
        let (tag::SEQUENCE, pair, _) = element(set)? else { return None };
        let (tag::OBJECT, kind, value) = element(pair)? else { return None };
        let (_, text, _) = element(value)?;
        if kind == COMMON_NAME {
            return String::from_utf8(text.to_vec()).ok();
        }
        names = rest;
    }
    Some(String::new())
}

/// The URIs among other names, in these extensions.
pub(crate) fn uris(mut extensions: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !extensions.is_empty() {
        let (tag::SEQUENCE, one, rest) = element(extensions)? else { return None };
        extensions = rest;
        let (tag::OBJECT, ALTERNATIVE_NAME, mut value) = element(one)? else { continue };
        if let (tag::BOOLEAN, _, behind) = element(value)? {
            value = behind;
        }
        let (tag::OCTET_STRING, value, _) = element(value)? else { return None };
        let (tag::SEQUENCE, mut names, _) = element(value)? else { return None };
        while !names.is_empty() {
            let (kind, name, rest) = element(names)?;
            names = rest;
            if kind == tag::URI {
                found.push(String::from_utf8(name.to_vec()).ok()?);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::Certificate;
    use crate::issue::{ALWAYS_S, of_itself};
    use crate::{Authority, Key, Request};

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
    fn a_chain_is_signed_one_by_the_next() {
        let (key, endpoint) = (Key::make().unwrap(), "os::0019CB-0042");
        let authority = Authority::make("isp", ALWAYS_S).unwrap();
        let request = Request::read(&Request::write(&key, endpoint).unwrap()).unwrap();
        let signed = authority.sign(&request, (0, 60)).unwrap();
        let of_itself = of_itself(&key, endpoint).unwrap();
        let chain = Certificate::chain(&[&signed, authority.certificate()].concat()).unwrap();
        let [gateway, isp] = chain.as_slice() else { unreachable!("two: {chain:?}") };
        assert!(gateway.is_of(endpoint) && !gateway.is_of("os::0019CB-004") && !isp.is_of(endpoint));
        assert_eq!((gateway.public.clone(), gateway.not_after_s), (key.public(), 60));
        assert_eq!((gateway.issuer.as_str(), isp.issuer.as_str()), ("isp", "isp"));
        let table: [(&str, Vec<u8>); 5] = [
            ("nothing", Vec::new()),
            ("the other way round", [authority.certificate(), &signed].concat()),
            ("another's", [&signed[..], &of_itself].concat()),
            ("cut", signed[..signed.len() - 1].to_vec()),
            ("too many", authority.certificate().repeat(5)),
        ];
        for (what, bytes) in table {
            assert_eq!(Certificate::chain(&bytes), None, "{what}");
        }
        assert!(Certificate::chain(&of_itself).unwrap()[0].is_of(endpoint));
        let again = Authority::open(authority.secret(), authority.certificate()).unwrap();
        assert_eq!(
            again.sign(&request, (0, 60)).is_ok(),
            Authority::open(key.secret(), authority.certificate()).is_err()
        );
    }
}
