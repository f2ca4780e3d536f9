//! A broker that is slow, and brokers that are full: mosquitto's own limits, and a line that takes its time.
//!
//! In:  mosquitto with limits, a proxy of the test's that lets so many bytes through. Out: what the agent does meanwhile, and for whom.
//!
//! Not here: brokers that are cut or restarted (`usp.rs`), controllers that do their worst (`isolation.rs`).
//!
//! Source: mosquitto.conf(5); MQTT 5.0 §3.2.2.3.3, §3.2.2.3.6, §3.4.2.1.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use contract::doctor::{Side, Stage};
use serde_json::{Value, json};
use stage::{Desk, House, Program, broker, broker_said, daemon, daemon_said, enter, examined, until, word};

/// What the agent may take of memory, in KiB.
const RESIDENT_KIB_MAX: u64 = 24 * 1024;
/// How long a Get may take beside a broker that does not work, on a machine that does other things, too.
const BESIDE: Duration = Duration::from_secs(2);

/// A second controller, by a broker of its own that is well.
const OTHER: &str = "[[controller]]\nendpoint = 'self::other'\nbroker = 'broker.example'\nport = 1884\ntls = false\nin_the_clear = true\n\
     topic = '/usp/other'\nagent_topic = '/usp/agent'\n";

/// The broker that is well, and the second controller at it, which has read something.
fn other() -> (Program, Desk) {
    let file = stage::folder("other").join("conf");
    fs::write(&file, "listener 1884 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n")
        .unwrap();
    let broker = Program::start("", &["mosquitto", "-c", file.to_str().unwrap()], None);
    until("the other broker listens", 5, || TcpStream::connect("127.0.0.1:1884").ok());
    until("the agent is there", 60, || daemon_said().contains("self::other: connected").then_some(()));
    let mut desk =
        Desk::connect(&json!({"port": 1884, "fromId": "self::other", "subscribeEndpoint": "/usp/other"}));
    desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
    (broker, desk)
}

/// The longest of a few Gets of the other one's.
fn beside(desk: &mut Desk) -> Duration {
    let get = |desk: &mut Desk| {
        let begin = Instant::now();
        desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
        begin.elapsed()
    };
    (0..10).map(|_| get(desk)).max().unwrap()
}

