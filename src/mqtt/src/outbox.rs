//! Messages of ours: those that wait, and those that are under way.
//!
//! In:  messages, the broker's limits, its acknowledgements, the time. Out: PUBLISH packets, as many at a time as the broker takes.
//!
//! A broker that takes nothing holds no memory of ours: [`WAITING_MAX`] messages of [`WAITING_BYTES_MAX`] bytes wait, [`WINDOW`] are under
//! way. What the broker has said that it does not take is not sent: it would hang up, and all else would go with it. One that takes QoS 0 only
//! acknowledges nothing: then a message has gone when it is written, and what it does not take waits at the connection, which has a limit, too.
//!
//! Source: MQTT 5.0 §3.2.2.3.3 (Receive Maximum), §3.2.2.3.4 (Maximum QoS), §3.2.2.3.6 (Maximum Packet Size), §4.4 (nothing is sent twice on
//! one connection).

use std::collections::VecDeque;

use crate::packet::{self, PACKET_BYTES_MAX, Properties, Version};

/// Messages under way at a time.
pub(crate) const WINDOW: usize = 8;
/// How messages go unless the broker takes less.
const QOS: u8 = 1;
/// Messages that wait.
pub(crate) const WAITING_MAX: usize = 32;
/// Their bytes.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// How long a message may be under way, in seconds. Sent twice on one connection it must not be (MQTT 5.0 §4.4); and a broker that takes no
/// more would hold the window for ever, though it is not silent.
pub const ANSWER_S: u32 = 60;
/// Why a message was not taken that is longer than the broker's packets may be. Source: MQTT 5.0 §2.4.
pub(crate) const TOO_LARGE: u8 = 149;

/// What waits to be published.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// Its media type; `None`: it is a record, and has a way back.
    pub(crate) kind: Option<String>,
}

impl Waiting {
    fn packet(&self, id: Option<u16>, reply_to: &str, version: Version) -> Vec<u8> {
        match &self.kind {
            None => packet::publish(id, &self.topic, reply_to, &self.payload, version),
            Some(kind) => packet::publish_plain(id, &self.topic, (kind, &self.payload), version),
        }
    }
}

/// All of them, on one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    next_id: u16,
    /// Their numbers, and since when each is, in milliseconds after boot; `None`: it waits to be written.
    under_way: Vec<(u16, Option<u64>)>,
    waiting: VecDeque<Waiting>,
    window: usize,
    /// The highest QoS that the broker takes, and we have.
    qos: u8,
    /// Messages with QoS 0 wait to be written.
    fresh: bool,
    packet_bytes_max: usize,
    refused: Option<u8>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            next_id: 1,
            under_way: Vec::new(),
            waiting: VecDeque::new(),
            window: WINDOW,
            qos: QOS,
            fresh: false,
            packet_bytes_max: PACKET_BYTES_MAX,
            refused: None,
        }
    }
}

impl Outbox {
    /// The broker has let us in, and says what it takes.
    pub(crate) fn limit(&mut self, said: &Properties) {
        // None at a time, packets of no bytes and a highest QoS above 1 are errors of the protocol: then our own limits hold.
        self.qos = said.qos_max.unwrap_or(QOS).min(QOS);
        let window = said.receive_max.map(usize::from).filter(|window| *window > 0);
        self.window = window.unwrap_or(WINDOW).min(WINDOW);
        let bytes = said.packet_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        self.packet_bytes_max =
            bytes.filter(|bytes| *bytes > 0).unwrap_or(PACKET_BYTES_MAX).min(PACKET_BYTES_MAX);
    }

    /// The QoS with which messages go, and come.
    pub(crate) fn qos(&self) -> u8 {
        self.qos
    }

    /// How many bytes of a message to this topic the broker takes.
    pub(crate) fn room(&self, topic: &str, reply_to: &str) -> usize {
        // The head, three lengths and a number, the properties and what each is called.
        const AROUND: usize = 32;
        let around = topic.len().saturating_add(reply_to.len()).saturating_add(AROUND);
        self.packet_bytes_max.saturating_sub(around)
    }

    /// A message waits for its turn; `false`: too many do, and it is forgotten.
    pub(crate) fn wait(&mut self, one: Waiting) -> bool {
        let bytes: usize = self.waiting.iter().map(|one| one.payload.len()).sum();
        if self.waiting.len() >= WAITING_MAX || bytes.saturating_add(one.payload.len()) > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting.push_back(one);
        true
    }

    /// The packet of the next message, where the broker takes one more. `Err`: it is too long for this broker, and was not sent.
    pub(crate) fn next(&mut self, reply_to: &str, version: Version) -> Option<Result<Vec<u8>, ()>> {
        if self.under_way.len() >= self.window {
            return None;
        }
        let one = self.waiting.pop_front()?;
        let id = (self.qos > 0).then(|| self.id());
        let packet = one.packet(id, reply_to, version);
        if packet.len() > self.packet_bytes_max {
            self.refused = Some(TOO_LARGE);
            return Some(Err(()));
        }
        self.under_way.extend(id.map(|id| (id, None)));
        self.fresh |= id.is_none();
        Some(Ok(packet))
    }

    /// A number that is not under way, and not 0.
    pub(crate) fn id(&mut self) -> u16 {
        loop {
            let id = self.next_id;
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if self.under_way.iter().all(|(one, _)| *one != id) {
                return id;
            }
        }
    }

