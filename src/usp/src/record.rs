//! A record: who speaks to whom, and a message in it, whole or a piece.
//!
//! In:  bytes from a transport. Out: a [`Record`]; and bytes again. 1.5's two new fields (14, 15) are ignored, as all that is not known.
//!
//! Source: TR-369 §5 (encoding), `usp-record-1-4.proto`.
#![allow(missing_docs, reason = "fields are called as in the schema, which TR-369 explains")]

use crate::proto::{self, Budget, Bytes, Limits, Single, Text, Value, choice, message, one_of};

message! {
    /// What goes over a transport.
    pub struct Record<'a> {
        version: Text<'a> = 1,
        to_id: Text<'a> = 2,
        from_id: Text<'a> = 3,
        payload_security: PayloadSecurity = 4,
        mac_signature: Bytes<'a> = 5,
        sender_cert: Bytes<'a> = 6,
        => kind: Kind<'a>,
    }
}

choice! {
    /// How the payload is sealed.
    pub enum PayloadSecurity { Plaintext = 0, Tls12 = 1, }
}

one_of! {
    /// What a record is for.
    pub enum Kind<'a> {
        NoSession(NoSessionContext<'a>) = 7,
        Session(SessionContext<'a>) = 8,
        WebSocketConnect(Empty) = 9,
        MqttConnect(MqttConnect<'a>) = 10,
        StompConnect(StompConnect<'a>) = 11,
        Disconnect(Disconnect<'a>) = 12,
        UdsConnect(Empty) = 13,
    }
}

message! {
    /// A message, whole.
    pub struct NoSessionContext<'a> {
        payload: Bytes<'a> = 2,
    }
}

message! {
    /// A message or a piece of it, in its place in a session.
    pub struct SessionContext<'a> {
        session_id: u64 = 1,
        sequence_id: u64 = 2,
        expected_id: u64 = 3,
        retransmit_id: u64 = 4,
        payload_sar_state: Sar = 5,
        payloadrec_sar_state: Sar = 6,
        payload: Vec<Bytes<'a>> = 7,
    }
}

choice! {
    /// Which piece of a message it is.
    pub enum Sar { None = 0, Begin = 1, InProcess = 2, Complete = 3, }
}

message! {
    /// Says no more than that it is there.
    pub struct Empty {}
}

message! {
    /// An agent has connected to a broker.
    pub struct MqttConnect<'a> {
        version: MqttVersion = 1,
        subscribed_topic: Text<'a> = 2,
    }
}

choice! {
    /// The broker's protocol.
    pub enum MqttVersion { V3_1_1 = 0, V5 = 1, }
}

message! {
    /// An agent has connected to a STOMP server.
    pub struct StompConnect<'a> {
        version: StompVersion = 1,
        subscribed_destination: Text<'a> = 2,
    }
}

choice! {
    /// The server's protocol.
    pub enum StompVersion { V1_2 = 0, }
}

message! {
    /// Whoever says this goes, or ends a session.
    pub struct Disconnect<'a> {
        reason: Text<'a> = 1,
        reason_code: u32 = 2,
    }
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// It is none, or has more than `limits` allow. The peer is told 7100 (R-MTP.5).
    pub fn decode(bytes: &'a [u8], limits: &Limits) -> Result<Self, proto::Error> {
        let mut budget = Budget::of(bytes, limits)?;
        Self::read(Value::Bytes(bytes), &mut budget)
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_fields(&mut out);
        out
    }

    /// What `mac_signature` is the signature of: all but itself and the payload, one after another.
    ///
    /// Source: TR-369 §6.2.5 (R-E2E.32, R-E2E.32.1).
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        let mut out = [self.version.as_bytes(), self.to_id.as_bytes(), self.from_id.as_bytes()].concat();
        out.extend(self.payload_security.number().to_be_bytes());
        out.extend_from_slice(&self.sender_cert);
        if let Some(Kind::Session(piece)) = &self.kind {
            let numbers = [piece.session_id, piece.sequence_id, piece.expected_id, piece.retransmit_id];
            numbers.iter().for_each(|number| out.extend(number.to_be_bytes()));
            let states = [piece.payload_sar_state, piece.payloadrec_sar_state];
            states.iter().for_each(|state| out.extend(state.number().to_be_bytes()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, NoSessionContext, PayloadSecurity, Record, Sar, SessionContext};

    // Shows R-E2E.32.
    #[test]
    fn all_but_the_payload_is_signed_in_the_order_of_the_schema() {
        let record = |kind| Record {
            version: "1.4".into(),
            to_id: "self::a".into(),
            from_id: "self::b".into(),
            payload_security: PayloadSecurity::Tls12,
            mac_signature: b"signature"[..].into(),
            sender_cert: b"certificate"[..].into(),
            kind: Some(kind),
        };
        let head = b"1.4self::aself::b\0\0\0\x01certificate";
        let payload = || b"payload"[..].into();
        assert_eq!(record(Kind::NoSession(NoSessionContext { payload: payload() })).signed(), head);
        let piece = SessionContext {
            session_id: 2,
            sequence_id: 3,
            expected_id: 4,
            retransmit_id: 5,
            payload_sar_state: Sar::Begin,
            payloadrec_sar_state: Sar::Complete,
            payload: vec![payload()],
        };
        let numbers =
            b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\x03";
        assert_eq!(record(Kind::Session(piece)).signed(), [&head[..], numbers].concat());
    }
}
