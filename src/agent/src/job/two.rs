//! Every story of two operations at once, on one unit and on two, where both sides may crash at any step.
//!
//! In:  the machine of `job.rs`, two of it. Out: a failure that prints the world where it went wrong.
//!
//! The world: as in `world.rs`, with what is there when there are two. We speak with `package` about one operation at a time (`packages.rs`);
//! it does one at a time and refuses the other; a unit has one operation that bears its name (`model::deployment`), beside which an install may
//! come that does not say which unit it is. What we know of units comes late.
//!
//! Well means: each operation ends once and says so once, nothing is left over, and what is on the disk is what those that ended well make of it
//! in some order; those that did not have left nothing.

use std::collections::{HashSet, VecDeque};

use contract::packages::Fault;

use super::{Act, End, Event, Found, Phase, What, next};

/// Units.
const UNITS: usize = 2;
/// What an install makes that has not said which unit it is: the unit bears the tag of this order, and no other finds it by its name.
const NAMELESS: u8 = 3;

/// The version of each unit; 0: it is not there.
type Disk = [u8; UNITS];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Ask,
    Await,
    List,
    Cancel,
}

/// What is done with which unit, and the version that comes of it.
type Order = (What, usize, u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Operation {
    what: What,
    unit: usize,
    /// The version that it makes of its unit; [`NAMELESS`]: it does not say which unit it is.
    makes: u8,
    /// How its unit was when it was ordered.
    before: u8,
    /// `None`: it was not ordered yet, or has ended.
    phase: Option<Phase>,
    /// `package` may have been asked for it: our disk knows that before.
    asked: bool,
    /// How it has ended, each time.
    told: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    begun: Disk,
    disk: Disk,
    /// What we know of it.
    known: Disk,
    operations: Vec<Operation>,
    /// How many of them the controller has ordered.
    ordered: usize,
    /// What `package` does, and who hears its end.
    doing: Option<usize>,
    listening: Vec<u8>,
    inbox: VecDeque<(Kind, usize, u8)>,
    /// The operation that we speak about, and by which connection.
    line: Option<(usize, u8)>,
    answers: VecDeque<Answer>,
    crashes: [u8; 2],
    may_cancel: bool,
}

/// An answer, in a form that can be compared: `Event` has no order of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Done,
    Refused,
    Absent,
    Rows(Disk, Option<usize>),
}

fn after(mut disk: Disk, unit: usize, makes: u8) -> Disk {
    disk[unit] = makes;
    disk
}

/// Would it be done, where its unit is so?
fn is_possible(what: What, version: u8) -> bool {
    match what {
        What::Install => version == 0,
        What::Update => version > 0 && version != 2,
        What::Uninstall => version > 0,
    }
}

impl World {
    fn new(begun: Disk, orders: &[Order]) -> Self {
        let operation = |&(what, unit, makes): &Order| Operation {
            what,
            unit,
            makes,
            before: 0,
            phase: None,
            asked: false,
            told: Vec::new(),
        };
        Self {
            begun,
            disk: begun,
            known: begun,
            operations: orders.iter().map(operation).collect(),
            ordered: 0,
            doing: None,
            listening: Vec::new(),
            inbox: VecDeque::new(),
            line: None,
            answers: VecDeque::new(),
            crashes: [1; 2],
            may_cancel: true,
        }
    }

    fn hang_up(&mut self) {
        self.line = None;
        self.answers.clear();
    }

    fn happen(&self, number: usize, event: Event) -> Self {
        let mut world = self.clone();
        let is_ours = self.line.is_some_and(|(of, _)| of == number);
        let Some(operation) = world.operations.get_mut(number) else { return world };
        let Some(phase) = operation.phase else { return world };
        let (phase, act) = next(operation.what, phase, event);
        operation.phase = Some(phase);
        let mut say = |kind: Kind, anew: bool| {
            if anew || world.line.is_none() {
                // A number that nobody has: there are not many at a time, so worlds that are the same look the same.
                let is_free = |one: &u8| {
                    !world.listening.contains(one) && world.inbox.iter().all(|(_, _, other)| other != one)
                };
                world.line = (1..=u8::MAX).find(is_free).map(|connection| (number, connection));
                world.answers.clear();
            }
            world.inbox.push_back((kind, number, world.line.unwrap().1));
        };
        match act {
            Act::Ask => say(Kind::Ask, true),
            Act::Await => say(Kind::Await, true),
            Act::List => say(Kind::List, false),
            Act::Cancel => world.inbox.push_back((Kind::Cancel, number, 0)),
            Act::Rest if phase == Phase::Lost && is_ours => world.hang_up(),
            Act::Rest => {}
            Act::GiveUp(_) => panic!("nothing is late here"),
            Act::End(end) => {
                operation.phase = None;
                operation.told.push(end == End::Good);
                if is_ours {
                    world.hang_up();
                }
            }
        }
        world
    }

