//! WebSocket as USP needs it: a session as a pure machine between bytes and records, at either end.
//!
//! In:  a connection that stands (or a request that was let in), bytes of it, the time. Out: bytes for it, [`News`].
//!
//! ```text
//! we call:    GET … Upgrade ──▶ opening ── 101, v1.usp ──▶ open ── Close ──▶ gone
//! we are called: a request that `websocket/handshake.rs` has read ── 101, v1.usp ──▶ open
//! ```
//! A record is one binary message (R-WS.14). What is no record, a text, a frame that is not masked as its end must mask it, or too long,
//! ends the session with the code that RFC 6455 has for it; 1003 where it is no record (R-WS.16). An end that is silent for one and a half
//! keep-alive times, in which it was pinged, is gone; and so is one that speaks, but answers no ping for so long: it does not read. No
//! extension is offered or taken: nothing is decompressed.
//!
//! Not here: frames (`websocket/frame.rs`), the two ends of the handshake (`websocket/handshake.rs`), sockets and TLS (`stream.rs`).
//!
//! Source: RFC 6455; TR-369 §4.4 (WebSocket binding, R-WS).

pub mod frame;
pub mod handshake;

use std::fmt;

use frame::{Frame, Opcode};

/// A message, put together: as long as a record may be here.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024 + 1024;
/// What waits to be sent, in bytes.
const OUT_BYTES_MAX: usize = 1024 * 1024;
/// How long the handshake may take, in milliseconds.
const OPENING_MS: u64 = 10_000;

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The other end's answer is no handshake of ours, and why.
    Handshake(String),
    /// It has closed, with this code (1005: without one).
    Closed(u16),
    /// It is silent.
    Silent,
    /// It answers no ping, whatever else it says.
    Deaf,
    /// It speaks nonsense; the code that it was told.
    Nonsense(u16, &'static str),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(why) => write!(f, "WebSocket: {why}"),
            Self::Closed(code) => write!(f, "WebSocket: closed by the other end ({code})"),
            Self::Silent => write!(f, "WebSocket: the other end is silent"),
            Self::Deaf => write!(f, "WebSocket: the other end does not read: it answers no ping"),
            Self::Nonsense(code, why) => write!(f, "WebSocket: {why} ({code})"),
        }
    }
}

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// From now on records can be sent.
    Ready,
    /// A record.
    Record(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// We have called; the key that has to be answered.
    Opening(String),
    Open,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// We have called: we mask, and the other end does not (RFC 6455 §5.1).
    masks: bool,
    random: fn() -> u32,
    input: Vec<u8>,
    /// The pieces of a message that have come.
    message: Option<Vec<u8>>,
    out: Vec<u8>,
    keep_alive_ms: u64,
    begun_ms: u64,
    heard_ms: u64,
    pinged_ms: u64,
    /// When it last read for certain: at the session's begin, and with each answer to a ping.
    read_ms: u64,
}

impl Session {
    /// The connection stands: asks for a session. `random` masks frames and makes the key.
    #[must_use]
    pub fn call(to: &handshake::Call<'_>, keep_alive_s: u16, random: fn() -> u32, now_ms: u64) -> Self {
        let key = handshake::key([random(), random(), random(), random()]);
        let out = handshake::request(to, &key);
        Self { out, ..Self::new(State::Opening(key), keep_alive_s, random, now_ms) }
    }

    /// A request was let in: `out` is the answer. `rest` came behind it.
    #[must_use]
    pub fn take(out: Vec<u8>, rest: Vec<u8>, keep_alive_s: u16, now_ms: u64) -> Self {
        Self { out, input: rest, masks: false, ..Self::new(State::Open, keep_alive_s, || 0, now_ms) }
    }

    fn new(state: State, keep_alive_s: u16, random: fn() -> u32, now_ms: u64) -> Self {
        Self {
            state,
            masks: true,
            random,
            input: Vec::new(),
            message: None,
            out: Vec::new(),
            keep_alive_ms: u64::from(keep_alive_s) * 1000,
            begun_ms: now_ms,
            heard_ms: now_ms,
            pinged_ms: now_ms,
            read_ms: now_ms,
        }
    }

