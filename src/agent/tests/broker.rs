//! What a broker sees of the agent: the test is the broker, and says of itself what mosquitto does not.
//!
//! In:  packets of the agent's, bit by bit. Out: packets of a broker's. Source: MQTT 5.0 and 3.1.1 (OASIS), §3.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use mqtt::packet::Version;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stage::broker::{Agent, put};
use stage::local::{Local, operate};
use stage::{CONTROLLER, ENDPOINT, House, daemon, enter, word};
use usp::message::read::Get;
use usp::message::{BodyKind, RequestKind};
use usp::record::{Kind, MqttConnect, MqttVersion, NoSessionContext};
use usp::{DESK, Msg, Record};

fn question() -> Record<'static> {
    let get = Get { param_paths: vec!["Device.MQTT.Client.1.".into()], max_depth: 0 };
    let payload = Msg::request("x", RequestKind::Get(get)).encode().into();
    Record {
        version: "1.4".into(),
        to_id: ENDPOINT.into(),
        from_id: CONTROLLER.into(),
        kind: Some(Kind::NoSession(NoSessionContext { payload })),
        ..Record::default()
    }
}

fn answer(bytes: &[u8]) -> String {
    let record = Record::decode(bytes, &DESK).unwrap();
    let Some(Kind::NoSession(NoSessionContext { payload })) = record.kind else { panic!("{record:?}") };
    let message = Msg::decode(&payload, &DESK).unwrap();
    let kind = message.body.clone().unwrap().kind.unwrap();
    if let BodyKind::Error(error) = kind {
        format!("error {}", error.err_code)
    } else {
        format!("{message:?}")
    }
}

/// Shows R-MTP.7, R-MQTT.35.
#[test]
fn an_agent_that_ends_says_so() {
    if !enter("an_agent_that_ends_says_so") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let mut daemon = daemon(&word(""));
    let mut agent = Agent::accept(&listener, Version::V5);
    agent.connect();
    agent.send(0x20, &[0, 0, 0]);
    agent.subscribe(1);
    let (_, _, record) = agent.publish();
    assert!(matches!(Record::decode(&record, &DESK).unwrap().kind, Some(Kind::MqttConnect(_))));
    kill(Pid::from_raw(i32::try_from(daemon.0.id()).unwrap()), Signal::SIGTERM).unwrap();
    let (_, (topic, _, record)) = agent.unacknowledged();
    let Some(Kind::Disconnect(end)) = Record::decode(&record, &DESK).unwrap().kind else { panic!("{topic}") };
    assert_eq!((topic.as_str(), end.reason_code, end.reason.is_empty()), ("/usp/controller", 0, false));
    assert_eq!(agent.packet().unwrap().0, 0xe0, "DISCONNECT is the last");
    assert!(agent.packet().is_none(), "and it goes");
    assert!(daemon.0.wait().unwrap().success());
}

/// Shows R-MQTT.1, R-MQTT.3, R-MQTT.6, R-MQTT.7, R-MQTT.8, R-MQTT.9, R-MQTT.10, R-MQTT.11, R-MQTT.12, R-MQTT.13, R-MQTT.14, R-MQTT.15, R-MQTT.17,
/// R-MQTT.18, R-MQTT.19, R-MQTT.20, R-MQTT.21, R-MQTT.22, R-MQTT.23, R-MQTT.26, R-MQTT.27, R-MQTT.27a, R-MTP.5, R-MTP.6.
#[test]
fn what_a_broker_sees() {
    if !enter("what_a_broker_sees") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&word("username = 'gateway'\npassword = 'sesame'\nkeep_alive_s = 30\n"));
    let mut agent = Agent::accept(&listener, Version::V5);
    let connect = agent.connect();
    assert_eq!((connect.level, connect.clean, connect.keep_alive_s), (5, true, 30));
    assert_eq!(connect.texts, ["", "gateway", "sesame"], "the broker gives the name");
    let named = [vec![0x26], put("usp-endpoint-id"), put(ENDPOINT)].concat();
    let has = |want: &[u8]| connect.properties.windows(want.len()).any(|part| part == want);
    assert!(has(&named) && has(&[0x19, 1]), "{:?}", connect.properties);
    let more = [vec![0x26], put("subscribe-topic"), put("/usp/more")].concat();
    let properties = [vec![0x12], put("given"), vec![0x1a], put("/usp/answers"), more].concat();
    agent.send(0x20, &[vec![0, 0, u8::try_from(properties.len()).unwrap()], properties].concat());
    assert_eq!(agent.subscribe(1), ["/usp/agent", "/usp/answers", "/usp/more"]);
    let (topic, properties, record) = agent.publish();
    assert_eq!(topic, "/usp/controller");
    let ways = (properties.content_type.as_deref(), properties.response_topic.as_deref());
    assert_eq!(ways, (Some("usp.msg"), Some("/usp/answers")));
    let connected = MqttConnect { version: MqttVersion::V5, subscribed_topic: "/usp/answers".into() };
    assert_eq!(Record::decode(&record, &DESK).unwrap().kind, Some(Kind::MqttConnect(connected)));
    // Answers go to where the question says, whichever of the two types it has.
    let good = question().encode();
    for content in ["usp.msg", "application/vnd.bbf.usp.msg"] {
        agent.ask(&good, (content, "/back"));
        let (topic, _, record) = agent.publish();
        assert_eq!(topic, "/back", "{content}");
        let said = answer(&record);
        assert!(
            said.contains("given") && said.contains("/usp/answers") && !said.contains("sesame"),
            "{said}"
        );
    }
    // A record that is broken, and says who has asked what; and two that do not.
    let broken = [good.clone(), vec![0x20, 9]].concat();
    for lost in [
        Record { to_id: "os::other".into(), ..question() },
        Record { from_id: "self::other".into(), ..question() },
    ] {
        agent.ask(&[lost.encode(), vec![0x20, 9]].concat(), ("usp.msg", "/lost"));
    }
    agent.ask(&broken, ("usp.msg", "/back"));
    let (topic, _, record) = agent.publish();
    assert_eq!((topic.as_str(), answer(&record).as_str()), ("/back", "error 7100"));
    // It comes again, soon, and with the name that it was given.
    drop(agent);
    let begun = Instant::now();
    let mut agent = Agent::accept(&listener, Version::V5);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(agent.connect().texts, ["given", "gateway", "sesame"]);
    // Nothing is granted: it says so, publishes nothing, and goes.
    agent.send(0x20, &[0, 0, 0]);
    agent.subscribe(0x87);
    assert_eq!(agent.packet(), Some((0xe0, Vec::new())), "DISCONNECT");
    assert_eq!(agent.packet(), None);
}

