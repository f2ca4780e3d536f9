//! What carries records over a connection: MQTT, WebSocket, frames on a Unix socket. Each is a pure machine; here they are one.
//!
//! In:  bytes of a connection, the time, records. Out: bytes for it, records, [`News`].
//!
//! Not here: the connection itself (`stream.rs`), who is at its other end (`peer.rs`, `doors.rs`).

use usp::frame::{self, Value};

use crate::fault::Fault;
use crate::websocket;

/// A frame of a Unix socket: a record, and what is around it.
const FRAME_BYTES_MAX: usize = 256 * 1024 + 1024;
/// What waits to be sent, in bytes.
const OUT_BYTES_MAX: usize = 1024 * 1024;

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// From now on records can be sent.
    Ready,
    /// A record, and where its answer goes, where that was said.
    Record(Vec<u8>, Option<String>),
}

/// One of them.
#[derive(Debug)]
pub enum Carrier {
    /// A broker is between us.
    Mqtt(Box<mqtt::client::Client>),
    /// WebSocket.
    Web(websocket::Session),
    /// Frames: the handshake is behind us.
    Frames(Frames),
}

/// Frames on a Unix socket.
#[derive(Debug, Default)]
pub struct Frames {
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Frames {
    /// After the handshake, which `doors.rs` has read; ours is the first that goes. `rest` came behind it.
    #[must_use]
    pub fn begin(endpoint: &str, rest: Vec<u8>) -> Self {
        Self { input: rest, out: frame::write(&Value::Handshake(endpoint.to_owned())) }
    }

    fn send(&mut self, record: Vec<u8>) -> bool {
        let fits = self.out.len().saturating_add(record.len()) <= OUT_BYTES_MAX;
        if fits {
            self.out.extend(frame::write(&Value::Record(record)));
        }
        fits
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Vec<News>, Fault> {
        self.input.extend_from_slice(bytes);
        let (mut news, mut taken) = (Vec::new(), 0);
        loop {
            let rest = self.input.get(taken..).unwrap_or_default();
            let (values, length) = match frame::read(rest, FRAME_BYTES_MAX) {
                Ok(None) => break,
                Ok(Some(found)) => found,
                Err(fault) => {
                    self.out.extend(frame::write(&Value::Error(fault.to_string())));
                    return Err(Fault::Nonsense(fault.to_string())); // R-UDS.24
                }
            };
            taken = taken.saturating_add(length);
            for value in values {
                match value {
                    Value::Record(record) => news.push(News::Record(record, None)),
                    Value::Error(words) => return Err(Fault::Gone(format!("it says: {words}"))), // R-UDS.25
                    Value::Handshake(_) => {} // a second one is ignored (R-UDS.19)
                }
            }
        }
        self.input.drain(..taken);
        Ok(news)
    }
}

impl Carrier {
    /// Can records be sent?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Mqtt(client) => client.is_ready(),
            Self::Web(session) => session.is_ready(),
            Self::Frames(_) => true,
        }
    }

