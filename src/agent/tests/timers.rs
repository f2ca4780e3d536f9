//! What a controller hears later: timers, and thresholds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use stage::local::{Local, operate, word};
use stage::{House, Program, daemon, disk, enter, until};
use usp::message::RequestKind;

const DESK: &str = "self::desk";
const OTHER: &str = "self::other";
const TIMER: &str = "Device.ScheduleTimer()";
const THRESHOLD: &str = "Device.LocalAgent.Threshold.";
const PERIOD: &str = "Device.LocalAgent.Controller.2. PeriodicNotifInterval*=";

fn begin(test: &str) -> Option<(House, Program, Local)> {
    if !enter(test) {
        return None;
    }
    disk();
    let (house, first) = (House::begin(), again());
    let mut desk = Local::connect(DESK);
    hear(&mut desk, "end", "OperationComplete", "Device.");
    hear(&mut desk, "met", "Event", "Device.LocalAgent.Threshold.*.Triggered!");
    Some((house, first, desk))
}

fn again() -> Program {
    daemon(&word(&[(DESK, "full"), (OTHER, "full")]))
}

fn hear(local: &mut Local, id: &str, kind: &str, reference: &str) {
    let line = format!(
        "Device.LocalAgent.Subscription. ID={id} NotifType={kind} ReferenceList={reference} Enable=true Persistent=true NotifRetry=true"
    );
    assert!(local.add(false, &[&line]).contains(id));
}

/// What was answered is on the disk before the next question is.
fn kept(local: &mut Local) {
    assert!(local.get(&["Device.LocalAgent.EndpointID"]).contains("EndpointID"));
}

#[test]
fn a_timer_ends_once() {
    let Some((_house, first, mut desk)) = begin("a_timer_ends_once") else { return };
    for line in [TIMER.to_owned(), format!("{TIMER} DelaySeconds=0"), format!("{TIMER} DelaySeconds=soon")] {
        assert!(desk.operate(&line).contains("!7027"), "{line}");
    }
    let begun = desk.ask(RequestKind::Operate(operate(&format!("{TIMER} DelaySeconds=1"), "short", true)));
    assert!(begun.contains("Request."), "{begun}");
    assert_eq!(desk.hear("end"), format!("{TIMER} short{{}}"));
    let begun =
        desk.ask(RequestKind::Operate(operate(&format!("{TIMER} DelaySeconds=4294967295"), "long", true)));
    let row = begun.rsplit_once(' ').unwrap().1.to_owned();
    assert_eq!(desk.operate(&format!("{row}Cancel()")), format!("{row}Cancel(){{}}"));
    assert_eq!(desk.hear("end"), format!("{TIMER} long!7023"));
    // The agent dies as soon as it has answered: the short one is told once, and the long one goes on.
    for (seconds, key) in [(3, "next"), (3_600, "hour")] {
        desk.ask(RequestKind::Operate(operate(&format!("{TIMER} DelaySeconds={seconds}"), key, true)));
    }
    drop((desk, first));
    let _second = again();
    let mut desk = Local::connect(DESK);
    assert_eq!(desk.hear("end"), format!("{TIMER} next{{}}"));
    let left = desk.get(&["Device.LocalAgent.Request.*.CommandKey"]);
    assert!(left.contains("CommandKey=hour") && !left.contains("next"), "{left}");
    assert!(desk.news.is_empty(), "{:?}", desk.news);
}

