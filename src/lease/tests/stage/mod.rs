//! A gateway with a provider on one side and two hosts on the other, each in a network namespace of its own; the real daemon; and a
//! `network` that a test plays.
//!
//! In:  what `network` would say. Out: what the daemon says, and what its neighbours see.
//!
//! Source: veth(4); `testbed`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

pub(crate) mod six;

use std::fs;
use std::path::Path;

use contract::learn::{self, Learned, Lease, Server, Wish};
use contract::leases;
use contract::wanted::Pool;
use contract::wires::{LEARN, LEASES, Wire};
pub(crate) use testbed::{Program, at, ip, run, until};
use wire::{Client, Connection, Listener, Received};

/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 6] = ["ip", "nsenter", "setpriv", "dnsmasq", "busybox", "dhclient"];
/// The gateway's own address on the LAN.
pub(crate) const LAN_ADDRESS: &str = "192.168.1.1";

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    testbed::enter(name, &PROGRAMS, "ip link add type veth && ip link add type bridge")
}

/// The gateway between its neighbours: `wan` leads to the provider's `eth0`, the bridge `lan` to those of two hosts.
pub(crate) struct Stage {
    network: Listener,
    connection: Option<Connection>,
    pub(crate) wish: Wish,
}

impl Stage {
    pub(crate) fn new() -> Self {
        run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]);
        fs::create_dir_all("/run/wire").unwrap();
        run(&["ip", "link", "set", "lo", "up"]);
        run(&["ip", "netns", "add", "isp"]);
        Self::join("isp", "wan");
        Self::bridge("lan", [("home", "lan0"), ("guest", "lan1")]);
        // This, too, is `network`'s work.
        run(&["ip", "address", "add", "192.168.1.1/24", "dev", "lan"]);
        let pool = Pool {
            enable: true,
            first: [192, 168, 1, 100].into(),
            last: [192, 168, 1, 199].into(),
            lease_s: 600,
        };
        let server =
            Server { pool: Some(pool), ..Server::silent("lan".into(), LAN_ADDRESS.parse().unwrap(), 24) };
        let client = learn::Client { ipv4: true, ..learn::Client::silent("wan".into()) };
        let wish =
            Wish { clients: heapless::Vec::from_iter([client]), servers: heapless::Vec::from_iter([server]) };
        Self { network: Self::network(), connection: None, wish }
    }

    /// Puts a link between the gateway and `side`.
    pub(crate) fn join(side: &str, near: &str) {
        run(&["ip", "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", side]);
        run(&["ip", "link", "set", near, "up"]);
        ip(side, "link set eth0 up");
    }

    /// Makes the bridge `name`, with ports that lead to new neighbours.
    pub(crate) fn bridge(name: &str, ports: [(&str, &str); 2]) {
        run(&["ip", "link", "add", name, "type", "bridge"]);
        run(&["ip", "link", "set", name, "up"]);
        for (side, port) in ports {
            run(&["ip", "netns", "add", side]);
            Self::join(side, port);
            run(&["ip", "link", "set", port, "master", name]);
        }
    }

    fn network() -> Listener {
        // Who we are inside: root.
        let wire = Wire { clients: &[0], ..LEARN };
        Listener::new(wire, sys::seqpacket::listen(Path::new(LEARN.path)).unwrap())
    }

    /// `network` dies and comes back; the wire is another one.
    pub(crate) fn restart_network(&mut self) {
        self.connection = None;
        self.network = Self::network();
    }

    /// Waits for the daemon, and tells it the wish.
    pub(crate) fn greet(&mut self) {
        let connection = until("lease dials", 5, || self.network.accept());
        connection.send(&self.wish, &[]).unwrap();
        self.connection = Some(connection);
    }

    /// Wishes something else.
    pub(crate) fn wish_anew(&mut self) {
        self.connection.as_ref().unwrap().send(&self.wish, &[]).unwrap();
    }

    /// The next word of the daemon's.
    pub(crate) fn learned(&mut self, limit_s: u64) -> Learned {
        until("lease tells", limit_s, || match self.connection.as_ref().unwrap().receive() {
            Received::Message(learned, _) => Some(learned),
            Received::Nothing => None,
            Received::Gone => panic!("lease is gone"),
        })
    }

    /// The next word has to be a lease. Puts its address on the link, as `network` would.
    pub(crate) fn lease(&mut self, limit_s: u64) -> Lease {
        match self.learned(limit_s) {
            Learned::Lease(lease) => {
                run(&["ip", "address", "flush", "dev", &lease.link]);
                let address = format!("{}/{}", lease.address, lease.prefix_length);
                run(&["ip", "address", "add", &address, "dev", &lease.link]);
                lease
            }
            other @ (Learned::Lost { .. }
            | Learned::Session(_)
            | Learned::SignedIn { .. }
            | Learned::SessionLost { .. }
            | Learned::Ipv6(_)
            | Learned::Mappings { .. }) => panic!("no lease but {other:?}"),
        }
    }
}

/// The real daemon.
pub(crate) fn daemon() -> Program {
    let program = std::env::var("SHG_LEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lease").to_owned());
    testbed::daemon(&program, &LEASES, "+net_raw,+net_bind_service", &["/run/state"])
}

/// All rows of the wire `leases`.
pub(crate) fn rows() -> Vec<leases::Answer> {
    let client = Client::dial(LEASES).unwrap();
    client.send(&leases::Ask::Leases, &[]).unwrap();
    let mut rows = Vec::new();
    loop {
        let row = client.wait().unwrap().0;
        if row == leases::Answer::Done {
            return rows;
        }
        rows.push(row);
    }
}

/// Waits until our client is in the state `word`.
pub(crate) fn wait_state(word: &str, limit_s: u64) {
    until(word, limit_s, || {
        let row = rows().into_iter().next();
        matches!(row, Some(leases::Answer::Client { state, .. }) if state.as_str() == word).then_some(())
    });
}

/// dnsmasq at the provider's, with `options`. The provider is 10.9.0.1.
pub(crate) fn dnsmasq(options: &[&str]) -> Program {
    const ALWAYS: [&str; 11] = [
        "dnsmasq",
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--port=0",
        "--interface=eth0",
        "--bind-interfaces",
        "--no-ping",
        "--log-dhcp",
        "--dhcp-leasefile=/run/isp.leases",
    ];
    let log = fs::File::create("/run/isp.log").unwrap();
    let child = at("isp", &[&ALWAYS, options].concat()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    Program(child.unwrap())
}

/// What the provider's server has logged.
pub(crate) fn isp_log() -> String {
    fs::read_to_string("/run/isp.log").unwrap()
}
