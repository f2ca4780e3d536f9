//! What a controller sends: USP records and messages.

use tests::fuzz::run;
use usp::message::act::{Event, Notify, NotifyKind};
use usp::message::read::Get;
use usp::message::{Entry, RequestKind};
use usp::record::{Kind, NoSessionContext, SessionContext};
use usp::{GATEWAY, Msg, Record};

fn messages() -> Vec<Vec<u8>> {
    let event = Event {
        obj_path: "Device.".into(),
        event_name: "Boot!".into(),
        params: vec![Entry::new("Cause", "x")],
    };
    let notify =
        Notify { subscription_id: "s".into(), send_resp: true, kind: Some(NotifyKind::Event(event)) };
    vec![
        Msg::request("1", RequestKind::Get(Get { param_paths: vec!["Device.".into()], max_depth: 2 }))
            .encode(),
        Msg::request("2", RequestKind::Notify(notify)).encode(),
    ]
}

#[test]
fn usp_message() {
    let samples = messages();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    run("usp_message", &samples, |bytes| {
        let Ok(message) = Msg::decode(bytes, &GATEWAY) else { return };
        assert_eq!(
            Msg::decode(&message.encode(), &usp::DESK).as_ref(),
            Ok(&message),
            "what we write, we read"
        );
    });
}

#[test]
fn usp_record() {
    let of =
        |kind| Record { version: "1.4".into(), to_id: "a".into(), kind: Some(kind), ..Record::default() };
    let piece = |payload: Vec<u8>| SessionContext {
        session_id: 7,
        sequence_id: 1,
        expected_id: 1,
        payload: vec![payload.into()],
        ..SessionContext::default()
    };
    let samples: Vec<Vec<u8>> = messages()
        .into_iter()
        .flat_map(|payload| {
            let session = of(Kind::Session(piece(payload.clone()))).encode();
            [of(Kind::NoSession(NoSessionContext { payload: payload.into() })).encode(), session]
        })
        .collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    run("usp_record", &samples, |bytes| {
        let Ok(record) = Record::decode(bytes, &GATEWAY) else { return };
        assert_eq!(
            Record::decode(&record.encode(), &usp::DESK).as_ref(),
            Ok(&record),
            "what we write, we read"
        );
        if let Some(Kind::NoSession(NoSessionContext { payload })) = &record.kind {
            let _ = Msg::decode(payload, &GATEWAY);
        }
    });
}
