//! A Set that cuts the gateway off from its controller undoes itself: on the real network of a guest, by a controller that we did not write.
//!
//! In:  the test root with an operator's word, mosquitto, docker-registry, usp-js. Out: passed, failed, or `skipped: ` and why.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::controller::Controller;
use lab::error::Error;
use lab::facts;
use lab::guest::{Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::operator::{DESK, Operator};
use serde_json::json;

/// How long a change is on trial, in seconds.
const TRIAL_S: &str = "confirm_within_s = 20\n";
const VLAN: &str = "Device.IP.Interface.1.X_SHG_VLANID";
/// There is nobody in it.
const WRONG: &str = "77";

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

fn says(guest: &mut Guest, words: &str) {
    let told = guest.until(words, UP_LIMIT, |guest| {
        let log = facts::log(guest, "agent")?;
        Ok(log.iter().any(|line| line.contains(words)).then_some(()))
    });
    assert!(told.is_ok(), "{:?}\n{}", facts::log(guest, "agent"), guest.last_lines());
}

#[test]
fn a_change_that_cuts_the_line_is_taken_back() {
    let scratch = Scratch::new().unwrap();
    let Some(operator) = here(Operator::start(&scratch.file("operator"))) else { return };
    let word = |(path, bytes): (&'static str, Vec<u8>)| {
        let trial = if path.ends_with("agent.toml") { TRIAL_S.as_bytes() } else { &[] };
        (path.to_owned(), [trial, &bytes].concat())
    };
    let files = operator.texts(DESK).unwrap().into_iter().map(word).collect();
    let Some(mut guest) = Guest::boot(&Options { files, ..Options::usual().unwrap() }).unwrap() else {
        return;
    };
    facts::wait_all_up(&mut guest).unwrap();
    says(&mut guest, ": connected");
    let endpoint = guest.json("identity --json").unwrap()["endpoint"].as_str().unwrap().to_owned();
    let Some(mut controller) = here(Controller::start(operator.broker_port(), &endpoint)) else { return };
    let wish = json!({
        "ID": "back", "NotifType": "Event", "ReferenceList": "Device.X_SHG_Network.Reverted!", "Enable": "true",
        "Persistent": "true", "NotifRetry": "true",
    });
    controller.good("add", &json!(["Device.LocalAgent.Subscription.", wish])).unwrap();
    assert_eq!(controller.good("get", &json!([VLAN])).unwrap(), "0");
    // The WAN is another link from now on, and the provider is not at its end: no word goes to the controller's side, nor comes from it.
    controller.begin("set", &json!([VLAN, WRONG])).unwrap();
    guest.until("the WAN is cut", UP_LIMIT, |guest| Ok(facts::wan(guest)?.is_none().then_some(()))).unwrap();
    says(&mut guest, "was taken back: its controller did not come back");
    // It is heard again, answers what it was asked before, tells what it did, and all is as it was.
    assert!(controller.answer().unwrap().is_ok());
    controller.told("back", &["Reverted!", "did not come back"], UP_LIMIT).unwrap();
    assert_eq!(controller.good("get", &json!([VLAN])).unwrap(), "0");
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
}