/// The agent's memory, in KiB.
fn resident_kib(daemon: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How often the first controller's broker has let the agent in.
fn connections() -> usize {
    daemon_said().matches("self::desk: connected").count()
}

/// Passes bytes on between the agent and a broker, to the broker only `bytes` of them each tenth of a second, until it is told to hurry.
struct Line {
    hurry: Arc<(Mutex<bool>, Condvar)>,
    /// What has gone to the broker.
    passed: Arc<AtomicUsize>,
}

impl Line {
    fn begin(from: u16, to: u16, bytes: usize) -> Self {
        let line = Self { hurry: Arc::default(), passed: Arc::default() };
        let listener = TcpListener::bind(("127.0.0.1", from)).unwrap();
        let (hurry, passed) = (line.hurry.clone(), line.passed.clone());
        std::thread::spawn(move || {
            for agent in listener.incoming() {
                let (mut agent, mut broker) =
                    (agent.unwrap(), TcpStream::connect(("127.0.0.1", to)).unwrap());
                // Little waits in the kernel: what is slow is felt by the agent.
                nix::sys::socket::setsockopt(&agent, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
                let (mut back, mut to_agent) = (broker.try_clone().unwrap(), agent.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back, &mut to_agent));
                let (hurry, passed) = (hurry.clone(), passed.clone());
                std::thread::spawn(move || {
                    let mut some = [0; 64 * 1024];
                    loop {
                        // So long each little piece takes, unless it is told to hurry meanwhile.
                        let (told, bell) = &*hurry;
                        let slow = |told: &mut bool| !*told;
                        let turn = Duration::from_millis(100);
                        let quick = *bell.wait_timeout_while(told.lock().unwrap(), turn, slow).unwrap().0;
                        let most = if quick { some.len() } else { bytes };
                        let Ok(size @ 1..) = agent.read(&mut some[..most]) else { return };
                        if broker.write_all(&some[..size]).is_err() {
                            return;
                        }
                        passed.fetch_add(size, Ordering::Relaxed);
                    }
                });
            }
        });
        line
    }
}

/// A broker at the end of a slow line holds little memory and delays nobody; its controller is answered as fast as the line is, and at once when
/// it is fast again, without a new connection.
#[test]
fn a_broker_that_takes_little_at_a_time() {
    if !enter("a_broker_that_takes_little_at_a_time") {
        return;
    }
    let (_broker, _house) = (broker(""), House::begin());
    let line = Line::begin(1885, 1883, 512);
    let daemon = daemon(&format!("{}{OTHER}", word("").replace("port = 1883", "port = 1885")));
    let (_other, mut other) = other();
    until("the line stands", 30, || (connections() == 1).then_some(()));
    let mut desk = Desk::connect(&json!({}));
    desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
    // The whole tree, several times: some minutes of this line.
    let before = line.passed.load(Ordering::Relaxed);
    (0..6).for_each(|_| desk.begin("get", &json!(["Device."])));
    until("the answers are on their way", 10, || {
        (line.passed.load(Ordering::Relaxed) > before + 2048).then_some(())
    });
    let took = beside(&mut other);
    assert!(took < BESIDE, "{took:?} beside a slow broker");
    let kib = resident_kib(&daemon);
    println!("figure get-beside-a-slow-broker {} us, {kib} KiB", took.as_micros());
    assert!(kib < RESIDENT_KIB_MAX, "{kib} KiB");
    let passed = line.passed.load(Ordering::Relaxed);
    let found = examined();
    assert_eq!((found.stage, found.side), (Stage::Well, Side::Nobody), "slow is not broken: {found:?}");
    *line.hurry.0.lock().unwrap() = true;
    line.hurry.1.notify_all();
    let begin = Instant::now();
    for _ in 0..6 {
        let all = desk.end();
        assert!(all["good"]["DeviceInfo"].is_object(), "{all}");
    }
    let (took, rest) = (begin.elapsed(), line.passed.load(Ordering::Relaxed) - passed);
    println!("figure slow-line-quick-again {} ms for {rest} bytes", took.as_millis());
    assert!(rest > 20_000, "{rest} bytes: the line was not slow");
    assert!(took < Duration::from_secs(10), "{took:?} for what {rest} bytes were left");
    assert_eq!(connections(), 1, "{}", daemon_said());
}

/// Both versions of MQTT, and how usp-js speaks them.
fn versions() -> [(&'static str, Value); 2] {
    let older = json!({
        "protocolVersion": 4,
        "publishEndpoint": "/usp/agent/reply-to=%2Fusp%2Fcontroller",
        "subscribeEndpoint": "/usp/controller/#",
    });
    [("", json!({})), ("mqtt = '3.1.1'\n", older)]
}

/// A broker that has all the clients that it takes: the agent waits outside, and is let in when there is room.
#[test]
fn a_broker_with_too_many_clients() {
    if !enter("a_broker_with_too_many_clients") {
        return;
    }
    let _house = House::begin();
    for (version, _) in versions() {
        // Whoever looks whether it listens would be counted, and mosquitto 2.0.11 counts wrong when such a one goes.
        let file = stage::folder("full").join("conf");
        let conf = "listener 1883 127.0.0.1\nallow_anonymous true\nuser root\nmax_connections 1\n";
        fs::write(&file, conf).unwrap();
        let full = Program::start("", &["mosquitto", "-c", file.to_str().unwrap()], None);
        let mut last = until("it listens", 5, || TcpStream::connect("127.0.0.1:1883").ok());
        last.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01x").unwrap();
        let mut answer = [0; 4];
        last.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0x20, 2, 0, 0], "the last place is taken");
        let daemon = daemon(&format!("{}{OTHER}", word(version)));
        let (other_broker, mut other) = other();
        let found = examined();
        let (stage, side) = (found.stage, found.side);
        assert_eq!((stage, side), (Stage::Admission, Side::Operator), "{found:?}");
        // Which of both it is depends on whether CONNECT was there before the broker closed.
        let closed = ["closed by the other end", "reset by peer"];
        assert!(closed.iter().any(|words| found.why.contains(words)), "{found:?}");
        assert!(beside(&mut other) < BESIDE && resident_kib(&daemon) < RESIDENT_KIB_MAX);
        assert_eq!(connections(), 0, "{}", daemon_said());
        drop(last);
        // Whoever asks the doctor has it tried at once.
        until("it is let in", 10, || (examined().stage == Stage::Controller).then_some(()));
        drop((daemon, other, other_broker, full));
    }
}

