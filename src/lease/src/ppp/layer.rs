//! One control protocol: the automaton with its counters, its timer and its options.
//!
//! In:  what its neighbours want, packets, time. Out: packets to send, and what it has come to.
//!
//! Pure: the time comes in. Not here: the table (`automaton.rs`), which options there are (`lcp.rs`, `ipcp.rs`, `ipv6cp.rs`).
//!
//! Source: RFC 1661 §4.3 to §4.6, §5.

use super::automaton::{self, Act, Event, State};
use super::packet::{self, Packet, Setting};

/// The restart timer, in milliseconds. Source: RFC 1661 §4.6, "three (3) seconds".
const RESTART_MS: u64 = 3_000;
/// Requests without an answer before we give up. Source: RFC 1661 §4.6, Max-Configure.
const CONFIGURE_MAX: u8 = 10;
/// Requests to end without an answer. Source: RFC 1661 §4.6, Max-Terminate.
const TERMINATE_MAX: u8 = 2;
/// Counter-proposals before what is not agreed is refused. Source: RFC 1661 §4.6, Max-Failure.
const NAKS_MAX: u8 = 5;

/// Codes. Source: RFC 1661 §5.
pub mod code {
    /// Configure-Request.
    pub const REQUEST: u8 = 1;
    /// Configure-Ack.
    pub const ACK: u8 = 2;
    /// Configure-Nak.
    pub const NAK: u8 = 3;
    /// Configure-Reject.
    pub const REJECT: u8 = 4;
    /// Terminate-Request.
    pub const TERMINATE: u8 = 5;
    /// Terminate-Ack.
    pub const TERMINATE_ACK: u8 = 6;
    /// Code-Reject.
    pub const CODE_REJECT: u8 = 7;
    /// Protocol-Reject; LCP's own, as those that follow.
    pub const PROTOCOL_REJECT: u8 = 8;
    /// Echo-Request.
    pub const ECHO: u8 = 9;
    /// Echo-Reply.
    pub const ECHO_REPLY: u8 = 10;
    /// Discard-Request.
    pub const DISCARD: u8 = 11;
}

/// What we think of a peer's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// We agree.
    Good,
    /// Other values, please: these options.
    Nak(Vec<u8>),
    /// These options not at all.
    Reject(Vec<u8>),
}

/// The options of one protocol, both ways.
pub trait Options {
    /// Its number.
    const PROTOCOL: u16;
    /// What we ask for.
    fn ask(&self) -> Vec<u8>;
    /// The peer wants another value of one of ours.
    fn nak(&mut self, setting: Setting<'_>);
    /// The peer wants one of ours not at all.
    fn reject(&mut self, kind: u8);
    /// Judges what the peer asks for; where all is good, it is taken over.
    fn judge(&mut self, settings: &[Setting<'_>]) -> Verdict;
    /// What an answer to an echo begins with, where this protocol has echoes.
    fn echo_head(&self) -> Option<[u8; 4]>;
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Send this packet.
    Send(Vec<u8>),
    /// It is up: both sides agree.
    Up,
    /// It is no longer up.
    Down,
    /// It has come to its end, or has given up.
    Finished,
}

/// All that comes out of one event.
pub type Outs = heapless::Vec<Out, 6>;

/// What a reply is made of.
#[derive(Debug, Clone, Copy)]
struct Reply<'r> {
    code: u8,
    id: u8,
    body: &'r [u8],
}

const NO_REPLY: Reply<'static> = Reply { code: 0, id: 0, body: &[] };

/// A control protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer<O> {
    /// Its options.
    pub options: O,
    state: State,
    /// The identifier of our last request.
    id: u8,
    tries_left: u8,
    naks: u8,
    due_ms: Option<u64>,
}

impl<O: Options> Layer<O> {
    /// One that is wanted, over a layer that is down.
    #[must_use]
    pub fn new(options: O) -> Self {
        Self { options, state: State::Starting, id: 0, tries_left: 0, naks: 0, due_ms: None }
    }

    /// One that was opened in an earlier life.
    #[must_use]
    pub fn opened(options: O) -> Self {
        Self { state: State::Opened, ..Self::new(options) }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Is it up?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Opened
    }

    /// When its timer runs out, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// The layer below is up.
    pub fn lower_up(&mut self, now_ms: u64) -> Outs {
        self.happen(Event::Up, NO_REPLY, now_ms)
    }

    /// It is to end.
    pub fn close(&mut self, now_ms: u64) -> Outs {
        self.happen(Event::Close, NO_REPLY, now_ms)
    }

    /// The peer does not know this protocol. Source: RFC 1661 §5.7.
    pub fn rejected(&mut self, now_ms: u64) -> Outs {
        self.happen(Event::FatalReject, NO_REPLY, now_ms)
    }

    /// Time has passed.
    pub fn time(&mut self, now_ms: u64) -> Outs {
        if self.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return Outs::new();
        }
        self.due_ms = None;
        self.happen(if self.tries_left > 0 { Event::Timeout } else { Event::Exhausted }, NO_REPLY, now_ms)
    }

