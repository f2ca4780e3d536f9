//! What a service uses of the gateway, and how it is started again when it ends by itself: read, ordered, and said where it cannot be ordered.
//!
//! In:  a controller of the test's own; a supervisor, a `package` and a network that a test plays. Out: what the tree says, what they are told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use agent::world::date;
use contract::packages::Ask;
use stage::house::name;
use stage::local::{Local, begin, word};
use stage::net::Net;
use stage::package::Package;
use stage::{House, daemon, disk, enter, until};

const DESK: &str = "self::desk";
const HELLO: &str = "Device.SoftwareModules.ExecutionUnit.1.";
const CAM: &str = "Device.SoftwareModules.ExecutionUnit.2.";
const INSTALL: &str = "Device.SoftwareModules.InstallDU()";

fn get(local: &mut Local, path: &str) -> String {
    let answer = local.get(&[path]);
    answer.split_once('=').map(|(_, value)| value.trim_end_matches('}').to_owned()).unwrap_or(answer)
}

/// Each path says this, or will in a moment.
fn says(local: &mut Local, table: &[(&str, &str)]) {
    for (path, want) in table {
        let what = format!("{path}: {want}, not {}", get(local, path));
        until(&what, 10, || (get(local, path) == *want).then_some(()));
    }
}

/// A bundle comes: the change that is told of it.
fn install(local: &mut Local, source: &str, more: &str) -> String {
    let line = format!("{INSTALL} URL=https://registry.example/{source}{more}");
    assert!(local.operate(&line).contains("Request."), "{line}");
    local.hear("change")
}

fn hear_changes(local: &mut Local) {
    let line = "Device.LocalAgent.Subscription. ID=change NotifType=Event Enable=true \
        ReferenceList=Device.SoftwareModules.DUStateChange!";
    assert!(local.add(false, &[line]).contains("change"));
}

/// What was ordered of services that end by themselves.
fn orders(package: &Package) -> Vec<(String, bool)> {
    let one = |ask: Ask| {
        if let Ask::Restarts { service, restarts } = ask {
            Some((service.to_string(), restarts))
        } else {
            None
        }
    };
    package.asks().into_iter().filter_map(one).collect()
}

