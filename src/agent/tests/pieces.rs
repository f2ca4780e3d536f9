//! An end-to-end session with a second side that we did not write: messages in pieces, pieces that are lost and asked for again.
//!
//! In:  records of rusp-lib's, each of them read by it, too; which piece goes when is the test's. Out: what the agent makes of them.
//!
//! usp-js has sessions (`usp.rs`), but no pieces: it takes the first payload of a record for a whole message, sends each message whole, and has
//! no word for a piece to be sent again (usp-js 0.5.1, node/commands/index.js, `readMsg`). rusp-lib's builder of sessions has no pieces either
//! (they are `NONE`), so their marks are set here.
//!
//! Source: TR-369 §5.3 (R-E2E).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::net::TcpListener;

use mqtt::packet::Version;
use rusp_lib::usp_builder::{GetBuilder, MsgBuilder, RecordBuilder, SessionContextBuilder};
use rusp_lib::usp_decoder::{try_decode_msg, try_decode_record};
use rusp_lib::usp_record::SessionContextRecord;
use rusp_lib::usp_record::mod_Record::OneOfrecord_type;
use rusp_lib::usp_record::mod_SessionContextRecord::PayloadSARState as Mark;
use stage::broker::Agent;
use stage::local::{Local, begin, word};
use stage::{ENDPOINT, House, daemon, enter};
use usp::message::RequestKind;
use usp::message::read::Get;
use usp::record::{Kind, Sar, SessionContext};
use usp::{Msg, Record};

const DESK: &str = "self::desk";
/// The session's number.
const SESSION: u64 = 21;
/// How much of a message the agent may put into one record, in bytes.
const PIECE_BYTES: usize = 512;

/// The second side: its own numbers, and which of the agent's comes next.
struct Side {
    local: Local,
    next: u64,
    expected: u64,
}

impl Side {
    /// A piece with the next number of ours; 0: nothing is asked for again.
    fn piece(&mut self, mark: Mark, payload: Option<&[u8]>, again: u64) -> Vec<u8> {
        let mut session = SessionContextBuilder::new()
            .with_session_id(SESSION)
            .with_sequence_id(self.next)
            .with_expected_id(self.expected)
            .with_retransmit_id(again);
        if let Some(payload) = payload {
            session = session.with_payload(payload.to_vec());
        }
        self.next += 1;
        let record = RecordBuilder::new()
            .with_version("1.4".to_owned())
            .with_to_id(ENDPOINT.to_owned())
            .with_from_id(DESK.to_owned())
            .with_session_context_builder(session);
        let mut record = record.build().unwrap();
        let OneOfrecord_type::session_context(session) = &mut record.record_type else {
            panic!("{record:?}")
        };
        (session.payload_sar_state, session.payloadrec_sar_state) = (mark, mark);
        record.to_vec().unwrap()
    }

    /// The agent's next piece, as rusp-lib reads it.
    fn came(&mut self) -> SessionContextRecord {
        loop {
            let record = try_decode_record(&self.local.bytes()).unwrap();
            assert_eq!((record.to_id.as_str(), record.from_id.as_str()), (DESK, ENDPOINT));
            match record.record_type {
                OneOfrecord_type::session_context(piece) => {
                    assert_eq!(piece.session_id, SESSION);
                    return piece;
                }
                OneOfrecord_type::uds_connect(_) => {} // it says that it is there
                other @ (OneOfrecord_type::no_session_context(_)
                | OneOfrecord_type::websocket_connect(_)
                | OneOfrecord_type::mqtt_connect(_)
                | OneOfrecord_type::stomp_connect(_)
                | OneOfrecord_type::disconnect(_)
                | OneOfrecord_type::None) => panic!("{other:?}"),
            }
        }
    }
}

