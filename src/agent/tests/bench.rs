//! What the agent costs: a Get's way there and back against a bare echo by the same broker, three kinds of news, the whole model, memory.
//!
//! In:  `SHG_BENCH=1` (`make bench B=usp` sets it) for the whole of it; without, one short round proves that all of it works.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges.
//!
//! The peer is a client that sends back what it gets: the broker's way and nothing else. Each value is the better quartile of its rounds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use contract::control::State;
use mqtt::client::{Client, News};
use mqtt::packet::{Hello, Version};
use stage::net::Net;
use stage::{ENDPOINT, House, Program, broker, connected, enter, until};
use usp::message::read::{Get, GetSupportedDm};
use usp::message::write::{Add, CreateObject, ParamSetting, Set, UpdateObject};
use usp::message::{BodyKind, RequestKind};
use usp::record::{Kind, NoSessionContext};
use usp::{DESK, Msg, Record};

/// Controllers, and subscriptions of all of them.
const CONTROLLERS: usize = 3;
const SUBSCRIPTIONS: usize = 100;
/// Requests that are sent before the first is answered: what a client may have on its way unacknowledged.
const AT_ONCE: usize = 8;
/// What the agent may take of memory with them, in KiB. Source: the table of budgets.
const RESIDENT_KIB_MAX: u64 = 6 * 1024;
/// What the whole model may take, and news, in microseconds.
const MODEL_US_MAX: u64 = 200_000;
const NEWS_US_MAX: u64 = 100_000;
/// Changes of the network that are looked at on end (docs/usp.md).
const AT_ONCE_OF_NETWORK: usize = 4;

/// A client that waits.
struct Bare {
    socket: TcpStream,
    client: Client,
    heard: Vec<Vec<u8>>,
}

impl Bare {
    fn new(topic: &str) -> Self {
        let socket = TcpStream::connect("127.0.0.1:1883").unwrap();
        socket.set_nodelay(true).unwrap();
        let hello = Hello { keep_alive_s: 60, ..Hello::default() };
        let client = Client::begin(&hello, Version::V5, &[topic.to_owned()], 0);
        let mut bare = Self { socket, client, heard: Vec::new() };
        while !bare.client.is_ready() {
            assert!(bare.turn(), "the broker has gone");
        }
        bare
    }

    fn flush(&mut self) {
        let out = self.client.take_out(0);
        self.socket.write_all(&out).unwrap();
    }

    /// What comes next; `false`: the broker has gone.
    fn turn(&mut self) -> bool {
        self.flush();
        let mut bytes = [0; 64 * 1024];
        let size = self.socket.read(&mut bytes).unwrap_or(0);
        if size == 0 {
            return false;
        }
        for news in self.client.hear(&bytes[..size], 0).unwrap() {
            if let News::Record(record, _) = news {
                self.heard.push(record);
            }
        }
        self.flush();
        true
    }

    fn send(&mut self, topic: &str, record: Vec<u8>) {
        assert!(self.client.send(topic, record));
        self.flush();
    }

    /// The next record.
    fn next(&mut self) -> Vec<u8> {
        while self.heard.is_empty() {
            assert!(self.turn(), "the broker has gone");
        }
        self.heard.remove(0)
    }

    /// The next record that is a message, without the way there: it may be an answer, or news.
    fn message(&mut self) -> Vec<u8> {
        loop {
            let record = self.next();
            let record = Record::decode(&record, &DESK).unwrap();
            if let Some(Kind::NoSession(NoSessionContext { payload })) = record.kind {
                return payload.into_owned();
            }
        }
    }
}

fn record(from: &str, message: &Msg<'_>) -> Vec<u8> {
    let kind = Some(Kind::NoSession(NoSessionContext { payload: message.encode().into() }));
    Record { version: "1.4".into(), to_id: ENDPOINT.into(), from_id: from.into(), kind, ..Record::default() }
        .encode()
}

/// A controller.
struct Controller {
    bare: Bare,
    endpoint: String,
    topic: String,
}

impl Controller {
    fn ask(&mut self, kind: RequestKind<'_>) -> Vec<u8> {
        let bytes = record(&self.endpoint, &Msg::request("1", kind));
        self.bare.send(&self.topic, bytes);
        self.bare.message()
    }

