//! A fleet is enrolled: each gateway gets a certificate of its own, and the broker lets in only who has one, each under its own name.
//!
//! In:  an authority that `shg` makes for the run, real agents, mosquitto. Out: who is let in, as whom.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use serde_json::Value;
use stage::fleet::Gateway;
use stage::{CONTROLLER, broker, broker_said, certificates, enter, until};

const GATEWAYS: usize = 6;
const FILE: &str = "/etc/shg/controller.toml";
/// Two listeners by TLS: at one a gateway says who it is by its certificate, the other lets in whoever is new. A gateway hears only what is
/// for it. The desk comes by the one without TLS, which is on loopback.
const BROKER: &str = "acl_file /run/acl\n\
    listener 8883 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n\
    cafile /run/isp/authority.pem\nrequire_certificate true\nuse_identity_as_username true\n\
    listener 8884 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n";
const ACL: &str =
    "topic readwrite /usp/#\nuser nobody\npattern write /usp/controller/#\npattern read /usp/agent/%u/#\n";

fn shg(line: &str) -> (String, Option<String>) {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut out = Vec::new();
    let outcome = shg::command::run(&words, &mut out);
    (String::from_utf8(out).unwrap(), outcome.err().map(|error| error.to_string()))
}

fn done(line: &str) -> String {
    let (said, why) = shg(line);
    assert_eq!(why, None, "{line}: {said}");
    said
}

fn word(gateway: &Gateway, port: u16) -> String {
    format!(
        "[[controller]]\nendpoint = '{CONTROLLER}'\nbroker = 'broker.example'\nport = {port}\n\
         topic = '/usp/controller'\nagent_topic = '/usp/agent/{}'\n",
        gateway.endpoint
    )
}

fn answering() -> usize {
    let list: Value =
        serde_json::from_str(&done(&format!("gateway list --timeout 3 --json --config {FILE}"))).unwrap();
    list.as_array().unwrap().iter().filter(|row| row["answers"] == true).count()
}

// Shows R-SEC.0a, R-SEC.5, R-SEC.9, R-SEC.10.
#[test]
fn a_fleet_is_enrolled_each_under_its_own_name() {
    if !enter("a_fleet_is_enrolled_each_under_its_own_name") {
        return;
    }
    certificates();
    done("identity authority isp /run/isp");
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    fs::write("/run/time/synchronized", "").unwrap();
    fs::write("/run/acl", ACL).unwrap();
    let _broker = broker(BROKER);
    let mut gateways: Vec<Gateway> = (0..GATEWAYS).map(Gateway::new).collect();
    let rows = gateways
        .iter()
        .map(|one| format!("[[gateway]]\nendpoint = '{0}'\ntopic = '/usp/agent/{0}'\n", one.endpoint));
    let text = format!(
        "endpoint = '{CONTROLLER}'\ntopic = '/usp/controller'\n\
         [[broker]]\nhost = '127.0.0.1'\nport = 1883\ntls = false\n{}",
        rows.collect::<String>()
    );
    fs::write(FILE, text).unwrap();
    // A certificate that nobody has signed does not count.
    let stranger = &mut gateways[0];
    stranger.start(&word(stranger, 8883));
    until("the stranger is refused", 20, || stranger.said().contains("TLS").then_some(()));
    assert!(!stranger.said().contains(": connected"), "{}", stranger.said());
    // All come by the other door and are enrolled.
    for one in &mut gateways {
        one.start(&word(one, 8884));
    }
    until("all answer", 30, || (answering() == GATEWAYS).then_some(()));
    let said = done(&format!("gateway enrol --all --authority /run/isp --days 30 --config {FILE}"));
    assert_eq!(said.lines().filter(|line| line.ends_with("enrol: done")).count(), GATEWAYS, "{said}");
    assert!(gateways.iter().all(|one| one.issuer() == "isp"));
    let issuers = done(&format!("gateway get Device.Security.Certificate.1.Issuer --all --config {FILE}"));
    assert_eq!(issuers.lines().filter(|line| line.ends_with("= isp")).count(), GATEWAYS, "{issuers}");
    // From now on the certificate says who it is.
    for one in &mut gateways {
        one.start(&word(one, 8883));
    }
    until("all answer by certificate", 30, || (answering() == GATEWAYS).then_some(()));
    let log = broker_said();
    for one in &gateways {
        let name = format!("u'{}')", one.endpoint);
        assert!(
            log.lines().any(|line| line.contains("New client connected") && line.contains(&name)),
            "{name}: {log}"
        );
    }
}

#[test]
fn requests_are_signed_in_files() {
    if !enter("requests_are_signed_in_files") {
        return;
    }
    certificates();
    done("identity authority isp /run/isp --days 100");
    let (_, why) = shg("identity authority isp /run/isp");
    assert!(why.unwrap().contains("authority.key"), "a key is never written over");
    let key = x509::Key::make().unwrap();
    let request = x509::Request::write(&key, "os::00D09E-0042").unwrap();
    fs::write("/run/0042.csr", x509::pem::write(x509::pem::REQUEST, &request)).unwrap();
    assert_eq!(done("identity sign /run/0042.csr --authority /run/isp"), "/run/0042.pem: os::00D09E-0042\n");
    // Somebody else reads all of it.
    stage::openssl("req -config /etc/openssl.cnf -in /run/0042.csr -verify -noout");
    stage::openssl("verify -purpose sslclient -CAfile /run/isp/authority.pem /run/0042.pem");
    let mut bent = request;
    let last = bent.len() - 1;
    bent[last] ^= 1;
    fs::write("/run/bent.csr", x509::pem::write(x509::pem::REQUEST, &bent)).unwrap();
    let (_, why) = shg("identity sign /run/bent.csr --authority /run/isp");
    assert!(why.unwrap().contains("its signature is not of its own key"));
}
