//! Who we are, by the wire `identify`: the endpoint id, the certificate, and signatures of a key that never comes here.
//!
//! In:  questions of the room's, and of TLS where the other end wants to know who we are. Out: answers of `identity`'s; TLS signs by it.
//!
//! Nothing is remembered: who asks after an enrolment gets the new certificate.
//!
//! Source: RFC 8446 §4.4.2, §4.4.3; TR-369 §5 (R-SEC.10).

use std::path::PathBuf;
use std::sync::Arc;

use contract::identify::{Answer, Ask, CERTIFICATES_BYTES};
use contract::wires::IDENTIFY;
use trust::rustls::client::ResolvesClientCert;
use trust::rustls::pki_types::CertificateDer;
use trust::rustls::server::{ClientHello, ResolvesServerCert};
use trust::rustls::sign::{CertifiedKey, Signer, SigningKey};
use trust::rustls::{Error as TlsError, SignatureAlgorithm, SignatureScheme};
use wire::Client;
use x509::{Certificate, pem};

use crate::rooms::next;

/// Who we are.
#[derive(Debug, Clone)]
pub struct Own {
    /// Where the socket is.
    folder: PathBuf,
}

impl Own {
    /// By the socket in this folder.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn ask(&self, ask: &Ask) -> Result<Answer, String> {
        let asked = Client::dial_at(IDENTIFY, &self.folder.join(IDENTIFY.name)).and_then(|client| {
            client.send(ask, &[])?;
            next(&client)
        });
        match asked.map_err(|error| error.to_string())? {
            Answer::Refused(why) => Err(why.to_string()),
            answer @ (Answer::Who(_) | Answer::Signature(_) | Answer::Request(_) | Answer::Enrolled) => {
                Ok(answer)
            }
        }
    }

    /// Our endpoint id and certificate; `None`: nobody says so yet.
    #[must_use]
    pub fn who(&self) -> Option<(String, Option<Certificate>)> {
        let Ok(Answer::Who(who)) = self.ask(&Ask::Who) else { return None };
        let chain = Certificate::chain(&who.certificates).unwrap_or_default();
        Some((who.endpoint.to_string(), chain.into_iter().next()))
    }

    /// A request for a certificate, in PEM.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn request(&self) -> Result<String, String> {
        match self.ask(&Ask::Request)? {
            Answer::Request(request) => Ok(pem::write(pem::REQUEST, &request)),
            Answer::Who(_) | Answer::Signature(_) | Answer::Enrolled | Answer::Refused(_) => Err(other()),
        }
    }

    /// Gives on what an authority has signed, in PEM.
    ///
    /// # Errors
    /// Why it was not taken, in words.
    pub fn enrol(&self, text: &str) -> Result<(), String> {
        let certificates = pem::certificates(text.as_bytes()).map_err(|error| error.to_string())?;
        let certificates = heapless::Vec::from_slice(&certificates)
            .map_err(|_| format!("certificates: more than {CERTIFICATES_BYTES} bytes"))?;
        self.ask(&Ask::Enrol { certificates }).map(|_| ())
    }

    /// Our certificates and how to sign with the key, for TLS.
    fn certified(&self) -> Option<Arc<CertifiedKey>> {
        let Ok(Answer::Who(who)) = self.ask(&Ask::Who) else { return None };
        let (mut chain, mut rest) = (Vec::new(), &who.certificates[..]);
        while let Some((one, behind)) = x509::der::whole(rest) {
            chain.push(CertificateDer::from(one.to_vec()));
            rest = behind;
        }
        Some(Arc::new(CertifiedKey::new(chain, Arc::new(self.clone()))))
    }
}

fn other() -> String {
    "identity: no answer to the question".to_owned()
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified().filter(|_| schemes.contains(&self.scheme()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified().filter(|_| hello.signature_schemes().contains(&self.scheme()))
    }
}

impl SigningKey for Own {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Own {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TlsError> {
        let message = heapless::Vec::from_slice(message)
            .map_err(|_| TlsError::General("identity: it signs no message of this length".to_owned()))?;
        match self.ask(&Ask::Sign { message }).map_err(TlsError::General)? {
            Answer::Signature(signature) => Ok(signature.to_vec()),
            Answer::Who(_) | Answer::Request(_) | Answer::Enrolled | Answer::Refused(_) => {
                Err(TlsError::General(other()))
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
