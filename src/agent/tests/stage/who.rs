//! An `identity` that a test plays: a key of its own, and a certificate that the key signs itself until it is enrolled.

use contract::identify::{Answer, Ask, Who as Said};
use x509::{Certificate, Key, Request, issue};

/// Who a gateway is.
pub(crate) struct Who {
    endpoint: String,
    key: Key,
    /// Its certificates, in DER, one after another.
    pub(crate) certificates: Vec<u8>,
}

impl Who {
    /// A gateway with this endpoint id and a new key.
    pub(crate) fn new(endpoint: &str) -> Self {
        let key = Key::make().unwrap();
        let certificates = issue::of_itself(&key, endpoint).unwrap();
        Self { endpoint: endpoint.to_owned(), key, certificates }
    }

    /// What it says to a question.
    pub(crate) fn answer(&mut self, ask: &Ask) -> Answer {
        match ask {
            Ask::Who => Answer::Who(Said {
                endpoint: self.endpoint.as_str().into(),
                kept: true,
                reason: "".into(),
                public_key: self.key.public().into_iter().collect(),
                certificates: self.certificates.iter().copied().collect(),
            }),
            Ask::Sign { message } => Answer::Signature(self.key.sign(message).unwrap().into_iter().collect()),
            Ask::Request => {
                let request = Request::write(&self.key, &self.endpoint).unwrap();
                Answer::Request(request.into_iter().collect())
            }
            Ask::Enrol { certificates } => match Certificate::chain(certificates) {
                Some(chain) if chain[0].public == self.key.public() && chain[0].is_of(&self.endpoint) => {
                    self.certificates = certificates.to_vec();
                    Answer::Enrolled
                }
                Some(_) | None => Answer::Refused("it is another's".into()),
            },
        }
    }
}
