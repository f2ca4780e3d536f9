//! TLS in each direction: whom the agent believes, and whom not; and a controller that calls.
//!
//! In:  certificates of openssl(1), mosquitto. Out: a controller is answered, or the agent says why it does not speak.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use contract::identify::{Answer, Ask};
use serde_json::json;
use stage::who::Who;
use stage::{
    CONTROLLER, Desk, ENDPOINT, House, broker, certificates, connected, daemon, daemon_said, enter, until,
    word,
};
use x509::issue::ALWAYS_S;
use x509::{Authority, Request};

const CONF: &str = "listener 8883 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n";

// Shows R-MTP.1, R-MTP.2, R-MTP.3, R-MTP.4, R-SEC.2, R-SEC.4a, R-SEC.19, R-SEC.20.
#[test]
fn a_broker_is_believed_or_not() {
    if !enter("a_broker_is_believed_or_not") {
        return;
    }
    certificates();
    let (_broker, _house) = (broker(CONF), House::begin());
    let by_tls = |name: &str| {
        word("")
            .replace("broker.example", name)
            .replace("port = 1883\ntls = false\nin_the_clear = true\n", "port = 8883\n")
    };
    let refused = |name: &str, why: &str| {
        let _daemon = daemon(&by_tls(name));
        until(why, 10, || daemon_said().contains(why).then_some(()));
        assert!(!daemon_said().contains(": connected"), "{}", daemon_said());
    };
    refused("broker.example", "no certificate in");
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    // Before the clock is believed no certificate is.
    refused("broker.example", "TLS: ");
    fs::write("/run/time/synchronized", "").unwrap();
    refused("localhost", "TLS: ");
    let _daemon = connected(&by_tls("broker.example"));
    let mut desk = Desk::connect(&json!({}));
    assert_eq!(desk.call("get", &json!(["Device.MQTT.Client.1.TransportProtocol"])), json!("TLS"));
    // Long things, too: the whole model in one message.
    let all = json!(["Device.", {"firstLevelOnly": false, "returnParams": true, "returnCommands": true}]);
    assert!(desk.call("supportedDM", &all).to_string().contains("SetRequestedState()"));
}

