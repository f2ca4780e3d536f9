//! Writes certificates: the one that a gateway signs of itself, and those that an authority signs.
//!
//! In:  an endpoint id, a public key, who signs. Out: a certificate in DER.
//!
//! It says the endpoint id twice: as common name, for people and for brokers that take it for a user's name, and as a URI, for controllers.
//!
//! Source: RFC 5280 §4.1, §4.2.1.6 (a URI as name), §4.1.2.5 (99991231235959Z: no well-defined end); RFC 5758 §3.2 (the signature);
//! TR-369 §5 (R-SEC.0a).

use ring::digest::{SHA256, digest};

use crate::der::{self, tag};
use crate::key::Key;
use crate::time;
use crate::{Error, URN};

/// `ecdsa-with-SHA256`.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `id-at-commonName`.
pub(crate) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-…`: `subjectKeyIdentifier`, `keyUsage`, `subjectAltName`, `basicConstraints`, `authorityKeyIdentifier`.
const KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(crate) const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// `digitalSignature`; `keyCertSign` and `cRLSign`: as bits, after how many of the last byte are not used.
const USE_OF_GATEWAY: &[u8] = &[7, 0x80];
const USE_OF_AUTHORITY: &[u8] = &[1, 0x06];
/// 2026-01-01, before the first gateway was made; and the end of 9999, in seconds since 1970.
pub const ALWAYS_S: (i64, i64) = (1_767_225_600, 253_402_300_799);
/// A common name has 64 letters at most: RFC 5280 appendix A.1, `ub-common-name`.
const COMMON_NAME_MAX: usize = 64;

/// What is to be certified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'w> {
    /// Whose it is: a name in DER.
    pub(crate) subject: &'w [u8],
    /// The key, as `SubjectPublicKeyInfo` in DER.
    pub(crate) public: &'w [u8],
    /// Of a gateway with this endpoint id; `None`: of an authority.
    pub(crate) endpoint: Option<&'w str>,
    /// From when to when, in seconds since 1970.
    pub(crate) valid_s: (i64, i64),
}

/// A certificate of `key` for `endpoint`, signed by the key itself. It is good for ever, for the key is: who does not know the key has no
/// reason to believe it, and who does needs no date.
///
/// # Errors
/// [`Error::Key`]: it cannot be signed.
pub fn of_itself(key: &Key, endpoint: &str) -> Result<Vec<u8>, Error> {
    let (public, subject) = (key.public(), name(endpoint));
    // A number of its own: of the key, so that the same key has the same. Twenty bytes at most (RFC 5280 §4.1.2.2).
    let number = digest(&SHA256, &public).as_ref().first_chunk::<16>().copied().unwrap_or([1; 16]);
    let wanted = Wanted { subject: &subject, public: &public, endpoint: Some(endpoint), valid_s: ALWAYS_S };
    issue(&wanted, (key, &subject), number)
}

/// A certificate of what is `wanted`, by an issuer of this key and this name, with this number.
///
/// # Errors
/// [`Error::Key`]: it cannot be signed.
pub(crate) fn issue(
    wanted: &Wanted<'_>,
    (key, issuer): (&Key, &[u8]),
    number: [u8; 16],
) -> Result<Vec<u8>, Error> {
    let version_3 = der::wrap(tag::EXPLICIT_0, &[&der::integer(&[2])]);
    let (first_s, last_s) = wanted.valid_s;
    let validity = der::wrap(tag::SEQUENCE, &[&time::write(first_s), &time::write(last_s)]);
    let extensions = extensions(wanted, &key.public());
    let parts: [&[u8]; 8] = [
        &version_3,
        &der::integer(&number),
        &algorithm(),
        issuer,
        &validity,
        wanted.subject,
        wanted.public,
        &extensions,
    ];
    let body = der::wrap(tag::SEQUENCE, &parts);
    let signature = der::bits(&key.sign(&body)?);
    Ok(der::wrap(tag::SEQUENCE, &[&body, &algorithm(), &signature]))
}

/// How it is signed.
pub(crate) fn algorithm() -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &[&der::wrap(tag::OBJECT, &[ECDSA_WITH_SHA256])])
}

/// A name of one part: a common name.
pub(crate) fn name(text: &str) -> Vec<u8> {
    let short: String = text.chars().take(COMMON_NAME_MAX).collect();
    let pair = [der::wrap(tag::OBJECT, &[COMMON_NAME]), der::wrap(tag::UTF8, &[short.as_bytes()])];
    let pair = der::wrap(tag::SEQUENCE, &[&pair[0], &pair[1]]);
    der::wrap(tag::SEQUENCE, &[&der::wrap(tag::SET, &[&pair])])
}

/// The extension that says an endpoint id.
pub(crate) fn alternative_name(endpoint: &str) -> Vec<u8> {
    let uri = der::wrap(tag::URI, &[URN.as_bytes(), endpoint.as_bytes()]);
    extension(ALTERNATIVE_NAME, false, &der::wrap(tag::SEQUENCE, &[&uri]))
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::wrap(tag::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let value = der::wrap(tag::OCTET_STRING, &[value]);
    der::wrap(tag::SEQUENCE, &[&der::wrap(tag::OBJECT, &[id]), &critical, &value])
}

fn extensions(wanted: &Wanted<'_>, issuer: &[u8]) -> Vec<u8> {
    let names = wanted.endpoint.map(alternative_name).unwrap_or_default();
    if wanted.endpoint.is_some() && wanted.public == issuer {
        // It is its own anchor, where it is one at all: what is said of keys that sign others is not said of it.
        return der::wrap(tag::EXPLICIT_3, &[&der::wrap(tag::SEQUENCE, &[&names])]);
    }
    let (constraints, usage) = match wanted.endpoint {
        Some(_) => (der::wrap(tag::SEQUENCE, &[]), USE_OF_GATEWAY),
        None => (der::wrap(tag::SEQUENCE, &[&der::wrap(tag::BOOLEAN, &[&[0xff]])]), USE_OF_AUTHORITY),
    };
    let identifier = der::wrap(tag::OCTET_STRING, &[&identifier(wanted.public)]);
    let authority = der::wrap(tag::SEQUENCE, &[&der::wrap(tag::PLAIN_0, &[&self::identifier(issuer)])]);
    let all = [
        extension(BASIC_CONSTRAINTS, true, &constraints),
        extension(KEY_USAGE, true, &der::wrap(tag::BIT_STRING, &[usage])),
        extension(KEY_IDENTIFIER, false, &identifier),
        extension(AUTHORITY_KEY_IDENTIFIER, false, &authority),
        names,
    ];
    der::wrap(tag::EXPLICIT_3, &[&der::wrap(tag::SEQUENCE, &[&all.concat()])])
}

/// By which a key is found. Source: RFC 7093 §2 (method 1).
fn identifier(public: &[u8]) -> [u8; 20] {
    digest(&SHA256, public).as_ref().first_chunk::<20>().copied().unwrap_or([0; 20])
}
