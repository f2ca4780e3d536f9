//! Controllers that are not done with us yet hear an OnBoardRequest.
//!
//! In:  what controllers have said (`OnBoardingComplete`), the time. Out: news that is sent until it is answered; and again after
//! `OnBoardingRestartTime`, until the controller is done.
//!
//! A controller of the operator's file knows us: it hears one when it asks for it (`SendOnBoardRequest()`), or says that it is not done.
//!
//! Source: TR-369 §7.6 (R-NOT.5, R-NOT.6); TR-181 2.19.1, `LocalAgent.Controller.{i}.OnBoardingComplete`.

use crate::news::News;
use crate::world::World;

/// How it stands with one controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// It is to hear one, where it is not done.
    #[default]
    Due,
    /// It has not answered yet.
    Asked,
    /// It has answered then, in milliseconds after boot.
    Answered(u64),
}

/// How it stands with each, in the order of their rows.
#[derive(Debug, Default)]
pub struct Onboarding {
    states: Vec<State>,
}

impl Onboarding {
    /// The controller in `row` wants another one.
    pub fn again(&mut self, row: u32) {
        let place = usize::try_from(row).unwrap_or(0).saturating_sub(1);
        if let Some(state) = self.states.get_mut(place) {
            *state = State::Due;
        }
    }

    /// One turn: who is to hear one does. Has something changed?
    pub fn turn(&mut self, world: &World, news: &mut News, now_ms: u64) {
        self.states.resize(world.settings.controllers.len(), State::Due);
        for ((row, said), state) in (1..).zip(&world.settings.controllers).zip(&mut self.states) {
            let waits = news.is_boarding(row);
            *state = match *state {
                _ if said.onboarded || !said.enable => {
                    news.leave_board(row);
                    State::Due
                }
                State::Due => {
                    news.leave_board(row);
                    news.board(world, row, now_ms);
                    State::Asked
                }
                State::Asked if !waits => State::Answered(now_ms),
                State::Answered(at_ms) if now_ms >= due_ms(at_ms, said.onboarding_restart_s) => {
                    news.board(world, row, now_ms);
                    State::Asked
                }
                State::Asked | State::Answered(_) => *state,
            };
        }
    }

    /// When somebody is to hear another one, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self, world: &World) -> Option<u64> {
        let all = self.states.iter().zip(&world.settings.controllers);
        let due = all.filter_map(|(state, said)| match state {
            State::Answered(at_ms) if !said.onboarded => Some(due_ms(*at_ms, said.onboarding_restart_s)),
            State::Answered(_) | State::Due | State::Asked => None,
        });
        due.min().filter(|due_ms| *due_ms != u64::MAX)
    }
}

/// After an answer at `at_ms`; 0 seconds: never.
fn due_ms(at_ms: u64, restart_s: u32) -> u64 {
    if restart_s == 0 { u64::MAX } else { at_ms.saturating_add(u64::from(restart_s) * 1000) }
}

#[cfg(test)]
mod tests {
    use super::Onboarding;
    use crate::news::News;
    use crate::testing::world;

    /// Shows R-NOT.6, R-NOT.6a.
    #[test]
    fn it_is_asked_until_it_answers_and_again_until_it_is_done() {
        let (mut world, mut news, mut onboarding) = (world(), News::default(), Onboarding::default());
        onboarding.turn(&world, &mut news, 0);
        assert!(news.is_empty(), "who is done hears nothing");
        world.settings.controllers[1].onboarded = false;
        onboarding.turn(&world, &mut news, 0);
        onboarding.turn(&world, &mut news, 1);
        let told = news.due(&world, 2, true, (1, 0));
        let message = usp::Msg::decode(&told[0], &usp::GATEWAY).unwrap();
        assert_eq!((told.len(), news.due_ms(2)), (1, Some(5_001)), "it waits for an answer");
        assert_eq!(news.due(&world, 2, true, (5_001, 0)).len(), 1, "and is told again");
        news.delivered(2, &message.header.unwrap().msg_id);
        onboarding.turn(&world, &mut news, 6_000);
        assert!(
            news.is_empty() && onboarding.due_ms(&world).is_none(),
            "without a restart time that was all"
        );
        world.settings.controllers[1].onboarding_restart_s = 10;
        assert_eq!(onboarding.due_ms(&world), Some(16_000));
        onboarding.turn(&world, &mut news, 16_000);
        assert!(news.is_boarding(2));
        world.settings.controllers[1].onboarded = true;
        onboarding.turn(&world, &mut news, 16_001);
        assert!(news.is_empty(), "it is done");
    }
}
