//! Services speak with the real daemon by their socket; a controller that we did not write (usp-js) sees what they say, and tells them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use contract::Name;
use contract::control::Ask;
use contract::wires::{TENANT, TENANT_UID_BASE};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde_json::{Value, json};
use stage::{Desk, House, broker, connected, daemon_said, disk, enter, until, word};

const UNIT: &str = "Device.SoftwareModules.ExecutionUnit.1.X_SHG_Service.";

/// A service's end.
struct Service {
    socket: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Service {
    fn connect() -> Self {
        let socket = until("the services' socket", 5, || UnixStream::connect(TENANT.path).ok());
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let lines = BufReader::new(socket.try_clone().unwrap());
        Self { socket, lines }
    }

    fn say(&mut self, line: &str) {
        self.socket.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; null at the end.
    fn hears(&mut self) -> Value {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            // Closed before it had read all that we have said.
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(why) => panic!("silent: {why}; {}", daemon_said()),
            Ok(_) => {}
        }
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    fn asks(&mut self, line: &str) -> Value {
        self.say(line);
        self.hears()
    }
}

/// The house with `hello` at our own uid, which is the one that we can have here.
fn our_house() -> House {
    let house = House::begin();
    house.hello.lock().unwrap().uid_base = Some(0);
    house
}

/// Configuration and secrets go down at once, and secrets come back from nowhere.
fn is_told(desk: &mut Desk, service: &mut Service) {
    // Down: at once, and again to whoever connects.
    let row =
        desk.call("add", &json!([format!("{UNIT}Configuration."), {"Name": "greeting", "Value": "hi"}]));
    assert_eq!(row, json!(format!("{UNIT}Configuration.1.")));
    assert_eq!(service.hears(), json!({"configuration": "greeting", "value": "hi"}));
    desk.call("add", &json!([format!("{UNIT}Secret."), {"Name": "key", "Value": "open-sesame"}]));
    assert_eq!(service.hears(), json!({"secret": "key", "value": "open-sesame"}));
    desk.call("set", &json!([format!("{UNIT}Configuration.1.Value"), "ho"]));
    assert_eq!(service.hears(), json!({"configuration": "greeting", "value": "ho"}));
    // A secret comes back from nowhere.
    let all = desk.call("get", &json!(["Device."])).to_string();
    assert!(!all.contains("open-sesame") && all.contains("\"ho\""), "{all}");
    desk.begin("set", &json!([format!("{UNIT}Secret.2."), {"Value": "open-sesame-2"}]));
    assert!(!desk.end().to_string().contains("sesame"), "nor in the answer to who has set it");
    assert_eq!(service.hears(), json!({"secret": "key", "value": "open-sesame-2"}));
    assert!(!daemon_said().contains("sesame"), "nor in the log");
    // Names are names, and once.
    for bad in [json!({"Name": "1"}), json!({"Name": "greeting"})] {
        let why = desk.fails("add", &json!([format!("{UNIT}Configuration."), bad])).to_string();
        assert!(why.contains("7021"), "{why}");
    }
}

/// That a service is ready is the supervisor's to hear, and not too often.
fn is_ready(house: &House, service: &mut Service) {
    // That it is ready is the supervisor's to hear: with the process that says so.
    assert_eq!(service.asks(r#"{"id":3,"ready":true}"#), json!({"done": 3}));
    let ready = Ask::Ready { service: Name::new("hello").unwrap(), pid: std::process::id() };
    assert!(house.orders.lock().unwrap().contains(&ready));
    assert_eq!(service.asks(r#"{"id":4,"ready":false}"#), json!({"error": "ready: true", "id": 4}));
    // Each is a question to the supervisor: a service that says nothing else is told to be quiet.
    let answers: Vec<Value> =
        (5..35).map(|id| service.asks(&json!({"id": id, "ready": true}).to_string())).collect();
    assert!(answers.iter().any(|answer| answer["error"] == "ready: too many"), "{answers:?}");
}

#[test]
fn a_service_is_seen_and_told() {
    if !enter("a_service_is_seen_and_told") {
        return;
    }
    let kept = disk();
    let (_broker, house) = (broker(""), our_house());
    let daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let get = |desk: &mut Desk, path: &str| desk.call("get", &json!([format!("{UNIT}{path}")]));
    let subscription = json!({"ID": "event", "NotifType": "Event", "ReferenceList": "Device.SoftwareModules.ExecutionUnit.*.X_SHG_Service.Event!", "Enable": "true"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", subscription]));

    let mut service = Service::connect();
    assert_eq!(service.hears(), json!({"gateway": 1, "service": "hello"}));
    assert_eq!(service.hears(), json!({"all": true}), "nothing was set yet");
    // Up.
    assert_eq!(service.asks(r#"{"id":1,"metric":"visits","type":"counter","value":7}"#), json!({"done": 1}));
    assert_eq!(service.asks(r#"{"id":2,"health":"failing","reason":"no key"}"#), json!({"done": 2}));
    assert_eq!(get(&mut desk, "Metric.[Name==\"visits\"].Value"), json!(["7"]));
    assert_eq!(
        (get(&mut desk, "Health"), get(&mut desk, "HealthReason")),
        (json!("Failing"), json!("no key"))
    );
    assert_eq!(get(&mut desk, "Connections"), json!("1"));
    service.say(r#"{"event":"door","data":{"open":true}}"#);
    let notice = desk.notice().to_string();
    for word in ["\"door\"", "Data.open", "X_SHG_Service."] {
        assert!(notice.contains(word), "{word}: {notice}");
    }
    assert!(service.asks("{\"metric\":3}")["error"].as_str().unwrap().contains("invalid type"));
    assert!(service.asks("garbage")["error"].is_string(), "and the connection stays");
    is_ready(&house, &mut service);
    is_told(&mut desk, &mut service);
    // It outlives the agent.
    let file = kept.join("services");
    until("it is on the disk", 5, || {
        std::fs::read(&file).ok().filter(|bytes| {
            bytes.ends_with(b"open-sesame-2") || bytes.windows(13).any(|piece| piece == b"open-sesame-2")
        })
    });
    drop(daemon);
    assert_eq!(service.hears(), Value::Null, "the agent is gone");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let mut service = Service::connect();
    let told: Vec<Value> = (0..4).map(|_| service.hears()).collect();
    assert!(told.contains(&json!({"configuration": "greeting", "value": "ho"})), "{told:?}");
    assert!(told.contains(&json!({"secret": "key", "value": "open-sesame-2"})), "{told:?}");
    // What is taken back is told, too; and who is gone is not there.
    desk.call("del", &json!([format!("{UNIT}Configuration.1.")]));
    assert_eq!(service.hears(), json!({"configuration": "greeting", "value": null}));
    drop(service);
    until("nobody is connected", 5, || (get(&mut desk, "Connections") == json!("0")).then_some(()));
    // A stranger is not let in: his uid is no service's.
    house.hello.lock().unwrap().uid_base = Some(TENANT_UID_BASE);
    until("the agent knows", 5, || {
        let mut stranger = Service::connect();
        let _ = stranger.socket.write_all(b"{\"health\":\"good\"}\n");
        (stranger.hears() == Value::Null).then_some(())
    });
}

/// Descriptors that go along with one line: nearly as many as the kernel lets (SCM_MAX_FD, 253).
const ALONG: usize = 250;

/// Sends a line, and many descriptors with it.
fn send_along(socket: &UnixStream, line: &str) {
    let file = File::open("/dev/null").unwrap();
    let all = [file.as_raw_fd(); ALONG];
    let rights = [ControlMessage::ScmRights(&all)];
    let bytes = [IoSlice::new(line.as_bytes())];
    let sent = sendmsg::<()>(socket.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None).unwrap();
    assert_eq!(sent, line.len());
}

/// How many come out at the other end of a socket whose owner takes them.
fn taken(socket: &UnixStream) -> usize {
    let (mut bytes, mut space) = ([0; 256], cmsg_space!([i32; ALONG]));
    let mut bytes = [IoSliceMut::new(&mut bytes)];
    let came = recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut space), MsgFlags::empty()).unwrap();
    let rights = came.cmsgs().unwrap().map(|message| {
        let ControlMessageOwned::ScmRights(all) = message else { return 0 };
        all.len()
    });
    rights.sum()
}

#[test]
fn descriptors_that_are_sent_along_reach_nobody() {
    if !enter("descriptors_that_are_sent_along_reach_nobody") {
        return;
    }
    // The control: whoever takes them has them.
    let (one, other) = UnixStream::pair().unwrap();
    send_along(&one, "take these\n");
    assert_eq!(taken(&other), ALONG);

    let (_broker, _house, daemon) = (broker(""), our_house(), connected(&word("")));
    let mut service = Service::connect();
    assert_eq!((service.hears()["service"].clone(), service.hears()), (json!("hello"), json!({"all": true})));
    let held = || fs::read_dir(format!("/proc/{}/fd", daemon.0.id())).unwrap().count();
    let before = held();
    for number in 1..=20 {
        send_along(&service.socket, &format!("{{\"id\":{number},\"metric\":\"m\",\"value\":1}}\n"));
        assert_eq!(service.hears(), json!({"done": number}));
    }
    assert_eq!(held(), before, "the agent's descriptors");
}

#[test]
fn a_flood_delays_nobody() {
    if !enter("a_flood_delays_nobody") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), our_house(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let ask = |desk: &mut Desk| {
        let begun = Instant::now();
        desk.call("get", &json!([format!("{UNIT}Lines")]));
        begun.elapsed()
    };
    let quiet = (0..20).map(|_| ask(&mut desk)).max().unwrap();
    // As many connections as there may be, each with as much as goes; and one that comes again and again.
    let mut floods: Vec<Service> = (0..4).map(|_| Service::connect()).collect();
    for flood in &mut floods {
        flood.hears();
        flood.hears();
    }
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for flood in &mut floods {
            scope.spawn(|| {
                let lines = "{\"metric\":\"m\",\"value\":1}\n{\"event\":\"e\"}\n".repeat(50);
                flood.socket.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = flood.socket.write(lines.as_bytes()); // half a line, too
                }
            });
        }
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                drop(UnixStream::connect(TENANT.path));
            }
        });
        let mut waits: Vec<Duration> = (0..40).map(|_| ask(&mut desk)).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        waits.sort();
        // The broker and the controller share two processors with the flood: what is held is that nobody waits for the flood itself, which
        // would be seconds.
        assert!(waits[20] < Duration::from_millis(500), "{quiet:?} when quiet, {waits:?}");
    });
    let taken = desk.call("get", &json!([format!("{UNIT}Lines")]));
    let taken: u64 = taken.as_str().unwrap().parse().unwrap();
    assert!((1..3_000).contains(&taken), "{taken} lines were taken");
}

#[test]
fn a_line_has_an_end() {
    if !enter("a_line_has_an_end") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), our_house(), connected(&word("")));
    let mut service = Service::connect();
    service.hears();
    service.hears();
    service.socket.write_all(&[b'x'; contract::tenant::LINE_BYTES + 1]).unwrap();
    assert_eq!(service.hears(), json!({"error": "a line is too long"}));
    assert_eq!(service.hears(), Value::Null, "and that was all");
    // A line in two pieces is one; the fifth connection is one too many.
    let mut others: Vec<Service> = (0..4).map(|_| Service::connect()).collect();
    for other in &mut others {
        assert_eq!(other.hears()["gateway"], json!(1));
        other.hears();
    }
    assert_eq!(Service::connect().hears(), Value::Null);
    let first = &mut others[0];
    first.socket.write_all(b"{\"id\":1,\"health\":").unwrap();
    assert_eq!(others[1].asks(r#"{"id":2,"health":"good"}"#), json!({"done": 2}));
    assert_eq!(others[0].asks("\"good\"}"), json!({"done": 1}));
}
