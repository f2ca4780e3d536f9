//! Whose signature makes a controller, or a broker that says who speaks.
//!
//! In:  what the operator's file says of one authority. Out: a [`Credential`], checked.
//!
//! ```toml
//! [[credential]]
//! certificate = """
//! -----BEGIN CERTIFICATE-----
//! …
//! -----END CERTIFICATE-----
//! """
//! signs = "controllers"            # or "brokers": they say who speaks, and are believed
//! role = "operate"                 # what its signature brings; left out: nothing
//! ```
//!
//! Not here: what a certificate proves (`proof.rs`).
//!
//! Source: TR-181, `Device.LocalAgent.ControllerTrust.Credential.`; docs/decisions/0125-whose-signature-makes-a-controller.md.

use serde::Deserialize;
use trust::anchors::Anchors;
use trust::rustls::pki_types::CertificateDer;
use x509::{Certificate, pem};

use super::{Error, Role, place};

/// Credentials.
pub const CREDENTIALS_MAX: usize = 8;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// Who shows the certificate is the controller whose endpoint id is in it.
    Controllers,
    /// Who shows the certificate has made sure who speaks behind it (TR-369, a Trusted Broker).
    Brokers,
}

impl Signs {
    /// Its word. Source: TR-181, `Device.LocalAgent.ControllerTrust.Credential.{i}.AllowedUses`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Controllers => "MTP-and-USP",
            Self::Brokers => "MTP-and-broker",
        }
    }
}

/// An authority, and what its signature is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its certificate, in DER.
    der: Vec<u8>,
    /// What that says.
    pub certificate: Certificate,
    /// What its signature is for.
    pub signs: Signs,
    /// The role that it brings, by its place; `None`: none.
    pub role: Option<usize>,
}

impl Credential {
    /// It as the only anchor.
    #[must_use]
    pub fn anchor(&self) -> Anchors {
        anchors(std::slice::from_ref(self))
    }
}

/// All of them as anchors.
#[must_use]
pub fn anchors(credentials: &[Credential]) -> Anchors {
    let mut anchors = Anchors::default();
    credentials.iter().for_each(|one| anchors.add(CertificateDer::from(one.der.as_slice())));
    anchors
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CredentialText {
    certificate: String,
    signs: Option<String>,
    role: Option<String>,
}

/// Reads all of them.
pub(super) fn credentials(texts: Vec<CredentialText>, roles: &[Role]) -> Result<Vec<Credential>, Error> {
    if texts.len() > CREDENTIALS_MAX {
        return Err(Error::Many("credentials"));
    }
    let mut all: Vec<Credential> = Vec::new();
    for text in texts {
        let one = credential(text, roles)?;
        if all.iter().any(|other| other.der == one.der) {
            return Err(Error::Value("certificate (it is there twice)", one.certificate.subject));
        }
        all.push(one);
    }
    Ok(all)
}

fn credential(text: CredentialText, roles: &[Role]) -> Result<Credential, Error> {
    let bad = || Error::Value("certificate (one, in PEM)", text.certificate.trim().to_owned());
    let der = pem::certificates(text.certificate.as_bytes()).map_err(|_| bad())?;
    let certificate = Certificate::chain(&der).filter(|chain| chain.len() == 1);
    let certificate = certificate.and_then(|mut chain| chain.pop()).ok_or_else(bad)?;
    let signs = match text.signs.as_deref() {
        None | Some("controllers") => Signs::Controllers,
        Some("brokers") => Signs::Brokers,
        Some(other) => return Err(Error::Value("signs", other.to_owned())),
    };
    let role = text.role.map(|role| place(Some(role), roles)).transpose()?;
    let credential = Credential { der, certificate, signs, role };
    if credential.anchor().is_empty() { Err(bad()) } else { Ok(credential) }
}

#[cfg(test)]
mod tests {
    use super::Signs;
    use crate::configuration::parse;
    use x509::issue::ALWAYS_S;
    use x509::{Authority, pem};

    #[test]
    fn the_operators_authorities_are_checked() {
        let isp = Authority::make("isp", ALWAYS_S).unwrap();
        let text = pem::write(pem::CERTIFICATE, isp.certificate());
        let one = |certificate: &str, more: &str| {
            format!("[[credential]]\ncertificate = '''\n{certificate}'''\n{more}\n")
        };
        let good = parse(&one(&text, "signs = 'brokers'\nrole = 'read'")).unwrap();
        let [credential] = &good.credentials[..] else { unreachable!() };
        assert_eq!((credential.signs, credential.role), (Signs::Brokers, Some(2)));
        assert_eq!((credential.certificate.subject.as_str(), credential.anchor().count()), ("isp", 1));
        let plain = parse(&one(&text, "")).unwrap();
        assert_eq!((plain.credentials[0].signs, plain.credentials[0].role), (Signs::Controllers, None));
        for (what, file) in [
            ("certificate", one("words", "")),
            ("certificate", one(&text.repeat(2), "")),
            ("certificate", one(&text.replacen("MII", "MIJ", 1), "")),
            ("there twice", one(&text, "").repeat(2)),
            ("signs: kings", one(&text, "signs = 'kings'")),
            ("role: king", one(&text, "role = 'king'")),
            ("too many credentials", one(&text, "").repeat(9)),
        ] {
            let error = parse(&file).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}
