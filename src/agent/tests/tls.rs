//! A broker by TLS: whom the agent believes, and whom not.
//!
//! In:  certificates of openssl(1), mosquitto. Out: a controller is answered, or the agent says why it does not speak.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use serde_json::json;
use stage::{Desk, House, broker, connected, daemon, daemon_said, enter, run, until, word};

const CONF: &str = "listener 8883 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n";

fn openssl(line: &str) {
    run(&["openssl"].into_iter().chain(line.split(' ')).collect::<Vec<_>>());
}

/// An authority, and a broker's certificate that bears `broker.example`.
fn certificates() {
    let sections = "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n\
        [authority]\nbasicConstraints=critical,CA:TRUE\n";
    fs::write("/etc/openssl.cnf", sections).unwrap();
    fs::write("/run/extension", "subjectAltName=DNS:broker.example").unwrap();
    let new = "req -config /etc/openssl.cnf -newkey ed25519 -nodes";
    openssl(&format!("{new} -x509 -subj /CN=authority -days 30 -keyout /run/ca.key -out /run/ca.pem"));
    openssl(&format!("{new} -subj /CN=broker -keyout /run/server.key -out /run/server.csr"));
    openssl(
        "x509 -req -in /run/server.csr -CA /run/ca.pem -CAkey /run/ca.key -CAcreateserial -days 30 \
         -extfile /run/extension -out /run/server.pem",
    );
}

// Shows R-MTP.2, R-MTP.3.
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
