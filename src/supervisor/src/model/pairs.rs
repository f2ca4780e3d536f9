//! Two versions of one service at once: whatever happens meanwhile, and whoever dies, the one or the other is the service.
//!
//! In:  every sequence of a few events while one takes the other's place, and long ones at random; some that are told in full. Out: after each
//! event no more than one of them is the service, one that was up stays up, and its link ends where somebody lives; after each story there is one.

use contract::control::{self, State};
use contract::installed::{Answer, Ask, Service};
use contract::manifest::Ready;
use contract::packages::Fault;
use contract::{Name, mount};

use super::played::{self, OVERLAPS, inode, service};
use super::{H, World};
use crate::life::Event;
use crate::overlap::Part;
use crate::process::What;

/// What can happen to it while it has somebody who serves: nothing of this may end that.
const HARMLESS: [H; 9] = [
    H::Service(OVERLAPS, 2),
    H::Service(OVERLAPS, 3),
    H::Service("b", 1),
    H::StorageAnswers,
    H::NetworkAnswers,
    H::Life(None),
    H::PackageDies,
    H::StorageDies,
    H::Start(OVERLAPS),
];

/// And what may.
const OTHERS: [H; 6] = [
    H::Stop(OVERLAPS),
    H::Dies(OVERLAPS),
    H::Forget(OVERLAPS),
    H::Life(Some(OVERLAPS)),
    H::NetworkDies,
    H::Drop(OVERLAPS),
];

fn parts(world: &World) -> Vec<(Part, u64, State)> {
    let its = world.house.processes.iter().filter(|process| process.name.as_str() == OVERLAPS);
    its.map(|process| (process.part(), process.bundle().unwrap().version, process.record.state)).collect()
}

/// There is never more than one that is the service, nor a third process; and there is one whenever there are two.
fn one_is_the_service(world: &World, story: &[H]) {
    let parts = parts(world);
    let now = parts.iter().filter(|(part, ..)| *part == Part::Now).count();
    assert!(now <= 1 && parts.len() <= now + 1, "{story:?}: {parts:?}");
    assert!(now == 1 || parts.is_empty(), "{story:?}: {parts:?}");
}

/// The service is up, and its link ends with a process that lives.
fn somebody_serves(world: &World, story: &[H]) {
    let ends_in = world.ends_in[OVERLAPS];
    let its = world.house.processes.iter().filter(|process| process.name.as_str() == OVERLAPS);
    let holds = its.filter(|process| {
        let What::Tenant(tenant) = &process.what else { return false };
        tenant.network.as_ref().is_some_and(|network| inode(&network.namespace) == ends_in)
    });
    let states: Vec<_> = holds.map(|process| (process.record.state, process.record.pid.is_some())).collect();
    assert_eq!(states, [(State::Up, true)], "{story:?}: {:?}", parts(world));
    let record = &world.house.processes[world.house.place_of(OVERLAPS).unwrap()].record;
    assert_eq!((record.state, record.restarts), (State::Up, 0), "{story:?}");
    assert!(record.address.is_some(), "{story:?}");
}

/// Version 1 serves.
fn serving() -> World {
    let mut world = World::new();
    for what in [H::Service(OVERLAPS, 1), H::StorageAnswers, H::NetworkAnswers] {
        world.happen(what);
    }
    world.settle();
    somebody_serves(&world, &[]);
    world
}

fn play(story: &[H]) {
    let mut world = serving();
    let (mut told, mut harmless) = (Vec::new(), true);
    for what in story {
        told.push(*what);
        // A package that dies has forgotten the update: the version before is to run again, in the place of one that has it already, or will at once.
        let takes = |(part, _, state): &(Part, u64, State)| *part != Part::Now && *state != State::Preparing;
        let forgets = *what == H::PackageDies && parts(&world).iter().any(takes);
        harmless &= HARMLESS.contains(what) && !forgets;
        world.happen(*what);
        one_is_the_service(&world, &told);
        if harmless {
            somebody_serves(&world, &told);
        }
    }
    world.check(story);
    one_is_the_service(&world, story);
    assert!(parts(&world).len() <= 1, "{story:?}: {:?}", parts(&world));
    if harmless {
        somebody_serves(&world, story);
    }
}

