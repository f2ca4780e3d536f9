//! Run levels, slices that are off, roles that nobody has; and what a controller hears at the beginning: OnBoardRequest, `Boot!`.
//!
//! In:  a controller of the test's own, a supervisor and a `package` that a test plays. Out: what they are told, what the tree says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use contract::control::{Ask as Control, State};
use contract::packages::Ask;
use stage::house::name;
use stage::local::{Local, begin, word};
use stage::package::Package;
use stage::{House, daemon, disk, enter, until};

const DESK: &str = "self::desk";
const SLICE: &str = "Device.SoftwareModules.ExecEnv.1.";
const CAM: &str = "Device.SoftwareModules.ExecutionUnit.2.";

fn get(local: &mut Local, path: &str) -> String {
    let answer = local.get(&[path]);
    answer.split_once('=').map(|(_, value)| value.trim_end_matches('}').to_owned()).unwrap_or(answer)
}

fn hear(local: &mut Local, id: &str, kind: &str, reference: &str) {
    let line = format!(
        "Device.LocalAgent.Subscription. ID={id} NotifType={kind} ReferenceList={reference} Enable=true Persistent=true NotifRetry=true"
    );
    assert!(local.add(false, &[&line]).contains(id));
}

/// A bundle comes: the change that is told of it.
fn install(local: &mut Local, source: &str, more: &str) -> String {
    let line = format!("Device.SoftwareModules.InstallDU() URL=https://registry.example/{source}{more}");
    assert!(local.operate(&line).contains("Request."), "{line}");
    local.hear("change")
}

fn autostarts(package: &Package) -> Vec<(String, bool)> {
    let one = |ask: Ask| match ask {
        Ask::Autostart { service, starts } => Some((service.to_string(), starts)),
        Ask::List
        | Ask::Follow
        | Ask::Install(_)
        | Ask::Remove { .. }
        | Ask::Await(_)
        | Ask::Cancel(_)
        | Ask::Restarts { .. }
        | Ask::Keyring
        | Ask::Drop { .. } => None,
    };
    package.asks().into_iter().filter_map(one).collect()
}

/// What the supervisor was last told to do.
fn last(house: &House) -> Option<Control> {
    house.orders.lock().unwrap().last().cloned()
}

#[test]
fn a_level_says_who_starts() {
    if !enter("a_level_says_who_starts") {
        return;
    }
    disk();
    let house = House::begin();
    let package = Package::begin(&house);
    let first = daemon(&word(&[(DESK, "full")]));
    let mut local = Local::connect(DESK);
    hear(&mut local, "change", "Event", "Device.SoftwareModules.DUStateChange!");
    assert!(install(&mut local, "cam:1", "").contains("CurrentState=Installed"));
    // What is above the level after a boot does not start then; its own word stays.
    local.set(false, &[&format!("{CAM} RunLevel*=5")]);
    assert_eq!(autostarts(&package), [("cam".to_owned(), false)]);
    assert_eq!(get(&mut local, &format!("{CAM}AutoStart")), "true");
    local.set(false, &[&format!("{SLICE} InitialRunLevel*=5")]);
    assert_eq!(autostarts(&package).last(), Some(&("cam".to_owned(), true)));
    // A level is raised and lowered: who is on it starts, who is above it stops.
    let level = |local: &mut Local, number: u32| {
        let done = local.operate(&format!("{SLICE}SetRunLevel() RequestedRunLevel={number}"));
        assert_eq!(done, format!("{SLICE}SetRunLevel(){{}}"));
        assert_eq!(get(local, &format!("{SLICE}CurrentRunLevel")), number.to_string());
    };
    level(&mut local, 4);
    assert_eq!(last(&house), Some(Control::Stop(name("cam"))));
    house.more.lock().unwrap()[0].state = State::Down;
    until("it is down", 5, || (get(&mut local, &format!("{CAM}Status")) == "Idle").then_some(()));
    level(&mut local, 5);
    assert_eq!(last(&house), Some(Control::Start(name("cam"))));
    house.more.lock().unwrap()[0].state = State::Up;
    // Who comes gets the level of those who come.
    local.set(false, &[&format!("{SLICE} InitialExecutionUnitRunLevel*=9")]);
    assert!(install(&mut local, "vod:1", "").contains("CurrentState=Installed"));
    assert_eq!(get(&mut local, "Device.SoftwareModules.ExecutionUnit.3.RunLevel"), "9");
    assert_eq!(autostarts(&package).last(), Some(&("vod".to_owned(), false)));
    assert_eq!(last(&house), Some(Control::Stop(name("vod"))));
    for (line, want) in [
        ("Device.SoftwareModules.ExecutionUnit.1. RunLevel*=1".to_owned(), "7013"),
        (format!("{CAM} RunLevel*=65536"), "7012"),
    ] {
        assert!(local.set(true, &[&line]).contains(want), "{line}");
    }
    let refused = local.operate(&format!("{SLICE}SetRunLevel() RequestedRunLevel=-1"));
    assert!(refused.contains("!7027"), "{refused}");
    // It outlives the agent.
    until("it is kept", 5, || (get(&mut local, &format!("{CAM}RunLevel")) == "5").then_some(()));
    drop(first);
    let _second = daemon(&word(&[(DESK, "full")]));
    let mut local = Local::connect(DESK);
    until("it is there again", 10, || (get(&mut local, &format!("{CAM}RunLevel")) == "5").then_some(()));
    assert_eq!(get(&mut local, &format!("{SLICE}CurrentRunLevel")), "5", "the machine was not started anew");
}

