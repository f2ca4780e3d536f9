//! Requirements of TR-369 on requests over the agent's own socket, a table a chapter: what is asked, and what is answered, in one line each.
//!
//! In:  Get, GetInstances, Add, Set, Delete, Operate of a controller of the test's own. Out: answers, written short (`stage/local.rs`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use contract::control::Ask;
use stage::local::{Local, begin, operate, texts, word};
use stage::{House, daemon, daemon_said, disk, enter, until};
use usp::message::RequestKind;
use usp::message::read::Get;

const DESK: &str = "self::desk";
const PERIOD: &str = "Device.LocalAgent.Controller.1.PeriodicNotifInterval";
const SUBSCRIPTION: &str = "Device.LocalAgent.Subscription.";

/// Shows R-ARC.7, R-ARC.9, R-ARC.9a, R-ARC.10, R-GET.0, R-GET.1a, R-GET.1b, R-GET.2, R-GET.3, R-GET.5, R-MSG.3.
#[test]
fn what_is_read() {
    let controllers = [(DESK, "full"), ("self::other", "read")];
    let Some((_house, _daemon)) = begin("what_is_read", &word(&controllers)) else { return };
    let mut local = Local::connect(DESK);
    let both = "Device.LocalAgent.Controller.1.{Enable=true} Device.LocalAgent.Controller.2.{Enable=true}";
    for (path, want) in [
        ("Device.LocalAgent.Controller.*.Enable", both),
        ("Device.LocalAgent.Controller.[Enable==true].Enable", both),
        (
            "Device.LocalAgent.Controller.[EndpointID == \"self::other\"].Enable",
            "Device.LocalAgent.Controller.2.{Enable=true}",
        ),
        (
            "Device.LocalAgent.Controller.[EndpointID==\"self::other\"&&PeriodicNotifInterval>=86400].Alias",
            "Device.LocalAgent.Controller.2.{Alias=cpe-2}",
        ),
        (
            "Device.LocalAgent.Controller.2.AssignedRole+.Name",
            "Device.LocalAgent.ControllerTrust.Role.3.{Name=read}",
        ),
        ("Device.LocalAgent.Controller.[EndpointID==\"nobody\"].Enable", ""),
        ("Device.LocalAgent.Subscription.", ""),
        ("Device.LocalAgent.Subscription.*.", ""),
        ("Device.LocalAgent.Controller.9.Enable", "!7026"),
        ("Device.LocalAgent.Nothing", "!7026"),
        ("Device.LocalAgent.Controller.[Nothing==1].Enable", "!7026"),
        ("Device.LocalAgent.Controller.[Enable==true.", "!7008"),
        ("Device..", "!7008"),
    ] {
        assert_eq!(local.get(&[path]), want, "{path}");
    }
    // So deep and no deeper.
    let deep = |local: &mut Local, max_depth| {
        let get = Get { param_paths: texts(&["Device.LocalAgent."]), max_depth };
        local.ask(RequestKind::Get(get))
    };
    let (one, two, all) = (deep(&mut local, 1), deep(&mut local, 2), deep(&mut local, 0));
    assert!(one.contains("EndpointID=") && !one.contains("Controller.1."), "{one}");
    assert!(two.contains("Controller.1.{") && !two.contains("E2ESession"), "{two}");
    assert!(all.contains("Controller.1.E2ESession.{"), "{all}");
}

fn row(number: u32, id: &str) -> String {
    format!("{SUBSCRIPTION}{number}.{{Alias=cpe-{number} ID={id} Recipient=Device.LocalAgent.Controller.1}}")
}

/// A controller, another that only reads, and subscriptions of the first.
fn subscribed(test: &str, ids: &[&str]) -> Option<(Local, House, stage::Program)> {
    let (house, daemon) = begin(test, &word(&[(DESK, "full"), ("self::other", "read")]))?;
    let mut local = Local::connect(DESK);
    for id in ids {
        local.add(false, &[&format!("{SUBSCRIPTION} ID={id}")]);
    }
    Some((local, house, daemon))
}