/// The first bytes of each connection to this port.
fn heard_at(port: u16) -> Receiver<Vec<u8>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut bytes = vec![0; 4096];
            let size = socket.read(&mut bytes).unwrap_or(0);
            if sender.send(bytes[..size].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Who listens at the port hears a handshake of TLS and no word of ours; and nothing at all where the file wants it otherwise, without
/// the word for that.
///
/// Shows R-MTP.0, R-SEC.0, R-E2E.29.
#[test]
fn nothing_goes_in_the_clear_unless_a_word_says_so() {
    if !enter("nothing_goes_in_the_clear_unless_a_word_says_so") {
        return;
    }
    certificates();
    let _house = House::begin();
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    fs::write("/run/time/synchronized", "").unwrap();
    let controller = |lines: &str| {
        format!(
            "[[controller]]\nendpoint = '{CONTROLLER}'\nusername = 'gateway'\npassword = 'sesame'\n{lines}"
        )
    };
    let broker = "broker = 'broker.example'\nport = 1900\ntopic = '/c'\nagent_topic = '/us'\n";
    let heard = heard_at(1900);
    let first = || heard.recv_timeout(Duration::from_secs(10)).unwrap();
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    for lines in [broker, "url = 'wss://broker.example:1900/usp'\n"] {
        let _daemon = daemon(&controller(lines));
        let bytes = first();
        assert!(bytes.starts_with(&[0x16, 3]), "{lines}: ClientHello (RFC 8446 §5.1): {bytes:?}");
        assert!(
            ![CONTROLLER, ENDPOINT, "sesame", "Basic"].into_iter().any(|word| has(&bytes, word)),
            "{lines}"
        );
    }
    while heard.try_recv().is_ok() {}
    let plain = ["tls = false\n".to_owned() + broker, "url = 'ws://broker.example:1900/usp'\n".to_owned()];
    for lines in &plain {
        let _daemon = daemon(&controller(lines));
        until("it is refused", 10, || daemon_said().contains("it needs in_the_clear = true").then_some(()));
        until("and nobody is obeyed", 10, || daemon_said().contains("0 controllers").then_some(()));
    }
    assert!(heard.try_recv().is_err(), "nobody was called");
    // With the word it is as somebody wants it, and the log says so.
    let _daemon = daemon(&controller(&format!("in_the_clear = true\n{}", plain[0])));
    let bytes = first();
    assert!(has(&bytes, "sesame") && daemon_said().contains("in the clear"), "{bytes:?}; {}", daemon_said());
}

// Shows R-WS.22, R-WS.23.
#[test]
fn a_websocket_is_believed_or_not() {
    if !enter("a_websocket_is_believed_or_not") {
        return;
    }
    certificates();
    let _house = House::begin();
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    let way =
        json!({"protocol": "answer", "port": 8443, "cert": "/run/server.pem", "key": "/run/server.key"});
    let url =
        |name: &str| format!("[[controller]]\nendpoint = 'self::desk'\nurl = 'wss://{name}:8443/usp'\n");
    let desk = std::thread::spawn(move || Desk::connect(&way));
    until("it can be called", 10, || TcpStream::connect("127.0.0.1:8443").ok());
    let early = daemon(&url("broker.example"));
    until("before the clock is believed", 10, || daemon_said().contains("TLS: ").then_some(()));
    drop(early);
    fs::write("/run/time/synchronized", "").unwrap();
    let wrong = daemon(&url("localhost"));
    until("another name", 10, || daemon_said().contains("TLS: ").then_some(()));
    assert!(!daemon_said().contains(": connected"), "{}", daemon_said());
    drop(wrong);
    let _daemon = connected(&url("broker.example"));
    let mut desk = desk.join().unwrap();
    let all = json!(["Device.", {"firstLevelOnly": false, "returnParams": true, "returnCommands": true}]);
    assert!(desk.call("supportedDM", &all).to_string().contains("SetRequestedState()"));
    let encrypted =
        desk.call("get", &json!(["Device.LocalAgent.Controller.1.MTP.1.WebSocket.EnableEncryption"]));
    assert_eq!(encrypted, json!("true"));
}

// Shows R-WS.6, R-SEC.5, R-SEC.9, R-SEC.10.
#[test]
fn a_controller_calls_us_by_tls() {
    if !enter("a_controller_calls_us_by_tls") {
        return;
    }
    let house = House::begin();
    let word = format!(
        "[[controller]]\nendpoint = '{CONTROLLER}'\naccept = '/usp'\nusername = 'desk'\npassword = 'sesame'\n\
         [websocket]\nlisten = '127.0.0.1:8088'\n"
    );
    let _daemon = daemon(&word);
    until("the door is open", 10, || TcpStream::connect("127.0.0.1:8088").ok());
    let way = |ca: &str, password: &str| {
        json!({"protocol": "call", "host": "localhost", "port": 8088, "path": "/usp", "ca": ca,
        "username": "desk", "password": password})
    };
    let put = |place: &str, certificate: &[u8]| {
        fs::write(place, x509::pem::write(x509::pem::CERTIFICATE, certificate)).unwrap();
    };
    // The key's own certificate, for whoever knows it; another gateway's is refused.
    put("/run/gateway.pem", &house.who.lock().unwrap().certificates);
    put("/run/other.pem", &Who::new("os::00D09E-0001").certificates);
    assert!(Desk::refused(&way("/run/other.pem", "sesame")).contains("certificate"));
    assert!(Desk::refused(&way("/run/gateway.pem", "wrong")).contains("401"));
    let mut desk = Desk::connect(&way("/run/gateway.pem", "sesame"));
    let all = json!(["Device.", {"firstLevelOnly": false, "returnParams": true, "returnCommands": true}]);
    assert!(desk.call("supportedDM", &all).to_string().contains("SetRequestedState()"));
    // An enrolment counts from the next call on.
    let authority = Authority::make("isp", ALWAYS_S).unwrap();
    let Answer::Request(request) = house.who.lock().unwrap().answer(&Ask::Request) else { unreachable!() };
    let own = authority.sign(&Request::read(&request).unwrap(), ALWAYS_S).unwrap();
    house.who.lock().unwrap().certificates = [&own, authority.certificate()].concat();
    put("/run/isp.pem", authority.certificate());
    let mut desk = Desk::connect(&way("/run/isp.pem", "sesame"));
    assert_eq!(desk.call("get", &json!(["Device.LocalAgent.EndpointID"])), json!(ENDPOINT));
    let encrypted = "Device.LocalAgent.MTP.1.WebSocket.EnableEncryption";
    assert_eq!(desk.call("get", &json!([encrypted])), json!("true"));
    // Who speaks no TLS hears nothing of what is inside.
    let mut plain = TcpStream::connect("127.0.0.1:8088").unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /usp HTTP/1.1\r\nHost: g\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard); // a reset is an end, too
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}
