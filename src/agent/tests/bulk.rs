//! Bulk data goes to collectors that we did not write (Python's `http.server` and `ssl`, mosquitto_sub), as a controller (usp-js) has asked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use serde_json::{Value, json};
use stage::{Desk, House, Program, broker, connected, disk, enter, until, word};

const PROFILE: &str = "Device.BulkData.Profile.";

/// Answers with the status in /run/status; each request is a line of JSON in /run/requests.
const COLLECTOR: &str = r#"
import http.server, json, ssl, sys
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        line = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        open("/run/requests", "a").write(json.dumps(line) + "\n")
        self.send_response(int(open("/run/status").read()))
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *words): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Collector)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

fn collector(port: &str, more: &[&str]) -> Program {
    fs::write("/run/collector.py", COLLECTOR).unwrap();
    answers(200);
    let words = [&["python3", "/run/collector.py", port], more].concat();
    let collector = Program::start("", &words, None);
    until("the collector listens", 10, || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).ok());
    collector
}

fn answers(status: u16) {
    fs::write("/run/status.new", status.to_string()).unwrap();
    fs::rename("/run/status.new", "/run/status").unwrap();
}

/// Request number `place`, from 0, once it is there.
fn request(place: usize) -> Value {
    until(&format!("request {place}"), 30, || {
        let all = fs::read_to_string("/run/requests").ok()?;
        serde_json::from_str(all.lines().nth(place)?).ok()
    })
}

/// Makes a profile with these settings, that reports what is in `references`; its path.
fn profile(desk: &mut Desk, settings: &Value, references: &[(&str, &str)]) -> String {
    let made = desk.call("add", &json!([PROFILE, settings]));
    let at = made.as_str().unwrap().to_owned();
    for (name, reference) in references {
        desk.call("add", &json!([format!("{at}Parameter."), {"Name": name, "Reference": reference}]));
    }
    at
}

fn set(desk: &mut Desk, path: &str, values: &Value) {
    desk.call("set", &json!([path, values]));
}

fn now(desk: &mut Desk, at: &str) {
    desk.call("order", &json!([format!("{at}ForceCollection()"), "", {}]));
}

/// A report that is refused is tried again, and comes along with the next.
fn are_tried_again(desk: &mut Desk, at: &str) {
    // It is refused, and tried again until it is taken.
    answers(503);
    now(desk, at);
    let (second, third) = (request(1), request(2));
    assert_eq!(second["body"], third["body"], "the same again");
    // The next one brings the one that failed along.
    now(desk, at);
    until("both", 30, || {
        let all = fs::read_to_string("/run/requests").ok()?;
        all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find_map(|one| {
            let body: Value = serde_json::from_str(one["body"].as_str()?).ok()?;
            (body["Report"].as_array()?.len() == 2).then_some(())
        })
    });
    answers(200);
    let before = fs::read_to_string("/run/requests").unwrap().lines().count();
    let last = request(before);
    assert!(last["body"].as_str().unwrap().contains("Report"));
}

/// Profiles outlive the agent; here with a password, to be PUT, as CSV.
fn outlive_the_agent(mut desk: Desk, daemon: Program, at: &str, kept: &std::path::Path) {
    set(&mut desk, &format!("{at}HTTP."), &json!({"Method": "PUT"}));
    set(&mut desk, at, &json!({"EncodingType": "CSV"}));
    set(
        &mut desk,
        &format!("{at}CSVEncoding."),
        &json!({"ReportFormat": "ParameterPerRow", "RowTimestamp": "None"}),
    );
    until("it is on the disk", 5, || fs::metadata(kept.join("bulk")).ok());
    let settled =
        || fs::read(kept.join("bulk")).is_ok_and(|bytes| bytes.windows(6).any(|piece| piece == b"sesame"));
    until("with its password, for nobody else", 5, || settled().then_some(()));
    drop(daemon);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    until("it is loaded", 10, || {
        (desk.call("get", &json!(["Device.BulkData.ProfileNumberOfEntries"])) == json!("1")).then_some(())
    });
    let count = fs::read_to_string("/run/requests").unwrap().lines().count();
    now(&mut desk, at);
    let csv = request(count);
    assert_eq!(
        (&csv["method"], &csv["headers"]["Content-Type"]),
        (&json!("PUT"), &json!("text/csv; charset=UTF-8; header=present"))
    );
    assert_eq!(
        csv["body"],
        json!(
            "ParameterName,ParameterValue,ParameterType\r\nDevice.LocalAgent.Controller.1.PeriodicNotifInterval,86400,unsignedInt\r\nUnit.1,Active,string\r\n"
        )
    );
}

