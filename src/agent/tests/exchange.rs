//! Requirements of TR-369 on records, sessions and messages over the agent's own socket: what is sent, and what comes back.
//!
//! In:  a controller of the test's own (`stage/local.rs`), which may send what no library sends. Out: answers, or none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use stage::local::{Came, Local, begin, line, texts, word};
use stage::until;
use usp::Msg;
use usp::message::RequestKind;
use usp::message::read::Get;
use usp::record::{Kind, NoSessionContext, PayloadSecurity, SessionContext};

const DESK: &str = "self::desk";
const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";

fn get(path: &str) -> RequestKind<'static> {
    RequestKind::Get(Get { param_paths: texts(&[path]), max_depth: 0 })
}

/// Shows R-MTP.4b, R-MTP.6, R-MTP.8, R-MTP.9, R-E2E.1, R-E2E.19, R-E2E.26, R-ENC.4.
#[test]
fn records_are_taken_or_left() {
    let Some((_house, _daemon)) = begin("records_are_taken_or_left", &word(&[(DESK, "full")])) else {
        return;
    };
    let mut local = Local::connect(DESK);
    assert!(matches!(local.came(), Came::Connect), "it says that it is there before anything else");
    let message = || {
        let payload = Msg::request("x", get(PERIOD)).encode().into();
        Some(Kind::NoSession(NoSessionContext { payload }))
    };
    // What is for somebody else, from somebody else, or says nothing is left.
    let good = local.record(message().unwrap());
    for (name, record) in [
        ("for another", usp::Record { to_id: "os::00D09E-0".into(), ..good.clone() }),
        ("from another", usp::Record { from_id: "self::other".into(), ..good.clone() }),
        ("of no kind", usp::Record { kind: None, ..good.clone() }),
        ("without a message", local.record(Kind::NoSession(NoSessionContext::default()))),
    ] {
        local.send(&record);
        let (asked, answered) = local.next_answered();
        assert_eq!(answered, asked, "{name}: it is left");
    }
    // What is sealed is not understood: it says so, and then that it is there.
    local.send(&usp::Record { payload_security: PayloadSecurity::Tls12, ..good });
    assert!(matches!(local.came(), Came::Disconnect(7102)));
    assert!(matches!(local.came(), Came::Connect), "before anything else");
    assert_eq!(
        local.get(&["Device.LocalAgent.EndpointID"]),
        "Device.LocalAgent.{EndpointID=os::00D09E-4711}"
    );
}

/// Shows R-E2E.4, R-E2E.5, R-E2E.6, R-E2E.6b, R-E2E.14, R-E2E.17, R-E2E.18, R-MTP.8.
#[test]
fn a_session_begins_and_ends() {
    let Some((_house, _daemon)) =
        begin("a_session_begins_and_ends", &word(&[(DESK, "full"), ("self::other", "full")]))
    else {
        return;
    };
    let mut local = Local::connect(DESK);
    assert!(matches!(local.came(), Came::Connect));
    let piece = |session_id, sequence_id| {
        let payload = vec![Msg::request("in-session", get(PERIOD)).encode().into()];
        let expected_id = sequence_id;
        Kind::Session(SessionContext {
            session_id,
            sequence_id,
            expected_id,
            payload,
            ..SessionContext::default()
        })
    };
    // Another number is another session, which begins with 1 again; there is one at a time.
    for session in [7, 9] {
        for sequence in [1, 2] {
            local.send(&local.record(piece(session, sequence)));
            let Came::Piece(answer) = local.came() else { panic!("not in the session") };
            let place = (answer.session_id, answer.sequence_id, answer.expected_id);
            assert_eq!(place, (session, sequence, sequence + 1));
        }
    }
    // A controller ends it, and begins another.
    assert!(local.operate("Device.LocalAgent.Controller.1.E2ESession.Reset()").contains("{}"));
    let [Came::Disconnect(7105), Came::Connect] = [local.came(), local.came()] else { panic!("no end") };
    local.send(&local.record(piece(10, 1)));
    assert!(matches!(local.came(), Came::Piece(_)));
    // It is not allowed any more: it ends, and the connection stays.
    let mut other = Local::connect("self::other");
    let off = "Device.LocalAgent.Controller.1.E2ESession. Enable=false";
    assert_eq!(other.set(false, &[off]), "Device.LocalAgent.Controller.1.E2ESession.{Enable=false}");
    assert!(matches!(local.came(), Came::Disconnect(7105)));
    assert!(matches!(local.came(), Came::Connect));
    local.send(&local.record(piece(11, 1)));
    assert!(matches!(local.came(), Came::Disconnect(7106)));
    assert!(local.get(&[PERIOD]).contains("86400"));
}

