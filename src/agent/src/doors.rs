//! Who comes to us: controllers on the box, by the Unix socket; controllers that call by WebSocket. Here it is found out who it is.
//!
//! In:  listeners, the operator's word. Out: connections, each with the controller that it is of.
//!
//! By WebSocket it is TLS with the gateway's own certificate, unless the operator has a network of his own for it. On the box the kernel says who it is (`SO_PEERCRED`), and the handshake says which of his endpoints; by WebSocket it is a
//! certificate, or name and password. Who is nobody hears why, and that was all. Nobody holds more than a few places here, nor for longer than
//! [`OPENING_MS`]; where there are none left the eldest goes.
//!
//! Not here: records (`peer.rs`).
//!
//! Source: TR-369 §4.4 (R-WS), §4.6 (R-UDS.16 to R-UDS.21); unix(7).

mod secure;

use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use contract::Name;
use contract::control::Process;
use contract::wires::TENANT_UID_COUNT;
use log::warn;
use usp::frame::{self, Value};

use crate::carrier::{Carrier, Frames};
use crate::configuration::transport::{Caller, Transport};
use crate::configuration::{Configuration, credential};
use crate::own::Own;
use crate::proof::{Kind, Wanted};
use crate::roles;
use crate::stream::{Gone, Socket, Stream};
use crate::websocket::{self, handshake};
use crate::world::World;
use secure::Secure;

/// How long somebody may take to say who he is, in milliseconds.
const OPENING_MS: u64 = 5_000;
/// Connections that have not said so yet, by each door.
const OPENING_MAX: usize = 8;
/// Connections that are taken in one turn.
const ACCEPTS_A_TURN: usize = 8;
/// A handshake frame: an endpoint id, and room.
const HANDSHAKE_BYTES_MAX: usize = 512;

/// Somebody who has not said who he is.
#[derive(Debug)]
struct Opening {
    stream: Stream,
    /// His uid, on the box.
    uid: Option<u32>,
    input: Vec<u8>,
    until_ms: u64,
}

/// Somebody who has, and is let in.
#[derive(Debug)]
pub struct Came {
    /// The place of his controller.
    pub place: usize,
    /// The connection.
    pub stream: Stream,
    /// What speaks over it.
    pub carrier: Carrier,
}

/// A service that is no controller: it may bring a part of the tree (`broker.rs`).
#[derive(Debug)]
pub struct Application {
    /// Which one, as the kernel says.
    pub service: Name,
    /// What it calls itself.
    pub endpoint: String,
    /// The connection.
    pub stream: Stream,
    /// What speaks over it.
    pub carrier: Carrier,
}

/// Who has said who he is.
#[derive(Debug)]
enum Who {
    /// A controller, by its place.
    Controller(usize),
    /// A service, and what it calls itself.
    Application(Name, String),
}

/// The doors.
#[derive(Debug)]
pub struct Doors {
    local: Option<UnixListener>,
    web: Option<TcpListener>,
    /// Who calls by WebSocket speaks TLS with us.
    tls: Option<Secure>,
    openings: Vec<Opening>,
}

impl Doors {
    /// The socket that the supervisor has bound, and the one of WebSocket, where the operator wants it.
    #[must_use]
    pub fn new(local: Option<UnixListener>, configuration: &Configuration, own: &Arc<Own>) -> Self {
        let web = configuration.websocket.and_then(|(address, _)| {
            let bound = TcpListener::bind(address).and_then(|door| door.set_nonblocking(true).map(|()| door));
            bound.map_err(|error| warn!("WebSocket at {address}: {error}; nobody can call")).ok()
        });
        let by_tls = configuration.websocket.is_some_and(|(_, tls)| tls);
        let callers =
            credential::anchors(if has_callers(configuration) { &configuration.credentials } else { &[] });
        let tls = by_tls.then(|| Secure::new(own.clone(), callers));
        Self { local, web, tls, openings: Vec::new() }
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let doors = self.local.iter().map(AsFd::as_fd).chain(self.web.iter().map(AsFd::as_fd));
        doors.chain(self.openings.iter().map(|one| one.stream.as_fd()))
    }

