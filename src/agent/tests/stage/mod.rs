//! A broker (mosquitto), a controller that we did not write (usp-js), the real daemon; and rooms that a test plays (`house.rs`, `package.rs`).
//!
//! In:  the operator's word. Out: what the controller is answered, and what it hears.
//!
//! Source: mosquitto.conf(5); usp-js 0.5.1, which src/lab/setup/controller.sh puts into the cache.
#![allow(
    dead_code,
    unused_imports,
    clippy::panic,
    reason = "each suite takes what it needs, and fails by panicking"
)]

pub(crate) mod authority;
pub(crate) mod broker;
pub(crate) mod fleet;
pub(crate) mod house;
pub(crate) mod local;
pub(crate) mod net;
pub(crate) mod package;
pub(crate) mod who;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use contract::doctor::{Answer, Ask, Finding};
use contract::wires::{DOCTOR, LOCAL, TENANT};
pub(crate) use house::House;
use serde_json::{Value, json};
pub(crate) use testbed::{Program, folder, run, until};
use wire::Client;

/// Who we are.
pub(crate) const ENDPOINT: &str = "os::00D09E-4711";
/// Who the controller is.
pub(crate) const CONTROLLER: &str = "self::desk";
const PROGRAMS: [&str; 7] = ["ip", "unshare", "setpriv", "mosquitto", "mosquitto_sub", "node", "python3"];

/// What the doctor finds of the first controller.
pub(crate) fn examined() -> Finding {
    let client = until("the doctor", 10, || Client::dial(DOCTOR).ok());
    client.send(&Ask::Examine, &[]).unwrap();
    let Answer::Finding(first) = client.wait::<Answer>().unwrap().0 else { panic!("a finding") };
    while client.wait::<Answer>().unwrap().0 != Answer::Done {}
    first
}

/// Where usp-js is; `None`: nobody has put it there.
pub(crate) fn usp_js() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let place = cache.join("shg/controller");
    place.join("node_modules/usp-js/package.json").exists().then_some(place)
}

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    if usp_js().is_none() {
        println!("skipped: {name}: no usp-js; src/lab/setup/controller.sh brings it");
        return false;
    }
    if !testbed::enter(name, &PROGRAMS, "ip link set lo up") {
        return false;
    }
    run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]);
    run(&["mount", "-t", "tmpfs", "tmpfs", "/etc"]);
    for folder in ["/run/wire", "/run/time", "/etc/shg"] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write("/etc/passwd", "root:x:0:0::/:/bin/sh\n").unwrap();
    fs::write("/etc/group", "root:x:0:\n").unwrap();
    fs::write("/etc/hosts", "127.0.0.1 localhost broker.example\n").unwrap();
    run(&["ip", "link", "set", "lo", "up"]);
    true
}

/// The broker, at port 1883.
pub(crate) fn broker(more: &str) -> Program {
    let folder = testbed::folder("broker");
    let file = folder.join("conf");
    fs::write(
        &file,
        format!("listener 1883 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n{more}"),
    )
    .unwrap();
    let log = folder.join("log");
    let broker = Program::start("", &["mosquitto", "-v", "-c", file.to_str().unwrap()], Some(&log));
    until("the broker listens", 5, || std::net::TcpStream::connect("127.0.0.1:1883").ok());
    broker
}

/// The operator's word about one controller.
pub(crate) fn word(more: &str) -> String {
    format!(
        "[[controller]]\nendpoint = '{CONTROLLER}'\nbroker = 'broker.example'\nport = 1883\ntls = false\nin_the_clear = true\n\
         topic = '/usp/controller'\nagent_topic = '/usp/agent'\n{more}"
    )
}