/// Shows R-E2E.3, R-E2E.14, R-E2E.21, R-E2E.24.
#[test]
fn a_session_begins_anew() {
    let Some((_house, _daemon)) = begin("a_session_begins_anew", &word(&[(DESK, "full")])) else { return };
    let mut local = Local::connect(DESK);
    assert!(matches!(local.came(), Came::Connect));
    let payload = || vec![Msg::request("x", get(PERIOD)).encode().into()];
    let piece = |session_id, sequence_id, payload| {
        Kind::Session(SessionContext {
            session_id,
            sequence_id,
            expected_id: 1,
            payload,
            ..SessionContext::default()
        })
    };
    let uneven = {
        let Kind::Session(piece) = piece(7, 1, payload()) else { panic!() };
        Kind::Session(SessionContext { payload_sar_state: usp::record::Sar::Begin, ..piece })
    };
    for (name, bad) in
        [("in the middle of what nobody began", piece(7, 5, payload())), ("pieces that do not fit", uneven)]
    {
        local.send(&local.record(bad));
        let Came::Piece(new) = local.came() else { panic!("{name}: no new session") };
        assert!(new.session_id > 1 && new.session_id != 7 && new.sequence_id == 1, "{name}: {new:?}");
        assert!(new.payload.is_empty(), "{name}: nothing was taken");
        local.send(&local.record(piece(new.session_id, 1, payload())));
        let Came::Piece(answer) = local.came() else { panic!("{name}: no answer") };
        assert_eq!((answer.session_id, answer.sequence_id), (new.session_id, 2), "{name}");
    }
}

/// Shows R-E2E.10, R-E2E.12.
#[test]
fn a_session_is_begun_until_it_is_taken_up() {
    let word = word(&[(DESK, "full"), ("self::other", "read")]);
    let Some((_house, _daemon)) = begin("a_session_is_begun_until_it_is_taken_up", &word) else { return };
    let (mut local, mut other) = (Local::connect(DESK), Local::connect("self::other"));
    let session = "Device.LocalAgent.Controller.1.E2ESession.";
    let count = format!("{session}CurrentRetryCount");
    let payload = || vec![Msg::request("x", get(PERIOD)).encode().into()];
    let piece = |session_id, sequence_id, payload| {
        Kind::Session(SessionContext {
            session_id,
            sequence_id,
            expected_id: 1,
            payload,
            ..SessionContext::default()
        })
    };
    let bad = |local: &mut Local| local.send(&local.record(piece(7, 5, payload())));
    // It waits for an hour: nothing else is begun before, however often it would have to be.
    let hour = format!("{session} SessionRetryMinimumWaitInterval=3600 SessionRetryIntervalMultiplier=1000");
    assert!(local.set(false, &[&hour]).contains("3600"));
    (0..3).for_each(|_| bad(&mut local));
    let Came::Piece(begun) = local.came() else { panic!("no session") };
    local.send(&local.record(piece(begun.session_id, 1, payload())));
    let Came::Piece(answer) = local.came() else { panic!("no answer") };
    assert_eq!((answer.session_id, answer.sequence_id), (begun.session_id, 2), "one was begun, and no more");
    // A second: it is begun again, each time with another number, and counted; until it is taken up.
    assert!(local.set(false, &[&format!("{session} SessionRetryMinimumWaitInterval=1")]).contains("=1"));
    bad(&mut local);
    let mut seen = vec![begun.session_id];
    for _ in 0..3 {
        let Came::Piece(again) = local.came() else { panic!("no session") };
        assert!(!seen.contains(&again.session_id) && again.sequence_id == 1 && again.payload.is_empty());
        seen.push(again.session_id);
    }
    assert!(!other.get(&[&count]).contains("CurrentRetryCount=0"), "it is counted");
    local.say(Msg::request("y", get(PERIOD)).encode());
    until("it is over", 10, || other.get(&[&count]).contains("CurrentRetryCount=0").then_some(()));
}

