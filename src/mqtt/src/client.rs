//! A client of one broker: a pure machine between bytes and records.
//!
//! In:  a connection that stands, bytes of it, the time. Out: bytes for it, [`News`].
//!
//! ```text
//! connected ── CONNECT ──▶ greeting ── CONNACK 0 ── SUBSCRIBE ──▶ subscribing ── SUBACK ──▶ ready
//! ```
//! Nothing is published before a topic was granted (R-MQTT.17). A broker that is silent for one and a half keep-alive times is gone.
//! Messages go with QoS 1, or 0 where the broker takes no more, as many at a time as it takes (`outbox.rs`).
//!
//! Source: TR-369 §4.6 (MQTT binding).

use std::fmt;

use crate::counts::Counts;
pub use crate::outbox::ANSWER_S;
use crate::outbox::{Outbox, Waiting};
use crate::packet::{self, Hello, Packet, Version};

/// How long CONNECT and SUBSCRIBE may take, in milliseconds.
const GREETING_MS: u64 = 10_000;
/// Topics of one client.
const TOPICS_MAX: usize = 8;

/// Why a connection is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gone {
    /// The broker does not let us in.
    Refused(u8),
    /// No topic was granted.
    NoTopic,
    /// It says goodbye.
    Goodbye(u8),
    /// It is silent.
    Silent,
    /// It does not acknowledge what we publish.
    Unanswered,
    /// It speaks nonsense.
    Packet(packet::Error),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "the broker refuses us: {} ({reason})", refusal(*reason)),
            Self::NoTopic => write!(f, "the broker grants no topic"),
            Self::Goodbye(reason) => write!(f, "the broker says goodbye ({reason})"),
            Self::Silent => write!(f, "the broker is silent"),
            Self::Unanswered => write!(f, "the broker acknowledged nothing for {ANSWER_S} s"),
            Self::Packet(error) => write!(f, "{error}"),
        }
    }
}

/// A reason of the broker's in words. Source: MQTT 3.1.1 §3.2.2.3, MQTT 5.0 §2.4.
#[must_use]
pub fn refusal(reason: u8) -> &'static str {
    match reason {
        1 | 132 => "another version of MQTT",
        2 | 133 => "the client's name",
        3 | 136 => "not available now",
        4 | 134 => "user or password",
        5 | 135 => "not authorised",
        144 => "the topic's name",
        149 => "the packet is too large",
        151 => "its quota is used up",
        159 => "too many connections",
        _ => "for a reason of its own",
    }
}

/// What came of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// From now on records can be sent.
    Ready,
    /// A record, and where its answer goes, where that was said.
    Record(Vec<u8>, Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Subscribing,
    Ready,
}

/// One life of a connection to a broker.
#[derive(Debug)]
pub struct Client {
    version: Version,
    state: State,
    topics: Vec<String>,
    reply_to: String,
    /// The name that the broker has given us.
    assigned: Option<String>,
    response_information: String,
    input: Vec<u8>,
    out: Vec<u8>,
    outbox: Outbox,
    counts: Counts,
    keep_alive_ms: u64,
    begun_ms: u64,
    heard_ms: u64,
    said_ms: u64,
}

impl Client {
    /// The connection stands: says hello. `topics` are ours; the first is where answers go unless the broker says another.
    #[must_use]
    pub fn begin(hello: &Hello, version: Version, topics: &[String], now_ms: u64) -> Self {
        Self {
            version,
            state: State::Greeting,
            topics: topics.to_vec(),
            reply_to: topics.first().cloned().unwrap_or_default(),
            assigned: None,
            response_information: String::new(),
            input: Vec::new(),
            out: packet::connect(hello, version),
            outbox: Outbox::default(),
            counts: Counts { sent: 1, ..Counts::default() },
            keep_alive_ms: u64::from(hello.keep_alive_s) * 1000,
            begun_ms: now_ms,
            heard_ms: now_ms,
            said_ms: now_ms,
        }
    }

    /// The same, and it goes on counting after these.
    #[must_use]
    pub fn after(mut self, counts: Counts) -> Self {
        self.counts = Counts { sent: counts.sent.saturating_add(1), ..counts };
        self
    }

    /// What was said and heard.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts from nothing; since when it is connected is still known.
    pub fn forget_counts(&mut self) {
        self.counts = Counts { connected_ms: self.counts.connected_ms, ..Counts::default() };
    }

    /// A packet for the broker.
    fn say(&mut self, packet: &[u8]) {
        self.counts.sent = self.counts.sent.saturating_add(1);
        self.out.extend_from_slice(packet);
    }

