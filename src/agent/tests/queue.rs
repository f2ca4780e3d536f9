//! Operations on bundles that wait behind another one, and an agent that dies meanwhile.
//!
//! In:  installations, more than `package` does at a time; the agent's death. Out: which of them `package` is asked for, and what their
//! controller hears of their ends.
//!
//! Not here: the one that is under way (`modules.rs`).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use contract::packages::Ask;
use stage::local::{Local, operate, word};
use stage::package::Package;
use stage::{House, daemon, disk, enter, until};
use usp::message::RequestKind;

const DESK: &str = "self::desk";
const INSTALL: &str = "Device.SoftwareModules.InstallDU()";
/// Both of what is told of an end, kept and told again until they are answered.
const SUBSCRIPTIONS: [&str; 2] = [
    "Device.LocalAgent.Subscription. ID=end NotifType=OperationComplete ReferenceList=Device. Enable=true Persistent=true NotifRetry=true",
    "Device.LocalAgent.Subscription. ID=change NotifType=Event ReferenceList=Device.SoftwareModules.DUStateChange! Enable=true \
     Persistent=true NotifRetry=true",
];

/// What only waited is asked for after all, unless it needs a word that is not kept; each end is told once.
#[test]
fn what_only_waited_outlives_the_agent() {
    if !enter("what_only_waited_outlives_the_agent") {
        return;
    }
    disk();
    let house = House::begin();
    let package = Package::begin(&house);
    let first = daemon(&word(&[(DESK, "full")]));
    let mut desk = Local::connect(DESK);
    for line in SUBSCRIPTIONS {
        assert!(desk.add(false, &[line]).contains("ID="), "{line}");
    }
    package.hold(true);
    let install = |desk: &mut Local, name: &str, more: &str| {
        let line = format!("{INSTALL} URL=https://registry.example/{name}:1{more}");
        let begun = desk.ask(RequestKind::Operate(operate(&line, name, true)));
        assert!(begun.contains("Request."), "{begun}");
    };
    install(&mut desk, "cam", "");
    let asked = || {
        let of = |ask: Ask| if let Ask::Install(one) = ask { Some(one.source.to_string()) } else { None };
        package.asks().into_iter().filter_map(of).collect::<Vec<_>>()
    };
    until("it is asked", 10, || (asked().len() == 1).then_some(()));
    for (name, more) in [("door", ""), ("lock", " Username=who Password=secret"), ("bell", "")] {
        install(&mut desk, name, more);
    }
    // What was answered is on the disk before the next question is.
    assert!(desk.get(&["Device.LocalAgent.RequestNumberOfEntries"]).contains("=4"));
    desk.get(&["Device.LocalAgent.EndpointID"]);
    drop((desk, first));

    let _second = daemon(&word(&[(DESK, "full")]));
    let mut desk = Local::connect(DESK);
    until("the first is taken up", 10, || {
        package.asks().iter().any(|ask| matches!(ask, Ask::Await(_))).then_some(())
    });
    package.hold(false);
    let mut ends: Vec<String> = (0..4).map(|_| desk.hear("end")).collect();
    ends.sort();
    let of =
        |name: &str| ends.iter().find(|end| end.starts_with(&format!("{INSTALL} {name}"))).unwrap().clone();
    for name in ["cam", "door", "bell"] {
        assert!(of(name).contains("Version=1"), "{ends:?}");
    }
    assert_eq!(of("lock"), format!("{INSTALL} lock!7022"), "{ends:?}");
    let changes: Vec<String> = (0..4).map(|_| desk.hear("change")).collect();
    let told = |word: &str| changes.iter().filter(|change| change.contains(word)).count();
    assert_eq!((told("CurrentState=Installed"), told("X_SHG_Reason=interrupted")), (3, 1), "{changes:?}");
    let of = |name: &str| format!("https://registry.example/{name}:1");
    assert_eq!(asked(), ["cam", "door", "bell"].map(of), "each once, in order");
    assert!(desk.get(&["Device.LocalAgent.RequestNumberOfEntries"]).contains("=0"));
    assert!(desk.news.is_empty(), "and nothing more: {:?}", desk.news);
}
