//! Bundles, slices and promises, driven by a controller that we did not write: what it is told, in order, once, and across restarts.
//!
//! In:  a `package` and a supervisor that a test plays. Out: `Device.SoftwareModules.` as a controller sees it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use contract::mount::Damage;
use contract::packages::Ask;
use contract::sla::{Breach, Cause, What};
use serde_json::{Value, json};
use stage::package::Package;
use stage::{Desk, House, broker, connected, disk, enter, until, word};

const INSTALL: &str = "Device.SoftwareModules.InstallDU()";
const UUID: &str = "8e2ec7c2-4a8f-5ff1-b241-f2c0e275868b";

/// The ends of commands and the changes of units, in one line: in the order in which they come.
fn hear(desk: &mut Desk) {
    for (id, notif, reference) in [
        ("end", "OperationComplete", "Device.SoftwareModules."),
        ("change", "Event", "Device.SoftwareModules.DUStateChange!"),
    ] {
        let wish = json!({
            "ID": id, "NotifType": notif, "ReferenceList": reference, "Enable": "true", "Persistent": "true",
            "NotifRetry": "true",
        });
        desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    }
}

/// Gives a command and does not wait for its end.
fn operate(desk: &mut Desk, path: &str, key: &str, input: &Value) -> Value {
    desk.call("order", &json!([path, key, input]))
}

/// The next end of a command, which has to come first, and the change of a unit that it is followed by.
fn ended(desk: &mut Desk) -> (Value, Value) {
    let end = desk.notice();
    assert_eq!(end["of"], "end", "OperationComplete comes first: {end}");
    let change = desk.notice();
    assert_eq!(change["of"], "change", "{change}");
    (end["notice"].clone(), change["notice"].clone())
}

fn get(desk: &mut Desk, path: &str) -> Value {
    desk.call("get", &json!([path]))
}

/// A unit's whole life.
/// Shows R-NOT.7, R-OPR.0, R-OPR.2.
#[test]
fn a_unit_comes_and_goes() {
    if !enter("a_unit_comes_and_goes") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    let input = json!({"URL": "https://registry.example/cam:1", "UUID": UUID,
        "ExecutionEnvRef": "Device.SoftwareModules.ExecEnv.1.", "Username": "who", "Password": "word"});
    let request = operate(&mut desk, INSTALL, "one", &input);
    assert_eq!(request, json!("Device.LocalAgent.Request.1."));
    let (end, change) = ended(&mut desk);
    assert!(end.to_string().contains(UUID) && end.to_string().contains("\"one\""), "{end}");
    for (name, value) in [
        ("UUID", UUID),
        ("CurrentState", "Installed"),
        ("OperationPerformed", "Install"),
        ("Version", "1"),
        ("DeploymentUnitRef", "Device.SoftwareModules.DeploymentUnit.1"),
        ("ExecutionUnitRefList", "Device.SoftwareModules.ExecutionUnit.2"),
        ("Fault.FaultCode", "0"),
        ("Resolved", "true"),
    ] {
        assert_eq!(change["params"][name], value, "{change}");
    }
    let Some(Ask::Install(asked)) = package.asks().first().cloned() else { panic!("{:?}", package.asks()) };
    assert_eq!((asked.username.as_str(), asked.password.as_str(), asked.tag.as_str()), ("who", "word", UUID));
    assert_eq!(asked.slice.as_deref(), Some("demo"));
    let unit = get(&mut desk, "Device.SoftwareModules.DeploymentUnit.1.");
    assert_eq!((&unit["Status"], &unit["Vendor"]), (&json!("Installed"), &json!("demo")), "{unit}");
    assert_eq!(unit["Installed"], "2025-11-25T19:59:59Z", "{unit}");
    let status = get(&mut desk, "Device.SoftwareModules.DeploymentUnit.1.ExecutionUnitList+.Status");
    assert!(status.to_string().contains("Active"), "{status}");
    starts_by_itself(&mut desk);
    newer_and_gone(&mut desk, &package);
}

fn starts_by_itself(desk: &mut Desk) {
    // Whether it starts by itself is `package`'s to know.
    let starts = "Device.SoftwareModules.ExecutionUnit.2.AutoStart";
    desk.call("set", &json!([starts, "false"]));
    assert_eq!(get(desk, starts), json!("false"));
    let why = desk.fails("set", &json!(["Device.SoftwareModules.ExecutionUnit.1.AutoStart", "false"]));
    assert!(why.to_string().contains("7013"), "the image's own: {why}");
}