    /// Can records be sent?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == State::Open
    }

    /// Sends a record; `false`: too much waits, and it is forgotten.
    pub fn send(&mut self, record: &[u8]) -> bool {
        let fits = self.is_ready() && self.out.len().saturating_add(record.len()) <= OUT_BYTES_MAX;
        if fits {
            self.put(Opcode::Binary, record);
        }
        fits
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) {
        let mask = self.masks.then(|| (self.random)().to_ne_bytes());
        self.out.extend(frame::write(opcode, payload, mask));
    }

    /// Has the other end say that it is there.
    pub fn ping(&mut self) {
        if self.is_ready() {
            self.put(Opcode::Ping, &[]);
        }
    }

    /// Says goodbye with a code: nothing is sent after it.
    pub fn close(&mut self, code: u16) {
        if self.is_ready() {
            self.put(Opcode::Close, &code.to_be_bytes());
        }
    }

    /// Bytes for the other end; they are taken away.
    pub fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// When it has to be looked at again, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        match self.state {
            State::Opening(_) => self.begun_ms.saturating_add(OPENING_MS),
            State::Open => self.deaf_ms().min(self.ping_ms()),
        }
    }

    /// What was last read was heard, so this comes first of both.
    fn deaf_ms(&self) -> u64 {
        self.read_ms.saturating_add(self.keep_alive_ms.saturating_mul(3) / 2)
    }

    fn silent_ms(&self) -> u64 {
        self.heard_ms.saturating_add(self.keep_alive_ms.saturating_mul(3) / 2)
    }

    fn ping_ms(&self) -> u64 {
        self.pinged_ms.max(self.read_ms).saturating_add(self.keep_alive_ms / 2)
    }

    /// The time has come, perhaps.
    ///
    /// # Errors
    /// [`Gone::Silent`], [`Gone::Deaf`].
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Gone> {
        let (silent, deaf) = match self.state {
            State::Opening(_) => (now_ms >= self.due_ms(), false),
            State::Open => (now_ms >= self.silent_ms(), now_ms >= self.deaf_ms()),
        };
        if silent || deaf {
            return Err(if silent { Gone::Silent } else { Gone::Deaf });
        }
        if self.is_ready() && now_ms >= self.ping_ms() {
            self.pinged_ms = now_ms;
            self.put(Opcode::Ping, &[]);
        }
        Ok(())
    }

    /// Takes bytes of the other end's.
    ///
    /// # Errors
    /// [`Gone`]; what is in [`Session::take_out`] then is still for it.
    pub fn hear(&mut self, bytes: &[u8], now_ms: u64) -> Result<Vec<News>, Gone> {
        self.input.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.heard_ms = now_ms;
        }
        let mut news = Vec::new();
        if let State::Opening(key) = &self.state {
            let Some(length) = handshake::accepted(&self.input, key).map_err(Gone::Handshake)? else {
                return Ok(news);
            };
            self.input.drain(..length);
            self.state = State::Open;
            self.read_ms = now_ms;
            news.push(News::Ready);
        }
        let mut taken = 0;
        loop {
            let rest = self.input.get(taken..).unwrap_or_default();
            let frame = match frame::read(rest, !self.masks, MESSAGE_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some((frame, length))) => {
                    taken = taken.saturating_add(length);
                    frame
                }
                Err(fault) => return Err(self.nonsense(fault.code(), fault.words())),
            };
            news.extend(self.one(frame)?.map(News::Record));
        }
        self.input.drain(..taken);
        Ok(news)
    }

    fn nonsense(&mut self, code: u16, why: &'static str) -> Gone {
        self.close(code);
        Gone::Nonsense(code, why)
    }

    fn one(&mut self, frame: Frame) -> Result<Option<Vec<u8>>, Gone> {
        match (frame.opcode, &mut self.message) {
            (Opcode::Ping, _) => {
                self.put(Opcode::Pong, &frame.payload);
                Ok(None)
            }
            (Opcode::Pong, _) => {
                self.read_ms = self.heard_ms;
                Ok(None)
            }
            (Opcode::Close, _) => {
                let code = frame.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                self.close(if code == 1005 { 1000 } else { code });
                Err(Gone::Closed(code))
            }
            (Opcode::Text, _) => Err(self.nonsense(1003, "a text in place of a record")),
            (Opcode::Binary, None) if frame.is_last => Ok(Some(frame.payload)),
            (Opcode::Binary, None) => {
                self.message = Some(frame.payload);
                Ok(None)
            }
            (Opcode::Continuation, Some(message)) => {
                if message.len().saturating_add(frame.payload.len()) > MESSAGE_BYTES_MAX {
                    return Err(self.nonsense(1009, "a message that is too long"));
                }
                message.extend(frame.payload);
                Ok(if frame.is_last { self.message.take() } else { None })
            }
            (Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => {
                Err(self.nonsense(1002, "a piece out of turn"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::frame::{Opcode, write};
    use super::{Gone, MESSAGE_BYTES_MAX, News, Session, handshake};

    const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

    fn open() -> Session {
        let mut session =
            Session::take(handshake::answer("dGhlIHNhbXBsZSBub25jZQ==", None), Vec::new(), 60, 0);
        let answer = String::from_utf8(session.take_out()).unwrap();
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "RFC 6455 §1.3: {answer}");
        session
    }

    // Shows R-WS.13, R-WS.14a, R-WS.14b, R-WS.15.
    #[test]
    fn messages_come_whole_and_in_pieces() {
        let mut session = open();
        let binary = |payload: &[u8]| write(Opcode::Binary, payload, MASK);
        assert_eq!(session.hear(&binary(b"one"), 1), Ok(vec![News::Record(b"one".to_vec())]));
        let mut first = binary(b"tw");
        first[0] &= 0x7f; // there is more
        let pieces =
            [first, write(Opcode::Ping, b"?", MASK), write(Opcode::Continuation, b"o", MASK)].concat();
        let (head, tail) = pieces.split_at(5);
        assert_eq!(session.hear(head, 2), Ok(Vec::new()));
        assert_eq!(session.hear(tail, 3), Ok(vec![News::Record(b"two".to_vec())]));
        assert_eq!(session.take_out(), write(Opcode::Pong, b"?", None), "a ping between them is answered");
        assert!(session.send(b"answer"));
        assert_eq!(session.take_out(), write(Opcode::Binary, b"answer", None));
    }

    // Shows R-WS.8.
    #[test]
    fn nonsense_ends_with_its_code() {
        let long = {
            let mut head = write(Opcode::Binary, &[0; 70_000], MASK);
            head[2..10].copy_from_slice(&(MESSAGE_BYTES_MAX as u64 + 1).to_be_bytes());
            head
        };
        let table: &[(&str, Vec<u8>, u16)] = &[
            ("a text", write(Opcode::Text, b"{}", MASK), 1003),
            ("not masked", write(Opcode::Binary, b"x", None), 1002),
            ("out of turn", write(Opcode::Continuation, b"x", MASK), 1002),
            ("too long", long, 1009),
            ("a long ping", write(Opcode::Ping, &[0; 126], MASK), 1002),
            ("an opcode that is none", vec![0x83, 0x80, 0, 0, 0, 0], 1002),
            ("an extension that nobody has taken", vec![0xc2, 0x80, 0, 0, 0, 0], 1002),
        ];
        for (name, bytes, code) in table {
            let mut session = open();
            let gone = session.hear(bytes, 1).unwrap_err();
            assert!(matches!(gone, Gone::Nonsense(said, _) if said == *code), "{name}: {gone:?}");
            assert_eq!(session.take_out(), write(Opcode::Close, &code.to_be_bytes(), None), "{name}");
        }
        let mut session = open();
        let close = write(Opcode::Close, &1001_u16.to_be_bytes(), MASK);
        assert_eq!(session.hear(&close, 1), Err(Gone::Closed(1001)));
        assert_eq!(session.take_out(), write(Opcode::Close, &1001_u16.to_be_bytes(), None), "it is answered");
    }

    // Shows R-WS.17, R-WS.18.
    #[test]
    fn silence_is_noticed() {
        let mut session = open();
        assert_eq!(session.due_ms(), 30_000);
        assert_eq!(session.tick(30_000), Ok(()));
        assert_eq!(session.take_out(), write(Opcode::Ping, b"", None));
        assert_eq!((session.tick(60_000), session.tick(90_000)), (Ok(()), Err(Gone::Silent)));
    }

    /// Who speaks all the time is pinged, too: what he says does not prove that he reads.
    #[test]
    fn who_does_not_read_is_noticed() {
        let ping = write(Opcode::Ping, b"", None);
        let mut session = open();
        for second in 1..90 {
            session.hear(&write(Opcode::Binary, b"again", MASK), second * 1_000).unwrap();
            assert_eq!(session.tick(second * 1_000), Ok(()), "{second}");
            let want = if second % 30 == 0 { ping.clone() } else { Vec::new() };
            assert_eq!(session.take_out(), want, "{second}");
        }
        assert_eq!((session.due_ms(), session.tick(90_000)), (90_000, Err(Gone::Deaf)));
        session.hear(&write(Opcode::Pong, b"", MASK), 90_000).unwrap();
        assert_eq!((session.due_ms(), session.tick(90_000)), (120_000, Ok(())), "it reads after all");
    }
}
