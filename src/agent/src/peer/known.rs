//! What is known of a controller's connection, for the tree and for whoever asks (`doctor.rs`).

use super::{Line, Peer};
use crate::fault::Fault;
use crate::world::Link;

impl Peer {
    /// How it stands, for the tree.
    #[must_use]
    pub fn link(&self) -> Link {
        let topic = match &self.line {
            Line::Up(_, carrier) if carrier.is_ready() => carrier.topic().to_owned(),
            Line::Up(..) | Line::Down(_) | Line::Dialling(_) | Line::Awaited => String::new(),
        };
        Link {
            up: self.is_up(),
            reason: self.fault.as_ref().map(ToString::to_string).unwrap_or_default(),
            client: if self.assigned.is_empty() { self.name() } else { self.assigned.clone() },
            topic,
            said: match &self.line {
                Line::Up(_, carrier) => carrier.response_information().to_owned(),
                Line::Down(_) | Line::Dialling(_) | Line::Awaited => String::new(),
            },
            session: self.session.is_some(),
            session_tries: self.session_tries(),
            inherited: self.inherited,
            tries: self.failures,
            traffic: self.traffic(),
        }
    }

    /// Why it does not stand; `None`: it stands.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match (&self.fault, &self.line) {
            (Some(Fault::NotYet), Line::Up(..)) => Some(Fault::Silent("connected; no answer yet".to_owned())),
            (Some(Fault::NotYet), Line::Dialling(_) | Line::Down(_)) => {
                Some(Fault::Connection("no answer yet".to_owned()))
            }
            (fault, _) => fault.clone(),
        }
    }

    /// It stands, or was tried in vain since `since_ms`, or is not ours to try.
    #[must_use]
    pub fn is_known_since(&self, since_ms: u64) -> bool {
        self.fault.is_none() || self.fault_ms > since_ms || matches!(self.line, Line::Awaited)
    }

    /// The controller has said something by this connection.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Why the last message was not taken that its broker did not take on this connection.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        let Line::Up(_, carrier) = &self.line else { return None };
        carrier.refused().map(|reason| format!("{} ({reason})", mqtt::client::refusal(reason)))
    }

    /// Whose it is.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.configured.endpoint
    }

    /// How the controller is spoken to, as text.
    #[must_use]
    pub fn way(&self) -> String {
        self.configured.transport.to_string()
    }
}