/// A broker that takes no large packets. With 5.0 it says so, and nothing is sent that it would hang up for: who asks for more hears 7005.
/// With 3.1.1 it hangs up, and the agent comes again.
#[test]
fn a_broker_that_takes_no_large_packets() {
    if !enter("a_broker_that_takes_no_large_packets") {
        return;
    }
    let _house = House::begin();
    for (version, options) in versions() {
        let small = broker("max_packet_size 4000\n");
        let daemon = daemon(&format!("{}{OTHER}", word(version)));
        let (other_broker, mut other) = other();
        until("it is let in", 20, || (connections() == 1).then_some(()));
        let mut desk = Desk::connect(&options);
        if version.is_empty() {
            let why = desk.fails("get", &json!(["Device."]));
            assert_eq!(why["errCode"], json!(7005), "{why}");
            assert!(why.to_string().contains("more than the broker takes"), "{why}");
            desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
            assert_eq!(connections(), 1, "{}", daemon_said());
        } else {
            desk.begin("get", &json!(["Device."]));
            until("it hangs up", 10, || broker_said().contains("oversize").then_some(()));
            until("it is let in again", 20, || (connections() == 2).then_some(()));
            drop(desk);
            Desk::connect(&options).call("get", &json!(["Device.LocalAgent.EndpointID"]));
        }
        assert!(beside(&mut other) < BESIDE && resident_kib(&daemon) < RESIDENT_KIB_MAX);
        drop((daemon, other, other_broker, small));
    }
}

/// A broker that drops large messages: with 5.0 it says which, and the doctor does; with 3.1.1 it says that it took them.
#[test]
fn a_broker_that_drops_large_messages() {
    if !enter("a_broker_that_drops_large_messages") {
        return;
    }
    let _house = House::begin();
    for (version, options) in versions() {
        let small = broker("message_size_limit 4000\n");
        let daemon = daemon(&format!("{}{OTHER}", word(version)));
        let (other_broker, mut other) = other();
        until("it is let in", 20, || (connections() == 1).then_some(()));
        let mut desk = Desk::connect(&options);
        desk.begin("get", &json!(["Device."]));
        until("it is dropped", 10, || broker_said().contains("too large").then_some(()));
        drop(desk);
        Desk::connect(&options).call("get", &json!(["Device.LocalAgent.EndpointID"]));
        let found = examined();
        if version.is_empty() {
            assert_eq!((found.stage, found.side), (Stage::Topic, Side::Operator), "{found:?}");
            assert!(found.why.contains("the packet is too large (149)"), "{found:?}");
        } else {
            assert_eq!(found.stage, Stage::Well, "{found:?}");
        }
        assert_eq!(connections(), 1, "{}", daemon_said());
        assert!(beside(&mut other) < BESIDE && resident_kib(&daemon) < RESIDENT_KIB_MAX);
        drop((daemon, other, other_broker, small));
    }
}

/// A broker that takes one message at a time, and keeps one for a client: what it drops on the way is asked for again, and answered, on the
/// same connection. (That no second one goes before the first is acknowledged is shown by `mqtt/src/outbox.rs`: mosquitto acknowledges at once.)
#[test]
fn a_broker_that_keeps_one_message() {
    if !enter("a_broker_that_keeps_one_message") {
        return;
    }
    let _house = House::begin();
    for (version, options) in versions() {
        let small = broker("max_inflight_messages 1\nmax_queued_messages 1\nmax_queued_bytes 200000\n");
        let daemon = daemon(&format!("{}{OTHER}", word(version)));
        let (other_broker, mut other) = other();
        until("it is let in", 20, || (connections() == 1).then_some(()));
        let mut desk = Desk::connect(&options);
        (0..20).for_each(|_| desk.begin("get", &json!(["Device.LocalAgent."])));
        let took = beside(&mut other);
        assert!(took < BESIDE, "{took:?}");
        drop(desk); // some of its questions were dropped by the broker
        Desk::connect(&options).call("get", &json!(["Device.LocalAgent.EndpointID"]));
        assert_eq!(connections(), 1, "{}; {}", daemon_said(), broker_said());
        assert!(resident_kib(&daemon) < RESIDENT_KIB_MAX);
        drop((daemon, other, other_broker, small));
    }
}
