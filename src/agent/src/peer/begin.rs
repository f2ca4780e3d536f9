//! What speaks over a connection that we have made: it begins.

use std::net::TcpStream;
use std::sync::Arc;

use mqtt::client::Client;
use mqtt::packet::{Hello, Version};

use super::{Peer, random};
use crate::carrier::Carrier;
use crate::configuration::transport::{Broker, Transport};
use crate::fault::Fault;
use crate::own::Own;
use crate::proof::{Kind, Wanted};
use crate::stream::{Gone, Stream};
use crate::websocket;
use crate::websocket::handshake::Call;

impl Peer {
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
                let stream = Stream::new(socket, self.by_tls(url.tls, &url.host, kind)?, b"http/1.1");
                let usual = if url.tls { 443 } else { 80 };
                let colon = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
                let host = if url.port == usual { colon } else { format!("{colon}:{}", url.port) };
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
        let (endpoint, credentials) = (self.configured.endpoint.clone(), self.credentials.clone());
        Ok(Some((Wanted { endpoint, kind, host: Some(name), credentials }, &self.own)))
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
        Client::begin(&hello, broker.version, &topics, now_ms)
    }
}
