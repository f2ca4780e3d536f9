//! The life of a process: what follows which event in which state.
//!
//! In:  a state and an event. Out: the next state and what to do. Pure; every pair is written out.
//!
//! Not here: when an event happens (`turn.rs`), how an act is done (`start.rs`).

use contract::control::State;
use contract::restart::{DELAY_GROWTH, DELAY_MS_MAX, DELAY_MS_MIN};

/// What can happen to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It is to run.
    Want,
    /// It is to end.
    Unwant,
    /// What it needs is there: its image, its link.
    Prepared,
    /// Somebody whom it needs said no; later he may say yes.
    Refused,
    /// It can never run like this: a layer is missing, or it missed its deadline too often.
    Broken,
    /// It said that it is ready.
    Ready,
    /// It ended by itself and is to run again.
    Died,
    /// It ended by itself and that was all.
    Finished,
    /// The time of this state is over.
    Timeout,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Rest,
    /// Ask for what it needs.
    Prepare,
    /// Make the process.
    Start,
    /// Ask it to end, and set a time for that.
    Stop,
    /// End it, and all that it has started.
    Kill,
    /// Set the time of its next start.
    Delay,
}

/// Returns what follows `event` in `state`.
#[must_use]
pub fn next(state: State, event: Event) -> (State, Act) {
    use {Act as A, Event as E, State as S};
    match (state, event) {
        (S::Down | S::Failed, E::Want) => (S::Preparing, A::Prepare),
        (S::Down, _) => (S::Down, A::Rest),

        (S::Preparing, E::Prepared) => (S::Starting, A::Start),
        (S::Preparing, E::Refused | E::Timeout) => (S::Waiting, A::Delay),
        (S::Preparing, E::Broken) => (S::Failed, A::Rest),
        (S::Preparing, E::Unwant) => (S::Down, A::Rest),
        (S::Preparing, E::Want | E::Ready | E::Died | E::Finished) => (S::Preparing, A::Rest),

        (S::Starting, E::Ready) => (S::Up, A::Rest),
        (S::Starting, E::Timeout) => (S::Returning, A::Kill),
        (S::Starting | S::Up, E::Broken) => (S::Failed, A::Kill),
        (S::Starting | S::Up, E::Unwant) => (S::Ending, A::Stop),
        (S::Starting | S::Up, E::Died) => (S::Waiting, A::Delay),
        (S::Starting | S::Up, E::Finished) => (S::Down, A::Rest),
        (S::Starting, E::Refused) => (S::Waiting, A::Delay), // It could not even be made.
        (S::Starting, E::Want | E::Prepared) => (S::Starting, A::Rest),
        (S::Up, E::Want | E::Prepared | E::Refused | E::Ready | E::Timeout) => (S::Up, A::Rest),

        (S::Ending, E::Died | E::Finished) => (S::Down, A::Rest),
        (S::Ending, E::Timeout) => (S::Ending, A::Kill),
        (S::Ending, E::Want) => (S::Returning, A::Rest), // Up again once it is gone.
        (S::Ending, E::Unwant | E::Prepared | E::Refused | E::Broken | E::Ready) => (S::Ending, A::Rest),

        (S::Returning, E::Died | E::Finished) => (S::Preparing, A::Prepare),
        (S::Returning, E::Timeout) => (S::Returning, A::Kill),
        (S::Returning, E::Unwant) => (S::Ending, A::Rest),
        (S::Returning, E::Want | E::Prepared | E::Refused | E::Broken | E::Ready) => (S::Returning, A::Rest),

        (S::Waiting, E::Timeout | E::Want) => (S::Preparing, A::Prepare), // Who asks does not wait.
        (S::Waiting, E::Unwant) => (S::Down, A::Rest),
        (S::Waiting, E::Broken) => (S::Failed, A::Rest),
        (S::Waiting, E::Prepared | E::Refused | E::Ready | E::Died | E::Finished) => (S::Waiting, A::Rest),

        (S::Failed, E::Unwant) => (S::Down, A::Rest),
        (S::Failed, E::Prepared | E::Refused | E::Broken | E::Ready | E::Died | E::Finished | E::Timeout) => {
            (S::Failed, A::Rest)
        }
    }
}

/// Deaths within this time are a crowd, in milliseconds.
pub const CROWD_MS: u64 = 10_000;

