//! What `names` hears: questions of clients, answers of upstreams.

use contract::mac::Mac;
use contract::resolve::Local;
use contract::told::{Names, Who};
use names::engine::{By, Came, Engine, Outcome, Step, To};
use names::message::{self, TYPE_A};
use names::policy::Asker;
use names::query::{self, HEADER_BYTES, Question, record, word};
use names::{name, stream};
use tests::fuzz::run;

const QUESTION: &[u8] =
    b"\0\x07\x01\x20\0\x01\0\0\0\0\0\x01\x03wWw\x07example\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
const REVERSE: &[u8] =
    b"\0\x07\x01\x20\0\x01\0\0\0\0\0\0\x017\x011\x03168\x03192\x07in-addr\x04arpa\0\0\x0c\0\x01";
const ANSWER: &[u8] = b"\0\x07\x81\xa0\0\x01\0\x02\0\0\0\x01\x03www\x07example\0\0\x01\0\x01\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10\
    \xc0\x2d\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
const NOTHING: &[u8] = b"\0\x07\x81\x83\0\x01\0\0\0\x01\0\0\x03www\x07example\0\0\x01\0\x01\xc0\x10\0\x06\0\x01\0\0\0\x3c\0\x16\0\0\
    \0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x3c";

fn engine() -> Engine {
    let mut engine = Engine::default();
    let upstream = contract::wanted::reach::Upstream {
        enable: true,
        address: [192, 0, 2, 53].into(),
        port: 0,
        tls: "".into(),
    };
    engine.want(Names {
        domain: "home.arpa".into(),
        upstreams: heapless::Vec::from_iter([upstream]),
        ours: heapless::Vec::from_iter(["192.168.1.0/24".parse().unwrap()]),
        ..Names::default()
    });
    let address = [192, 168, 1, 7].into();
    engine.hosts(true, &[Local { name: "www".into(), address, mac: Mac([2; 6]), link: "lan".into() }]);
    engine
}

/// Every record of an answer of ours can be read, and nothing is behind them.
fn check(answer: &[u8], limit: usize) {
    assert!(answer.len() >= HEADER_BYTES && answer.len() <= limit, "{} bytes", answer.len());
    let counts = [4, 6, 8, 10].map(|place| word(answer, place).unwrap());
    let mut at = HEADER_BYTES;
    for _ in 0..counts[0] {
        at = name::behind(answer, at).unwrap() + 4;
    }
    for _ in 0..counts[1..].iter().sum::<u16>() {
        at = record(answer, at).expect("a record of ours").end;
    }
    assert_eq!(at, answer.len(), "nothing behind it");
}

#[test]
fn dns_question() {
    run("dns_question", &[QUESTION, REVERSE], |bytes| {
        let mut engine = engine();
        let asker =
            Asker { address: [192, 168, 1, 9].into(), who: &Who::Home, ours: [192, 168, 1, 1].into() };
        for (by, limit) in [(By::Udp, 1_232), (By::Tcp, 65_535)] {
            let mut out = vec![0; 65_535];
            match engine.question(bytes, Came { asker, by, now_ms: 1_000 }, &mut out) {
                Step::Answer(length) => check(&out[..length], limit),
                Step::Ask(question, kept) => {
                    let asked = message::ask(7, &question, true, true);
                    assert!(
                        query::read(&asked).is_some_and(|read| read.is_ok()),
                        "what we ask is a question"
                    );
                    let to = To { head: kept.head(), by, now_ms: 1_000 };
                    let length = engine.answer(&question, to, &Outcome::Failed, &mut out);
                    check(&out[..length], limit);
                }
                Step::Drop => {}
            }
        }
        let _ = stream::take_message(&mut bytes.to_vec());
    });
}

#[test]
fn relayed() {
    let ssdp = b"M-SEARCH * HTTP/1.1\r\nMX: 1\r\n\r\n";
    run("relayed", &[QUESTION, ANSWER, ssdp], |bytes| {
        let mut packet = bytes.to_vec();
        if names::relay::mdns(&mut packet) {
            let again = packet.clone();
            assert!(names::relay::mdns(&mut packet) && packet == again, "twice is once");
        }
        let _ = (names::relay::ssdp(bytes), names::relay::is_found(bytes));
    });
}

#[test]
fn dns_answer() {
    run("dns_answer", &[ANSWER, NOTHING], |bytes| {
        let (mut engine, mut out) = (engine(), vec![0; 65_535]);
        let question = Question::new(b"\x03www\x07example\0", TYPE_A, false, false);
        let Ok(answer) = message::read(bytes, 7, &question) else { return };
        let Some(Ok((head, _))) = query::read(QUESTION) else { panic!("a good question") };
        let outcome = engine.take(&question, Outcome::Answer(answer, bytes), 1_000);
        for (by, limit) in [(By::Udp, 1_232), (By::Tcp, 65_535)] {
            let length = engine.answer(&question, To { head, by, now_ms: 1_000 }, &outcome, &mut out);
            check(&out[..length], limit);
        }
        // And once more, from what is remembered, a while later.
        let asker =
            Asker { address: [192, 168, 1, 9].into(), who: &Who::Home, ours: [192, 168, 1, 1].into() };
        let plain = [&QUESTION[..11], &[0], &QUESTION[12..29]].concat();
        if let Step::Answer(length) =
            engine.question(&plain, Came { asker, by: By::Tcp, now_ms: 9_000 }, &mut out)
        {
            check(&out[..length], 65_535);
        }
    });
}
