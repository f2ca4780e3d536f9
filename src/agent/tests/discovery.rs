//! A controller that a DHCP server names, or DNS (dnsmasq), and nobody else: it is called, and obeyed where its certificate says that it is the one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use contract::leases::Controller;
use serde_json::{Value, json};
use stage::net::Net;
use stage::{CONTROLLER, Desk, House, Program, certificates, daemon, daemon_said, disk, enter, until};

const WORD: &str = "[discovery]\nrole = 'operate'\n";

fn named(host: &str, endpoint: &str) -> Option<Controller> {
    Some(Controller {
        url: format!("wss://{host}:8443/usp").as_str().into(),
        endpoint: endpoint.into(),
        provisioning_code: "customer-7".into(),
        retry_minimum_s: "9".into(),
        ..Controller::default()
    })
}

/// The controller: it can be called, and has a certificate.
fn desk() -> std::thread::JoinHandle<Desk> {
    let way =
        json!({"protocol": "answer", "port": 8443, "cert": "/run/server.pem", "key": "/run/server.key"});
    let desk = std::thread::spawn(move || Desk::connect(&way));
    until("it can be called", 10, || std::net::TcpStream::connect("127.0.0.1:8443").ok());
    desk
}

/// The kernel says that the network is another: it is looked at.
fn stir(number: u8) {
    testbed::run(&["ip", "address", "add", &format!("127.9.0.{number}/32"), "dev", "lo"]);
}

// Shows R-DIS.0, R-SEC.0a.
#[test]
fn whom_dhcp_names_is_called_and_has_to_be_the_one() {
    if !enter("whom_dhcp_names_is_called_and_has_to_be_the_one") {
        return;
    }
    certificates();
    disk();
    let (_house, net) = (House::begin(), Net::begin());
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    fs::write("/run/time/synchronized", "").unwrap();
    let names = |who: Option<Controller>| net.0.lock().unwrap().controller = who;
    let waiting = desk();
    let first = daemon(WORD);
    // By a way that proves nothing: not called.
    let said = |words: &str| until(words, 10, || daemon_said().contains(words).then_some(()));
    names(Some(Controller { url: "ws://broker.example:8443/usp".into(), ..named("", CONTROLLER).unwrap() }));
    stir(1);
    said("it is no wss:// URL");
    // Another one's certificate, and another host's.
    names(named("broker.example", "self::other"));
    stir(2);
    said("the certificate does not bear urn:bbf:usp:id:self::other");
    names(named("localhost", CONTROLLER));
    stir(3);
    said("self::desk: TLS: ");
    assert!(!daemon_said().contains(": connected"), "{}", daemon_said());
    // The one.
    names(named("broker.example", CONTROLLER));
    stir(4);
    let mut desk_1 = waiting.join().unwrap();
    let get = |desk: &mut Desk, name: &str| -> Value {
        desk.call("get", &json!([format!("Device.LocalAgent.Controller.1.{name}")]))
    };
    assert_eq!(get(&mut desk_1, "EndpointID"), json!(CONTROLLER));
    assert_eq!(get(&mut desk_1, "ProvisioningCode"), json!("customer-7"));
    assert_eq!(get(&mut desk_1, "USPNotifRetryMinimumWaitInterval"), json!("9"));
    assert_eq!(get(&mut desk_1, "AssignedRole"), json!("Device.LocalAgent.ControllerTrust.Role.2"));
    // It may do what the operator's word allows, and no more.
    desk_1.fails("set", &json!(["Device.LocalAgent.Controller.1.Alias", "isp"]));
    // A restart: nobody names it, and it is called all the same.
    drop((desk_1, first));
    names(None);
    let waiting = desk();
    let _second = daemon(WORD);
    assert_eq!(get(&mut waiting.join().unwrap(), "EndpointID"), json!(CONTROLLER));
}

