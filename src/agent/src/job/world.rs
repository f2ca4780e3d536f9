//! Every story of one operation in a small world where both sides may crash at any step: no ghost, one end, told once, in order.
//!
//! In:  the machine of `job.rs`. Out: a failure that prints the story.
//!
//! The world: `package` with its queue of frames (in order over all connections; a crash loses a beginning of it, for connections that it had
//! not taken yet wait at the socket), the unit on its disk, our journal on ours.

use std::collections::{HashSet, VecDeque};

use contract::packages::Fault;

use super::{Act, End, Event, Found, Phase, What, next};

/// Crashes of each side in one story.
const CRASHES: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Frame {
    Ask(u8),
    Await(u8),
    List(u8),
    Cancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Done,
    Form,
    Canceled,
    Absent,
    Rows(bool, bool),
    NoDisk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    Complete(bool),
    Change(bool),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    what: What,
    /// The unit on the disk is as the operation wants it.
    changed: bool,
    doing: bool,
    listening: Vec<u8>,
    inbox: VecDeque<Frame>,
    answers: VecDeque<Answer>,
    connection: Option<u8>,
    connections: u8,
    journal: bool,
    /// It says that `package` may have been asked.
    asked: bool,
    /// It says all that has to be said to `package`.
    is_whole: bool,
    phase: Option<Phase>,
    was_interrupted: bool,
    told: Vec<Told>,
    may_crash: [u8; 2],
    may_cancel: bool,
    may_lack_disk: bool,
}

impl World {
    fn new(what: What, is_whole: bool) -> Self {
        Self {
            what,
            changed: false,
            doing: false,
            listening: Vec::new(),
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            connection: None,
            connections: 0,
            journal: true,
            asked: false,
            is_whole,
            phase: Some(Phase::Waiting),
            was_interrupted: false,
            told: Vec::new(),
            may_crash: [CRASHES; 2],
            may_cancel: true,
            may_lack_disk: true,
        }
    }

    fn happen(&self, event: Event) -> Self {
        let mut world = self.clone();
        let Some(phase) = self.phase else { return world };
        let (phase, act) = next(self.what, phase, event);
        world.phase = Some(phase);
        let frame = |world: &mut World, anew: bool, make: fn(u8) -> Frame| {
            if anew || world.connection.is_none() {
                world.connections += 1;
                world.connection = Some(world.connections);
                world.answers.clear();
            }
            world.inbox.push_back(make(world.connection.unwrap()));
        };
        match act {
            Act::Rest => {}
            Act::Ask => frame(&mut world, true, Frame::Ask),
            Act::Await => frame(&mut world, true, Frame::Await),
            Act::List => frame(&mut world, false, Frame::List),
            Act::Cancel => world.inbox.push_back(Frame::Cancel),
            Act::GiveUp(_) => panic!("nothing is late here"),
            Act::End(end) => {
                // One write: the operation goes, what is to be told comes.
                let good = end == End::Good;
                world.was_interrupted = end == End::Interrupted;
                world.journal = false;
                world.phase = None;
                world.connection = None;
                world.answers.clear();
                world.told.extend([Told::Complete(good), Told::Change(good)]);
            }
        }
        world
    }

    fn answer(&mut self, connection: u8, answer: Answer) {
        if self.connection == Some(connection) {
            self.answers.push_back(answer);
        }
    }

    fn end(&mut self, answer: Answer) {
        self.doing = false;
        for connection in std::mem::take(&mut self.listening) {
            self.answer(connection, answer);
        }
    }

    /// `package` takes its next frame.
    fn serve(&self) -> Option<Self> {
        let mut world = self.clone();
        match world.inbox.pop_front()? {
            Frame::Ask(connection) => {
                world.doing = true;
                world.listening.push(connection);
            }
            Frame::Await(connection) if world.doing => world.listening.push(connection),
            Frame::Await(connection) => world.answer(connection, Answer::Absent),
            Frame::List(connection) => world.answer(connection, Answer::Rows(world.changed, world.doing)),
            Frame::Cancel if world.doing && world.what != What::Uninstall => world.end(Answer::Canceled),
            Frame::Cancel => {}
        }
        Some(world)
    }