/// Shows R-ADD.0, R-ADD.1, R-ADD.2a, R-ADD.3, R-ADD.4, R-ADD.5, R-MSG.4a, R-KEY.2.
#[test]
fn what_is_added() {
    let Some((mut local, _house, _daemon)) = subscribed("what_is_added", &[]) else { return };
    for (name, partly, lines, want) in [
        (
            "what is not said is given",
            false,
            vec!["Device.LocalAgent.Subscription. Enable=true"],
            row(1, "cpe-1"),
        ),
        (
            "one of two fails, and nothing is done",
            false,
            vec!["Device.LocalAgent.Subscription. ID=a", "Device.LocalAgent.Controller."],
            "error 7019 Device.LocalAgent.Controller.!7019".to_owned(),
        ),
        (
            "one of two fails, and the other is done",
            true,
            vec!["Device.LocalAgent.Subscription. ID=b", "Device.LocalAgent.Controller."],
            format!("{} !7019", row(2, "b")),
        ),
        (
            "what is not required is told",
            false,
            vec!["Device.LocalAgent.Subscription. ID=c TimeToLive=long Nothing=1"],
            row(3, "c").replace('}', " TimeToLive!7011 Nothing!7010}"),
        ),
        (
            "what is required fails all",
            true,
            vec!["Device.LocalAgent.Subscription. ID=d TimeToLive*=long"],
            "!7021".to_owned(),
        ),
        (
            "of a search one fails all",
            false,
            vec!["Device.LocalAgent.Controller.[Enable==true].MTP."],
            "error 7019 Device.LocalAgent.Controller.[Enable==true].MTP.!7019".to_owned(),
        ),
        (
            "a search that finds nothing",
            false,
            vec!["Device.BulkData.Profile.[Enable==true].Parameter."],
            "{}".to_owned(),
        ),
        ("a key that is taken", true, vec!["Device.LocalAgent.Subscription. ID=b"], "!7025".to_owned()),
    ] {
        assert_eq!(local.add(partly, &lines), want, "{name}");
    }
    assert_eq!(
        local.get(&["Device.LocalAgent.SubscriptionNumberOfEntries"]),
        "Device.LocalAgent.{SubscriptionNumberOfEntries=3}"
    );
}

/// Shows R-SET.0, R-SET.1, R-SET.2, R-SET.2a, R-KEY.1, R-KEY.2, R-NOT.0.
#[test]
fn what_is_set() {
    let Some((mut local, _house, _daemon)) = subscribed("what_is_set", &["a", "b"]) else { return };
    let two = [
        "Device.LocalAgent.Subscription.1. NotifExpiration=5",
        "Device.LocalAgent.Subscription.2. NotifExpiration*=x",
    ];
    for (name, partly, lines, want) in [
        (
            "one of two fails, and nothing is done",
            false,
            two.to_vec(),
            "error 7021 Device.LocalAgent.Subscription.2.NotifExpiration!7011",
        ),
        (
            "nothing was done",
            false,
            vec!["Device.LocalAgent.Subscription.[NotifExpiration==5]. Enable=true"],
            "",
        ),
        (
            "one of two fails, and the other is done",
            true,
            two.to_vec(),
            "Device.LocalAgent.Subscription.1.{NotifExpiration=5} \
             !7021[Device.LocalAgent.Subscription.2.{NotifExpiration!7011}]",
        ),
        (
            "what is not required is told",
            false,
            vec!["Device.LocalAgent.Subscription.1. NotifRetry=true TimeToLive=-1 Nothing=1"],
            "Device.LocalAgent.Subscription.1.{NotifRetry=true TimeToLive!7011 Nothing!7010}",
        ),
        (
            "of a search all or nothing",
            true,
            vec!["Device.LocalAgent.Controller.*. Enable*=false"],
            "!7021[Device.LocalAgent.Controller.2.{Enable!7007}]",
        ),
        ("nothing of it", false, vec!["Device.LocalAgent.Controller.[Enable==false]. Enable=true"], ""),
        (
            "a name that was given stays",
            true,
            vec!["Device.LocalAgent.Subscription.1. Alias=other"],
            "Device.LocalAgent.Subscription.1.{Alias!7013}",
        ),
        ("a key that is taken", true, vec!["Device.LocalAgent.Subscription.1. ID=b"], "!7025[]"),
        (
            "what is listened to",
            false,
            vec!["Device.LocalAgent.Subscription.1. ReferenceList=Device.Boot!"],
            "Device.LocalAgent.Subscription.1.{ReferenceList=Device.Boot!}",
        ),
        (
            "it stays",
            true,
            vec!["Device.LocalAgent.Subscription.1. ReferenceList=Device."],
            "Device.LocalAgent.Subscription.1.{ReferenceList!7013}",
        ),
    ] {
        assert_eq!(local.set(partly, &lines), want, "{name}");
    }
}

