//! Who has signed what the other end of a connection has shown.
//!
//! In:  anchors one by one, certificates as they came. Out: the anchor that the way up comes to first.
//!
//! TLS has looked at the certificate before, by all anchors together, and does not say by which it was good. Here each is asked alone.
//!
//! Source: RFC 5280 §6.1 (the way from a certificate to an anchor); TR-369 §5 (R-SEC.25: the first one in the chain).

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;

use crate::anchors::Anchors;
use crate::clock::Clock;

/// Which of `anchors` has signed the first certificate that was `shown`, itself or by way of the others. `name` is the host that was called;
/// `None`: the other end has called us. `None` comes back where none has, or the clock is not believed.
#[must_use]
pub fn signer(
    anchors: &[Anchors],
    shown: &[CertificateDer<'_>],
    name: Option<&ServerName<'_>>,
    clock: Clock,
) -> Option<usize> {
    let (first, others) = shown.split_first()?;
    let now = clock.current_time()?;
    // A way that leads to one anchor through another has come to that other one first: so no anchor is a step of a way.
    let is_anchor = |one: &CertificateDer<'_>| anchors.iter().any(|anchor| anchor.is(one));
    let between: Vec<CertificateDer<'_>> = others.iter().filter(|one| !is_anchor(one)).cloned().collect();
    anchors.iter().position(|anchor| has_signed(anchor, (first, &between), name, now))
}

fn has_signed(
    anchor: &Anchors,
    (first, between): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    name: Option<&ServerName<'_>>,
    now: UnixTime,
) -> bool {
    let provider = Arc::new(ring::default_provider());
    match name {
        Some(name) => anchor
            .of_servers(provider)
            .build()
            .is_ok_and(|one| one.verify_server_cert(first, between, name, &[], now).is_ok()),
        None => anchor
            .of_clients(provider)
            .build()
            .is_ok_and(|one| one.verify_client_cert(first, between, now).is_ok()),
    }
}

impl Anchors {
    /// Has one of them this certificate's name and key?
    fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut read = RootCertStore::empty();
        let _ = read.add(certificate.clone()); // what cannot be read is no step of a way either
        let same = |one: &rustls::pki_types::TrustAnchor<'_>, other: &rustls::pki_types::TrustAnchor<'_>| {
            one.subject == other.subject && one.subject_public_key_info == other.subject_public_key_info
        };
        self.store().roots.iter().any(|one| read.roots.iter().any(|other| same(one, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::signer;
    use crate::anchors::Anchors;
    use crate::clock::Clock;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    /// Made by openssl 3.0 (`req -newkey ed25519 -nodes`, `x509 -req -days 36500`): `leaf` (DNS:usp.isp.example, no CA), signed by `sub` (CA),
    /// signed by `root` (CA), in this order.
    const CHAIN: &[u8] = include_bytes!("../tests/data/chain.pem");
    /// Another one: see `anchors.rs`.
    const OTHER: &[u8] = include_bytes!("../tests/data/anchor.pem");
    /// Within all of them, and after.
    const NOW: Clock = Clock::Supposed(1_800_000_000);
    const LATE: Clock = Clock::Supposed(7_000_000_000);

    fn anchor(der: &CertificateDer<'_>) -> Anchors {
        let mut anchors = Anchors::default();
        anchors.add(der.clone());
        anchors
    }

    // Shows R-SEC.25.
    #[test]
    fn the_first_on_the_way_up_counts() {
        let chain: Vec<CertificateDer> = CertificateDer::pem_slice_iter(CHAIN).map(Result::unwrap).collect();
        let [leaf, sub, root] = chain.as_slice() else { unreachable!() };
        let mut other = Anchors::default();
        other.take(OTHER);
        let [by_root, by_sub] = [root, sub].map(anchor);
        let host = crate::server_name("usp.isp.example").unwrap();
        let another = crate::server_name("isp.example").unwrap();
        let both = [by_root.clone(), by_sub.clone()];
        let table = [
            ("by the root", vec![leaf, sub], &[other.clone(), by_root.clone()][..], NOW, Some(1)),
            (
                "by the nearer one, though the root comes first in the list",
                vec![leaf, sub],
                &both,
                NOW,
                Some(1),
            ),
            ("in another order", vec![leaf, root, sub], &both, NOW, Some(1)),
            ("by the nearer one alone", vec![leaf], &both, NOW, Some(1)),
            ("with a step missing", vec![leaf], std::slice::from_ref(&by_root), NOW, None),
            ("by another", vec![leaf, sub, root], std::slice::from_ref(&other), NOW, None),
            ("expired", vec![leaf, sub], &both, LATE, None),
            ("an authority is no end", vec![sub], std::slice::from_ref(&by_root), NOW, None),
            ("nothing", vec![], &both, NOW, None),
        ];
        for (what, shown, anchors, clock, want) in table {
            let shown: Vec<CertificateDer> = shown.into_iter().cloned().collect();
            assert_eq!(signer(anchors, &shown, Some(&host), clock), want, "{what}");
            assert_eq!(signer(anchors, &shown, None, clock), want, "{what}: it calls");
            assert_eq!(signer(anchors, &shown, Some(&another), clock), None, "{what}: another host");
        }
    }
}
