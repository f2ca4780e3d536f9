//! What a broker sends to the agent, and the operator's word.

use agent::access::Access;
use agent::broker::cut::{self, Piece};
use agent::broker::merge::{Reply, merge};
use agent::discovery::dns::{self, Kind, Name};
use agent::tenants::word::{self, Word};
use agent::websocket::Session;
use agent::websocket::frame::{self, Opcode};
use agent::websocket::handshake::{self, Call};
use mqtt::client::Client;
use mqtt::packet::{self, Hello, Version};
use tests::fuzz::run;
use usp::message::act::{Notify, NotifyKind, ValueChange};
use usp::message::read::{GetResp, RequestedPath, ResolvedPath};
use usp::message::{Body, BodyKind, Entry, RequestKind, ResponseKind};
use usp::{GATEWAY, Msg};

const CONNACK: [u8; 11] = [0x20, 9, 0, 0, 6, 0x22, 0, 10, 0x21, 0, 20];
const SUBACK: [u8; 6] = [0x90, 4, 0, 1, 0, 1];

#[test]
fn agent_mqtt() {
    let publish = packet::publish(Some(7), "us", "them", b"record", Version::V5);
    let life = [CONNACK.as_slice(), &SUBACK, &publish].concat();
    let old = [
        &[0x20, 2, 0, 0][..],
        &[0x90, 3, 0, 1, 1],
        &packet::publish(Some(7), "us", "them", b"x", Version::V311),
    ]
    .concat();
    run("agent_mqtt", &[&life, &old, &publish], |bytes| {
        for version in [Version::V5, Version::V311] {
            let mut client = Client::begin(&Hello::default(), version, &["us".to_owned()], 0);
            let half = bytes.len() / 2;
            let first = client.hear(&bytes[..half], 1);
            if first.is_ok() && client.hear(&bytes[half..], 2).is_ok() {
                let _ = client.send("them", b"answer".to_vec());
            }
            assert!(client.take_out(3).len() <= 16 * bytes.len() + 1024, "nothing grows out of little");
        }
    });
}

#[test]
fn agent_websocket() {
    let mask = Some([1, 2, 3, 4]);
    let life =
        [frame::write(Opcode::Ping, b"?", mask), frame::write(Opcode::Binary, b"record", mask)].concat();
    let long = frame::write(Opcode::Binary, &[7; 300], mask);
    run("agent_websocket", &[&life, &long, &frame::write(Opcode::Close, b"\x03\xe8", mask)], |bytes| {
        let mut session = Session::take(Vec::new(), Vec::new(), 60, 0);
        session.take_out();
        let half = bytes.len() / 2;
        let heard = session.hear(&bytes[..half], 1).and_then(|mut news| {
            news.extend(session.hear(&bytes[half..], 2)?);
            Ok(news)
        });
        assert!(session.take_out().len() <= 2 * bytes.len() + 16, "nothing grows out of little");
        assert!(heard.map_or(0, |news| news.len()) <= bytes.len());
    });
}

#[test]
fn agent_handshake() {
    let to = Call { host: "h", path: "/usp", endpoint: "self::a", credentials: Some(("u", "p")) };
    let request = handshake::request(&to, &handshake::key([1, 2, 3, 4]));
    run("agent_handshake", &[&request, &handshake::answer("k", Some("os::00D09E-1"))], |bytes| {
        if let Ok(Some(request)) = handshake::read(bytes) {
            assert!(request.length <= bytes.len());
        }
        if let Ok(Some(length)) = handshake::accepted(bytes, "k") {
            assert!(length <= bytes.len());
        }
    });
}

#[test]
fn agent_frames() {
    let samples = [
        usp::frame::write(&usp::frame::Value::Handshake("os::00D09E-1".to_owned())),
        usp::frame::write(&usp::frame::Value::Record(vec![1, 2, 3])),
    ];
    run("agent_frames", &[&samples.concat(), &samples[0]], |bytes| {
        let Ok(Some((values, length))) = usp::frame::read(bytes, 4096) else { return };
        assert!(length <= bytes.len());
        for value in values {
            let frame = usp::frame::write(&value);
            assert_eq!(usp::frame::read(&frame, 4096), Ok(Some((vec![value], frame.len()))));
        }
    });
}

