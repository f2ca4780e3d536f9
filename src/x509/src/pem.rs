//! PEM: bytes between lines of a text.
//!
//! In:  a text that others wrote, or DER. Out: DER, or a text.
//!
//! Source: RFC 7468.

use contract::base64::letters;
use pki_types::pem::PemObject;
use pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};

use crate::Error;

/// Letters of a line. Source: RFC 7468 §2.
const LINE: usize = 64;
/// The word for certificates, requests, keys. Source: RFC 7468 §5, §7, §10, §13.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// See [`CERTIFICATE`].
pub const REQUEST: &str = "CERTIFICATE REQUEST";
/// See [`CERTIFICATE`].
pub const SECRET: &str = "PRIVATE KEY";
/// See [`CERTIFICATE`].
pub const PUBLIC: &str = "PUBLIC KEY";

/// `bytes` as a text of this kind.
#[must_use]
pub fn write(kind: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {kind}-----\n");
    for (place, letter) in letters(bytes).enumerate() {
        if place > 0 && place % LINE == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text + &format!("\n-----END {kind}-----\n")
}

/// All certificates of a text, one after another.
///
/// # Errors
/// [`Error::Certificate`]: there is none, or one that cannot be read.
pub fn certificates(text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    for one in CertificateDer::pem_slice_iter(text) {
        all.extend_from_slice(&one.map_err(|_| Error::Certificate)?);
    }
    if all.is_empty() { Err(Error::Certificate) } else { Ok(all) }
}

/// The first request of a text.
///
/// # Errors
/// [`Error::Request`].
pub fn request(text: &[u8]) -> Result<Vec<u8>, Error> {
    let found = CertificateSigningRequestDer::from_pem_slice(text);
    found.map(|found| found.to_vec()).map_err(|_| Error::Request)
}

/// The first private key of a text, as PKCS#8.
///
/// # Errors
/// [`Error::Key`].
pub fn secret(text: &[u8]) -> Result<Vec<u8>, Error> {
    let found = PrivatePkcs8KeyDer::from_pem_slice(text);
    found.map(|found| found.secret_pkcs8_der().to_vec()).map_err(|_| Error::Key)
}

#[cfg(test)]
mod tests {
    use super::{CERTIFICATE, certificates, request, secret, write};
    use crate::Error;

    #[test]
    fn what_is_written_is_read() {
        let text = write(CERTIFICATE, &[0; 49]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [27, 64, 4, 25]);
        let two = text.clone() + "words\n" + &write(CERTIFICATE, &[1; 3]);
        assert_eq!(certificates(two.as_bytes()).unwrap(), [&[0; 49][..], &[1; 3]].concat());
        assert_eq!(certificates(b"words"), Err(Error::Certificate));
        assert_eq!(certificates(text.replace("AA", "A?").as_bytes()), Err(Error::Certificate));
        assert_eq!((request(b""), secret(b"")), (Err(Error::Request), Err(Error::Key)));
    }
}
