//! Services that start at times of the day, in the house's real tables, with a clock that is played.
//!
//! In:  what the clock says, ends, orders, lives of ours. Out: one start for each time that comes, and no other.
//!
//! Not here: when the next time is (`schedule.rs`).

use contract::Name;
use contract::control::{self, Exit, State};
use contract::installed::{Ask, Service};
use contract::manifest::{Manifest, Restart, TimeOfDay};
use contract::sla::{Event as Told, What as Happened};
use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

use super::played::set_wall;
use super::{World, manifest};
use crate::life::Event;
use crate::schedule::{next_s, spread_s};

const DAY_S: u64 = 86_400;
/// A day's midnight, UTC.
const MIDNIGHT_S: u64 = 1_795_737_600;
const THREE_S: u64 = MIDNIGHT_S + 3 * 3_600;
/// Half past three.
const DUE_S: u64 = THREE_S + 1_800;

fn time(text: &str) -> TimeOfDay {
    text.parse().unwrap()
}

fn night(times: &[&str], autostart: bool) -> Ask {
    let start_at = times.iter().map(|text| time(text)).collect();
    let manifest = Manifest { restart: Restart::OnFailure, autostart, start_at, ..manifest("night") };
    Ask::Service(Service { manifest, image: [1; 32], version: 1 })
}

impl World {
    fn with_night(times: &[&str], autostart: bool) -> Self {
        let mut world = Self::new();
        world.talk(&[Ask::All, night(times, autostart)]);
        world
    }

    fn night(&self) -> control::Process {
        self.house.processes[self.place("night").unwrap()].row()
    }

    /// The spread of its slot.
    fn spread(&self) -> u64 {
        spread_s(self.house.processes[self.place("night").unwrap()].slot().unwrap())
    }

    /// The clock says this. Its state then.
    fn says(&mut self, wall_s: u64) -> State {
        set_wall(Some(wall_s));
        self.rest();
        self.night().state
    }

    fn ends(&mut self, exit: Exit) {
        let place = self.place("night").unwrap();
        self.house.bury(place, exit);
        self.rest();
    }
}

const DONE: Exit = Exit::Code(0);

#[test]
fn it_starts_when_the_clock_says_so_and_once() {
    let mut world = World::with_night(&["03:30"], true);
    assert_eq!((world.night().state, world.night().next_ms), (State::Down, None), "nobody knows the time");
    let spread = world.spread();
    assert!(spread > 0, "it is not in the first slot");
    assert_eq!(world.says(THREE_S), State::Down);
    let in_ms = world.night().next_ms.unwrap().saturating_sub(sys::clock::boot_ms());
    assert!(in_ms.abs_diff((1_800 + spread) * 1_000) < 10_000, "{in_ms}");
    assert_eq!(world.says(DUE_S + spread - 1), State::Down, "not a second before its own");
    assert_eq!(world.says(DUE_S + spread), State::Up);
    assert_eq!(world.night().next_ms, None);
    world.ends(DONE);
    assert_eq!(world.night().state, State::Down);
    // Back over that time and on again, and days on.
    for (wall_s, state) in [
        (DUE_S + spread, State::Down),
        (DUE_S - 60, State::Down),
        (DUE_S + spread + 1, State::Down),
        (DUE_S + 9 * DAY_S, State::Up),
    ] {
        assert_eq!(world.says(wall_s), state, "{wall_s}");
    }
    world.ends(DONE);
    assert_eq!(
        world.says(DUE_S + 9 * DAY_S + 59),
        State::Up,
        "nine days at once were one start, at its second"
    );
}

#[test]
fn a_time_that_was_before_the_clock_was_believed_is_not_made_up_for() {
    let mut world = World::with_night(&["03:30"], true);
    for wall_s in [DUE_S + 60, DUE_S + DAY_S - 1] {
        assert_eq!(world.says(wall_s), State::Down, "{wall_s}");
    }
    assert_eq!(world.says(DUE_S + DAY_S + 59), State::Up);
}

#[test]
fn one_that_still_runs_has_that_time_passed_over() {
    let mut world = World::with_night(&["03:30", "04:30"], true);
    world.says(THREE_S);
    assert_eq!(world.says(DUE_S + 59), State::Up);
    let pid = world.pid("night");
    let skipped = |world: &World| -> Vec<State> {
        let skipped = |event: &Told| match event.what {
            Happened::StartSkipped(state) => Some(state),
            Happened::State(_) | Happened::Breach(_) | Happened::Damaged(_) => None,
        };
        world.house.events.last().filter_map(skipped).collect()
    };
    assert_eq!(skipped(&world), []);
    assert_eq!((world.says(DUE_S + 3_659), world.pid("night")), (State::Up, pid));
    assert_eq!(skipped(&world), [State::Up], "it is told");
    world.ends(DONE);
    assert_eq!(world.says(DUE_S + 3_700), State::Down, "it is not made up for");
    assert_eq!(world.says(DUE_S + DAY_S + 59), State::Up);
}

