//! Where a connection is made to, and when again; what speaks over it begins.
//!
//! A controller that DNS names may have hosts that stand by: they are called one after another, and then it is waited (RFC 2782). Each has to
//! prove the same, for its own name.

use std::net::TcpStream;
use std::sync::Arc;

use log::warn;
use mqtt::client::Client;
use mqtt::packet::{Hello, Version};
use trust::rustls::pki_types::ServerName;
use usp::Record;

use super::{Peer, random};
use crate::backoff;
use crate::carrier::Carrier;
use crate::configuration::transport::{Broker, Transport};
use crate::fault::Fault;
use crate::own::Own;
use crate::proof::{Kind, Wanted};
use crate::stream::{Gone, Stream};
use crate::websocket;
use crate::websocket::handshake::Call;

impl Peer {
    /// Is it called because somebody has named it?
    #[must_use]
    pub fn is_discovered(&self) -> bool {
        self.configured.discovered.is_some()
    }

    /// It is called there, too, when it does not answer.
    pub fn stand_by(&mut self, standby: Vec<(String, u16)>) {
        self.standby = standby;
    }

    /// Where it is called next; `None`: nowhere, it comes.
    pub(super) fn place(&self) -> Option<(&str, u16)> {
        match &self.configured.transport {
            Transport::Mqtt(broker) => Some((&broker.host, broker.port)),
            Transport::WebSocket(url) => {
                let other = self.choice.checked_sub(1).and_then(|place| self.standby.get(place));
                Some(other.map_or((&url.host, url.port), |(host, port)| (host, *port)))
            }
            Transport::Accepted(_) | Transport::Local(_) => None,
        }
    }

    /// It was called in vain, or has gone: how long it is left alone, in milliseconds.
    pub(super) fn wait_ms(&mut self) -> u64 {
        let stood = self.fault.is_none();
        if !stood && self.choice < self.standby.len() {
            self.choice = self.choice.saturating_add(1);
            return 0;
        }
        self.choice = 0;
        self.failures = self.failures.saturating_add(1);
        match self.configured.transport {
            Transport::WebSocket(_) => {
                backoff::connection_ms(self.failures, self.retry, self.last_s, random())
            }
            Transport::Mqtt(_) | Transport::Accepted(_) | Transport::Local(_) => {
                backoff::wait_ms(self.failures, self.last_s, random())
            }
        }
    }

    /// The connection stands: what speaks over it begins.
    pub(super) fn begin(&self, socket: TcpStream, now_ms: u64) -> Result<(Stream, Carrier), Fault> {
        let (stream, carrier) = match &self.configured.transport {
            Transport::Mqtt(broker) => {
                let by_tls = self.by_tls(broker.tls, &broker.host, Kind::Broker)?;
                let stream = Stream::new(socket, by_tls, b"mqtt");
                (stream, Carrier::Mqtt(Box::new(self.client(broker, now_ms))))
            }
            Transport::WebSocket(url) => {
                let is_named = self.configured.discovered.is_some();
                let kind = if is_named { Kind::Stranger } else { Kind::Controller };
                let (host, port) = self.place().unwrap_or((&url.host, url.port));
                let stream = Stream::new(socket, self.by_tls(url.tls, host, kind)?, b"http/1.1");
                let usual = if url.tls { 443 } else { 80 };
                let colon = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                let host = if port == usual { colon } else { format!("{colon}:{port}") };
                let credentials = url.credentials.as_ref().map(|(name, word)| (name.as_str(), word.as_str()));
                let call = Call { host: &host, path: &url.path, endpoint: &self.endpoint, credentials };
                (stream, Carrier::Web(websocket::Session::call(&call, url.keep_alive_s, random, now_ms)))
            }
            Transport::Accepted(_) | Transport::Local(_) => return Err(Fault::NotYet),
        };
        Ok((stream?, carrier))
    }

    /// What the other end has to prove, where it is spoken to by TLS.
    fn by_tls(&self, tls: bool, host: &str, kind: Kind) -> Result<Option<(Wanted, &Arc<Own>)>, Fault> {
        if !tls {
            return Ok(None);
        }
        let name = trust::server_name(host).map_err(|error| Gone::Trust(error.to_string()))?;
        let wanted = self.wanted(kind, Some(name))?;
        for list in wanted.overdue() {
            warn!("{}: {list}", self.configured.endpoint);
        }
        Ok(Some((wanted, &self.own)))
    }

    fn wanted(&self, kind: Kind, host: Option<ServerName<'static>>) -> Result<Wanted, Gone> {
        Wanted::new(self.configured.endpoint.clone(), kind, host, self.credentials.clone())
    }

    /// Is what the record says its controller's, as far as it is signed (R-E2E.30)?
    pub(super) fn is_whole(&self, record: &Record<'_>) -> bool {
        record.mac_signature.is_empty()
            || self.wanted(Kind::Stranger, None).is_ok_and(|wanted| wanted.has_signed(record))
    }

    fn client(&self, broker: &Broker, now_ms: u64) -> Client {
        let hello = Hello {
            client: self.name(),
            endpoint: self.endpoint.clone(),
            username: broker.username.clone(),
            password: broker.password.clone(),
            keep_alive_s: broker.keep_alive_s,
        };
        let mut topics: Vec<String> = broker.agent_topic.iter().cloned().collect();
        if broker.version == Version::V311 {
            // A topic may end with the way back (R-MQTT.24), in one step.
            topics.extend(broker.agent_topic.iter().map(|topic| format!("{topic}/+")));
        }
        Client::begin(&hello, broker.version, &topics, now_ms).after(self.traffic.counts)
    }
}
