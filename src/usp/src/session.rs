//! An end-to-end session: what was sent is kept until it has come, what comes is put in order, what is too long goes in pieces.
//!
//! In:  pieces heard ([`SessionContext`]), messages to send. Out: [`Heard`]: messages, pieces to send again, a piece to ask for; and pieces.
//!
//! A pure machine, one for each pair of endpoints: it has no clock, so when a silent session ends is its caller's to say. Payloads are
//! plain; those sealed by TLS inside the record (7102) are none of its business.
//!
//! ```text
//! no session, or another id    sequence 1: a new one; else: restart
//! a sequence below expected    it was here before: ignored
//! the expected one             taken, and what was held behind it
//! one above                    held, and the missing one asked for; too far above: restart
//! ```
//!
//! Restart means: [`Session::begin`] with another id, and an empty piece to say so. What was not delivered is the caller's to send again.
//!
//! Source: TR-369 §5.3 (R-E2E.3 to R-E2E.25).

use std::collections::{BTreeMap, VecDeque};

use crate::record::{Sar, SessionContext};

/// Pieces that are kept for sending again. Beyond, the eldest is forgotten: a peer that says nothing of what it has may not hold our memory,
/// and if it asks for that one after all, the session restarts.
pub const SENT_MAX: usize = 64;
/// Their bytes.
pub const SENT_BYTES_MAX: usize = 512 * 1024;
/// Pieces that are held because one before them is missing.
pub const HELD_MAX: usize = 32;
/// Bytes of what is held, and of a message that is put together: no more than a record may have.
pub const WHOLE_BYTES_MAX: usize = 256 * 1024;
/// How often a piece is sent again. Source: TR-181, `E2ESession.MaxRetransmitTries`.
pub const TRIES_MAX: u8 = 3;
/// Pieces that come before a missing one is asked for again.
const PATIENCE: u8 = 8;
/// So near to the last number a session is given up (R-E2E.8).
const LAST: u64 = u64::MAX - 10_000;
/// The shortest piece that a message is cut into, whatever a controller sets.
pub const PIECE_BYTES_MIN: usize = 512;

/// What came of a piece.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// Messages, whole, in order.
    pub messages: Vec<Vec<u8>>,
    /// Pieces to send again.
    pub again: Vec<SessionContext<'static>>,
    /// A piece to send: it asks for a missing one, or says that a session has begun.
    pub answer: Option<SessionContext<'static>>,
    /// The session is over: begin another one.
    pub restart: bool,
}

/// A piece that was sent.
#[derive(Debug, Clone)]
struct Sent {
    sequence: u64,
    sar: Sar,
    payload: Option<Vec<u8>>,
    tries: u8,
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    id: u64,
    /// The number of the next piece that we send.
    next: u64,
    /// The number of the next piece that we take.
    expected: u64,
    sent: VecDeque<Sent>,
    held: BTreeMap<u64, (Sar, Vec<Vec<u8>>)>,
    /// A message of which pieces have come.
    begun: Option<Vec<u8>>,
    /// Which one was last asked for, and how many have come since.
    asked: (u64, u8),
}

impl Session {
    /// A session with number `id`, which is more than 1 (R-E2E.3) and not the one before.
    #[must_use]
    pub fn begin(id: u64) -> Self {
        let (sent, held) = (VecDeque::new(), BTreeMap::new());
        Self { id, next: 1, expected: 1, sent, held, begun: None, asked: (0, 0) }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Cuts `message` into pieces of at most `piece_bytes`.
    pub fn send(&mut self, message: &[u8], piece_bytes: usize) -> Vec<SessionContext<'static>> {
        let size = piece_bytes.max(PIECE_BYTES_MIN);
        let count = message.len().div_ceil(size).max(1);
        let mut pieces = Vec::with_capacity(count);
        for (place, payload) in message.chunks(size).enumerate() {
            let sar = match place {
                _ if count == 1 => Sar::None,
                0 => Sar::Begin,
                last if last + 1 == count => Sar::Complete,
                _ => Sar::InProcess,
            };
            pieces.push(self.piece(sar, Some(payload.to_vec()), 0));
        }
        pieces
    }

