//! A controller that floods, sends garbage or never reads delays no other.
//!
//! In:  two controllers, each with a broker of its own; the bad one's is a test's, so that nothing but the agent is in the way. Out: how long
//! a good one's Get takes beside it, against the same alone, in units of what one of the bad one's questions costs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mqtt::client::{Client, News};
use mqtt::packet::{Hello, Version};
use stage::{ENDPOINT, House, broker, daemon, daemon_said, enter, until};
use usp::message::RequestKind;
use usp::message::read::Get;
use usp::record::{Kind, NoSessionContext};
use usp::{Msg, Record};

/// Gets of the good one.
const ROUNDS: usize = 40;
/// How many of the bad one's questions a good one may wait for: those of the turn under way and of the next are eight, and the processors are
/// shared with who floods.
const QUESTIONS: u32 = 40;
/// What a machine that does other things takes, beside.
const SLACK: Duration = Duration::from_millis(200);
/// What the agent may take of memory, in KiB.
const RESIDENT_KIB_MAX: u64 = 24 * 1024;

fn word() -> String {
    let one = |name: &str, port: u16| {
        format!(
            "[[controller]]\nendpoint = 'self::{name}'\nbroker = '127.0.0.1'\nport = {port}\ntls = false\nin_the_clear = true\n\
             topic = '/c/{name}'\nagent_topic = '/a/{name}'\n"
        )
    };
    format!("{}{}", one("bad", 1884), one("good", 1883))
}

fn record(from: &str, path: &str) -> Vec<u8> {
    let get = Get { param_paths: vec![path.to_owned().into()], max_depth: 0 };
    let message = Msg::request("1", RequestKind::Get(get)).encode();
    let kind = Some(Kind::NoSession(NoSessionContext { payload: message.into() }));
    let record = Record {
        version: "1.4".into(),
        to_id: ENDPOINT.into(),
        from_id: from.to_owned().into(),
        kind,
        ..Record::default()
    };
    record.encode()
}

/// PUBLISH with QoS 0: nobody has to answer it, so nothing slows it down. Source: MQTT 5.0 §3.3.
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.push(0);
    body.extend_from_slice(payload);
    let mut packet = vec![0x30];
    let mut size = body.len();
    while size >= 0x80 {
        packet.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    packet.push(u8::try_from(size).unwrap());
    packet.extend_from_slice(&body);
    packet
}

/// The good controller.
struct Good {
    socket: TcpStream,
    client: Client,
}

impl Good {
    fn connect() -> Self {
        let socket = TcpStream::connect("127.0.0.1:1883").unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let hello = Hello { keep_alive_s: 600, ..Hello::default() };
        let client = Client::begin(&hello, Version::V5, &["/c/good".to_owned()], 0);
        let mut good = Self { socket, client };
        while !good.client.is_ready() {
            good.turn();
        }
        good
    }

    fn turn(&mut self) -> Vec<News> {
        self.socket.write_all(&self.client.take_out(0)).unwrap();
        let mut bytes = [0; 64 * 1024];
        let size = self.socket.read(&mut bytes).unwrap();
        assert!(size > 0, "the broker has gone");
        let news = self.client.hear(&bytes[..size], 0).unwrap();
        self.socket.write_all(&self.client.take_out(0)).unwrap();
        news
    }

    /// How long a Get takes.
    fn get(&mut self) -> Duration {
        let begin = Instant::now();
        assert!(self.client.send("/a/good", record("self::good", "Device.LocalAgent.EndpointID")));
        loop {
            let answers = |one: &News| matches!(one, News::Record(bytes, _) if String::from_utf8_lossy(bytes).contains("EndpointID"));
            if self.turn().iter().any(answers) {
                return begin.elapsed();
            }
        }
    }

    /// The middle one of many.
    fn median(&mut self) -> Duration {
        let mut all: Vec<Duration> = (0..ROUNDS).map(|_| self.get()).collect();
        all.sort_unstable();
        all[ROUNDS / 2]
    }
}

/// What the bad one's broker does.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It asks for the whole tree, again and again, and throws the answers away.
    Flood,
    /// The same, and it never reads an answer.
    Deaf,
    /// Bytes that are no record, records that hold no message, messages that make no sense.
    Garbage,
}

