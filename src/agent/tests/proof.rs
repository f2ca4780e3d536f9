//! Whose signature makes a controller: certificates of another authority, of another endpoint id, of yesterday, without an endpoint id; and
//! the role that the right one brings.
//!
//! In:  certificates of openssl(1), mosquitto. Out: a controller is answered, with the role of its authority, or nothing is said to it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};
use stage::authority::{NOW, YESTERDAY, authorities, certificate, credential, listener};
use stage::local::{self, Came, Local};
use stage::{CONTROLLER, Desk, House, Program, broker, daemon, daemon_said, enter, until, word};
use usp::message::RequestKind;
use usp::message::read::Get;
use usp::record::{Kind, NoSessionContext, SessionContext};
use usp::{Msg, Record};
use x509::issue::ALWAYS_S;
use x509::{Authority, Key, Request, pem};

/// A role that grants nothing: what the certificate brings is all.
const NOTHING: &str = "[[role]]\nname = 'nothing'\nrules = []\n";

fn called(endpoint: &str, port: u16) -> String {
    format!(
        "[[controller]]\nendpoint = '{endpoint}'\nurl = 'wss://broker.example:{port}/usp'\nrole = 'nothing'\n"
    )
}

fn said(words: &str) {
    until(words, 20, || daemon_said().contains(words).then_some(()));
}

fn get(desk: &mut Desk, name: &str) -> Value {
    desk.call("get", &json!([format!("Device.LocalAgent.{name}")]))
}

// Shows R-SEC.1a, R-SEC.3, R-SEC.4, R-SEC.24, R-SEC.23, R-E2E.28.
#[test]
fn a_certificate_makes_a_controller() {
    if !enter("a_certificate_makes_a_controller") {
        return;
    }
    authorities();
    let _house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    // Those of anchors count for other things: nobody signed by one is a controller once the file says whose signature is for what.
    fs::copy("/run/other.pem", "/etc/shg/trust.pem").unwrap();
    certificate("isp", "desk", Some(CONTROLLER), NOW);
    let bad = [
        ("foreign", "other", Some("self::foreign"), NOW, "UnknownIssuer"),
        ("late", "isp", Some("self::late"), YESTERDAY, "certificate expired"),
        ("plain", "isp", None, NOW, "the certificate does not bear urn:bbf:usp:id:self::plain"),
        (
            "longer",
            "isp",
            Some("self::longer-1"),
            NOW,
            "the certificate does not bear urn:bbf:usp:id:self::longer",
        ),
    ];
    let mut file = credential("isp", "controllers") + NOTHING + &called(CONTROLLER, 8443);
    let mut servers: Vec<(Program, PathBuf)> = Vec::new();
    for (port, (name, authority, endpoint, dates, _)) in (9001..).zip(bad) {
        certificate(authority, name, endpoint, dates);
        servers.push(listener(port, name));
        file += &called(&format!("self::{name}"), port);
    }
    let way = json!({"protocol": "answer", "port": 8443, "cert": "/run/desk.pem", "key": "/run/desk.key"});
    let desk = std::thread::spawn(move || Desk::connect(&way));
    until("it can be called", 10, || TcpStream::connect("127.0.0.1:8443").ok());
    let _daemon = daemon(&file);
    let mut desk = desk.join().unwrap();
    for ((name, _, _, _, why), (_, log)) in bad.into_iter().zip(&servers) {
        until(why, 20, || {
            daemon_said()
                .lines()
                .any(|line| line.contains(&format!("self::{name}: ")) && line.contains(why))
                .then_some(())
        });
        assert!(!daemon_said().contains(&format!("self::{name}: connected")), "{}", daemon_said());
        let heard = fs::read_to_string(log).unwrap();
        assert!(!heard.contains("GET /usp"), "{name} heard: {heard}");
    }
    // The one has the role of its authority, and that is all.
    let trust = "Device.LocalAgent.ControllerTrust.";
    assert_eq!(get(&mut desk, "Controller.1.InheritedRole"), json!(format!("{trust}Role.2")));
    assert_eq!(get(&mut desk, "Controller.1.AssignedRole"), json!(format!("{trust}Role.4")));
    desk.fails("set", &json!(["Device.LocalAgent.Controller.1.Alias", "isp"]));
    let row = "ControllerTrust.Credential.1";
    assert_eq!(get(&mut desk, &format!("{row}.Role")), json!(format!("{trust}Role.2")));
    assert_eq!(get(&mut desk, &format!("{row}.AllowedUses")), json!("MTP-and-USP"));
    assert_eq!(get(&mut desk, &format!("{row}.Credential")), json!("Device.LocalAgent.Certificate.2"));
    assert_eq!(get(&mut desk, "Certificate.2.Issuer"), json!("isp"));
    assert_eq!(get(&mut desk, "Controller.2.InheritedRole"), json!(""));
}

