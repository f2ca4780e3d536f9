//! Other ways than MQTT: WebSocket in both directions, the Unix socket. The controller is usp-js over somebody else's WebSockets (npm:
//! `websocket` calls, `ws` is called); and peers that mean no good.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use contract::wires::LOCAL;
use serde_json::json;
use stage::{CONTROLLER, Desk, ENDPOINT, House, daemon, daemon_said, enter, run, until};

const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";

fn word(transport: &str) -> String {
    format!("[[controller]]\nendpoint = '{CONTROLLER}'\n{transport}\n")
}

/// What every way has to carry: questions, a long answer, news.
fn carries(desk: &mut Desk, protocol: &str) {
    assert_eq!(desk.call("get", &json!(["Device.LocalAgent.EndpointID"])), json!(ENDPOINT));
    assert_eq!(desk.call("get", &json!(["Device.LocalAgent.MTP.1.Protocol"])), json!(protocol));
    let all = json!(["Device.", {"firstLevelOnly": false, "returnParams": true, "returnCommands": true, "returnEvents": true}]);
    assert!(desk.call("supportedDM", &all).to_string().contains("SetRequestedState()"), "a long message");
    desk.call("subscribe", &json!([{"id": "change", "notif": "ValueChange", "reference": PERIOD}]));
    desk.call("set", &json!([PERIOD, "77"]));
    assert!(desk.news("change").to_string().contains("77"));
    desk.call("set", &json!([PERIOD, "86400"]));
    desk.call("unsubscribe", &json!(["change"]));
}

// Shows R-WS.1, R-WS.2, R-WS.5, R-WS.7, R-WS.9, R-WS.10, R-WS.10b.
#[test]
fn we_call_a_controller() {
    if !enter("we_call_a_controller") {
        return;
    }
    let _house = House::begin();
    let _daemon = daemon(&word(
        "url = 'ws://127.0.0.1:8097/usp?x=1'\nin_the_clear = true\nusername = 'gateway'\npassword = 'sesame'",
    ));
    // Nobody is there: it tries again; and again when the controller has gone and come; at once when the network is another.
    until("it says so", 10, || daemon_said().contains("refused").then_some(()));
    for number in 1..3 {
        let desk = std::thread::spawn(|| Desk::connect(&json!({"protocol": "answer", "port": 8097})));
        until("it can be called", 10, || TcpStream::connect("127.0.0.1:8097").ok());
        run(&["ip", "address", "add", &format!("127.9.0.{number}/32"), "dev", "lo"]);
        let mut desk = desk.join().unwrap();
        let called = desk.called.iter().find(|line| line.get("called").is_some()).unwrap();
        assert_eq!(called["called"], json!("/usp?x=1&eid=os%3A%3A00D09E-4711"));
        assert_eq!(called["proves"], json!("Basic Z2F0ZXdheTpzZXNhbWU="), "gateway:sesame");
        carries(&mut desk, "WebSocket");
        let host = desk.call("get", &json!(["Device.LocalAgent.Controller.1.MTP.1.WebSocket.Host"]));
        assert_eq!(host, json!("127.0.0.1"));
    }
}

/// Says `words` to the port, and hears all until the end.
fn raw(words: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect("127.0.0.1:8088").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(words).unwrap();
    let mut heard = Vec::new();
    let _ = socket.read_to_end(&mut heard); // a reset is an end, too
    heard
}

fn upgrade(password: &str) -> String {
    let proof = agent::websocket::handshake::basic(("desk", password));
    format!(
        "GET /usp HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v1.usp\r\nAuthorization: {proof}\r\n\r\n"
    )
}