    /// When somebody has taken too long, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.openings.iter().map(|one| one.until_ms).min()
    }

    /// One turn: who has said by now who he is, controllers and others.
    pub fn turn(&mut self, world: &World, now_ms: u64) -> (Vec<Came>, Vec<Application>) {
        self.accept(now_ms);
        let (mut came, mut applications) = (Vec::new(), Vec::new());
        for mut one in std::mem::take(&mut self.openings) {
            match one.hear(world, now_ms) {
                Ok(Some((Who::Controller(place), carrier))) => {
                    came.push(Came { place, stream: one.stream, carrier });
                }
                Ok(Some((Who::Application(service, endpoint), carrier))) => {
                    applications.push(Application { service, endpoint, stream: one.stream, carrier });
                }
                Ok(None) if now_ms < one.until_ms => self.openings.push(one),
                Ok(None) => {}
                // It fits into an empty queue, or he does not want to hear it.
                Err(last) => drop(one.stream.put(&last, now_ms)),
            }
        }
        (came, applications)
    }

    fn accept(&mut self, now_ms: u64) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Ok((socket, _))) = self.local.as_ref().map(UnixListener::accept) else { break };
            let uid = sys::seqpacket::peer_uid(socket.as_fd()).ok();
            self.admit(Stream::of(Socket::Unix(socket)), uid, now_ms);
        }
        for _ in 0..ACCEPTS_A_TURN {
            let Some(Ok((socket, _))) = self.web.as_ref().map(TcpListener::accept) else { break };
            let socket = Socket::Tcp(socket);
            let stream = match self.tls.as_mut().map(Secure::config) {
                Some(Some(config)) => Stream::called(socket, &config),
                Some(None) => continue, // the log says why
                None => Stream::of(socket),
            };
            self.admit(stream, None, now_ms);
        }
    }

    fn admit(&mut self, stream: Result<Stream, Gone>, uid: Option<u32>, now_ms: u64) {
        // By his own uid on the box, by all together outside.
        let of_one = self.openings.iter().filter(|one| one.uid == uid).count();
        if of_one >= OPENING_MAX {
            // The eldest goes: whoever wants to keep others out has to be quicker than they are, again and again.
            let eldest = self.openings.iter().position(|one| one.uid == uid);
            eldest.map(|place| self.openings.remove(place));
        }
        let Ok(stream) = stream else { return };
        let until_ms = now_ms.saturating_add(OPENING_MS);
        self.openings.push(Opening { stream, uid, input: Vec::new(), until_ms });
    }
}

impl Opening {
    /// Reads, and looks who it is. On an error: what he is told last.
    fn hear(&mut self, world: &World, now_ms: u64) -> Result<Option<(Who, Carrier)>, Vec<u8>> {
        self.input.extend(self.stream.read().map_err(|_| Vec::new())?);
        match self.uid {
            Some(uid) => self.handshake(world, uid),
            None => self.upgrade(world, now_ms),
        }
    }

    fn handshake(&mut self, world: &World, uid: u32) -> Result<Option<(Who, Carrier)>, Vec<u8>> {
        let error = |words: String| frame::write(&Value::Error(words));
        let endpoint = loop {
            let found =
                frame::read(&self.input, HANDSHAKE_BYTES_MAX).map_err(|fault| error(fault.to_string()))?;
            let Some((values, length)) = found else { return Ok(None) };
            self.input.drain(..length);
            let first = values.into_iter().find(|value| !matches!(value, Value::Record(_)));
            match first {
                Some(Value::Handshake(endpoint)) => break endpoint,
                Some(Value::Error(_)) => return Err(Vec::new()), // R-UDS.25
                Some(Value::Record(_)) | None => {}              // too early: it is ignored (R-UDS.20)
            }
        };
        let controllers = world.configuration.controllers.iter();
        let place = controllers.into_iter().position(|one| {
            let is_his = matches!(&one.transport, Transport::Local(caller) if is(caller, uid, world));
            is_his && one.endpoint == endpoint
        });
        let who = place.map(Who::Controller).or_else(|| application(world, uid, &endpoint));
        let who = who.ok_or_else(|| error(format!("{endpoint}: this is not who you are here")))?;
        let rest = std::mem::take(&mut self.input);
        Ok(Some((who, Carrier::Frames(Frames::begin(&world.endpoint, rest)))))
    }