#[test]
fn no_short_story_takes_a_service_away_between_two_versions() {
    let all: Vec<H> = HARMLESS.into_iter().chain(OTHERS).collect();
    let depth: u32 = if std::env::var_os("LONG").is_some_and(|long| long == "1") { 4 } else { 2 };
    for number in 0..all.len().pow(depth) {
        let digit = |place: u32| all[number / all.len().pow(place) % all.len()];
        let update = [H::Service(OVERLAPS, 2), H::StorageAnswers];
        for begun in 1..=update.len() {
            let story: Vec<H> = update.iter().copied().take(begun).chain((0..depth).map(digit)).collect();
            play(&story);
        }
    }
}

#[test]
fn no_long_story_takes_a_service_away_between_two_versions() {
    let all: Vec<H> = HARMLESS.into_iter().chain(HARMLESS).chain(OTHERS).collect();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..60 {
        // Every other one has nothing in it that may take the service away.
        let count = if round % 2 == 0 { HARMLESS.len() } else { all.len() };
        let picks = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            all[usize::try_from(seed % count as u64).unwrap()]
        });
        let story: Vec<H> = picks.take(20).collect();
        play(&story);
    }
}

/// A version that never says that it is ready.
fn silent() -> Service {
    let of = service(OVERLAPS, 2);
    let manifest =
        contract::manifest::Manifest { ready: Ready::Notify, start_deadline_ms: 7, ..of.manifest.clone() };
    Service { manifest, ..of }
}

fn order(version: u8) -> Ask {
    Ask::Service(service(OVERLAPS, version))
}

#[test]
fn the_old_one_serves_until_the_new_one_is_ready_and_then_ends() {
    let mut world = serving();
    let (before, mount) = (world.pid(OVERLAPS), |world: &World| world.mounted[OVERLAPS].clone());
    world.happen(H::Service(OVERLAPS, 2));
    assert_eq!(parts(&world), [(Part::Now, 1, State::Up), (Part::Next, 2, State::Preparing)]);
    world.happen(H::StorageAnswers);
    assert_eq!(mount(&world), mount::Image::Bundle([2; 32]));
    world.turn();
    assert_eq!(
        parts(&world),
        [(Part::Past, 1, State::Up), (Part::Now, 2, State::Up)],
        "until its link has moved"
    );
    assert!(world.pid(OVERLAPS) > before, "who asks is told of the new one");
    world.happen(H::NetworkAnswers);
    assert_eq!(parts(&world), [(Part::Past, 1, State::Ending), (Part::Now, 2, State::Up)]);
    assert_eq!(world.asked, [H::Service(OVERLAPS, 2)], "package is told when the old one is gone");
    world.settle();
    assert_eq!((parts(&world), world.asked.len()), (vec![(Part::Now, 2, State::Up)], 0));
    // The next one has the side that has become free, and the third the first again.
    for version in [3, 4] {
        world.happen(H::Service(OVERLAPS, version));
        world.check(&[H::Service(OVERLAPS, version)]);
        assert_eq!(parts(&world), [(Part::Now, version.into(), State::Up)]);
    }
}

#[test]
fn a_version_that_is_never_ready_goes_and_the_old_one_has_never_stopped() {
    let mut world = serving();
    let pid = world.pid(OVERLAPS);
    world.talk(&[order(1), Ask::All, Ask::Service(silent())]);
    assert_eq!(parts(&world), [(Part::Now, 1, State::Up), (Part::Next, 2, State::Starting)]);
    let next = world.house.next_of(OVERLAPS).unwrap();
    let late = world.house.late(next);
    assert_eq!(late, Event::Broken);
    world.house.happen(next, late);
    world.rest();
    let last = world.other.as_ref().unwrap().receive::<Answer>().unwrap();
    assert!(
        matches!(&last, Some((Answer::Refused(Fault::NotReady, why), _)) if why.as_str() == "o: not ready within 7 ms"),
        "{last:?}"
    );
    assert_eq!((parts(&world), world.pid(OVERLAPS)), (vec![(Part::Now, 1, State::Up)], pid));
    somebody_serves(&world, &[]);
}