    /// What was to be written is. `true`: messages were in it.
    pub(crate) fn written(&mut self, now_ms: u64) -> bool {
        let mut any = std::mem::take(&mut self.fresh);
        for (_, since_ms) in self.under_way.iter_mut().filter(|(_, since_ms)| since_ms.is_none()) {
            *since_ms = Some(now_ms);
            any = true;
        }
        any
    }

    /// The broker has acknowledged one, with this reason; from 128 on it did not take it.
    pub(crate) fn acknowledged(&mut self, id: u16, reason: u8) {
        if reason >= 128 {
            self.refused = Some(reason);
        }
        self.under_way.retain(|(one, _)| *one != id);
    }

    /// Why the last message that the broker did not take was not; `None`: it has taken all.
    pub(crate) fn refused(&self) -> Option<u8> {
        self.refused
    }

    /// When the eldest message has been under way for too long, in milliseconds after boot.
    pub(crate) fn unanswered_at(&self) -> u64 {
        let eldest = self.under_way.iter().filter_map(|(_, since_ms)| *since_ms).min();
        eldest.map_or(u64::MAX, |since_ms| since_ms.saturating_add(u64::from(ANSWER_S) * 1000))
    }
}

#[cfg(test)]
mod tests {
    use crate::client::Client;
    use crate::packet::{self, Hello, Version};

    /// A client that is ready, of a broker whose CONNACK has these properties.
    fn ready(properties: &[u8]) -> Client {
        let mut client = Client::begin(&Hello::default(), Version::V5, &["us".to_owned()], 0);
        client.take_out(0);
        let size = u8::try_from(properties.len()).unwrap();
        let head = [0x20, size + 3, 0, 0, size];
        client.hear(&[&head, properties, &[0x90, 4, 0, 1, 0, 1]].concat(), 1).unwrap();
        client.take_out(1);
        client
    }

    #[test]
    fn no_more_go_at_once_than_the_broker_takes() {
        let one = packet::publish(Some(2), "them", "us", b"news", Version::V5).len();
        for (name, properties, at_once) in [
            ("it says nothing", &[][..], 8),
            ("one", &[0x21, 0, 1], 1),
            ("three", &[0x21, 0, 3], 3),
            ("more than we have", &[0x21, 0xff, 0xff], 8),
            ("none, which it must not say", &[0x21, 0, 0], 8),
        ] {
            let mut client = ready(properties);
            (0..10).for_each(|_| assert!(client.send("them", b"news".to_vec())));
            assert_eq!(client.take_out(2).len(), at_once * one, "{name}");
            client.hear(&[0x40, 2, 0, 2], 3).unwrap();
            assert_eq!(client.take_out(3).len(), one, "{name}: one more for each that has come");
        }
    }

    /// Source: MQTT 5.0 §3.2.2.3.4: a client must not send PUBLISH with a higher QoS.
    #[test]
    fn no_message_goes_with_a_higher_qos_than_the_broker_takes() {
        let with_1 = packet::publish(Some(2), "them", "us", b"news", Version::V5);
        let with_0 = packet::publish(None, "them", "us", b"news", Version::V5);
        assert_eq!((with_1[0], with_0[0], with_1.len() - with_0.len()), (0x32, 0x30, 2), "without a number");
        for (name, properties, want) in [
            ("it says nothing", &[][..], &with_1),
            ("0", &[0x24, 0], &with_0),
            ("1", &[0x24, 1], &with_1),
            ("2, which it must not say", &[0x24, 2], &with_1),
        ] {
            let mut client = ready(properties);
            assert!(client.send("them", b"news".to_vec()));
            assert_eq!(client.take_out(2), *want, "{name}");
            assert_eq!(client.counts().publish_sent_ms, Some(2), "{name}");
        }
        // Nothing is acknowledged, and so nothing is waited for: not by the next message, nor by us.
        let mut client = ready(&[0x24, 0, 0x21, 0, 1, 0x13, 0, 60]);
        (0..20).for_each(|_| assert!(client.send("them", b"news".to_vec())));
        assert_eq!(client.take_out(2).len(), 20 * with_0.len());
        client.hear(&[0xd0, 0], 61_000).unwrap();
        assert_eq!(client.tick(62_002), Ok(()), "it is there, and owes us nothing");
        assert!(client.publish("them", "text/csv", b"1,2".to_vec()));
        assert_eq!(client.take_out(63_000).last_chunk(), Some(b"1,2"));
    }

    #[test]
    fn what_is_too_long_for_the_broker_does_not_end_the_connection() {
        let mut client = ready(&[0x27, 0, 0, 0, 64]);
        assert_eq!(client.room("them"), 26);
        let room = client.room("them");
        client.send("them", vec![0; room]);
        let packet = client.take_out(2);
        assert!(!packet.is_empty() && packet.len() <= 64, "what there is room for goes");
        client.send("them", vec![0; 64]);
        assert_eq!(client.take_out(2), Vec::<u8>::new(), "it is not sent");
        assert_eq!((client.counts().publish_errors, client.refused()), (1, Some(super::TOO_LARGE)));
        client.send("them", b"news".to_vec());
        assert_eq!(client.take_out(2), packet::publish(Some(4), "them", "us", b"news", Version::V5));
    }

    #[test]
    fn what_the_broker_does_not_take_is_known() {
        let mut client = ready(&[]);
        client.send("them", b"news".to_vec());
        client.take_out(2);
        client.hear(&[0x40, 3, 0, 2, 151], 3).unwrap();
        assert_eq!((client.counts().publish_errors, client.refused()), (1, Some(151)));
    }
}
