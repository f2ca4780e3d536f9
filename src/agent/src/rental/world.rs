//! Every story of two operations on one slice in a small world where everybody may crash at any step, and the power may go: no ghost, one end each.
//!
//! In:  the machine of `rental.rs`, two of it. Out: a failure that prints the world where it went wrong.
//!
//! The world: we, with our journal; the supervisor with its books, what is under way, and its record, which a crash of it leaves and a power cut
//! does not; `package` with its disk. What the supervisor does is said here as `src/supervisor/src/rental.rs` has it, and shown there with the
//! real one (`src/supervisor/src/model/kept.rs`).
//!
//! Well means: each operation ends once and says so once, nothing is left over, books and disk agree, and they are what those that ended well make of
//! it in some order.

use std::collections::{HashSet, VecDeque};

use super::{Act, End, Event, Phase, next};

/// The slice: not there, or of one of two sizes.
type Size = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Operation {
    /// What it makes of it; 0: it gives it back.
    makes: Size,
    phase: Option<Phase>,
    told: Vec<bool>,
}

/// An order that is on its way to the disk: which connection has asked, what was there before.
type Pending = (Option<u8>, Size);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    begun: Size,
    operations: Vec<Operation>,
    ordered: usize,
    /// The operation that we speak about, and by which connection.
    line: Option<(usize, u8)>,
    answer: Option<bool>,
    /// What the supervisor has not read yet.
    inbox: VecDeque<(usize, u8)>,
    books: Size,
    pending: Option<Pending>,
    /// The last order of this boot: what is to be kept, and whether it is.
    order: Option<(Size, bool)>,
    /// Words to `package`, and whether each is that of the order under way.
    words: VecDeque<(Size, bool)>,
    disk: Size,
    /// Crashes that may come: ours, the supervisor's, package's; and power cuts.
    crashes: [u8; 4],
    may_cancel: bool,
    may_fail: bool,
    may_be_late: bool,
}

impl World {
    fn new(begun: Size, orders: [Size; 2]) -> Self {
        let operation = |makes| Operation { makes, phase: None, told: Vec::new() };
        Self {
            begun,
            operations: orders.map(operation).to_vec(),
            ordered: 0,
            line: None,
            answer: None,
            inbox: VecDeque::new(),
            books: begun,
            pending: None,
            order: None,
            words: VecDeque::new(),
            disk: begun,
            crashes: [1; 4],
            may_cancel: true,
            may_fail: true,
            may_be_late: true,
        }
    }

    fn happen(&self, number: usize, event: Event) -> Self {
        let mut world = self.clone();
        let is_ours = self.line.is_some_and(|(of, _)| of == number);
        let operation = &mut world.operations[number];
        let Some(phase) = operation.phase else { return world };
        let (phase, act) = next(operation.makes == 0, phase, event);
        operation.phase = Some(phase);
        match act {
            Act::Ask => {
                let waits = |one: &u8| self.inbox.iter().any(|(_, other)| other == one);
                let asks = |one: &u8| self.pending.is_some_and(|(asker, _)| asker == Some(*one));
                let connection = (1..=u8::MAX).find(|one| !waits(one) && !asks(one)).unwrap();
                world.line = Some((number, connection));
                world.answer = None;
                world.inbox.push_back((number, connection));
            }
            Act::Rest if phase == Phase::Lost && is_ours => world.line = None,
            Act::Rest => {}
            Act::End(end) => {
                operation.phase = None;
                operation.told.push(end == End::Good);
                world.line = world.line.filter(|_| !is_ours);
            }
        }
        world
    }

    fn say(&mut self, connection: Option<u8>, is_done: bool) {
        if let Some((_, mine)) = self.line
            && connection == Some(mine)
        {
            self.answer = Some(is_done);
        }
    }

    /// The supervisor takes the next order, where none is under way.
    fn begin(&self) -> Option<Self> {
        let mut world = self.clone();
        if self.pending.is_some() {
            return None;
        }
        let (number, connection) = world.inbox.pop_front()?;
        let wish = self.operations[number].makes;
        if wish > 0 && (self.books, self.order) == (wish, Some((wish, true))) {
            world.say(Some(connection), true);
        } else if wish == 0 && self.books == 0 {
            world.say(Some(connection), false);
        } else {
            world.pending = Some((Some(connection), self.books));
            world.books = wish;
            world.order = Some((wish, false));
            world.words.push_back((wish, true));
        }
        Some(world)
    }

    fn kept(mut self) -> Self {
        if let Some((asker, _)) = self.pending.take() {
            self.order = self.order.map(|(size, _)| (size, true));
            self.say(asker, true);
        }
        self
    }

    fn put_back(mut self) -> Self {
        if let Some((asker, before)) = self.pending.take() {
            self.books = before;
            self.order = Some((before, false));
            self.words.iter_mut().for_each(|(_, its)| *its = false);
            self.words.push_back((before, false));
            self.say(asker, false);
        }
        self
    }