/// Shows R-DEL.0, R-DEL.2a, R-MSG.4a.
#[test]
fn what_is_deleted() {
    let Some((mut local, _house, _daemon)) = subscribed("what_is_deleted", &["a", "b", "c"]) else { return };
    for (name, partly, paths, want) in [
        (
            "one of two fails, and nothing is done",
            false,
            vec!["Device.LocalAgent.Subscription.1.", "Device.LocalAgent.Controller.1."],
            "error 7024 Device.LocalAgent.Controller.1.!7024",
        ),
        (
            "one of two fails, and the other is done",
            true,
            vec!["Device.LocalAgent.Subscription.1.", "Device.LocalAgent.Controller.1."],
            "{Device.LocalAgent.Subscription.1.} !7024",
        ),
        ("what is not there is gone", false, vec!["Device.LocalAgent.Subscription.1."], "{}"),
        ("a search that finds nothing", false, vec!["Device.LocalAgent.Subscription.[ID==\"x\"]."], "{}"),
        (
            "a search",
            false,
            vec!["Device.LocalAgent.Subscription.*."],
            "{Device.LocalAgent.Subscription.2. Device.LocalAgent.Subscription.3.}",
        ),
    ] {
        assert_eq!(local.delete(partly, &paths), want, "{name}");
    }
    assert_eq!(
        local.add(false, &["Device.LocalAgent.Subscription. ID=b"]),
        row(4, "b"),
        "no number comes twice"
    );
}

/// Shows R-ENC.6.
#[test]
fn values_have_their_forms() {
    let Some((_house, _daemon)) = begin("values_have_their_forms", &word(&[(DESK, "full")])) else { return };
    let mut local = Local::connect(DESK);
    local.add(false, &["Device.LocalAgent.Subscription. ID=x"]);
    let at = "Device.LocalAgent.Subscription.1.";
    for (name, said, read) in [
        ("Enable", "1", "true"),
        ("Enable", "false", "false"),
        ("Enable", "True", "!7011"),
        ("TimeToLive", "007", "7"),
        ("TimeToLive", "4294967295", "4294967295"),
        ("TimeToLive", "4294967296", "!7012"),
        ("TimeToLive", "-1", "!7011"),
        ("TimeToLive", "", "!7011"),
        ("NotifType", "Event", "Event"),
        ("NotifType", "event", "!7012"),
        ("ReferenceList", "Device.Boot!,~Device.LocalAgent.", "Device.Boot!,Device.LocalAgent."),
    ] {
        let got = local.set(true, &[&format!("{at} {name}={said}")]);
        match read.strip_prefix('!') {
            Some(code) => assert_eq!(got, format!("{at}{{{name}!{code}}}"), "{said}"),
            None => {
                assert_eq!(local.get(&[&format!("{at}{name}")]), format!("{at}{{{name}={read}}}"), "{said}")
            }
        }
    }
    let made = local.get(&[&format!("{at}CreationDate")]);
    let date = made.split_once('=').unwrap().1.trim_end_matches('}');
    let form: String =
        date.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    assert_eq!(form, "0000-00-00T00:00:00Z");
}

/// A controller that may do all, one that does not see all, and one that only reads; and four subscriptions, the first of the second's own.
fn blind(test: &str) -> Option<(Local, Local, House, stage::Program)> {
    let role = "[[role]]\nname = 'blind'\nrules = [\
        { order = 1, targets = ['Device.LocalAgent.'], rights = 'rw-n' },\
        { order = 2, targets = ['Device.LocalAgent.Subscription.*.Recipient', 'Device.LocalAgent.Subscription.*.NotifRetry'], rights = '-w--' },\
        { order = 3, targets = ['Device.LocalAgent.Subscription.2.'], rights = 'r---' },\
        { order = 4, targets = ['Device.LocalAgent.Subscription.3.'], rights = '-w--' },\
        { order = 5, targets = ['Device.LocalAgent.Subscription.4.'], rights = '----' },\
        { order = 6, targets = ['Device.LocalAgent.Controller.1.'], rights = 'r---', instance = '----' },\
        { order = 7, targets = ['Device.LocalAgent.Controller.1.MTP.'], rights = 'r---' }]\n";
    let controllers = word(&[(DESK, "full"), ("self::blind", "blind"), ("self::read", "read")]) + role;
    let (house, daemon) = begin(test, &controllers)?;
    let (mut local, mut blind) = (Local::connect(DESK), Local::connect("self::blind"));
    assert_eq!(
        blind.add(false, &["Device.LocalAgent.Subscription. ID=a"]),
        "Device.LocalAgent.Subscription.1.{Alias=cpe-1 ID=a}"
    );
    for id in ["b", "c", "d"] {
        local.add(false, &[&format!("{SUBSCRIPTION} ID={id}")]);
    }
    Some((local, blind, house, daemon))
}