// Shows R-WS.2, R-WS.4, R-WS.6, R-WS.11, R-WS.11a, R-WS.11c, R-WS.14, R-WS.15, R-WS.16.
#[test]
fn a_controller_calls_us() {
    if !enter("a_controller_calls_us") {
        return;
    }
    let _house = House::begin();
    let accept = "accept = '/usp'\nusername = 'desk'\npassword = 'sesame'\n[websocket]\nlisten = '127.0.0.1:8088'\ntls = false\nin_the_clear = true";
    let _daemon = daemon(&word(accept));
    until("the door is open", 10, || TcpStream::connect("127.0.0.1:8088").ok());
    let way = |password: &str| json!({"protocol": "call", "port": 8088, "path": "/usp", "username": "desk", "password": password});
    assert!(Desk::refused(&way("wrong")).contains("401"));
    let mut desk = Desk::connect(&way("sesame"));
    carries(&mut desk, "WebSocket");
    // Who holds places without a word does not keep the controller out.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect("127.0.0.1:8088").unwrap()).collect();
    let mut other = Desk::connect(&way("sesame"));
    carries(&mut other, "WebSocket");
    assert!(desk.trouble().to_string().contains("closed"), "there is one session at a time");
    drop(silent);
    // Peers that mean no good: refused, or ended with the code that says why; and the controller is heard all the same.
    let frame = |opcode, payload: &[u8]| agent::websocket::frame::write(opcode, payload, Some([1, 2, 3, 4]));
    for (name, words, want) in [
        ("no HTTP", b"SSH-2.0-x\r\n\r\n".to_vec(), b"HTTP/1.1 400".to_vec()),
        ("no password", upgrade("x").into_bytes(), b"HTTP/1.1 401".to_vec()),
        ("endless", [b"GET /".to_vec(), vec![b'x'; 9000]].concat(), b"HTTP/1.1 400".to_vec()),
    ] {
        let heard = raw(&words);
        assert!(heard.starts_with(&want), "{name}: {}", String::from_utf8_lossy(&heard));
    }
    for (name, bytes, code) in [
        ("a text", frame(agent::websocket::frame::Opcode::Text, b"{}"), 1003_u16),
        ("no record", frame(agent::websocket::frame::Opcode::Binary, &[0xff; 40]), 1003),
        ("no mask", b"\x82\x01x".to_vec(), 1002),
        ("too long", b"\x82\xff\0\0\0\x0f\0\0\0\0".to_vec(), 1009),
    ] {
        let heard = raw(&[upgrade("sesame").into_bytes(), bytes].concat());
        let [.., 0x88, 2, high, low] = heard.as_slice() else { panic!("{name}: {heard:?}") };
        assert_eq!(u16::from_be_bytes([*high, *low]), code, "{name}");
    }
    // Who speaks of the extension of earlier versions hears who we are by it, and nobody else does.
    let close = frame(agent::websocket::frame::Opcode::Close, &[]);
    let extended = upgrade("sesame")
        .replace("Host: g", "Host: g\r\nSec-WebSocket-Extensions: bbf-usp-protocol; eid=\"self::desk\"");
    for (words, want) in [(extended, true), (upgrade("sesame"), false)] {
        let heard = raw(&[words.into_bytes(), close.clone()].concat());
        let says = format!("Sec-WebSocket-Extensions: bbf-usp-protocol; eid=\"{ENDPOINT}\"");
        assert_eq!(String::from_utf8_lossy(&heard).contains(&says), want);
    }
    carries(&mut Desk::connect(&way("sesame")), "WebSocket");
}

// Shows R-UDS.1, R-UDS.2, R-UDS.3, R-UDS.17, R-UDS.21, R-UDS.22, R-UDS.23, R-UDS.24.
#[test]
fn a_controller_is_on_the_box() {
    if !enter("a_controller_is_on_the_box") {
        return;
    }
    let house = House::begin();
    house.hello.lock().unwrap().uid_base = Some(0); // we are root, and the service
    let more = "[[controller]]\nendpoint = 'self::app'\nlocal = 'hello'\nrole = 'read'\n\
        [[controller]]\nendpoint = 'self::other'\nlocal = 'nobody'\n";
    let _daemon = daemon(&(word("local = 'root'") + more));
    until("the door is open", 10, || daemon_said().contains("controllers").then_some(()));
    let way = |who: &str| json!({"protocol": "uds", "path": LOCAL.path, "fromId": who});
    carries(&mut Desk::connect(&way(CONTROLLER)), "UDS");
    // A service is one when it is his uid, and has the role of its controller.
    let mut app = until("its service is known", 5, || Desk::try_connect(&way("self::app")));
    assert_eq!(
        app.call("get", &json!(["Device.LocalAgent.MTP.2.UDS.UnixDomainSocketRef"])),
        json!("Device.UnixDomainSockets.UnixDomainSocket.1")
    );
    let way_of_app = app.call("get", &json!(["Device.LocalAgent.Controller.2.MTP.1."])).to_string();
    for name in ["Alias", "Enable", "Protocol", "UnixDomainSocketRef", "USPServiceRef"] {
        assert!(way_of_app.contains(name), "{name}: {way_of_app}");
    }
    assert!(app.fails("set", &json!([PERIOD, "5"])).to_string().contains("7006"));
    assert!(Desk::refused(&way("self::other")).contains("not who you are"));
    assert!(Desk::refused(&way("no-endpoint")).contains("not who you are"));
    // A service that is no controller may bring a part of the tree (services.rs), and is told nothing.
    let mut stranger = Desk::connect(&way("self::stranger"));
    assert!(stranger.fails("get", &json!(["Device.LocalAgent.EndpointID"])).to_string().contains("7006"));
    // Frames that are none: an error, and the end.
    let hello = usp::frame::write(&usp::frame::Value::Handshake(CONTROLLER.to_owned()));
    for (name, bytes, why) in [
        ("another word", b"GET / HTTP/1.1\r\n".to_vec(), "_USP"),
        (
            "no record",
            [hello.clone(), usp::frame::write(&usp::frame::Value::Record(vec![0xff; 9]))].concat(),
            "a record that is none",
        ),
        ("too long", [hello.clone(), b"_USP\x7f\0\0\0".to_vec()].concat(), "too long"),
    ] {
        let mut socket = UnixStream::connect(LOCAL.path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.write_all(&bytes).unwrap();
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        assert!(String::from_utf8_lossy(&heard).contains(why), "{name}: {}", String::from_utf8_lossy(&heard));
    }
    // Who says nothing is not waited for.
    let mut silent = UnixStream::connect(LOCAL.path).unwrap();
    let begun = Instant::now();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0; 9]).unwrap(), 0, "closed");
    assert!(begun.elapsed() > Duration::from_secs(2));
    carries(&mut Desk::connect(&way(CONTROLLER)), "UDS");
}