#[test]
fn agent_tenant() {
    let samples: [&[u8]; 4] = [
        br#"{"metric":"visits","type":"counter","value":17,"id":3}"#,
        br#"{"event":"door","data":{"open":true,"by":"me","n":7}}"#,
        br#"{"health":"failing","reason":"no \u00e9 disk"}"#,
        br#"{"metric":"t","value":-21.5e2}"#,
    ];
    run("agent_tenant", &samples, |bytes| {
        let said = word::read(bytes);
        let answer = word::answer(said.id, said.word.as_ref().map(|_| ()).map_err(String::as_str));
        let answer = answer.unwrap_or_default();
        let ends = answer.iter().filter(|byte| **byte == b'\n').count();
        assert!(ends == usize::from(!answer.is_empty()), "an answer is one line");
        if let Ok(Word::Metric { value, .. }) = said.word {
            assert!(value.len() <= 24 && value.parse::<f64>().is_ok(), "{value}");
        }
    });
}

/// What a service has registered.
const PLACE: &str = "Device.X_SHG_Services.hello.";

/// What a service answers a controller, and what it tells: nobody sees of it more than its own places.
#[test]
fn agent_service() {
    let resolved =
        ResolvedPath { resolved_path: PLACE.into(), result_params: vec![Entry::new("Level", "7")] };
    let requested = RequestedPath { resolved_path_results: vec![resolved], ..RequestedPath::default() };
    let get = ResponseKind::Get(GetResp { req_path_results: vec![requested] });
    let change = ValueChange { param_path: format!("{PLACE}Level").into(), param_value: "7".into() };
    let notify = Notify { kind: Some(NotifyKind::ValueChange(change)), send_resp: true, ..Notify::default() };
    let samples = [Msg::response("1", get).encode(), Msg::request("2", RequestKind::Notify(notify)).encode()];
    run("agent_service", &[&samples[0], &samples[1]], |bytes| {
        if let Ok(Msg { body: Some(Body { kind: Some(BodyKind::Request(request)) }), .. }) =
            Msg::decode(bytes, &GATEWAY)
            && let Some(RequestKind::Notify(notify)) = request.kind
            && let Some((_, told)) = agent::broker::news::place(&notify, &[PLACE.to_owned()])
        {
            assert!(told.starts_with(PLACE), "nobody else's news: {told}");
        }
        answered(bytes);
    });
}

fn answered(bytes: &[u8]) {
    use cut::Kind::{Add, Delete, Get, Instances, Set};
    let world = agent::world::World::default();
    let paths = vec![PLACE.to_owned()];
    let reply = Reply { piece: 0, service: "hello".to_owned(), paths, message: Some(bytes.to_vec()) };
    let pieces = [PLACE, "Device."].map(|path| Piece { path: path.to_owned(), ours: false, failed: None });
    let (whole, supported) = (cut::Kind::Whole, cut::Kind::Supported(true));
    for kind in [Get, Instances, supported, Set, Add, Delete, whole] {
        let replies = (Access::ours(&world), &[&reply][..]);
        let (message, begun) = merge(("1", 1), (kind, &pieces), None, replies);
        assert!(begun.iter().all(|command| command.starts_with(PLACE)));
        if let Some(BodyKind::Response(response)) = message.body.and_then(|body| body.kind)
            && let Some(ResponseKind::Get(get)) = response.kind
        {
            let shown = get.req_path_results.iter().flat_map(|one| &one.resolved_path_results);
            assert!(shown.into_iter().all(|one| one.resolved_path.starts_with(PLACE)));
        }
    }
}

#[test]
fn agent_configuration() {
    let sample = b"[[controller]]\nendpoint = 'self::c'\nbroker = '192.0.2.1'\ntopic = '/c'\nrole = 'r'\n\
        [[role]]\nname = 'r'\nrules = [{ order = 1, targets = ['Device.'], rights = 'r--n' }]\n";
    run("agent_configuration", &[sample], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let _ = agent::configuration::parse(text);
    });
}

#[test]
fn agent_dns() {
    fn name() -> Name {
        Name::of("_usp-ctr-ws._tcp.isp.example").unwrap()
    }
    let answer = |kind, number: u8, data: &[u8]| {
        let mut message = dns::question(7, &name(), kind);
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[7] = 1;
        message.extend([0xc0, 12, 0, number, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
        message.extend(data);
        message
    };
    let samples = [
        answer(Kind::Pointers, 12, b"\x09self::isp\xc0\x0c"),
        answer(Kind::Servers, 33, b"\0\x0a\0\x05\x20\xfb\x03usp\xc0\x1d"),
        answer(Kind::Texts, 16, b"\x09path=/usp\x07encrypt"),
    ];
    run("agent_dns", &samples.each_ref().map(Vec::as_slice), |bytes| {
        for kind in [Kind::Pointers, Kind::Servers, Kind::Texts] {
            let records = dns::read(bytes, 7, &name(), kind).unwrap_or_default();
            assert!(records.len() <= bytes.len() / 11, "a record has eleven bytes at least");
        }
    });
}
