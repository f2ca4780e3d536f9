//! MQTT packets, as much of them as a client that subscribes and publishes with QoS 0 and 1 needs: 3.1.1 and 5.
//!
//! In:  a broker's bytes. Out: [`Packet`]s; and the bytes of ours.
//!
//! Not here: which packet comes when (`client.rs`), sockets (`stream.rs`).
//!
//! Source: MQTT 3.1.1 and MQTT 5.0 (OASIS), §2 and §3; the sections of both have the same numbers.

use std::fmt;

/// The protocol's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// 3.1.1.
    V311,
    /// 5.0.
    #[default]
    V5,
}

/// Bytes of a packet: a record, and its topic and properties.
pub const PACKET_BYTES_MAX: usize = usp::GATEWAY.bytes + 4 * 1024;
/// Properties of one packet.
const PROPERTIES_MAX: usize = 64;

/// Why bytes are no packet of a broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It ends in the middle of something, or its length is none.
    Malformed,
    /// More than [`PACKET_BYTES_MAX`].
    Long,
    /// A packet that no broker sends.
    Kind(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(f, "MQTT: a packet that is none"),
            Self::Long => write!(f, "MQTT: a packet of more than {PACKET_BYTES_MAX} bytes"),
            Self::Kind(kind) => write!(f, "MQTT: packet {kind}, which no broker sends"),
        }
    }
}

impl std::error::Error for Error {}

/// Properties that mean something here. Source: MQTT 5.0 §2.2.2.2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// 3: what a payload is.
    pub content_type: Option<String>,
    /// 8: where an answer goes.
    pub response_topic: Option<String>,
    /// 18: the client's name, given by the broker.
    pub assigned_client: Option<String>,
    /// 19: how often the broker wants to hear something, in seconds.
    pub keep_alive_s: Option<u16>,
    /// 26: where answers to this client go.
    pub response_information: Option<String>,
    /// 33: how many messages of ours the broker takes at a time.
    pub receive_max: Option<u16>,
    /// 36: the highest QoS of messages that it takes.
    pub qos_max: Option<u8>,
    /// 39: the largest packet that it takes, in bytes.
    pub packet_bytes_max: Option<u32>,
    /// 40: it knows topics with wildcards, where it says 1.
    pub wildcards: Option<u8>,
    /// 42: it knows topics that clients share (`$share/…`), where it says 1.
    pub shares: Option<u8>,
    /// 38: what anybody likes.
    pub user: Vec<(String, String)>,
}

/// What a broker sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// It answers CONNECT; 0: come in.
    ConnAck {
        /// Why not, where it is not 0.
        reason: u8,
        /// With 5.0.
        properties: Properties,
    },
    /// It answers SUBSCRIBE: for each topic below 128 is yes.
    SubAck {
        /// Which one.
        id: u16,
        /// For each topic.
        reasons: Vec<u8>,
    },
    /// A message.
    Publish {
        /// Its topic.
        topic: String,
        /// With QoS 1: it wants to be acknowledged.
        id: Option<u16>,
        /// With 5.0.
        properties: Properties,
        /// The message.
        payload: Vec<u8>,
    },
    /// Our message has come.
    PubAck {
        /// Which one.
        id: u16,
        /// From 128 on: it was not taken.
        reason: u8,
    },
    /// It is there.
    PingResp,
    /// It goes (5.0).
    Disconnect {
        /// Why.
        reason: u8,
    },
}

/// The first packet of `bytes`, and how many it takes; `None`: it is not all there.
///
/// # Errors
/// [`Error`]: the connection is of no use any more.
pub fn read(bytes: &[u8], version: Version) -> Result<Option<(Packet, usize)>, Error> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    let (mut size, mut head) = (0_usize, 1);
    loop {
        let Some(byte) = rest.get(head - 1) else {
            return if head > 4 { Err(Error::Malformed) } else { Ok(None) };
        };
        if head > 4 {
            return Err(Error::Malformed);
        }
        size |= usize::from(byte & 0x7f) << (7 * (head - 1));
        head += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if size > PACKET_BYTES_MAX {
        return Err(Error::Long);
    }
    let end = head.saturating_add(size);
    let Some(body) = bytes.get(head..end) else { return Ok(None) };
    let packet = body_of(*first, Cursor(body), version)?;
    Ok(Some((packet, end)))
}

