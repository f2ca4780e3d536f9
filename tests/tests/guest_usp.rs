//! The gateway obeys a controller that we did not write (usp-js), by a broker (mosquitto) on the operator's side of the line.
//!
//! In:  the test root with an operator's word, usp-js in the cache. Out: passed, failed, or `skipped: ` and why.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::Stdio;

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::topology::{ISP_ADDRESS, Side};
use lab::{facts, house, namespace};

const WORD: &str = "[[controller]]\nendpoint = 'self::desk'\nbroker = '203.0.113.1'\nport = 1883\ntls = false\nin_the_clear = true\n\
    topic = '/usp/controller'\nagent_topic = '/usp/agent'\n";
const BROKER: &str = "listener 1883\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n";
const STATUS: &str = "Device.SoftwareModules.ExecutionUnit.1.Status";

/// What the controller is told to do: a bundle that is none is asked for, a service is looked at, watched, stopped, started.
const LINES: &str = r#"{"call": "get", "with": ["Device.SoftwareModules.ExecutionUnit.1.Name"]}
{"call": "add", "with": ["Device.LocalAgent.Subscription.", {"ID": "change", "NotifType": "Event", "ReferenceList": "Device.SoftwareModules.DUStateChange!", "Enable": "true"}]}
{"call": "order", "with": ["Device.SoftwareModules.InstallDU()", "key", {"URL": "ftp://203.0.113.1/x:1"}]}
{"call": "get", "with": ["Device.SoftwareModules.ExecutionUnit.1.ExecutionEnvRef+.AllocatedMemory"]}
{"call": "get", "with": ["Device.SoftwareModules.ExecutionUnit.1.X_SHG_Guarantee.MemoryFloor"]}
{"call": "subscribe", "with": [{"id": "unit", "notif": "ValueChange", "reference": "STATUS"}]}
{"call": "operate", "with": ["Device.SoftwareModules.ExecutionUnit.1.SetRequestedState()", {"RequestedState": "Idle"}]}
{"call": "get", "with": ["STATUS"]}
{"call": "operate", "with": ["Device.SoftwareModules.ExecutionUnit.1.SetRequestedState()", {"RequestedState": "Active"}]}
{"call": "get", "with": ["STATUS"]}
{"call": "get", "with": ["Device.LocalAgent.RequestNumberOfEntries"]}
{"call": "bye", "with": []}
"#;

#[test]
fn a_controller_stops_and_starts_a_service() {
    const NAME: &str = "a_controller_stops_and_starts_a_service";
    let controller = house::cache().join("controller");
    if !controller.join("node_modules/usp-js").exists() {
        println!("skipped: no usp-js; src/lab/setup/controller.sh brings it");
        return;
    }
    let Some(()) = namespace::enter(NAME).unwrap() else { return };
    let options =
        Options { around: Around::Topology, agent: Some(WORD.to_owned()), ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    assert!(WORD.contains(ISP_ADDRESS));
    let conf = guest.topology().unwrap().file("mosquitto.conf");
    std::fs::write(&conf, BROKER).unwrap();
    // The gateway is there first: it has to try again until there is a broker.
    facts::wait_all_up(&mut guest).unwrap();
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    let words = ["mosquitto", "-c", conf.to_str().unwrap()];
    guest.topology().unwrap().start(Side::Isp, &words).unwrap();
    let connected = |guest: &mut Guest| {
        let log = facts::log(guest, "agent")?;
        Ok(log.iter().any(|line| line.contains(": connected")).then_some(()))
    };
    guest.until("the agent at the broker", UP_LIMIT, connected).unwrap();
    let endpoint = guest.json("identity --json").unwrap()["endpoint"].as_str().unwrap().to_owned();

    let options = format!(
        r#"{{"host": "{ISP_ADDRESS}", "port": 1883, "protocol": "mqtt", "protocolVersion": 5, "fromId": "self::desk",
            "toId": "{endpoint}", "publishEndpoint": "/usp/agent", "subscribeEndpoint": "/usp/controller"}}"#
    );
    let driver = house::top().join("src/agent/tests/controller/drive.js");
    let words = ["node", driver.to_str().unwrap(), controller.to_str().unwrap(), &options];
    let mut command = guest.topology().unwrap().command(Side::Isp, &words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(LINES.replace("STATUS", STATUS).as_bytes()).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let (news, lines): (Vec<&str>, Vec<&str>) =
        said.lines().partition(|line| line.contains("\"news\"") || line.contains("\"notice\""));
    let line = |place: usize| lines.get(place).copied().unwrap_or_else(|| panic!("{said}"));
    assert_eq!(line(1), r#"{"good":"hello"}"#, "{said}");
    // Each room has answered: package what it thinks of such a source, the supervisor what is promised.
    assert_eq!(line(3), r#"{"good":"Device.LocalAgent.Request.1."}"#, "{said}");
    let change = news.iter().find(|line| line.contains("\"DUStateChange!\"")).copied().unwrap_or_default();
    assert!(change.contains(r#""CurrentState":"Failed""#) && !change.contains("interrupted"), "{said}");
    assert!(line(4).contains("AllocatedMemory") || line(4).starts_with(r#"{"good":""#), "{said}");
    assert!(line(5).starts_with(r#"{"good":""#), "{said}");
    assert!(line(7).contains("good"), "{said}");
    assert_eq!(
        (line(8), line(10), line(11)),
        (r#"{"good":"Idle"}"#, r#"{"good":"Active"}"#, r#"{"good":"0"}"#),
        "{said}"
    );
    // In order, and nothing left out: each state was told when the service came into it.
    for state in ["Stopping", "Idle", "Starting", "Active"] {
        assert!(news.iter().any(|line| line.contains(state)), "{state}: {said}");
    }
}
