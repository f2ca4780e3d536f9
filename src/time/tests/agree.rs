//! Servers that we did not write (chronyd), and some that lie: whom the clock follows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use contract::clock::State;
use stage::{Stage, answer, enter, server, true_ns};
use time::servers::Servers;
use time::stamp::BUILT_S;

const PROGRAMS: [&str; 3] = ["ip", "chronyd", "dnsmasq"];
const HOUR_NS: i64 = 3_600_000_000_000;

#[test]
fn a_clock_of_1970_becomes_right() {
    if !enter("a_clock_of_1970_becomes_right", &PROGRAMS) {
        return;
    }
    let mut stage = Stage::new("right", Servers::default());
    let (said, _) = stage.said();
    assert!(said.state == State::Built && said.now_s - BUILT_S <= 1, "{said:?}");
    stage.chrony(1, "");
    stage.chrony(2, "");
    stage.names(&[
        ("pool.example", "192.0.2.1"),
        ("other.example", "192.0.2.2"),
        ("none.example", "127.0.0.1"),
    ]);
    stage.tell(&["pool.example", "other.example", "192.0.2.9", "none.example"], &[]);
    assert!(!stage.top.join("synchronized").exists());
    stage.until("a clock that is right", Stage::is_synchronized);
    assert!(stage.wrong_ms().abs() < 100, "{} ms", stage.wrong_ms());
    assert!(stage.top.join("synchronized").exists(), "who waits for the time is told");
    let (said, _) = stage.said();
    assert_eq!((said.state, said.stratum), (State::Synchronized, 3), "{said:?}");
    // From then on it is slewed, less and less often.
    let slews = stage.clock.0.borrow().slews;
    stage.until("less frequent questions", |stage| stage.said().1.iter().any(|source| source.poll_s >= 256));
    assert!(stage.clock.0.borrow().slews > slews);
    assert_eq!(stage.clock.0.borrow().sets, 2, "to the build's time, to the servers', and never again");
    assert!(stage.top.join("disk/clock").exists(), "the time is kept");
}

#[test]
fn one_of_three_lies_and_is_not_believed() {
    if !enter("one_of_three_lies_and_is_not_believed", &PROGRAMS) {
        return;
    }
    let mut stage = Stage::new("liar", Servers::default());
    stage.chrony(1, "");
    stage.chrony(2, "");
    // It answers at once and says that it is nearer to a reference clock than the others.
    server(3, |question, _| Some(answer(question, 1, b"GPS\0", true_ns() + HOUR_NS)));
    stage.tell(&["192.0.2.3", "192.0.2.1", "192.0.2.2"], &[]);
    stage.until("a clock that is right", Stage::is_synchronized);
    assert!(stage.wrong_ms().abs() < 100, "{} ms", stage.wrong_ms());
    stage.until("a verdict on each", |stage| {
        let (_, sources) = stage.said();
        sources.iter().all(|source| {
            let word = if source.address.as_str() == "192.0.2.3" { "false" } else { "believed" };
            source.verdict.as_str() == word
        })
    });
}

#[test]
fn two_that_contradict_each_other_are_not_believed() {
    if !enter("two_that_contradict_each_other_are_not_believed", &PROGRAMS) {
        return;
    }
    let mut stage = Stage::new("two", Servers::default());
    server(1, |question, _| Some(answer(question, 1, b"GPS\0", true_ns() + HOUR_NS)));
    server(2, |question, _| Some(answer(question, 1, b"GPS\0", true_ns())));
    stage.tell(&["192.0.2.1", "192.0.2.2"], &[]);
    stage.until("a word of that", |stage| stage.said().0.reason.contains("contradict"));
    assert!(!stage.is_synchronized() && stage.clock.0.borrow().sets == 1);
    // A third decides.
    server(3, |question, _| Some(answer(question, 1, b"GPS\0", true_ns())));
    stage.tell(&["192.0.2.1", "192.0.2.2", "192.0.2.3"], &[]);
    stage.until("a clock that is right", Stage::is_synchronized);
    assert!(stage.wrong_ms().abs() < 100, "{} ms", stage.wrong_ms());
}

#[test]
fn what_a_server_wishes_is_done() {
    if !enter("what_a_server_wishes_is_done", &PROGRAMS) {
        return;
    }
    let mut stage = Stage::new("kisses", Servers::default());
    stage.chrony(1, "");
    let denied = server(2, |question, _| Some(answer(question, 0, b"DENY", true_ns())));
    let restricted = server(3, |question, _| Some(answer(question, 0, b"RSTR", true_ns())));
    server(4, |question, count| {
        let slower = count == 2;
        Some(answer(question, u8::from(!slower), if slower { b"RATE" } else { b"GPS\0" }, true_ns()))
    });
    // It answers a question that nobody has asked, as somebody would who does not see ours.
    let blind =
        server(5, |question, _| Some(answer(&vec![0; question.len()], 1, b"GPS\0", true_ns() + HOUR_NS)));
    stage.tell(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"], &[]);
    stage.until("a clock that is right", Stage::is_synchronized);
    stage.until("five questions to the blind one", |_| *blind.lock().unwrap() >= 5);
    assert_eq!((*denied.lock().unwrap(), *restricted.lock().unwrap()), (1, 1), "never again");
    let (_, sources) = stage.said();
    let of = |address: &str| sources.iter().find(|source| source.address.as_str() == address).unwrap();
    assert_eq!(of("192.0.2.2").verdict.as_str(), "will not answer");
    assert_eq!(of("192.0.2.5").verdict.as_str(), "no answer");
    assert!(of("192.0.2.4").poll_s >= 128, "{:?}", of("192.0.2.4"));
    assert!(stage.wrong_ms().abs() < 100, "{} ms", stage.wrong_ms());
    // Told anew, they are asked anew: it is the operator who says so.
    stage.tell(&["192.0.2.1"], &[]);
    stage.tell(&["192.0.2.1", "192.0.2.2"], &[]);
    stage.until("another question", |_| *denied.lock().unwrap() == 2);
}
