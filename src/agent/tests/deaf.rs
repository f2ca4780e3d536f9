//! A controller by WebSocket that never reads: what it holds of the agent, for how long, and who else feels it.
//!
//! In:  a controller of the test's that calls, and one that is called; much news, or little and much talk. Out: the agent's memory, how long
//! another controller's Get takes, what the log says.
//!
//! Not here: one behind a broker (`isolation.rs`, `limits.rs`), the clock of it (`websocket.rs`, `stream.rs`).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use agent::websocket::frame::{self, Opcode};
use agent::websocket::{self, handshake};
use stage::local::Local;
use stage::{ENDPOINT, House, Program, daemon, daemon_said, enter, until};
use usp::Record;
use usp::message::write::{Add, CreateObject, ParamSetting};
use usp::message::{Msg, RequestKind};
use usp::record::{Kind, NoSessionContext};

const DEAF: &str = "self::deaf";
const GOOD: &str = "self::good";
const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
/// Each of them is told of each change.
const SUBSCRIPTIONS: usize = 50;
/// Changes, at most: many times of what may wait.
const ROUNDS: u32 = 3_000;
/// How much more memory the agent may take for it, in KiB: what may wait, twice since it grows by doubling, once more while it is moved.
const MORE_KIB_MAX: u64 = 5 * 1024;
/// How long a Get may take beside it, on a machine that does other things, too; and the middle one of all.
const BESIDE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(100));
/// The shortest keep-alive time that there is, in seconds.
const KEEP_ALIVE_S: u64 = 10;

/// Which end calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// The controller calls us.
    Calls,
    /// We call it.
    Called,
}

/// The controller's end.
struct Deaf {
    socket: TcpStream,
    way: Way,
}

impl Deaf {
    fn connect(way: Way, listener: &TcpListener) -> Self {
        let mut deaf = match way {
            Way::Calls => {
                let connect = || TcpStream::connect("127.0.0.1:8088").ok();
                Self { socket: until("the door is open", 20, connect), way }
            }
            Way::Called => Self { socket: listener.accept().unwrap().0, way },
        };
        // Little waits in the kernel: what is not read is felt by the agent.
        nix::sys::socket::setsockopt(&deaf.socket, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
        deaf.socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        if way == Way::Calls {
            let words = format!(
                "GET /usp HTTP/1.1\r\nHost: g\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v1.usp\r\nAuthorization: {}\r\n\r\n",
                handshake::basic(("deaf", "sesame"))
            );
            deaf.socket.write_all(words.as_bytes()).unwrap();
            assert!(deaf.head().starts_with("HTTP/1.1 101"));
        } else {
            let asked = deaf.head();
            let key = asked.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
            deaf.socket.write_all(&handshake::answer(key, None)).unwrap();
        }
        deaf
    }

    /// A head of HTTP, and no byte more.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            head.extend_from_slice(&byte);
        }
        String::from_utf8(head).unwrap()
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
        let mask = (self.way == Way::Calls).then_some([1, 2, 3, 4]);
        self.socket.write_all(&frame::write(opcode, payload, mask))
    }

    /// Wants to hear of each change, often; and reads until it knows that it will.
    fn subscribe(&mut self, name: &str, number: usize) {
        let wish = |param: &'static str, value: String| ParamSetting {
            param: param.into(),
            value: value.into(),
            required: true,
        };
        let one = |place: usize| CreateObject {
            obj_path: "Device.LocalAgent.Subscription.".into(),
            param_settings: vec![
                wish("ID", format!("{name}{place}")),
                wish("Enable", "true".to_owned()),
                wish("NotifType", "ValueChange".to_owned()),
                wish("ReferenceList", PERIOD.to_owned()),
            ],
        };
        let add = Add { allow_partial: false, create_objs: (0..number).map(one).collect() };
        let payload = Msg::request("add", RequestKind::Add(add)).encode().into();
        let record = Record {
            version: "1.4".into(),
            to_id: ENDPOINT.into(),
            from_id: DEAF.into(),
            kind: Some(Kind::NoSession(NoSessionContext { payload })),
            ..Record::default()
        };
        self.put(Opcode::Binary, &record.encode()).unwrap();
        let (last, mut input) = (format!("{name}{}", number - 1), Vec::new());
        loop {
            // Who calls masks what it says.
            while let Some((one, length)) =
                frame::read(&input, self.way == Way::Called, websocket::MESSAGE_BYTES_MAX).unwrap()
            {
                if String::from_utf8_lossy(&one.payload).contains(&last) {
                    return;
                }
                input.drain(..length);
            }
            let mut bytes = [0; 4096];
            let size = self.socket.read(&mut bytes).unwrap();
            assert!(size > 0, "{}", daemon_said());
            input.extend_from_slice(&bytes[..size]);
        }
    }
}

