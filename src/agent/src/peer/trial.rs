//! A session that we have begun: it is begun again until the controller takes it up.
//!
//! In:  that a session has to begin, what comes, the time. Out: first pieces of sessions, each with another number.
//!
//! While one waits to be taken up no other is begun before its time: a controller that always says what cannot be understood, and is always
//! answered with another session, would go on for ever.
//!
//! Source: TR-369 §5.3.2 (R-E2E.10 to R-E2E.13).

use usp::record::Kind;
use usp::session::Session;

use super::{Line, Peer, Way, random};
use crate::backoff;
use crate::settings::Said;

/// How often it was begun again, and when that is next, in milliseconds after boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial {
    tries: u32,
    due_ms: u64,
}

impl Trial {
    fn new(tries: u32, said: &Said, now_ms: u64) -> Self {
        let wait = backoff::standard_ms(tries, said.session_retry.pair(), random());
        Self { tries, due_ms: now_ms.saturating_add(wait) }
    }
}

impl Peer {
    /// A session has to begin: now, unless one waits to be taken up.
    pub(super) fn try_session(&mut self, said: &Said, way: &Way, now_ms: u64) {
        if self.trial.is_none() {
            self.trial = Some(Trial::new(0, said, now_ms));
            self.begin_session(way);
        }
    }

    /// It was not taken up in time: it is begun again.
    pub(super) fn try_again(&mut self, said: &Said, now_ms: u64) {
        let Some(trial) = self.trial.filter(|trial| trial.due_ms <= now_ms) else { return };
        if !said.session {
            self.trial = None;
            return;
        }
        self.trial = Some(Trial::new(trial.tries.saturating_add(1), said, now_ms));
        let way = self.usual();
        self.begin_session(&way);
    }

    fn begin_session(&mut self, way: &Way) {
        let before = self.session.as_ref().map(Session::id);
        let id = u64::from(random()).saturating_add(2);
        let mut session = Session::begin(if before == Some(id) { id.saturating_add(1) } else { id });
        let piece = session.empty();
        self.session = Some(session);
        self.put(Kind::Session(piece), way);
    }

    /// How often a session was begun again, and not taken up.
    pub(super) fn session_tries(&self) -> u32 {
        self.trial.map_or(0, |trial| trial.tries)
    }

    /// When it is begun again, in milliseconds after boot.
    pub(super) fn trial_due_ms(&self) -> Option<u64> {
        self.trial.filter(|_| matches!(self.line, Line::Up(..))).map(|trial| trial.due_ms)
    }
}