    /// So many Gets, the next before the one before is answered.
    fn get(&mut self, count: usize) {
        for number in 0..count {
            let id = number.to_string(); // the same one again would be the same message
            let get = Get { param_paths: vec!["Device.LocalAgent.EndpointID".into()], max_depth: 0 };
            self.bare.send(&self.topic, record(&self.endpoint, &Msg::request(&id, RequestKind::Get(get))));
        }
        for _ in 0..count {
            assert!(String::from_utf8_lossy(&self.bare.message()).contains(ENDPOINT));
        }
    }
}

/// What `round` takes, in microseconds: the better quartile.
fn quartile_us(rounds: usize, mut round: impl FnMut()) -> u64 {
    quartile((0..rounds).map(|_| took_us(&mut round)).collect())
}

/// The same of two things in turns: what else the machine does falls on both.
fn in_turns_us(rounds: usize, mut one: impl FnMut(), mut other: impl FnMut()) -> (u64, u64) {
    let both = (0..rounds).map(|_| (took_us(&mut one), took_us(&mut other)));
    let (ones, others) = both.unzip();
    (quartile(ones), quartile(others))
}

fn took_us(round: &mut impl FnMut()) -> u64 {
    let begin = Instant::now();
    round();
    u64::try_from(begin.elapsed().as_micros()).unwrap()
}

fn quartile(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all[all.len() / 4]
}

/// How many a second, where `AT_ONCE` of them take so long.
fn per_second(us: u64) -> u64 {
    AT_ONCE as u64 * 1_000_000 / us.max(1)
}

fn word() -> String {
    (1..=CONTROLLERS)
        .map(|number| {
            format!(
                "[[controller]]\nendpoint = 'self::c{number}'\nbroker = '127.0.0.1'\nport = 1883\ntls = false\nin_the_clear = true\n\
                 topic = '/c/{number}'\nagent_topic = '/a/{number}'\n"
            )
        })
        .collect()
}

fn subscribe(controllers: &mut [Controller]) {
    for number in 0..SUBSCRIPTIONS {
        let setting = |param: &'static str, value: String| ParamSetting {
            param: param.into(),
            value: value.into(),
            required: true,
        };
        let row = number % CONTROLLERS + 1;
        // All are looked at with each change; only one of the first three has news when a change is timed.
        let watched = match number {
            0 => "Device.LocalAgent.Controller.1.PeriodicNotifInterval".to_owned(),
            1 => "Device.SoftwareModules.ExecutionUnit.1.Status".to_owned(),
            2 => "Device.NAT.PortMappingNumberOfEntries".to_owned(),
            _ => format!("Device.LocalAgent.Controller.{row}.ProvisioningCode"),
        };
        let create = CreateObject {
            obj_path: "Device.LocalAgent.Subscription.".into(),
            param_settings: vec![
                setting("ID", format!("s{number}")),
                setting("NotifType", "ValueChange".to_owned()),
                setting("ReferenceList", watched),
                setting("Enable", "true".to_owned()),
            ],
        };
        let add = Add { allow_partial: false, create_objs: vec![create] };
        let answer = controllers[number % CONTROLLERS].ask(RequestKind::Add(add));
        assert!(String::from_utf8_lossy(&answer).contains("Device.LocalAgent.Subscription."));
    }
}

/// Sets a value; until its news is here.
fn news(controller: &mut Controller, value: usize) {
    let setting = ParamSetting {
        param: "PeriodicNotifInterval".into(),
        value: value.to_string().into(),
        required: true,
    };
    let update =
        UpdateObject { obj_path: "Device.LocalAgent.Controller.1.".into(), param_settings: vec![setting] };
    let mut message =
        controller.ask(RequestKind::Set(Set { allow_partial: false, update_objs: vec![update] }));
    for _ in 0..4 {
        let is_news = Msg::decode(&message, &DESK).is_ok_and(|message| {
            matches!(message.body.and_then(|body| body.kind), Some(BodyKind::Request(_)))
        });
        if is_news {
            return;
        }
        message = controller.bare.message();
    }
    panic!("no news");
}

/// The next news that another room's change is the cause of.
fn told(controller: &mut Controller, path: &str) {
    let message = controller.bare.message();
    assert!(String::from_utf8_lossy(&message).contains(path), "{}", String::from_utf8_lossy(&message));
}