    fn upgrade(&mut self, world: &World, now_ms: u64) -> Result<Option<(Who, Carrier)>, Vec<u8>> {
        let Some(request) = handshake::read(&self.input).map_err(handshake::refusal)? else {
            return Ok(None);
        };
        let mut controllers = world.configuration.controllers.iter();
        let found = controllers.position(|one| {
            let Transport::Accepted(accepted) = &one.transport else { return false };
            let known = request.endpoint.as_ref().is_none_or(|endpoint| *endpoint == one.endpoint);
            let proves = |stream: &mut Stream| match &accepted.credentials {
                Some((name, word)) => {
                    let wanted = handshake::basic((name, word));
                    let said = request.authorization.as_deref().unwrap_or_default();
                    // Without a way to tell by the time how much of it was right.
                    same(wanted.as_bytes(), said.as_bytes())
                }
                None => {
                    let credentials = world.configuration.credentials.clone();
                    let endpoint = one.endpoint.clone();
                    let wanted = Wanted::new(endpoint, Kind::Stranger, None, credentials);
                    wanted.and_then(|wanted| stream.prove(&wanted)).is_ok()
                }
            };
            known && accepted.path == request.path && proves(&mut self.stream)
        });
        let place = found.ok_or_else(|| handshake::refusal("401 Unauthorized\r\nWWW-Authenticate: Basic"))?;
        let keep_alive_s = match world.configuration.controllers.get(place).map(|one| &one.transport) {
            Some(Transport::Accepted(accepted)) => accepted.keep_alive_s,
            Some(Transport::Mqtt(_) | Transport::WebSocket(_) | Transport::Local(_)) | None => 60,
        };
        let rest = self.input.split_off(request.length);
        let ours = request.is_extended.then_some(world.endpoint.as_str());
        let answer = handshake::answer(&request.key, ours);
        let session = websocket::Session::take(answer, rest, keep_alive_s, now_ms);
        Ok(Some((Who::Controller(place), Carrier::Web(session))))
    }
}

/// Is there a controller that calls and shows a certificate?
fn has_callers(configuration: &Configuration) -> bool {
    let mut all = configuration.controllers.iter();
    all.any(|one| matches!(&one.transport, Transport::Accepted(one) if one.credentials.is_none()))
}

/// Is this his uid?
fn is(caller: &Caller, uid: u32, world: &World) -> bool {
    match caller {
        Caller::Root => uid == 0,
        Caller::Service(name) => is_in(name, uid, world),
        Caller::Granted(name) => is_in(name, uid, world),
        Caller::Nobody => false,
    }
}

/// Is this a uid of the service's?
fn is_in(service: &str, uid: u32, world: &World) -> bool {
    world.facts.processes.iter().any(|process| process.name.as_str() == service && is_of(process, uid))
}

/// Is this one of the service's uids?
fn is_of(process: &Process, uid: u32) -> bool {
    process.uid_base.and_then(|base| uid.checked_sub(base)).is_some_and(|place| place < TENANT_UID_COUNT)
}

/// A service that is no controller by this name, and takes nobody's: not a controller's, not ours, not another service's (R-ARC.1), and none
/// that a service may have as a controller some day.
fn application(world: &World, uid: u32, endpoint: &str) -> Option<Who> {
    let process = world.facts.processes.iter().find(|process| is_of(process, uid))?;
    let is_name = endpoint.contains("::") && endpoint.bytes().all(|byte| byte.is_ascii_graphic());
    let controllers = world.configuration.controllers.iter().map(|one| one.endpoint.as_str());
    let others = world.brought.iter().filter(|one| one.service != process.name);
    let taken = controllers.chain(others.map(|one| one.endpoint.as_str()));
    let is_reserved = endpoint == world.endpoint || endpoint.starts_with(roles::ENDPOINT);
    let is_free = !is_reserved && taken.into_iter().all(|other| other != endpoint);
    (is_name && is_free).then(|| Who::Application(process.name.clone(), endpoint.to_owned()))
}

fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other));
    one.len() == other.len() && differ == 0
}
