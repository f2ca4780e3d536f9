//! Orders about a slice: whoever is told that it is done finds it on the disk, and of one that was not done nothing is left.
//!
//! In:  every sequence of a few events in a small world (orders, package that writes, fails, dies, a service that comes into the slice, the end
//! of the time, another life of ours), and long ones at random. Out: after each event books, cgroups and answers agree; at the end the disk, too.
//!
//! What is on package's disk is all that a power cut leaves, so what was promised has to be there at every moment, not only at the end.

use std::collections::VecDeque;
use std::path::Path;

use contract::control::{Answer, Ask as Order};
use contract::installed::{Answer as Word, Ask, Service};
use contract::manifest::{Cpu, Manifest, Memory, Rate};
use contract::packages::Fault;
use contract::slice::Slice;
use contract::{Name, control};
use wire::Client;

use super::played::{cgroup, manifest};
use super::{H, World};
use crate::admission::Floors;
use crate::slices::group_of;
use crate::start::line_of;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Happens {
    /// Somebody rents the slice with this floor, or gives it back.
    Rent(u32),
    Release,
    /// package takes the next word about it: writes it; cannot; has written it and does not know; dies when it is written.
    Writes,
    Fails,
    IsUnsure,
    DiesWritten,
    /// package goes, with its disk; or comes.
    Disk,
    /// The time is over.
    Late,
    /// The supervisor dies.
    Life,
    /// A service comes into the slice, or goes.
    Service,
}

use Happens as E;

const ALL: [E; 11] = [
    E::Rent(5),
    E::Rent(9),
    E::Release,
    E::Writes,
    E::Fails,
    E::IsUnsure,
    E::DiesWritten,
    E::Disk,
    E::Late,
    E::Life,
    E::Service,
];

fn barn() -> Name {
    Name::new("barn").unwrap()
}

fn slice(cpu: u32) -> Slice {
    Slice {
        name: barn(),
        cpu: Cpu { floor_permille: cpu, ceiling_permille: 1_000 },
        memory: Memory { floor_mib: 1, high_mib: 0, ceiling_mib: 2 },
        disk: Default::default(),
        // So one sees which of them network has heard of last.
        uplink: Rate { floor_kbit_s: 0, ceiling_kbit_s: 100 * cpu },
        downlink: Rate::default(),
    }
}

/// A service that needs more than the smaller slice has.
fn tenant() -> Service {
    let mut manifest = Manifest { provider: barn(), ..manifest("a") };
    manifest.cpu.floor_permille = 7;
    Service { manifest, image: [1; 32], version: 1 }
}

/// Somebody who has asked: what for, in which life, and when he hears what.
struct Asker {
    client: Client,
    wish: Option<Slice>,
    life: usize,
}

/// The small world, with a package that is played slowly.
struct Shop {
    world: World,
    package: Option<Client>,
    /// What it has said and is not answered yet.
    asked: VecDeque<Ask>,
    disk: Option<Slice>,
    has_service: bool,
    askers: Vec<Asker>,
    life: usize,
    /// Somebody was told that it is so, and nobody has ordered anything since.
    promised: Option<Option<Slice>>,
    /// What it is put back to; `None`: that is not known here.
    stable: Option<Option<Slice>>,
    told: usize,
}

impl Shop {
    fn new() -> Self {
        let mut world = World::new();
        world.package = None;
        let mut shop = Self {
            world,
            package: None,
            asked: VecDeque::new(),
            disk: None,
            has_service: false,
            askers: Vec::new(),
            life: 0,
            promised: None,
            stable: Some(None),
            told: 0,
        };
        shop.connect();
        shop
    }

    fn rented(&self) -> Option<Slice> {
        self.world.house.rented_as(&barn()).cloned()
    }

    fn connect(&mut self) {
        let wire = self.world.hands.installed;
        self.package = Some(Client::dial_at(wire, Path::new(wire.path)).unwrap());
        self.asked.clear();
        self.disk.clone().into_iter().for_each(|slice| self.say(Ask::Slice(slice)));
        if self.has_service {
            self.say(Ask::Service(tenant()));
        }
        self.say(Ask::All);
        self.asked.retain(|ask| *ask == Ask::All);
    }

    fn say(&mut self, ask: Ask) {
        self.package.as_ref().unwrap().send(&ask, &[]).unwrap();
        if !matches!(ask, Ask::Kept | Ask::NotKept(..)) {
            self.asked.push_back(ask);
        }
    }