fn body_of(first: u8, mut body: Cursor<'_>, version: Version) -> Result<Packet, Error> {
    let v5 = version == Version::V5;
    Ok(match first >> 4 {
        2 => {
            let [_, reason] = body.array()?;
            let properties =
                if v5 && !body.0.is_empty() { body.properties()? } else { Properties::default() };
            Packet::ConnAck { reason, properties }
        }
        3 => {
            let topic = body.text()?;
            let id = match (first >> 1) & 3 {
                0 => None,
                1 => Some(body.number()?),
                _ => return Err(Error::Malformed), // we subscribe with QoS 1 at most
            };
            let properties = if v5 { body.properties()? } else { Properties::default() };
            Packet::Publish { topic, id, properties, payload: body.0.to_vec() }
        }
        4 => {
            let id = body.number()?;
            Packet::PubAck { id, reason: body.0.first().copied().unwrap_or(0) }
        }
        9 => {
            let id = body.number()?;
            if v5 {
                body.properties()?;
            }
            Packet::SubAck { id, reasons: body.0.to_vec() }
        }
        11 => return Err(Error::Kind(11)), // we never unsubscribe
        13 => Packet::PingResp,
        14 if v5 => Packet::Disconnect { reason: body.0.first().copied().unwrap_or(0) },
        kind => return Err(Error::Kind(kind)),
    })
}

/// Reads one thing after another.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn split(&mut self, size: usize) -> Result<&'a [u8], Error> {
        let (piece, rest) = self.0.split_at_checked(size).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.split(N)?.try_into().map_err(|_| Error::Malformed)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    fn number(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    fn text(&mut self) -> Result<String, Error> {
        let size = self.number()?;
        let bytes = self.split(usize::from(size))?;
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed)?;
        if text.contains('\0') { Err(Error::Malformed) } else { Ok(text.to_owned()) }
    }

    fn varint(&mut self) -> Result<usize, Error> {
        let mut value = 0;
        for place in 0..4 {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Malformed)
    }

    fn properties(&mut self) -> Result<Properties, Error> {
        let size = self.varint()?;
        let mut inner = Cursor(self.split(size)?);
        let mut properties = Properties::default();
        for _ in 0..PROPERTIES_MAX {
            if inner.0.is_empty() {
                return Ok(properties);
            }
            match inner.varint()? {
                // What has one byte, two, four, a number of its own length, a text, bytes.
                0x01 | 0x17 | 0x19 | 0x25 | 0x29 => drop(inner.split(1)?),
                0x24 => properties.qos_max = Some(inner.byte()?),
                0x28 => properties.wildcards = Some(inner.byte()?),
                0x2a => properties.shares = Some(inner.byte()?),
                0x13 => properties.keep_alive_s = Some(inner.number()?),
                0x21 => properties.receive_max = Some(inner.number()?),
                0x22 | 0x23 => drop(inner.split(2)?),
                0x27 => properties.packet_bytes_max = Some(u32::from_be_bytes(inner.array()?)),
                0x02 | 0x11 | 0x18 => drop(inner.split(4)?),
                0x0b => drop(inner.varint()?),
                0x03 => properties.content_type = Some(inner.text()?),
                0x08 => properties.response_topic = Some(inner.text()?),
                0x12 => properties.assigned_client = Some(inner.text()?),
                0x1a => properties.response_information = Some(inner.text()?),
                0x15 | 0x1c | 0x1f => drop(inner.text()?),
                0x09 | 0x16 => {
                    let size = inner.number()?;
                    inner.split(usize::from(size))?;
                }
                0x26 => properties.user.push((inner.text()?, inner.text()?)),
                _ => return Err(Error::Malformed),
            }
        }
        Err(Error::Malformed)
    }
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// Its name; empty with 5.0: the broker gives one.
    pub client: String,
    /// The endpoint id, for the broker's rules (R-MQTT.13).
    pub endpoint: String,
    /// Who it is to the broker.
    pub username: Option<String>,
    /// And how it proves that.
    pub password: Option<String>,
    /// How often it speaks at least, in seconds.
    pub keep_alive_s: u16,
}

