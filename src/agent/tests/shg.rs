//! `shg` as a controller, against the real daemon, by a broker that we did not write.
//!
//! In:  command lines of `shg`. Out: what it says, and what became of it on the gateway.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use contract::control::{Ask, State};
use serde_json::{Value, json};
use shg::error::Error;
use stage::house::name;
use stage::package::Package;
use stage::{CONTROLLER, ENDPOINT, House, broker, certificates, connected, enter, until, word};

const FILE: &str = "/etc/shg/controller.toml";

/// What `shg` says to a line; and why it has failed.
fn shg(line: &str) -> (String, Option<Error>) {
    let words: Vec<String> = line.split_whitespace().chain(["--config", FILE]).map(str::to_owned).collect();
    let mut out = Vec::new();
    let outcome = shg::command::run(&words, &mut out);
    (String::from_utf8(out).unwrap(), outcome.err())
}

/// The same, where it has to be done.
fn done(line: &str) -> String {
    let (said, why) = shg(line);
    assert!(why.is_none(), "{line}: {} {said}; the agent said: {}", why.unwrap(), stage::daemon_said());
    said
}

/// The same, where it has to fail: why.
fn fails(line: &str) -> String {
    let (said, why) = shg(line);
    why.unwrap_or_else(|| panic!("{line}: {said}")).to_string()
}

/// Two gateways: one is there, one is not.
fn fleet(more: &str) {
    let text = format!(
        "endpoint = '{CONTROLLER}'\ntopic = '/usp/controller'\n\
         [[broker]]\nhost = '127.0.0.1'\nport = 1883\ntls = false\n{more}\
         [[gateway]]\nendpoint = '{ENDPOINT}'\ntopic = '/usp/agent'\nlabels = {{ site = 'lab' }}\n\
         [[gateway]]\nendpoint = 'os::00D09E-none'\ntopic = '/usp/none'\n"
    );
    fs::write(FILE, text).unwrap();
}

#[test]
fn gateways_are_read_and_set() {
    if !enter("gateways_are_read_and_set") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    fleet("");
    let list = done("gateway list --timeout 1");
    assert!(list.lines().any(|line| line.contains(ENDPOINT) && line.contains("site=lab")), "{list}");
    let absent = list.lines().find(|line| line.contains("os::00D09E-none")).unwrap();
    assert!(absent.contains("no answer within 1 s"), "{list}");
    assert!(list.lines().all(|line| line == line.trim_end()), "{list:?}");
    let list: Value = serde_json::from_str(&done("gateway list --timeout 1 --json")).unwrap();
    assert_eq!((&list[0]["answers"], &list[0]["services"]), (&json!(true), &json!(1)), "{list}");
    let period = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
    let lab = "--labels site=lab";
    assert_eq!(done(&format!("gateway set {period}=3600 {lab}")), format!("{period} = 3600\n"));
    assert_eq!(done(&format!("gateway get {period} {lab}")), format!("{period} = 3600\n"));
    // One of two has no answer: the other's is said all the same.
    let (said, why) = shg(&format!("gateway get {period} --all --timeout 1"));
    assert_eq!(said, format!("{ENDPOINT}: {period} = 3600\n"));
    assert!(why.unwrap().to_string().contains("os::00D09E-none: no answer within 1 s"));
    // Errors are words.
    for (line, words) in [
        (format!("gateway get Device.Nothing. {lab}"), "invalid path (7026)"),
        (format!("gateway set Device.LocalAgent.EndpointID=x {lab}"), "not writeable (7013)"),
        (format!("gateway set {period}=0 {lab}"), "invalid value (7012)"),
        (format!("gateway get {period} --gateway os::x"), "not there"),
        (format!("gateway get {period}"), "which gateway?"),
    ] {
        let why = fails(&line);
        assert!(why.contains(words), "{line}: {why}");
    }
    let count = "Device.LocalAgent.SubscriptionNumberOfEntries";
    assert_eq!(done(&format!("gateway get {count} {lab}")), format!("{count} = 0\n"), "none is left");
}

#[test]
fn news_is_shown_as_it_comes() {
    if !enter("news_is_shown_as_it_comes") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("mqtt = '3.1.1'\n")));
    fleet("mqtt = '3.1.1'\n");
    let status = "Device.SoftwareModules.ExecutionUnit.1.Status";
    let line = format!("gateway watch {status} --count 2 --seconds 20 --gateway {ENDPOINT}");
    let watch = std::thread::spawn(move || done(&line));
    let count = format!("gateway get Device.LocalAgent.SubscriptionNumberOfEntries --gateway {ENDPOINT}");
    until("it is subscribed", 10, || done(&count).ends_with("= 1\n").then_some(()));
    house.becomes(State::Failed);
    let value = format!("gateway get {status} --gateway {ENDPOINT}");
    until("it is told", 5, || done(&value).contains("Idle").then_some(()));
    house.becomes(State::Up);
    assert_eq!(watch.join().unwrap(), format!("{status} = Idle\n{status} = Active\n"));
    until("the subscription is gone", 5, || done(&count).ends_with("= 0\n").then_some(()));
}

