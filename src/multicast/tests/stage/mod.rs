//! A gateway between a station and two homes' boxes, each in a network namespace of its own; the real daemon; and a `network` that a test
//! plays.
//!
//! In:  what `network` would say. Out: what the daemon says, and what boxes see.
//!
//! Source: `testbed`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use contract::groups::{Answer, Ask};
use contract::told::{Multicast, Side, Told};
use contract::wires::{GROUPS, TOLD, Wire};
use sys::mroute::{self, Family};
pub(crate) use testbed::{Program, Talker, at, run_at as run, until};
use wire::{Client, Connection, Listener};

/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 4] = ["ip", "nsenter", "setpriv", "python3"];

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    let snoops = "ip link add type veth && ip link add name br type bridge mcast_router 2 && test -e /proc/net/ip6_mr_vif";
    testbed::enter(name, &PROGRAMS, snoops)
}

const VIEWER: &str = include_str!("../data/viewer.py");
const STATION: &str = include_str!("../data/station.py");
/// The port of all streams.
const PORT: &str = "5004";

/// The gateway: `wan` leads to the station's `eth0`, the bridge `lan` to those of two boxes.
pub(crate) struct Stage {
    told: Listener,
    connection: Option<Connection>,
    sockets: [OwnedFd; 2],
    pub(crate) order: Multicast,
}

impl Stage {
    pub(crate) fn new() -> Self {
        run("", "mount -t tmpfs tmpfs /run");
        fs::create_dir_all("/run/wire").unwrap();
        run("", "ip link add name lan type bridge mcast_snooping 1 mcast_router 2");
        for (side, near, gateway, own) in [
            ("isp", "wan", "10.9.0.1/24", "10.9.0.2/24"),
            ("one", "lan0", "", "192.168.1.10/24"),
            ("two", "lan1", "", "192.168.1.11/24"),
        ] {
            run("", &format!("ip netns add {side}"));
            run("", &format!("ip link add {near} type veth peer name eth0 netns {side}"));
            if gateway.is_empty() {
                run("", &format!("ip link set {near} master lan"));
            } else {
                run("", &format!("ip address add {gateway} dev {near}"));
                run("", &format!("ip address add 2001:db8:9::1/64 dev {near} nodad"));
            }
            run(side, &format!("ip address add {own} dev eth0"));
            run(side, "ip link set lo up");
            run(side, "ip link set eth0 up");
            run("", &format!("ip link set {near} up"));
        }
        run("isp", "ip address add 2001:db8:9::2/64 dev eth0 nodad");
        for line in ["ip link set lo up", "ip link set lan up", "ip address add 192.168.1.1/24 dev lan"] {
            run("", line);
        }
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        let sockets = [Family::V4, Family::V6].map(|family| mroute::open(family).unwrap());
        let side = |link: &str, address: [u8; 4]| Side {
            link: link.into(),
            address: Ipv4Addr::from(address),
            address6: link_local(link),
            ports: heapless::Vec::new(),
        };
        let order = Multicast {
            upstream: Some(side("wan", [10, 9, 0, 1])),
            downstreams: heapless::Vec::from_iter([side("lan", [192, 168, 1, 1])]),
            groups: heapless::Vec::new(),
        };
        let wire = Wire { clients: &[0], ..TOLD };
        let told = Listener::new(wire, sys::seqpacket::listen(Path::new(TOLD.path)).unwrap());
        Self { told, connection: None, sockets, order }
    }

    /// Waits for the daemon, and tells it.
    pub(crate) fn tell(&mut self) {
        let connection = until("multicast dials", 5, || self.told.accept());
        let [four, six] = &self.sockets;
        connection.send(&Told::Multicast(Some(self.order.clone())), &[four.as_fd(), six.as_fd()]).unwrap();
        self.connection = Some(connection);
    }
}

fn link_local(link: &str) -> Ipv6Addr {
    until("a link-local address", 5, || {
        let text = run("", &format!("ip -6 -o address show dev {link} scope link -tentative"));
        text.split_whitespace().find_map(|word| word.strip_suffix("/64")?.parse().ok())
    })
}

/// The real daemon, with no right at all.
pub(crate) fn daemon() -> Program {
    testbed::daemon(env!("CARGO_BIN_EXE_multicast"), &GROUPS, "", &[])
}

/// All rows of the wire `groups`.
pub(crate) fn rows() -> Vec<Answer> {
    let client = Client::dial(GROUPS).unwrap();
    client.send(&Ask::Groups, &[]).unwrap();
    let mut rows = Vec::new();
    loop {
        match client.wait().unwrap().0 {
            Answer::Done => return rows,
            row @ (Answer::Group { .. } | Answer::Stream { .. }) => rows.push(row),
        }
    }
}

/// How many hosts watch `group`, by the daemon's word.
pub(crate) fn watchers(group: &str) -> u16 {
    let asked: IpAddr = group.parse().unwrap();
    let hosts = rows().into_iter().map(|row| match row {
        Answer::Group { group, hosts, .. } if group == asked => hosts,
        Answer::Group { .. } | Answer::Stream { .. } | Answer::Done => 0,
    });
    hosts.sum()
}

/// The station sends to `groups`, for at most `seconds`.
pub(crate) fn station(seconds: u32, groups: &[&str]) -> Program {
    let seconds = seconds.to_string();
    let words = [&["python3", "-c", STATION, "eth0", PORT, &seconds], groups].concat();
    Program(at("isp", &words).spawn().unwrap())
}

/// A set-top box.
pub(crate) struct Viewer(Talker);

impl Viewer {
    pub(crate) fn at(side: &str) -> Self {
        let talker = Talker::start(side, &["python3", "-c", VIEWER, "eth0", PORT]);
        talker.hears("ready");
        Self(talker)
    }

    /// Watches `group` (or `group source`), and returns how long its first packet took, in milliseconds.
    pub(crate) fn join(&mut self, group: &str) -> u64 {
        self.join_blindly(group);
        let said = self.0.hears("first ");
        let words: Vec<&str> = said.split(' ').collect();
        assert_eq!((words[0], words[1]), ("first", group.split(' ').next().unwrap()), "{said}");
        words[2].parse().unwrap()
    }

    /// Watches, and does not wait for a picture.
    pub(crate) fn join_blindly(&mut self, group: &str) {
        self.0.tell(&format!("join {group}"));
    }

    pub(crate) fn leave(&mut self, group: &str) {
        self.0.tell(&format!("leave {group}"));
        self.0.hears(&format!("left {group}"));
    }

    /// Packets since the last count, and how many of them were lost.
    pub(crate) fn count(&mut self, group: &str) -> (u64, u64) {
        self.0.tell(&format!("count {group}"));
        let said = self.0.hears(&format!("{group} "));
        let mut words = said.split(' ').skip(1).map(|word| word.parse().unwrap());
        (words.next().unwrap(), words.next().unwrap())
    }
}
