//! TLS for who calls us: the gateway's own certificate, whose signature makes a caller, who is no longer to be believed.
//!
//! In:  the operator's word. Out: a configuration for the next caller, made anew when the lists of revoked certificates are others.

use std::sync::Arc;

use log::warn;
use trust::anchors::Anchors;
use trust::lists::{self, Stamp};
use trust::rustls::server::ServerConfig;

use crate::own::Own;

/// What the next caller is spoken to with.
#[derive(Debug)]
pub(super) struct Secure {
    own: Arc<Own>,
    callers: Anchors,
    /// What came of it, and of which lists.
    made: Option<(Stamp, Option<Arc<ServerConfig>>)>,
}

impl Secure {
    /// By our own certificate, for callers that one of these has signed. None: they prove inside who they are.
    #[must_use]
    pub(super) fn new(own: Arc<Own>, callers: Anchors) -> Self {
        Self { own, callers, made: None }
    }

    /// The configuration; `None`: nobody can be let in now, and the log says why.
    pub(super) fn config(&mut self) -> Option<Arc<ServerConfig>> {
        let stamp = lists::stamp();
        match &self.made {
            Some((before, made)) if *before == stamp => made.clone(),
            Some(_) | None => {
                let made = self.make();
                self.made = Some((stamp, made.clone()));
                made
            }
        }
    }

    fn make(&self) -> Option<Arc<ServerConfig>> {
        // Who shows no certificate is in no list.
        let lists = if self.callers.is_empty() { Ok(lists::Lists::default()) } else { lists::read() };
        let config = lists.and_then(|lists| {
            trust::server(self.own.clone(), &self.callers.clone().but(lists), &[b"http/1.1"])
        });
        config.map_err(|error| warn!("WebSocket: {error}; nobody can call")).ok()
    }
}
