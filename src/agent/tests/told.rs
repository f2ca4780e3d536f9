//! What happens to services is told, though nobody asks: promises that were not kept, starts that were skipped.
//!
//! In:  a supervisor that a test plays. Out: events and changed values as a controller hears them that we did not write.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::sync::atomic::Ordering;

use contract::control::State;
use contract::sla::{Breach, Cause, What};
use serde_json::json;
use stage::{Desk, House, broker, connected, enter, word};

/// A service that is still at work when its time of the day comes is not started for it, and whoever runs it hears of that.
#[test]
fn a_start_that_was_skipped_is_an_event_of_its_service() {
    if !enter("a_start_that_was_skipped_is_an_event_of_its_service") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let wish = json!({"ID": "skipped", "NotifType": "Event", "Enable": "true",
        "ReferenceList": "Device.SoftwareModules.ExecutionUnit.1.X_SHG_StartSkipped!"});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    house.happens(1 << 40, "nobody", What::StartSkipped(State::Up));
    house.happens((1 << 40) + 1, "hello", What::StartSkipped(State::Up));
    let told = desk.notice();
    assert_eq!(told["notice"]["eventName"], "X_SHG_StartSkipped!", "{told}");
    assert_eq!(told["notice"]["objPath"], "Device.SoftwareModules.ExecutionUnit.1.", "{told}");
    assert_eq!(told["notice"]["params"]["State"], "up", "{told}");
}

/// Nobody asks the supervisor how promises were kept: it says so.
#[test]
fn a_breach_is_a_changed_value_though_nobody_asks() {
    if !enter("a_breach_is_a_changed_value_though_nobody_asks") {
        return;
    }
    let (_broker, house, _daemon) = (broker(""), House::begin(), connected(&word("")));
    let mut desk = Desk::connect(&json!({}));
    let path = "Device.SoftwareModules.ExecutionUnit.1.X_SHG_Compliance.Breaches";
    let wish = json!({"ID": "breaches", "NotifType": "ValueChange", "Enable": "true", "ReferenceList": path});
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    let before = desk.call("get", &json!([path])).to_string();
    assert!(before.contains("\"0\""), "{before}");
    let polled = house.polled.load(Ordering::SeqCst);
    house.breaks(Breach { at_ms: 1 << 40, cause: Cause::UplinkFull, promised: 100, got: 50 });
    let told = desk.notice();
    assert_eq!(told["notice"]["valueChange"]["paramPath"], path, "{told}");
    assert_eq!(told["notice"]["valueChange"]["paramValue"], "1", "{told}");
    assert_eq!(house.polled.load(Ordering::SeqCst), polled, "it was asked");
}