#[test]
fn a_service_is_managed_from_a_desk() {
    if !enter("a_service_is_managed_from_a_desk") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    fleet("");
    let on = |line: &str| format!("{line} --gateway {ENDPOINT}");
    let url = "https://registry.example/cam";
    let said = done(&on(&format!("service install {url}:1 --slice demo")));
    assert!(said.contains("done (version 1, uuid "), "{said}");
    let why = fails(&on(&format!("service install {url}:1")));
    assert!(why.contains("duplicate deployment unit (7226)"), "{why}");
    let why = fails(&on("service install https://registry.example/large:1"));
    assert!(why.contains("system resources exceeded (7227)") && why.contains("32 MiB memory"), "{why}");
    let why = fails(&on(&format!("service install {url}:1 --slice none")));
    assert!(why.contains("slice none: not there"), "{why}");
    let status: Value = serde_json::from_str(&done(&on("service status cam --json"))).unwrap();
    let unit = &status[0]["result"][0];
    assert_eq!(
        (&unit["unit"]["Status"], &unit["bundle"]["Version"]),
        (&json!("Active"), &json!("1")),
        "{status}"
    );
    let table = done(&on("service status"));
    assert!(table.contains("hello") && table.contains("cam"), "{table}");
    // Its end is waited for.
    let cam = || house.more.lock().unwrap()[0].state;
    let line = on("service stop cam");
    let stop = std::thread::spawn(move || done(&line));
    until("it is told to end", 10, || (cam() == State::Ending).then_some(()));
    house.more.lock().unwrap()[0].state = State::Down;
    assert_eq!(stop.join().unwrap(), "cam: done\n");
    assert!(house.orders.lock().unwrap().contains(&Ask::Stop(name("cam"))));
    // It is not waited for for ever.
    let why = fails(&on("service start cam --wait 1"));
    assert!(why.contains("not within 1 s; it goes on (Device.LocalAgent.Request."), "{why}");
    let said = done(&on(&format!("service update cam {url}:2")));
    assert!(said.contains("cam: done (version 2"), "{said}");
    let why = fails(&on("service update cam"));
    assert!(why.contains("7226"), "as new: {why}");
    done(&on("service remove cam --keep-data"));
    assert!(package.units().is_empty());
    for (line, words) in [
        ("service start cam", "cam: not there"),
        ("service remove cam", "cam: not there"),
        ("service stop Cam", "only a-z"),
    ] {
        let why = fails(&on(line));
        assert!(why.contains(words), "{line}: {why}");
    }
}

/// It ends and comes again, and only then it is done; one that does not come again is not.
#[test]
fn a_service_is_restarted_from_a_desk() {
    if !enter("a_service_is_restarted_from_a_desk") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    fleet("");
    let on = |line: &str| format!("{line} --gateway {ENDPOINT}");
    let restarts =
        || house.orders.lock().unwrap().iter().filter(|one| **one == Ask::Restart(name("hello"))).count();
    let state = || house.hello.lock().unwrap().state;
    for (number, end) in [(1, State::Up), (2, State::Failed)] {
        let line = on("service restart hello");
        let restart = std::thread::spawn(move || shg(&line));
        until("it is told to", 10, || (restarts() == number).then_some(()));
        assert_eq!(state(), State::Returning, "it ends");
        let status = done(&on("service status hello"));
        assert!(status.contains("Restarting"), "{status}");
        assert!(!restart.is_finished(), "its end is waited for");
        house.becomes(end);
        let (said, why) = restart.join().unwrap();
        match why {
            None => assert_eq!((number, said.as_str()), (1, "hello: done\n")),
            Some(why) => {
                let why = why.to_string();
                assert!(number == 2 && why.contains("hello: ") && why.contains("(7022)"), "{why}");
            }
        }
    }
    for (line, words) in [
        ("service restart cam", "cam: not there"),
        ("service restart Cam", "only a-z"),
        ("service restart", "it takes"),
    ] {
        let why = fails(&on(line));
        assert!(why.contains(words), "{line}: {why}");
    }
    assert_eq!(restarts(), 2);
}