fn newer_and_gone(desk: &mut Desk, package: &Package) {
    let update = "Device.SoftwareModules.DeploymentUnit.1.Update()";
    operate(desk, update, "two", &json!({"URL": "https://registry.example/cam:2"}));
    let (_, change) = ended(desk);
    let told = |name: &str| change["params"][name].clone();
    assert_eq!(
        (told("OperationPerformed"), told("Version"), told("UUID")),
        (json!("Update"), json!("2"), json!(UUID))
    );
    // One that is as new: the old stays.
    operate(desk, update, "three", &json!({}));
    let (end, change) = ended(desk);
    assert!(end.to_string().contains("7022"), "{end}");
    assert_eq!(change["params"]["Fault.FaultCode"], "7226", "{change}");
    assert_eq!(change["params"]["CurrentState"], "Failed", "{change}");
    assert_eq!(get(desk, "Device.SoftwareModules.DeploymentUnit.1.Version"), json!("2"));
    // And it goes.
    operate(
        desk,
        "Device.SoftwareModules.DeploymentUnit.1.Uninstall()",
        "four",
        &json!({"RetainData": "true"}),
    );
    let (_, change) = ended(desk);
    assert_eq!(change["params"]["CurrentState"], "Uninstalled", "{change}");
    assert_eq!(change["params"]["Version"], "2", "{change}");
    assert!(package.asks().iter().any(|ask| matches!(ask, Ask::Remove { drop_data: false, .. })));
    assert_eq!(get(desk, "Device.SoftwareModules.DeploymentUnitNumberOfEntries"), json!("0"));
    assert_eq!(get(desk, "Device.SoftwareModules.ExecutionUnitNumberOfEntries"), json!("1"));
    assert_eq!(get(desk, "Device.LocalAgent.RequestNumberOfEntries"), json!("0"));
}

/// What cannot be done is said, with the standard's fault, and leaves nothing.
/// Shows R-OPR.1, R-OPR.5.
#[test]
fn what_fails_leaves_nothing() {
    if !enter("what_fails_leaves_nothing") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    let good = json!({"URL": "https://registry.example/cam:1", "UUID": UUID});
    operate(&mut desk, INSTALL, "good", &good);
    ended(&mut desk);
    let none = "Device.SoftwareModules.ExecEnv.9";
    // name, input, OperationComplete's code, the fault, the word for a program
    let table = [
        ("who fetches", json!({"URL": "https://who:word@registry.example/cam:1"}), "7004", "7004", "ask"),
        (
            "no such slice",
            json!({"URL": "https://registry.example/x:1", "ExecutionEnvRef": none}),
            "7022",
            "7223",
            "ask",
        ),
        ("there already", good, "7022", "7226", "ask"),
        (
            "there under another name",
            json!({"URL": "https://registry.example/cam:1"}),
            "7022",
            "7226",
            "duplicate",
        ),
        (
            "nobody signed it",
            json!({"URL": "https://registry.example/unsigned:1"}),
            "7022",
            "7036",
            "signature",
        ),
        ("too large", json!({"URL": "https://registry.example/large:1"}), "7022", "7227", "resources"),
        ("no bundle", json!({"URL": "https://registry.example/broken:1"}), "7022", "7035", "form"),
        ("no registry", json!({"URL": "https://registry.example/nobody:1"}), "7022", "7033", "unreachable"),
    ];
    let mut last = String::new();
    for (what, input, code, fault, word) in &table {
        operate(&mut desk, INSTALL, what, input);
        let (end, change) = ended(&mut desk);
        assert!(end.to_string().contains(code), "{what}: {end}");
        assert_eq!(change["params"]["Fault.FaultCode"], *fault, "{what}: {change}");
        assert_eq!(change["params"]["X_SHG_Reason"], *word, "{what}: {change}");
        assert_eq!(change["params"]["CurrentState"], "Failed", "{what}: {change}");
        assert!(!change.to_string().contains("who:word"), "{change}");
        last = change.to_string();
    }
    assert!(last.contains("nobody answers there"), "{last}");
    assert_eq!(package.units().len(), 1);
    assert_eq!(get(&mut desk, "Device.SoftwareModules.DeploymentUnitNumberOfEntries"), json!("1"));
    // Arguments that are none are refused at once.
    for input in [json!({}), json!({"URL": "https://r.example/x:1", "UUID": "seven"})] {
        let why = desk.fails("order", &json!([INSTALL, "x", input]));
        assert!(why.to_string().contains("7027"), "{why}");
    }
}

