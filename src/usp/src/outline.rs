//! As much of a record or a message as has to be there for an answer to it, where the rest is broken.
//!
//! In:  bytes that are no record or no message. Out: to whom and from whom they are, and which message it was to be.
//!
//! Source: TR-369 §4.3 (R-MTP.5).

use crate::proto::{Budget, Bytes, Limits, Single, Text, Value, message};

message! {
    /// A record.
    pub struct RecordOutline<'a> {
        /// To whom.
        to_id: Text<'a> = 2,
        /// From whom.
        from_id: Text<'a> = 3,
        /// A message without a session.
        no_session: Payload<'a> = 7,
    }
}

message! {
    /// What is in it.
    pub struct Payload<'a> {
        /// A message.
        payload: Bytes<'a> = 2,
    }
}

message! {
    /// A message.
    pub struct MessageOutline<'a> {
        /// Which one.
        header: HeaderOutline<'a> = 1,
        /// What it says.
        body: BodyOutline<'a> = 2,
    }
}

message! {
    /// Its header.
    pub struct HeaderOutline<'a> {
        /// Its number.
        msg_id: Text<'a> = 1,
    }
}

message! {
    /// Its body.
    pub struct BodyOutline<'a> {
        /// It asks something.
        request: Option<Bytes<'a>> = 1,
    }
}

/// To whom and from whom a record is, and the message in it.
#[must_use]
pub fn record<'a>(bytes: &'a [u8], limits: &Limits) -> Option<RecordOutline<'a>> {
    let mut budget = Budget::of(bytes, limits).ok()?;
    RecordOutline::read(Value::Bytes(bytes), &mut budget).ok()
}

/// The number of a message, and whether it is a request.
#[must_use]
pub fn message<'a>(bytes: &'a [u8], limits: &Limits) -> Option<(Text<'a>, bool)> {
    let mut budget = Budget::of(bytes, limits).ok()?;
    let outline = MessageOutline::read(Value::Bytes(bytes), &mut budget).ok()?;
    let id = outline.header.msg_id;
    (!id.is_empty()).then_some((id, outline.body.request.is_some()))
}

#[cfg(test)]
mod tests {
    use super::{message, record};
    use crate::message::RequestKind;
    use crate::message::read::Get;
    use crate::record::{Kind, NoSessionContext};
    use crate::{GATEWAY, Msg, Record};

    #[test]
    fn what_is_broken_still_has_a_number() {
        let get = Get { param_paths: vec!["Device.".into()], max_depth: 0 };
        let mut bytes = Msg::request("one", RequestKind::Get(get)).encode();
        // The kind of the message, in its header: `0x10 1`. 99 is none.
        let place = bytes.windows(2).position(|pair| pair == [0x10, 1]).unwrap();
        bytes[place + 1] = 99;
        assert!(Msg::decode(&bytes, &GATEWAY).is_err());
        assert_eq!(message(&bytes, &GATEWAY), Some(("one".into(), true)));
        let kind = Some(Kind::NoSession(NoSessionContext { payload: bytes.clone().into() }));
        let whole = Record { to_id: "us".into(), from_id: "them".into(), kind, ..Record::default() };
        let broken = [whole.encode(), vec![0x20, 9]].concat(); // payload_security cannot be 9
        assert!(Record::decode(&broken, &GATEWAY).is_err());
        let outline = record(&broken, &GATEWAY).unwrap();
        assert_eq!((outline.to_id.as_ref(), outline.from_id.as_ref()), ("us", "them"));
        assert_eq!(outline.no_session.payload.as_ref(), bytes);
        assert_eq!(message(&bytes[..4], &GATEWAY), None, "cut");
    }

    /// Shows R-ENC.3.
    #[test]
    fn of_several_one_alone_may_be() {
        let kind =
            |text: &'static str| Some(Kind::NoSession(NoSessionContext { payload: text.as_bytes().into() }));
        let one = Record { kind: kind("a"), ..Record::default() };
        assert!(Record::decode(&one.encode(), &GATEWAY).is_ok());
        let two = [one.encode(), Record { kind: kind("b"), ..Record::default() }.encode()].concat();
        assert_eq!(Record::decode(&two, &GATEWAY), Err(crate::Error::Twice));
    }
}
