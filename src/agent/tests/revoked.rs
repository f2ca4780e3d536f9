//! Who was revoked is nobody: a controller that we call, one that calls us, one that signs its records; and lists that cannot be used.
//!
//! In:  certificates and lists of openssl(1). Out: the agent says nothing to whom a list names, and `ctl usp doctor` says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::TcpStream;

use contract::doctor::{Answer, Ask, Finding, Stage};
use contract::wires::DOCTOR;
use serde_json::json;
use stage::authority::{NOW, authorities, certificate, credential, list, listener, revoke};
use stage::local::Local;
use stage::{CONTROLLER, Desk, House, daemon, daemon_said, enter, openssl, until};
use usp::message::RequestKind;
use usp::message::read::Get;
use usp::record::{Kind, NoSessionContext};
use wire::Client;

const GIVEN: &str = "/etc/shg/revoked.pem";
/// When a list is to be replaced.
const LATER: &str = "20991231000000Z";

/// What `ctl usp doctor` finds.
fn examined() -> Vec<Finding> {
    let client = until("the doctor", 10, || Client::dial(DOCTOR).ok());
    client.send(&Ask::Examine, &[]).unwrap();
    let mut findings = Vec::new();
    while let Answer::Finding(one) = client.wait::<Answer>().unwrap().0 {
        findings.push(one);
    }
    findings
}

/// It ends at the certificate of the first controller, and these words are why, or what to do.
fn ends(words: &[&str]) {
    let found = examined().remove(0);
    assert_eq!(found.stage, Stage::Certificate, "{found:?}; {}", daemon_said());
    for word in words {
        assert!(found.why.contains(word) || found.remedy.contains(word), "{word}: {found:?}");
    }
}

// Shows R-MTP.4a, R-SEC.24a.
#[test]
fn who_was_revoked_is_not_spoken_with() {
    if !enter("who_was_revoked_is_not_spoken_with") {
        return;
    }
    authorities();
    let _house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    certificate("isp", "gone", Some(CONTROLLER), NOW);
    let (none, others) = (list("isp", LATER), list("other", LATER));
    revoke("isp", "gone");
    let gone = list("isp", LATER);
    let (_server, log) = listener(9001, "gone");
    let heard = || fs::read_to_string(&log).unwrap();
    fs::write(GIVEN, &gone).unwrap();
    let file = format!(
        "{}[[controller]]\nendpoint = '{CONTROLLER}'\nurl = 'wss://broker.example:9001/usp'\n",
        credential("isp", "controllers")
    );
    let _daemon = daemon(&file);
    ends(&["Revoked", "its authority has revoked it"]);
    // A list that is cut, one of another authority's key, none at all of this authority: only the last one lets it in.
    fs::write(GIVEN, gone.get(..gone.len() - 40).unwrap()).unwrap();
    ends(&[
        "/etc/shg/revoked.pem: no list of revoked certificates",
        "bring the list of revoked certificates again",
    ]);
    assert!(!heard().contains("GET /usp"), "{}", heard());
    fs::write(GIVEN, others).unwrap();
    examined();
    until("it is spoken with", 5, || heard().contains("GET /usp").then_some(()));
    // A list that should have been replaced is named, and counts.
    fs::write(GIVEN, list("isp", "20200201000000Z")).unwrap();
    let found = examined();
    let of_list = found.last().unwrap();
    assert_eq!((of_list.stage, of_list.way.as_str()), (Stage::Certificate, "revoked.pem"), "{found:?}");
    assert!(of_list.why.contains("isp has revoked was to be replaced by 2020-02-01"), "{of_list:?}");
    fs::write(GIVEN, none).unwrap();
    assert!(examined().iter().all(|one| one.way.as_str() != "revoked.pem"));
}

