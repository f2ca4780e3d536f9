//! What a client has said to brokers and heard of them, in numbers.
//!
//! A connection's client may go on with the numbers of the one before. Source: TR-181 2.19.1, `Device.MQTT.Client.{i}.Stats.`.

/// Packets, and when the last ones of a kind went or came, in milliseconds after boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of ours, of any kind.
    pub sent: u64,
    /// The broker's, of any kind.
    pub received: u64,
    /// PUBLISH of ours.
    pub publish_sent: u64,
    /// The broker's.
    pub publish_received: u64,
    /// SUBSCRIBE.
    pub subscribe_sent: u64,
    /// Messages that were not sent, since too many waited, or that the broker did not take.
    pub publish_errors: u32,
    /// When a broker last let us in.
    pub connected_ms: Option<u64>,
    /// When the last PUBLISH of ours went.
    pub publish_sent_ms: Option<u64>,
    /// When the last one of the broker's came.
    pub publish_received_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use crate::client::Client;
    use crate::packet::{self, Hello, Version};

    #[test]
    fn packets_are_counted() {
        let hello = Hello { keep_alive_s: 60, ..Hello::default() };
        let mut client = Client::begin(&hello, Version::V5, &["us".to_owned()], 0);
        client.take_out(0);
        client.hear(&[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 1], 7).unwrap();
        client.send("them", b"record".to_vec());
        client.take_out(8);
        client.hear(&packet::publish(Some(9), "us", "back", b"record", Version::V5), 9).unwrap();
        client.hear(&[0x40, 3, 0, 2, 0x87], 10).unwrap(); // not authorised
        client.ping();
        let counts = client.counts();
        // CONNECT, SUBSCRIBE, PUBLISH, PUBACK, PINGREQ; CONNACK, SUBACK, PUBLISH, PUBACK.
        assert_eq!((counts.sent, counts.received), (5, 4));
        assert_eq!((counts.publish_sent, counts.publish_received, counts.subscribe_sent), (1, 1, 1));
        assert_eq!(counts.publish_errors, 1);
        let times = (counts.connected_ms, counts.publish_sent_ms, counts.publish_received_ms);
        assert_eq!(times, (Some(7), Some(8), Some(9)));
        let next = Client::begin(&hello, Version::V5, &["us".to_owned()], 11).after(counts);
        assert_eq!((next.counts().sent, next.counts().publish_sent), (6, 1));
        client.forget_counts();
        assert_eq!((client.counts().sent, client.counts().connected_ms), (0, Some(7)));
    }
}
