//! A broker by TLS: whom the agent believes, and whom not.
//!
//! In:  certificates of openssl(1), mosquitto. Out: a controller is answered, or the agent says why it does not speak.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use serde_json::json;
use stage::{Desk, House, broker, certificates, connected, daemon, daemon_said, enter, until, word};

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
        word("").replace("broker.example", name).replace("port = 1883\ntls = false\n", "port = 8883\n")
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
