//! The real daemon as a PCP server: of natpmpc of Debian, of crab_nat (Debian has no client of version 2), and of requests as RFC 6887
//! draws them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::process::Stdio;

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType};

use contract::learn::{Learned, Mapping, OnLink, Pcp};
use contract::leases::Answer;
use contract::manifest::Protocol;
use stage::{Stage, at, daemon, enter, ip, rows, run, until};

/// Sends the bytes in hex of its last argument, and prints what comes back.
const ASK: &str = "import socket, sys
to, port, words = sys.argv[1], 5351, bytes.fromhex(sys.argv[2])
family = socket.AF_INET6 if ':' in to else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(3)
s.connect((to, port)); s.send(words)
try: print(s.recv(2000).hex())
except OSError as error: print(error)
";

fn stage() -> Stage {
    let mut stage = Stage::new();
    let pcp = Pcp { external: [203, 0, 113, 7].into(), taken: Default::default() };
    let on = OnLink { prefix: "2001:db8::/64".parse().unwrap(), preferred_s: 600, valid_s: 600 };
    let server = &mut stage.wish.servers[0];
    (server.pcp, server.pool) = (Some(pcp), None);
    server.prefixes.push(on).unwrap();
    stage.wish.clients.clear();
    ip("home", "address add 192.168.1.50/24 dev eth0");
    ip("home", "address add 2001:db8::5/64 dev eth0 nodad");
    run(&["ip", "address", "add", "2001:db8::1/64", "dev", "lan", "nodad"]);
    stage
}

/// The next list of mappings.
fn mappings(stage: &mut Stage) -> Vec<Mapping> {
    match stage.learned(5) {
        Learned::Mappings { link, mappings } => {
            assert_eq!(link.as_str(), "lan");
            mappings.to_vec()
        }
        other @ (Learned::Lease(_)
        | Learned::Lost { .. }
        | Learned::Session(_)
        | Learned::SignedIn { .. }
        | Learned::SessionLost { .. }
        | Learned::Ipv6(_)) => panic!("no mappings but {other:?}"),
    }
}

fn natpmpc(words: &str) -> String {
    let all: Vec<&str> = ["natpmpc", "-g", "192.168.1.1"].into_iter().chain(words.split(' ')).collect();
    let output = at("home", &all).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn ask(to: &str, hex: &str) -> String {
    let output = at("home", &["python3", "-c", ASK, to, hex]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
}

/// A MAP request: lifetime, address (the last hex digits of a mapped one), protocol, ports inside and outside.
fn map(lifetime_s: u32, address: &str, protocol: u8, port: u16, external_port: u16) -> String {
    let nonce = "0102030405060708090a0b0c";
    let any = if address.starts_with("0000") { "00000000000000000000ffff00000000" } else { &"0".repeat(32) };
    format!("02010000{lifetime_s:08x}{address}{nonce}{protocol:02x}000000{port:04x}{external_port:04x}{any}")
}

#[test]
fn clients_ask_for_ports_by_nat_pmp() {
    if !enter("clients_ask_for_ports_by_nat_pmp") {
        return;
    }
    if !std::path::Path::new("/usr/bin/natpmpc").exists() {
        return println!("skipped: no program natpmpc");
    }
    let mut stage = stage();
    let first_life = daemon();
    stage.greet();
    assert_eq!(mappings(&mut stage), [], "that there are none is said");
    let words = natpmpc("-a 40000 8080 tcp 3600");
    assert!(words.contains("Public IP address : 203.0.113.7"), "{words}");
    assert!(words.contains("Mapped public port 40000 protocol TCP to local port 8080"), "{words}");
    let host = [192, 168, 1, 50].into();
    let want = Mapping { protocol: Protocol::Tcp, external_port: 40_000, host, port: 8_080 };
    assert_eq!(mappings(&mut stage), [want]);
    let shown =
        rows().into_iter().any(|row| matches!(row, Answer::Mapping { mapping, .. } if mapping == want));
    assert!(shown, "{:?}", rows());

    // `network` dies and comes back: it is told all again.
    stage.restart_network();
    stage.greet();
    assert_eq!(mappings(&mut stage), [want]);
    // The daemon dies: its mappings are lost, and it says so.
    drop(first_life);
    std::fs::remove_file(contract::wires::LEASES.path).unwrap();
    let _second_life = daemon();
    stage.greet();
    assert_eq!(mappings(&mut stage), []);
    assert!(natpmpc("-a 40000 8080 tcp 3600").contains("Mapped public port 40000"));
    assert_eq!(mappings(&mut stage), [want]);
    assert!(natpmpc("-a 40000 8080 tcp 0").contains("Mapped public port 0"), "given back");
    assert_eq!(mappings(&mut stage), []);
    assert!(natpmpc("-a 0 22 tcp 3600").contains("readnatpmpresponseorretry() failed"), "a low port");
    // Switched off: nobody answers, and the port is not open.
    stage.wish.servers[0].pcp = None;
    stage.restart_network();
    stage.greet();
    until("it is off", 5, || ask("192.168.1.1", "0000").contains("refused").then_some(()));
}

/// What crab_nat is to do at home: `to from protocol port external`; set in the process that does it.
const ROLE: &str = "LEASE_PCP_CLIENT";

/// Not a test: crab_nat at home, when the test below starts it. It maps a port, says what it got, asks for more time, and gives it back
/// once it is told so.
#[test]
fn crab_nat_at_home() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let [to, from] = [0, 1].map(|at| words[at].parse::<IpAddr>().unwrap());
    let protocol = if words[2] == "udp" { InternetProtocol::Udp } else { InternetProtocol::Tcp };
    let external_port = Some(words[4].parse().unwrap());
    let options = PortMappingOptions { external_port, lifetime_seconds: Some(600), timeout_config: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let asked = PortMapping::new(to.into(), from, protocol, words[3].parse().unwrap(), options).await;
        let mut mapping = asked.unwrap();
        mapping.renew().await.unwrap();
        let PortMappingType::Pcp { external_ip, .. } = mapping.mapping_type() else { panic!("not by PCP") };
        println!("mapped {external_ip} {} {}", mapping.external_port(), mapping.lifetime());
        std::io::stdin().read_line(&mut String::new()).unwrap();
        mapping.try_drop().await.map_err(|(why, _)| why).unwrap();
    });
}