/// The last lines, what comes after, and what is said where there are none.
#[test]
fn a_log_is_read_and_followed() {
    if !enter("a_log_is_read_and_followed") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    fleet("");
    let on = |line: &str| format!("{line} --gateway {ENDPOINT}");
    assert_eq!(done(&on("service logs hello")), "");
    house.log.lock().unwrap().0.extend(b"one\ntwo\n\x1b[2Jthree\n");
    assert_eq!(
        done(&on("service logs hello --lines 2")),
        "two\n\\u{1b}[2Jthree\n",
        "it does not speak to a terminal"
    );
    let log: Value = serde_json::from_str(&done(&on("service logs hello --json"))).unwrap();
    let wants = json!([{ "gateway": ENDPOINT, "result": { "lines": ["one", "two", "\u{1b}[2Jthree"], "from": 0, "next": 18 } }]);
    assert_eq!(log, wants);
    // Of two one has no answer: the other's is said all the same.
    let (said, why) = shg("service logs hello --lines 1 --all --timeout 1");
    assert_eq!(said, format!("{ENDPOINT}: \\u{{1b}}[2Jthree\n"));
    assert!(why.unwrap().to_string().contains("os::00D09E-none: no answer within 1 s"));
    for (line, words) in [
        ("service logs cam", "service cam: not there"),
        ("service logs Cam", "only a-z"),
        ("service logs hello --lines 1001", "invalid command arguments (7027)"),
        ("service logs hello --lines none", "a number from 1 on"),
        ("service logs hello --seconds 1", "without --follow"),
    ] {
        let why = fails(&on(line));
        assert!(why.contains(words), "{line}: {why}");
    }
    let asked = || house.orders.lock().unwrap().iter().filter(|ask| matches!(ask, Ask::Log { .. })).count();
    let before = asked();
    let line = on("service logs hello --lines 1 --follow --seconds 4 --json");
    let follow = std::thread::spawn(move || done(&line));
    until("it follows", 10, || (asked() > before).then_some(()));
    house.log.lock().unwrap().0.extend(b"four\nfive\n");
    let said = follow.join().unwrap();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = lines.iter().map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(words, ["\u{1b}[2Jthree", "four", "five"], "{said}");
    assert!(asked() - before <= 12, "once a second, two questions at most: {}", asked() - before);
}

/// The suite that any agent can be held against: ours keeps all of its rules, and one that does not install is found out.
#[test]
fn software_modules_keep_their_rules() {
    if !enter("software_modules_keep_their_rules") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    fleet("");
    let more = house.more.clone();
    std::thread::spawn(move || {
        loop {
            for one in more.lock().unwrap().iter_mut() {
                if one.state == State::Ending {
                    one.state = State::Down;
                } else if matches!(one.state, State::Starting | State::Returning) {
                    one.state = State::Up;
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(50)); // a step of a wait with a limit: the test ends and takes us along
        }
    });
    let line = "conform modules --url https://registry.example/cam:1 --next https://registry.example/cam:2 --wait 4 --labels site=lab";
    let (said, why) = shg(line);
    let broken: Vec<&str> = said.lines().filter(|line| line.starts_with("BROKEN")).collect();
    println!("{said}");
    assert!(broken.is_empty() && why.is_none(), "{broken:#?} {why:?}");
    assert_eq!(said.lines().filter(|line| line.starts_with("kept ")).count(), 36, "{said}");
    assert!(package.units().is_empty(), "nothing is left");
    assert_eq!(house.slices.lock().unwrap().len(), 1, "nor a slice");
    // An agent that does not install what it should is found out.
    let line = line.replace("/cam:1", "/unsigned:1");
    let (said, why) = shg(&line);
    assert!(said.contains("BROKEN  TR-181 InstallDU()") && why.is_some(), "{said}");
}

#[test]
fn the_desk_believes_its_broker_or_not() {
    if !enter("the_desk_believes_its_broker_or_not") {
        return;
    }
    certificates();
    let conf = "listener 8883 127.0.0.1\ncertfile /run/server.pem\nkeyfile /run/server.key\n";
    let (_broker, _house, _daemon) = (broker(conf), House::begin(), connected(&word("")));
    let by_tls = |host: &str, roots: &str| {
        fleet("");
        let text = fs::read_to_string(FILE).unwrap();
        let text = text.replace(
            "host = '127.0.0.1'\nport = 1883\ntls = false\n",
            &format!("host = '{host}'\nport = 8883\ntls = true\nroots = '{roots}'\n"),
        );
        fs::write(FILE, text).unwrap();
    };
    let get = "gateway get Device.LocalAgent.EndpointID --labels site=lab --timeout 5";
    by_tls("broker.example", "/run/ca.pem");
    assert_eq!(done(get), format!("Device.LocalAgent.EndpointID = {ENDPOINT}\n"));
    by_tls("localhost", "/run/ca.pem");
    assert!(fails(get).contains("certificate"), "another name");
    fs::copy("/run/server.pem", "/run/other.pem").unwrap();
    by_tls("broker.example", "/run/other.pem");
    assert!(fails(get).contains("certificate"), "another root");
    by_tls("broker.example", "/run/none.pem");
    assert!(fails(get).contains("/run/none.pem"));
}
