//! A gateway with a provider on one side and two hosts on the other, each in a network namespace of its own; the real daemon; and a
//! `network` that a test plays.
//!
//! In:  the name of a test. Out: the same test, inside; it ends with everything that it started.
//!
//! Source: unshare(1), nsenter(1), ip-netns(8), veth(4).
#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod six;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contract::learn::{self, Learned, Lease, Server, Wish};
use contract::leases;
use contract::wanted::Pool;
use contract::wires::{LEARN, LEASES, Wire};
use wire::{Client, Connection, Listener, Received};

/// Set inside.
const INSIDE: &str = "SHG_LEASE_INSIDE";
/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 6] = ["ip", "nsenter", "setpriv", "dnsmasq", "busybox", "dhclient"];
/// The gateway's own address on the LAN.
pub(crate) const LAN_ADDRESS: &str = "192.168.1.1";

/// Is this the process inside? Else runs the test `name` there, and fails where that fails.
pub(crate) fn enter(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    const UNSHARE: [&str; 8] =
        ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let found = |program: &&&str| {
        !["/sbin", "/usr/sbin", "/bin", "/usr/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    if let Some(missing) = PROGRAMS.iter().find(found) {
        println!("skipped: {name}: no program {missing}");
        return false;
    }
    let links = "ip link add type veth && ip link add type bridge";
    let trial = Command::new("unshare").args(UNSHARE).args(["sh", "-c", links]).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        println!("skipped: {name}: this machine lets us make no namespaces, or no veth and bridge in them");
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("--").arg(own).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    // What it says inside is said here only where it matters: a suite's words twice would be counted twice.
    let output = command.env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: inside:\n{text}");
    let is_word = |line: &&str| ["skipped", "figure"].iter().any(|word| line.starts_with(word));
    text.lines().filter(is_word).for_each(|line| println!("{line}"));
    false
}

/// Asks until there is an answer, for at most `limit_s` seconds.
pub(crate) fn until<T>(what: &str, limit_s: u64, mut question: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(limit_s);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: not within {limit_s} s");
        std::thread::sleep(Duration::from_millis(20)); // a step of a wait with a limit
    }
}

/// Runs a program to its end, and returns what it wrote.
pub(crate) fn run(words: &[&str]) -> String {
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{words:?}: {text}");
    text
}

/// A program that runs until it is dropped.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `words`, at the provider's (`isp`) or at a host's (`home`, `guest`).
pub(crate) fn at(side: &str, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{side}")).arg("--").args(words);
    command
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
        let pool = Pool { first: [192, 168, 1, 100].into(), last: [192, 168, 1, 199].into(), lease_s: 600 };
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

pub(crate) fn ip(side: &str, words: &str) {
    let words: Vec<&str> = ["ip"].into_iter().chain(words.split(' ')).collect();
    let output = at(side, &words).output().unwrap();
    assert!(output.status.success(), "{side}: {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The real daemon, started as the supervisor starts it, and with as few rights.
pub(crate) fn daemon() -> Program {
    let listener = sys::seqpacket::listen(Path::new(LEASES.path)).unwrap();
    let (ready, notify): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    // The shell puts the wire at 3 and the notify descriptor at 4.
    let line = "exec 3<&0 4>&1 </dev/null >&2; exec setpriv --no-new-privs \
        --bounding-set=-all,+net_raw,+net_bind_service --inh-caps=-all \"$0\" /run/state";
    let mut command = Command::new("sh");
    let program = std::env::var("SHG_LEASE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lease").to_owned());
    command.args(["-c", line, &program]);
    command.env("LISTEN_FDNAMES", "leases").env("NOTIFY_FD", "4");
    let child = command.stdin(Stdio::from(listener)).stdout(Stdio::from(notify)).spawn().unwrap();
    drop(command);
    assert_eq!(sys::descriptor::wait_readable(ready.as_fd(), 5_000), Ok(true), "lease is ready");
    Program(child)
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