// Shows R-SEC.4a, R-SEC.22a, R-SEC.26, R-E2E.28.
#[test]
fn a_broker_speaks_for_controllers_where_it_is_trusted_to() {
    if !enter("a_broker_speaks_for_controllers_where_it_is_trusted_to") {
        return;
    }
    authorities();
    certificate("isp", "broker", None, NOW);
    let _broker = broker("listener 8883 127.0.0.1\ncertfile /run/broker.pem\nkeyfile /run/broker.key\n");
    let _house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    fs::copy("/run/isp.pem", "/etc/shg/trust.pem").unwrap();
    let by_tls = word("role = 'nothing'\n")
        .replace("port = 1883\ntls = false\nin_the_clear = true\n", "port = 8883\n")
        + NOTHING;
    let refused = |credential: &str, why: &str| {
        let _daemon = daemon(&format!("{by_tls}{credential}"));
        said(why);
        assert!(!daemon_said().contains(": connected"), "{}", daemon_said());
    };
    // Its authority signs controllers, and it is none; an anchor of trust.pem signs no broker any more.
    refused(&credential("isp", "controllers"), "the certificate does not bear urn:bbf:usp:id:self::desk");
    refused(&credential("other", "brokers"), "UnknownIssuer");
    let _daemon =
        daemon(&format!("{by_tls}{}{}", credential("other", "controllers"), credential("isp", "brokers")));
    said(": connected");
    let mut desk = Desk::connect(&json!({}));
    let role = "Device.LocalAgent.ControllerTrust.Role.2";
    assert_eq!(get(&mut desk, "Controller.1.InheritedRole"), json!(role));
    assert_eq!(get(&mut desk, "ControllerTrust.Credential.2.AllowedUses"), json!("MTP-and-broker"));
}

// Shows R-SEC.0a, R-SEC.3, R-WS.22.
#[test]
fn who_calls_may_prove_it_by_certificate() {
    if !enter("who_calls_may_prove_it_by_certificate") {
        return;
    }
    authorities();
    let house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    let gateway = x509::pem::write(x509::pem::CERTIFICATE, &house.who.lock().unwrap().certificates);
    fs::write("/run/gateway.pem", gateway).unwrap();
    let file = format!(
        "{}{}{NOTHING}[[controller]]\nendpoint = '{CONTROLLER}'\naccept = '/usp'\nrole = 'nothing'\n\
         [websocket]\nlisten = '127.0.0.1:8088'\n",
        credential("isp", "controllers"),
        credential("other", "brokers"),
    );
    let _daemon = daemon(&file);
    until("the door is open", 10, || TcpStream::connect("127.0.0.1:8088").ok());
    let way = |name: &str| {
        json!({"protocol": "call", "host": "localhost", "port": 8088, "path": "/usp", "ca": "/run/gateway.pem",
        "cert": format!("/run/{name}.pem"), "key": format!("/run/{name}.key")})
    };
    for (name, authority, endpoint, dates, why) in [
        ("foreign", "third", Some(CONTROLLER), NOW, ""),
        ("late", "isp", Some(CONTROLLER), YESTERDAY, ""),
        ("longer", "isp", Some("self::desk-1"), NOW, "401"),
        ("plain", "isp", None, NOW, "401"),
        // Who may speak for others when we call him may not when he calls us.
        ("broker", "other", None, NOW, "401"),
    ] {
        certificate(authority, name, endpoint, dates);
        let heard = Desk::refused(&way(name));
        assert!(heard.contains(why), "{name}: {heard}");
    }
    let nothing = json!({"protocol": "call", "host": "localhost", "port": 8088, "path": "/usp", "ca": "/run/gateway.pem"});
    assert!(Desk::refused(&nothing).contains("401"));
    let mut password = nothing;
    password["username"] = json!("");
    password["password"] = json!("");
    assert!(Desk::refused(&password).contains("401"));
    certificate("isp", "desk", Some(CONTROLLER), NOW);
    let mut desk = Desk::connect(&way("desk"));
    let role = "Device.LocalAgent.ControllerTrust.Role.2";
    assert_eq!(get(&mut desk, "Controller.1.InheritedRole"), json!(role));
}