    /// The next word about the slice that package reads.
    fn word(&mut self) -> Option<Option<Slice>> {
        loop {
            let (answer, _) = self.package.as_ref()?.receive::<Word>().unwrap()?;
            match answer {
                Word::Rented(slice) => return Some(Some(slice)),
                Word::Released(_) => return Some(None),
                answer @ (Word::Done | Word::Refused(..)) => {
                    let is_done = answer == Word::Done;
                    let asked = self.asked.pop_front().unwrap();
                    self.has_service = match &asked {
                        Ask::Service(_) => is_done,
                        Ask::Forget(_) => false,
                        Ask::All
                        | Ask::Slice(_)
                        | Ask::Before(_)
                        | Ask::Drop { .. }
                        | Ask::Kept
                        | Ask::NotKept(..) => self.has_service,
                    };
                    assert!(is_done || matches!(asked, Ask::Service(_)), "{asked:?}");
                }
            }
        }
    }

    fn order(&mut self, wish: Option<Slice>) {
        let wire = self.world.hands.control;
        let client = Client::dial_at(wire, Path::new(wire.path)).unwrap();
        let order = wish.clone().map_or(Order::Release(barn()), Order::Rent);
        client.send(&order, &[]).unwrap();
        self.askers.push(Asker { client, wish, life: self.life });
        self.promised = None;
    }

    fn happen(&mut self, what: E) {
        let not_kept = || Ask::NotKept(Fault::Disk, "the disk fails".into());
        match what {
            E::Rent(cpu) => self.order(Some(slice(cpu))),
            E::Release => self.order(None),
            E::Writes | E::IsUnsure => {
                if let Some(word) = self.word() {
                    self.disk = word;
                    self.say(if what == E::Writes { Ask::Kept } else { not_kept() });
                }
            }
            E::Fails => {
                if self.word().is_some() {
                    self.say(not_kept());
                }
            }
            E::DiesWritten => {
                if let Some(word) = self.word() {
                    self.disk = word;
                    self.connect();
                }
            }
            E::Disk if self.package.is_some() => self.package = None,
            E::Disk => self.connect(),
            E::Late => self.world.house.rental.until_ms = 0,
            E::Life => {
                self.world.next_life(None);
                self.world.house.rent_all();
                self.life += 1;
                if self.package.is_some() {
                    self.connect();
                }
            }
            E::Service if self.package.is_none() || !self.asked.is_empty() => {}
            E::Service if self.has_service => self.say(Ask::Forget(tenant().manifest.name)),
            E::Service => self.say(Ask::Service(tenant())),
        }
        for _ in 0..3 {
            self.world.storage_answers();
            self.world.network_answers();
            self.world.bury_those_told();
            self.world.turn();
        }
        self.look(what);
    }

    /// What holds at every moment.
    fn look(&mut self, what: E) {
        let rented = self.rented();
        let house = &self.world.house;
        let is_under_way = house.rented.pending.is_some();
        for asker in std::mem::take(&mut self.askers) {
            let answer = match asker.client.receive::<control::Answer>() {
                Ok(None) => {
                    self.askers.push(asker);
                    continue;
                }
                Ok(Some((answer, _))) => answer,
                Err(_) => {
                    assert!(asker.life < self.life, "{what:?}: nobody is left without an answer");
                    continue;
                }
            };
            self.told += 1;
            if answer == Answer::Done {
                assert_eq!(self.disk, asker.wish, "{what:?}: it is on the disk");
                assert!(is_under_way || rented == asker.wish, "{what:?}: {rented:?}");
                self.stable = Some(asker.wish.clone());
                self.promised = Some(asker.wish).filter(|_| !is_under_way);
                continue;
            }
            let Answer::Refused(why) = answer else { panic!("{what:?}: {answer:?}") };
            if why.contains("stays for now") {
                assert!(is_under_way || rented == asker.wish, "{what:?}: {why}");
                self.stable = Some(asker.wish);
            } else {
                let is_back = self.stable.as_ref().is_none_or(|stable| rented == *stable);
                assert!(is_under_way || is_back, "{what:?}: {why}: {rented:?}");
            }
        }
        if let Some(promised) = &self.promised {
            assert_eq!((&self.disk, &rented), (promised, promised), "{what:?}: it was promised");
        }
        if !is_under_way {
            self.stable = Some(rented.clone());
        } else if what == E::Life {
            self.stable = None;
        }
        let booked = house.books.slice("barn");
        assert_eq!(booked, rented.as_ref().map(Floors::from), "{what:?}: the books");
        let settings = rented.as_ref().map(|slice| house.settings_of(slice));
        assert_eq!(cgroup(&group_of(&barn())), settings, "{what:?}: the cgroup");
        self.world.network_answers();
        if self.world.attached.contains_key("a") {
            let line = rented.as_ref().map(line_of);
            assert_eq!(self.world.shared.get("barn"), line.as_ref(), "{what:?}: its part of the line");
        }
    }

