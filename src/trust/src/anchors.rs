//! Whom we trust: certificates in two files, the image's and the operator's.
//!
//! In:  PEM texts. Out: anchors, and how many could not be used.
//!
//! Not here: where the files come from (the image; whoever manages the gateway).
//!
//! Source: RFC 7468 (PEM), RFC 5280 §6.1.1 (trust anchors).

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::{ServerCertVerifierBuilder, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};

use crate::lists::Lists;

/// The image's.
pub const SHIPPED: &str = "/etc/shg/trust.pem";
/// The operator's, on the data disk. It may be absent.
pub const GIVEN: &str = "/data/state/trust.pem";

/// What is read of one file, in bytes: 150 public roots have 230 000.
const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Anchors that are taken.
const ANCHORS_MAX: usize = 256;

/// Whom we trust.
#[derive(Debug, Clone)]
pub struct Anchors {
    store: RootCertStore,
    refused: usize,
    lists: Lists,
}

impl Default for Anchors {
    fn default() -> Self {
        Self { store: RootCertStore::empty(), refused: 0, lists: Lists::default() }
    }
}

/// Those of both files. A file that is not there holds none.
#[must_use]
pub fn read() -> Anchors {
    read_at(&[Path::new(SHIPPED), Path::new(GIVEN)])
}

/// Those of these files.
#[must_use]
pub fn read_at(paths: &[&Path]) -> Anchors {
    let mut anchors = Anchors::default();
    for path in paths {
        let Ok(file) = File::open(path) else { continue };
        let mut text = Vec::new();
        if file.take(FILE_BYTES_MAX).read_to_end(&mut text).is_ok() {
            anchors.take(&text);
        }
    }
    anchors
}

impl Anchors {
    /// Takes the certificates in a PEM text. Words around them are skipped; what is no certificate is counted.
    pub fn take(&mut self, text: &[u8]) {
        for certificate in CertificateDer::pem_slice_iter(text).take(ANCHORS_MAX) {
            match certificate {
                Ok(certificate) => self.add(certificate),
                Err(_) => self.refused += 1,
            }
        }
    }

    /// Takes one certificate; what is none is counted.
    pub fn add(&mut self, certificate: CertificateDer<'_>) {
        let taken = self.store.len() < ANCHORS_MAX && self.store.add(certificate).is_ok();
        self.refused += usize::from(!taken);
    }

    /// The same, but for who is in one of these lists.
    #[must_use]
    pub fn but(mut self, lists: Lists) -> Self {
        self.lists = lists;
        self
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.store.len()
    }

    /// How many could not be used.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// As rustls wants them.
    pub(crate) fn store(&self) -> RootCertStore {
        self.store.clone()
    }

    /// What judges servers that we call. A list counts for each certificate on the way up; whoever's authority has none there is not looked for, and
    /// one that should have been replaced goes on counting: docs/decisions/0126-lists-of-revoked-certificates.md.
    pub(crate) fn of_servers(&self, provider: Arc<CryptoProvider>) -> ServerCertVerifierBuilder {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(self.store()), provider);
        builder.with_crls(self.lists.ders()).allow_unknown_revocation_status()
    }

    /// What judges clients that call us, by the same rules.
    pub(crate) fn of_clients(&self, provider: Arc<CryptoProvider>) -> ClientCertVerifierBuilder {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(self.store()), provider);
        builder.with_crls(self.lists.ders()).allow_unknown_revocation_status()
    }
}

#[cfg(test)]
mod tests {
    use super::Anchors;

    /// Made by `openssl req -x509 -newkey ed25519 -nodes -subj /CN=test -days 36500`.
    const GOOD: &str = include_str!("../tests/data/anchor.pem");

    #[test]
    fn what_is_no_certificate_is_counted() {
        let broken = GOOD.replacen("MII", "MIJ", 1);
        let table = [
            ("nothing", String::new(), 0, 0),
            ("words", "# whom we trust\n".to_owned(), 0, 0),
            ("one", format!("# test\n{GOOD}"), 1, 0),
            ("a broken one before it", format!("{broken}{GOOD}"), 1, 1),
            ("cut off", GOOD.chars().take(100).collect(), 0, 1),
        ];
        for (what, text, count, refused) in table {
            let mut anchors = Anchors::default();
            anchors.take(text.as_bytes());
            assert_eq!((anchors.count(), anchors.refused()), (count, refused), "{what}");
        }
    }
}
