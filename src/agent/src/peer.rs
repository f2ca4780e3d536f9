//! One controller: its connection, its session, its records.
//!
//! In:  the time, bytes. Out: messages of this controller; and messages to it, in records.
//!
//! Each controller has a connection of its own, and a turn of its own: one that is dead, slow or mad delays no other. What comes by this
//! connection is of this controller, or it is not looked at.
//!
//! Source: TR-369 §4 (R-MTP), §5 (records).

mod begin;
mod known;
mod say;
mod traffic;
mod trial;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use log::{info, warn};
use usp::message::ErrorBody;
use usp::record::{Kind, NoSessionContext, PayloadSecurity, SessionContext};
use usp::session::{self, Session};
use usp::{Code, GATEWAY, Msg, Record, VERSIONS, outline};

use crate::carrier::{Carrier, News};
use crate::configuration::Controller;
use crate::configuration::credential::Credential;
use crate::configuration::transport::{Caller, Transport};
use crate::doors::Came;
use crate::fault::Fault;
use crate::own::Own;
use crate::roles::Held;
use crate::settings::{Retry, Said};
use crate::stream::{Dial, Stream};
use crate::tenants::bucket::Bucket;
use crate::world::World;
use mqtt::packet::Version;
pub use traffic::Traffic;
use trial::Trial;

/// Questions that are answered in one turn: the rest waits for the others' turns, and no more is read before.
const QUESTIONS_A_TURN: usize = 4;
/// Messages of a service's in a second, and at once: then no more is read for a while.
const MESSAGES: (u64, u64) = (10, 50);

/// A connection's life.
#[derive(Debug)]
enum Line {
    /// It is tried again then, in milliseconds after boot.
    Down(u64),
    /// It is being made.
    Dialling(Dial),
    /// It is not ours to make: the controller comes.
    Awaited,
    /// It stands.
    Up(Box<Stream>, Box<Carrier>),
}

/// A message of the controller's.
#[derive(Debug)]
pub struct Heard {
    /// Its bytes.
    pub message: Vec<u8>,
    /// Its number; empty: it has none.
    id: String,
    /// How its answer goes back.
    pub way: Way,
}

impl Heard {
    fn new(message: Vec<u8>, way: Way) -> Self {
        let id = outline::message(&message, &GATEWAY).map(|(id, _)| id.into_owned()).unwrap_or_default();
        Self { message, id, way }
    }
}

/// How an answer goes back: as the question came (R-MSG.0a).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    in_session: bool,
    version: &'static str,
    topic: Option<String>,
}

/// A controller.
#[derive(Debug)]
pub struct Peer {
    configured: Controller,
    endpoint: String,
    own: Arc<Own>,
    /// Whose signature is for what.
    credentials: Arc<[Credential]>,
    /// The role that the last certificate has brought.
    inherited: Held,
    line: Line,
    /// Rounds of calls in vain since it last stood.
    failures: u32,
    /// Where else it is called (`begin.rs`), and which of all that is next.
    standby: Vec<(String, u16)>,
    choice: usize,
    /// How it is called again by WebSocket, and the longest wait in seconds.
    retry: (u16, u16),
    last_s: u32,
    /// Why it does not stand; `None`: it stands.
    fault: Option<Fault>,
    /// When that was found, in milliseconds after boot.
    fault_ms: u64,
    /// The controller has said something by this connection.
    heard: bool,
    /// It has just come, and what came with it was not looked at.
    fresh: bool,
    assigned: String,
    session: Option<Session>,
    /// A session of ours that was not taken up yet.
    trial: Option<Trial>,
    /// Questions that wait.
    waiting: VecDeque<Heard>,
    /// The version in which the controller speaks.
    version: &'static str,
    /// When something last came from its broker, in milliseconds after boot.
    heard_ms: u64,
    /// What a service may say; whoever is of the operator's file says what he likes.
    bucket: Option<Bucket>,
    traffic: Traffic,
}

/// A random number.
pub(crate) fn random() -> u32 {
    let mut bytes = [0; 4];
    let _ = sys::entropy::random(&mut bytes);
    u32::from_ne_bytes(bytes)
}