#[test]
fn an_order_to_stop_ends_its_times_and_an_order_to_start_begins_them() {
    let name = || Name::new("night").unwrap();
    let mut world = World::with_night(&["03:30"], false);
    world.says(THREE_S);
    assert_eq!(world.says(DUE_S + 59), State::Down, "it does not start by itself");
    assert_eq!(world.night().next_ms, None);
    assert!(world.order(&control::Ask::Start(name())));
    world.rest();
    assert_eq!(world.night().state, State::Up, "at once");
    world.ends(DONE);
    assert!(world.night().next_ms.is_some());
    assert_eq!(world.says(DUE_S + DAY_S + 59), State::Up);
    world.ends(DONE);
    assert!(world.order(&control::Ask::Stop(name())));
    world.rest();
    assert_eq!(world.night().next_ms, None);
    assert_eq!(world.says(DUE_S + 2 * DAY_S + 59), State::Down);
    // The time that passed meanwhile has passed.
    assert!(world.order(&control::Ask::Start(name())));
    world.rest();
    world.ends(DONE);
    assert_eq!((world.night().state, world.says(DUE_S + 2 * DAY_S + 99)), (State::Down, State::Down));
    assert_eq!(world.says(DUE_S + 3 * DAY_S + 59), State::Up);
}

#[test]
fn one_that_has_failed_begins_anew_at_its_next_time() {
    let mut world = World::with_night(&["03:30"], true);
    world.says(THREE_S);
    world.says(DUE_S + 59);
    let place = world.place("night").unwrap();
    world.house.happen(place, Event::Broken);
    world.rest();
    assert_eq!(world.night().state, State::Failed);
    assert!(world.night().next_ms.is_some());
    assert_eq!(world.says(DUE_S + DAY_S + 59), State::Up);
    // One that ends with a fault comes back as its manifest says, and that is no time of the day.
    world.ends(Exit::Code(1));
    assert_eq!(world.night().state, State::Up);
}

#[test]
fn a_life_of_ours_that_ends_loses_no_time_and_brings_none_again() {
    let mut world = World::with_night(&["03:30"], true);
    world.says(THREE_S);
    // It came while nobody was there.
    set_wall(Some(DUE_S + 59));
    world.next_life(None);
    world.rest();
    assert_eq!(world.night().state, State::Up);
    world.ends(DONE);
    world.next_life(None);
    assert_eq!(world.says(DUE_S + 60), State::Down);
    assert_eq!(world.says(DUE_S - 60), State::Down);
    world.next_life(None);
    assert_eq!(world.says(DUE_S + 59), State::Down, "what has come is kept, too");
    // Killed between the word that its time has come and its start.
    set_wall(Some(DUE_S + DAY_S + 59));
    world.house.mind_times();
    world.keep();
    world.next_life(None);
    world.rest();
    assert_eq!(world.night().state, State::Up);
}

#[test]
fn another_version_has_times_of_its_own() {
    let mut world = World::with_night(&["03:30"], true);
    world.says(THREE_S);
    let Ask::Service(service) = night(&["05:00"], true) else { panic!() };
    let newer = Ask::Service(Service { image: [2; 32], version: 2, ..service });
    world.talk(&[night(&["03:30"], true), Ask::All, newer]);
    assert_eq!(world.says(DUE_S + 59), State::Down);
    assert_eq!(world.says(MIDNIGHT_S + 5 * 3_600 + 59), State::Up);
}

/// What may happen in a long story.
#[derive(Debug, Clone)]
enum Happens {
    Clock { back: bool, step_s: u64 },
    Ends,
    Stop,
    Start,
    Life,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (prop::bool::weighted(0.2), 0..DAY_S).prop_map(|(back, step_s)| Happens::Clock { back, step_s }),
        3 => Just(Happens::Ends),
        1 => Just(Happens::Stop),
        1 => Just(Happens::Start),
        2 => Just(Happens::Life),
    ]
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]

    /// Beside a few lines that say the same: it runs if, and only if, one of them has begun it, in whatever order things happen.
    #[test]
    fn in_no_order_of_events_is_a_start_lost_or_made_up(story in prop::collection::vec(happens(), 1..40)) {
        let name = || Name::new("night").unwrap();
        let texts = ["03:30", "15:30"];
        let times = texts.map(time);
        let mut world = World::with_night(&texts, true);
        let spread = world.spread();
        let next = |now_s, last_s| next_s(now_s, last_s, &times, spread).unwrap();
        let mut now_s = MIDNIGHT_S + 40 * DAY_S;
        world.says(now_s);
        let (mut scheduled, mut runs, mut last_s) = (true, false, None);
        let mut due_s = next(now_s, last_s);
        for what in story {
            match what {
                Happens::Clock { back, step_s } => {
                    now_s = if back { now_s - step_s } else { now_s + step_s };
                    world.says(now_s);
                    if scheduled && due_s <= now_s {
                        (runs, last_s) = (true, Some(now_s));
                    }
                }
                Happens::Ends => {
                    if runs {
                        world.ends(DONE);
                    }
                    runs = false;
                }
                Happens::Stop => {
                    assert!(world.order(&control::Ask::Stop(name())));
                    world.rest();
                    (scheduled, runs) = (false, false);
                }
                Happens::Start => {
                    assert!(world.order(&control::Ask::Start(name())));
                    world.rest();
                    (scheduled, runs) = (true, true);
                }
                Happens::Life => {
                    world.next_life(None);
                    world.rest();
                }
            }
            if scheduled {
                due_s = next(now_s, last_s);
            }
            let state = world.night().state;
            assert_eq!(state, if runs { State::Up } else { State::Down }, "at {now_s}, next {due_s}");
        }
    }
}