    /// A packet of this protocol. What is not well formed, or answers another request than our last, is as if it had not come.
    pub fn receive(&mut self, packet: &Packet<'_>, now_ms: u64) -> Outs {
        let (id, body) = (packet.id, packet.body);
        match packet.code {
            code::REQUEST => return self.request(id, body, now_ms),
            code::ACK if id == self.id && body == self.options.ask() => {
                return self.happen(Event::Ack, NO_REPLY, now_ms);
            }
            code::NAK | code::REJECT if id == self.id => return self.refused(packet, now_ms),
            code::ACK | code::NAK | code::REJECT => return Outs::new(),
            code::TERMINATE => {
                let reply = Reply { code: code::TERMINATE_ACK, id, body: &[] };
                return self.happen(Event::TerminateRequest, reply, now_ms);
            }
            code::TERMINATE_ACK => return self.happen(Event::TerminateAck, NO_REPLY, now_ms),
            code::CODE_REJECT => {
                // Without the codes from 1 to 7 there is no protocol. Source: RFC 1661 §5.6.
                let vital = body.first().is_some_and(|code| (1..=7).contains(code));
                let event = if vital { Event::FatalReject } else { Event::HarmlessReject };
                return self.happen(event, NO_REPLY, now_ms);
            }
            _ => {}
        }
        match (packet.code, self.options.echo_head()) {
            (code::ECHO, Some(head)) => {
                let data = [head.as_slice(), body.get(head.len()..).unwrap_or_default()].concat();
                self.happen(Event::Echo, Reply { code: code::ECHO_REPLY, id, body: &data }, now_ms)
            }
            (code::ECHO_REPLY | code::DISCARD | code::PROTOCOL_REJECT, Some(_)) => Outs::new(),
            _ => {
                let mut whole = packet::write(packet);
                let rejected = whole.split_off(2); // The protocol is not part of it. Source: RFC 1661 §5.6.
                let reply = Reply { code: code::CODE_REJECT, id, body: &rejected };
                self.happen(Event::UnknownCode, reply, now_ms)
            }
        }
    }

    /// The peer asks for options of its own.
    fn request(&mut self, id: u8, body: &[u8], now_ms: u64) -> Outs {
        let Some(settings) = packet::settings(body) else { return Outs::new() };
        let verdict = match self.options.judge(&settings) {
            Verdict::Nak(wanted) if self.naks >= NAKS_MAX => {
                // It will not come round: those options not at all, with the peer's own values.
                let kinds = packet::settings(&wanted).unwrap_or_default();
                let mut refused = Vec::new();
                for (kind, data) in settings.iter().filter(|(kind, _)| kinds.iter().any(|(of, _)| of == kind))
                {
                    packet::put(&mut refused, *kind, data);
                }
                Verdict::Reject(refused)
            }
            verdict @ (Verdict::Good | Verdict::Nak(_) | Verdict::Reject(_)) => verdict,
        };
        match verdict {
            Verdict::Good => {
                self.naks = 0;
                self.happen(Event::GoodRequest, Reply { code: code::ACK, id, body }, now_ms)
            }
            Verdict::Nak(wanted) => {
                self.naks = self.naks.saturating_add(1);
                self.happen(Event::BadRequest, Reply { code: code::NAK, id, body: &wanted }, now_ms)
            }
            Verdict::Reject(refused) => {
                self.happen(Event::BadRequest, Reply { code: code::REJECT, id, body: &refused }, now_ms)
            }
        }
    }

    /// The peer does not agree to ours.
    fn refused(&mut self, packet: &Packet<'_>, now_ms: u64) -> Outs {
        let Some(settings) = packet::settings(packet.body) else { return Outs::new() };
        for setting in settings {
            if packet.code == code::NAK {
                self.options.nak(setting);
            } else {
                self.options.reject(setting.0);
            }
        }
        self.happen(Event::Nak, NO_REPLY, now_ms)
    }

    fn happen(&mut self, event: Event, reply: Reply<'_>, now_ms: u64) -> Outs {
        let (acts, after) = automaton::next(self.state, event);
        self.state = after;
        let mut outs = Outs::new();
        for act in acts {
            if let Some(out) = self.act(*act, acts, reply, now_ms) {
                let _ = outs.push(out); // No row of the table has more than four.
            }
        }
        let timed = [State::Closing, State::Stopping, State::ReqSent, State::AckRcvd, State::AckSent];
        if !timed.contains(&self.state) {
            self.due_ms = None; // Source: RFC 1661 §4.1, "The Restart timer is only running" in these.
        }
        outs
    }

    fn act(&mut self, act: Act, acts: &[Act], reply: Reply<'_>, now_ms: u64) -> Option<Out> {
        match act {
            Act::Up => Some(Out::Up),
            Act::Down => Some(Out::Down),
            Act::Started => None,
            Act::Finished => Some(Out::Finished),
            Act::InitCount => {
                let ends = acts.contains(&Act::Terminate);
                self.tries_left = if ends { TERMINATE_MAX } else { CONFIGURE_MAX };
                None
            }
            Act::ZeroCount => {
                self.tries_left = 0;
                self.due_ms = Some(now_ms.saturating_add(RESTART_MS));
                None
            }
            Act::Request => {
                let ask = self.options.ask();
                Some(self.ask(code::REQUEST, &ask, now_ms))
            }
            Act::Terminate => Some(self.ask(code::TERMINATE, &[], now_ms)),
            Act::TerminateAck => {
                Some(Self::say(Reply { code: code::TERMINATE_ACK, id: reply.id, body: &[] }))
            }
            Act::Ack | Act::Nak | Act::RejectCode | Act::EchoReply => Some(Self::say(reply)),
        }
    }

    /// Sends what wants an answer: with a new identifier, and a timer.
    fn ask(&mut self, code: u8, body: &[u8], now_ms: u64) -> Out {
        self.id = self.id.wrapping_add(1);
        self.tries_left = self.tries_left.saturating_sub(1);
        self.due_ms = Some(now_ms.saturating_add(RESTART_MS));
        Self::say(Reply { code, id: self.id, body })
    }

    fn say(reply: Reply<'_>) -> Out {
        let Reply { code, id, body } = reply;
        Out::Send(packet::write(&Packet { protocol: O::PROTOCOL, code, id, body }))
    }
}