#[test]
fn a_word_by_the_socket_is_that_of_the_version_whose_process_says_it() {
    let mut world = serving();
    world.talk(&[order(1), Ask::All, Ask::Service(silent())]);
    let next = world.house.next_of(OVERLAPS).unwrap();
    let of = |world: &World, place: usize| world.house.processes[place].cgroup();
    let (new, old) = (of(&world, next), of(&world, world.place(OVERLAPS).unwrap()));
    assert_ne!(new, old);
    let ready = |pid| control::Ask::Ready { service: Name::new(OVERLAPS).unwrap(), pid };
    assert!(!world.order(&ready(77)), "a stranger's is nobody's");
    played::let_live(&old, 78);
    assert!(world.order(&ready(78)));
    assert_eq!(parts(&world)[1], (Part::Next, 2, State::Starting), "the old one vouches for itself only");
    played::let_live(&new, 79);
    assert!(world.order(&ready(79)));
    assert_eq!(parts(&world)[1], (Part::Next, 2, State::Up));
}

#[test]
fn a_death_of_ours_leaves_the_old_one_until_the_place_is_taken_and_then_the_new_one() {
    // events of the update before the death, and the version that serves after it
    for (events, version) in [
        (&[H::Service(OVERLAPS, 2)][..], 1),
        (&[H::Service(OVERLAPS, 2), H::StorageAnswers], 2),
        (&[H::Service(OVERLAPS, 2), H::StorageAnswers, H::NetworkAnswers], 2),
    ] {
        let mut world = serving();
        for what in events {
            world.happen(*what);
            world.turn();
        }
        world.next_life(None);
        let now: Vec<u64> =
            parts(&world).into_iter().filter(|(part, ..)| *part == Part::Now).map(|part| part.1).collect();
        assert_eq!(now, [version], "{events:?}");
        world.reconnect(true);
        world.check(events);
        assert_eq!(parts(&world), [(Part::Now, 2, State::Up)], "package has gone on with it");
    }
}

#[test]
fn without_room_for_both_the_old_one_ends_first_and_where_there_is_room_nobody_gets_it_meanwhile() {
    let with_cpu = |version: u8, cpu: u32| {
        let mut of = service(OVERLAPS, version);
        of.manifest.cpu.floor_permille = cpu;
        of
    };
    let mut world = World::new();
    world.talk(&[Ask::All]);
    let slice = service(OVERLAPS, 1).manifest.provider;
    let used = |world: &World| world.house.books.used(&slice).cpu_permille();
    let (all, before) = (world.house.books.slice(&slice).unwrap().cpu_permille(), used(&world));
    let free = all - before;
    let row = || Ask::Service(with_cpu(1, free - 7));
    world.talk(&[Ask::All, row()]);
    // One more than is left: the ordinary update.
    world.talk(&[row(), Ask::All]);
    let client = world.other.take().unwrap();
    client.send(&Ask::Service(with_cpu(2, 8)), &[]).unwrap();
    world.turn();
    assert_eq!(parts(&world), [(Part::Now, 1, State::Ending)]);
    world.rest();
    assert_eq!(client.receive::<Answer>().unwrap().unwrap().0, Answer::Done);
    assert_eq!((parts(&world), used(&world)), (vec![(Part::Now, 2, State::Up)], before + 8));
    // Both fit.
    client.send(&Ask::Service(with_cpu(3, free - 8)), &[]).unwrap();
    world.turn();
    assert_eq!(parts(&world)[0], (Part::Now, 2, State::Up));
    assert_eq!(used(&world), all, "both are promised");
    world.next_life(None);
    assert_eq!(used(&world), all, "and in the next life, until the one that is given up is gone");
    world.rest();
    assert_eq!((parts(&world), used(&world)), (vec![(Part::Now, 2, State::Up)], before + 8));
}

#[test]
fn who_stops_the_service_stops_both_and_whose_old_one_dies_has_the_new_one_at_once() {
    let name = Name::new(OVERLAPS).unwrap();
    let mut world = serving();
    world.happen(H::Service(OVERLAPS, 2));
    assert!(world.order(&control::Ask::Stop(name)));
    world.turn();
    world.settle();
    assert_eq!(parts(&world), [(Part::Now, 1, State::Down)], "package has heard that it was stopped");
    let mut world = serving();
    world.happen(H::Service(OVERLAPS, 2));
    world.happen(H::Dies(OVERLAPS));
    assert_eq!(world.house.next_of(OVERLAPS), None, "nobody waits for a proof while nobody serves");
    world.settle();
    assert_eq!(parts(&world), [(Part::Now, 2, State::Up)]);
}
