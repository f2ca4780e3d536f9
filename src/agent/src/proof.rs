//! What the certificate at the other end of a connection, or in a record, proves of the controller that speaks there.
//!
//! In:  the certificates that were shown and that TLS has found good; the operator's word on whose signature is for what; lists of revoked
//! certificates. Out: the role that the signature brings, or why nothing is said to this end.
//!
//! A certificate has to bear the controller's endpoint id, unless it is of somebody who is trusted to say who speaks: a broker, where the file
//! has no credentials; else whoever is signed by a credential for brokers. Whom DHCP or DNS names, and who calls us, has to bear it in any case.
//!
//! Source: TR-369 §5 (R-SEC.0a, R-SEC.3, R-SEC.4, R-SEC.25), §6.2.5 (R-E2E.28); docs/decisions/0125-whose-signature-makes-a-controller.md,
//! 0126-lists-of-revoked-certificates.md.

use std::sync::Arc;

use trust::anchors::{self, Anchors};
use trust::clock::Clock;
use trust::lists::{self, Lists};
use trust::rustls::pki_types::pem::PemObject;
use trust::rustls::pki_types::{CertificateDer, ServerName};
use trust::rustls::time_provider::TimeProvider;
use trust::signer::signer;
use usp::Record;
use x509::time::Date;
use x509::{Certificate, List};

use crate::configuration::credential::{self, Credential, Signs};
use crate::roles::Held;
use crate::stream::Gone;

/// Certificates that come with a record: the sender's, and those of who has signed it.
const CERTIFICATES_MAX: usize = 4;

/// How the other end came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The operator's file names it as a broker.
    Broker,
    /// It is the controller itself, says the operator's file.
    Controller,
    /// It is the controller itself, says DHCP, or DNS, or nobody but itself: it has called us.
    Stranger,
}

/// What is to be proved.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The controller's endpoint id.
    pub endpoint: String,
    /// Who is at the other end.
    pub kind: Kind,
    /// The host that was called; `None`: it has called us.
    pub host: Option<ServerName<'static>>,
    /// Whose signature is for what.
    pub credentials: Arc<[Credential]>,
    /// Who is no longer to be believed, as it was when this was made.
    lists: Lists,
}

impl Wanted {
    /// What these words say, and the lists of revoked certificates as they are now.
    ///
    /// # Errors
    /// [`Gone::List`].
    pub fn new(
        endpoint: String,
        kind: Kind,
        host: Option<ServerName<'static>>,
        credentials: Arc<[Credential]>,
    ) -> Result<Self, Gone> {
        let lists = lists::read().map_err(|error| Gone::List(error.to_string()))?;
        Ok(Self { endpoint, kind, host, credentials, lists })
    }

    /// By whom a certificate has to be signed at all, and who is not to be believed even so.
    #[must_use]
    pub fn anchors(&self) -> Anchors {
        let all = if self.credentials.is_empty() {
            anchors::read()
        } else {
            credential::anchors(&self.credentials)
        };
        all.but(self.lists.clone())
    }

    /// Lists that should have been replaced by now, in words.
    pub fn overdue(&self) -> impl Iterator<Item = String> {
        overdue(&self.lists).into_iter()
    }

    /// Do these certificates prove it? The role that comes with that.
    ///
    /// # Errors
    /// [`Gone::Foreign`].
    pub fn judge(&self, shown: &[CertificateDer<'_>]) -> Result<Held, Gone> {
        let foreign = || Gone::Foreign(self.endpoint.clone());
        let signed = match &self.credentials[..] {
            [] => None,
            all => Some(self.signed(all, shown).ok_or_else(foreign)?),
        };
        let is_vouched_for = match (self.kind, signed.map(|one| one.signs)) {
            (Kind::Broker, None) | (Kind::Broker | Kind::Controller, Some(Signs::Brokers)) => true,
            (Kind::Stranger, _) | (Kind::Controller, None) | (_, Some(Signs::Controllers)) => false,
        };
        let first = shown.first().and_then(|one| Certificate::read(one));
        if is_vouched_for || first.is_some_and(|one| one.is_of(&self.endpoint)) {
            Ok(signed.and_then(|one| one.role).map(Held::one).unwrap_or_default())
        } else {
            Err(foreign())
        }
    }

    /// Has the controller signed what `record` says beside its payload (R-E2E.30)? The certificate comes with it.
    #[must_use]
    pub fn has_signed(&self, record: &Record<'_>) -> bool {
        let shown = CertificateDer::pem_slice_iter(&record.sender_cert).take(CERTIFICATES_MAX);
        let shown: Vec<CertificateDer<'_>> = shown.map_while(Result::ok).collect();
        let is_believed = signer(&[self.anchors()], &shown, None, Clock::Believed).is_some();
        let key = shown.first().and_then(|one| Certificate::read(one)).map(|one| one.public);
        let is_its =
            key.is_some_and(|key| x509::key::has_signed(&key, &record.signed(), &record.mac_signature));
        is_believed && is_its && self.judge(&shown).is_ok()
    }

    /// The credential that the way up from what was shown comes to first.
    fn signed<'c>(&self, all: &'c [Credential], shown: &[CertificateDer<'_>]) -> Option<&'c Credential> {
        let each: Vec<Anchors> = all.iter().map(|one| one.anchor().but(self.lists.clone())).collect();
        signer(&each, shown, self.host.as_ref(), Clock::Believed).and_then(|place| all.get(place))
    }
}

/// Those of these lists that should have been replaced by now, in words.
#[must_use]
pub fn overdue(lists: &Lists) -> Vec<String> {
    let now_s = Clock::Believed.current_time().and_then(|time| i64::try_from(time.as_secs()).ok());
    let words = |list: &List| {
        let Date { day: (year, month, day), .. } = Date::of(list.next_update_s.unwrap_or(0));
        let issuer = &list.issuer;
        format!(
            "the list of certificates that {issuer} has revoked was to be replaced by {year}-{month:02}-{day:02}; it goes on counting"
        )
    };
    now_s.map(|now_s| lists.overdue(now_s).map(words).collect()).unwrap_or_default()
}
