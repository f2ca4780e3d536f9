//! What a controller sends: USP records and messages.

use tests::fuzz::run;
use usp::message::act::{Event, Notify, NotifyKind};
use usp::message::read::Get;
use usp::message::{Entry, RequestKind};
use usp::path::Path;
use usp::record::{Kind, NoSessionContext, SessionContext};
use usp::{GATEWAY, Msg, Record, outline, session};

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

#[test]
fn usp_outline() {
    let payload = messages().swap_remove(0);
    let record = Record {
        version: "1.4".into(),
        to_id: "a".into(),
        from_id: "b".into(),
        kind: Some(Kind::NoSession(NoSessionContext { payload: payload.clone().into() })),
        ..Record::default()
    };
    run("usp_outline", &[&record.encode(), &payload], |bytes| {
        if let Some(message) = outline::message(bytes, &GATEWAY) {
            assert!(!message.0.is_empty());
        }
        let Ok(record) = Record::decode(bytes, &GATEWAY) else {
            let _ = outline::record(bytes, &GATEWAY);
            return;
        };
        let seen = outline::record(bytes, &GATEWAY).expect("of what is whole, the outline is seen");
        assert_eq!((seen.to_id.as_ref(), seen.from_id.as_ref()), (&*record.to_id, &*record.from_id));
    });
}

#[test]
fn usp_path() {
    let samples: [&[u8]; 2] = [
        b"Device.A.[B.C>=7&&Name==\"a.b]%22\"].Ref#2+.*.{i}.12.Do()",
        b"Device.LocalAgent.Controller.1.EndpointID",
    ];
    run("usp_path", &samples, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(path) = Path::parse(text) else { return };
        let printed = path.to_string();
        // A text may be written with more per cent signs than it needs; then it prints shorter, and only once.
        assert_eq!(Path::parse(&printed).as_ref(), Ok(&path), "{printed}");
    });
}

#[test]
fn usp_session() {
    let sample: Vec<u8> = (0..64).collect();
    run("usp_session", &[&sample], |bytes| {
        let mut here = None;
        let mut kept = 0;
        for word in bytes.chunks(6) {
            let at = |place: usize| word.get(place).copied().unwrap_or(0);
            let sar = [usp::record::Sar::None, usp::record::Sar::Begin, usp::record::Sar::InProcess];
            let sar = sar.get(usize::from(at(3))).copied().unwrap_or(usp::record::Sar::Complete);
            let piece = SessionContext {
                session_id: u64::from(at(0) % 3),
                sequence_id: u64::from(at(1)),
                expected_id: u64::from(at(2)),
                retransmit_id: u64::from(at(4)),
                payload_sar_state: sar,
                payloadrec_sar_state: sar,
                payload: vec![vec![7; usize::from(at(5)) * 64].into()],
            };
            let heard = session::hear(&mut here, &piece);
            kept += heard.messages.iter().map(Vec::len).sum::<usize>();
        }
        assert!(kept <= bytes.len() * 64 * 256, "nothing comes of nothing");
    });
}