    fn answer(&mut self, connection: u8, answer: Answer) {
        if self.line.is_some_and(|(_, mine)| mine == connection) {
            self.answers.push_back(answer);
        }
    }

    fn end(&mut self, answer: Answer) {
        self.doing = None;
        for connection in std::mem::take(&mut self.listening) {
            self.answer(connection, answer);
        }
    }

    /// `package` takes its next frame.
    fn serve(&self) -> Option<Self> {
        let mut world = self.clone();
        let (kind, number, connection) = world.inbox.pop_front()?;
        let Operation { what, unit, .. } = world.operations[number].clone();
        let is_it = world.doing == Some(number);
        match kind {
            Kind::Ask if world.doing.is_none() && is_possible(what, world.disk[unit]) => {
                world.doing = Some(number);
                world.listening = vec![connection];
            }
            Kind::Ask => world.answer(connection, Answer::Refused),
            Kind::Await if is_it => world.listening.push(connection),
            Kind::Await => world.answer(connection, Answer::Absent),
            Kind::List => world.answer(connection, Answer::Rows(world.disk, world.doing)),
            Kind::Cancel if is_it && what != What::Uninstall => world.end(Answer::Refused),
            Kind::Cancel => {}
        }
        Some(world)
    }

    /// We hear the next answer.
    fn hear(&self) -> Option<Self> {
        let mut world = self.clone();
        let (number, _) = world.line?;
        let answer = world.answers.pop_front()?;
        let Operation { what, unit, before, makes, .. } = world.operations[number].clone();
        let event = match answer {
            Answer::Done => Event::Done,
            Answer::Refused => Event::Refused(Fault::Busy),
            Answer::Absent => Event::Refused(Fault::Absent),
            Answer::Rows(disk, doing) => {
                world.known = disk;
                let removed = doing.is_some_and(|one| {
                    let one = &world.operations[one];
                    one.what == What::Uninstall && one.unit == unit
                });
                let there = disk[unit] > 0;
                Event::Rows(match what {
                    What::Install if disk[unit] == makes => Found::Wanted, // by its tag
                    What::Update if there && disk[unit] != before => Found::Wanted,
                    What::Uninstall if !there => Found::Wanted,
                    What::Uninstall if removed => Found::Between,
                    What::Install | What::Update | What::Uninstall => Found::Before,
                })
            }
        };
        Some(world.happen(number, event))
    }

    /// An operation of this kind on this unit would be refused: one that bears its name is under way.
    fn is_busy(&self, unit: usize) -> bool {
        self.operations.iter().any(|one| one.unit == unit && one.makes != NAMELESS && one.phase.is_some())
    }

    /// The controller says what he has to say next.
    fn order(&self) -> Option<Self> {
        let operation = self.operations.get(self.ordered)?;
        let mut world = self.clone();
        world.ordered += 1;
        if operation.makes == NAMELESS
            || (!self.is_busy(operation.unit) && is_possible(operation.what, self.known[operation.unit]))
        {
            let before = self.known[operation.unit];
            let one = &mut world.operations[self.ordered];
            (one.phase, one.before) = (Some(Phase::Waiting), before);
        }
        Some(world)
    }

    /// What happens without a fault.
    fn steps(&self) -> Vec<Self> {
        let mut steps: Vec<Self> = [self.serve(), self.hear(), self.order()].into_iter().flatten().collect();
        let waits = |one: &&Operation| matches!(one.phase, Some(Phase::Waiting | Phase::Lost));
        if self.line.is_none()
            && let Some(number) = self.operations.iter().position(|one| waits(&one))
        {
            let mut world = self.clone();
            world.operations[number].asked = true;
            steps.push(world.happen(number, Event::Room));
        }
        if let Some(number) = self.doing {
            let Operation { unit, makes, .. } = self.operations[number];
            let (mut good, mut bad) = (self.clone(), self.clone());
            good.disk = after(self.disk, unit, makes);
            good.end(Answer::Done);
            bad.end(Answer::Refused);
            steps.extend([good, bad]);
        }
        if self.known != self.disk {
            steps.push(Self { known: self.disk, ..self.clone() });
        }
        steps
    }

