//! A controller that we did not write (usp-js) drives the real daemon, by a broker that we did not write (mosquitto).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use contract::control::{Ask, State};
use serde_json::json;
use stage::{Desk, House, broker, broker_said, connected, daemon_said, enter, until, word};

/// Reads, with all the ways that there are to say what is meant.
/// Shows R-MSG.0, R-MSG.9, R-MSG.3, R-GET.0, R-GET.2, R-GET.3.
#[test]
fn a_controller_reads() {
    if !enter("a_controller_reads") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let get = |desk: &mut Desk, path: &str| desk.call("get", &json!([path]));
    assert_eq!(get(&mut desk, "Device.LocalAgent.EndpointID"), json!("os::00D09E-4711"));
    assert_eq!(get(&mut desk, "Device.DeviceInfo.SerialNumber"), json!("4711"));
    let info = get(&mut desk, "Device.DeviceInfo.");
    assert_eq!(
        (&info["ManufacturerOUI"], &info["MemoryStatus"].is_object()),
        (&json!("00D09E"), &true),
        "{info}"
    );
    let found = get(&mut desk, "Device.LocalAgent.Controller.[EndpointID==\"self::desk\"].AssignedRole");
    assert!(found.to_string().contains("ControllerTrust.Role.1"), "{found}");
    let units = get(&mut desk, "Device.SoftwareModules.ExecutionUnit.*.Status");
    assert!(units.to_string().contains("Active"), "{units}");
    let none = desk.fails("get", &json!(["Device.Nothing."]));
    assert_eq!(none["errCode"], json!(7026), "{none}");
    let rows = desk.call("instances", &json!(["Device.LocalAgent.Controller."]));
    assert!(rows.to_string().contains("Device.LocalAgent.Controller.1."), "{rows}");
    let model = desk.call(
        "supportedDM",
        &json!(["Device.", { "firstLevelOnly": false, "returnCommands": true, "returnEvents": true, "returnParams": true }]),
    );
    for name in ["Device.LocalAgent.Subscription.{i}.", "SetRequestedState()", "Boot!", "NotifExpiration"] {
        assert!(model.to_string().contains(name), "{name}: {model}");
    }
    let versions = desk.call("supportedProto", &json!(["1.3,1.4"]));
    assert_eq!(versions, json!(["1.3", "1.4"]));
}

/// What changes something does all of it or nothing, unless it may do a part.
/// Shows R-SET.1, R-SET.2, R-ADD.1, R-ADD.3, R-ADD.5.
#[test]
fn a_controller_writes() {
    if !enter("a_controller_writes") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let period = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
    let get = |desk: &mut Desk, path: &str| desk.call("get", &json!([path]));
    desk.call(
        "set",
        &json!(["Device.LocalAgent.Controller.1.", {"PeriodicNotifInterval": "3600", "USPNotifRetryMinimumWaitInterval": "7"}]),
    );
    assert_eq!(get(&mut desk, period), json!("3600"));
    // One of two is wrong, and required: nothing is done.
    let required = |value: &str| json!({"required": true, "value": value});
    let why = desk.fails(
        "set",
        &json!(["Device.LocalAgent.Controller.1.", {"PeriodicNotifInterval": required("60"), "Enable": required("perhaps"), "allowPartial": false}]),
    );
    assert!(why.to_string().contains("7011") && why.to_string().contains("Enable"), "{why}");
    assert_eq!(get(&mut desk, period), json!("3600"), "nothing of it");
    let why = desk.fails("set", &json!([period, "0"]));
    assert!(why.to_string().contains("7012"), "{why}");
    let why = desk.fails("set", &json!(["Device.LocalAgent.EndpointID", "self::me"]));
    assert!(why.to_string().contains("7013"), "{why}");
    let why = desk
        .fails("set", &json!(["Device.LocalAgent.Controller.9.", {"Enable": "true", "allowPartial": false}]));
    assert!(why.to_string().contains("7016"), "{why}");
    // The one that tells us whom to obey cannot shut the door behind itself.
    let why = desk.fails("set", &json!(["Device.LocalAgent.Controller.1.Enable", "false"]));
    assert!(why.to_string().contains("7007"), "{why}");
    // Rows.
    let wish = json!({"ID": "one", "NotifType": "Event", "ReferenceList": "Device.Boot!", "Enable": "true"});
    let row = desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    assert_eq!(row, json!("Device.LocalAgent.Subscription.1."));
    let why = desk.fails("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    assert!(why.to_string().contains("7025"), "{why}");
    let why = desk.fails("add", &json!(["Device.LocalAgent.Controller.", {}]));
    assert!(why.to_string().contains("7019"), "{why}");
    let kind = get(&mut desk, "Device.LocalAgent.Subscription.[ID==\"one\"].NotifType");
    assert!(kind.to_string().contains("Event"), "{kind}");
    desk.call("del", &json!(["Device.LocalAgent.Subscription.1."]));
    assert_eq!(get(&mut desk, "Device.LocalAgent.SubscriptionNumberOfEntries"), json!("0"));
}

/// A role that only reads: what it may not do is refused, what it may not see is not there.
/// Shows R-GET.1, R-GET.4, R-GSP.0.
#[test]
fn a_role_is_a_limit() {
    if !enter("a_role_is_a_limit") {
        return;
    }
    let role = "role = 'support'\n[[role]]\nname = 'support'\nrules = [\
        { order = 1, targets = ['Device.'], rights = 'r---' },\
        { order = 2, targets = ['Device.MQTT.'], rights = '----' }]\n";
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word(role)));
    let mut desk = Desk::connect(&json!({}));
    assert_eq!(desk.call("get", &json!(["Device.LocalAgent.EndpointID"])), json!("os::00D09E-4711"));
    let why = desk.fails("get", &json!(["Device.MQTT.Client.1.BrokerAddress"]));
    assert_eq!(why["errCode"], json!(7026), "{why}");
    let model =
        desk.call("supportedDM", &json!(["Device.", {"firstLevelOnly": false, "returnParams": true}]));
    assert!(!model.to_string().contains("BrokerAddress"), "{model}");
    let why = desk.fails("set", &json!(["Device.LocalAgent.Controller.1.Enable", "true"]));
    assert!(why.to_string().contains("7006"), "{why}");
    let why = desk.fails("add", &json!(["Device.LocalAgent.Subscription.", {"ID": "x"}]));
    assert!(why.to_string().contains("7006"), "{why}");
    let why = desk.fails("operate", &json!(["Device.Reboot()", {}, {"isAsync": false}]));
    assert!(why.to_string().contains("7006"), "{why}");
    assert!(house.orders.lock().unwrap().is_empty(), "nobody was told to do anything");
}