/// Shows R-MQTT.16.
#[test]
fn without_a_topic_there_is_no_use() {
    if !enter("without_a_topic_there_is_no_use") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&word("").replace("agent_topic = '/usp/agent'\n", ""));
    let mut agent = Agent::accept(&listener, Version::V5);
    agent.connect();
    agent.send(0x20, &[0, 0, 0]);
    assert_eq!(agent.packet(), Some((0xe0, Vec::new())), "DISCONNECT");
    assert_eq!(agent.packet(), None);
}

/// Shows R-MQTT.2, R-MQTT.8, R-MQTT.11, R-MQTT.22, R-MQTT.24.
#[test]
fn what_an_older_broker_sees() {
    if !enter("what_an_older_broker_sees") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&word("mqtt = '3.1.1'\n"));
    for _ in 0..2 {
        let mut agent = Agent::accept(&listener, Version::V311);
        let connect = agent.connect();
        assert_eq!((connect.level, connect.texts), (4, vec![ENDPOINT.to_owned()]));
        agent.send(0x20, &[0, 0]);
        assert_eq!(agent.subscribe(1), ["/usp/agent", "/usp/agent/+"]);
        assert_eq!(agent.publish().0, "/usp/controller/reply-to=%2Fusp%2Fagent");
    }
}

/// What a broker of 5.0 does not have is not asked of it: no message goes with a higher QoS than it takes, no topic is subscribed to that it
/// does not know; and all is answered.
#[test]
fn what_a_broker_does_not_have_is_not_asked_of_it() {
    if !enter("what_a_broker_does_not_have_is_not_asked_of_it") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&word(""));
    let wish = |topic: &str| [vec![0x26], put("subscribe-topic"), put(topic)].concat();
    for (name, properties, qos, topics) in [
        ("QoS 0", vec![0x24, 0], 0, &["/usp/agent"][..]),
        ("QoS 1", vec![0x24, 1], 1, &["/usp/agent"]),
        ("wildcards", [vec![0x28, 1], wish("/more/#")].concat(), 1, &["/more/#", "/usp/agent"]),
        ("none", [vec![0x28, 0], wish("/more/#")].concat(), 1, &["/usp/agent"]),
        (
            "nothing shared, QoS 0",
            [vec![0x2a, 0, 0x24, 0], wish("$share/x/more")].concat(),
            0,
            &["/usp/agent"],
        ),
    ] {
        let mut agent = Agent::accept(&listener, Version::V5);
        agent.qos = qos;
        agent.connect();
        agent.send(0x20, &[vec![0, 0, u8::try_from(properties.len()).unwrap()], properties].concat());
        assert_eq!(agent.subscribe(qos), topics, "{name}");
        assert_eq!(agent.publish().0, "/usp/controller", "{name}: it says that it is there");
        for _ in 0..20 {
            agent.ask(&question().encode(), ("usp.msg", "/back"));
            let (topic, _, record) = agent.publish();
            assert_eq!(topic, "/back", "{name}");
            assert!(answer(&record).contains("BrokerAddress"), "{name}");
        }
    }
}