impl Peer {
    /// Not connected yet; our endpoint id and certificate are `world`'s, and `own` proves it.
    #[must_use]
    pub fn new(configured: Controller, world: &World, own: &Arc<Own>) -> Self {
        let mut peer = Self {
            configured,
            endpoint: world.endpoint.clone(),
            own: own.clone(),
            credentials: world.configuration.credentials.clone(),
            inherited: Held::default(),
            line: Line::Awaited,
            failures: 0,
            standby: Vec::new(),
            choice: 0,
            retry: Retry::default().pair(),
            last_s: world.configuration.retry_max_s,
            fault: Some(Fault::NotYet),
            fault_ms: 0,
            heard: false,
            fresh: false,
            assigned: String::new(),
            session: None,
            trial: None,
            waiting: VecDeque::new(),
            version: VERSIONS.last().copied().unwrap_or("1.4"),
            heard_ms: 0,
            bucket: None,
            traffic: Traffic::default(),
        };
        if let Transport::Local(Caller::Granted(_)) = peer.configured.transport {
            peer.bucket = Some(Bucket::full(MESSAGES.0, MESSAGES.1, 0));
        }
        peer.line = peer.down(0);
        peer
    }

    /// Where it is tried again, or waited for.
    fn down(&self, at_ms: u64) -> Line {
        match self.configured.transport {
            Transport::Mqtt(_) | Transport::WebSocket(_) => Line::Down(at_ms),
            Transport::Accepted(_) | Transport::Local(_) => Line::Awaited,
        }
    }

    /// The controller has come: the connection takes the place of the one before (there is one at a time, R-WS.4).
    pub fn take(&mut self, came: Came, now_ms: u64) {
        self.session = None;
        self.trial = None;
        self.waiting.clear();
        self.line = Line::Up(Box::new(came.stream), Box::new(came.carrier));
        self.fresh = true;
        self.welcome();
        self.push(now_ms);
    }

    /// Records can be sent from now on.
    fn welcome(&mut self) {
        self.failures = 0;
        self.choice = 0;
        self.fault = None;
        self.heard = false;
        if let Line::Up(stream, _) = &self.line {
            self.inherited = stream.inherited();
        }
        info!("{}: connected", self.configured.endpoint);
        self.greet();
    }

