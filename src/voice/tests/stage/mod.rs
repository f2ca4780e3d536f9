//! A gateway between an operator's platform and two phones, each in a network namespace of its own; the real daemon; and a `network` that a
//! test plays.
//!
//! In:  the name of a test. Out: the same test, inside; it ends with everything that it started.
//!
//! Source: unshare(1), nsenter(1), ip-netns(8), veth(4).
#![allow(dead_code, reason = "each test takes what it needs")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use contract::calls::{Answer, Ask};
use contract::told::{Told, Voice};
use contract::wires::{CALLS, TOLD, Wire};
use wire::{Client, Connection, Listener};

/// Set inside.
const INSIDE: &str = "SHG_VOICE_INSIDE";
/// Programs that a test needs, all of Debian.
const PROGRAMS: [&str; 6] = ["ip", "nsenter", "setpriv", "python3", "sipp", "baresip"];
const PLATFORM: &str = include_str!("../data/platform.py");

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
    let links = "ip link add type veth";
    let trial = Command::new("unshare").args(UNSHARE).args(["sh", "-c", links]).output();
    if !trial.is_ok_and(|output| output.status.success()) {
        println!("skipped: {name}: no namespaces of our own here, or no veth in them");
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

/// The real daemon, started as the supervisor starts it, with no right at all.
pub(crate) fn daemon() -> Program {
    let _ = fs::remove_file(CALLS.path);
    let listener = sys::seqpacket::listen(Path::new(CALLS.path)).unwrap();
    let (ready, notify): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let line = "exec 3<&0 4>&1 </dev/null >&2; exec setpriv --no-new-privs \
        --bounding-set=-all --inh-caps=-all \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_voice")]);
    command.env("LISTEN_FDNAMES", "calls").env("NOTIFY_FD", "4");
    let child = command.stdin(Stdio::from(listener)).stdout(Stdio::from(notify)).spawn().unwrap();
    drop(command);
    assert_eq!(sys::descriptor::wait_readable(ready.as_fd(), 5_000), Ok(true), "voice is ready");
    Program(child)
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

/// A program at a side, spoken to by lines.
pub(crate) struct Talker {
    program: Program,
    said: Receiver<String>,
}

impl Talker {
    /// The platform.
    pub(crate) fn platform() -> Self {
        let talker = Self::start("platform", &["python3", "-c", PLATFORM, PLATFORM_ADDRESS]);
        talker.hears("ready");
        talker
    }

    pub(crate) fn start(side: &str, words: &[&str]) -> Self {
        let mut child = at(side, words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { program: Program(child), said }
    }

    /// Waits for a line that contains `word`.
    pub(crate) fn hears(&self, word: &str) -> String {
        let end = Instant::now() + Duration::from_secs(15);
        let mut heard = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => heard.push(line),
                Err(_) => break,
            }
        }
        panic!("{word:?} was not said within 15 s, but {heard:?}");
    }

    /// Asks it to end (SIGTERM): what it has begun it may end.
    pub(crate) fn ends(&self) {
        run("", &format!("kill {}", self.program.0.id()));
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.program.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

/// Starts a program at a side; it ends by itself.
pub(crate) fn begin(side: &str, words: &[&str]) -> Program {
    Program(at(side, words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}
