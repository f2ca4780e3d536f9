//! Why it does not stand with a controller: each cause, whose it is, what to do about it.
//!
//! In:  what a connection, TLS, a broker, a handshake have said. Out: words for the log; a finding for `ctl usp doctor`.
//!
//! Source: docs/usp.md, section "When it does not work".

use std::fmt;

use contract::doctor::{Side, Stage};
use mqtt::client::Gone as Mqtt;
use trust::rustls::{self, CertificateError};

use crate::stream::Gone;
use crate::websocket;

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It was not tried yet.
    NotYet,
    /// The name has no address.
    Name(String),
    /// Nobody takes the connection.
    Connection(String),
    /// The clock is not believed, and so no certificate is.
    Clock,
    /// There is nobody to be believed.
    Anchor(String),
    /// The certificate is not believed, and what to do about it.
    Certificate(String, &'static str),
    /// TLS does not come about.
    Tls(String),
    /// The other end does not let us in.
    Refused(String),
    /// It lets us listen nowhere.
    Topic(String),
    /// It says nothing.
    Silent(String),
    /// It was there, and is gone.
    Gone(String),
    /// It speaks something else.
    Nonsense(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("not connected yet"),
            Self::Clock => f.write_str("TLS: the clock is not believed yet"),
            Self::Certificate(words, _) | Self::Tls(words) => write!(f, "TLS: {words}"),
            Self::Name(words)
            | Self::Connection(words)
            | Self::Anchor(words)
            | Self::Refused(words)
            | Self::Topic(words)
            | Self::Silent(words)
            | Self::Gone(words)
            | Self::Nonsense(words) => f.write_str(words),
        }
    }
}

impl Fault {
    /// Where it ends, and whose it is.
    #[must_use]
    pub fn place(&self) -> (Stage, Side) {
        match self {
            Self::NotYet => (Stage::Configured, Side::Operator),
            Self::Name(_) => (Stage::Name, Side::Line),
            Self::Connection(_) => (Stage::Connection, Side::Line),
            Self::Clock => (Stage::Clock, Side::Gateway),
            Self::Anchor(_) => (Stage::Certificate, Side::Gateway),
            Self::Certificate(..) | Self::Tls(_) => (Stage::Certificate, Side::Operator),
            Self::Refused(_) | Self::Silent(_) | Self::Gone(_) | Self::Nonsense(_) => {
                (Stage::Admission, Side::Operator)
            }
            Self::Topic(_) => (Stage::Topic, Side::Operator),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotYet => {
                "the controller has to come; where it calls, its path and password are in agent.toml"
            }
            Self::Name(_) => {
                "does the line stand (ctl lease)? does the name exist (ctl names)? is it spelt so in agent.toml?"
            }
            Self::Connection(_) => {
                "does the line stand (ctl lease)? does anything listen at this address and port?"
            }
            Self::Clock => "wait for the time, or see why it does not come: ctl clock",
            Self::Anchor(_) => {
                "bring the operator's root certificate to /etc/shg/trust.pem or /data/state/trust.pem"
            }
            Self::Certificate(_, remedy) => remedy,
            Self::Tls(_) => "the other end has to speak TLS 1.3 at this port",
            Self::Refused(_) => {
                "compare username and password in agent.toml with what the broker or controller knows"
            }
            Self::Topic(_) => "the broker's access list has to let this user subscribe to agent_topic",
            Self::Silent(_) => "the other end took the connection and says nothing: is it the right port?",
            Self::Gone(_) => "look into the other end's log: it has closed the connection",
            Self::Nonsense(_) => "something else answers at this port",
        }
    }
}

impl From<Gone> for Fault {
    fn from(gone: Gone) -> Self {
        let words = gone.to_string();
        match gone {
            Gone::Name(_) => Self::Name(words),
            Gone::Connect(_) => Self::Connection(words),
            Gone::Trust(_) => Self::Anchor(words),
            Gone::List(_) => Self::Certificate(
                words,
                "bring the list of revoked certificates again, whole; without the file nobody counts as revoked",
            ),
            Gone::Tls(rustls::Error::InvalidCertRevocationList(_)) => Self::Certificate(
                words.trim_start_matches("TLS: ").to_owned(),
                "the authority has not signed its list in revoked.pem, or not so that it can be read: bring another",
            ),
            Gone::Tls(rustls::Error::FailedToGetCurrentTime) => Self::Clock,
            Gone::Tls(rustls::Error::InvalidCertificate(error)) => {
                Self::Certificate(words.trim_start_matches("TLS: ").to_owned(), certificate(&error))
            }
            Gone::Foreign(_) => Self::Certificate(
                words,
                "it needs a certificate with its endpoint id in it (URI urn:bbf:usp:id:…), or one of a [[credential]] for brokers",
            ),
            Gone::Handshake | Gone::Tls(_) => Self::Tls(words.trim_start_matches("TLS: ").to_owned()),
            Gone::Closed | Gone::System(_) | Gone::Full | Gone::Stuck => Self::Gone(words),
        }
    }
}

fn certificate(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may learn of more, and has marked the list as open"
    )]
    match error {
        E::Expired | E::ExpiredContext { .. } => {
            "it has expired: the other end needs a new one (the gateway's clock: ctl clock)"
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "it is not valid yet: is its date right, or the gateway's clock (ctl clock)?"
        }
        E::Revoked => "its authority has revoked it (revoked.pem): the other end needs a new one",
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "it is another host's: agent.toml has to say the name that stands in it"
        }
        E::UnknownIssuer => {
            "nobody whom the gateway believes has signed it: bring that root certificate (trust.pem, or [[credential]]), or another server one"
        }
        _ => "the other end needs another certificate",
    }
}

impl From<Mqtt> for Fault {
    fn from(gone: Mqtt) -> Self {
        let words = gone.to_string();
        match gone {
            Mqtt::Refused(_) => Self::Refused(words),
            Mqtt::NoTopic => Self::Topic(words),
            Mqtt::Silent => Self::Silent(words),
            Mqtt::Goodbye(_) | Mqtt::Unanswered => Self::Gone(words),
            Mqtt::Packet(_) => Self::Nonsense(words),
        }
    }
}

impl From<websocket::Gone> for Fault {
    fn from(gone: websocket::Gone) -> Self {
        let words = gone.to_string();
        match gone {
            websocket::Gone::Handshake(_) => Self::Refused(words),
            websocket::Gone::Closed(_) | websocket::Gone::Deaf => Self::Gone(words),
            websocket::Gone::Silent => Self::Silent(words),
            websocket::Gone::Nonsense(..) => Self::Nonsense(words),
        }
    }
}
