//! What speaks over a connection that we have made: it begins.

use std::net::TcpStream;

use mqtt::client::Client;
use mqtt::packet::{Hello, Version};

use super::{Peer, random};
use crate::carrier::Carrier;
use crate::configuration::transport::{Broker, Transport};
use crate::fault::Fault;
use crate::stream::Stream;
use crate::websocket;
use crate::websocket::handshake::Call;

impl Peer {
    /// The connection stands: what speaks over it begins.
    pub(super) fn begin(&self, socket: TcpStream, now_ms: u64) -> Result<(Stream, Carrier), Fault> {
        let (stream, carrier) = match &self.configured.transport {
            Transport::Mqtt(broker) => {
                let stream = Stream::new(socket, broker.tls.then_some((&broker.host, &self.own)), b"mqtt");
                (stream, Carrier::Mqtt(Box::new(self.client(broker, now_ms))))
            }
            Transport::WebSocket(url) => {
                let stream = Stream::new(socket, url.tls.then_some((&url.host, &self.own)), b"http/1.1");
                let usual = if url.tls { 443 } else { 80 };
                let colon = if url.host.contains(':') { format!("[{}]", url.host) } else { url.host.clone() };
                let host = if url.port == usual { colon } else { format!("{colon}:{}", url.port) };
                let credentials = url.credentials.as_ref().map(|(name, word)| (name.as_str(), word.as_str()));
                let call = Call { host: &host, path: &url.path, endpoint: &self.endpoint, credentials };
                (stream, Carrier::Web(websocket::Session::call(&call, url.keep_alive_s, random, now_ms)))
            }
            Transport::Accepted(_) | Transport::Local(_) => return Err(Fault::NotYet),
        };
        let mut stream = stream?;
        if self.configured.discovered.is_some() {
            stream.has_to_bear(&self.configured.endpoint);
        }
        Ok((stream, carrier))
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
