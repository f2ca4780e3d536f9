//! A controller that we did not write installs, updates, stops and removes a service: from a registry on the WAN side, onto the USB stick,
//! over a power cut.
//!
//! In:  the test root with an operator's word and keys, mosquitto, docker-registry, usp-js. Out: passed, failed, or `skipped: ` and why.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest_modules/renting.rs"]
mod renting;

use lab::controller::Controller;
use lab::error::Error;
use lab::guest::{BOOT_LIMIT, Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::operator::{DESK, Operator, PROVIDER, Release};
use lab::{facts, house, tool, wait};
use serde_json::{Value, json};

const INSTALL: &str = "Device.SoftwareModules.InstallDU()";
const DU: &str = "Device.SoftwareModules.DeploymentUnit.";
const EU: &str = "Device.SoftwareModules.ExecutionUnit.";
const ENVIRONMENT: &str = "Device.SoftwareModules.ExecEnv.";
/// RFC 4122, version 5, as an operator makes it of a name.
const UUID: &str = "7d2f5c0e-8a3b-5d41-9f6a-2b7c1e4d9a80";
/// Rules of `shg conform modules`.
const RULES: usize = 36;
/// The service: what the image has under another name, at a port of its own.
const NAME: &str = "greeter";

/// Its manifest.
fn manifest() -> String {
    let hello = include_str!("../../src/services/hello/manifest.toml");
    hello.replace("name = \"hello\"", &format!("name = \"{NAME}\"")).replace("at = 80", "at = 8090")
}

/// The row of a table below `path` where `key` is `value`.
fn row(controller: &mut Controller, path: &str, key: &str, value: &str) -> Option<String> {
    let rows = controller.call("instances", &json!([path, true])).unwrap().ok()?.to_string();
    let numbers = rows.split(path).filter_map(|rest| rest.split(['.', '"']).next()?.parse::<u32>().ok());
    let paths = numbers.map(|number| format!("{path}{number}."));
    let mut is = |path: &String| {
        let has = controller.call("get", &json!([format!("{path}{key}")])).unwrap();
        has.is_ok_and(|has| has == value)
    };
    paths.into_iter().find(|path| is(path))
}

/// The ends of commands, and the changes of units.
fn hear(controller: &mut Controller) {
    for (id, notif, reference) in [
        ("end", "OperationComplete", "Device.SoftwareModules."),
        ("change", "Event", "Device.SoftwareModules.DUStateChange!"),
    ] {
        let wish = json!({
            "ID": id, "NotifType": notif, "ReferenceList": reference, "Enable": "true", "Persistent": "true",
            "NotifRetry": "true",
        });
        controller.good("add", &json!(["Device.LocalAgent.Subscription.", wish])).unwrap();
    }
}

/// Gives a command, and waits for its end and for a change of a unit that has these words in it.
fn does(controller: &mut Controller, path: &str, key: &str, input: &Value, change: &[&str]) {
    controller.good("order", &json!([path, key, input])).unwrap();
    controller.told("end", &[key], UP_LIMIT).unwrap();
    controller.told("change", change, UP_LIMIT).unwrap();
}

fn get(controller: &mut Controller, path: &str) -> Value {
    controller.good("get", &json!([path])).unwrap()
}

fn state(guest: &mut Guest) -> Option<String> {
    facts::process(guest, NAME).ok().map(|process| process.state)
}

fn up(guest: &mut Guest) {
    let is_up = |guest: &mut Guest| Ok((state(guest).as_deref() == Some("up")).then_some(()));
    let told = guest.until("it runs", UP_LIMIT, is_up);
    assert!(told.is_ok(), "{:?}\n{}", facts::log(guest, "supervisor"), guest.last_lines());
}

fn connected(guest: &mut Guest) {
    let told = guest.until("the agent at the broker", UP_LIMIT, |guest| {
        let log = facts::log(guest, "agent")?;
        Ok(log.iter().any(|line| line.contains(": connected")).then_some(()))
    });
    assert!(told.is_ok(), "{:?}\n{}", facts::log(guest, "agent"), guest.last_lines());
}

const GREETING: &str = "Good morning to you";

/// The page of `hello` says what it was told.
fn greeted(guest: &Guest) -> Option<()> {
    let url = guest.page().unwrap();
    let words = ["-sS", "--fail", "--noproxy", "*", "--max-time", "10", &url];
    let output = tool::run("curl", &words).ok()?;
    String::from_utf8_lossy(&output.stdout).contains(GREETING).then_some(())
}

/// By its socket a service is told its configuration, and says an event and a metric (docs/tenant.md).
fn speaks(controller: &mut Controller, guest: &mut Guest) {
    let hello = row(controller, EU, "Name", "hello").unwrap();
    let at = format!("{hello}X_SHG_Service.");
    let wish = json!({
        "ID": "visit", "NotifType": "Event", "ReferenceList": format!("{at}Event!"), "Enable": "true",
    });
    controller.good("add", &json!(["Device.LocalAgent.Subscription.", wish])).unwrap();
    let greeting = json!({"Name": "greeting", "Value": GREETING});
    controller.good("add", &json!([format!("{at}Configuration."), greeting])).unwrap();
    guest.until("it greets", UP_LIMIT, |guest| Ok(greeted(guest))).unwrap();
    controller.told("visit", &["visit", "Data.number"], UP_LIMIT).unwrap();
    assert_eq!(get(controller, &format!("{at}Health")), "Good");
    let visits = get(controller, &format!("{at}Metric.[Name==\"visits\"].Value"));
    let visits: u32 = visits[0].as_str().unwrap().parse().unwrap();
    assert!(visits > 0, "{visits}");
}

/// What a service writes is read from a desk: as on the gateway itself.
fn writes(operator: &Operator, guest: &mut Guest) {
    let said = operator.desk().logs(NAME, 1_000).unwrap();
    let there = facts::log(guest, NAME).unwrap();
    assert!(said.contains("serving on port") && there.iter().eq(said.lines()), "{said:?} {there:?}");
    let why = operator.desk().logs("nobody", 1).unwrap_err().to_string();
    assert!(why.contains("service nobody: not there"), "{why}");
}

/// What is missing is said; everything else is a failure.
fn here<T>(made: Result<T, Error>) -> Option<T> {
    match made {
        Err(why @ Error::Missing { .. }) => {
            println!("skipped: {why}");
            None
        }
        other => Some(other.unwrap()),
    }
}

/// A gateway of this operator's that is at his broker, and its endpoint id.
fn boot(operator: &Operator) -> Option<(Guest, String)> {
    let files = operator.texts(DESK).unwrap();
    let files = files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    let mut guest = Guest::boot(&Options { files, ..Options::usual().unwrap() }).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    connected(&mut guest);
    let endpoint = guest.json("identity --json").unwrap()["endpoint"].as_str().unwrap().to_owned();
    Some((guest, endpoint))
}

/// The suite that any agent can be held against, on the gateway itself; it leaves nothing behind.
fn conforms(operator: &Operator, guest: &mut Guest, [first, second]: [&str; 2]) {
    let rules = operator.desk().conforms(first, second).unwrap();
    println!("{rules}");
    let kept = rules.lines().filter(|line| line.starts_with("kept ")).count();
    assert!(kept >= RULES && kept == rules.lines().count(), "{rules}");
    let packages = guest.json("packages --json").unwrap();
    assert!(!packages.to_string().contains(NAME), "{packages}");
}

/// Shows R-SMM.0.
#[test]
fn modules_come_run_and_go() {
    let scratch = Scratch::new().unwrap();
    let Some(operator) = here(Operator::start(&scratch.file("operator"))) else { return };
    let (manifest, program) = (manifest(), house::firmware().join("hello"));
    let [first, second] = [1, 2].map(|version| {
        let release =
            Release { provider: PROVIDER, name: NAME, version, manifest: &manifest, program: &program };
        operator.publish(release, DESK).unwrap()
    });
    let Some((mut guest, endpoint)) = boot(&operator) else { return };
    let Some(mut controller) = here(Controller::start(operator.broker_port(), &endpoint)) else { return };
    hear(&mut controller);
    let slice = row(&mut controller, ENVIRONMENT, "Name", "demo").expect("the slice of the provider");

    // It comes, and runs.
    let input = json!({"URL": first, "UUID": UUID, "ExecutionEnvRef": slice});
    does(&mut controller, INSTALL, "first", &input, &["Installed", "Install", UUID]);
    let du = row(&mut controller, DU, "UUID", UUID).expect("a deployment unit");
    assert_eq!(get(&mut controller, &format!("{du}Status")), "Installed");
    assert_eq!(get(&mut controller, &format!("{du}Version")), "1");
    up(&mut guest);
    let eu = row(&mut controller, EU, "Name", NAME).expect("an execution unit");
    assert_eq!(get(&mut controller, &format!("{eu}Status")), "Active");
    let layers = guest.door(&format!("verify {NAME}")).unwrap();
    assert!(!layers.contains("MISSING") && layers.lines().count() > 20, "{layers}");
    // The same again is refused.
    let again = controller.call("order", &json!([INSTALL, "again", input])).unwrap();
    let why = match again {
        Ok(_) => controller.told("change", &["Failed", "Install"], UP_LIMIT).unwrap(),
        Err(why) => why,
    };
    assert!(why.to_string().contains("7226"), "a duplicate: {why}");

    speaks(&mut controller, &mut guest);

    // Another version takes its place, and an older one does not.
    let update = format!("{du}Update()");
    does(&mut controller, &update, "second", &json!({"URL": second}), &["Update", UUID, "\"2\""]);
    assert_eq!(get(&mut controller, &format!("{du}Version")), "2");
    does(&mut controller, &update, "third", &json!({"URL": first}), &["Update", UUID, "Failed"]);
    assert_eq!(get(&mut controller, &format!("{du}Version")), "2");
    up(&mut guest);
    // usp-js loses its way over answers to another who uses its name, too.
    drop(controller);
    writes(&operator, &mut guest);

    // The power goes; it is there again.
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    connected(&mut guest);
    // What the one before has subscribed to is kept.
    let Some(mut controller) = here(Controller::start(operator.broker_port(), &endpoint)) else { return };
    up(&mut guest);
    let du = wait::until("the deployment unit is still there", UP_LIMIT, || {
        Ok(row(&mut controller, DU, "UUID", UUID))
    });
    let du = du.unwrap();
    assert_eq!(get(&mut controller, &format!("{du}Version")), "2");
    guest.until("it is greeted as before", UP_LIMIT, |guest| Ok(greeted(guest))).unwrap();

    // It goes.
    does(&mut controller, &format!("{du}Uninstall()"), "fourth", &json!({}), &["Uninstall", UUID]);
    assert_eq!(row(&mut controller, DU, "UUID", UUID), None);
    assert_eq!(state(&mut guest), None, "nobody knows it any more");
    let packages = guest.json("packages --json").unwrap();
    assert!(!packages.to_string().contains(NAME), "{packages}");
    drop(controller);
    conforms(&operator, &mut guest, [&first, &second]);
}