/// How long to wait before the next start, in milliseconds: not at all after the first two deaths within [`CROWD_MS`], then
/// [`DELAY_MS_MIN`], and [`DELAY_GROWTH`] times as long each time up to [`DELAY_MS_MAX`].
#[must_use]
pub fn delay_ms(deaths_in_a_row: u32) -> u64 {
    match deaths_in_a_row {
        0..=2 => 0,
        more => DELAY_MS_MIN.saturating_mul(DELAY_GROWTH.saturating_pow(more - 3)).min(DELAY_MS_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{Act, Event, State, delay_ms, next};

    const EVENTS: [Event; 9] = [
        Event::Want,
        Event::Unwant,
        Event::Prepared,
        Event::Refused,
        Event::Broken,
        Event::Ready,
        Event::Died,
        Event::Finished,
        Event::Timeout,
    ];

    #[test]
    fn a_story_ends_where_it_should() {
        use {Act as A, Event as E, State as S};
        // name, events in order, state and act after the last one
        let table: &[(&str, &[Event], State, Act)] = &[
            ("start", &[E::Want, E::Prepared], S::Starting, A::Start),
            ("ready", &[E::Want, E::Prepared, E::Ready], S::Up, A::Rest),
            ("crash", &[E::Want, E::Prepared, E::Ready, E::Died], S::Waiting, A::Delay),
            (
                "crash and return",
                &[E::Want, E::Prepared, E::Ready, E::Died, E::Timeout],
                S::Preparing,
                A::Prepare,
            ),
            (
                "crash, and asked again",
                &[E::Want, E::Prepared, E::Ready, E::Died, E::Want],
                S::Preparing,
                A::Prepare,
            ),
            ("crash, then off", &[E::Want, E::Prepared, E::Died, E::Unwant], S::Down, A::Rest),
            ("polite stop", &[E::Want, E::Prepared, E::Ready, E::Unwant, E::Died], S::Down, A::Rest),
            ("stubborn stop", &[E::Want, E::Prepared, E::Ready, E::Unwant, E::Timeout], S::Ending, A::Kill),
            ("off and on", &[E::Want, E::Prepared, E::Unwant, E::Want, E::Died], S::Preparing, A::Prepare),
            ("never ready", &[E::Want, E::Prepared, E::Timeout], S::Returning, A::Kill),
            ("never, ever ready", &[E::Want, E::Prepared, E::Broken], S::Failed, A::Kill),
            ("failed, and asked again", &[E::Want, E::Broken, E::Want], S::Preparing, A::Prepare),
            ("did its work", &[E::Want, E::Prepared, E::Ready, E::Finished], S::Down, A::Rest),
            ("late timer", &[E::Want, E::Prepared, E::Ready, E::Timeout], S::Up, A::Rest),
        ];
        for (name, events, state, act) in table {
            let end = events.iter().fold((S::Down, A::Rest), |now, event| next(now.0, *event));
            assert_eq!(end, (*state, *act), "{name}");
        }
    }

    /// Random stories, told the truth: a process that does not run cannot die, say that it is ready, and so on.
    #[test]
    fn no_story_starts_a_process_twice_or_loses_one() {
        let mut random = 0x1234_5678_9abc_def0_u64;
        for _ in 0..2_000 {
            let (mut state, mut runs) = (State::Down, false);
            for _ in 0..40 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let event = EVENTS[usize::try_from(random % 9).unwrap()];
                let ends = matches!(event, Event::Died | Event::Finished);
                if (ends || event == Event::Ready) && !runs {
                    continue;
                }
                let (after, act) = next(state, event);
                if ends {
                    runs = false;
                }
                match act {
                    Act::Start => {
                        assert!(!runs, "{state:?} {event:?}: it runs already");
                        runs = true;
                    }
                    Act::Stop => assert!(runs, "{state:?} {event:?}: there is nobody to stop"),
                    Act::Rest | Act::Prepare | Act::Kill | Act::Delay => {}
                }
                if event == Event::Refused && state == State::Starting {
                    runs = false; // It could not be made.
                }
                if matches!(after, State::Starting | State::Up | State::Ending | State::Returning) {
                    assert!(runs, "{state:?} {event:?} -> {after:?}: it is said to run, and does not");
                }
                if matches!(after, State::Down | State::Preparing | State::Waiting) {
                    assert!(!runs, "{state:?} {event:?} -> {after:?}: it runs, and nobody knows");
                }
                if after == State::Failed {
                    runs = false; // It is killed; its corpse changes nothing.
                }
                state = after;
            }
        }
    }

    #[test]
    fn the_third_crash_in_a_row_waits() {
        let delays: Vec<u64> = (1..=12).map(delay_ms).collect();
        assert_eq!(delays[..6], [0, 0, 1_000, 2_000, 4_000, 8_000]);
        assert!(
            (9..=200).all(|deaths| delay_ms(deaths) == 60_000),
            "nobody who has died long enough hurries"
        );
        assert_eq!(delay_ms(u32::MAX), 60_000);
    }
}