/// Shows R-E2E.16, R-E2E.17, R-E2E.20, R-E2E.22.
#[test]
fn messages_go_in_pieces_and_what_is_lost_comes_again() {
    let Some((_house, _daemon)) =
        begin("messages_go_in_pieces_and_what_is_lost_comes_again", &word(&[(DESK, "full")]))
    else {
        return;
    };
    let mut local = Local::connect(DESK);
    let limit = format!("Device.LocalAgent.Controller.1.E2ESession. MaxUSPRecordSize={PIECE_BYTES}");
    assert!(local.set(false, &[&limit]).contains("512"));
    let mut side = Side { local, next: 1, expected: 1 };
    let get = question("in pieces", &["Device.LocalAgent.", "Device.DeviceInfo.", "Device.SoftwareModules."]);
    let third = get.len().div_ceil(3);
    let marks = [Mark::BEGIN, Mark::INPROCESS, Mark::COMPLETE];
    let pieces: Vec<Vec<u8>> =
        get.chunks(third).zip(marks).map(|(part, mark)| side.piece(mark, Some(part), 0)).collect();
    assert_eq!(pieces.len(), 3);

    // The second one is lost on its way: the agent asks for it, and answers once it has come.
    side.local.put(&frame(&pieces[0]));
    side.local.put(&frame(&pieces[2]));
    let asks = side.came();
    assert_eq!((asks.sequence_id, asks.expected_id, asks.retransmit_id), (1, 2, 2), "{asks:?}");
    assert!(asks.payload.is_empty(), "{asks:?}");
    side.local.put(&frame(&pieces[1]));
    side.expected = 2;

    // The answer, in pieces in their order; the third one is lost on its way.
    let mut got: Vec<SessionContextRecord> = Vec::new();
    while got.last().is_none_or(|last| last.payload_sar_state != Mark::COMPLETE) {
        let piece = side.came();
        assert_eq!(piece.sequence_id, 2 + u64::try_from(got.len()).unwrap());
        assert_eq!((piece.expected_id, piece.retransmit_id), (4, 0), "all three have come");
        assert_eq!(piece.payload.len(), 1);
        assert!(piece.payload[0].len() <= PIECE_BYTES, "{} bytes", piece.payload[0].len());
        let mark = if got.is_empty() { [Mark::BEGIN; 2] } else { [Mark::INPROCESS, Mark::COMPLETE] };
        assert!(mark.contains(&piece.payload_sar_state), "{:?}", piece.payload_sar_state);
        assert_eq!(piece.payload_sar_state, piece.payloadrec_sar_state);
        got.push(piece);
    }
    assert!(got.len() > 4, "{} pieces", got.len());
    let lost = got.remove(2);
    side.expected = lost.sequence_id;
    let ask = side.piece(Mark::NONE, None, lost.sequence_id);
    side.local.put(&frame(&ask));
    let again = side.came();
    assert_eq!((again.sequence_id, again.retransmit_id), (lost.sequence_id, 0));
    assert_eq!(again.payload, lost.payload, "the same once more");
    got.insert(2, again);
    let whole: Vec<u8> = got.iter().flat_map(|piece| piece.payload[0].clone()).collect();
    let answer = try_decode_msg(&whole).unwrap();
    assert_eq!(answer.msg_id(), "in pieces");
    let said = format!("{answer:?}");
    assert!(!answer.is_error() && said.contains(ENDPOINT) && said.contains("ExecutionUnit"), "{said}");
    // What came twice is not taken twice: the next answer is that of the next question.
    side.local.put(&frame(&pieces[1]));
    side.expected = got.last().unwrap().sequence_id + 1;
    let next = side.piece(Mark::NONE, Some(&question("whole", &["Device.LocalAgent.EndpointID"])), 0);
    side.local.put(&frame(&next));
    let piece = side.came();
    assert_eq!((piece.payload_sar_state, piece.expected_id), (Mark::NONE, 6));
    assert_eq!(try_decode_msg(&piece.payload[0]).unwrap().msg_id(), "whole");
}

