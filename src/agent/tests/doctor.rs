//! `ctl usp doctor` names what is broken: each test breaks one thing, and asks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::time::SystemTime;

use contract::doctor::{Side, Stage};
use serde_json::json;
use stage::{Desk, House, Program, broker, certificates, daemon, enter, examined, openssl, run, until, word};

/// From now on whoever connects to `port` hears these words, and nothing more.
fn says(port: u16, words: &'static [u8]) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new(); // a connection that ends is another fault
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = std::io::Write::write_all(&mut socket, words);
            kept.push(socket);
        }
    });
}

/// With this word of the operator's it ends at `stage`, on `side`, and the reason or the remedy has these words in it.
fn ends(word: &str, stage: Stage, side: Side, words: &[&str]) {
    let _daemon = daemon(word);
    let found = examined();
    assert_eq!((found.stage, found.side), (stage, side), "{found:?}; {}", stage::daemon_said());
    for word in words {
        assert!(found.why.contains(word) || found.remedy.contains(word), "{word}: {found:?}");
    }
}

#[test]
fn a_line_that_is_broken_is_named() {
    if !enter("a_line_that_is_broken_is_named") {
        return;
    }
    let _house = House::begin();
    ends("", Stage::Configured, Side::Operator, &["nobody is obeyed", "agent.toml"]);
    ends("[[controller]]\n", Stage::Configured, Side::Operator, &["nobody is obeyed"]);
    let to = |name: &str| word("").replace("broker.example", name);
    ends(
        &to("no-such-name.invalid"),
        Stage::Name,
        Side::Line,
        &["no-such-name.invalid: no address", "ctl lease"],
    );
    ends(&to("127.0.0.1"), Stage::Connection, Side::Line, &["refused", "does anything listen"]);
    // Something that is no broker, and something that takes the connection and says nothing.
    let port = |port: u16| word("").replace("port = 1883", &format!("port = {port}"));
    says(1900, b"\xf0\x00HTTP/1.1 400 Bad Request\r\n\r\n");
    ends(&port(1900), Stage::Admission, Side::Operator, &["something else answers"]);
    says(1901, b"");
    ends(&port(1901), Stage::Admission, Side::Operator, &["says nothing"]);
    says(1902, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let came = "[[controller]]\nendpoint = 'self::app'\nlocal = 'root'\n";
    ends(came, Stage::Configured, Side::Operator, &["has to come"]);
    let calls =
        "[[controller]]\nendpoint = 'self::c'\nurl = 'ws://127.0.0.1:1902/usp'\nin_the_clear = true\n";
    ends(calls, Stage::Admission, Side::Operator, &["it answers 400", "compare username"]);
}

/// A broker whose certificate is good between these days, counted from today.
fn dated(port: u16, begins: i64, ends: i64) -> Program {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let day = |days: i64| {
        let second = i64::try_from(now).unwrap() + days * 86_400;
        run(&["date", "-u", "-d", &format!("@{second}"), "+%Y%m%d%H%M%SZ"]).trim().to_owned()
    };
    let certificate = format!("/run/{port}.pem");
    let authority = "[ca]\ndefault_ca=dated\n[dated]\ndatabase=/run/index\nrand_serial=yes\nnew_certs_dir=/run\n\
        policy=any\ndefault_md=default\nunique_subject=no\n[any]\ncommonName=supplied\n";
    fs::write("/run/dated.cnf", authority).unwrap();
    fs::write("/run/index", "").unwrap();
    openssl(&format!(
        "ca -config /run/dated.cnf -batch -notext -in /run/server.csr -cert /run/ca.pem -keyfile /run/ca.key \
         -startdate {} -enddate {} -extfile /run/extension -out {certificate}",
        day(begins),
        day(ends)
    ));
    let file = format!("/run/{port}.conf");
    let conf = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\ncertfile {certificate}\nkeyfile /run/server.key\n"
    );
    fs::write(&file, conf).unwrap();
    let broker = Program::start("", &["mosquitto", "-c", &file], None);
    until("the broker listens", 10, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    broker
}

#[test]
fn a_certificate_that_is_wrong_is_named() {
    if !enter("a_certificate_that_is_wrong_is_named") {
        return;
    }
    certificates();
    let conf = "listener 8883 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n";
    let (_broker, _house) = (broker(conf), House::begin());
    let by_tls = |name: &str| {
        word("")
            .replace("broker.example", name)
            .replace("port = 1883\ntls = false\nin_the_clear = true\n", "port = 8883\n")
    };
    let side = Side::Gateway;
    ends(&by_tls("broker.example"), Stage::Certificate, side, &["no certificate in", "root certificate"]);
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    ends(&by_tls("broker.example"), Stage::Clock, side, &["clock is not believed", "ctl clock"]);
    fs::write("/run/time/synchronized", "").unwrap();
    ends(&by_tls("localhost"), Stage::Certificate, Side::Operator, &["the name that stands in it"]);
    // From the same authority, for the same name; yesterday it was good, or tomorrow it will be.
    for (port, [begins, ends_at], words) in [
        (8884, [-2, -1], ["it has expired", "needs a new one"]),
        (8885, [1, 2], ["it is not valid yet", "ctl clock"]),
    ] {
        let _broker = dated(port, begins, ends_at);
        let word = by_tls("broker.example").replace("8883", &port.to_string());
        ends(&word, Stage::Certificate, Side::Operator, &words);
    }
    // Plain MQTT where TLS is wanted.
    ends(&by_tls("broker.example").replace("8883", "1883"), Stage::Certificate, Side::Operator, &["TLS 1.3"]);
    // Another authority.
    run(&[
        "openssl",
        "req",
        "-config",
        "/etc/openssl.cnf",
        "-newkey",
        "ed25519",
        "-nodes",
        "-x509",
        "-subj",
        "/CN=other",
        "-days",
        "30",
        "-keyout",
        "/run/other.key",
        "-out",
        "/etc/shg/trust.pem",
    ]);
    ends(
        &by_tls("broker.example"),
        Stage::Certificate,
        Side::Operator,
        &["nobody whom the gateway believes"],
    );
}

#[test]
fn a_broker_or_controller_that_says_no_is_named() {
    if !enter("a_broker_or_controller_that_says_no_is_named") {
        return;
    }
    let (_broker, _house) = (broker(""), House::begin());
    let file = stage::folder("strict").join("conf");
    fs::write(&file, "listener 1884 127.0.0.1\nallow_anonymous false\nuser root\n").unwrap();
    let _strict = stage::Program::start("", &["mosquitto", "-c", file.to_str().unwrap()], None);
    until("the strict broker", 5, || std::net::TcpStream::connect("127.0.0.1:1884").ok());
    // CONNACK 0, and SUBACK 135: not authorised. (mosquitto grants every topic and then passes nothing on.)
    says(1885, &[0x20, 3, 0, 0, 0, 0x90, 4, 0, 1, 0, 0x87]);
    let port = |port: u16| word("").replace("port = 1883", &format!("port = {port}"));
    ends(&port(1884), Stage::Admission, Side::Operator, &["refuses us", "compare username and password"]);
    ends(&port(1885), Stage::Topic, Side::Operator, &["no topic", "access list"]);
    // It stands, and nobody has said a word.
    ends(&word(""), Stage::Controller, Side::Operator, &["no word of the controller yet"]);
    let nothing = "role = 'none'\n[[role]]\nname = 'none'\nrules = [{ order = 1, targets = ['Device.'], rights = '----' }]\n";
    ends(&word(nothing), Stage::Rights, Side::Operator, &["role none grants nothing"]);
    let _daemon = stage::connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
    assert_eq!((examined().stage, examined().side), (Stage::Well, Side::Nobody));
}