/// One that is under way can be canceled; and what cannot be put back cannot.
/// Shows R-OPR.3.
#[test]
fn a_controller_changes_its_mind() {
    if !enter("a_controller_changes_its_mind") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    package.hold(true);
    let input = json!({"URL": "https://registry.example/cam:1", "UUID": UUID});
    let request = operate(&mut desk, INSTALL, "one", &input);
    let request = request.as_str().unwrap();
    until("bytes come", 5, || {
        (get(&mut desk, &format!("{request}X_SHG_BytesReceived")) == json!("1000")).then_some(())
    });
    // Twice is once too often.
    operate(&mut desk, INSTALL, "two", &input);
    let (_, change) = ended(&mut desk);
    assert_eq!(change["params"]["Fault.FaultCode"], "7229", "{change}");
    operate(&mut desk, &format!("{request}Cancel()"), "", &json!({}));
    let (end, change) = ended(&mut desk);
    assert!(end.to_string().contains("7023"), "{end}");
    assert_eq!((&change["params"]["CurrentState"], package.units().len()), (&json!("Failed"), 0));
}

/// The agent dies while a bundle comes: the next one takes it up, and its end is told once.
#[test]
fn an_agent_may_die() {
    if !enter("an_agent_may_die") {
        return;
    }
    let disk = disk();
    let (_broker, house) = (broker(""), House::begin());
    let package = Package::begin(&house);
    let first = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    package.hold(true);
    let input = json!({"URL": "https://registry.example/cam:1", "UUID": UUID, "Password": "secret-word"});
    let request = operate(&mut desk, INSTALL, "one", &input);
    until("it is asked", 5, || package.asks().iter().any(|ask| matches!(ask, Ask::Install(_))).then_some(()));
    // usp-js stumbles over the record by which an agent says that it has come.
    drop(desk);
    drop(first);
    let kept = fs::read_dir(&disk).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    assert!(kept.into_iter().all(|bytes| !bytes.windows(11).any(|piece| piece == b"secret-word")));
    let second = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    until("it is taken up", 10, || {
        package.asks().iter().any(|ask| matches!(ask, Ask::Await(_))).then_some(())
    });
    let key = get(&mut desk, &format!("{}CommandKey", request.as_str().unwrap()));
    assert_eq!(key, json!("one"));
    package.hold(false);
    let (end, change) = ended(&mut desk);
    assert!(end.to_string().contains("\"one\""), "{end}");
    assert_eq!(change["params"]["CurrentState"], "Installed", "{change}");
    assert_eq!(package.asks().iter().filter(|ask| matches!(ask, Ask::Install(_))).count(), 1, "asked once");
    // It ends while nobody is there to hear it.
    package.hold(true);
    let update = "Device.SoftwareModules.DeploymentUnit.1.Update()";
    operate(&mut desk, update, "two", &json!({"URL": "https://registry.example/cam:2"}));
    until("it is asked", 5, || {
        (package.asks().iter().filter(|ask| matches!(ask, Ask::Install(_))).count() == 2).then_some(())
    });
    drop(desk);
    drop(second);
    package.hold(false);
    until("it is done", 5, || package.units().iter().any(|unit| unit.version == 2).then_some(()));
    let _third = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let (_, change) = ended(&mut desk);
    assert_eq!(change["params"]["Version"], "2", "{change}");
    assert_eq!(get(&mut desk, "Device.LocalAgent.RequestNumberOfEntries"), json!("0"));
    assert_eq!(desk.notices(), 0, "and nothing more");
}