    /// Can records be sent?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Where answers to us go.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.reply_to
    }

    /// The name that the broker has given us, if it has.
    #[must_use]
    pub fn assigned(&self) -> Option<&str> {
        self.assigned.as_deref()
    }

    /// The broker's response information; empty: it has said none.
    #[must_use]
    pub fn response_information(&self) -> &str {
        &self.response_information
    }

    /// Sends `record` to `topic`, now or when there is room; `false`: too many wait, and it is forgotten.
    pub fn send(&mut self, topic: &str, record: Vec<u8>) -> bool {
        self.wait(Waiting { topic: topic.to_owned(), payload: record, kind: None })
    }

    /// The same with bytes of the media type `kind` that are no record: no answer is wanted.
    pub fn publish(&mut self, topic: &str, kind: &str, payload: Vec<u8>) -> bool {
        self.wait(Waiting { topic: topic.to_owned(), payload, kind: Some(kind.to_owned()) })
    }

    /// How many bytes of a message to `topic` the broker takes, as it has said.
    #[must_use]
    pub fn room(&self, topic: &str) -> usize {
        self.outbox.room(topic, &self.reply_to)
    }

    /// Why the last message that the broker did not take on this connection was not: a reason as [`refusal`] knows them.
    #[must_use]
    pub fn refused(&self) -> Option<u8> {
        self.outbox.refused()
    }

    fn wait(&mut self, one: Waiting) -> bool {
        let waits = self.outbox.wait(one);
        if waits {
            self.push()
        } else {
            self.count_error()
        }
        waits
    }

    fn count_error(&mut self) {
        self.counts.publish_errors = self.counts.publish_errors.saturating_add(1);
    }

    fn push(&mut self) {
        while self.state == State::Ready
            && let Some(packet) = self.outbox.next(&self.reply_to, self.version)
        {
            match packet {
                Ok(packet) => {
                    self.counts.publish_sent = self.counts.publish_sent.saturating_add(1);
                    self.say(&packet);
                }
                Err(()) => self.count_error(),
            }
        }
    }

    /// Bytes for the broker; they are taken away.
    pub fn take_out(&mut self, now_ms: u64) -> Vec<u8> {
        if !self.out.is_empty() {
            self.said_ms = now_ms;
        }
        if self.outbox.written(now_ms) {
            self.counts.publish_sent_ms = Some(now_ms);
        }
        std::mem::take(&mut self.out)
    }

    /// When it has to be looked at again, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        if self.state != State::Ready {
            return self.begun_ms.saturating_add(GREETING_MS);
        }
        let ping = self.said_ms.max(self.heard_ms.min(self.said_ms)).saturating_add(self.keep_alive_ms / 2);
        ping.min(self.silent_at()).min(self.outbox.unanswered_at())
    }

    fn silent_at(&self) -> u64 {
        self.heard_ms.saturating_add(self.keep_alive_ms.saturating_mul(3) / 2)
    }

    /// Has the broker say that it is there.
    pub fn ping(&mut self) {
        if self.is_ready() {
            self.say(&packet::ping());
        }
    }

    /// The time has come, perhaps.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn tick(&mut self, now_ms: u64) -> Result<(), Gone> {
        if self.state != State::Ready {
            let late = now_ms >= self.begun_ms.saturating_add(GREETING_MS);
            return if late { Err(Gone::Silent) } else { Ok(()) };
        }
        if now_ms >= self.silent_at() {
            return Err(Gone::Silent);
        }
        if now_ms >= self.outbox.unanswered_at() {
            return Err(Gone::Unanswered);
        }
        if now_ms >= self.said_ms.saturating_add(self.keep_alive_ms / 2) {
            self.say(&packet::ping());
        }
        Ok(())
    }

    /// Takes bytes of the broker's.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn hear(&mut self, bytes: &[u8], now_ms: u64) -> Result<Vec<News>, Gone> {
        self.input.extend_from_slice(bytes);
        let mut news = Vec::new();
        let mut taken = 0;
        while let Some((packet, size)) =
            packet::read(self.input.get(taken..).unwrap_or_default(), self.version).map_err(Gone::Packet)?
        {
            taken = taken.saturating_add(size);
            self.heard_ms = now_ms;
            self.counts.received = self.counts.received.saturating_add(1);
            news.extend(self.take(packet)?);
        }
        self.input.drain(..taken);
        Ok(news)
    }

    fn take(&mut self, packet: Packet) -> Result<Option<News>, Gone> {
        match (packet, self.state) {
            (Packet::ConnAck { reason: 0, properties }, State::Greeting) => {
                self.welcome(properties)?;
                Ok(None)
            }
            (Packet::ConnAck { reason, .. }, State::Greeting) => Err(Gone::Refused(reason)),
            (Packet::SubAck { reasons, .. }, State::Subscribing) => {
                if reasons.iter().all(|reason| *reason >= 128) {
                    return Err(self.goodbye());
                }
                self.state = State::Ready;
                self.push();
                Ok(Some(News::Ready))
            }
            (Packet::Publish { topic, id, properties, payload }, State::Subscribing | State::Ready) => {
                self.counts.publish_received = self.counts.publish_received.saturating_add(1);
                self.counts.publish_received_ms = Some(self.heard_ms);
                if let Some(id) = id {
                    self.say(&packet::puback(id));
                }
                let reply = properties.response_topic.or_else(|| packet::reply_to(&topic));
                // A topic with a wildcard is none to publish to: the broker would hang up.
                let reply = reply.filter(|reply| !reply.is_empty() && !reply.contains(['+', '#']));
                Ok(Some(News::Record(payload, reply)))
            }
            (Packet::PubAck { id, reason }, _) => {
                if reason >= 128 {
                    self.count_error();
                }
                self.outbox.acknowledged(id, reason);
                self.push();
                Ok(None)
            }
            (Packet::Disconnect { reason }, _) => Err(Gone::Goodbye(reason)),
            (Packet::PingResp, _) => Ok(None),
            (Packet::ConnAck { .. } | Packet::SubAck { .. } | Packet::Publish { .. }, _) => {
                Err(Gone::Packet(packet::Error::Malformed))
            }
        }
    }

    /// We go: after what was sent, DISCONNECT (R-MQTT.35). What still waits for its turn is not sent any more.
    pub fn leave(&mut self) {
        if self.is_ready() {
            self.say(&packet::disconnect());
        }
    }

    /// Without a topic there is no use in it (R-MQTT.16): the broker is told.
    fn goodbye(&mut self) -> Gone {
        self.say(&packet::disconnect());
        Gone::NoTopic
    }

    /// What a broker says of itself when it lets us in (R-MQTT.9, .15, .21).
    fn welcome(&mut self, properties: packet::Properties) -> Result<(), Gone> {
        self.counts.connected_ms = Some(self.heard_ms);
        self.outbox.limit(&properties);
        self.assigned = properties.assigned_client;
        if let Some(seconds) = properties.keep_alive_s.filter(|seconds| *seconds > 0) {
            self.keep_alive_ms = u64::from(seconds) * 1000;
        }
        let topics = properties.user.into_iter().filter(|(name, _)| name == "subscribe-topic");
        self.topics.extend(topics.map(|(_, topic)| topic));
        if let Some(topic) = properties.response_information {
            self.reply_to.clone_from(&topic);
            self.response_information.clone_from(&topic);
            self.topics.push(topic);
        }
        // What the broker does not know ends the connection (MQTT 5.0 §3.2.2.3.11, §3.2.2.3.13).
        let knows = |said: Option<u8>| said.is_none_or(|said| said > 0);
        let (wildcards, shares) = (knows(properties.wildcards), knows(properties.shares));
        self.topics.retain(|topic| {
            (wildcards || !topic.contains(['+', '#'])) && (shares || !topic.starts_with("$share/"))
        });
        self.topics.sort();
        self.topics.dedup();
        self.topics.truncate(TOPICS_MAX);
        if self.topics.is_empty() {
            return Err(self.goodbye());
        }
        if !self.topics.contains(&self.reply_to) {
            self.reply_to = self.topics.first().cloned().unwrap_or_default();
        }
        let id = self.outbox.id();
        self.counts.subscribe_sent = self.counts.subscribe_sent.saturating_add(1);
        let packet = packet::subscribe(id, (&self.topics, self.outbox.qos()), self.version);
        self.say(&packet);
        self.state = State::Subscribing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, Gone, News};
    use crate::outbox::{WAITING_MAX, WINDOW};
    use crate::packet::{self, Hello, Version};

    fn client() -> Client {
        let hello = Hello { keep_alive_s: 60, ..Hello::default() };
        Client::begin(&hello, Version::V5, &["us".to_owned()], 0)
    }

    // Shows R-MTP.6.
    #[test]
    fn a_life_from_hello_to_a_record() {
        let mut client = client();
        assert!(client.send("them", b"early".to_vec()));
        client.take_out(0);
        assert_eq!(client.hear(&[0x20, 3, 0, 0, 0], 1), Ok(Vec::new()));
        assert_eq!(client.take_out(1).first(), Some(&0x82), "it subscribes");
        assert_eq!(client.hear(&[0x90, 4, 0, 1, 0, 1], 2), Ok(vec![News::Ready]));
        assert_eq!(client.take_out(2).first(), Some(&0x32), "and only now it publishes");
        let sent = packet::publish(Some(9), "us", "back", b"record", Version::V5);
        let (head, tail) = sent.split_at(5);
        assert_eq!(client.hear(head, 3), Ok(Vec::new()));
        let record = News::Record(b"record".to_vec(), Some("back".to_owned()));
        assert_eq!(client.hear(tail, 3), Ok(vec![record]));
        assert_eq!(client.take_out(3), packet::puback(9));
    }

    // Shows R-MQTT.17.
    #[test]
    fn a_life_may_end() {
        let table: &[(&str, &[u8], Gone)] = &[
            ("refused", &[0x20, 3, 0, 134, 0], Gone::Refused(134)),
            ("nonsense", &[0x10, 0], Gone::Packet(packet::Error::Kind(1))),
            ("out of turn", &[0x90, 4, 0, 1, 0, 1], Gone::Packet(packet::Error::Malformed)),
            ("no topic", &[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 0x87], Gone::NoTopic),
            ("goodbye", &[0xe0, 1, 0x8b], Gone::Goodbye(0x8b)),
        ];
        for (name, bytes, gone) in table {
            assert_eq!(client().hear(bytes, 1), Err(gone.clone()), "{name}");
        }
        assert_eq!(client().tick(10_000), Err(Gone::Silent));
    }

    /// Source: MQTT 5.0 §3.2.2.3.4, §3.2.2.3.11, §3.2.2.3.13.
    #[test]
    fn nothing_is_asked_for_that_the_broker_does_not_have() {
        let topics = ["$share/all/us", "us", "us/#"].map(str::to_owned);
        for (name, properties, left, qos) in [
            ("it says nothing", &[][..], 0..3, 1),
            ("all of it", &[0x24, 1, 0x28, 1, 0x2a, 1], 0..3, 1),
            ("no wildcards", &[0x28, 0], 0..2, 1),
            ("nothing shared", &[0x2a, 0], 1..3, 1),
            ("QoS 0, neither of both", &[0x24, 0, 0x28, 0, 0x2a, 0], 1..2, 0),
        ] {
            let mut client = Client::begin(&Hello::default(), Version::V5, &topics, 0);
            client.take_out(0);
            let size = u8::try_from(properties.len()).unwrap();
            client.hear(&[&[0x20, size + 3, 0, 0, size], properties].concat(), 1).unwrap();
            let want = packet::subscribe(1, (&topics[left], qos), Version::V5);
            assert_eq!(client.take_out(1), want, "{name}");
        }
        let mut client = Client::begin(&Hello::default(), Version::V5, &topics[2..], 0);
        assert_eq!(client.hear(&[0x20, 5, 0, 0, 2, 0x28, 0], 1), Err(Gone::NoTopic), "no topic is left");
    }

    #[test]
    fn who_acknowledges_nothing_is_gone() {
        let mut client = client();
        client.hear(&[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 1], 1).unwrap();
        assert!(client.send("them", b"first".to_vec()) && client.send("them", b"second".to_vec()));
        client.take_out(1_000);
        // It says all the time that it is there, and acknowledges the first one.
        client.hear(&[0xd0, 0, 0x40, 2, 0, 2], 50_000).unwrap();
        client.ping();
        client.take_out(50_000);
        assert_eq!((client.due_ms(), client.tick(60_999)), (61_000, Ok(())));
        assert_eq!(client.tick(61_000), Err(Gone::Unanswered));
        client.hear(&[0x40, 2, 0, 3], 61_000).unwrap();
        assert_eq!(client.tick(61_000), Ok(()), "both are acknowledged");
    }

    #[test]
    fn who_takes_nothing_holds_little() {
        let mut client = client();
        client.hear(&[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 1], 1).unwrap();
        let sent = (0..100).filter(|_| client.send("them", b"news".to_vec())).count();
        assert_eq!(sent, WINDOW + WAITING_MAX);
        assert_eq!(client.tick(1 + 30_000), Ok(()));
        client.take_out(1 + 30_000);
        assert_eq!(client.tick(1 + 90_000), Err(Gone::Silent));
    }
}