/// From a service's other state until its news is here; the same of a change of the network, which the kernel tells of. In microseconds.
fn news_of_rooms(controllers: &mut [Controller], house: &House, rounds: usize) -> [u64; 2] {
    let mut round = 0;
    let service_us = quartile_us(rounds, || {
        round += 1;
        house.becomes(if round % 2 == 1 { State::Ending } else { State::Up });
        told(&mut controllers[1], "ExecutionUnit.1.Status");
    });
    let net = Net::begin();
    let path = "Device.NAT.PortMappingNumberOfEntries";
    until("the network is known", 10, || (net.0.lock().unwrap().looks > 0).then_some(()));
    let mut round = 0;
    let network_us = quartile_us(AT_ONCE_OF_NETWORK, || {
        round += 1;
        net.0.lock().unwrap().asked = round % 2 == 1;
        testbed::run(&["ip", "address", "add", &format!("127.9.0.{round}/32"), "dev", "lo"]);
        told(&mut controllers[2], path);
    });
    [service_us, network_us]
}

/// The whole SupportedDM, once.
fn whole_model(controller: &mut Controller) {
    let all = GetSupportedDm {
        obj_paths: vec!["Device.".into()],
        return_commands: true,
        return_events: true,
        return_params: true,
        return_unique_key_sets: true,
        ..GetSupportedDm::default()
    };
    let model = controller.ask(RequestKind::GetSupportedDm(all));
    assert!(model.len() > 3_000, "{}", String::from_utf8_lossy(&model));
}

fn resident_kib(daemon: &Program) -> u64 {
    // Program::start runs setpriv, which becomes the daemon.
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn the_agent_is_quick_and_small() {
    if !enter("the_agent_is_quick_and_small") {
        return;
    }
    let whole = std::env::var_os("SHG_BENCH").is_some();
    let rounds = if whole { 1_000 } else { 40 };
    let (_broker, house, daemon) = (broker(""), House::begin(), connected(&word()));
    until("all are connected", 10, || {
        (stage::daemon_said().matches(": connected").count() == CONTROLLERS).then_some(())
    });
    std::thread::spawn(|| {
        let mut echo = Bare::new("/echo");
        while !echo.heard.is_empty() || echo.turn() {
            for record in std::mem::take(&mut echo.heard) {
                echo.send("/back", record);
            }
        }
    });
    let mut back = Bare::new("/back");
    let mut controllers: Vec<Controller> = (1..=CONTROLLERS)
        .map(|number| Controller {
            bare: Bare::new(&format!("/c/{number}")),
            endpoint: format!("self::c{number}"),
            topic: format!("/a/{number}"),
        })
        .collect();
    subscribe(&mut controllers);
    let get = record("self::c1", &Msg::request("1", RequestKind::Get(Get::default())));
    let mut echo = |count: usize| {
        (0..count).for_each(|_| back.send("/echo", get.clone()));
        (0..count).for_each(|_| drop(back.next()));
    };
    let (echo_us, get_us) = in_turns_us(rounds, || echo(1), || controllers[0].get(1));
    let (echoes_us, gets_us) = in_turns_us(rounds, || echo(AT_ONCE), || controllers[0].get(AT_ONCE));
    println!(); // libtest has begun a line
    println!("figure get_us {get_us} {echo_us} at_most 1500");
    println!("figure gets_at_once_us {gets_us} {echoes_us} at_most 1500");
    let mut value = 1_000;
    let news_us = quartile_us(rounds / 10, || {
        value += 1;
        news(&mut controllers[0], value);
    });
    println!("figure set_to_notify_us {news_us} {NEWS_US_MAX} at_most 1000");
    let model_us = quartile_us(rounds / 10, || whole_model(&mut controllers[1]));
    println!("figure supported_dm_us {model_us} {MODEL_US_MAX} at_most 1000");
    let resident = resident_kib(&daemon);
    println!("figure agent_kib {resident} {RESIDENT_KIB_MAX} at_most 1000");
    let [service_us, network_us] = news_of_rooms(&mut controllers, &house, rounds / 10);
    println!("figure service_to_notify_us {service_us} {NEWS_US_MAX} at_most 1000");
    println!("figure network_to_notify_us {network_us} {NEWS_US_MAX} at_most 1000");
    println!(
        "row a Get {get_us} µs, an echo {echo_us} µs; of {AT_ONCE} at once {} Gets/s, {} echoes/s; news of a Set {news_us} µs, of a service {service_us} µs, \
         of the network {network_us} µs, the whole model {model_us} µs, {resident} KiB resident",
        per_second(gets_us),
        per_second(echoes_us)
    );
}
