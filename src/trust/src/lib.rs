//! TLS as the firmware's daemons speak it: whom they trust, since when a certificate's dates mean something, and nothing else.
//!
//! In:  anchors from [`SHIPPED`] and [`GIVEN`], lists of revoked certificates beside them; the word of `time` that the clock is believed. Out: a
//! configuration for rustls.
//!
//! TLS 1.3 only, with ring. There is no way to switch the checks off. Before the clock is believed no certificate is, so no connection
//! comes about: whoever wants one asks [`clock::is_believed`] first and waits.
//!
//! Not here: sockets, retries, which server is asked (`names`, `time`). No public roots are compiled in:
//! docs/decisions/0012-whom-we-trust.md.
//!
//! Source: RFC 8446 (TLS 1.3), RFC 5280 (certificates), RFC 9525 (names in them).
#![forbid(unsafe_code)]

pub mod anchors;
pub mod clock;
pub mod lists;
pub mod signer;

pub use anchors::{GIVEN, SHIPPED};
/// The one version of it in this house.
pub use rustls;

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConfig, ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::server::{ResolvesServerCert, ServerConfig, VerifierBuilderError};
use rustls::version::TLS13;

/// Sessions that are remembered, so that a connection that is made again is cheap: a daemon speaks with a handful of servers.
const SESSIONS: usize = 8;

/// Why there is no configuration, or no name.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// No anchor was found: nobody can be believed.
    NoAnchor,
    /// It is no name that a certificate could bear.
    Name(String),
    /// Who is no longer to be believed is not known: a list that is there cannot be used.
    List(String),
    /// The library refuses.
    Tls(rustls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnchor => {
                write!(f, "trust: no certificate in {SHIPPED} or {GIVEN}: nobody can be believed")
            }
            Self::Name(name) => write!(f, "trust: {name}: no name that a certificate could bear"),
            Self::List(why) => write!(f, "trust: {why}"),
            Self::Tls(error) => write!(f, "trust: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// A configuration for a client that speaks `protocols` (ALPN names; none: it says nothing about that) and judges certificates'
/// dates by `clock`. Who is in a list of revoked certificates is not believed.
///
/// # Errors
/// [`Error::NoAnchor`]: wait until there is one. [`Error::List`].
pub fn client(protocols: &[&[u8]], clock: clock::Clock) -> Result<Arc<ClientConfig>, Error> {
    client_with(&anchors::read().but(lists::read()?), protocols, clock)
}

/// The same with other anchors, and such lists as they have.
///
/// # Errors
/// As [`client`].
pub fn client_with(
    anchors: &anchors::Anchors,
    protocols: &[&[u8]],
    clock: clock::Clock,
) -> Result<Arc<ClientConfig>, Error> {
    configure(anchors, protocols, clock).map(Arc::new)
}

/// The same for a client that has a certificate of its own, which it shows where a server asks for one. The machine's clock has to be
/// believed.
///
/// # Errors
/// As [`client`].
pub fn client_as(
    own: Arc<dyn ResolvesClientCert>,
    anchors: &anchors::Anchors,
    protocols: &[&[u8]],
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = configure(anchors, protocols, clock::Clock::Believed)?;
    config.client_auth_cert_resolver = own;
    Ok(Arc::new(config))
}

/// A configuration for a server that shows `own`. Where there are `callers` it asks whoever comes for a certificate, and takes none but
/// theirs; who shows none proves inside who he is. Without it needs no clock.
///
/// # Errors
/// [`Error::Tls`].
pub fn server(
    own: Arc<dyn ResolvesServerCert>,
    callers: &anchors::Anchors,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock::Clock::Believed));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(Error::Tls)?;
    let builder = if callers.is_empty() {
        builder.with_no_client_auth()
    } else {
        let asks = callers.of_clients(provider).allow_unauthenticated().build();
        builder.with_client_cert_verifier(asks.map_err(refused)?)
    };
    let mut config = builder.with_cert_resolver(own);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Nobody who calls again is known again: a session that is remembered would outlive an enrolment.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn configure(
    anchors: &anchors::Anchors,
    protocols: &[&[u8]],
    clock: clock::Clock,
) -> Result<ClientConfig, Error> {
    if anchors.is_empty() {
        return Err(Error::NoAnchor);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(clock));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(Error::Tls)?;
    let verifier = anchors.of_servers(provider).build().map_err(refused)?;
    let mut config = builder.with_webpki_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

/// Why there is no verifier: we have anchors, so it is a list.
fn refused(error: VerifierBuilderError) -> Error {
    Error::List(format!("a list of revoked certificates cannot be used: {error}"))
}

/// The name that a server's certificate must bear: a host's name or an address.
///
/// # Errors
/// [`Error::Name`].
pub fn server_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Error, anchors::Anchors, client_with, clock::Clock, server_name};

    #[test]
    fn without_an_anchor_nobody_is_believed() {
        let none = Anchors::default();
        assert_eq!(client_with(&none, &[], Clock::Believed).err(), Some(Error::NoAnchor));
    }

    #[test]
    fn a_server_has_a_name() {
        for name in ["dns.example", "192.0.2.1", "2001:db8::1"] {
            assert!(server_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "-.example"] {
            assert!(server_name(name).is_err(), "{name}");
        }
    }
}