    /// Where answers to us go, where there is a word for it.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            Self::Mqtt(client) => client.topic(),
            Self::Web(_) | Self::Frames(_) => "",
        }
    }

    /// Where answers to us go, in a broker's own words.
    #[must_use]
    pub fn response_information(&self) -> &str {
        match self {
            Self::Mqtt(client) => client.response_information(),
            Self::Web(_) | Self::Frames(_) => "",
        }
    }

    /// The name that a broker has given us.
    #[must_use]
    pub fn assigned(&self) -> Option<&str> {
        match self {
            Self::Mqtt(client) => client.assigned(),
            Self::Web(_) | Self::Frames(_) => None,
        }
    }

    /// Sends a record, with MQTT to `topic`; `false`: too much waits, and it is forgotten.
    pub fn send(&mut self, topic: &str, record: Vec<u8>) -> bool {
        match self {
            Self::Mqtt(client) => {
                record.len() <= mqtt::packet::PACKET_BYTES_MAX && client.send(topic, record)
            }
            Self::Web(session) => session.send(&record),
            Self::Frames(frames) => frames.send(record),
        }
    }

    /// How many bytes of a record the other end takes, with MQTT to `topic`.
    #[must_use]
    pub fn room(&self, topic: &str) -> usize {
        match self {
            Self::Mqtt(client) => client.room(topic),
            Self::Web(_) | Self::Frames(_) => usize::MAX, // neither says
        }
    }

    /// Why the last message that a broker did not take on this connection was not.
    #[must_use]
    pub fn refused(&self) -> Option<u8> {
        match self {
            Self::Mqtt(client) => client.refused(),
            Self::Web(_) | Self::Frames(_) => None,
        }
    }

    /// Has the other end say that it is there; on the box the kernel says it.
    pub fn ping(&mut self) {
        match self {
            Self::Mqtt(client) => client.ping(),
            Self::Web(session) => session.ping(),
            Self::Frames(_) => {}
        }
    }

    /// We go, and the other end hears it, where its protocol has a word for that; nothing is sent after.
    pub fn leave(&mut self) {
        match self {
            Self::Mqtt(client) => client.leave(),
            Self::Web(session) => session.close(1001), // RFC 6455 §7.4.1: going away
            Self::Frames(_) => {}
        }
    }

    /// Publishes bytes of the media type `kind` that are no record; `false`: it is no broker, or takes nothing.
    pub fn publish(&mut self, topic: &str, (kind, bytes): (&str, Vec<u8>)) -> bool {
        match self {
            Self::Mqtt(client) => client.publish(topic, kind, bytes),
            Self::Web(_) | Self::Frames(_) => false,
        }
    }

    /// Takes bytes of the other end's, and looks at the time.
    ///
    /// # Errors
    /// Why it is over. What [`Carrier::take_out`] has then is still for the other end.
    pub fn hear(&mut self, bytes: &[u8], now_ms: u64) -> Result<Vec<News>, Fault> {
        match self {
            Self::Mqtt(client) => {
                let news = client.hear(bytes, now_ms).map_err(Fault::from)?;
                client.tick(now_ms).map_err(Fault::from)?;
                let one = |news| match news {
                    mqtt::client::News::Ready => News::Ready,
                    mqtt::client::News::Record(record, topic) => News::Record(record, topic),
                };
                Ok(news.into_iter().map(one).collect())
            }
            Self::Web(session) => {
                let news = session.hear(bytes, now_ms).map_err(Fault::from)?;
                session.tick(now_ms).map_err(Fault::from)?;
                let one = |news| match news {
                    websocket::News::Ready => News::Ready,
                    websocket::News::Record(record) => News::Record(record, None),
                };
                Ok(news.into_iter().map(one).collect())
            }
            Self::Frames(frames) => frames.hear(bytes),
        }
    }

    /// What came was no record: the other end is told. Is that the end (R-WS.16, R-UDS.23)?
    pub fn refuse(&mut self, why: &str) -> bool {
        match self {
            Self::Mqtt(_) => false,
            Self::Web(session) => {
                session.close(1003);
                true
            }
            Self::Frames(frames) => {
                frames.out.extend(frame::write(&Value::Error(why.to_owned())));
                true
            }
        }
    }

    /// Bytes for the other end; they are taken away.
    pub fn take_out(&mut self, now_ms: u64) -> Vec<u8> {
        match self {
            Self::Mqtt(client) => client.take_out(now_ms),
            Self::Web(session) => session.take_out(),
            Self::Frames(frames) => std::mem::take(&mut frames.out),
        }
    }

    /// When it has to be looked at again, in milliseconds after boot; `None`: only when bytes come.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        match self {
            Self::Mqtt(client) => Some(client.due_ms()),
            Self::Web(session) => Some(session.due_ms()),
            Self::Frames(_) => None,
        }
    }
}
