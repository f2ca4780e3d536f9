//! Announcements and searches between the home and a service, by grant.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use contract::Name;
use contract::told::{Home, Who};
use stage::{Program, Stage, at, daemon, enter, has, ip, number, run, until};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/group.py");

/// A member of a group, that has said that it is ready.
fn member(side: &str, words: &[&str]) -> (Program, BufReader<ChildStdout>) {
    let all = [&["python3", SCRIPT], words].concat();
    let mut child: Child = at(side, &all).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut ready = String::new();
    lines.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    (Program(child), lines)
}

/// Says it in the group of `port`; by IPv6 where `six` says `-6`.
fn say(side: &str, six: Option<&str>, (port, text): (&str, &str)) {
    let words = ["python3", SCRIPT].into_iter().chain(six).chain(["say", port, text]);
    assert!(at(side, &words.collect::<Vec<_>>()).status().unwrap().success());
}

/// The rest of what a member has heard, to its last word.
fn heard((mut program, lines): (Program, BufReader<ChildStdout>)) -> Vec<String> {
    let lines: Vec<String> = lines.lines().map_while(Result::ok).collect();
    assert!(program.0.wait().unwrap().success(), "{lines:?}");
    lines
}

#[test]
fn clients_dns_relay_by_grant() {
    if !enter("clients_dns_relay_by_grant") {
        return;
    }
    if !has("python3") {
        println!("skipped: clients_dns_relay_by_grant: no program python3");
        return;
    }
    let mut stage = Stage::new();
    for (side, near, theirs) in [("one", "svc-0", "10.64.0.2/32"), ("two", "svc-1", "10.64.0.3/32")] {
        run(&["ip", "netns", "add", side]);
        run(&["ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", side]);
        run(&["ip", "address", "add", "10.64.0.1/32", "dev", near]);
        run(&["ip", "link", "set", near, "up"]);
        ip(side, &format!("address add {theirs} dev eth0"));
        ip(side, "link set eth0 up");
        ip(side, "route add default dev eth0");
        run(&["ip", "route", "add", theirs, "dev", near]);
    }
    let service = |link: &str, granted| Home {
        link: link.into(),
        address: [10, 64, 0, 1].into(),
        who: Who::Service { name: Name::new("hello").unwrap(), mdns: granted, ssdp: granted },
    };
    stage.told.homes.push(service("svc-0", true)).unwrap();
    stage.told.homes.push(service("svc-1", false)).unwrap();
    let _daemon = daemon();
    stage.tell();
    // Groups are joined a moment after the links are there.
    let groups = || run(&["ip", "maddress", "show"]);
    until("groups are joined", 5, || (groups().matches("inet  224.0.0.251").count() == 2).then_some(()));
    until("groups are joined", 5, || (groups().matches("inet  239.255.255.250").count() == 2).then_some(()));
    // From the home to the service, and back, with our address there; once, however often it is said within a second.
    let (service, guest) =
        (member("one", &["hear", "5353", "last"]), member("guest", &["hear", "5353", "own"]));
    let other = member("two", &["hear", "5353", "own"]);
    for text in ["printer", "last"] {
        say("home", None, ("5353", text));
    }
    let said = heard(service);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("10.64.0.1:5353 ") && said[0].ends_with("printer"), "{said:?}");
    let home = member("home", &["hear", "1900", "last"]);
    say("one", None, ("1900", "GET / HTTP/1.1|last"));
    say("one", None, ("1900", "NOTIFY * HTTP/1.1|last"));
    let said = heard(home);
    assert_eq!(said, ["192.168.1.1:1900 NOTIFY * HTTP/1.1 last"]);
    // A search of the service's finds a device at home.
    let _device = member("home", &["device"]);
    let found = at("one", &["python3", SCRIPT, "search"]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.starts_with("10.64.0.1:1900 HTTP/1.1 200 OK ST: lamp"), "{found}");
    // Who was granted nothing, and a guest, have heard nothing: what they hear first is their own neighbour's.
    for (side, near, member) in [("guest", "guests", guest), ("two", "svc-1", other)] {
        let word = [
            "python3",
            "-c",
            "import socket,sys; s=socket.socket(2,2); \
            s.setsockopt(1,25,sys.argv[1].encode()); s.sendto(b'own',('224.0.0.251',5353))",
            near,
        ];
        run(&word);
        assert_eq!(heard(member).len(), 1, "{side}");
    }
    by_ipv6(number("relayed"));
}

/// The same by link-local addresses: from the home to the service, back, and a search with its answer; not to others.
fn by_ipv6(by_ipv4: u64) {
    let six = Some("-6");
    for (side, link) in [("", "lan"), ("", "svc-0"), ("one", "eth0"), ("home", "eth0"), ("two", "eth0")] {
        until("a link-local address", 10, || {
            let said =
                stage::run_at(side, &format!("ip -6 -o address show dev {link} scope link -tentative"));
            said.contains("fe80::").then_some(())
        });
    }
    let (service, other) =
        (member("one", &["-6", "hear", "5353", "last"]), member("two", &["-6", "hear", "5353", "own"]));
    for text in ["printer", "last"] {
        say("home", six, ("5353", text));
    }
    let said = heard(service);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("fe80::") && said[0].ends_with("printer"), "{said:?}");
    let home = member("home", &["-6", "hear", "1900", "last"]);
    say("one", six, ("1900", "NOTIFY * HTTP/1.1|last"));
    let said = heard(home);
    assert!(said.len() == 1 && said[0].ends_with(":1900 NOTIFY * HTTP/1.1 last"), "{said:?}");
    let _device = member("home", &["-6", "device"]);
    let found = at("one", &["python3", SCRIPT, "-6", "search"]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.starts_with("fe80::") && found.contains(":1900 HTTP/1.1 200 OK ST: lamp"), "{found}");
    let word = "import socket; s=socket.socket(10,2); s.setsockopt(41,17,socket.if_nametoindex('svc-1')); \
        s.sendto(b'own',('ff02::fb',5353))";
    run(&["python3", "-c", word]);
    assert_eq!(heard(other).len(), 1, "who was granted nothing has heard nothing");
    assert_eq!((by_ipv4, number("relayed")), (5, 10), "printer, last, notify, search, found; and again");
}
