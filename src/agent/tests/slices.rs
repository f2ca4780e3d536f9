//! Slices as a whole, units that no controller has asked for, and what the machine says of itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::path::Path;

use contract::control::Ask as Control;
use contract::packages::{Answer, Ask, Install};
use contract::wires::PACKAGES;
use serde_json::{Value, json};
use stage::house::Keeps;
use stage::package::Package;
use stage::{Desk, House, broker, connected, disk, enter, until, word};
use wire::Client;

fn get(desk: &mut Desk, path: &str) -> Value {
    desk.call("get", &json!([path]))
}

fn subscribe(desk: &mut Desk, id: &str, notif: &str, reference: &str) {
    let wish = json!({"ID": id, "NotifType": notif, "ReferenceList": reference, "Enable": "true"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
}

/// The next notice of a subscription.
fn of(desk: &mut Desk, id: &str) -> Value {
    until(&format!("news of {id}"), 15, || {
        let notice = desk.notice();
        (notice["of"] == id).then(|| notice["notice"].clone())
    })
}

/// What `ctl` does here: a bundle comes, and nobody has asked for it over USP.
fn install(source: &str) {
    let client = Client::dial_at(PACKAGES, Path::new(PACKAGES.path)).unwrap();
    let ask = Ask::Install(Install {
        source: source.into(),
        username: "".into(),
        password: "".into(),
        tag: "".into(),
        update: None,
        slice: None,
    });
    client.send(&ask, &[]).unwrap();
    until("it is installed", 10, || {
        matches!(client.receive::<Answer>(), Ok(Some((Answer::Done, _)))).then_some(())
    });
}

#[test]
fn a_slice_is_restarted_and_emptied() {
    if !enter("a_slice_is_restarted_and_emptied") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    subscribe(&mut desk, "change", "Event", "Device.SoftwareModules.DUStateChange!");
    subscribe(&mut desk, "restart", "Event", "Device.SoftwareModules.ExecEnv.*.Restarted!");
    subscribe(&mut desk, "end", "OperationComplete", "Device.SoftwareModules.");
    install("registry.example/cam:1");
    let change = of(&mut desk, "change");
    let told = |name: &str| change["params"][name].clone();
    assert_eq!((told("CurrentState"), told("OperationPerformed")), (json!("Installed"), json!("Install")));
    assert_eq!(told("DeploymentUnitRef"), json!("Device.SoftwareModules.DeploymentUnit.1"), "{change}");

    let slice = "Device.SoftwareModules.ExecEnv.1.";
    desk.call("order", &json!([format!("{slice}Restart()"), "again", {"Reason": "a new key"}]));
    let restarted = of(&mut desk, "restart");
    assert!(restarted.to_string().contains("a new key"), "{restarted}");
    let restarts = |one: &&Control| matches!(one, Control::Restart(_));
    assert_eq!(house.orders.lock().unwrap().iter().filter(restarts).count(), 2, "hello and cam");
    assert_eq!(get(&mut desk, &format!("{slice}RestartCount")), json!("1"));
    assert_eq!(get(&mut desk, &format!("{slice}RestartReason")), json!("a new key"));

    desk.call("order", &json!([format!("{slice}Reset()"), "empty", {}]));
    let change = of(&mut desk, "change");
    assert_eq!(change["params"]["CurrentState"], "Uninstalled", "{change}");
    let end = of(&mut desk, "end");
    assert!(end.to_string().contains("Reset()"), "{end}");
    assert!(package.units().is_empty());
    let drops = |one: &Ask| matches!(one, Ask::Remove { drop_data: true, .. });
    assert!(package.asks().iter().any(drops), "what it has kept goes, too: {:?}", package.asks());
    assert_eq!(get(&mut desk, "Device.LocalAgent.RequestNumberOfEntries"), json!("0"));
}

const ENVIRONMENT: &str = "Device.SoftwareModules.ExecEnv.";

/// A command that takes its time: how it ended.
fn ended(desk: &mut Desk, command: &str, key: &str, input: &Value) -> Value {
    desk.call("order", &json!([command, key, input]));
    let end = of(desk, "end");
    assert_eq!(end["commandKey"], key, "{end}");
    end
}

#[test]
fn a_slice_that_holds_something_is_given_back_by_force_only() {
    if !enter("a_slice_that_holds_something_is_given_back_by_force_only") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    subscribe(&mut desk, "change", "Event", "Device.SoftwareModules.DUStateChange!");
    subscribe(&mut desk, "end", "OperationComplete", "Device.SoftwareModules.");
    let add = "Device.SoftwareModules.ExecEnvClass.1.AddExecEnv()";
    ended(&mut desk, add, "add", &json!({"Name": "acme", "AllocatedMemory": "65536"}));
    for source in ["registry.example/acme/cam:1", "registry.example/acme/door:1", "registry.example/mill:1"] {
        install(source);
        of(&mut desk, "change");
    }
    let remove = format!("{ENVIRONMENT}2.Remove()");
    for (key, input) in [("unsaid", json!({})), ("no", json!({"Force": "false"}))] {
        let end = ended(&mut desk, &remove, key, &input).to_string();
        assert!(end.contains("7022") && end.contains("slice acme: it is taken"), "{end}");
    }
    assert_eq!(package.units().len(), 3, "nothing has gone");
    let end = ended(&mut desk, &remove, "force", &json!({"Force": "true"})).to_string();
    assert!(!end.contains("7022"), "{end}");
    let left: Vec<String> = package.units().iter().map(|unit| unit.name.to_string()).collect();
    assert_eq!(left, ["mill"], "another slice's stays");
    let rented: Vec<String> =
        house.slices.lock().unwrap().iter().map(|slice| slice.name.to_string()).collect();
    assert_eq!(rented, ["demo"]);
    let path = "Device.SoftwareModules.ExecEnvNumberOfEntries";
    assert_eq!(get(&mut desk, path), json!("1"));
}

#[test]
fn a_slice_is_made_smaller_than_what_is_in_use_by_force_only() {
    if !enter("a_slice_is_made_smaller_than_what_is_in_use_by_force_only") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    house.hello.lock().unwrap().memory_bytes = Some(100 << 20);
    let mut desk = Desk::connect(&json!({}));
    subscribe(&mut desk, "end", "OperationComplete", "Device.SoftwareModules.");
    let modify = format!("{ENVIRONMENT}1.ModifyConstraints()");
    let less = |force: &str| json!({"AllocatedMemory": "65536", "Force": force});
    let ceiling = || house.slices.lock().unwrap()[0].memory.ceiling_mib;
    let why = desk.fails("order", &json!([&modify, "no", less("false")])).to_string();
    assert!(why.contains("7022"), "{why}");
    let why = desk.fails("order", &json!([&modify, "what", less("perhaps")])).to_string();
    assert!(why.contains("7027"), "Force is true or false: {why}");
    assert_eq!(ceiling(), 128, "nothing was done");
    let end = ended(&mut desk, &modify, "force", &less("true")).to_string();
    assert!(!end.contains("7022"), "{end}");
    assert_eq!(ceiling(), 64);
    assert_eq!(get(&mut desk, &format!("{ENVIRONMENT}1.AvailableMemory")), json!("0"));
}

#[test]
fn a_slice_is_told_of_when_it_is_kept() {
    if !enter("a_slice_is_told_of_when_it_is_kept") {
        return;
    }
    disk();
    let (_broker, house, daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let lasting = json!({
        "ID": "end", "NotifType": "OperationComplete", "ReferenceList": "Device.SoftwareModules.", "Enable": "true",
        "Persistent": "true", "NotifRetry": "true",
    });
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", lasting]));
    let add = "Device.SoftwareModules.ExecEnvClass.1.AddExecEnv()";
    let input = json!({"Name": "acme", "AllocatedMemory": "65536"});
    let keeps = |keeps: Keeps| *house.keeps.lock().unwrap() = keeps;
    let asked = |count: usize| {
        let rents = |one: &&Control| matches!(one, Control::Rent(_) | Control::Release(_));
        until("the supervisor is asked", 10, || {
            (house.orders.lock().unwrap().iter().filter(rents).count() == count).then_some(())
        });
    };
    keeps(Keeps::Not("slice acme: not kept: no data disk; see ctl disk"));
    let end = ended(&mut desk, add, "no-disk", &input).to_string();
    assert!(end.contains("7022") && end.contains("not kept: no data disk"), "{end}");
    asked(1);
    // It dies of it, and then takes its time: we wait, and answer others.
    keeps(Keeps::Dies);
    desk.call("order", &json!([add, "slow", input]));
    asked(2);
    keeps(Keeps::Later);
    asked(3);
    let rows = "Device.LocalAgent.RequestNumberOfEntries";
    assert_eq!(get(&mut desk, rows), json!("1"), "it is under way");
    let why = desk.fails("order", &json!([add, "twice", input])).to_string();
    assert!(why.contains("7022"), "one of this name is under way: {why}");
    // We die of it, too; the next life asks again for the same.
    drop(desk);
    drop(daemon);
    keeps(Keeps::Good);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let end = of(&mut desk, "end");
    assert!(end["commandKey"] == "slow" && !end.to_string().contains("7022"), "{end}");
    asked(4);
    assert_eq!(get(&mut desk, rows), json!("0"));
    let remove = format!("{ENVIRONMENT}2.Remove()");
    keeps(Keeps::Dies);
    desk.call("order", &json!([remove, "gone", {}]));
    asked(5);
    // It was done before it died: so whoever asks again is refused.
    house.slices.lock().unwrap().retain(|one| one.name.as_str() != "acme");
    keeps(Keeps::Not("slice acme: nobody rents it"));
    let end = of(&mut desk, "end");
    assert!(end["commandKey"] == "gone" && !end.to_string().contains("7022"), "{end}");
}

#[test]
fn the_machine_says_what_it_is() {
    if !enter("the_machine_says_what_it_is") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let image = "Device.DeviceInfo.FirmwareImage.1.";
    assert_eq!(get(&mut desk, "Device.DeviceInfo.ActiveFirmwareImage"), json!(image.trim_end_matches('.')));
    assert_eq!(get(&mut desk, &format!("{image}Status")), json!("Active"));
    for (command, input) in
        [("Download()", json!({"URL": "https://isp.example/image"})), ("Activate()", json!({}))]
    {
        let why = desk.fails("order", &json!([format!("{image}{command}"), "no", input])).to_string();
        assert!(why.contains("7022") && why.contains("one firmware image"), "{command}: {why}");
    }
    let process = get(&mut desk, "Device.DeviceInfo.ProcessStatus.Process.1.");
    assert_eq!((&process["Command"], &process["PID"]), (&json!("hello"), &json!("77")), "{process}");
    assert_eq!(get(&mut desk, "Device.Users.UserNumberOfEntries"), json!("0"));
}
