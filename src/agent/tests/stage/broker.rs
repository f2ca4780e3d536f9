//! A broker that a test plays, bit by bit: what mosquitto does not say of itself, this one does.
//!
//! In:  packets of the agent's. Out: packets of a broker's. Source: MQTT 5.0 and 3.1.1 (OASIS), §3.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use mqtt::packet::{self, Packet, Properties, Version};

/// A connection of the agent's.
pub(crate) struct Agent {
    socket: TcpStream,
    input: Vec<u8>,
    version: Version,
    /// How messages have to go and to be asked for.
    pub(crate) qos: u8,
}

/// What CONNECT says.
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(crate) clean: bool,
    pub(crate) keep_alive_s: u16,
    pub(crate) properties: Vec<u8>,
    /// The client's name, then user and password.
    pub(crate) texts: Vec<String>,
}

fn text(bytes: &[u8]) -> (String, &[u8]) {
    let size = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (String::from_utf8(bytes[2..2 + size].to_vec()).unwrap(), &bytes[2 + size..])
}

pub(crate) fn put(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

impl Agent {
    pub(crate) fn accept(listener: &TcpListener, version: Version) -> Self {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, input: Vec::new(), version, qos: 1 }
    }

    /// The next packet: its first byte, and what is in it. `None`: the agent has closed.
    pub(crate) fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, size, rest @ ..] = self.input.as_slice() {
                // Of what is longer than 127 bytes the size has two.
                let (size, rest) = match size {
                    0..=0x7f => (usize::from(*size), rest),
                    _ => (usize::from(size & 0x7f) | usize::from(rest[0]) << 7, &rest[1..]),
                };
                if rest.len() >= size {
                    let packet = (*first, rest[..size].to_vec());
                    self.input = rest[size..].to_vec();
                    return Some(packet);
                }
            }
            let mut bytes = [0; 4096];
            let size = self.socket.read(&mut bytes).unwrap();
            if size == 0 {
                return None;
            }
            self.input.extend_from_slice(&bytes[..size]);
        }
    }

    pub(crate) fn send(&mut self, first: u8, body: &[u8]) {
        let mut packet = vec![first];
        let mut size = body.len();
        while size > 0x7f {
            packet.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
            size >>= 7;
        }
        packet.push(u8::try_from(size).unwrap());
        packet.extend_from_slice(body);
        self.socket.write_all(&packet).unwrap();
    }

    pub(crate) fn connect(&mut self) -> Connect {
        let (0x10, body) = self.packet().unwrap() else { panic!("CONNECT comes first") };
        let (protocol, rest) = text(&body);
        assert_eq!(protocol, "MQTT");
        let [level, flags, high, low, rest @ ..] = rest else { panic!("{body:?}") };
        let (properties, mut rest) = match self.version {
            Version::V5 => rest[1..].split_at(usize::from(rest[0])),
            Version::V311 => (&[][..], rest),
        };
        let mut texts = Vec::new();
        while !rest.is_empty() {
            let (one, after) = text(rest);
            texts.push(one);
            rest = after;
        }
        let keep_alive_s = u16::from_be_bytes([*high, *low]);
        Connect { level: *level, clean: flags & 2 != 0, keep_alive_s, properties: properties.to_vec(), texts }
    }

    /// SUBSCRIBE: its topics; each is granted as `granted` says.
    pub(crate) fn subscribe(&mut self, granted: u8) -> Vec<String> {
        let (0x82, body) = self.packet().unwrap() else { panic!("SUBSCRIBE comes next") };
        let mut rest = &body[if self.version == Version::V5 { 3 } else { 2 }..];
        let mut topics = Vec::new();
        while !rest.is_empty() {
            let (topic, after) = text(rest);
            assert_eq!(after[0] & 3, self.qos, "QoS");
            topics.push(topic);
            rest = &after[1..];
        }
        let none: &[u8] = if self.version == Version::V5 { &[0] } else { &[] };
        self.send(0x90, &[&body[..2], none, &vec![granted; topics.len()]].concat());
        topics
    }

    /// PUBLISH of a record: its topic, its properties, its bytes. It is acknowledged where it wants to be.
    pub(crate) fn publish(&mut self) -> (String, Properties, Vec<u8>) {
        let (id, published) = self.unacknowledged();
        id.into_iter().for_each(|id| self.send(0x40, &id.to_be_bytes()));
        published
    }

    /// As [`Agent::publish`], of somebody who has gone and takes no acknowledgement: what wants to be acknowledged has a number.
    pub(crate) fn unacknowledged(&mut self) -> (Option<u16>, (String, Properties, Vec<u8>)) {
        loop {
            let (first, body) = self.packet().unwrap();
            if first == 0x40 {
                continue; // PUBACK
            }
            let size = u8::try_from(body.len() & 0x7f).unwrap() | 0x80;
            let whole = match body.len() {
                0..=0x7f => [vec![first, u8::try_from(body.len()).unwrap()], body].concat(),
                long => [vec![first, size, u8::try_from(long >> 7).unwrap()], body].concat(),
            };
            let Ok(Some((Packet::Publish { topic, id, properties, payload }, _))) =
                packet::read(&whole, self.version)
            else {
                panic!("{first:#x}: not PUBLISH")
            };
            assert_eq!(first >> 1 & 3, self.qos, "QoS");
            return (id, (topic, properties, payload));
        }
    }

    /// A record for the agent, with QoS 0, of this content type; its answer goes to `back`.
    pub(crate) fn ask(&mut self, record: &[u8], (content, back): (&str, &str)) {
        let properties = [vec![3], put(content), vec![8], put(back)].concat();
        let size = vec![u8::try_from(properties.len()).unwrap()];
        self.send(0x30, &[put("/usp/agent"), size, properties, record.to_vec()].concat());
    }
}