    /// What happens without a fault.
    fn steps(&self) -> Vec<Self> {
        let mut steps: Vec<Self> = self.begin().into_iter().collect();
        if let Some((size, its)) = self.words.front().copied() {
            let mut world = self.clone();
            world.words.pop_front();
            world.disk = size;
            steps.push(if its { world.kept() } else { world });
        }
        if let (Some(is_done), Some((number, _))) = (self.answer, self.line) {
            let event = if is_done { Event::Done } else { Event::Refused { is_there: self.books > 0 } };
            steps.push(Self { answer: None, ..self.clone() }.happen(number, event));
        }
        if let Some(operation) = self.operations.get(self.ordered) {
            debug_assert!(operation.phase.is_none());
            let mut world = self.clone();
            world.operations[self.ordered].phase = Some(Phase::Waiting);
            world.ordered += 1;
            steps.push(world);
        }
        let waits = |one: &Operation| matches!(one.phase, Some(Phase::Waiting | Phase::Lost));
        if self.line.is_none()
            && let Some(number) = self.operations.iter().position(waits)
        {
            steps.push(self.happen(number, Event::Room));
        }
        steps
    }

    fn we_crash(&self) -> Self {
        let mut world = Self { line: None, answer: None, ..self.clone() };
        for one in &mut world.operations {
            one.phase = one.phase.map(|_| Phase::default());
        }
        world
    }

    /// Faults, and a controller who changes his mind.
    fn turns(&self) -> Vec<Self> {
        let mut turns = Vec::new();
        for number in (0..self.ordered).filter(|_| self.may_cancel) {
            turns.push(Self { may_cancel: false, ..self.clone() }.happen(number, Event::Cancel));
        }
        if self.pending.is_some() && self.may_be_late {
            turns.push(Self { may_be_late: false, ..self.clone() }.put_back());
        }
        // The disk fails: it has it as it was, or as it was to be.
        if let Some((size, its)) = self.words.front().copied().filter(|_| self.may_fail) {
            for disk in [self.disk, size] {
                let mut world = Self { may_fail: false, disk, ..self.clone() };
                world.words.pop_front();
                let world = if its { world.put_back() } else { world };
                // What is not on it is said again with the next connection.
                turns.push(world.package_comes());
            }
        }
        let crash = |place: usize| {
            let mut world = self.clone();
            world.crashes[place] = self.crashes[place].checked_sub(1)?;
            Some(world)
        };
        turns.extend(crash(0).map(|world| world.we_crash()));
        if let Some(mut world) = crash(1) {
            // Its record has what is under way. Who had asked is not known any more.
            world.pending = world.pending.map(|(_, before)| (None, before));
            world.inbox.clear();
            world = world.package_comes();
            if let Some((number, _)) = world.line {
                world = Self { answer: None, ..world }.happen(number, Event::Gone);
            }
            turns.push(world);
        }
        if let Some(world) = crash(2) {
            let written = world.words.front().map(|(size, _)| *size);
            for disk in [Some(world.disk), written].into_iter().flatten() {
                turns.push(Self { disk, ..world.clone() }.package_comes());
            }
        }
        if let Some(world) = crash(3) {
            let written = world.words.front().map(|(size, _)| *size);
            for disk in [Some(world.disk), written].into_iter().flatten() {
                let mut world = world.we_crash();
                world.inbox.clear();
                world.words.clear();
                (world.disk, world.books, world.pending, world.order) = (disk, disk, None, None);
                turns.push(world);
            }
        }
        turns
    }

    /// A new connection of `package`: it is told what was ordered in this boot.
    fn package_comes(mut self) -> Self {
        let is_pending = self.pending.is_some();
        self.words = self.order.into_iter().map(|(size, _)| (size, is_pending)).collect();
        self
    }

    /// Nothing is left over; books and disk are what those that ended well make of it in some order. Where the power went before the supervisor
    /// could have it put back, what was refused may be there: then it is what one of them makes of it.
    fn is_well(&self) -> bool {
        let good: Vec<Size> =
            self.operations.iter().filter(|one| one.told == [true]).map(|one| one.makes).collect();
        let quiet = self.pending.is_none() && self.operations.iter().all(|one| one.phase.is_none());
        let of_any = self.operations.iter().any(|one| one.makes == self.disk);
        let is_made = match (self.had_power(), good.is_empty()) {
            (true, true) => self.disk == self.begun,
            (true, false) => good.contains(&self.disk),
            (false, true) => self.disk == self.begun || of_any,
            (false, false) => of_any,
        };
        quiet && self.books == self.disk && is_made
    }

    fn had_power(&self) -> bool {
        self.crashes[3] > 0
    }
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
        if steps.is_empty() {
            let told = |one: &Operation| one.told.len() == 1;
            assert!(world.operations.iter().all(told), "forgotten: {world:?}");
            assert!(world.is_well(), "not well: {world:?}");
        }
        left.extend(steps);
        left.extend(world.turns());
    }
    seen.len()
}

// Shows R-SMM.1.
#[test]
fn two_operations_on_a_slice_end_well() {
    let table: &[(&str, Size, [Size; 2])] = &[
        ("it comes and gets another size", 0, [1, 2]),
        ("it comes and goes", 0, [1, 0]),
        ("it goes and comes again", 1, [0, 2]),
        ("it gets another size and goes", 1, [2, 0]),
        ("it goes twice", 1, [0, 0]),
        ("it gets one size, then another", 1, [2, 1]),
    ];
    let mut looked_at = 0;
    for (name, begun, orders) in table {
        let worlds = explore(World::new(*begun, *orders));
        assert!(worlds > 500, "{name}: {worlds} worlds: the search has stopped early");
        looked_at += worlds;
    }
    println!("figure worlds-of-slices {looked_at}");
}
