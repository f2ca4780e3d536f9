//! A certificate that the key signs of itself: what the gateway shows until the operator has given it another.
//!
//! In:  an endpoint id, a key. Out: a certificate in DER.
//!
//! It says the endpoint id twice: as common name, for people, and as a URI, for controllers. It is good for ever, for the key is: who
//! does not know the key has no reason to believe it, and who does needs no date.
//!
//! Source: RFC 5280 §4.1, §4.2.1.6 (a URI as name), §4.1.2.5 (99991231235959Z: no well-defined end); RFC 5758 §3.2 (the signature);
//! TR-369 §5 (`urn:bbf:usp:id:` and the endpoint id).

use ring::digest::{SHA256, digest};

use crate::Error;
use crate::der::{self, tag};
use crate::key::Key;

/// `ecdsa-with-SHA256`.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `id-at-commonName`.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-subjectAltName`.
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// Before the first of them was made.
const NOT_BEFORE: &[u8] = b"260101000000Z";
const NOT_AFTER: &[u8] = b"99991231235959Z";
/// A common name has 64 letters at most: RFC 5280 appendix A.1, `ub-common-name`.
const COMMON_NAME_MAX: usize = 64;

/// What stands before an endpoint id in a certificate.
pub const URN: &str = "urn:bbf:usp:id:";

/// A certificate of `key` for `endpoint`.
///
/// # Errors
/// [`Error::Key`]: it cannot be signed.
pub fn of_itself(key: &Key, endpoint: &str) -> Result<Vec<u8>, Error> {
    let public = key.public();
    let algorithm = der::wrap(tag::SEQUENCE, &[&der::wrap(tag::OBJECT, &[ECDSA_WITH_SHA256])]);
    let version_3 = der::wrap(tag::EXPLICIT_0, &[&der::integer(&[2])]);
    // A number of its own: of the key, so that the same key has the same. Twenty bytes at most (RFC 5280 §4.1.2.2).
    let number = digest(&SHA256, &public);
    let number = der::integer(number.as_ref().first_chunk::<16>().map_or(&[1], |number| number));
    let name = name(endpoint);
    let times = [der::wrap(tag::UTC_TIME, &[NOT_BEFORE]), der::wrap(tag::GENERALIZED_TIME, &[NOT_AFTER])];
    let validity = der::wrap(tag::SEQUENCE, &[&times[0], &times[1]]);
    let body = der::wrap(
        tag::SEQUENCE,
        &[&version_3, &number, &algorithm, &name, &validity, &name, &public, &extensions(endpoint)],
    );
    let signature = der::bits(&key.sign(&body)?);
    Ok(der::wrap(tag::SEQUENCE, &[&body, &algorithm, &signature]))
}

fn name(endpoint: &str) -> Vec<u8> {
    let short = endpoint.as_bytes().get(..COMMON_NAME_MAX).unwrap_or(endpoint.as_bytes());
    let pair = [der::wrap(tag::OBJECT, &[COMMON_NAME]), der::wrap(tag::UTF8, &[short])];
    let pair = der::wrap(tag::SEQUENCE, &[&pair[0], &pair[1]]);
    der::wrap(tag::SEQUENCE, &[&der::wrap(tag::SET, &[&pair])])
}

fn extensions(endpoint: &str) -> Vec<u8> {
    let names = der::wrap(tag::SEQUENCE, &[&der::wrap(tag::URI, &[URN.as_bytes(), endpoint.as_bytes()])]);
    let names = [der::wrap(tag::OBJECT, &[ALTERNATIVE_NAME]), der::wrap(tag::OCTET_STRING, &[&names])];
    let names = der::wrap(tag::SEQUENCE, &[&names[0], &names[1]]);
    der::wrap(tag::EXPLICIT_3, &[&der::wrap(tag::SEQUENCE, &[&names])])
}