/// The daemon with this controller, and another one that does nobody any harm.
fn begin(way: Way) -> (Program, Local, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = match way {
        Way::Calls => "accept = '/usp'\nusername = 'deaf'\npassword = 'sesame'".to_owned(),
        Way::Called => format!("url = 'ws://127.0.0.1:{port}/usp'\nin_the_clear = true"),
    };
    let word = format!(
        "[[controller]]\nendpoint = '{DEAF}'\n{transport}\nkeep_alive_s = {KEEP_ALIVE_S}\n\
         [[controller]]\nendpoint = '{GOOD}'\nlocal = 'root'\n\
         [websocket]\nlisten = '127.0.0.1:8088'\ntls = false\nin_the_clear = true\n"
    );
    let daemon = daemon(&word);
    (daemon, Local::connect(GOOD), listener)
}

/// The agent's memory, in KiB.
fn resident_kib(daemon: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The log says that it is cut, and why.
fn is_cut(why: &str) -> bool {
    let said = daemon_said();
    said.lines()
        .any(|line| line.contains(DEAF) && line.contains("the other end does not read") && line.contains(why))
}

/// It has subscribed to much, much happens, and it reads nothing of it.
#[test]
fn who_never_reads_is_cut_and_felt_by_nobody() {
    if !enter("who_never_reads_is_cut_and_felt_by_nobody") {
        return;
    }
    let _house = House::begin();
    for way in [Way::Calls, Way::Called] {
        let (daemon, mut good, listener) = begin(way);
        let mut deaf = Deaf::connect(way, &listener);
        deaf.subscribe("much", SUBSCRIPTIONS);
        let change = |good: &mut Local, value: u32| {
            let set =
                good.set(false, &[&format!("Device.LocalAgent.Controller.1. PeriodicNotifInterval={value}")]);
            assert!(set.contains(&format!("={value}")), "{set}");
        };
        change(&mut good, 100_000);
        let (before, mut most, mut waits) = (resident_kib(&daemon), 0, Vec::new());
        let rounds = (1..ROUNDS).find(|round| {
            change(&mut good, 100_000 + round);
            let begin = Instant::now();
            good.get(&["Device.LocalAgent.EndpointID"]);
            waits.push(begin.elapsed());
            most = most.max(resident_kib(&daemon));
            is_cut("")
        });
        let rounds = rounds.unwrap_or_else(|| panic!("{way:?}: {most} KiB, and it is not cut"));
        waits.sort_unstable();
        let (middle, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        println!(
            "figure deaf-{way:?} {rounds} changes, {} KiB more, a Get {} us, at most {} us",
            most.saturating_sub(before),
            middle.as_micros(),
            longest.as_micros()
        );
        assert!(most < before + MORE_KIB_MAX, "{way:?}: {before} KiB, then {most}");
        assert!(longest < BESIDE.0 && middle < BESIDE.1, "{way:?}: {middle:?}, at most {longest:?}");
        // It may come again, and is heard.
        let mut again = Deaf::connect(way, &listener);
        again.subscribe("again", 1);
        drop((deaf, daemon));
    }
}

/// There is little to read, it reads nothing, and it talks all the time: nothing is too much, and it is cut all the same.
#[test]
fn who_talks_and_never_reads_is_cut_in_time() {
    if !enter("who_talks_and_never_reads_is_cut_in_time") {
        return;
    }
    let _house = House::begin();
    for way in [Way::Calls, Way::Called] {
        let (daemon, mut good, listener) = begin(way);
        let mut deaf = Deaf::connect(way, &listener);
        deaf.subscribe("little", 1);
        let begun = Instant::now();
        until("it is cut", 2 * KEEP_ALIVE_S, || {
            // Unasked: it says that it is there, and proves nothing.
            let _ = deaf.put(Opcode::Ping, b"here");
            is_cut("it answers no ping").then_some(())
        });
        let took = begun.elapsed();
        assert!(took > Duration::from_secs(KEEP_ALIVE_S), "{took:?}: it has to have a chance");
        assert!(good.get(&["Device.LocalAgent.EndpointID"]).contains(ENDPOINT));
        drop(daemon);
    }
}