/// What the agent says next in a session: the length of its packet, and the piece.
fn piece(agent: &mut Agent) -> (usize, SessionContext<'static>) {
    let (topic, properties, bytes) = agent.publish();
    // A head of three bytes, two lengths of two, a number of two, a length of properties, and what is before each of the two.
    let texts = [topic, properties.content_type.unwrap(), properties.response_topic.unwrap()];
    let length = 3 + 2 + 2 + 1 + 2 * 3 + texts.iter().map(String::len).sum::<usize>() + bytes.len();
    match Record::decode(bytes.leak(), &usp::DESK).unwrap().kind {
        Some(Kind::Session(piece)) => (length, piece),
        other => panic!("{other:?}"),
    }
}

/// In a session nothing is too long for a broker: a message goes in pieces, each as long as the broker's packets may be, or as the controller
/// likes it, whichever is shorter. A broker that takes no piece at all is told nothing that it would hang up for.
/// Shows R-E2E.16.
#[test]
fn a_session_is_cut_to_what_the_broker_takes() {
    if !enter("a_session_is_cut_to_what_the_broker_takes") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&(stage::word("") + "[[controller]]\nendpoint = 'self::root'\nlocal = 'root'\n"));
    let mut root = Local::connect("self::root");
    for (packet, wish, most) in
        [(1_000_u16, 0, 1_000), (1_000, 4_000, 1_000), (4_000, 700, 850), (400, 0, 400)]
    {
        let set = format!("Device.LocalAgent.Controller.1.E2ESession. MaxUSPRecordSize={wish}");
        assert!(root.set(false, &[&set]).contains("MaxUSPRecordSize"), "{wish}");
        let mut agent = Agent::accept(&listener, Version::V5);
        agent.connect();
        agent.send(0x20, &[&[0, 0, 5, 0x27, 0, 0][..], &packet.to_be_bytes()].concat());
        agent.subscribe(1);
        agent.publish();
        let get = Get { param_paths: vec!["Device.LocalAgent.".into()], max_depth: 0 };
        let session = SessionContext {
            session_id: 77,
            sequence_id: 1,
            expected_id: 1,
            payload: vec![Msg::request("long", RequestKind::Get(get)).encode().into()],
            ..SessionContext::default()
        };
        let record = Record {
            version: "1.4".into(),
            to_id: ENDPOINT.into(),
            from_id: DESK.into(),
            kind: Some(Kind::Session(session)),
            ..Record::default()
        };
        agent.ask(&record.encode(), ("usp.msg", "/back"));
        let (mut whole, mut lengths) = (Vec::new(), Vec::new());
        let marks = loop {
            let (length, piece) = piece(&mut agent);
            assert!(length <= most, "{length} bytes, {most} are allowed");
            lengths.push(length);
            assert_eq!(piece.sequence_id, u64::try_from(lengths.len()).unwrap());
            whole.extend(piece.payload.concat());
            if matches!(piece.payload_sar_state, Sar::Complete | Sar::None) {
                break piece.payload_sar_state;
            }
        };
        let message = Msg::decode(&whole, &usp::DESK).unwrap();
        let said = format!("{message:?}");
        assert_eq!(message.header.unwrap().msg_id, "long");
        if packet == 400 {
            assert!(marks == Sar::None && said.contains("more than the broker takes"), "{said}");
            continue;
        }
        assert!(marks == Sar::Complete && lengths.len() > 4, "{lengths:?}");
        assert!(said.contains("EndpointID") && said.contains(ENDPOINT), "{said}");
        let full = &lengths[..lengths.len() - 1];
        assert!(
            full.iter().all(|length| *length > most - most / 8),
            "none is shorter than it has to be: {lengths:?}"
        );
    }
}

fn question(id: &str, paths: &[&str]) -> Vec<u8> {
    let params = paths.iter().map(|path| (*path).to_owned()).collect();
    let body = GetBuilder::new().with_params(params).build().unwrap();
    MsgBuilder::new().with_msg_id(id.to_owned()).with_body(body).build().unwrap().to_vec().unwrap()
}

fn frame(record: &[u8]) -> Vec<u8> {
    usp::frame::write(&usp::frame::Value::Record(record.to_vec()))
}