#[test]
fn a_slice_that_is_off_does_nothing() {
    let Some((house, _daemon)) = begin("a_slice_that_is_off_does_nothing", &word(&[(DESK, "full")])) else {
        return;
    };
    let package = Package::begin(&house);
    let mut local = Local::connect(DESK);
    hear(&mut local, "change", "Event", "Device.SoftwareModules.DUStateChange!");
    assert!(install(&mut local, "cam:1", "").contains("CurrentState=Installed"));
    local.set(false, &[&format!("{SLICE} Enable*=false")]);
    assert_eq!(get(&mut local, &format!("{SLICE}Status")), "Disabled");
    assert_eq!(last(&house), Some(Control::Stop(name("cam"))));
    assert_eq!(autostarts(&package), [("cam".to_owned(), false)], "nor after a boot");
    for command in [format!("{CAM}SetRequestedState() RequestedState=Active"), format!("{SLICE}Restart()")] {
        assert!(local.operate(&command).contains("!7022"), "{command}");
    }
    let unit = "Device.SoftwareModules.DeploymentUnit.1.";
    for command in
        [format!("{unit}Update() URL=https://registry.example/cam:2"), format!("{unit}Uninstall()")]
    {
        local.operate(&command);
        let change = local.hear("change");
        assert!(change.contains("FaultCode=7230") && change.contains("CurrentState=Failed"), "{change}");
    }
    house.more.lock().unwrap()[0].state = State::Down;
    until("it is down", 5, || (get(&mut local, &format!("{CAM}Status")) == "Idle").then_some(()));
    local.set(false, &[&format!("{SLICE} Enable*=true")]);
    assert_eq!(last(&house), Some(Control::Start(name("cam"))));
    // Nobody has a role here: who needs one is refused, who would like one is not.
    for (more, code) in [(" RequiredRoles=full", 7032), (" RequiredUserRoles=admin", 7037)] {
        let change = install(&mut local, "vod:1", more);
        assert!(change.contains(&format!("FaultCode={code}")), "{more}: {change}");
    }
    assert!(
        install(&mut local, "vod:1", " OptionalRoles=full RequiredRoles=").contains("CurrentState=Installed")
    );
    // An update keeps what was kept, and says so to who wants it otherwise.
    local.operate(&format!("{unit}Update() URL=https://registry.example/cam:2 RetainData=false"));
    let change = local.hear("change");
    assert!(change.contains("FaultCode=7004") && change.contains("RetainData"), "{change}");
    local.operate(&format!("{unit}Update() URL=https://registry.example/cam:2 RetainData=true"));
    assert!(local.hear("change").contains("OperationPerformed=Update"));
}

/// Shows R-NOT.5, R-NOT.6, R-NOT.7.
#[test]
fn a_controller_is_asked_to_take_us_on_board() {
    let Some((_house, _daemon)) =
        begin("a_controller_is_asked_to_take_us_on_board", &word(&[(DESK, "full")]))
    else {
        return;
    };
    let mut local = Local::connect(DESK);
    let at = "Device.LocalAgent.Controller.1.";
    assert_eq!(get(&mut local, &format!("{at}OnBoardingComplete")), "true", "the operator's file knows it");
    assert!(local.news.is_empty());
    assert_eq!(local.operate(&format!("{at}SendOnBoardRequest()")), format!("{at}SendOnBoardRequest(){{}}"));
    assert_eq!(local.hear(""), "on board 00D09E 4711 1.3,1.4", "nobody has subscribed to it");
    assert_eq!(get(&mut local, &format!("{at}OnBoardingComplete")), "false");
    // It was answered: it comes again when the controller says after how long, until it is done.
    local.set(false, &[&format!("{at} OnBoardingRestartTime=1")]);
    assert_eq!(local.hear(""), "on board 00D09E 4711 1.3,1.4");
    local.set(false, &[&format!("{at} OnBoardingComplete=true")]);
    local.set(false, &[&format!("{at} OnBoardingComplete=false OnBoardingRestartTime=0")]);
    assert_eq!(local.hear(""), "on board 00D09E 4711 1.3,1.4", "it is not done again");
}

#[test]
fn a_boot_tells_what_was_asked_for() {
    if !enter("a_boot_tells_what_was_asked_for") {
        return;
    }
    let kept = disk();
    let (_house, first) = (House::begin(), daemon(&word(&[(DESK, "full")])));
    let mut local = Local::connect(DESK);
    hear(&mut local, "boot", "Event", "Device.Boot!");
    let table = "Device.LocalAgent.Controller.1.BootParameter.";
    for (number, line) in [
        (1, "ParameterName=Device.LocalAgent.EndpointID Enable=true"),
        (2, "ParameterName=Device.LocalAgent.Controller.*.Enable Enable=true"),
        (3, "ParameterName=Device.DeviceInfo.SerialNumber"),
        (4, "ParameterName=Device.Nothing Enable=true"),
    ] {
        let row = local.add(false, &[&format!("{table} {line}")]);
        assert!(row.starts_with(&format!("{table}{number}.")), "{row}");
    }
    assert_eq!(local.add(true, &[&format!("{table} ParameterName=Device.DeviceInfo.SerialNumber")]), "!7025");
    assert!(local.add(true, &[&format!("{table} ParameterName*=Device.Boot!")]).contains("7021"));
    until("it is kept", 5, || get(&mut local, &format!("{table}4.Enable")).contains("true").then_some(()));
    drop(first);
    // Another boot: nothing is known of the last one.
    for file in std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("boot") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let _second = daemon(&word(&[(DESK, "full")]));
    let mut local = Local::connect(DESK);
    let boot = local.hear("boot");
    let map = "{\"Device.LocalAgent.Controller.1.Enable\":\"true\",\"Device.LocalAgent.EndpointID\":\"os::00D09E-4711\"}";
    assert!(boot.contains(&format!("ParameterMap={map}")) && boot.contains("Cause=FirstUse"), "{boot}");
}
