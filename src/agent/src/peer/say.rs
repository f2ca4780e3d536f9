//! What a controller is told: messages in records, that we are there, that a session is over.

use std::os::fd::{AsFd, BorrowedFd};

use log::warn;
use mqtt::packet::Version;
use usp::message::ErrorBody;
use usp::record::{Disconnect, Empty, Kind, MqttConnect, MqttVersion, NoSessionContext};
use usp::{Code, GATEWAY, Msg, Record, outline, session};

use super::{Line, Peer, Way};
use crate::carrier::Carrier;
use crate::configuration::transport::Transport;
use crate::fault::Fault;
use crate::settings::Said;

impl Peer {
    /// Says that we are there (R-MTP.6).
    pub(super) fn greet(&mut self) {
        let Line::Up(_, carrier) = &self.line else { return };
        let connect = match &self.configured.transport {
            Transport::Mqtt(broker) => {
                let version = match broker.version {
                    Version::V5 => MqttVersion::V5,
                    Version::V311 => MqttVersion::V3_1_1,
                };
                let subscribed_topic = carrier.topic().to_owned().into();
                Kind::MqttConnect(MqttConnect { version, subscribed_topic })
            }
            Transport::WebSocket(_) | Transport::Accepted(_) => Kind::WebSocketConnect(Empty::default()),
            Transport::Local(_) => Kind::UdsConnect(Empty::default()),
        };
        self.put(connect, &self.usual());
    }

    pub(super) fn usual(&self) -> Way {
        Way { in_session: self.session.is_some(), version: self.version, topic: None }
    }

    pub(super) fn disconnect(&mut self, code: Code, topic: Option<&str>) {
        let record = Disconnect { reason: code.words().into(), reason_code: code.number() };
        let way = Way { in_session: false, version: self.version, topic: topic.map(str::to_owned) };
        self.put(Kind::Disconnect(record), &way);
        self.session = None;
        self.trial = None;
        self.greet(); // R-MTP.8
    }

    /// We go: the controller hears it (R-MTP.7), and so does what is between us.
    pub fn leave(&mut self, now_ms: u64) {
        self.farewell("the agent ends", now_ms);
    }

    /// The connection ends in good order, and is made anew at once. One that does not stand is tried at once.
    pub fn reconnect(&mut self, now_ms: u64) {
        if self.is_up() {
            self.farewell("the connection is made anew", now_ms);
            self.drain(); // what is unread when it is closed would take our last words with it
            self.traffic = self.traffic();
            self.session = None;
            self.trial = None;
            self.waiting.clear();
            self.fault = Some(Fault::NotYet);
            self.line = self.down(now_ms);
        }
        self.hurry();
    }

    fn farewell(&mut self, why: &'static str, now_ms: u64) {
        let way = Way { in_session: false, version: self.version, topic: None };
        // No code: nothing is wrong.
        self.put(Kind::Disconnect(Disconnect { reason: why.into(), reason_code: 0 }), &way);
        if let Line::Up(_, carrier) = &mut self.line {
            carrier.leave();
        }
        self.push(now_ms);
    }

    /// Its other end closes when it has heard that we go; on the box it does not, and need not: there nothing is lost.
    pub fn leaving(&self) -> Option<BorrowedFd<'_>> {
        match &self.line {
            Line::Up(_, carrier) if matches!(**carrier, Carrier::Frames(_)) => None,
            Line::Up(stream, _) => Some(stream.as_fd()),
            Line::Down(_) | Line::Dialling(_) | Line::Awaited => None,
        }
    }

    /// What comes is not looked at any more.
    pub fn drain(&mut self) {
        if let Line::Up(stream, _) = &mut self.line
            && stream.write().and_then(|()| stream.read()).is_err()
        {
            self.line = Line::Awaited;
        }
    }

    /// Ends a session, where there is one; the connection stays (R-E2E.6b).
    pub fn end_session(&mut self, now_ms: u64) {
        if self.session.is_some() {
            self.disconnect(Code::SESSION_TERMINATED, None);
            self.push(now_ms);
        }
    }

    /// Sends an answer the way that its question came.
    pub fn answer(&mut self, message: Vec<u8>, way: &Way, said: &Said) {
        let room = self.room(way);
        // In a session it goes in pieces, unless the broker takes none that is long enough.
        let is_cut = way.in_session && self.session.is_some() && room >= session::PIECE_BYTES_MIN;
        let message =
            if message.len() > room && !is_cut { too_long(&message).unwrap_or(message) } else { message };
        let Some(session) = self.session.as_mut().filter(|_| way.in_session) else {
            self.put(Kind::NoSession(NoSessionContext { payload: message.into() }), way);
            return;
        };
        let piece_bytes = match usize::try_from(said.record_bytes) {
            Ok(0) | Err(_) => session::WHOLE_BYTES_MAX,
            Ok(bytes) => bytes,
        };
        for piece in session.send(&message, piece_bytes.min(room)) {
            self.put(Kind::Session(piece), way);
        }
    }

    /// How many bytes of a message the other end takes in one record.
    fn room(&self, way: &Way) -> usize {
        // Numbers and lengths of a record, those of its session, too.
        const AROUND: usize = 96;
        let Line::Up(_, carrier) = &self.line else { return usize::MAX };
        let names = self.endpoint.len().saturating_add(self.configured.endpoint.len());
        carrier.room(self.topic(way)).saturating_sub(names.saturating_add(AROUND))
    }

    fn topic<'a>(&'a self, way: &'a Way) -> &'a str {
        way.topic.as_deref().unwrap_or(match &self.configured.transport {
            Transport::Mqtt(broker) => broker.topic.as_str(),
            Transport::WebSocket(_) | Transport::Accepted(_) | Transport::Local(_) => "",
        })
    }

    /// Publishes bytes of the media type `kind` that are no record, where a broker is between us.
    pub fn publish(&mut self, topic: &str, (kind, bytes): (&str, Vec<u8>)) {
        let Line::Up(_, carrier) = &mut self.line else { return };
        if !carrier.publish(topic, (kind, bytes)) {
            warn!("{}: the broker takes no report", self.configured.endpoint);
        }
    }

    /// Sends news.
    pub fn tell(&mut self, message: Vec<u8>, said: &Said) {
        let way = self.usual();
        self.answer(message, &way, said);
    }

    pub(super) fn put(&mut self, kind: Kind<'_>, way: &Way) {
        if self.configured.endpoint == self.endpoint {
            return; // R-ARC.2
        }
        let record = Record {
            version: way.version.into(),
            to_id: self.configured.endpoint.as_str().into(),
            from_id: self.endpoint.as_str().into(),
            kind: Some(kind),
            ..Record::default()
        };
        let bytes = record.encode();
        let topic = self.topic(way).to_owned();
        let Line::Up(_, carrier) = &mut self.line else { return };
        if !carrier.send(&topic, bytes) {
            warn!("{}: the other end takes nothing; a message is forgotten", self.configured.endpoint);
        }
    }
}

/// In place of an answer that the other end's broker would not take: that there is one. `None`: `message` is no answer.
fn too_long(message: &[u8]) -> Option<Vec<u8>> {
    let (id, is_request) = outline::message(message, &GATEWAY)?;
    if is_request {
        return None;
    }
    let words = format!("the answer has {} bytes, more than the broker takes", message.len());
    let err_code = Code::RESOURCES_EXCEEDED.number();
    Some(Msg::error(id, ErrorBody { err_code, err_msg: words.into(), ..ErrorBody::default() }).encode())
}