/// A controller has the connection made anew: it is answered, the broker hears that the agent goes, and it is there again at once. What was
/// counted is still counted, and nothing of it is an error.
/// Shows R-MTP.7, R-MQTT.35.
#[test]
fn a_connection_is_made_anew_by_a_command() {
    if !enter("a_connection_is_made_anew_by_a_command") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:1883").unwrap(), House::begin());
    let _daemon = daemon(&(word("") + "[[controller]]\nendpoint = 'self::root'\nlocal = 'root'\n"));
    let mut root = Local::connect("self::root");
    let stats = "Device.MQTT.Client.1.Stats.";
    let command = "Device.MQTT.Client.1.ForceReconnect()";
    for (round, sent) in [(1, 1), (2, 4), (3, 6)] {
        let begun = Instant::now();
        let mut agent = Agent::accept(&listener, Version::V5);
        agent.connect();
        agent.send(0x20, &[0, 0, 0]);
        agent.subscribe(1);
        agent.publish();
        assert!(round == 1 || begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        let counts = root.get(&[stats]);
        assert!(
            counts.contains("ConnectionErrors=0 ") && counts.contains(&format!("PublishSent={sent} ")),
            "{round}: {counts}"
        );
        if round == 1 {
            // By the connection itself: the answer comes first.
            let operate = operate(command, "key", true);
            let payload = Msg::request("x", RequestKind::Operate(operate)).encode().into();
            let record = Record { kind: Some(Kind::NoSession(NoSessionContext { payload })), ..question() };
            agent.ask(&record.encode(), ("usp.msg", "/back"));
            let (topic, _, record) = agent.publish();
            assert!(topic == "/back" && answer(&record).contains(command), "{topic}");
        } else {
            assert_eq!(root.operate(command), format!("{command}{{}}"));
        }
        let (_, (_, _, record)) = agent.unacknowledged();
        let Some(Kind::Disconnect(end)) = Record::decode(&record, &DESK).unwrap().kind else {
            panic!("{round}")
        };
        assert!(end.reason_code == 0 && end.reason.contains("anew"), "{end:?}");
        assert_eq!(agent.packet().unwrap().0, 0xe0, "DISCONNECT is the last");
        assert!(agent.packet().is_none(), "and it goes");
    }
    // While there is nobody to be called it is no error, and he is called at once when it is said.
    assert_eq!(root.operate(command), format!("{command}{{}}"));
    let other = root.operate(&command.replace("Client.1", "Client.2"));
    assert!(!other.contains("Client.2.ForceReconnect(){}"), "root is not behind a broker: {other}");
}

/// A controller is called again after the waits of the standard; the first one comes first after a connection that stood, however often it was
/// called in vain before.
/// Shows R-WS.19, R-WS.20.
#[test]
fn after_a_connection_that_stood_the_first_wait_is_the_first_one() {
    if !enter("after_a_connection_that_stood_the_first_wait_is_the_first_one") {
        return;
    }
    let (listener, _house) = (TcpListener::bind("127.0.0.1:8097").unwrap(), House::begin());
    let way = format!(
        "[[controller]]\nendpoint = '{CONTROLLER}'\nurl = 'ws://127.0.0.1:8097/usp'\nin_the_clear = true\n"
    );
    let _daemon = daemon(&format!("{way}[[controller]]\nendpoint = 'self::root'\nlocal = 'root'\n"));
    let mut root = Local::connect("self::root");
    let object = "Device.LocalAgent.Controller.1.MTP.1.WebSocket.";
    assert!(root.get(&[object]).contains("SessionRetryMinimumWaitInterval=5"), "the standard's own");
    let set = |name: &str| format!("{object} {name}");
    root.set(false, &[&set("SessionRetryMinimumWaitInterval=1 SessionRetryIntervalMultiplier=2000")]);
    let other = object.replace("Controller.1", "Controller.2") + " SessionRetryMinimumWaitInterval=1";
    assert!(!root.set(false, &[&other]).contains("Interval=1"), "who is not called is not called again");
    let call = |least: u64, most: u64| {
        let begun = Instant::now();
        let (socket, _) = listener.accept().unwrap();
        let wait = begun.elapsed();
        // Another process has to have its turn, too.
        let range = Duration::from_millis(least)..Duration::from_millis(most + 1_000);
        assert!(range.contains(&wait), "{wait:?} is not in {range:?}");
        socket
    };
    drop(call(0, 0));
    drop(call(900, 2_000));
    drop(call(1_900, 4_000));
    let mut socket = call(3_900, 8_000);
    assert!(root.get(&[object]).contains("CurrentRetryCount=3"));
    let mut request = [0; 4096];
    let size = socket.read(&mut request).unwrap();
    let asked = String::from_utf8_lossy(&request[..size]).into_owned();
    let key = asked.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    socket.write_all(&agent::websocket::handshake::answer(key, None)).unwrap();
    assert!(socket.read(&mut request).unwrap() > 0, "a record");
    assert!(root.get(&[object]).contains("CurrentRetryCount=0"));
    drop(socket);
    drop(call(900, 2_000));
}