// Shows R-BULK.1, R-BULK.2, R-BULK.4, R-BULK.7, R-BULK.8.
#[test]
fn reports_go_to_a_collector() {
    if !enter("reports_go_to_a_collector") {
        return;
    }
    let kept = disk();
    let (_broker, _house, daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let _collector = collector("8080", &[]);
    let references = [
        ("", "Device.LocalAgent.Controller.1.PeriodicNotifInterval"),
        ("Unit", "Device.SoftwareModules.ExecutionUnit.*.Status"),
    ];
    let settings =
        json!({"ReportingInterval": "3600", "EncodingType": "JSON", "NumberOfRetainedFailedReports": "-1"});
    let at = profile(&mut desk, &settings, &references);
    desk.call("add", &json!([format!("{at}HTTP.RequestURIParameter."), {"Name": "who", "Reference": "Device.LocalAgent.EndpointID"}]));
    let http = json!({"URL": "http://127.0.0.1:8080/in", "Username": "gw", "Password": "sesame", "RetryEnable": "true", "RetryMinimumWaitInterval": "1", "RetryIntervalMultiplier": "1000"});
    set(&mut desk, &format!("{at}HTTP."), &http);
    let why = desk.fails("order", &json!([format!("{at}ForceCollection()"), "", {}]));
    assert!(why.to_string().contains("7022"), "it is not enabled: {why}");
    set(&mut desk, &at, &json!({"Enable": "true"}));
    now(&mut desk, &at);
    let first = request(0);
    assert_eq!(first["method"], "POST");
    assert_eq!(first["path"], "/in?oui=00D09E&pc=SHG&sn=4711&who=os%3A%3A00D09E-4711");
    let headers = &first["headers"];
    assert_eq!(
        (&headers["BBF-Report-Format"], &headers["Content-Type"]),
        (&json!("\"NameValuePair\""), &json!("application/json; charset=UTF-8"))
    );
    assert_eq!(headers["Authorization"], json!("Basic Z3c6c2VzYW1l"));
    let body: Value = serde_json::from_str(first["body"].as_str().unwrap()).unwrap();
    let report = &body["Report"][0];
    assert_eq!(
        (&report["Unit.1"], &report["Device.LocalAgent.Controller.1.PeriodicNotifInterval"]),
        (&json!("Active"), &json!(86400)),
        "{body}"
    );
    assert!(
        !desk.call("get", &json!([at])).to_string().contains("sesame"),
        "the password comes back from nowhere"
    );

    are_tried_again(&mut desk, &at);

    outlive_the_agent(desk, daemon, &at, &kept);
}

/// Shows R-BULK.8a, R-ARC.11, R-ARC.12.
#[test]
fn reports_go_by_broker() {
    if !enter("reports_go_by_broker") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let references = [("P", "Device.LocalAgent.Controller.1.PeriodicNotifInterval")];
    // By the broker, to somebody who only listens. The interval itself brings the first.
    let out = stage::folder("heard");
    let subscriber = [
        "mosquitto_sub",
        "-V",
        "5",
        "-F",
        "%C\n%p",
        "-h",
        "127.0.0.1",
        "-t",
        "bulk/data",
        "-C",
        "1",
        "-W",
        "30",
    ];
    let _heard = Program::start("", &subscriber, Some(&out.join("log")));
    let at = profile(&mut desk, &json!({"Protocol": "MQTT", "ReportingInterval": "5"}), &references);
    set(
        &mut desk,
        &format!("{at}MQTT."),
        &json!({"Reference": "Device.MQTT.Client.[Name==\"controller-1\"].", "PublishTopic": "bulk/data"}),
    );
    let reference = desk.call("get", &json!([format!("{at}MQTT.Reference")]));
    assert_eq!(reference, json!("Device.MQTT.Client.1"), "it is kept by its number");
    set(&mut desk, &at, &json!({"Enable": "true"}));
    let said = until("a report at the broker", 20, || {
        fs::read_to_string(out.join("log")).ok().filter(|text| text.contains('}'))
    });
    let (kind, said) = said.split_once('\n').unwrap();
    assert_eq!(kind, "application/json; charset=UTF-8");
    assert!(serde_json::from_str::<Value>(said).unwrap()["Report"][0]["P"] == json!(86400), "{said}");
}

#[test]
fn reports_go_as_events() {
    if !enter("reports_go_as_events") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let references = [("P", "Device.LocalAgent.Controller.1.PeriodicNotifInterval")];
    let push = json!({"ID": "push", "NotifType": "Event", "ReferenceList": "Device.BulkData.Profile.*.Push!", "Enable": "true"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", push]));
    let at = profile(
        &mut desk,
        &json!({"Protocol": "USPEventNotif", "ReportingInterval": "3600", "Enable": "true"}),
        &references,
    );
    now(&mut desk, &at);
    let notice = desk.notice().to_string();
    assert!(
        notice.contains("Push!") && notice.contains("86400") && notice.contains("CollectionTime"),
        "{notice}"
    );
    // Limits: what is refused is refused when it is set.
    for (path, value) in [
        ("ReportingInterval", "4"),
        ("HTTP.URL", "ftp://x/"),
        ("HTTP.URL", "http://x/\r\nEvil: y"),
        ("EncodingType", "XML"),
        ("MQTT.PublishTopic", "a/#"),
        ("MQTT.Reference", "Device.MQTT.Client.9"),
        ("MQTT.Reference", "Device.LocalAgent.Controller.1"),
        ("TimeReference", "yesterday"),
    ] {
        desk.fails("set", &json!([format!("{at}{path}"), value]));
    }
    set(&mut desk, &at, &json!({"TimeReference": "2026-01-01T00:00:00Z"}));
    assert_eq!(desk.call("get", &json!([format!("{at}TimeReference")])), json!("2026-01-01T00:00:00Z"));
    for _ in 0..7 {
        desk.call("add", &json!([PROFILE, {}]));
    }
    assert!(desk.fails("add", &json!([PROFILE, {}])).to_string().contains("7005"));
}

// Shows R-BULK.6.
#[test]
fn a_collector_is_believed_or_not() {
    if !enter("a_collector_is_believed_or_not") {
        return;
    }
    stage::certificates();
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let _collector = collector("8443", &["/run/server.pem", "/run/server.key"]);
    let at =
        profile(&mut desk, &json!({"ReportingInterval": "3600"}), &[("", "Device.LocalAgent.EndpointID")]);
    set(&mut desk, &format!("{at}HTTP."), &json!({"URL": "https://broker.example:8443/in"}));
    set(&mut desk, &at, &json!({"Enable": "true"}));
    now(&mut desk, &at);
    // Before the clock is believed no certificate is.
    until("it says so", 10, || stage::daemon_said().contains("bulk data of profile 1").then_some(()));
    assert!(fs::read_to_string("/run/requests").is_err());
    fs::write("/run/time/synchronized", "").unwrap();
    now(&mut desk, &at);
    assert!(request(0)["body"].as_str().unwrap().contains("os::00D09E-4711"));
}
