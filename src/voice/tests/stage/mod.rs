//! A gateway between an operator's platform and two phones, each in a network namespace of its own; the real daemon; and a `network` that a
//! test plays.
//!
//! In:  what `network` would say. Out: what the daemon says, and what both ends of a call hear.
//!
//! Source: `testbed`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

use std::fs;
use std::path::Path;

use contract::calls::{Answer, Ask};
use contract::told::{Told, Voice};
use contract::wires::{CALLS, TOLD, Wire};
pub(crate) use testbed::{Program, Talker, run_at as run, until};
use wire::{Client, Connection, Listener};

/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 6] = ["ip", "nsenter", "setpriv", "python3", "sipp", "baresip"];
const PLATFORM: &str = include_str!("../data/platform.py");

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    testbed::enter(name, &PROGRAMS, "ip link add type veth")
}

/// The gateway: `lan` leads to the phone's `eth0`, `voice` to the platform's.
pub(crate) struct Stage {
    told: Listener,
    connection: Option<Connection>,
    pub(crate) order: Voice,
}

/// The platform's address, and ours in its play.
pub(crate) const PLATFORM_ADDRESS: &str = "198.51.100.10";
pub(crate) const PLAY_ADDRESS: &str = "198.51.100.2";
/// The phone's address, and ours at home.
pub(crate) const PHONE: &str = "192.168.1.20";
pub(crate) const HOME_ADDRESS: &str = "192.168.1.1";

impl Stage {
    pub(crate) fn new() -> Self {
        run("", "mount -t tmpfs tmpfs /run");
        fs::create_dir_all("/run/wire").unwrap();
        run("", "ip link set lo up");
        for (side, near, ours, theirs) in
            [("platform", "voice", PLAY_ADDRESS, PLATFORM_ADDRESS), ("phone", "lan", HOME_ADDRESS, PHONE)]
        {
            run("", &format!("ip netns add {side}"));
            run("", &format!("ip link add {near} type veth peer name eth0 netns {side}"));
            run("", &format!("ip address add {ours}/24 dev {near}"));
            run(side, &format!("ip address add {theirs}/24 dev eth0"));
            for line in ["ip link set lo up", "ip link set eth0 up"] {
                run(side, line);
            }
            run("", &format!("ip link set {near} up"));
        }
        // Somebody in the play who is not of the platform.
        run("platform", "ip address add 198.51.100.66/24 dev eth0");
        run("phone", &format!("ip route add default via {HOME_ADDRESS}"));
        let order = Voice {
            home: ("lan".into(), HOME_ADDRESS.parse().unwrap()),
            prefix: "192.168.1.0/24".parse().unwrap(),
            play: Some(("voice".into(), PLAY_ADDRESS.parse().unwrap())),
            reaches: heapless::Vec::from_iter(["198.51.100.8/29".parse().unwrap()]),
            registrar: (PLATFORM_ADDRESS.parse().unwrap(), 5060),
        };
        let wire = Wire { clients: &[0], ..TOLD };
        let told = Listener::new(wire, sys::seqpacket::listen(Path::new(TOLD.path)).unwrap());
        Self { told, connection: None, order }
    }

    /// Waits for the daemon, tells it, and waits until it listens.
    pub(crate) fn tell(&mut self) {
        let connection = until("voice dials", 5, || self.told.accept());
        connection.send(&Told::Voice(Some(self.order.clone())), &[]).unwrap();
        self.connection = Some(connection);
        let sockets = if self.order.play.is_some() { 2 } else { 1 };
        until("voice listens", 5, || {
            let text = fs::read_to_string("/proc/net/udp").unwrap();
            (text.lines().filter(|line| line.contains(":13C4 ")).count() >= sockets).then_some(())
        });
    }
}

impl Stage {
    /// Tells the daemon that it has spoken to already something new.
    pub(crate) fn tell_again(&self) {
        self.connection.as_ref().unwrap().send(&Told::Voice(Some(self.order.clone())), &[]).unwrap();
    }
}

/// The real daemon, with no right at all.
pub(crate) fn daemon() -> Program {
    testbed::daemon(env!("CARGO_BIN_EXE_voice"), &CALLS, "", &[])
}

/// The operator's platform, ready.
pub(crate) fn platform() -> Talker {
    let talker = Talker::start("platform", &["python3", "-c", PLATFORM, PLATFORM_ADDRESS]);
    talker.hears("ready");
    talker
}

/// Starts a program at a side; it ends by itself.
pub(crate) fn begin(side: &str, words: &[&str]) -> Program {
    Program::start(side, words, None)
}

/// All rows of the wire `calls`.
pub(crate) fn rows() -> Vec<Answer> {
    let client = Client::dial(CALLS).unwrap();
    client.send(&Ask::Calls, &[]).unwrap();
    let mut rows = Vec::new();
    loop {
        match client.wait().unwrap().0 {
            Answer::Done => return rows,
            row @ (Answer::Phone { .. } | Answer::Call { .. }) => rows.push(row),
        }
    }
}

/// Packets from and to the phone of the calls that stand.
pub(crate) fn media() -> (u64, u64) {
    rows().into_iter().fold((0, 0), |(all, back), row| match row {
        Answer::Call { sent, received, .. } => (all + sent, back + received),
        Answer::Phone { .. } | Answer::Done => (all, back),
    })
}