/// CONNECT, with a clean session: what is not delivered is told again by us.
#[must_use]
pub fn connect(hello: &Hello, version: Version) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.push(if version == Version::V5 { 5 } else { 4 });
    let flags = 0x02 | u8::from(hello.username.is_some()) << 7 | u8::from(hello.password.is_some()) << 6;
    body.push(flags);
    body.extend_from_slice(&hello.keep_alive_s.to_be_bytes());
    if version == Version::V5 {
        let mut properties = vec![0x19, 1, 0x27]; // request response information (R-MQTT.12); the largest packet
        properties.extend_from_slice(&u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX).to_be_bytes());
        properties.push(0x26);
        put_text(&mut properties, "usp-endpoint-id");
        put_text(&mut properties, &hello.endpoint);
        put_properties(&mut body, &properties);
    }
    put_text(&mut body, &hello.client);
    for text in [&hello.username, &hello.password].into_iter().flatten() {
        put_text(&mut body, text);
    }
    packet(0x10, &body)
}

/// SUBSCRIBE to `topics` with this QoS, 0 or 1.
#[must_use]
pub fn subscribe(id: u16, (topics, qos): (&[String], u8), version: Version) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for topic in topics {
        put_text(&mut body, topic);
        body.push(qos);
    }
    packet(0x82, &body)
}

/// PUBLISH of a record: with QoS 1 and this number, or with QoS 0. With 3.1.1 the way back stands in the topic (R-MQTT.24).
#[must_use]
pub fn publish(id: Option<u16>, topic: &str, reply_to: &str, payload: &[u8], version: Version) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + 256);
    match version {
        Version::V5 => {
            put_text(&mut body, topic);
            put_id(&mut body, id);
            let mut properties = vec![0x03];
            put_text(&mut properties, "usp.msg");
            properties.push(0x08);
            put_text(&mut properties, reply_to);
            put_properties(&mut body, &properties);
        }
        Version::V311 => {
            put_text(&mut body, &format!("{topic}/reply-to={}", reply_to.replace('/', "%2F")));
            put_id(&mut body, id);
        }
    }
    body.extend_from_slice(payload);
    packet(first_of(id), &body)
}

/// The same of anything else of the media type `kind`, to a topic as it is.
#[must_use]
pub fn publish_plain(
    id: Option<u16>,
    topic: &str,
    (kind, payload): (&str, &[u8]),
    version: Version,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + 256);
    put_text(&mut body, topic);
    put_id(&mut body, id);
    if version == Version::V5 {
        let mut properties = vec![0x03];
        put_text(&mut properties, kind);
        put_properties(&mut body, &properties);
    }
    body.extend_from_slice(payload);
    packet(first_of(id), &body)
}

/// PUBACK.
#[must_use]
pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

/// PINGREQ.
#[must_use]
pub fn ping() -> Vec<u8> {
    packet(0xc0, &[])
}

/// DISCONNECT: we go, and mean it.
#[must_use]
pub fn disconnect() -> Vec<u8> {
    packet(0xe0, &[])
}