    /// We hear the next answer.
    fn hear(&self) -> Option<Self> {
        let mut world = self.clone();
        let event = match world.answers.pop_front()? {
            Answer::Done => Event::Done,
            Answer::Form => Event::Refused(Fault::Form),
            Answer::Canceled => Event::Refused(Fault::Canceled),
            Answer::Absent => Event::Refused(Fault::Absent),
            Answer::NoDisk => Event::Refused(Fault::Disk),
            Answer::Rows(true, _) => Event::Rows(Found::Wanted),
            Answer::Rows(false, true) if world.what == What::Uninstall => Event::Rows(Found::Between),
            Answer::Rows(false, _) => Event::Rows(Found::Before),
        };
        Some(world.happen(event))
    }

    /// What happens without a fault.
    fn steps(&self) -> Vec<Self> {
        let mut steps: Vec<Self> = [self.serve(), self.hear()].into_iter().flatten().collect();
        // That it is asked now is on our disk before `package` knows it.
        match self.phase {
            Some(Phase::Waiting) if !self.asked => steps.push(Self { asked: true, ..self.clone() }),
            Some(Phase::Waiting | Phase::Lost) => steps.push(self.happen(Event::Room)),
            Some(Phase::Asked | Phase::Awaiting | Phase::Looking { .. }) | None => {}
        }
        if self.doing {
            let mut good = self.clone();
            good.changed = true;
            good.end(Answer::Done);
            let mut bad = self.clone();
            bad.end(Answer::Form);
            steps.extend([good, bad]);
        }
        steps
    }

    /// Faults, and a controller who changes his mind.
    fn turns(&self) -> Vec<Self> {
        let mut turns = Vec::new();
        if self.may_cancel && self.phase.is_some() {
            let mut world = self.clone();
            world.may_cancel = false;
            turns.push(world.happen(Event::Cancel));
        }
        // It has just come, and its disk has not.
        if let Some(Frame::List(connection)) =
            self.inbox.front().filter(|_| self.may_lack_disk && !self.doing)
        {
            let (mut world, connection) = (self.clone(), *connection);
            world.may_lack_disk = false;
            world.inbox.pop_front();
            world.answer(connection, Answer::NoDisk);
            turns.push(world);
        }
        if self.may_crash[0] > 0 {
            let mut world = self.clone();
            world.may_crash[0] -= 1;
            world.connection = None;
            world.answers.clear();
            world.phase = world.journal.then(|| Phase::found(world.asked, world.is_whole));
            turns.push(world);
        }
        // What `package` was doing is as it was, or done.
        for changed in [self.changed, self.changed || self.doing] {
            for lost in (0..=self.inbox.len()).filter(|_| self.may_crash[1] > 0) {
                let mut world = self.clone();
                world.may_crash[1] -= 1;
                (world.changed, world.doing) = (changed, false);
                world.listening.clear();
                world.inbox.drain(..lost);
                let mine = |frame: &Frame| match (frame, world.connection) {
                    (Frame::Ask(one) | Frame::Await(one) | Frame::List(one), Some(connection)) => {
                        *one == connection
                    }
                    (Frame::Cancel, _) | (_, None) => false,
                };
                let waits = world.inbox.iter().any(mine);
                if world.connection.is_some() && !waits {
                    world.connection = None;
                    world.answers.clear();
                    world = world.happen(Event::Gone);
                }
                turns.push(world);
            }
        }
        turns
    }
}

// Shows R-SMM.1.
#[test]
fn every_story_ends_well() {
    let mut looked_at = 0;
    for (what, is_whole) in [What::Install, What::Update, What::Uninstall]
        .into_iter()
        .flat_map(|what| [(what, true), (what, false)])
    {
        let mut seen = HashSet::new();
        let mut left = vec![World::new(what, is_whole)];
        while let Some(world) = left.pop() {
            if !seen.insert(world.clone()) {
                continue;
            }
            assert!(world.told.len() <= 2, "told twice: {world:?}");
            assert_eq!(world.journal, world.told.is_empty(), "forgotten: {world:?}");
            let could_wait = world.is_whole && !world.asked;
            assert!(!world.was_interrupted || !could_wait, "it only waited: {world:?}");
            let steps = world.steps();
            if steps.is_empty() {
                let good = world.changed;
                assert_eq!(
                    world.told,
                    [Told::Complete(good), Told::Change(good)],
                    "not what is there: {world:?}"
                );
                assert!(!world.doing, "a ghost: {world:?}");
            }
            left.extend(steps);
            left.extend(world.turns());
        }
        looked_at += seen.len();
    }
    println!("figure worlds {looked_at}");
    assert!(looked_at > 1_000, "{looked_at} worlds: the search has stopped early");
}