    /// The disk is there and works, and everything is said.
    fn settle(&mut self) {
        if self.package.is_none() {
            self.happen(E::Disk);
        }
        for _ in 0..12 {
            self.world.house.rental.retry_ms = 0;
            self.happen(E::Writes);
        }
        assert!(self.askers.is_empty() && self.asked.is_empty(), "somebody waits");
        assert_eq!(self.world.house.rented.pending, None);
        assert_eq!(self.disk, self.rented(), "the disk");
    }
}

fn tell(story: &[E]) -> usize {
    let told = std::panic::catch_unwind(|| {
        let mut shop = Shop::new();
        story.iter().for_each(|what| shop.happen(*what));
        shop.settle();
        shop.told
    });
    told.unwrap_or_else(|why| {
        println!("in the story {story:?}");
        std::panic::resume_unwind(why)
    })
}

// Shows R-SMM.1.
#[test]
fn no_short_story_leaves_a_slice_that_is_not_as_was_said() {
    let depth: u32 = if std::env::var_os("LONG").is_some_and(|long| long == "1") { 4 } else { 3 };
    let beginnings: [&[E]; 4] = [
        &[E::Writes],
        &[E::Writes, E::Rent(5)],
        &[E::Writes, E::Rent(9), E::Writes],
        &[E::Writes, E::Rent(9), E::Writes, E::Service, E::Writes],
    ];
    let (count, mut stories, mut told) = (ALL.len(), 0, 0);
    for beginning in beginnings {
        for number in 0..count.pow(depth) {
            let digit = |place: u32| ALL[number / count.pow(place) % count];
            let story: Vec<E> = beginning.iter().copied().chain((0..depth).map(digit)).collect();
            told += tell(&story);
            stories += 1;
        }
    }
    println!("{stories} stories of {depth} events, {told} answers");
    assert!(told > stories, "{told} answers: nothing has happened");
}

#[test]
fn no_long_story_leaves_a_slice_that_is_not_as_was_said() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut story = Vec::new();
        for _ in 0..25 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            story.push(ALL[usize::try_from(seed % ALL.len() as u64).unwrap()]);
        }
        tell(&story);
    }
}

/// The last answer that somebody was given.
fn said(asker: &Asker) -> Option<Answer> {
    asker.client.receive().unwrap().map(|(answer, _)| answer)
}

#[test]
fn whoever_orders_hears_when_it_is_kept_and_in_words_when_it_is_not() {
    let mut shop = Shop::new();
    shop.happen(E::Writes);
    let rest = |shop: &mut Shop| (0..3).for_each(|_| shop.world.turn());
    shop.order(Some(slice(5)));
    shop.order(Some(slice(9)));
    rest(&mut shop);
    assert!(shop.askers.iter().all(|asker| said(asker).is_none()), "it is not on the disk yet");
    assert_eq!(shop.rented(), Some(slice(5)), "one at a time");
    assert_eq!(shop.word(), Some(Some(slice(5))));
    shop.say(Ask::Kept);
    rest(&mut shop);
    assert_eq!(said(&shop.askers[0]), Some(Answer::Done));
    assert_eq!(shop.word(), Some(Some(slice(9))));
    shop.say(Ask::NotKept(Fault::Disk, "no space".into()));
    rest(&mut shop);
    assert_eq!(said(&shop.askers[1]), Some(Answer::Refused("slice barn: not kept: no space".into())));
    assert_eq!(shop.word(), Some(Some(slice(5))), "it is as it was");
    shop.say(Ask::Kept);
    // Nobody can write, and then nobody is there.
    shop.package = None;
    shop.order(None);
    rest(&mut shop);
    shop.world.house.rental.until_ms = 0;
    rest(&mut shop);
    let Some(Answer::Refused(why)) = said(&shop.askers[2]) else { panic!("it is not kept") };
    assert!(why.contains("no data disk") && why.contains("ctl disk"), "{why}");
    assert_eq!(shop.rented(), Some(slice(5)));
}