/// News comes when there is some, and commands end when they have ended.
/// Shows R-NOT.0a.
#[test]
fn a_controller_hears() {
    if !enter("a_controller_hears") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let period = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
    for (id, notif, reference) in [
        ("change", "ValueChange", period),
        ("made", "ObjectCreation", "Device.LocalAgent.Subscription."),
        ("gone", "ObjectDeletion", "Device.LocalAgent.Subscription."),
        ("unit", "ValueChange", "Device.SoftwareModules.ExecutionUnit.1.Status"),
        ("periodic", "Event", "Device.LocalAgent.Periodic!"),
    ] {
        desk.call("subscribe", &json!([{"id": id, "notif": notif, "reference": reference}]));
    }
    desk.news("made");
    let begin = desk.call("now", &json!([])).as_f64().unwrap();
    desk.call("set", &json!([period, "7200"]));
    let news = desk.news("change");
    assert!(news.to_string().contains("7200"), "{news}");
    let took = news["at"].as_f64().unwrap() - begin;
    println!("figure notify {took} ms from before the Set to the Notify");
    assert!(took < 1_000.0, "{took} ms");
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", {"ID": "x"}]));
    assert!(desk.news("made").to_string().contains("Device.LocalAgent.Subscription."));
    desk.call("del", &json!(["Device.LocalAgent.Subscription.[ID==\"x\"]."]));
    assert!(desk.news("gone").to_string().contains("Device.LocalAgent.Subscription."));
    house.becomes(State::Failed);
    assert!(desk.news("unit").to_string().contains("Idle"));
    house.becomes(State::Up);
    assert!(desk.news("unit").to_string().contains("Active"));
    desk.call("set", &json!([period, "1"]));
    desk.news("periodic");
    // A command that takes its time.
    let path = "Device.SoftwareModules.ExecutionUnit.1.SetRequestedState()";
    desk.begin("operate", &json!([path, {"RequestedState": "Idle"}]));
    until("the order", 5, || {
        house.orders.lock().unwrap().contains(&Ask::Stop(contract::Name::new("hello").unwrap())).then_some(())
    });
    assert!(desk.news("unit").to_string().contains("Stopping"));
    house.becomes(State::Down);
    desk.end();
    assert_eq!(desk.call("get", &json!(["Device.LocalAgent.RequestNumberOfEntries"])), json!("0"));
    let why = desk.fails("operate", &json!([path, {"RequestedState": "Asleep"}, {"isAsync": false}]));
    assert!(why.to_string().contains("7027"), "{why}");
}