/// A controller that signs what its records say beside the payload, and others who try to.
///
/// Shows R-E2E.23, R-E2E.30, R-E2E.31, R-SEC.22, R-SEC.26.
#[test]
fn what_is_signed_is_verified() {
    let isp = Authority::make("isp", ALWAYS_S).unwrap();
    let other = Authority::make("other", ALWAYS_S).unwrap();
    let trusted = pem::write(pem::CERTIFICATE, isp.certificate());
    let word = format!(
        "[[credential]]\ncertificate = '''\n{trusted}'''\n[[controller]]\nendpoint = '{CONTROLLER}'\nlocal = 'root'\n"
    );
    let Some((_house, _daemon)) = local::begin("what_is_signed_is_verified", &word) else { return };
    fs::write("/run/time/synchronized", "").unwrap();
    let mut local = Local::connect(CONTROLLER);
    let certify = |authority: &Authority, key: &Key, endpoint: &str, valid_s| {
        let request = Request::read(&Request::write(key, endpoint).unwrap()).unwrap();
        pem::write(pem::CERTIFICATE, &authority.sign(&request, valid_s).unwrap())
    };
    let (key, another) = (Key::make().unwrap(), Key::make().unwrap());
    let good = certify(&isp, &key, CONTROLLER, ALWAYS_S);
    let mut number = 0;
    let mut say = |local: &mut Local, certificate: &str, key: &Key, bend: fn(&mut Record<'_>)| {
        number += 1;
        let get = Get { param_paths: vec!["Device.LocalAgent.EndpointID".into()], max_depth: 0 };
        let payload = Msg::request(format!("m{number}"), RequestKind::Get(get)).encode().into();
        let mut record = local.record(Kind::NoSession(NoSessionContext { payload }));
        record.sender_cert = certificate.as_bytes().to_vec().into();
        record.mac_signature = key.sign(&record.signed()).unwrap().into();
        bend(&mut record);
        local.send(&record);
        format!("m{number}")
    };
    let answered = |local: &mut Local| local.message().header.unwrap().msg_id.to_string();
    let mut expect = say(&mut local, &good, &key, |_| ());
    assert_eq!(answered(&mut local), expect);
    for (what, certificate, key, bend) in [
        ("another key", good.clone(), &another, (|_| ()) as fn(&mut Record<'_>)),
        ("bent", good.clone(), &key, |record| record.version = "1.3".into()),
        ("no certificate", String::new(), &key, |_| ()),
        ("no signature", good.clone(), &key, |record| record.mac_signature = b"x"[..].into()),
        ("another authority", certify(&other, &key, CONTROLLER, ALWAYS_S), &key, |_| ()),
        ("another endpoint", certify(&isp, &key, "self::desk-1", ALWAYS_S), &key, |_| ()),
        ("expired", certify(&isp, &key, CONTROLLER, (0, 60)), &key, |_| ()),
    ] {
        say(&mut local, &certificate, key, bend);
        expect = say(&mut local, &good, key, |record| {
            record.mac_signature = Vec::new().into();
            record.sender_cert = Vec::new().into();
        });
        assert_eq!(answered(&mut local), expect, "{what} is left, and what comes next is answered");
    }
    // In a session it is left, too, and the session begins anew.
    let piece = SessionContext { session_id: 7, sequence_id: 1, expected_id: 1, ..SessionContext::default() };
    let mut record = local.record(Kind::Session(piece));
    record.mac_signature = b"x"[..].into();
    local.send(&record);
    let Came::Piece(begun) = local.came() else { unreachable!("no session was begun") };
    assert!(begun.session_id != 7 && begun.sequence_id == 1, "{begun:?}");
}