/// Plays a broker for the bad controller: lets the agent in, then does what `way` says, until `stop`. What was sent, in packets.
fn bad(listener: TcpListener, way: Way, (stop, sent): (Arc<AtomicBool>, Arc<AtomicU64>)) {
    listener.set_nonblocking(true).unwrap();
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut socket, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5)); // a step of a wait with a limit: the test stops it
            continue;
        };
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut bytes = [0; 16 * 1024];
        // CONNECT, and its answer; SUBSCRIBE, whose number is the third and fourth byte, and its.
        if socket.read(&mut bytes).is_err() || socket.write_all(&[0x20, 3, 0, 0, 0]).is_err() {
            continue;
        }
        let Ok(size) = socket.read(&mut bytes) else { continue };
        assert!(size > 4 && bytes[0] == 0x82, "it subscribes");
        let _ = socket.write_all(&[0x90, 4, bytes[2], bytes[3], 0, 1]);
        if way != Way::Deaf {
            let mut reader = socket.try_clone().unwrap();
            std::thread::spawn(move || while reader.read(&mut [0; 64 * 1024]).is_ok_and(|size| size > 0) {});
        }
        let mut round = 0_u8;
        while !stop.load(Ordering::Relaxed) {
            round = round.wrapping_add(1);
            let packet = match way {
                Way::Flood | Way::Deaf => publish("/a/bad", &record("self::bad", "Device.")),
                Way::Garbage => {
                    let mut bytes = record("self::bad", "Device.");
                    let place = usize::from(round) % bytes.len();
                    bytes[place] ^= round | 1;
                    publish("/a/bad", &bytes)
                }
            };
            match socket.write_all(&packet) {
                Ok(()) => drop(sent.fetch_add(1, Ordering::Relaxed)),
                // Half a packet may have gone: this connection is of no use any more.
                Err(_) => break,
            }
        }
    }
}

/// The agent's memory, in KiB: all processes of this namespace that are called so.
fn resident_kib() -> u64 {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let ours = processes
        .filter(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "agent"));
    let status = ours.filter_map(|path| fs::read_to_string(path.join("status")).ok());
    let line = |text: String| text.lines().find_map(|line| line.strip_prefix("VmRSS:").map(str::to_owned));
    status.filter_map(line).filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

// Shows R-MQTT.20.
#[test]
fn a_bad_controller_delays_no_other() {
    if !enter("a_bad_controller_delays_no_other") {
        return;
    }
    let (_broker, _house) = (broker(""), House::begin());
    let _daemon = daemon(&word());
    until("the good one is connected", 10, || daemon_said().contains("self::good: connected").then_some(()));
    let mut good = Good::connect();
    let alone = good.median();
    // What one of the bad one's questions costs: it is asked by the good one.
    let begin = Instant::now();
    assert!(good.client.send("/a/good", record("self::good", "Device.")));
    while !good.turn().iter().any(|one| matches!(one, News::Record(..))) {}
    let question = begin.elapsed();
    let limit = alone + question * QUESTIONS + SLACK;
    println!("figure get-alone {} us; one question {} us", alone.as_micros(), question.as_micros());
    for (name, way) in [("floods", Way::Flood), ("never reads", Way::Deaf), ("sends garbage", Way::Garbage)] {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let listener = TcpListener::bind("127.0.0.1:1884").unwrap();
        let theirs = (stop.clone(), sent.clone());
        let bad = std::thread::spawn(move || bad(listener, way, theirs));
        until(name, 70, || (sent.load(Ordering::Relaxed) > 20).then_some(()));
        let before = sent.load(Ordering::Relaxed);
        let beside = good.median();
        let meanwhile = sent.load(Ordering::Relaxed) - before;
        let kib = resident_kib();
        println!(
            "figure get-beside-one-that-{} {} us, {meanwhile} packets meanwhile, {kib} KiB",
            name.replace(' ', "-"),
            beside.as_micros()
        );
        assert!(way == Way::Deaf || meanwhile > 0, "{name}: it has stopped");
        assert!(beside < limit, "{name}: {beside:?} beside it, {alone:?} alone, limit {limit:?}");
        assert!((1..RESIDENT_KIB_MAX).contains(&kib), "{name}: {kib} KiB");
        stop.store(true, Ordering::Relaxed);
        bad.join().unwrap();
    }
}