/// Shows R-ADD.6, R-GET.1, R-GET.4, R-GIN.0, R-GIN.1.
#[test]
fn what_may_not_be_seen_is_not_there() {
    let Some((_local, mut blind, _house, _daemon)) = blind("what_may_not_be_seen_is_not_there") else {
        return;
    };
    for (path, want) in [
        ("Device.LocalAgent.Subscription.1.Recipient", "!7026"),
        ("Device.LocalAgent.Subscription.4.", ""),
        (
            "Device.LocalAgent.Subscription.*.ID",
            "Device.LocalAgent.Subscription.1.{ID=a} Device.LocalAgent.Subscription.2.{ID=b}",
        ),
        ("Device.DeviceInfo.SerialNumber", "!7026"),
    ] {
        assert_eq!(blind.get(&[path]), want, "{path}");
    }
    let seen = "Device.LocalAgent.Subscription.1.{Alias=cpe-1 ID=a} \
        Device.LocalAgent.Subscription.2.{Alias=cpe-2 ID=b Recipient=Device.LocalAgent.Controller.1}";
    assert_eq!(blind.instances("Device.LocalAgent.Subscription."), seen);
    // What may not be read is not searched for, and what is below a row that is not seen is not seen.
    let found = blind.get(&["Device.LocalAgent.Subscription.[Recipient!=\"\"].ID"]);
    assert_eq!(found, "Device.LocalAgent.Subscription.2.{ID=b}");
    let below = blind.instances("Device.LocalAgent.Controller.*.MTP.");
    assert!(below.contains("Controller.2.MTP.1.") && !below.contains("Controller.1.MTP.1."), "{below}");
}

/// Shows R-SET.3, R-DEL.2, R-DEL.3, R-DEL.4, R-SEC.1, R-SEC.1a.
#[test]
fn what_may_be_done_is_told_as_far_as_it_may_be_seen() {
    let name = "what_may_be_done_is_told_as_far_as_it_may_be_seen";
    let Some((mut local, mut blind, _house, _daemon)) = blind(name) else { return };
    let want = "Device.LocalAgent.Subscription.1.{TimeToLive=9}";
    assert_eq!(blind.set(false, &["Device.LocalAgent.Subscription.1. NotifRetry=true TimeToLive=9"]), want);
    assert!(
        local.get(&["Device.LocalAgent.Subscription.1.NotifRetry"]).contains("true"),
        "it was set all the same"
    );
    assert_eq!(
        blind.set(true, &["Device.LocalAgent.Subscription.2. TimeToLive*=9"]),
        "!7021[Device.LocalAgent.Subscription.2.{TimeToLive!7006}]"
    );
    // One goes and is told, one goes and is not, one stays and is told, one stays and is not.
    assert_eq!(
        blind.delete(false, &["Device.LocalAgent.Subscription.*."]),
        "error 7006 Device.LocalAgent.Subscription.*.!7006"
    );
    let told = "{Device.LocalAgent.Subscription.1. Device.LocalAgent.Subscription.2.!7006}";
    assert_eq!(blind.delete(true, &["Device.LocalAgent.Subscription.*."]), told);
    let left = local.instances("Device.LocalAgent.Subscription.");
    assert!(left.contains("Subscription.2.{") && left.contains("Subscription.4.{"), "{left}");
    assert!(!left.contains("Subscription.1.{") && !left.contains("Subscription.3.{"), "{left}");
    // Who only reads does nothing.
    let mut reader = Local::connect("self::read");
    let refused = "!7021[Device.LocalAgent.Controller.1.{PeriodicNotifInterval!7006}]";
    assert_eq!(reader.set(true, &["Device.LocalAgent.Controller.1. PeriodicNotifInterval*=5"]), refused);
    assert_eq!(reader.operate("Device.Reboot()"), "Device.Reboot()!7006");
    let roles = local.get(&["Device.LocalAgent.Controller.3.AssignedRole"]);
    assert_eq!(
        roles,
        "Device.LocalAgent.Controller.3.{AssignedRole=Device.LocalAgent.ControllerTrust.Role.3}"
    );
}