/// A name server that we did not write knows two controllers in this domain; the other one comes first.
fn name_server() -> Program {
    let line = "dnsmasq --no-daemon --log-facility=- --conf-file=/dev/null --user=root --group=root --pid-file \
        --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces";
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    for (endpoint, priority) in [("self::other", 1), (CONTROLLER, 2)] {
        let instance = format!("{endpoint}._usp-ctr-ws._tcp.isp.example");
        words.push(format!("--ptr-record=_usp-ctr-ws._tcp.isp.example,{instance}"));
        let servers = match endpoint {
            // Nobody is at the first of its servers, and at the second is another host than its certificate says.
            CONTROLLER => &[("broker.example", 9), ("localhost", 8443), ("broker.example", 8443)][..],
            _ => &[("broker.example", 8443)],
        };
        for (place, (host, port)) in (priority..).zip(servers) {
            words.push(format!("--srv-host={instance},{host},{port},{place},5"));
        }
        words.push(format!("--txt-record={instance},path=/usp,encrypt"));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Program::start("", &words, Some(&testbed::folder("dnsmasq").join("log")))
}

// Shows R-DIS.6, R-DIS.7.
#[test]
fn whom_dns_names_is_called_and_has_to_be_the_one() {
    const NAME: &str = "whom_dns_names_is_called_and_has_to_be_the_one";
    if !testbed::has("dnsmasq") {
        return println!("skipped: {NAME}: no dnsmasq");
    }
    if !enter(NAME) {
        return;
    }
    certificates();
    let (_house, net) = (House::begin(), Net::begin());
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    fs::write("/run/time/synchronized", "").unwrap();
    let waiting = desk();
    let said = |words: &str| until(words, 30, || daemon_said().contains(words).then_some(()));
    // Nothing says more than a DHCP server's domain for local names.
    net.0.lock().unwrap().domain = "isp.example".to_owned();
    let _daemon = daemon(WORD);
    said("DNS-SD: isp.example: the name server cannot be asked");
    // The one that comes first there cannot prove that it is who it says.
    let _server = name_server();
    until("it answers", 10, || std::net::TcpStream::connect("127.0.0.1:53").ok());
    stir(1);
    said("the certificate does not bear urn:bbf:usp:id:self::other");
    assert!(!daemon_said().contains(": connected"), "{}", daemon_said());
    // A DHCP server says a name in place of a URL: DNS is asked below it, for the one that is meant.
    let url = "isp.example".into();
    net.0.lock().unwrap().controller = Some(Controller { url, ..named("", CONTROLLER).unwrap() });
    stir(2);
    let mut desk = waiting.join().unwrap();
    assert!(
        desk.called.iter().any(|said| said["called"].as_str().unwrap_or("").starts_with("/usp")),
        "by its path"
    );
    let endpoint = desk.call("get", &json!(["Device.LocalAgent.Controller.1.EndpointID"]));
    assert_eq!(endpoint, json!(CONTROLLER));
}

#[test]
fn the_operators_file_goes_before_dhcp() {
    if !enter("the_operators_file_goes_before_dhcp") {
        return;
    }
    let (_house, net) = (House::begin(), Net::begin());
    net.0.lock().unwrap().controller = named("broker.example", CONTROLLER);
    let file = format!(
        "[[controller]]\nendpoint = '{CONTROLLER}'\nurl = 'ws://broker.example:9/'\nin_the_clear = true\n"
    );
    // Nobody has asked to be told.
    let silent = daemon(
        "[[controller]]\nendpoint = 'self::else'\nurl = 'ws://broker.example:9/'\nin_the_clear = true\n",
    );
    until("it calls", 10, || daemon_said().contains("self::else: ").then_some(()));
    assert!(!daemon_said().contains("discovered"), "{}", daemon_said());
    drop(silent);
    // It is in the file, with another way to it.
    let _daemon = daemon(&format!("{file}{WORD}"));
    until("it calls", 10, || daemon_said().contains("self::desk: ").then_some(()));
    stir(1);
    until("it has looked", 10, || (net.0.lock().unwrap().looks > 1).then_some(()));
    assert!(!daemon_said().contains("discovered"), "{}", daemon_said());
}