    /// Faults, and a controller who changes his mind.
    fn turns(&self) -> Vec<Self> {
        let mut turns = Vec::new();
        for number in (0..self.ordered).filter(|_| self.may_cancel) {
            let world = Self { may_cancel: false, ..self.clone() };
            turns.push(world.happen(number, Event::Cancel));
        }
        if self.crashes[0] > 0 {
            let mut world = self.clone();
            world.crashes[0] -= 1;
            world.hang_up();
            for one in &mut world.operations {
                one.phase = one.phase.map(|_| Phase::found(one.asked, true));
            }
            turns.push(world);
        }
        let done = self.doing.map(|number| {
            let Operation { unit, makes, .. } = self.operations[number];
            after(self.disk, unit, makes)
        });
        for disk in [Some(self.disk), done].into_iter().flatten() {
            for lost in (0..=self.inbox.len()).filter(|_| self.crashes[1] > 0) {
                let mut world = Self { disk, doing: None, ..self.clone() };
                world.crashes[1] -= 1;
                world.listening.clear();
                world.inbox.drain(..lost);
                let waits = |mine: u8| world.inbox.iter().any(|(_, _, connection)| *connection == mine);
                if let Some((number, _)) = world.line.filter(|(_, mine)| !waits(*mine)) {
                    world.hang_up();
                    world = world.happen(number, Event::Gone);
                }
                turns.push(world);
            }
        }
        turns
    }

    /// Nothing is left over, and the disk is what those that ended well make of it in some order.
    fn is_well(&self) -> bool {
        let good = self.operations.iter().filter(|one| one.told == [true]);
        let good: Vec<Order> = good.map(|one| (one.what, one.unit, one.makes)).collect();
        let quiet = self.doing.is_none() && self.operations.iter().all(|one| one.phase.is_none());
        quiet && self.known == self.disk && in_some_order(self.begun, &good, self.disk)
    }
}

/// Does `end` come of `disk`, where all that is left is done in some order, each where it can be done?
fn in_some_order(disk: Disk, left: &[Order], end: Disk) -> bool {
    if left.is_empty() {
        return disk == end;
    }
    (0..left.len()).any(|place| {
        let mut rest = left.to_vec();
        let (what, unit, makes) = rest.remove(place);
        is_possible(what, disk[unit]) && in_some_order(after(disk, unit, makes), &rest, end)
    })
}

/// All worlds that come of this one; how many.
fn explore(first: World) -> usize {
    let (mut seen, mut left) = (HashSet::new(), vec![first]);
    while let Some(world) = left.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        assert!(world.operations.iter().all(|one| one.told.len() <= 1), "told twice: {world:?}");
        let steps = world.steps();
        assert!(!steps.is_empty() || world.is_well(), "not well: {world:?}");
        left.extend(steps);
        left.extend(world.turns());
    }
    seen.len()
}

// Shows R-SMM.1.
#[test]
fn two_operations_at_once_end_well() {
    use What::{Install, Uninstall, Update};
    let table: &[(&str, Disk, [Order; 2])] = &[
        ("two units come", [0, 0], [(Install, 0, 1), (Install, 1, 1)]),
        ("one comes, one goes", [0, 1], [(Install, 0, 1), (Uninstall, 1, 0)]),
        ("one is updated, one goes", [1, 1], [(Update, 0, 2), (Uninstall, 1, 0)]),
        ("one is updated and goes", [1, 0], [(Update, 0, 2), (Uninstall, 0, 0)]),
        ("one goes and comes again", [1, 0], [(Uninstall, 0, 0), (Install, 0, 1)]),
        ("one goes, and comes without a name", [1, 0], [(Uninstall, 0, 0), (Install, 0, NAMELESS)]),
        ("one comes with a name and without", [0, 0], [(Install, 0, 1), (Install, 0, NAMELESS)]),
        ("one comes and goes", [0, 0], [(Install, 0, 1), (Uninstall, 0, 0)]),
    ];
    let mut looked_at = 0;
    for (name, disk, orders) in table {
        let worlds = explore(World::new(*disk, orders));
        assert!(worlds > 500, "{name}: {worlds} worlds: the search has stopped early");
        looked_at += worlds;
    }
    println!("figure worlds-of-two {looked_at}");
}
