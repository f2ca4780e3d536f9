//! What is known of a controller's connection, for whoever asks (`doctor.rs`).

use super::{Line, Peer};
use crate::fault::Fault;

impl Peer {
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
