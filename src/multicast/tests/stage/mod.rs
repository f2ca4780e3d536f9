//! A gateway between a station and two homes' boxes, each in a network namespace of its own; the real daemon; and a `network` that a test
//! plays.
//!
//! In:  the name of a test. Out: the same test, inside; it ends with everything that it started.
//!
//! Source: unshare(1), nsenter(1), ip-netns(8), veth(4).
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use contract::groups::{Answer, Ask};
use contract::told::{Multicast, Side, Told};
use contract::wires::{GROUPS, TOLD, Wire};
use sys::mroute::{self, Family};
use wire::{Client, Connection, Listener};

/// Set inside.
const INSIDE: &str = "SHG_MULTICAST_INSIDE";
/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 4] = ["ip", "nsenter", "setpriv", "python3"];
const VIEWER: &str = include_str!("../data/viewer.py");
const STATION: &str = include_str!("../data/station.py");
/// The port of all streams.
const PORT: &str = "5004";

/// Is this the process inside? Else runs the test `name` there, and fails where that fails.
pub(crate) fn enter(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    const UNSHARE: [&str; 8] =
        ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let missing = |program: &&&str| {
        let folders = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"];
        !folders.iter().any(|folder| Path::new(folder).join(program).exists())
    };
    if let Some(program) = PROGRAMS.iter().find(missing) {
        println!("skipped: {name}: no program {program}");
        return false;
    }
    let links = "ip link add type veth && ip link add name br type bridge mcast_router 2 && test -e /proc/net/ip6_mr_vif";
    let trial = Command::new("unshare").args(UNSHARE).args(["sh", "-c", links]).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        println!(
            "skipped: {name}: no namespaces of our own here, or no bridge that snoops, or no multicast routing"
        );
        return false;
    }
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("--").arg(own).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: inside:\n{text}");
    text.lines()
        .filter(|line| line.starts_with("skipped") || line.starts_with("| "))
        .for_each(|line| println!("{line}"));
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

/// Runs a line of words to its end, at a side or (`""`) at the gateway, and returns what it wrote.
pub(crate) fn run(side: &str, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let output = at(side, &words).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{side}: {line}: {text}");
    text
}

fn at(side: &str, words: &[&str]) -> Command {
    if side.is_empty() {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        return command;
    }
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{side}")).arg("--").args(words);
    command
}

/// A program that runs until it is dropped.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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

/// The real daemon, started as the supervisor starts it, with no right at all.
pub(crate) fn daemon() -> Program {
    let _ = fs::remove_file(GROUPS.path);
    let listener = sys::seqpacket::listen(Path::new(GROUPS.path)).unwrap();
    let (ready, notify): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let line = "exec 3<&0 4>&1 </dev/null >&2; exec setpriv --no-new-privs \
        --bounding-set=-all --inh-caps=-all \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_multicast")]);
    command.env("LISTEN_FDNAMES", "groups").env("NOTIFY_FD", "4");
    let child = command.stdin(Stdio::from(listener)).stdout(Stdio::from(notify)).spawn().unwrap();
    drop(command);
    assert_eq!(sys::descriptor::wait_readable(ready.as_fd(), 5_000), Ok(true), "multicast is ready");
    Program(child)
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
pub(crate) struct Viewer {
    program: Program,
    said: Receiver<String>,
}

impl Viewer {
    pub(crate) fn at(side: &str) -> Self {
        let mut child = at(side, &["python3", "-c", VIEWER, "eth0", PORT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        let viewer = Self { program: Program(child), said };
        assert_eq!(viewer.hears(), "ready");
        viewer
    }

    fn hears(&self) -> String {
        self.said.recv_timeout(Duration::from_secs(10)).expect("the box says something within 10 s")
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.program.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Watches `group` (or `group source`), and returns how long its first packet took, in milliseconds.
    pub(crate) fn join(&mut self, group: &str) -> u64 {
        self.join_blindly(group);
        let said = self.hears();
        let words: Vec<&str> = said.split(' ').collect();
        assert_eq!((words[0], words[1]), ("first", group.split(' ').next().unwrap()), "{said}");
        words[2].parse().unwrap()
    }

    /// Watches, and does not wait for a picture.
    pub(crate) fn join_blindly(&mut self, group: &str) {
        self.tell(&format!("join {group}"));
    }

    pub(crate) fn leave(&mut self, group: &str) {
        self.tell(&format!("leave {group}"));
        assert_eq!(self.hears(), format!("left {group}"));
    }

    /// Packets since the last count, and how many of them were lost.
    pub(crate) fn count(&mut self, group: &str) -> (u64, u64) {
        self.tell(&format!("count {group}"));
        let said = self.hears();
        let mut words = said.split(' ').skip(1).map(|word| word.parse().unwrap());
        (words.next().unwrap(), words.next().unwrap())
    }
}