/// Shows R-ARC.1, R-ARC.2.
#[test]
fn nobody_is_called_as_we_are() {
    let Some((_house, _daemon)) =
        begin("nobody_is_called_as_we_are", &word(&[(stage::ENDPOINT, "full"), (DESK, "full")]))
    else {
        return;
    };
    let mut same = Local::connect(stage::ENDPOINT);
    same.say(Msg::request("x", get(PERIOD)).encode());
    let mut local = Local::connect(DESK);
    assert!(local.get(&[PERIOD]).contains("86400"), "another one is spoken with");
    drop(local);
    same.put(&usp::frame::write(&usp::frame::Value::Error("enough".to_owned())));
    assert_eq!(same.closed(), 0, "it is told nothing");
}

/// Shows R-UDS.14, R-UDS.19, R-UDS.20, R-UDS.25.
#[test]
fn frames_come_in_their_order() {
    let Some((_house, _daemon)) = begin("frames_come_in_their_order", &word(&[(DESK, "full")])) else {
        return;
    };
    let shake = |local: &mut Local| {
        local.put(&usp::frame::write(&usp::frame::Value::Handshake(DESK.to_owned())));
    };
    let mut local = Local::early(DESK);
    local.say(Msg::request("early", get(PERIOD)).encode());
    shake(&mut local);
    local.shaken();
    assert!(matches!(local.came(), Came::Connect), "what came before the handshake was not looked at");
    shake(&mut local);
    let (asked, answered) = local.next_answered();
    assert_eq!(answered, asked, "a second handshake is ignored");
    // Whoever says that something is wrong is not spoken to any more; before the handshake, too.
    for mut wrong in [local, Local::early(DESK)] {
        wrong.put(&usp::frame::write(&usp::frame::Value::Error("no".to_owned())));
        wrong.closed();
    }
}

/// Shows R-ENC.2, R-ENC.5, R-MSG.1, R-MSG.4, R-MSG.8, R-MSG.9, R-MSG.10, R-MTP.5.
#[test]
fn messages_are_answered_or_left() {
    let Some((_house, _daemon)) = begin("messages_are_answered_or_left", &word(&[(DESK, "full")])) else {
        return;
    };
    let mut local = Local::connect(DESK);
    let good = Msg::request("x", get(PERIOD)).encode();
    let place = good.windows(2).position(|pair| pair == [0x10, 1]).unwrap();
    let typed = |kind: u8| {
        let mut bytes = good.clone();
        bytes[place + 1] = kind;
        bytes
    };
    let header =
        |id: &'static str| usp::message::Header { msg_id: id.into(), ..usp::message::Header::default() };
    let empty = usp::message::Body {
        kind: Some(usp::message::BodyKind::Request(usp::message::Request { kind: None })),
    };
    let register = usp::message::write::Register { allow_partial: true, reg_paths: Vec::new() };
    let want = "Device.LocalAgent.Controller.1.{PeriodicNotifInterval=86400}";
    for (name, bytes, answer) in [
        ("a question", good.clone(), want),
        ("its header says something else", typed(4), want),
        ("its header says what does not exist", typed(99), "error 7004"),
        ("without a body", Msg { header: Some(header("x")), body: None }.encode(), "error 7004"),
        (
            "without a question",
            Msg { header: Some(header("x")), body: Some(empty.clone()) }.encode(),
            "error 7004",
        ),
        ("no agent's to answer", Msg::request("x", RequestKind::Register(register)).encode(), "error 7001"),
    ] {
        local.say(bytes);
        let got = local.message();
        assert_eq!(
            (got.header.as_ref().unwrap().msg_id.as_ref(), line(&got).as_str()),
            ("x", answer),
            "{name}"
        );
    }
    for (name, bytes) in [
        ("without a number", Msg { header: Some(header("")), body: Some(empty) }.encode()),
        ("no message", vec![0xff; 30]),
        ("an answer to nothing", {
            let answer = usp::message::act::NotifyResp { subscription_id: "x".into() };
            Msg::response("x", usp::message::ResponseKind::Notify(answer)).encode()
        }),
    ] {
        local.say(bytes);
        let (asked, answered) = local.next_answered();
        assert_eq!(answered, asked, "{name}: it is left");
    }
    // The same twice at once is answered once; later it is another question.
    let twice = usp::frame::write(&usp::frame::Value::Record(
        local.record(Kind::NoSession(NoSessionContext { payload: good.clone().into() })).encode(),
    ));
    local.put(&[twice.clone(), twice].concat());
    assert_eq!(local.message().header.unwrap().msg_id, "x");
    let (asked, answered) = local.next_answered();
    assert_eq!(answered, asked, "once");
}