/// The same by MQTT 3.1.1, and in an end-to-end session.
/// Shows R-MSG.0a, R-MQTT.1, R-MQTT.2, R-E2E.6a.
#[test]
fn other_ways_to_speak() {
    if !enter("other_ways_to_speak") {
        return;
    }
    let (_broker, _house) = (broker(""), House::begin());
    for (word_of, options) in [
        (
            word("mqtt = '3.1.1'\n"),
            json!({
                "protocolVersion": 4,
                "publishEndpoint": "/usp/agent/reply-to=%2Fusp%2Fcontroller",
                "subscribeEndpoint": "/usp/controller/#",
            }),
        ),
        (word(""), json!({"useSession": true})),
    ] {
        let daemon = connected(&word_of);
        let mut desk = Desk::connect(&options);
        for _ in 0..3 {
            let got = desk.call("get", &json!(["Device.LocalAgent.EndpointID"]));
            assert_eq!(got, json!("os::00D09E-4711"), "{options}");
        }
        if options.get("useSession").is_some() {
            let up = desk.call("get", &json!(["Device.LocalAgent.Controller.1.E2ESession.Status"]));
            assert_eq!(up, json!("Up"));
        }
        drop(daemon);
    }
    // Not allowed: 7106.
    let _daemon = connected(&word("session = false\n"));
    let mut desk = Desk::connect(&json!({"useSession": true, "sessionId": 7}));
    desk.begin("get", &json!(["Device.LocalAgent.EndpointID"]));
    let refused = desk.trouble();
    assert!(refused.to_string().contains("7106"), "{refused}");
}

/// The broker goes and comes: within seconds the controller is answered again, and what happened meanwhile is told.
/// Shows R-MQTT.10, R-MQTT.33.
#[test]
fn a_broker_may_go() {
    if !enter("a_broker_may_go") {
        return;
    }
    let (first, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let unit = "Device.SoftwareModules.ExecutionUnit.1.Status";
    desk.call(
        "subscribe",
        &json!([{"id": "unit", "notif": "ValueChange", "reference": unit, "retry": true}]),
    );
    drop(desk);
    drop(first);
    until("it is missed", 5, || daemon_said().contains("closed by the other end").then_some(()));
    house.becomes(State::Failed);
    let _second = broker("");
    let begin = std::time::Instant::now();
    until("connected again", 10, || (daemon_said().matches(": connected").count() == 2).then_some(()));
    println!("figure broker-back {} ms", begin.elapsed().as_millis());
    let mut desk = Desk::connect(&json!({}));
    assert_eq!(desk.call("get", &json!([unit])), json!("Idle"));
}

/// What the client of a broker counts is what mosquitto has in its log.
#[test]
fn packets_are_counted_as_the_broker_counts_them() {
    if !enter("packets_are_counted_as_the_broker_counts_them") {
        return;
    }
    let (before, _house) = (broker(""), House::begin());
    fs::write("/run/time/synchronized", "").unwrap();
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let stats = |desk: &mut Desk| desk.call("get", &json!(["Device.MQTT.Client.1.Stats."]));
    let number =
        |stats: &serde_json::Value, name: &str| stats[name].as_str().unwrap().parse::<u64>().unwrap();
    let client = desk.call("get", &json!(["Device.MQTT.Client.1.ClientID"]));
    let client = client.as_str().unwrap().to_owned();
    let found = stats(&mut desk);
    let logged = |which: &str| {
        let said = broker_said();
        let of_it = said.lines().filter(|line| line.contains(which) && line.contains(client.as_str()));
        of_it.count() as u64
    };
    // The broker's log has the answer to the last question, too; and of CONNECT it says something else.
    until("the broker counts the same", 5, || {
        let publish = logged("Received PUBLISH from") == number(&found, "PublishSent") + 1;
        let all = logged(": Received ") == number(&found, "MQTTMessagesSent");
        (publish && all).then_some(())
    });
    assert_eq!(number(&found, "PublishReceived"), 2, "{found}");
    assert_eq!((number(&found, "SubscribeSent"), number(&found, "ConnectionErrors")), (1, 0), "{found}");
    for name in ["BrokerConnectionEstablished", "LastPublishMessageSent", "LastPublishMessageReceived"] {
        assert!(found[name].as_str().unwrap() > "2020-01-01", "{found}");
    }
    // The broker goes and comes: it is counted on.
    drop(before);
    until("it is noticed", 10, || daemon_said().contains("closed by the other end").then_some(()));
    let _broker = broker("");
    until("it is connected again", 20, || (daemon_said().matches(": connected").count() == 2).then_some(()));
    let again = stats(&mut Desk::connect(&json!({})));
    assert!(number(&again, "ConnectionErrors") >= 1 && number(&again, "SubscribeSent") == 2, "{again}");
    assert!(number(&again, "MQTTMessagesSent") > number(&found, "MQTTMessagesSent"), "{again}");
}