// Shows R-MTP.4a, R-SEC.24a.
#[test]
fn who_was_revoked_is_not_let_in() {
    if !enter("who_was_revoked_is_not_let_in") {
        return;
    }
    authorities();
    let house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    let gateway = x509::pem::write(x509::pem::CERTIFICATE, &house.who.lock().unwrap().certificates);
    fs::write("/run/gateway.pem", gateway).unwrap();
    let file = format!(
        "{}[[controller]]\nendpoint = '{CONTROLLER}'\naccept = '/usp'\n[websocket]\nlisten = '127.0.0.1:8088'\n",
        credential("isp", "controllers"),
    );
    let _daemon = daemon(&file);
    until("the door is open", 10, || TcpStream::connect("127.0.0.1:8088").ok());
    certificate("isp", "desk", Some(CONTROLLER), NOW);
    let way = json!({"protocol": "call", "host": "localhost", "port": 8088, "path": "/usp", "ca": "/run/gateway.pem",
        "cert": "/run/desk.pem", "key": "/run/desk.key"});
    let name = json!(["Device.LocalAgent.EndpointID"]);
    let let_in = || Desk::connect(&way).call("get", &name);
    let_in();
    // From the next connection on, without a restart: a list without it, with it, one that is none, none.
    fs::write(GIVEN, list("isp", LATER)).unwrap();
    let_in();
    revoke("isp", "desk");
    fs::write(GIVEN, list("isp", LATER)).unwrap();
    Desk::refused(&way);
    fs::write(GIVEN, "words").unwrap();
    Desk::refused(&way);
    assert!(
        daemon_said().contains("no list of revoked certificates in it; nobody can call"),
        "{}",
        daemon_said()
    );
    fs::remove_file(GIVEN).unwrap();
    let_in();
}

// Shows R-SEC.24a.
#[test]
fn what_who_was_revoked_signs_is_left() {
    if !enter("what_who_was_revoked_signs_is_left") {
        return;
    }
    authorities();
    let _house = House::begin();
    fs::write("/run/time/synchronized", "").unwrap();
    let key = x509::Key::make().unwrap();
    fs::write(
        "/run/signer.csr",
        x509::pem::write(x509::pem::REQUEST, &x509::Request::write(&key, CONTROLLER).unwrap()),
    )
    .unwrap();
    fs::write("/run/extension", format!("subjectAltName=URI:urn:bbf:usp:id:{CONTROLLER}")).unwrap();
    openssl(
        "ca -config /etc/openssl.cnf -batch -notext -cert /run/isp.pem -keyfile /run/isp.key -startdate 20200101000000Z \
         -enddate 20991231000000Z -extfile /run/extension -in /run/signer.csr -out /run/signer.pem",
    );
    let certificate = fs::read_to_string("/run/signer.pem").unwrap();
    let word = format!(
        "{}[[controller]]\nendpoint = '{CONTROLLER}'\nlocal = 'root'\n",
        credential("isp", "controllers")
    );
    let _daemon = daemon(&word);
    let mut local = Local::connect(CONTROLLER);
    let say = |local: &mut Local, number: &str, is_signed: bool| {
        let get = Get { param_paths: vec!["Device.LocalAgent.EndpointID".into()], max_depth: 0 };
        let payload = usp::Msg::request(number.to_owned(), RequestKind::Get(get)).encode().into();
        let mut record = local.record(Kind::NoSession(NoSessionContext { payload }));
        if is_signed {
            record.sender_cert = certificate.as_bytes().to_vec().into();
            record.mac_signature = key.sign(&record.signed()).unwrap().into();
        }
        local.send(&record);
    };
    let answered = |local: &mut Local| local.message().header.unwrap().msg_id.to_string();
    say(&mut local, "before", true);
    assert_eq!(answered(&mut local), "before");
    revoke("isp", "signer");
    for (what, text) in [("revoked", list("isp", LATER)), ("a list that is none", "words".to_owned())] {
        fs::write(GIVEN, text).unwrap();
        say(&mut local, "signed", true);
        say(&mut local, "plain", false);
        assert_eq!(answered(&mut local), "plain", "{what}");
    }
}