#[test]
fn what_package_has_kept_from_before_is_what_is_put_back() {
    for kept in [Some(slice(7)), Some(slice(5)), None] {
        let mut shop = Shop::new();
        shop.happen(E::Disk);
        // Ordered before package is there, which has it from the boot before.
        shop.disk = kept.clone();
        shop.happen(E::Rent(5));
        shop.happen(E::Disk);
        assert_eq!(shop.rented(), Some(slice(5)));
        shop.stable = None;
        shop.happen(E::Fails);
        assert_eq!(shop.rented(), kept);
        shop.settle();
        assert_eq!(shop.disk, kept);
    }
}

#[test]
fn what_package_says_of_a_slice_is_heard_while_it_waits_for_something_else() {
    let mut shop = Shop::new();
    shop.happen(E::Writes);
    shop.say(Ask::Service(Service { manifest: manifest("a"), image: [1; 32], version: 1 }));
    (0..3).for_each(|_| shop.world.rest());
    assert_eq!(shop.word(), None);
    // It has to end first, and takes its time for it.
    shop.say(Ask::Forget(Name::new("a").unwrap()));
    shop.say(Ask::Forget(Name::new("b").unwrap()));
    shop.world.turn();
    shop.order(Some(slice(5)));
    shop.world.turn();
    assert_eq!(shop.word(), Some(Some(slice(5))));
    assert_eq!(shop.asked.len(), 2, "both wait");
    shop.say(Ask::Kept);
    shop.world.turn();
    assert_eq!(said(&shop.askers[0]), Some(Answer::Done));
    (0..3).for_each(|_| shop.world.rest());
    assert_eq!((shop.word(), shop.asked.len()), (None, 0), "and both are answered");
}

#[test]
fn a_slice_outlives_a_boot_and_an_order_counts_more_than_what_was_kept() {
    let mut world = World::new();
    let rented = |world: &World| world.house.books.slice("barn").map(|floors| floors.cpu_permille());
    world.house.lines.known = None;
    assert_eq!(world.talk(&[Ask::Slice(slice(7)), Ask::All]), [Word::Done]);
    assert_eq!((rented(&world), world.house.held.len()), (None, 1), "nobody knows yet what fits");
    assert!(!world.order(&Order::Rent(slice(5))), "nor what to go back to");
    world.house.lines.known = Some([0; 2]);
    world.house.rent_all();
    assert_eq!(rented(&world), Some(7));
    let order = |world: &mut World, order: &Order| {
        let wire = world.hands.control;
        let client = Client::dial_at(wire, Path::new(wire.path)).unwrap();
        client.send(order, &[]).unwrap();
        world.turn();
        let word = world.other.as_ref().unwrap().receive::<Word>().unwrap().unwrap().0;
        world.other.as_ref().unwrap().send(&Ask::Kept, &[]).unwrap();
        world.turn();
        (word, client.receive().unwrap().map(|(answer, _): (Answer, _)| answer))
    };
    let done = Some(Answer::Done);
    assert_eq!(order(&mut world, &Order::Rent(slice(5))), (Word::Rented(slice(5)), done.clone()));
    // package was away, or did not write it down: it is told again, in this life and the next.
    for _ in 0..2 {
        assert_eq!(world.talk(&[Ask::Slice(slice(7)), Ask::All]), [Word::Done, Word::Rented(slice(5))]);
        assert_eq!(rented(&world), Some(5));
        world.happen(H::Life(None));
        world.house.rent_all();
    }
    let its = Ask::Service(Service {
        manifest: Manifest { provider: barn(), ..manifest("a") },
        image: [1; 32],
        version: 1,
    });
    world.talk(&[Ask::All, its]);
    assert!(!world.order(&Order::Release(barn())), "there is a service in it");
    assert!(!world.order(&Order::Rent(slice(0))), "it has more");
    assert_eq!(world.talk(&[Ask::All]).len(), 2);
    world.other.as_ref().unwrap().send(&Ask::Kept, &[]).unwrap();
    world.turn();
    assert_eq!(order(&mut world, &Order::Release(barn())), (Word::Released(barn()), done));
    assert_eq!(world.talk(&[Ask::Slice(slice(7)), Ask::All]), [Word::Done, Word::Released(barn())]);
    assert_eq!(rented(&world), None, "given back is given back");
    assert!(!world.order(&Order::Release(Name::new("demo").unwrap())), "it comes with the image");
    assert!(!world.order(&Order::Release(Name::new("nobody").unwrap())));
}