#[test]
fn clients_that_we_did_not_write_ask_for_ports_by_pcp() {
    if !enter("clients_that_we_did_not_write_ask_for_ports_by_pcp") {
        return;
    }
    let mut stage = stage();
    let _daemon = daemon();
    stage.greet();
    assert_eq!(mappings(&mut stage), []);
    until("it listens", 5, || {
        ask("192.168.1.1", &map(600, &"0".repeat(32), 17, 1, 1)).contains("02").then_some(())
    });
    let own = std::env::current_exe().unwrap().display().to_string();
    for (role, said, protocol, host, external_port) in [
        (
            "192.168.1.1 192.168.1.50 udp 8080 40000",
            "mapped 203.0.113.7 40000 600",
            Protocol::Udp,
            "192.168.1.50",
            40_000,
        ),
        (
            "2001:db8::1 2001:db8::5 tcp 8080 8080",
            "mapped 2001:db8::5 8080 600",
            Protocol::Tcp,
            "2001:db8::5",
            8_080,
        ),
    ] {
        let mut command = at("home", &[&own, "crab_nat_at_home", "--exact", "--nocapture"]);
        let mut child = command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // The first line may stand behind what the test's program says of itself.
        let heard = lines.find_map(|line| Some(line.get(line.find("mapped ")?..)?.to_owned()));
        assert_eq!(heard.as_deref(), Some(said));
        let want = Mapping { protocol, external_port, host: host.parse().unwrap(), port: 8_080 };
        assert_eq!(mappings(&mut stage), [want]);
        writeln!(child.stdin.take().unwrap()).unwrap();
        assert!(child.wait().unwrap().success(), "{role}");
        assert_eq!(mappings(&mut stage), [], "given back");
    }
}

#[test]
fn clients_ask_for_ports_by_pcp_in_both_families() {
    if !enter("clients_ask_for_ports_by_pcp_in_both_families") {
        return;
    }
    let mut stage = stage();
    let _daemon = daemon();
    stage.greet();
    assert_eq!(mappings(&mut stage), []);
    let four = "00000000000000000000ffffc0a80132";
    let other = "00000000000000000000ffffc0a80133";
    let six = "20010db8000000000000000000000005";
    let got = until("it listens", 5, || {
        let answer = ask("192.168.1.1", &map(3_600, four, 17, 8_080, 40_000));
        (answer.len() == 120).then_some(answer)
    });
    assert_eq!((&got[..16], &got[80..]), ("0281000000000e10", "1f909c4000000000000000000000ffffcb007107"));
    let want = Mapping {
        protocol: Protocol::Udp,
        external_port: 40_000,
        host: [192, 168, 1, 50].into(),
        port: 8_080,
    };
    assert_eq!(mappings(&mut stage), [want]);
    // to whom, request, the beginning of the answer: version, operation, result
    let table = [
        ("another one's address", "192.168.1.1", map(600, other, 17, 9_000, 0), "0281000c"),
        ("PEER", "192.168.1.1", map(600, four, 17, 9_000, 0).replacen("0201", "0202", 1), "02820004"),
        ("version 1", "192.168.1.1", map(600, four, 17, 9_000, 0).replacen("0201", "0101", 1), "02810001"),
        ("ANNOUNCE", "192.168.1.1", format!("0200000000000000{four}"), "02800000"),
        (
            "THIRD_PARTY",
            "192.168.1.1",
            map(600, four, 17, 9_000, 0) + "01000010" + &"00".repeat(16),
            "02810005",
        ),
        ("it or none", "192.168.1.1", map(600, four, 17, 9_000, 500) + "02000000", "0281000b"),
        ("by IPv6", "2001:db8::1", map(600, six, 6, 9_000, 0), "02810000"),
    ];
    for (what, to, request, want) in table {
        let answer = ask(to, &request);
        assert!(answer.starts_with(want), "{what}: {answer}");
    }
    let six = Mapping {
        protocol: Protocol::Tcp,
        external_port: 9_000,
        host: "2001:db8::5".parse().unwrap(),
        port: 9_000,
    };
    assert_eq!(mappings(&mut stage), [want, six]);
}