/// Slices are rented, changed and given back; and what does not fit is refused in the supervisor's words.
#[test]
fn a_slice_is_an_environment() {
    if !enter("a_slice_is_an_environment") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    let demo = get(&mut desk, "Device.SoftwareModules.ExecEnv.1.");
    for (name, value) in [
        ("Name", "demo"),
        ("AllocatedMemory", "131072"),
        ("AvailableMemory", "130048"),
        ("AllocatedCPUPercent", "50"),
        ("AvailableCPUPercent", "43"),
        ("ActiveExecutionUnits", "Device.SoftwareModules.ExecutionUnit.1"),
    ] {
        assert_eq!(demo[name], value, "{name}: {demo}");
    }
    assert_eq!(demo["X_SHG_Guarantee"]["UplinkFloor"], "1000", "{demo}");
    let add = "Device.SoftwareModules.ExecEnvClass.1.AddExecEnv()";
    let size = json!({"Name": "acme", "AllocatedMemory": "65536", "AllocatedCPUPercent": "25", "X_SHG_MemoryFloor": "16384"});
    operate(&mut desk, add, "add", &size);
    let end = desk.notice();
    assert!(end.to_string().contains("Device.SoftwareModules.ExecEnv.2"), "{end}");
    let rented = house.slices.lock().unwrap().last().cloned().unwrap();
    let sizes = (rented.memory.ceiling_mib, rented.cpu.ceiling_permille, rented.memory.floor_mib);
    assert_eq!(sizes, (64, 400, 16));
    let why = desk.fails("order", &json!([add, "again", size]));
    assert!(why.to_string().contains("7022"), "one of that name is there: {why}");
    let why = desk.fails("order", &json!([add, "all", {"Name": "all", "AllocatedMemory": "2147483647"}]));
    assert!(why.to_string().contains("7227"), "nobody has so much: {why}");
    let modify = "Device.SoftwareModules.ExecEnv.2.ModifyConstraints()";
    operate(&mut desk, modify, "more", &json!({"X_SHG_UplinkFloor": "500"}));
    desk.notice();
    let uplink = "Device.SoftwareModules.ExecEnv.2.X_SHG_Guarantee.UplinkFloor";
    assert_eq!(get(&mut desk, uplink), json!("500"));
    assert_eq!(
        get(&mut desk, "Device.SoftwareModules.ExecEnv.2.AllocatedMemory"),
        json!("65536"),
        "the rest stays"
    );
    disk_is_held(&mut desk, modify);
    operate(&mut desk, modify, "much", &json!({"X_SHG_CPUCeiling": "1800", "X_SHG_CPUFloor": "1700"}));
    let end = desk.notice();
    assert!(end.to_string().contains("short of cpu") && end.to_string().contains("7227"), "{end}");
    // Less than is in use.
    let demo = "Device.SoftwareModules.ExecEnv.1.ModifyConstraints()";
    let less = json!({"AllocatedMemory": "0", "X_SHG_MemoryFloor": "0"});
    let why = desk.fails("order", &json!([demo, "less", less]));
    assert!(why.to_string().contains("7027") || why.to_string().contains("7022"), "{why}");
    operate(&mut desk, "Device.SoftwareModules.ExecEnv.1.Remove()", "no", &json!({}));
    assert!(desk.notice().to_string().contains("hello is in it"));
    operate(&mut desk, "Device.SoftwareModules.ExecEnv.2.Remove()", "yes", &json!({}));
    desk.notice();
    assert_eq!(get(&mut desk, "Device.SoftwareModules.ExecEnvNumberOfEntries"), json!("1"));
}

/// Ceilings of the disk are shown and set; one that is too small is refused.
fn disk_is_held(desk: &mut Desk, modify: &str) {
    for (name, held, little) in [("DiskReadCeiling", "4096", "1023"), ("DiskWriteCeiling", "256", "63")] {
        let word = format!("X_SHG_{name}");
        operate(desk, modify, name, &json!({&word: held}));
        desk.notice();
        let ceiling = format!("Device.SoftwareModules.ExecEnv.2.X_SHG_Guarantee.{name}");
        assert_eq!(get(desk, &ceiling), json!(held));
        let why = desk.fails("order", &json!([modify, "little", {&word: little}]));
        assert!(why.to_string().contains("7027") || why.to_string().contains("7022"), "{why}");
    }
}