/// Starts the daemon, as its own user has no more rights than it; what it says is in `log` of its folder.
pub(crate) fn daemon(word: &str) -> Program {
    fs::write("/etc/shg/agent.toml", word).unwrap();
    let log = testbed::folder("agent").join("log");
    let program = std::env::var("SHG_AGENT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_agent").to_owned());
    let root = inside("root").display().to_string();
    let mut words =
        vec!["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", program.as_str()];
    if Path::new(&root).exists() {
        words.splice(0..0, ["chroot", root.as_str()]);
    }
    // Its wires, as the supervisor hands them on: from 3 on.
    let [tenant, local] = [TENANT, LOCAL].map(|wire| sys::stream::listen(Path::new(wire.path)).unwrap());
    let doctor = sys::seqpacket::listen(Path::new(DOCTOR.path)).unwrap();
    fs::write(&log, "").unwrap();
    let mut command = Command::new("sh");
    let line = "exec 3<&0 4<&1 5<&2 </dev/null >\"$0\" 2>&1; exec \"$@\"";
    command.args(["-c", line]).arg(&log).args(words);
    command.env("LISTEN_FDNAMES", "tenant:local:doctor");
    command.stdin(Stdio::from(tenant)).stdout(Stdio::from(local)).stderr(Stdio::from(doctor));
    Program(command.spawn().unwrap())
}

fn inside(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("SHG_TESTBED_INSIDE").unwrap()).join(name)
}

/// Runs openssl(1), which has to say yes.
pub(crate) fn openssl(line: &str) {
    run(&["openssl"].into_iter().chain(line.split(' ')).collect::<Vec<_>>());
}

/// An authority, and a certificate of a broker or a controller that bears `broker.example` and the controller's endpoint id.
pub(crate) fn certificates() {
    let sections = "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n\
        [authority]\nbasicConstraints=critical,CA:TRUE\n";
    fs::write("/etc/openssl.cnf", sections).unwrap();
    fs::write("/run/extension", "subjectAltName=DNS:broker.example,URI:urn:bbf:usp:id:self::desk").unwrap();
    let new = "req -config /etc/openssl.cnf -newkey ed25519 -nodes";
    openssl(&format!("{new} -x509 -subj /CN=authority -days 30 -keyout /run/ca.key -out /run/ca.pem"));
    openssl(&format!("{new} -subj /CN=broker -keyout /run/server.key -out /run/server.csr"));
    openssl(
        "x509 -req -in /run/server.csr -CA /run/ca.pem -CAkey /run/ca.key -CAcreateserial -days 30 \
         -extfile /run/extension -out /run/server.pem",
    );
}

/// A data disk: daemons from now on see all that we see, and `/data` beside it. Where the agent keeps what it keeps.
pub(crate) fn disk() -> PathBuf {
    let root = testbed::folder("root");
    run(&["mount", "-t", "tmpfs", "tmpfs", root.to_str().unwrap()]);
    for entry in fs::read_dir("/").unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), root.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            run(&["mount", "--rbind", from.to_str().unwrap(), to.to_str().unwrap()]);
        }
    }
    let kept = root.join("data/state/agent");
    fs::create_dir_all(&kept).unwrap();
    kept
}

/// The same, and the broker has let it in.
pub(crate) fn connected(word: &str) -> Program {
    let program = daemon(word);
    until("the agent is connected", 10, || daemon_said().contains(": connected").then_some(()));
    program
}

/// What the broker has said.
pub(crate) fn broker_said() -> String {
    fs::read_to_string(inside("broker/log")).unwrap_or_default()
}

/// What the daemon has said.
pub(crate) fn daemon_said() -> String {
    fs::read_to_string(inside("agent/log")).unwrap_or_default()
}

/// A controller that we did not write.
pub(crate) struct Desk {
    child: Child,
    lines: Receiver<Value>,
    news: Vec<Value>,
    notices: std::collections::VecDeque<Value>,
    /// What it said before it was connected.
    pub(crate) called: Vec<Value>,
}

impl Desk {
    /// Connects; `more` are options of usp-js.
    pub(crate) fn connect(more: &Value) -> Self {
        let mut desk = Self::begin_with(more);
        let end = desk.first();
        assert_eq!(end, json!({"good": "connected"}), "the agent said: {}", daemon_said());
        desk
    }

