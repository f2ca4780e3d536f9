//! Logs of services over USP: the last lines, those that came after a byte, and who may read them.
//!
//! In:  a controller on the box; a supervisor of the test's own, which holds a log. Out: what is answered.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use contract::control::Ask;
use stage::local::{Local, begin, word};

const DESK: &str = "self::desk";
const LOG: &str = "Device.SoftwareModules.ExecutionUnit.1.X_SHG_Log()";
/// What one message tells of all logs. Source: `agent::log::LOG_BYTES_MAX`.
const LIMIT: usize = 16 * 1024;

/// What a log says: its text, its first byte, the byte after its last.
fn said(answer: &str) -> (String, usize, usize) {
    let rest = answer
        .strip_prefix(LOG)
        .and_then(|rest| rest.strip_prefix("{From="))
        .unwrap_or_else(|| panic!("{answer}"));
    let (from, rest) = rest.split_once(" Log=").unwrap();
    let (text, next) = rest.rsplit_once(" Next=").unwrap();
    (text.to_owned(), from.parse().unwrap(), next.trim_end_matches('}').parse().unwrap())
}

#[test]
fn the_last_lines_are_read_and_what_comes_after() {
    let Some((house, _daemon)) =
        begin("the_last_lines_are_read_and_what_comes_after", &word(&[(DESK, "full")]))
    else {
        return;
    };
    let mut desk = Local::connect(DESK);
    assert_eq!(said(&desk.operate(LOG)), (String::new(), 0, 0), "it has written nothing");
    house.log.lock().unwrap().0.extend(b"one\ntwo\nthree\n");
    assert_eq!(said(&desk.operate(&format!("{LOG} Lines=2"))), ("two\nthree\n".to_owned(), 4, 14));
    assert_eq!(said(&desk.operate(&format!("{LOG} From=4 Lines=1"))), ("two\n".to_owned(), 4, 8));
    assert_eq!(said(&desk.operate(&format!("{LOG} From=14"))), (String::new(), 14, 14), "nothing new");
    house.log.lock().unwrap().0.extend(b"four\xff\n");
    assert_eq!(said(&desk.operate(&format!("{LOG} From=14"))), ("four\u{fffd}\n".to_owned(), 14, 20));
    // What the ring holds no more is left out, and that is seen.
    *house.log.lock().unwrap() = (b"late\n".to_vec(), 100);
    assert_eq!(said(&desk.operate(&format!("{LOG} From=20"))), ("late\n".to_owned(), 100, 105));
    // Another has come in its place: its log begins anew.
    *house.log.lock().unwrap() = (b"anew\n".to_vec(), 0);
    assert_eq!(said(&desk.operate(&format!("{LOG} From=105"))), ("anew\n".to_owned(), 0, 5));
    for nonsense in ["Lines=0", "Lines=1001", "Lines=many", "From=-1"] {
        assert_eq!(desk.operate(&format!("{LOG} {nonsense}")), format!("{LOG}!7027"), "{nonsense}");
    }
}

#[test]
fn a_message_is_bounded() {
    let Some((house, _daemon)) = begin("a_message_is_bounded", &word(&[(DESK, "full")])) else { return };
    let mut desk = Local::connect(DESK);
    let lines: Vec<String> = (0..4_000).map(|number| format!("line {number:05}\n")).collect();
    *house.log.lock().unwrap() = (lines.concat().into_bytes(), 0);
    let length = lines[0].len();
    let (text, from, next) = said(&desk.operate(&format!("{LOG} Lines=1000")));
    assert_eq!((text, from, next), (lines[3_000..].concat(), 3_000 * length, 4_000 * length));
    // Lines are whole, and none is lost between two pieces.
    let (mut read, mut at) = (String::new(), 0);
    while at < 4_000 * length {
        let (text, from, next) = said(&desk.operate(&format!("{LOG} From={at} Lines=1000")));
        assert!(text.len() <= LIMIT && from == at && text.ends_with('\n'), "{from} {next}");
        read.push_str(&text);
        at = next;
    }
    assert_eq!(read, lines.concat());
    // One that has never ended a line.
    *house.log.lock().unwrap() = (vec![b'x'; 40_000], 0);
    assert_eq!(said(&desk.operate(LOG)), ("x".repeat(LIMIT), 40_000 - LIMIT, 40_000));
    // All of them share what one message may hold: hello's is full, and for the other there is no room.
    house.more.lock().unwrap().push(stage::house::process("cam"));
    let all = "Device.SoftwareModules.ExecutionUnit.*.X_SHG_Log()";
    let answer = stage::until("the other is known", 10, || {
        let answer = desk.operate(all);
        answer.contains("ExecutionUnit.2.").then_some(answer)
    });
    assert!(
        answer.len() < LIMIT + 1_000 && answer.ends_with("ExecutionUnit.2.X_SHG_Log()!7005"),
        "{}",
        answer.len()
    );
    // The supervisor knows no log of it.
    let answer = desk.operate("Device.SoftwareModules.ExecutionUnit.2.X_SHG_Log()");
    assert!(answer.ends_with("!7022"), "{answer}");
}

/// A log holds what a service knows of the people at home: who may read the rest of the tree may not read it.
#[test]
fn who_may_not_execute_does_not_read_it() {
    let roles = "[[role]]\nname = 'looks'\nrules = [{ order = 1, targets = ['Device.'], rights = 'r--n' }]\n\
        [[role]]\nname = 'logs'\nrules = [{ order = 2, targets = ['Device.SoftwareModules.ExecutionUnit.*.X_SHG_Log()'], rights = '--x-' },\
        { order = 1, targets = ['Device.SoftwareModules.ExecutionUnit.'], rights = 'r---' }]\n";
    let word = word(&[("self::looks", "looks"), ("self::logs", "logs")]) + roles;
    let Some((house, _daemon)) = begin("who_may_not_execute_does_not_read_it", &word) else { return };
    house.log.lock().unwrap().0.extend(b"who was at home\n");
    let mut looks = Local::connect("self::looks");
    assert!(looks.get(&["Device.SoftwareModules.ExecutionUnit.1.Name"]).contains("hello"));
    assert_eq!(looks.operate(LOG), format!("{LOG}!7006"));
    assert!(
        !house.orders.lock().unwrap().iter().any(|ask| matches!(ask, Ask::Log { .. })),
        "nor is it fetched"
    );
    let mut logs = Local::connect("self::logs");
    assert_eq!(said(&logs.operate(LOG)).0, "who was at home\n");
    assert_eq!(
        logs.operate("Device.SoftwareModules.ExecutionUnit.1.Restart()").split('!').nth(1),
        Some("7006")
    );
}