/// Shows R-OPR.0, R-OPR.1, R-OPR.2, R-OPR.4, R-OPR.5, R-OPR.6, R-OPR.7.
#[test]
fn what_is_done() {
    let Some((house, _daemon)) = begin("what_is_done", &word(&[(DESK, "full")])) else { return };
    let mut local = Local::connect(DESK);
    house.more.lock().unwrap().push(stage::house::process("cam"));
    until("both are there", 5, || {
        local.get(&["Device.SoftwareModules.ExecutionUnitNumberOfEntries"]).contains("=2").then_some(())
    });
    let unit = "Device.SoftwareModules.ExecutionUnit.";
    for (name, asked, want) in [
        (
            "an argument is missing",
            format!("{unit}1.SetRequestedState()"),
            format!("{unit}1.SetRequestedState()!7027"),
        ),
        (
            "it cannot be",
            format!("{unit}*.SetRequestedState() RequestedState=Asleep"),
            format!("{unit}1.SetRequestedState()!7027 {unit}2.SetRequestedState()!7027"),
        ),
        (
            "each has a row, and an argument that nobody knows is ignored",
            format!("{unit}*.SetRequestedState() RequestedState=Idle Colour=red"),
            format!(
                "{unit}1.SetRequestedState() is Device.LocalAgent.Request.1. {unit}2.SetRequestedState() is Device.LocalAgent.Request.2."
            ),
        ),
        ("what is not there", format!("{unit}9.Restart()"), "error 7016".to_owned()),
        ("no such command", format!("{unit}1.Explode()"), "error 7026".to_owned()),
    ] {
        assert_eq!(local.operate(&asked), want, "{name}");
    }
    let rows = local.instances("Device.LocalAgent.Request.");
    assert_eq!(rows.matches("Device.LocalAgent.Request.").count(), 2, "{rows}");
    house.becomes(contract::control::State::Down);
    house.more.lock().unwrap()[0].state = contract::control::State::Down;
    until("they have ended", 10, || local.instances("Device.LocalAgent.Request.").is_empty().then_some(()));
    // Who wants no answer gets none; what may be left out is left out.
    local.begin(RequestKind::Operate(operate("Device.Reboot()", "", false)));
    let (asked, answered) = local.next_answered();
    assert_eq!(answered, asked, "no answer is wanted");
    until("the order", 5, || house.orders.lock().unwrap().contains(&Ask::Reboot).then_some(()));
}

/// Numbers of rows, and subscriptions that are to stay, outlive the agent.
/// Shows R-ARC.8, R-NOT.0.
#[test]
fn what_stays() {
    if !enter("what_stays") {
        return;
    }
    disk();
    let controllers = word(&[(DESK, "full")]);
    let (_house, first) = (House::begin(), daemon(&controllers));
    let mut local = Local::connect(DESK);
    for (id, stays) in [("gone", "true"), ("short", "false"), ("stays", "true")] {
        local.add(false, &[&format!("{SUBSCRIPTION} ID={id} Persistent={stays}")]);
    }
    local.delete(false, &["Device.LocalAgent.Subscription.1."]);
    until("it is kept", 10, || local.get(&[PERIOD]).contains("86400").then_some(()));
    drop(first);
    let _second = daemon(&controllers);
    let mut local = Local::connect(DESK);
    let stays =
        "Device.LocalAgent.Subscription.3.{Alias=cpe-3 ID=stays Recipient=Device.LocalAgent.Controller.1}";
    until("the disk is there", 10, || (local.instances(SUBSCRIPTION) == stays).then_some(()));
    let new = local.add(false, &["Device.LocalAgent.Subscription. ID=new"]);
    assert!(new.starts_with("Device.LocalAgent.Subscription.4."), "{new}; {}", daemon_said());
}
