//! A gateway with a provider on one side, a host at home and a guest on the other, each in a network namespace of its own; the real
//! daemon; and a `network` and a `lease` that a test plays.
//!
//! In:  what `network` and `lease` would say. Out: what the daemon says, and what hosts are answered.
//!
//! Source: dig(1); `testbed`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

pub(crate) mod hostile;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use contract::mac::Mac;
use contract::resolve::{Answer, Ask, Local};
use contract::told::{Home, Names, Told, Who};
use contract::wanted::reach::Upstream;
use contract::wires::{RESOLVE, TOLD, Wire};
pub(crate) use testbed::{Program, at, has, ip, run, run_at, until};
use wire::{Client, Connection, Listener};

/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 5] = ["ip", "nsenter", "setpriv", "dnsmasq", "dig"];

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    testbed::enter(name, &PROGRAMS, "ip link add type veth")
}

/// What dig says at a host's, in its own words. The gateway is 192.168.1.1 at home and 192.168.2.1 among guests.
pub(crate) fn dig(side: &str, words: &str) -> String {
    let mut all = vec!["dig", "+tries=1", "+time=6", "+nocookie"];
    let server = if side == "guest" { "@192.168.2.1" } else { "@192.168.1.1" };
    if !words.contains('@') {
        all.push(server);
    }
    all.extend(words.split(' '));
    let output = at(side, &all).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The code that dig shows: `NOERROR`, or none where nobody answered.
pub(crate) fn status(said: &str) -> &str {
    said.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("no answer")
}

/// The records of the answer that dig shows: the last words of each.
pub(crate) fn answers(said: &str) -> Vec<String> {
    let section = said.split("ANSWER SECTION:\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.is_empty());
    let mut all: Vec<String> =
        lines.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    all.sort();
    all
}

/// The flags that dig shows.
pub(crate) fn flags(said: &str) -> &str {
    said.split("flags: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default()
}

/// The gateway between its neighbours.
pub(crate) struct Stage {
    network: Listener,
    connection: Option<Connection>,
    pub(crate) told: Names,
}

impl Stage {
    pub(crate) fn new() -> Self {
        for folder in ["/run", "/etc"] {
            run(&["mount", "-t", "tmpfs", "tmpfs", folder]);
        }
        for folder in ["/run/wire", "/run/time", "/etc/shg"] {
            fs::create_dir_all(folder).unwrap();
        }
        // Who dnsmasq wants to be.
        fs::write("/etc/passwd", "root:x:0:0::/:/bin/sh\n").unwrap();
        fs::write("/etc/group", "root:x:0:\n").unwrap();
        run(&["ip", "link", "set", "lo", "up"]);
        for (side, near, ours, theirs) in [
            ("isp", "wan", "10.9.0.2/24", "10.9.0.1/24"),
            ("home", "lan", "192.168.1.1/24", "192.168.1.7/24"),
            ("guest", "guests", "192.168.2.1/24", "192.168.2.7/24"),
        ] {
            run(&["ip", "netns", "add", side]);
            run(&["ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", side]);
            run(&["ip", "address", "add", ours, "dev", near]);
            run(&["ip", "link", "set", near, "up"]);
            ip(side, &format!("address add {theirs} dev eth0"));
            ip(side, "link set eth0 up");
            ip(side, "link set lo up");
        }
        run(&["ip", "-6", "address", "add", "fd00:1::1/64", "dev", "lan", "nodad"]);
        ip("home", "-6 address add fd00:1::7/64 dev eth0 nodad");
        let home = |link: &str, address: [u8; 4], who| Home {
            link: link.into(),
            address: Ipv4Addr::from(address),
            who,
        };
        let told = Names {
            homes: heapless::Vec::from_iter([
                home("lan", [192, 168, 1, 1], Who::Home),
                home("guests", [192, 168, 2, 1], Who::Guest),
            ]),
            domain: "home.arpa".into(),
            upstreams: heapless::Vec::from_iter([upstream("10.9.0.1", 53)]),
            ours: heapless::Vec::from_iter(["192.168.0.0/16", "fd00::/8"].map(|text| text.parse().unwrap())),
            ..Names::default()
        };
        // Who we are inside: root.
        let wire = Wire { clients: &[0], ..TOLD };
        let network = Listener::new(wire, sys::seqpacket::listen(Path::new(TOLD.path)).unwrap());
        Self { network, connection: None, told }
    }

    /// Tells what there is to be told, and waits until it holds on both links.
    pub(crate) fn tell(&mut self) {
        if self.connection.is_none() {
            self.connection = Some(until("names dials", 5, || self.network.accept()));
        }
        self.connection.as_ref().unwrap().send(&Told::Names(self.told.clone()), &[]).unwrap();
        let links = self.told.homes.len();
        until("names listens", 5, || {
            let rows = rows();
            let there =
                rows.iter().filter(|(name, value)| name.starts_with("link ") && value.ends_with("answers"));
            let asked = rows.iter().filter(|(name, _)| name.starts_with("upstream ")).count();
            (there.count() == links && asked == self.told.upstreams.len()).then_some(())
        });
    }
}

/// An upstream that is asked in the clear.
pub(crate) fn upstream(address: &str, port: u16) -> Upstream {
    Upstream { enable: true, address: address.parse().unwrap(), port, tls: "".into() }
}

/// The real daemon.
pub(crate) fn daemon() -> Program {
    let program = std::env::var("SHG_NAMES").unwrap_or(env!("CARGO_BIN_EXE_names").to_owned());
    testbed::daemon(&program, &RESOLVE, "+net_bind_service", &[])
}

/// All rows of the wire `resolve`.
pub(crate) fn rows() -> Vec<(String, String)> {
    let client = Client::dial(RESOLVE).unwrap();
    client.send(&Ask::Show, &[]).unwrap();
    let mut rows = Vec::new();
    loop {
        match client.wait().unwrap().0 {
            Answer::Done => return rows,
            Answer::Row { name, value } => rows.push((name.to_string(), value.to_string())),
        }
    }
}

/// A number of the wire `resolve`.
pub(crate) fn number(name: &str) -> u64 {
    let rows = rows();
    rows.iter().find(|(row, _)| row == name).map(|(_, value)| value.parse().unwrap()).unwrap()
}

/// Says names of hosts, as `lease` would, and waits until they are known.
pub(crate) fn hosts(names: &[(&str, &str)]) {
    let local = |(name, address): &(&str, &str)| Local {
        name: (*name).into(),
        address: address.parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, 7]),
        link: "lan".into(),
    };
    let client = Client::dial(RESOLVE).unwrap();
    let frame = Ask::Local { first: true, names: names.iter().map(local).collect() };
    client.send(&frame, &[]).unwrap();
    until("hosts are known", 5, || (number("hosts") == u64::try_from(names.len()).unwrap()).then_some(()));
}

/// dnsmasq at the provider's, with `options`: the provider is 10.9.0.1, and its log is returned by [`asked`].
pub(crate) fn dnsmasq(options: &[&str]) -> Program {
    const ALWAYS: [&str; 11] = [
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--user=root",
        "--group=root",
        "--log-queries",
        "--log-facility=/run/isp.log",
        "--local-ttl=3600",
        "--bind-interfaces",
    ];
    let program = Program(at("isp", &[&ALWAYS, options].concat()).stderr(Stdio::null()).spawn().unwrap());
    until("dnsmasq answers", 5, || {
        (status(&dig("isp", "@10.9.0.1 ready.example A")) != "no answer").then_some(())
    });
    program
}

/// How often the provider was asked for `name`.
pub(crate) fn asked(name: &str) -> usize {
    let log = fs::read_to_string("/run/isp.log").unwrap();
    log.lines().filter(|line| line.contains("query[") && line.contains(&format!("] {name} from"))).count()
}