#[test]
fn a_threshold_is_told_when_it_is_met() {
    let Some((_house, first, mut desk)) = begin("a_threshold_is_told_when_it_is_met") else { return };
    let mut other = Local::connect(OTHER);
    hear(&mut other, "met", "Event", "Device.LocalAgent.Threshold.*.Triggered!");
    let reference = "ReferencePath*=Device.LocalAgent.Controller.2.";
    for line in [
        "ReferencePath*=Device.Nothing.",
        "ReferencePath*=Device.LocalAgent.Controller.2.PeriodicNotifInterval",
        "ThresholdValue*=much",
        "ThresholdOperator*=Near",
        &format!("{reference} ThresholdParam*=EndpointID"),
        "ThresholdParam*=PeriodicNotifInterval ReferencePath*=Device.DeviceInfo.",
    ] {
        assert!(desk.add(false, &[&format!("{THRESHOLD} {line}")]).starts_with("error 7021"), "{line}");
    }
    let met = |more: &str| {
        format!(
            "{THRESHOLD} {reference} ThresholdParam*=PeriodicNotifInterval ThresholdValue*=100000 Enable=true{more}"
        )
    };
    let made = desk.add(false, &[&met("")]);
    let row = made.split_once('{').unwrap().0.to_owned();
    assert_eq!(
        desk.get(&[&format!("{row}Controller")]),
        format!("{row}{{Controller=Device.LocalAgent.Controller.1}}")
    );
    let told = |row: &str, value: u32| {
        format!(
            "{row}Triggered!{{ParamPath=Device.LocalAgent.Controller.2.PeriodicNotifInterval ParamValue={value}}}"
        )
    };
    for value in [200_000, 300_000, 90_000, 100_000, 150_000] {
        desk.set(false, &[&format!("{PERIOD}{value}")]);
    }
    assert_eq!((desk.hear("met"), desk.hear("met")), (told(&row, 200_000), told(&row, 150_000)));
    // Who has not made it hears nothing of it, and who falls is not who rises.
    desk.set(false, &[&format!("{row} OperatingMode*=Single ThresholdOperator*=Fall")]);
    for value in [1_000, 200_000, 1_000] {
        desk.set(false, &[&format!("{PERIOD}{value}")]);
    }
    assert_eq!(desk.hear("met"), told(&row, 1_000));
    assert_eq!(desk.get(&[&format!("{row}Enable")]), format!("{row}{{Enable=false}}"), "once");
    assert!(other.get(&["Device.LocalAgent.EndpointID"]).contains("EndpointID") && other.news.is_empty());
    // So many, and no more.
    let more: Vec<String> = (0..8).map(|_| met("")).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    assert_eq!(desk.add(true, &more).matches("!7005").count(), 1);
    assert!(!other.add(true, &[&met("")]).contains('!'), "another may have some, too");
    // They outlive the agent.
    desk.set(false, &[&format!("{row} OperatingMode*=Normal ThresholdOperator*=Rise Enable*=true")]);
    let rest: Vec<String> =
        (1..=9).map(|number| format!("{THRESHOLD}{number}.")).filter(|one| *one != row).collect();
    desk.delete(true, &rest.iter().map(String::as_str).collect::<Vec<_>>());
    kept(&mut desk);
    drop((desk, other, first));
    let _second = again();
    let mut desk = Local::connect(DESK);
    desk.news.clear();
    desk.set(false, &[&format!("{PERIOD}170000")]);
    assert_eq!(desk.hear("met"), told(&row, 170_000));
    what_moves(&mut desk);
}

/// What moves all the time is looked at by itself.
fn what_moves(desk: &mut Local) {
    let now = desk.get(&["Device.DeviceInfo.UpTime"]);
    let now: u64 = now.split_once('=').unwrap().1.trim_end_matches('}').parse().unwrap();
    let line = format!(
        "{THRESHOLD} ReferencePath*=Device.DeviceInfo. ThresholdParam*=UpTime ThresholdValue*={} Enable=true",
        now + 2
    );
    assert!(desk.add(false, &[&line]).contains("Alias"));
    let told = until("it is met", 30, || {
        desk.get(&["Device.LocalAgent.EndpointID"]);
        desk.news.pop()
    });
    assert!(stage::local::news(&told.1).contains("ParamPath=Device.DeviceInfo.UpTime"), "{told:?}");
}
