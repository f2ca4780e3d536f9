//! Slices as a whole, units that no controller has asked for, and what the machine says of itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::path::Path;

use contract::control::Ask as Control;
use contract::packages::{Answer, Ask, Install};
use contract::wires::PACKAGES;
use serde_json::{Value, json};
use stage::package::Package;
use stage::{Desk, House, broker, connected, enter, until, word};
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
