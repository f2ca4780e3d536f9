//! A request for a certificate (PKCS#10): a public key, an endpoint id, signed by that key.
//!
//! In:  a key and an endpoint id; or a request that a gateway has sent. Out: DER; or what it asks for, once its signature was checked.
//!
//! Source: RFC 2986; RFC 2985 §5.4.2 (the extensions that are asked for); RFC 5758 §3.2 (the signature).

use crate::certificate::uris;
use crate::der::{self, element, tag, whole};
use crate::issue::{algorithm, alternative_name, name};
use crate::key::{Key, PUBLIC_BYTES, has_signed, point};
use crate::{Error, URN};

/// `extensionRequest`. Source: RFC 2985 §5.4.2.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// A request has little more than a key: what is longer, in bytes, is none of ours.
const BYTES_MAX: usize = 1024;

/// What a gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its endpoint id.
    pub endpoint: String,
    /// Its public key, as `SubjectPublicKeyInfo` in DER.
    pub public: Vec<u8>,
}

impl Request {
    /// Writes one.
    ///
    /// # Errors
    /// [`Error::Key`]: it cannot be signed.
    pub fn write(key: &Key, endpoint: &str) -> Result<Vec<u8>, Error> {
        let extensions = der::wrap(tag::SEQUENCE, &[&alternative_name(endpoint)]);
        let values = der::wrap(tag::SET, &[&extensions]);
        let wanted = der::wrap(tag::SEQUENCE, &[&der::wrap(tag::OBJECT, &[EXTENSION_REQUEST]), &values]);
        let attributes = der::wrap(tag::EXPLICIT_0, &[&wanted]);
        let parts = [&der::integer(&[0])[..], &name(endpoint), &key.public(), &attributes];
        let body = der::wrap(tag::SEQUENCE, &parts);
        let signature = der::bits(&key.sign(&body)?);
        Ok(der::wrap(tag::SEQUENCE, &[&body, &algorithm(), &signature]))
    }

    /// Reads one, and checks that whoever wrote it has its key.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Signature`].
    pub fn read(request: &[u8]) -> Result<Self, Error> {
        let short = Some(request).filter(|request| request.len() <= BYTES_MAX);
        let (body, signature) = short.and_then(split).ok_or(Error::Request)?;
        let (endpoint, public) = wanted(body).ok_or(Error::Request)?;
        point(public).ok_or(Error::Request)?;
        if !has_signed(public, body, signature) {
            return Err(Error::Signature);
        }
        Ok(Self { endpoint, public: public.to_vec() })
    }
}

/// What is signed, and its signature.
fn split(request: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag::SEQUENCE, inside, []) = element(request)? else { return None };
    let (body, rest) = whole(inside)?;
    let rest = rest.strip_prefix(&algorithm()[..])?;
    let (tag::BIT_STRING, bits, []) = element(rest)? else { return None };
    Some((body, bits.strip_prefix(&[0])?))
}

/// The endpoint id and the key of a request's body.
fn wanted(body: &[u8]) -> Option<(String, &[u8])> {
    let (tag::SEQUENCE, body, _) = element(body)? else { return None };
    let (tag::INTEGER, [0], body) = element(body)? else { return None };
    let (_subject, body) = whole(body)?;
    let (public, body) = whole(body)?;
    let (tag::EXPLICIT_0, mut attributes, _) = element(body)? else { return None };
    while !attributes.is_empty() {
        let (tag::SEQUENCE, one, rest) = element(attributes)? else { return None };
        attributes = rest;
        let (tag::OBJECT, EXTENSION_REQUEST, values) = element(one)? else { continue };
        let (tag::SET, values, _) = element(values)? else { return None };
        let (tag::SEQUENCE, extensions, _) = element(values)? else { return None };
        let found = uris(extensions)?.into_iter().find_map(|uri| uri.strip_prefix(URN).map(str::to_owned));
        return found.filter(|_| public.len() == PUBLIC_BYTES).map(|endpoint| (endpoint, public));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Request;
    use crate::{Error, Key};

    #[test]
    fn a_request_is_of_whoever_has_the_key() {
        let key = Key::make().unwrap();
        let endpoint = "os::0019CB-S%201";
        let written = Request::write(&key, endpoint).unwrap();
        let read = Request { endpoint: endpoint.to_owned(), public: key.public() };
        assert_eq!(Request::read(&written), Ok(read));
        // Whatever is bent is refused; a bent endpoint id or key by the signature.
        for place in 0..written.len() {
            let mut bent = written.clone();
            bent[place] ^= 1;
            assert!(Request::read(&bent).is_err(), "{place}");
            assert_eq!(Request::read(&written[..place]), Err(Error::Request), "cut at {place}");
        }
        let other = written
            .windows(7)
            .position(|letters| letters == b"S%201\xa0\x00" || letters.starts_with(b"0019CB-"));
        let mut bent = written.clone();
        bent[other.unwrap()] = b'1';
        assert_eq!(Request::read(&bent), Err(Error::Signature));
    }
}