/// Ceilings of the line are shown, set and taken away; none is below the floor.
#[test]
fn a_slice_has_ceilings_of_the_line() {
    if !enter("a_slice_has_ceilings_of_the_line") {
        return;
    }
    let (_broker, _house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    hear(&mut desk);
    let line = |desk: &mut Desk| {
        let demo = get(desk, "Device.SoftwareModules.ExecEnv.1.");
        ["UplinkFloor", "UplinkCeiling", "DownlinkFloor", "DownlinkCeiling"]
            .map(|name| demo["X_SHG_Guarantee"][name].as_str().unwrap().to_owned())
    };
    assert_eq!(line(&mut desk), ["1000", "5000", "2000", "0"]);
    let modify = "Device.SoftwareModules.ExecEnv.1.ModifyConstraints()";
    let table = [
        ("both", "1000", "9000", ["1000", "1000", "2000", "9000"]),
        ("none", "0", "-1", ["1000", "0", "2000", "0"]),
    ];
    for (what, up, down, wanted) in table {
        let ceilings = json!({"X_SHG_UplinkCeiling": up, "X_SHG_DownlinkCeiling": down});
        operate(&mut desk, modify, what, &ceilings);
        desk.notice();
        assert_eq!(line(&mut desk), wanted, "{what}");
    }
    let why = desk.fails("order", &json!([modify, "below", {"X_SHG_DownlinkCeiling": "1999"}]));
    assert!(why.to_string().contains("7027"), "{why}");
}

/// What was promised, what was got, and a promise that was not kept.
#[test]
fn promises_are_told() {
    if !enter("promises_are_told") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let wish = json!({"ID": "breach", "NotifType": "Event", "Enable": "true",
        "ReferenceList": "Device.SoftwareModules.ExecutionUnit.*.X_SHG_Compliance.Breach!"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    let unit = get(&mut desk, "Device.SoftwareModules.ExecutionUnit.1.");
    assert_eq!(unit["AllocatedMemory"], "16384", "{unit}");
    assert_eq!(
        (&unit["AllocatedCPUPercent"], &unit["CPUPercentInUse"]),
        (&json!("50"), &json!("12")),
        "{unit}"
    );
    assert_eq!(unit["X_SHG_Guarantee"]["CPUFloor"], "50", "{unit}");
    assert_eq!(unit["X_SHG_Guarantee"]["DiskReadCeiling"], "2048", "{unit}");
    assert_eq!(unit["X_SHG_Guarantee"]["DiskWriteCeiling"], "512", "{unit}");
    let up = "Device.SoftwareModules.ExecutionUnit.1.X_SHG_Compliance.Window.[Span==\"Hour\"].UpMs";
    assert!(get(&mut desk, up).to_string().contains("59000"));
    let capacity = get(&mut desk, "Device.SoftwareModules.X_SHG_Capacity.");
    assert_eq!(
        (&capacity["CPU"], &capacity["MemoryPromised"]),
        (&json!("1600"), &json!("32768")),
        "{capacity}"
    );
    let at_ms = 1 << 40; // later than everything
    house.breaks(Breach { at_ms, cause: Cause::Starved, promised: 50, got: 20 });
    let told = desk.notice();
    for (name, value) in [("Cause", "starved"), ("Promised", "50"), ("Got", "20"), ("Unit", "permille")] {
        assert_eq!(told["notice"]["params"][name], value, "{told}");
    }
    assert_eq!(
        told["notice"]["objPath"], "Device.SoftwareModules.ExecutionUnit.1.X_SHG_Compliance.",
        "{told}"
    );
}

/// What lies on the stick of a bundle's image is not what was signed: its unit says so, and each time by itself.
#[test]
fn a_damaged_image_is_an_event_of_its_unit() {
    if !enter("a_damaged_image_is_an_event_of_its_unit") {
        return;
    }
    let (_broker, house) = (broker(""), House::begin());
    let _package = Package::begin(&house);
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let wish = json!({"ID": "damage", "NotifType": "Event", "Enable": "true",
        "ReferenceList": "Device.SoftwareModules.DeploymentUnit.*.X_SHG_Damaged!"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    operate(&mut desk, INSTALL, "come", &json!({"URL": "https://registry.example/cam:1"}));
    // The whole table: a row of it may not be there yet, and then asking for it is an error.
    let units = "Device.SoftwareModules.DeploymentUnit.";
    until("it is installed", 15, || {
        desk.call("get", &json!([units])).to_string().contains("Installed").then_some(())
    });
    let at_ms = 1 << 40; // later than everything
    // hello is no bundle: what is in the root is checked by other means, and nobody says this of it.
    house.happens(at_ms, "hello", What::Damaged(Damage::Data(1)));
    for (more, damage, part, block) in [
        (1, Damage::Data(203), "data", "203"),
        (2, Damage::Tree(302), "tree", "302"),
        (3, Damage::Somewhere, "somewhere", ""),
    ] {
        house.happens(at_ms + more, "cam", What::Damaged(damage));
        let told = desk.notice();
        let params = &told["notice"]["params"];
        assert_eq!((&params["Part"], &params["Block"]), (&json!(part), &json!(block)), "{told}");
        assert_eq!(params["ExecutionUnitRef"], "Device.SoftwareModules.ExecutionUnit.2", "{told}");
        assert_eq!(told["notice"]["objPath"], "Device.SoftwareModules.DeploymentUnit.1.", "{told}");
        assert_eq!(told["notice"]["eventName"], "X_SHG_Damaged!", "{told}");
    }
}