/// Where answers to a message go: with 3.1.1 it stands at the end of its topic (R-MQTT.25).
#[must_use]
pub fn reply_to(topic: &str) -> Option<String> {
    topic.rsplit_once("/reply-to=").map(|(_, reply)| reply.replace("%2F", "/"))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Every text of ours is shorter: names and topics are bounded where they are read.
    let text = text.get(..usize::from(u16::MAX).min(text.len())).unwrap_or_default();
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The first byte of PUBLISH: with a number it is QoS 1. Source: MQTT 5.0 §3.3.1.
fn first_of(id: Option<u16>) -> u8 {
    0x30 | u8::from(id.is_some()) << 1
}

fn put_id(out: &mut Vec<u8>, id: Option<u16>) {
    id.into_iter().for_each(|id| out.extend_from_slice(&id.to_be_bytes()));
}

fn put_properties(out: &mut Vec<u8>, properties: &[u8]) {
    put_size(out, properties.len());
    out.extend_from_slice(properties);
}

fn put_size(out: &mut Vec<u8>, mut size: usize) {
    loop {
        let low = u8::try_from(size & 0x7f).unwrap_or(0);
        size >>= 7;
        if size == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 5);
    out.push(first);
    put_size(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::{Error, Packet, Properties, Version, publish, read, reply_to};

    #[test]
    fn what_a_broker_sends_is_read() {
        // Sent by mosquitto 2.0.11 to mosquitto_sub 2.0.11 (strace): CONNACK, SUBACK of 5.0; CONNACK of 3.1.1.
        let connack5 = [0x20, 9, 0, 0, 6, 0x22, 0, 10, 0x21, 0, 20];
        type Want = Result<Option<usize>, Error>;
        let table: &[(&str, &[u8], Version, Want)] = &[
            ("connack 5", &connack5, Version::V5, Ok(Some(11))),
            ("connack 3.1.1", &[0x20, 2, 0, 0], Version::V311, Ok(Some(4))),
            ("suback 5", &[0x90, 4, 0, 1, 0, 1], Version::V5, Ok(Some(6))),
            ("pingresp", &[0xd0, 0], Version::V311, Ok(Some(2))),
            ("not all there", &[0x90, 4, 0, 1], Version::V5, Ok(None)),
            ("no length yet", &[0x90], Version::V5, Ok(None)),
            ("half a length", &[0x30, 0xff, 0xff], Version::V5, Ok(None)),
            ("a length that is none", &[0x30, 0xff, 0xff, 0xff, 0xff, 1], Version::V5, Err(Error::Malformed)),
            ("long", &[0x30, 0xff, 0xff, 0xff, 0x7f], Version::V5, Err(Error::Long)),
            ("a client's", &[0x10, 0], Version::V5, Err(Error::Kind(1))),
            ("QoS 2", &[0x34, 4, 0, 0, 0, 1], Version::V311, Err(Error::Malformed)),
            ("no id", &[0x40, 1, 0], Version::V311, Err(Error::Malformed)),
            ("zero in a topic", &[0x30, 3, 0, 1, 0], Version::V311, Err(Error::Malformed)),
        ];
        for (name, bytes, version, want) in table {
            let got = read(bytes, *version).map(|packet| packet.map(|(_, size)| size));
            assert_eq!(got, *want, "{name}");
        }
    }

    // Shows R-MQTT.22, R-MQTT.23, R-MQTT.24, R-MQTT.25, R-MQTT.26, R-MQTT.27.
    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        let sent = publish(Some(7), "to/them", "to/us", b"record", Version::V5);
        let properties = Properties {
            content_type: Some("usp.msg".to_owned()),
            response_topic: Some("to/us".to_owned()),
            ..Properties::default()
        };
        let want = Packet::Publish {
            topic: "to/them".to_owned(),
            id: Some(7),
            properties,
            payload: b"record".to_vec(),
        };
        assert_eq!(read(&sent, Version::V5), Ok(Some((want, sent.len()))));
        let sent = publish(Some(7), "to/them", "to/us", b"record", Version::V311);
        let Ok(Some((Packet::Publish { topic, payload, .. }, _))) = read(&sent, Version::V311) else {
            panic!()
        };
        assert_eq!((topic.as_str(), payload.as_slice()), ("to/them/reply-to=to%2Fus", &b"record"[..]));
        assert_eq!(reply_to(&topic).as_deref(), Some("to/us"));
    }
}