    /// The same; `None`: it is not let in.
    pub(crate) fn try_connect(more: &Value) -> Option<Self> {
        let mut desk = Self::begin_with(more);
        (desk.first() == json!({"good": "connected"})).then_some(desk)
    }

    /// Connects where it must not: why it is not let in.
    pub(crate) fn refused(more: &Value) -> String {
        let mut desk = Self::begin_with(more);
        let end = desk.first();
        assert!(end.get("good").is_none(), "it was let in");
        end.to_string()
    }

    /// Whether it is connected: the first word about that.
    fn first(&mut self) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20)).unwrap_or_default();
            if line.get("called").is_none() && line.get("listens").is_none() {
                return line;
            }
            self.called.push(line);
        }
    }

    fn begin_with(more: &Value) -> Self {
        let mut options = json!({
            "host": "127.0.0.1", "port": 1883, "protocol": "mqtt", "protocolVersion": 5,
            "fromId": CONTROLLER, "toId": ENDPOINT,
            "publishEndpoint": "/usp/agent", "subscribeEndpoint": "/usp/controller",
        });
        for (key, value) in more.as_object().unwrap() {
            options[key] = value.clone();
        }
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/controller/drive.js");
        let mut command = Command::new("node");
        command.arg(driver).arg(usp_js().unwrap()).arg(options.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(serde_json::from_str(&line).unwrap()))
        });
        let notices = std::collections::VecDeque::new();
        Self { child, lines, news: Vec::new(), notices, called: Vec::new() }
    }

    /// The next line that is no news.
    fn next(&mut self) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(20));
            let line = line
                .unwrap_or_else(|_| panic!("the controller is silent; the agent said: {}", daemon_said()));
            assert!(line.get("trouble").is_none(), "{line}; the agent said: {}", daemon_said());
            if line.get("notice").is_some() {
                self.notices.push_back(line);
            } else if line.get("news").is_some() {
                self.news.push(line);
            } else {
                return line;
            }
        }
    }

    /// The next notice: news of a subscription that was added by hand.
    pub(crate) fn notice(&mut self) -> Value {
        until("a notice", 15, || {
            for line in self.lines.try_iter() {
                assert!(line.get("trouble").is_none(), "{line}; the agent said: {}", daemon_said());
                if line.get("notice").is_some() { self.notices.push_back(line) } else { self.news.push(line) }
            }
            self.notices.pop_front()
        })
    }

    /// Notices that have come and were not looked at.
    pub(crate) fn notices(&mut self) -> usize {
        self.notices.len()
    }

    /// Calls a function of usp-js; what it gave.
    pub(crate) fn call(&mut self, call: &str, with: &Value) -> Value {
        self.begin(call, with);
        let answer = self.next();
        assert!(answer.get("good").is_some(), "{call} {with}: {answer}; the agent said: {}", daemon_said());
        answer["good"].clone()
    }

    /// The same, where it has to fail: why.
    pub(crate) fn fails(&mut self, call: &str, with: &Value) -> Value {
        self.begin(call, with);
        let answer = self.next();
        assert!(answer.get("bad").is_some(), "{call} {with}: {answer}");
        answer["bad"].clone()
    }

    /// Says it and does not wait.
    pub(crate) fn begin(&mut self, call: &str, with: &Value) {
        let line = json!({"call": call, "with": with}).to_string();
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// What a call that was begun has given.
    pub(crate) fn end(&mut self) -> Value {
        self.next()
    }

    /// What went wrong, where something has to.
    pub(crate) fn trouble(&mut self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(20)).unwrap_or_default();
        line["trouble"].clone()
    }

    /// The next news of subscription `id`.
    pub(crate) fn news(&mut self, id: &str) -> Value {
        let of = |one: &Value| one["of"] == id;
        until(&format!("news of {id}"), 15, || {
            self.news.extend(self.lines.try_iter().filter(|line| line.get("news").is_some()));
            let place = self.news.iter().position(of)?;
            Some(self.news.remove(place))
        })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