    /// Can records be sent?
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(&self.line, Line::Up(_, carrier) if carrier.is_ready())
    }

    /// When something last came from it, in milliseconds after boot; `None`: it is not connected.
    #[must_use]
    pub fn heard_ms(&self) -> Option<u64> {
        self.is_up().then_some(self.heard_ms)
    }

    /// Has it say that it is there.
    pub fn ping(&mut self, now_ms: u64) {
        if let Line::Up(_, carrier) = &mut self.line {
            carrier.ping();
        }
        self.push(now_ms);
    }

    /// What it waits for, and whether it wants to write.
    #[must_use]
    pub fn descriptor(&self) -> Option<(BorrowedFd<'_>, bool)> {
        match &self.line {
            // Before what waits is answered nothing is read.
            Line::Up(_, _) if !self.waiting.is_empty() || self.is_to_wait() => None,
            Line::Up(stream, _) => Some((stream.as_fd(), stream.wants_to_write())),
            Line::Down(_) | Line::Dialling(_) | Line::Awaited => None,
        }
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        match &self.line {
            Line::Up(..) if !self.waiting.is_empty() => Some(0),
            Line::Up(..) if self.is_to_wait() => self.bucket.as_ref().map(Bucket::due_ms),
            Line::Up(stream, _) if stream.has_more() => Some(0),
            Line::Down(at) => Some(*at),
            Line::Dialling(_) | Line::Awaited => None,
            Line::Up(stream, carrier) => {
                let due = carrier.due_ms().into_iter().chain(stream.stuck_at());
                due.chain(self.trial_due_ms()).min()
            }
        }
    }

    /// It has said all that it may for a while.
    fn is_to_wait(&self) -> bool {
        self.bucket.as_ref().is_some_and(Bucket::is_empty)
    }

    /// It is being connected (another thread rings when it is), or has just come.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        self.fresh || matches!(self.line, Line::Dialling(_))
    }

    /// The network has changed: what waits to be tried again is tried now.
    pub fn hurry(&mut self) {
        if let Line::Down(at) = &mut self.line {
            *at = 0;
        }
    }

    /// With 5.0 the broker gives the name (R-MQTT.8), and it is kept.
    fn name(&self) -> String {
        match &self.configured.transport {
            Transport::Mqtt(broker) if broker.version == Version::V5 => self.assigned.clone(),
            Transport::Mqtt(_) | Transport::WebSocket(_) | Transport::Accepted(_) | Transport::Local(_) => {
                self.endpoint.clone()
            }
        }
    }

    fn fail(&mut self, fault: Fault, now_ms: u64) {
        let wait = self.wait_ms();
        self.count_error();
        if self.fault.as_ref() != Some(&fault) {
            warn!("{}: {fault}", self.configured.endpoint);
        }
        self.fault = Some(fault);
        self.fault_ms = now_ms;
        self.session = None;
        self.trial = None;
        self.waiting.clear();
        self.line = self.down(now_ms.saturating_add(wait));
    }

    /// Goes on. `true`: from now on records can be sent.
    pub fn turn(&mut self, said: &Said, (bell, now_ms): (&UnixStream, u64)) -> (bool, Vec<Heard>) {
        let before = self.is_up();
        self.retry = said.web_retry.pair();
        self.look_whether_enabled(said.enable);
        match self.step(said, (bell, now_ms)) {
            Ok(heard) => {
                let up = !before && self.is_up();
                if up {
                    self.welcome();
                    self.push(now_ms);
                }
                (up, heard)
            }
            Err(why) => {
                self.fail(why, now_ms);
                (false, Vec::new())
            }
        }
    }

    fn step(&mut self, said: &Said, (bell, now_ms): (&UnixStream, u64)) -> Result<Vec<Heard>, Fault> {
        self.fresh = false;
        match &mut self.line {
            Line::Awaited => Ok(Vec::new()),
            Line::Down(at) => {
                if *at <= now_ms && said.enable {
                    let Some((host, port)) = self.place() else { return Ok(Vec::new()) };
                    self.line = Line::Dialling(Dial::begin(host, port, bell));
                }
                Ok(Vec::new())
            }
            Line::Dialling(dial) => {
                let Some(outcome) = dial.done() else { return Ok(Vec::new()) };
                let (stream, carrier) = self.begin(outcome?, now_ms)?;
                self.line = Line::Up(Box::new(stream), Box::new(carrier));
                self.flush(now_ms)?;
                Ok(Vec::new())
            }
            Line::Up(stream, carrier) => {
                if !self.waiting.is_empty() {
                    return Ok(self.some_that_wait());
                }
                if self.bucket.as_mut().is_some_and(|bucket| !bucket.has(now_ms)) {
                    return Ok(Vec::new());
                }
                let bytes = stream.read()?;
                if !bytes.is_empty() {
                    self.heard_ms = now_ms;
                }
                let news = match carrier.hear(&bytes, now_ms) {
                    Ok(news) => news,
                    Err(why) => {
                        let _ = self.flush(now_ms); // what the other end is told last
                        return Err(why);
                    }
                };
                if let Some(assigned) = carrier.assigned() {
                    assigned.clone_into(&mut self.assigned);
                }
                for one in news {
                    if let News::Record(bytes, topic) = one {
                        self.bucket.as_mut().map(|bucket| bucket.take(now_ms));
                        for heard in self.record(&bytes, topic, said)? {
                            self.wait(heard);
                        }
                    }
                }
                self.try_again(said, now_ms);
                let some = self.some_that_wait();
                if some.is_empty() {
                    self.flush(now_ms)?;
                } // else what the broker is told goes along with the answers
                Ok(some)
            }
        }
    }

    /// A message waits for its turn, unless it does so already (R-MSG.4).
    fn wait(&mut self, heard: Heard) {
        if heard.id.is_empty() || self.waiting.iter().all(|one| one.id != heard.id) {
            self.waiting.push_back(heard);
        }
    }

    fn some_that_wait(&mut self) -> Vec<Heard> {
        let some = self.waiting.len().min(QUESTIONS_A_TURN);
        self.waiting.drain(..some).collect()
    }

    /// Hands to the connection what the client has for it.
    fn flush(&mut self, now_ms: u64) -> Result<(), Fault> {
        let Line::Up(stream, carrier) = &mut self.line else { return Ok(()) };
        let bytes = carrier.take_out(now_ms);
        Ok(stream.put(&bytes, now_ms)?)
    }

    /// After messages were sent: they go now, not with the next turn.
    pub fn push(&mut self, now_ms: u64) {
        if let Err(why) = self.flush(now_ms) {
            self.fail(why, now_ms);
        }
    }

    /// Messages in a record. What is none ends a connection that is the controller's own.
    fn record(&mut self, bytes: &[u8], topic: Option<String>, said: &Said) -> Result<Vec<Heard>, Fault> {
        let Ok(record) = Record::decode(bytes, &GATEWAY) else {
            const WHY: &str = "a record that is none";
            warn!("{}: {WHY}", self.configured.endpoint);
            let Line::Up(_, carrier) = &mut self.line else { return Ok(Vec::new()) };
            if carrier.refuse(WHY) {
                let _ = self.flush(self.heard_ms);
                return Err(Fault::Nonsense(WHY.to_owned()));
            }
            self.answer_broken(bytes, topic);
            return Ok(Vec::new());
        };
        Ok(self.messages(&record, topic, said))
    }

    /// What is no record may still say who has asked what: he is told (R-MTP.5).
    fn answer_broken(&mut self, bytes: &[u8], topic: Option<String>) {
        let Some(record) = outline::record(bytes, &GATEWAY) else { return };
        if record.to_id != self.endpoint || record.from_id != self.configured.endpoint {
            return;
        }
        let Some((id, true)) = outline::message(&record.no_session.payload, &GATEWAY) else { return };
        let code = Code::RECORD_NOT_PARSED;
        let error =
            ErrorBody { err_code: code.number(), err_msg: code.words().into(), ..ErrorBody::default() };
        let payload = Msg::error(id, error).encode().into();
        let way = Way { in_session: false, version: self.version, topic };
        self.put(Kind::NoSession(NoSessionContext { payload }), &way);
    }

    fn messages(&mut self, record: &Record<'_>, topic: Option<String>, said: &Said) -> Vec<Heard> {
        // R-E2E.1; and nobody speaks here for somebody else, or for us (R-ARC.2).
        let ours = record.from_id == self.endpoint;
        if ours || record.to_id != self.endpoint || record.from_id != self.configured.endpoint {
            return Vec::new();
        }
        if !self.is_whole(record) {
            warn!("{}: a record whose signature is not its own: it is left", self.configured.endpoint);
            if matches!(record.kind, Some(Kind::Session(_))) && said.session {
                self.try_session(said, &self.usual(), self.heard_ms); // R-E2E.23
            }
            return Vec::new();
        }
        self.heard = true;
        if let Some(known) = VERSIONS.iter().find(|version| **version == record.version) {
            self.version = known;
        }
        if record.payload_security != PayloadSecurity::Plaintext {
            self.disconnect(Code::SECURE_SESSION_NOT_SUPPORTED, topic.as_deref());
            return Vec::new();
        }
        let way = |in_session| Way { in_session, version: self.version, topic: topic.clone() };
        match &record.kind {
            Some(Kind::NoSession(NoSessionContext { payload })) => {
                self.trial = None; // R-E2E.12
                vec![Heard::new(payload.to_vec(), way(false))]
            }
            Some(Kind::Session(_)) if !said.session => {
                self.disconnect(Code::SESSION_NOT_ALLOWED, topic.as_deref());
                Vec::new()
            }
            Some(Kind::Session(piece)) => {
                let way = way(true);
                let messages = self.piece(piece, &way, said);
                messages.into_iter().map(|message| Heard::new(message, way.clone())).collect()
            }
            Some(Kind::Disconnect(_)) => {
                self.session = None;
                self.trial = None;
                self.greet(); // R-MTP.8
                Vec::new()
            }
            Some(
                Kind::WebSocketConnect(_)
                | Kind::MqttConnect(_)
                | Kind::StompConnect(_)
                | Kind::UdsConnect(_),
            )
            | None => Vec::new(),
        }
    }

    fn piece(&mut self, piece: &SessionContext<'_>, way: &Way, said: &Said) -> Vec<Vec<u8>> {
        let heard = session::hear(&mut self.session, piece);
        for piece in heard.again.into_iter().chain(heard.answer) {
            self.put(Kind::Session(piece), way);
        }
        if heard.restart {
            self.try_session(said, way, self.heard_ms);
        } else {
            self.trial = None; // R-E2E.12
        }
        heard.messages
    }
}