#[test]
fn a_volume_and_a_port_stand_in_the_tree() {
    if !enter("a_volume_and_a_port_stand_in_the_tree") {
        return;
    }
    // A folder that tells of its own account, as ext4 does for a project.
    let data = disk().ancestors().nth(2).unwrap().to_path_buf();
    let folder = data.join("services/cam.demo");
    fs::create_dir_all(&folder).unwrap();
    stage::run(&["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder.to_str().unwrap()]);
    let (house, _net) = (House::begin(), Net::begin());
    let _package = Package::begin(&house);
    let _daemon = daemon(&word(&[(DESK, "full")]));
    let mut local = Local::connect(DESK);
    hear_changes(&mut local);
    assert!(install(&mut local, "cam:1", "").contains("CurrentState=Installed"));
    let data = "Device.SoftwareModules.ExecEnv.1.ApplicationData.1.";
    let uuid = get(&mut local, "Device.SoftwareModules.DeploymentUnit.1.UUID");
    says(
        &mut local,
        &[
            ("Device.SoftwareModules.ExecEnv.1.ApplicationDataNumberOfEntries", "1"),
            (&format!("{data}Name"), "volume"),
            (&format!("{data}ApplicationUUID"), &uuid),
            (&format!("{data}Capacity"), "3"),
            (&format!("{data}Utilization"), "0"),
            (&format!("{data}Encrypted"), "false"),
            (&format!("{data}Retain"), "Forever"),
            (&format!("{data}AccessPath"), "/data"),
            (&format!("{CAM}ApplicationDataList"), data.trim_end_matches('.')),
            (&format!("{CAM}AllocatedDiskSpace"), "3072"),
            (&format!("{CAM}DiskSpaceInUse"), "0"),
            (&format!("{HELLO}ApplicationDataList"), ""),
            (&format!("{HELLO}AllocatedDiskSpace"), "-1"),
            (&format!("{HELLO}DiskSpaceInUse"), "-1"),
            (&format!("{CAM}CreationTime"), "2025-11-25T19:59:59Z"),
            (&format!("{HELLO}CreationTime"), "0001-01-01T00:00:00Z"),
            (&format!("{CAM}ShutdownDelay"), "3"),
            (&format!("{CAM}EnvVariableNumberOfEntries"), "2"),
            (&format!("{CAM}EnvVariable.[Key==\"MODE\"].Value"), "day"),
            (&format!("{CAM}EnvVariable.2.Value"), "a=b"),
            (&format!("{HELLO}EnvVariableNumberOfEntries"), "0"),
        ],
    );
    fs::write(folder.join("film"), vec![0; 1_500_000]).unwrap();
    // 367 blocks of 4096 bytes.
    says(&mut local, &[(&format!("{CAM}DiskSpaceInUse"), "1468"), (&format!("{data}Utilization"), "2")]);
    a_port_leads_to_it(&mut local, &house);
    // It goes with its unit.
    local.operate("Device.SoftwareModules.DeploymentUnit.1.Uninstall()");
    assert!(local.hear("change").contains("CurrentState=Uninstalled"));
    says(
        &mut local,
        &[
            ("Device.SoftwareModules.ExecEnv.1.ApplicationDataNumberOfEntries", "0"),
            ("Device.NAT.PortMappingNumberOfEntries", "0"),
        ],
    );
}

#[test]
fn what_a_unit_leaves_is_there_until_it_is_removed() {
    let desk = word(&[(DESK, "full")]);
    let Some((house, first)) = begin("what_a_unit_leaves_is_there_until_it_is_removed", &desk) else {
        return;
    };
    let package = Package::begin(&house);
    let mut local = Local::connect(DESK);
    hear_changes(&mut local);
    let table = "Device.SoftwareModules.ExecEnv.1.ApplicationData.";
    let line = format!(
        "Device.LocalAgent.Subscription. ID=gone NotifType=ObjectDeletion Enable=true ReferenceList={table}"
    );
    assert!(local.add(false, &[&line]).contains("gone"));
    for source in ["hello2:1", "cam:1"] {
        assert!(install(&mut local, source, "").contains("CurrentState=Installed"), "{source}");
    }
    let uuid = get(&mut local, "Device.SoftwareModules.DeploymentUnit.2.UUID");
    let refused = local.operate(&format!("{table}2.Remove()"));
    assert!(refused.contains("!7022"), "a unit has it: {refused}");
    let leave = |local: &mut Local, unit: u32, retain: bool| {
        local.operate(&format!(
            "Device.SoftwareModules.DeploymentUnit.{unit}.Uninstall() RetainData={retain}"
        ));
        assert!(local.hear("change").contains("CurrentState=Uninstalled"));
    };
    leave(&mut local, 2, true);
    let left = [
        ("Device.SoftwareModules.DeploymentUnitNumberOfEntries", "1"),
        ("Device.SoftwareModules.ExecEnv.1.ApplicationDataNumberOfEntries", "2"),
        (&format!("{table}2.Name"), "volume"),
        (&format!("{table}2.ApplicationUUID"), &uuid),
        (&format!("{table}2.Capacity"), "3"),
        (&format!("{table}2.Retain"), "Forever"),
        (&format!("{table}2.AccessPath"), "/data"),
    ];
    says(&mut local, &left);
    // It is in its row in the next life, too; and when its unit comes again, and goes again.
    drop((local, first));
    let _daemon = daemon(&desk);
    let mut local = Local::connect(DESK);
    until("it is there again", 10, || (get(&mut local, left[1].0) == "2").then_some(()));
    says(&mut local, &left);
    hear_changes(&mut local);
    assert!(local.add(false, &[&line]).contains("gone"));
    assert!(install(&mut local, "cam:1", "").contains("CurrentState=Installed"));
    let unit = "Device.SoftwareModules.ExecutionUnit.3.";
    says(&mut local, &[(&format!("{unit}ApplicationDataList"), &format!("{table}2"))]);
    leave(&mut local, 2, true);
    says(&mut local, &left);
    assert!(local.news.iter().all(|(_, one)| one.subscription_id != "gone"), "{:?}", local.news);

    let done = local.operate(&format!("{table}2.Remove()"));
    assert!(!done.contains('!'), "{done}");
    says(&mut local, &[(left[1].0, "1")]);
    assert_eq!(local.hear("gone"), format!("gone {table}2."));
    assert!(package.kept().is_empty() && package.asks().iter().any(|ask| matches!(ask, Ask::Drop { .. })));
    let again = local.operate(&format!("{table}2.Remove()"));
    assert!(again.contains("70") && again != done, "it is gone: {again}");
    // What goes with its unit leaves nothing.
    leave(&mut local, 1, false);
    says(&mut local, &[(left[1].0, "0")]);
    assert_eq!(local.hear("gone"), format!("gone {table}1."));
}

fn a_port_leads_to_it(local: &mut Local, house: &House) {
    let row = "Device.NAT.PortMapping.1.";
    says(
        local,
        &[
            (&format!("{CAM}NetworkConfig.PortMappingRefList"), row.trim_end_matches('.')),
            (&format!("{CAM}NetworkConfig.AccessInterfaceRefList"), "Device.IP.Interface.1"),
            (&format!("{HELLO}NetworkConfig.PortMappingRefList"), ""),
            (&format!("{row}InternalClient"), ""),
        ],
    );
    house.more.lock().unwrap()[0].address = Some([10, 64, 0, 2].into());
    says(
        local,
        &[
            (&format!("{row}InternalClient"), "10.64.0.2"),
            (&format!("{row}ExternalPort"), "8443"),
            (&format!("{row}InternalPort"), "443"),
            (&format!("{row}Protocol"), "TCP"),
            (&format!("{row}Interface"), "Device.IP.Interface.1"),
            (&format!("{row}Origin"), "System"),
            (&format!("{row}Status"), "Enabled"),
            (&format!("{row}Description"), "leads to the service cam"),
        ],
    );
    // The manifest says it, and nobody else.
    assert!(local.set(true, &[&format!("{row} ExternalPort*=80")]).contains("7013"));
    assert!(!local.delete(false, &[row]).starts_with('{'));
    house.more.lock().unwrap()[0].state = contract::control::State::Failed;
    says(local, &[(&format!("{row}Status"), "Disabled"), (&format!("{row}ExternalPort"), "8443")]);
}

#[test]
fn whether_it_is_started_again_is_ordered() {
    let Some((house, _daemon)) = begin("whether_it_is_started_again_is_ordered", &word(&[(DESK, "full")]))
    else {
        return;
    };
    fs::write("/run/time/synchronized", "").unwrap();
    let package = Package::begin(&house);
    let mut local = Local::connect(DESK);
    hear_changes(&mut local);
    assert!(install(&mut local, "cam:1", "").contains("CurrentState=Installed"));
    assert!(orders(&package).is_empty(), "its manifest says it");
    let at = format!("{CAM}AutoRestart.");
    says(
        &mut local,
        &[
            (&format!("{at}Enable"), "true"),
            (&format!("{at}RetryMinimumWaitInterval"), "1"),
            (&format!("{at}RetryMaximumWaitInterval"), "60"),
            (&format!("{at}RetryIntervalMultiplier"), "2000"),
            (&format!("{at}MaximumRetryCount"), "9"),
            (&format!("{at}ResetPeriod"), "60"),
            (&format!("{at}RetryCount"), "0"),
            (&format!("{at}LastRestarted"), "0001-01-01T00:00:00Z"),
            (&format!("{at}NextRestart"), "9999-12-31T23:59:59Z"),
        ],
    );
    assert_eq!(local.set(false, &[&format!("{at} Enable*=false")]), format!("{at}{{Enable=false}}"));
    assert_eq!(orders(&package), [("cam".to_owned(), false)]);
    says(&mut local, &[(&format!("{at}Enable"), "false")]);
    for (line, code) in [
        (format!("{HELLO}AutoRestart. Enable*=false"), "7013"),
        (format!("{at} Enable*=perhaps"), "7011"),
        (format!("{at} MaximumRetryCount*=3"), "7013"),
    ] {
        assert!(local.set(true, &[&line]).contains(code), "{line}");
    }
    assert_eq!(orders(&package).len(), 1);
    // When it was, and when it will be.
    let now_ms = sys::clock::boot_ms();
    {
        let mut more = house.more.lock().unwrap();
        (more[0].restarts, more[0].restarted_ms) = (4, Some(now_ms.saturating_sub(1_000)));
        more[0].next_ms = Some(now_ms + 3_600_000);
    }
    says(&mut local, &[(&format!("{at}RetryCount"), "4")]);
    let now_s = sys::wall::now_ns().unwrap() / 1_000_000_000;
    for (path, about_s) in [("LastRestarted", now_s - 1), ("NextRestart", now_s + 3_600)] {
        let said = get(&mut local, &format!("{at}{path}"));
        assert!((-15..=3).any(|off| date(Some(about_s + off)) == said), "{path}: {said}, at {now_s}");
    }
}

#[test]
fn an_install_says_it_too_and_what_is_said_elsewhere_is_refused() {
    let Some((house, _daemon)) =
        begin("an_install_says_it_too_and_what_is_said_elsewhere_is_refused", &word(&[(DESK, "full")]))
    else {
        return;
    };
    let package = Package::begin(&house);
    let mut local = Local::connect(DESK);
    hear_changes(&mut local);
    for more in [
        " AutoRestart.RetryMinimumWaitInterval=5",
        " AutoRestart.Enable=true AutoRestart.MaximumRetryCount=3",
        " ApplicationData.2.Capacity=5",
        " EnvVariable.1.Key=A",
        " HostObject.1.Source=/dev/ttyUSB0",
        " ModuleVersion=2",
        " NetworkConfig.PortMapping.1.ExternalPort=80",
        " Privileged=true",
        " RegisterTrustPaths=Device.",
        " Resources.AllocatedMemory=9",
        " ShutdownDelay=10",
        " Signature=x",
    ] {
        let change = install(&mut local, "cam:1", more);
        let word = more.trim_start().split(['.', '=']).next().unwrap();
        assert!(
            change.contains("FaultCode=7004") && change.contains(&format!("FaultString={word}: ")),
            "{more}: {change}"
        );
    }
    assert!(package.units().is_empty() && orders(&package).is_empty(), "nothing of it was done");
    assert!(
        local.operate(&format!("{INSTALL} URL=https://r.example/x:1 AutoRestart.Enable=2")).contains("!7027")
    );
    // What is so anyhow may be said.
    let so = " AutoRestart.Enable=false AutoRestart.RetryMinimumWaitInterval=1 AutoRestart.RetryIntervalMultiplier=2000 \
        Privileged=false NumRequiredUIDs=1 Colour=red Resources.AllocatedMemory=";
    assert!(install(&mut local, "cam:1", so).contains("CurrentState=Installed"));
    until("it is ordered", 5, || (orders(&package) == [("cam".to_owned(), false)]).then_some(()));
    says(&mut local, &[(&format!("{CAM}AutoRestart.Enable"), "false")]);
    assert!(house.more.lock().unwrap()[0].name == name("cam"));
    // An update is told so, too; and leaves what was ordered.
    let update = "Device.SoftwareModules.DeploymentUnit.1.Update() URL=https://registry.example/cam:2";
    local.operate(&format!("{update} Resources.AllocatedMemory=9"));
    let change = local.hear("change");
    assert!(change.contains("FaultCode=7004") && change.contains("Resources"), "{change}");
    local.operate(update);
    assert!(local.hear("change").contains("OperationPerformed=Update"));
    assert_eq!(orders(&package).len(), 1);
}
