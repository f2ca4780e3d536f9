//! A connection to a broker that waits: TCP or TLS, and MQTT over it.
//!
//! In:  a broker, records. Out: records, until a moment.
//!
//! Not here: what is in a record (`talk.rs`).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mqtt::client::{Client, News};
use mqtt::packet::{Hello, Version};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::tls::{PemItem, parse_pem};

use super::{Broker, Fleet, secret};
use crate::error::{Error, reason};
use crate::keys;

/// Whom the system believes. Source: Debian's package ca-certificates.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A file of certificates, in bytes.
const ROOTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one wait is at most: the broker hears of us meanwhile.
const WAIT: Duration = Duration::from_millis(500);
/// What one read takes.
const READ_BYTES: usize = 64 * 1024;
const KEEP_ALIVE_S: u16 = 60;

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// It.
pub(super) struct Line {
    name: String,
    stream: Stream,
    client: Client,
    heard: VecDeque<Vec<u8>>,
    begun: Instant,
}

/// What is said of a broker names it so.
fn called(broker: &Broker) -> String {
    format!("{}:{}", broker.host, broker.port())
}

/// A broker says no, or nothing.
fn broken(name: &str) -> impl Fn(String) -> Error + use<> {
    let name = name.to_owned();
    move |why| Error::Refused(format!("broker {name}: {why}"))
}

fn roots(broker: &Broker) -> Result<RootCertStore, Error> {
    let path = broker.roots.as_deref().unwrap_or(SYSTEM_ROOTS.as_ref());
    let text = keys::read(path, ROOTS_BYTES_MAX)?;
    let mut store = RootCertStore::empty();
    for item in parse_pem(&text) {
        if let Ok(PemItem::Certificate(certificate)) = item {
            store.add_parsable_certificates([CertificateDer::from(certificate.der().to_vec())]);
        }
    }
    if store.is_empty() {
        return Err(Error::Refused(format!("{}: no certificate in it", path.display())));
    }
    Ok(store)
}

fn tls(broker: &Broker) -> Result<ClientConnection, Error> {
    let why = |error: rustls::Error| broken(&called(broker))(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let configuration = configuration.map_err(why)?.with_root_certificates(roots(broker)?);
    let name = ServerName::try_from(broker.host.clone());
    let name = name.map_err(|error| broken(&called(broker))(error.to_string()))?;
    ClientConnection::new(Arc::new(configuration.with_no_client_auth()), name).map_err(why)
}

fn dial(broker: &Broker) -> Result<TcpStream, Error> {
    let wrong = broken(&called(broker));
    let found = (broker.host.as_str(), broker.port()).to_socket_addrs();
    let mut last = "no address".to_owned();
    for address in found.map_err(|error| wrong(reason(&error)))? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = reason(&error),
        }
    }
    Err(wrong(last))
}

impl Line {
    /// Connects and waits until records can be sent.
    pub(super) fn open(fleet: &Fleet, broker: &Broker) -> Result<Self, Error> {
        let socket = dial(broker)?;
        let wrong = broken(&called(broker));
        let set = socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(WAIT)));
        set.and_then(|()| socket.set_write_timeout(Some(CONNECT))).map_err(|error| wrong(reason(&error)))?;
        let stream = if broker.tls {
            Stream::Tls(Box::new(StreamOwned::new(tls(broker)?, socket)))
        } else {
            Stream::Plain(socket)
        };
        let version = broker.version();
        let client = match version {
            Version::V5 => String::new(), // the broker gives one
            Version::V311 => format!("{}-{}", fleet.endpoint, super::own_number()),
        };
        let hello = Hello {
            client,
            endpoint: fleet.endpoint.clone(),
            username: broker.username.clone(),
            password: broker.password_file.as_deref().map(secret).transpose()?,
            keep_alive_s: KEEP_ALIVE_S,
        };
        // An agent that speaks 3.1.1 puts the way back at the end of the topic (R-MQTT.24).
        let topics = [fleet.topic.clone(), format!("{}/+", fleet.topic)];
        let client = Client::begin(&hello, version, &topics, 0);
        let (heard, begun) = (VecDeque::new(), Instant::now());
        let mut line = Self { name: called(broker), stream, client, heard, begun };
        while !line.client.is_ready() {
            if line.begun.elapsed() > CONNECT {
                return Err(wrong("it does not let us in, nor say why".to_owned()));
            }
            line.turn()?;
        }
        Ok(line)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let bytes = self.client.take_out(self.now_ms());
        let written = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(&bytes),
            Stream::Tls(stream) => stream.write_all(&bytes).and_then(|()| stream.flush()),
        };
        written.map_err(|error| broken(&self.name)(reason(&error)))
    }

    /// One wait: what has come, or nothing.
    fn turn(&mut self) -> Result<(), Error> {
        self.flush()?;
        let mut bytes = vec![0; READ_BYTES];
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut bytes),
            Stream::Tls(stream) => stream.read(&mut bytes),
        };
        let wrong = broken(&self.name);
        let size = match read {
            Ok(0) => return Err(wrong("it has closed the connection".to_owned())),
            Ok(size) => size,
            Err(error)
                if [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted]
                    .contains(&error.kind()) =>
            {
                0
            }
            Err(error) => return Err(wrong(reason(&error))),
        };
        let now_ms = self.now_ms();
        let heard = bytes.get(..size).unwrap_or_default();
        for news in self.client.hear(heard, now_ms).map_err(|gone| wrong(gone.to_string()))? {
            if let News::Record(record, _) = news {
                self.heard.push_back(record);
            }
        }
        self.client.tick(now_ms).map_err(|gone| wrong(gone.to_string()))?;
        self.flush()
    }

    /// Sends a record; waits where too many are under way.
    pub(super) fn send(&mut self, topic: &str, record: &[u8]) -> Result<(), Error> {
        let begun = Instant::now();
        while !self.client.send(topic, record.to_vec()) {
            if begun.elapsed() > CONNECT {
                return Err(broken(&self.name)("it takes nothing".to_owned()));
            }
            self.turn()?;
        }
        self.flush()
    }

    /// The next record, until `until`; `None`: there is none.
    pub(super) fn next(&mut self, until: Instant) -> Result<Option<Vec<u8>>, Error> {
        loop {
            if let Some(record) = self.heard.pop_front() {
                return Ok(Some(record));
            }
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Ok(None);
            };
            let socket = match &self.stream {
                Stream::Plain(socket) => socket,
                Stream::Tls(stream) => &stream.sock,
            };
            let set = socket.set_read_timeout(Some(left.min(WAIT)));
            set.map_err(|error| broken(&self.name)(reason(&error)))?;
            self.turn()?;
        }
    }
}
