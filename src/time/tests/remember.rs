//! What is remembered over a boot: the last time, and the oscillator's error.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::PathBuf;

use contract::clock::{Answer, Clock, State};
use stage::Wrong;
use state::Folder;
use time::engine::Engine;
use time::kept::{Keeper, Kept};
use time::servers::Servers;
use time::stamp::BUILT_S;

/// A place for the disk and for the file that says that the clock is right.
struct Top(PathBuf);

impl Top {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("shg-time-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(&top).unwrap();
        Self(top)
    }

    fn keeper(&self) -> Keeper {
        Keeper::new(&Folder::at(&self.0.join("disk")))
    }

    fn boot(&self, clock: &Wrong) -> Engine<Wrong> {
        Engine::new(clock.clone(), Servers::default(), self.keeper(), &self.0.join("synchronized"))
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(engine: &Engine<Wrong>) -> Clock {
    let mut answers = engine.answers(0).into_iter();
    let Some(Answer::Clock(clock)) = answers.next() else { unreachable!("the clock comes first") };
    clock
}

#[test]
fn the_clock_begins_at_the_later_of_build_and_last_time() {
    // What the clock says, what was kept (both after the build, in seconds); what it says then.
    let table: &[(&str, i64, Option<i64>, i64, State)] = &[
        ("1970, nothing kept", -BUILT_S, None, 0, State::Built),
        ("1970, kept", -BUILT_S, Some(9_000), 9_000, State::Remembered),
        ("kept before the build", -BUILT_S, Some(-9_000), 0, State::Built),
        ("a clock that runs on", 20_000, Some(9_000), 20_000, State::Built),
        ("a clock of another century", 5_000_000_000, None, 0, State::Built),
        ("kept in another century", -BUILT_S, Some(1 << 33), 0, State::Built),
        ("beyond 2038", 400_000_000, None, 400_000_000, State::Built),
    ];
    for (name, clock_s, kept_s, want_s, state) in table {
        let top = Top::new("begin");
        fs::create_dir(top.0.join("disk")).unwrap();
        if let Some(kept_s) = kept_s {
            assert!(top.keeper().save(Kept { now_s: BUILT_S + kept_s, frequency_ppb: 1_234 }));
        }
        let clock = Wrong::at(BUILT_S + clock_s);
        let mut engine = top.boot(&clock);
        engine.turn(0);
        let said = said(&engine);
        assert_eq!(said.state, *state, "{name}");
        assert!((0..=2).contains(&(said.now_s - BUILT_S - want_s)), "{name}: {said:?}");
        let kept = top.keeper().load().unwrap().unwrap();
        assert!((0..=2).contains(&(kept.now_s - BUILT_S - want_s)), "{name}: and that is kept");
    }
}

#[test]
fn a_disk_that_comes_late_is_asked_then() {
    let top = Top::new("late");
    let clock = Wrong::at(0);
    let mut engine = top.boot(&clock);
    engine.turn(0);
    assert_eq!(said(&engine).state, State::Built);
    fs::create_dir(top.0.join("disk")).unwrap();
    top.keeper().save(Kept { now_s: BUILT_S + 9_000, frequency_ppb: -700_000 });
    engine.turn(1_000);
    assert_eq!(said(&engine).state, State::Built, "not yet due");
    engine.turn(2_000);
    assert_eq!(said(&engine).state, State::Remembered);
    assert_eq!(said(&engine).frequency_ppb, -500_000, "within what a kernel takes");
    assert_eq!(engine.due_ms(), Some(2_000 + 3_600_000), "from now on every hour");
}

#[test]
fn a_clock_that_an_earlier_life_has_set_is_left_alone() {
    let top = Top::new("set");
    fs::create_dir(top.0.join("disk")).unwrap();
    fs::write(top.0.join("synchronized"), "").unwrap();
    top.keeper().save(Kept { now_s: BUILT_S + 9_000, frequency_ppb: 5 });
    let clock = Wrong::at(BUILT_S + 100);
    let mut engine = top.boot(&clock);
    engine.turn(0);
    let said = said(&engine);
    assert_eq!((said.state, said.frequency_ppb), (State::Synchronized, 0));
    assert_eq!(clock.0.borrow().sets, 0);
}