    /// A piece that says no more than that the session is there.
    pub fn empty(&mut self) -> SessionContext<'static> {
        self.piece(Sar::None, None, 0)
    }

    fn piece(&mut self, sar: Sar, payload: Option<Vec<u8>>, retransmit: u64) -> SessionContext<'static> {
        let sent = Sent { sequence: self.next, sar, payload, tries: 0 };
        self.next = self.next.saturating_add(1);
        let piece = self.written(&sent, retransmit);
        self.sent.push_back(sent);
        let bytes = |sent: &VecDeque<Sent>| -> usize {
            sent.iter().filter_map(|one| one.payload.as_ref()).map(Vec::len).sum()
        };
        while self.sent.len() > SENT_MAX || bytes(&self.sent) > SENT_BYTES_MAX {
            self.sent.pop_front();
        }
        piece
    }

    fn written(&self, sent: &Sent, retransmit_id: u64) -> SessionContext<'static> {
        SessionContext {
            session_id: self.id,
            sequence_id: sent.sequence,
            expected_id: self.expected,
            retransmit_id,
            payload_sar_state: sent.sar,
            payloadrec_sar_state: sent.sar,
            payload: sent.payload.iter().cloned().map(Into::into).collect(),
        }
    }

    /// Takes a piece of this session.
    fn hear(&mut self, piece: &SessionContext<'_>) -> Heard {
        let mut heard = Heard::default();
        if piece.sequence_id < self.expected {
            return heard;
        }
        if piece.sequence_id > LAST || self.next > LAST || !self.send_again(piece, &mut heard) {
            heard.restart = true;
            return heard;
        }
        let payload: Vec<Vec<u8>> = piece.payload.iter().map(|bytes| bytes.to_vec()).collect();
        let coming = payload.iter().map(Vec::len).sum::<usize>();
        let held: usize = self.held.values().flat_map(|(_, payload)| payload).map(Vec::len).sum();
        let fits = held.saturating_add(coming) <= WHOLE_BYTES_MAX && self.held.len() < HELD_MAX;
        if piece.payload_sar_state != piece.payloadrec_sar_state || !fits {
            heard.restart = true;
            return heard;
        }
        self.held.insert(piece.sequence_id, (piece.payload_sar_state, payload));
        while let Some((sar, payload)) = self.held.remove(&self.expected) {
            self.expected = self.expected.saturating_add(1);
            if !self.take(sar, payload, &mut heard) {
                heard.restart = true;
                return heard;
            }
        }
        heard.answer = self.ask();
        heard
    }

    /// Asks for what is missing: once, and again when so many have come without it.
    fn ask(&mut self) -> Option<SessionContext<'static>> {
        if self.held.is_empty() {
            return None;
        }
        let missing = self.expected;
        let (asked, since) = self.asked;
        if asked == missing && since < PATIENCE {
            self.asked = (asked, since + 1);
            return None;
        }
        self.asked = (missing, 0);
        Some(self.piece(Sar::None, None, missing))
    }

    /// What the peer has is forgotten, what it asks for is sent again; `false`: it is no longer there, or was sent too often.
    fn send_again(&mut self, piece: &SessionContext<'_>, heard: &mut Heard) -> bool {
        self.sent.retain(|sent| sent.sequence >= piece.expected_id || sent.sequence == piece.retransmit_id);
        if piece.retransmit_id == 0 {
            return true;
        }
        let Some(place) = self.sent.iter().position(|sent| sent.sequence == piece.retransmit_id) else {
            return false;
        };
        let Some(sent) = self.sent.get_mut(place) else { return false };
        if sent.tries >= TRIES_MAX {
            return false;
        }
        sent.tries += 1;
        let sent = sent.clone();
        heard.again.push(self.written(&sent, 0));
        true
    }

    /// Puts a piece to the others of its message; `false`: it does not fit them.
    fn take(&mut self, sar: Sar, payload: Vec<Vec<u8>>, heard: &mut Heard) -> bool {
        let bytes = payload.concat();
        match (sar, self.begun.take()) {
            (Sar::None, None) => {
                if !bytes.is_empty() {
                    heard.messages.push(bytes);
                }
                true
            }
            (Sar::Begin, None) => {
                self.begun = Some(bytes);
                true
            }
            (Sar::InProcess | Sar::Complete, Some(mut whole)) => {
                if whole.len().saturating_add(bytes.len()) > WHOLE_BYTES_MAX {
                    return false;
                }
                whole.extend_from_slice(&bytes);
                if sar == Sar::Complete {
                    heard.messages.push(whole);
                } else {
                    self.begun = Some(whole);
                }
                true
            }
            // An empty piece (it asks for another one) may come between the pieces of a message.
            (Sar::None, Some(whole)) if bytes.is_empty() => {
                self.begun = Some(whole);
                true
            }
            (Sar::None | Sar::Begin, Some(_)) | (Sar::InProcess | Sar::Complete, None) => false,
        }
    }
}

/// Takes a piece from a peer with whom there is `session`, or none yet.
pub fn hear(session: &mut Option<Session>, piece: &SessionContext<'_>) -> Heard {
    let known = session.as_ref().is_some_and(|session| session.id == piece.session_id);
    if !known {
        // Nobody should begin with number 1 (R-E2E.3); usp-js does, and there is no harm in it.
        if piece.sequence_id != 1 || piece.session_id == 0 {
            return Heard { restart: true, ..Heard::default() };
        }
        *session = Some(Session::begin(piece.session_id));
    }
    let Some(session) = session else { return Heard::default() };
    let mut heard = session.hear(piece);
    // Who begins with an empty piece waits for a sign.
    if !known && !heard.restart && heard.messages.is_empty() && session.begun.is_none() {
        heard.answer = Some(session.empty());
    }
    heard
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
