//! What package is refused and told, and what becomes of what does not fit: one rule a test.

use contract::control::{Exit, State};
use contract::installed::{Answer, Ask, Service};
use contract::limit::SERVICES;
use contract::manifest::{Cpu, Manifest, Ready, Restart};
use contract::mount::Damage;
use contract::packages::Fault;
use contract::sla::{Event as Told, What as Happened};
use contract::{Name, control, mount};
use sys::Errno;
use wire::Client;

use super::{DAMAGED, H, World, manifest, service};
use crate::Error;
use crate::house::House;
use crate::life::Event;
use crate::process::What;

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn of(manifest: Manifest) -> Ask {
    Ask::Service(Service { manifest, image: [1; 32], version: 1 })
}

impl World {
    /// Says `asks` on a new connection of package, turns the house, and returns all that it is answered.
    pub(super) fn talk(&mut self, asks: &[Ask]) -> Vec<Answer> {
        let client = Client::dial_at(self.hands.installed, self.hands.installed.path.as_ref()).unwrap();
        asks.iter().for_each(|ask| client.send(ask, &[]).unwrap());
        self.package = None;
        for _ in 0..3 {
            self.rest();
        }
        let answers = std::iter::from_fn(|| client.receive().unwrap().map(|(answer, _)| answer)).collect();
        self.other = Some(client);
        answers
    }

    /// As [`World::settle`], with a connection of package that a test holds.
    pub(super) fn rest(&mut self) {
        for _ in 0..20 {
            self.storage_answers();
            self.network_answers();
            self.bury_those_told();
            self.turn();
            self.times_are_over();
        }
    }

    fn state(&self, name: &str) -> (State, String) {
        let record = &self.house.processes[self.place(name).unwrap()].record;
        (record.state, record.reason.to_string())
    }
}

#[test]
fn what_does_not_fit_after_a_boot_is_listed_as_failed_and_is_refused_later() {
    let mut world = World::new();
    let nobodys = of(Manifest { provider: name("nobody"), ..manifest("b") });
    let answers = world.talk(&[Ask::Service(service("big", 1)), nobodys.clone(), Ask::All]);
    assert_eq!(answers, [Answer::Done], "only the end is answered");
    for (of, words) in [("big", "short of"), ("b", "nobody rents no slice")] {
        let (state, reason) = world.state(of);
        assert!(state == State::Failed && reason.contains(words), "{of}: {state:?}: {reason}");
    }
    assert_eq!(world.talk(&[Ask::All]), [Answer::Done]);
    assert!(world.place("big").is_none() && world.place("b").is_none(), "not named, not kept");
    let [Answer::Done, Answer::Refused(Fault::Resources, big), Answer::Refused(Fault::Slice, b)] =
        &world.talk(&[Ask::All, Ask::Service(service("big", 1)), nobodys])[..]
    else {
        panic!("both are refused")
    };
    assert!(big.contains("big: not admitted") && b.contains("rents no slice"), "{big}; {b}");
    assert!(world.place("big").is_none() && world.place("b").is_none(), "nothing of it stays");
}

#[test]
fn a_name_that_is_the_gateways_is_refused() {
    let mut world = World::new();
    for taken in ["hello", "storage", "voice", "supervisor", "init"] {
        let before = world.house.processes.len();
        let answers = world.talk(&[Ask::All, of(manifest(taken))]);
        assert!(
            matches!(&answers[..], [Answer::Done, Answer::Refused(Fault::Foreign, why)] if why.contains("already")),
            "{taken}"
        );
        assert_eq!(world.house.processes.len(), before, "{taken}");
    }
    let answers = world.talk(&[Ask::All, Ask::Forget(name("hello"))]);
    assert!(
        matches!(&answers[..], [Answer::Done, Answer::Refused(Fault::Foreign, _)]),
        "what comes with the image stays"
    );
    assert_eq!(world.talk(&[Ask::All, Ask::Forget(name("nobody"))]), [Answer::Done, Answer::Done]);
}

#[test]
fn there_are_so_many_services_and_no_more() {
    let mut world = World::new();
    // `autostart` off: their floors do not matter.
    let idle = |number: usize| of(Manifest { autostart: false, ..manifest(&format!("idle-{number}")) });
    let room = SERVICES - crate::catalogue::entries().count();
    let all: Vec<Ask> = std::iter::once(Ask::All).chain((0..=room).map(idle)).collect();
    let answers = world.talk(&all);
    assert_eq!(answers.iter().filter(|answer| **answer == Answer::Done).count(), room + 1);
    assert!(
        matches!(answers.last(), Some(Answer::Refused(Fault::Resources, why)) if why.contains("services already"))
    );
    assert!(
        world
            .house
            .processes
            .iter()
            .all(|process| process.bundle().is_none() || process.record.pid.is_none())
    );
}

#[test]
fn an_image_that_is_refused_again_and_again_fails_and_a_sound_one_takes_its_place() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", DAMAGED))]);
    assert_eq!(world.state("a"), (State::Failed, "the image is damaged".to_owned()));
    world.happen(H::Life(None));
    world.talk(&[Ask::Service(service("a", DAMAGED)), Ask::All]);
    assert_eq!(world.state("a").0, State::Failed, "a next life does not try it again");
    world.talk(&[Ask::Service(service("a", DAMAGED)), Ask::All, Ask::Service(service("a", 1))]);
    assert_eq!(world.state("a"), (State::Up, String::new()));
}

#[test]
fn who_waits_for_a_device_is_told_of_once_and_again_when_that_changes() {
    type Start = fn(&mut House, usize) -> Result<(), Error>;
    const NO_CAMERA: Start = |_, _| Err(Error::System("no camera", Errno::ENODEV));
    const NO_PORT: Start = |_, _| Err(Error::System("no serial port", Errno::ENODEV));
    let mut world = World::new();
    let start = std::mem::replace(&mut world.house.hands.start, NO_CAMERA);
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let tries = |world: &World| match &world.house.processes[world.place("a").unwrap()].what {
        What::Tenant(tenant) => tenant.attempt,
        What::Daemon(_) => 0,
    };
    assert!(tries(&world) > 10, "it was tried again and again");
    for start in [NO_PORT, start] {
        world.house.hands.start = start;
        world.rest();
    }
    let a = name("a");
    let told: Vec<_> =
        world.house.events.last().filter(|event| event.who == a).map(|event| event.what).collect();
    use State::{Preparing, Starting, Up, Waiting};
    assert_eq!(told, [Preparing, Waiting, Waiting, Starting, Up].map(Happened::State));
    assert!(world.house.events.last().any(|event| event.who != a), "others are not pushed out");
}

/// Version 2 of `a`, which never says that it is ready.
fn silent() -> Service {
    let manifest = Manifest { ready: Ready::Notify, start_deadline_ms: 7, ..manifest("a") };
    Service { manifest, image: [2; 32], version: 2 }
}

/// The version that is there, and where it is in its life.
fn version(world: &World) -> (u64, State) {
    let process = &world.house.processes[world.place("a").unwrap()];
    (process.bundle().unwrap().version, process.record.state)
}

fn miss_the_deadline(world: &mut World) {
    let place = world.place("a").unwrap();
    assert_eq!(world.state("a").0, State::Starting);
    let event = world.house.late(place);
    world.house.happen(place, event);
}

#[test]
fn a_version_that_is_never_ready_gives_way_to_the_one_before() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let answers = world.talk(&[Ask::Service(service("a", 1)), Ask::All, Ask::Service(silent())]);
    assert_eq!(answers, [Answer::Done], "it has not proven itself yet");
    // The supervisor dies, package does not, and then it does: neither stops what is being tried before it has to.
    world.next_life(None);
    let old = || Ask::Service(service("a", 1));
    let answers = world.talk(&[Ask::Before(service("a", 1)), Ask::All, Ask::Service(silent())]);
    assert_eq!((answers, version(&world)), (vec![Answer::Done], (2, State::Starting)));
    miss_the_deadline(&mut world);
    let said = |world: &World| world.other.as_ref().unwrap().receive().unwrap().map(|(answer, _)| answer);
    world.rest();
    let refused = said(&world);
    assert!(
        matches!(&refused, Some(Answer::Refused(Fault::NotReady, why)) if why.as_str() == "a: not ready within 7 ms"),
        "{refused:?}"
    );
    assert_eq!(version(&world), (2, State::Failed), "package says who is to run");
    world.next_life(None);
    assert_eq!(version(&world).0, 2);
    assert_eq!(world.talk(&[old(), Ask::All]), [Answer::Done]);
    assert_eq!((version(&world), world.state("a").1), ((1, State::Up), String::new()));
}

#[test]
fn who_stops_what_is_tried_or_dies_meanwhile_has_the_one_before() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let old = || Ask::Service(service("a", 1));
    world.talk(&[old(), Ask::All, Ask::Service(silent())]);
    assert_eq!(version(&world), (2, State::Starting));
    // package has died: it knows of no update any more.
    assert_eq!(world.talk(&[old(), Ask::All]), [Answer::Done]);
    assert_eq!(version(&world), (1, State::Up));
    world.talk(&[old(), Ask::All, Ask::Service(silent())]);
    assert!(world.order(&control::Ask::Stop(name("a"))));
    world.rest();
    let last = world.other.as_ref().unwrap().receive::<Answer>().unwrap();
    assert!(matches!(last, Some((Answer::Refused(Fault::NotReady, _), _))), "{last:?}");
    world.talk(&[old(), Ask::All]);
    assert_eq!(version(&world), (1, State::Down), "whoever stopped it is heard");
    // Who does not run is not tried.
    assert_eq!(world.talk(&[old(), Ask::All, Ask::Service(silent())]), [Answer::Done, Answer::Done]);
    assert_eq!(version(&world), (2, State::Down));
}

#[test]
fn who_restarts_a_service_counts_its_restarts_anew() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let restarts = |world: &World| world.house.processes[world.place("a").unwrap()].record.restarts;
    assert_eq!((world.state("a").0, restarts(&world)), (State::Up, 0));
    for ended in 1..=2 {
        world.happen(H::Dies("a"));
        world.rest();
        assert_eq!((world.state("a").0, restarts(&world)), (State::Up, ended), "it ended by itself");
    }
    let before = world.pid("a");
    assert!(world.order(&control::Ask::Restart(name("a"))));
    world.rest();
    assert_eq!((world.state("a").0, restarts(&world)), (State::Up, 0), "an order is none");
    assert_ne!(world.pid("a"), before);
}

#[test]
fn what_the_one_before_was_promised_is_given_to_nobody_while_the_next_is_tried() {
    let mut world = World::new();
    let with_cpu = |of: Service, cpu: u32| {
        let mut of = of;
        of.manifest.cpu.floor_permille = cpu;
        Ask::Service(of)
    };
    let slice = manifest("a").provider;
    world.talk(&[Ask::All]);
    let all = world.house.books.slice(&slice).unwrap().cpu_permille();
    let free = all - world.house.books.used(&slice).cpu_permille();
    world.talk(&[Ask::All, with_cpu(service("a", 1), free)]);
    let row = || with_cpu(service("a", 1), free);
    world.talk(&[row(), Ask::All, with_cpu(silent(), 1)]);
    assert_eq!(version(&world), (2, State::Starting));
    assert_eq!(world.house.books.used(&slice).cpu_permille(), all);
    world.next_life(None);
    assert_eq!(world.house.books.used(&slice).cpu_permille(), all, "and so in the next life");
    miss_the_deadline(&mut world);
    world.rest();
    assert_eq!(version(&world), (2, State::Failed));
    assert_eq!(world.house.books.used(&slice).cpu_permille(), all, "until it is back");
    world.talk(&[row(), Ask::All]);
    assert_eq!(version(&world), (1, State::Up));
    // One that proves itself has its own floors and no more.
    assert_eq!(world.talk(&[row(), Ask::All, with_cpu(service("a", 3), 1)]), [Answer::Done, Answer::Done]);
    assert_eq!(world.house.books.used(&slice).cpu_permille(), all - free + 1);
}

#[test]
fn autostart_is_for_the_next_boot_and_the_same_word_again_changes_nothing() {
    let mut world = World::new();
    let a = service("a", 1);
    let off = Ask::Service(Service { manifest: Manifest { autostart: false, ..a.manifest.clone() }, ..a });
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let pid = world.pid("a");
    assert!(pid.is_some());
    assert_eq!(
        world.talk(&[Ask::Service(service("a", 1)), Ask::All, off.clone()]),
        [Answer::Done, Answer::Done]
    );
    assert_eq!(world.pid("a"), pid, "an order is for a boot, this is for the next");
    assert!(!world.house.processes[world.place("a").unwrap()].row().autostart);
    world.happen(H::Life(None));
    assert!(!world.house.processes[world.place("a").unwrap()].row().autostart, "it is kept");
    assert_eq!(world.pid("a"), pid, "nothing was restarted");
    world.talk(&[off, Ask::All, Ask::Forget(name("a"))]);
    world.talk(&[Ask::All, of(Manifest { autostart: false, ..manifest("a") })]);
    assert_eq!(world.state("a").0, State::Down, "it does not start by itself");
}

#[test]
fn whether_it_is_started_again_is_an_order_and_no_other_version() {
    let mut world = World::new();
    let with = |restart| of(Manifest { restart, ..manifest("a") });
    world.talk(&[Ask::All, with(Restart::Always)]);
    let row = |world: &World| world.house.processes[world.place("a").unwrap()].row();
    let die = |world: &mut World| world.house.bury(world.place("a").unwrap(), Exit::Signal(9));
    assert_eq!(
        (row(&world).restart, row(&world).restarted_ms, row(&world).next_ms),
        (Restart::Always, None, None)
    );
    die(&mut world);
    assert!(row(&world).state == State::Waiting && row(&world).next_ms.is_some(), "{:?}", row(&world));
    world.rest();
    let (again, pid) = (row(&world), world.pid("a"));
    assert!(again.state == State::Up && again.restarted_ms.is_some() && again.next_ms.is_none(), "{again:?}");
    assert_eq!(
        world.talk(&[with(Restart::Always), Ask::All, with(Restart::Never)]),
        [Answer::Done, Answer::Done]
    );
    assert_eq!((world.pid("a"), row(&world).restart), (pid, Restart::Never), "nothing was restarted");
    world.next_life(None);
    assert_eq!((world.pid("a"), row(&world).restart), (pid, Restart::Never), "it is kept");
    die(&mut world);
    world.rest();
    let said = row(&world);
    assert_eq!((said.state, said.next_ms), (State::Down, None), "it has ended, and stays so");
    assert_eq!((said.restarts, said.restarted_ms), (1, again.restarted_ms));
}

#[test]
fn a_volume_that_does_not_fit_is_refused_with_what_is_short_and_one_without_a_disk_waits() {
    let mut world = World::new();
    // One MiB of three, then four more.
    assert_eq!(world.talk(&[Ask::All, Ask::Service(service("a", 2))]), [Answer::Done, Answer::Done]);
    let answers = world.talk(&[Ask::Service(service("a", 2)), Ask::All, Ask::Service(service("b", 5))]);
    assert!(
        matches!(&answers[1], Answer::Refused(Fault::Resources, why) if why.contains("short of 2 MiB")),
        "{answers:?}"
    );
    assert_eq!(world.volumes, [("a".to_owned(), 1 << 20)].into());
    // Storage has the last word; its no is not for good.
    let place = world.place("a").unwrap();
    world.house.happen(place, Event::Died);
    for _ in 0..2 * crate::hear::REFUSALS_MAX {
        world.house.hear_mounts();
        world.house.hear_attachments();
        world.network_answers();
        world.times_are_over();
        while let Some((ask, _)) = world.storage.hear::<mount::Ask>() {
            let root = sys::seqpacket::memory_file(c"root").unwrap();
            match ask {
                mount::Ask::Mount { .. } => world.storage.say(&mount::Answer::Mounted, Some(&root)),
                mount::Ask::Volume { .. } | mount::Ask::Disk => {
                    world.storage.say(&mount::Answer::Refused("no disk".into()), None);
                }
                mount::Ask::Release { .. }
                | mount::Ask::Drop { .. }
                | mount::Ask::Watch
                | mount::Ask::Finish => {
                    panic!("{ask:?}")
                }
            }
        }
    }
    let (state, reason) = world.state("a");
    assert!(
        [State::Waiting, State::Preparing].contains(&state) && reason == "no disk",
        "{state:?}: {reason}"
    );
}

/// An image that is damaged is an event of the service that has it, once for each start.
#[test]
fn a_damaged_image_is_an_event_once_for_each_start() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", 1)), Ask::Service(service("b", 2))]);
    let (one, place) = (Damage::Data(7), world.place("a").unwrap());
    let told = |world: &World| -> Vec<(String, Damage)> {
        let last = world.house.events.last();
        let damage = |event: &Told| match event.what {
            Happened::Damaged(damage) => Some((event.who.to_string(), damage)),
            Happened::State(_) | Happened::Breach(_) | Happened::StartSkipped(_) => None,
        };
        last.filter_map(damage).collect()
    };
    world.house.damaged(&[9; 32], one);
    assert!(told(&world).is_empty(), "nobody has this image");
    for damage in [one, Damage::Tree(8), one] {
        world.house.damaged(&[1; 32], damage);
    }
    assert_eq!(told(&world), [("a".to_owned(), one)]);
    let refused = world.house.prepare(place);
    assert!(refused.is_none(), "{refused:?}");
    world.house.damaged(&[1; 32], Damage::Somewhere);
    world.house.damaged(&[2; 32], one);
    let wants = [("a", one), ("a", Damage::Somewhere), ("b", one)].map(|(name, one)| (name.to_owned(), one));
    assert_eq!(told(&world), wants, "another start is told of again, and the other service has its own");
}

#[test]
fn who_follows_hears_that_a_service_is_gone() {
    let mut world = World::new();
    world.talk(&[Ask::All, Ask::Service(service("a", 1))]);
    let client = Client::dial_at(world.hands.control, world.hands.control.path.as_ref()).unwrap();
    client.send(&control::Ask::Follow, &[]).unwrap();
    world.rest();
    world.talk(&[Ask::All]);
    let mut heard = Vec::new();
    while let Some((answer, _)) = client.receive::<control::Answer>().unwrap() {
        heard.push(answer);
    }
    assert_eq!(heard.first(), Some(&control::Answer::Done));
    assert_eq!(heard.last(), Some(&control::Answer::Gone(name("a"))), "{heard:?}");
}

#[test]
fn who_watches_is_told_of_promises_once_for_each_change() {
    let mut world = World::new();
    let watcher = Client::dial_at(world.hands.control, world.hands.control.path.as_ref()).unwrap();
    watcher.send(&control::Ask::Watch, &[]).unwrap();
    let told = |world: &mut World, asks: &[Ask]| {
        world.talk(asks);
        world.house.tell_compliance();
        world.house.tell_compliance();
        let answers = std::iter::from_fn(|| watcher.receive::<control::Answer>().unwrap());
        let row = |answer| {
            let control::Answer::Compliance(row) = answer else { return None };
            Some((row.service.to_string(), row.promised[0]))
        };
        answers.filter_map(|(answer, _)| row(answer)).collect::<Vec<_>>()
    };
    let floor = |floor_permille| Cpu { floor_permille, ceiling_permille: 500 };
    let asks =
        |permille| [of(Manifest { cpu: floor(permille), autostart: false, ..manifest("a") }), Ask::All];
    let first = told(&mut world, &asks(20));
    assert!(first.iter().any(|(service, _)| service == "hello") && first.contains(&("a".to_owned(), 20)));
    assert_eq!(told(&mut world, &asks(20)), [], "nothing has changed");
    assert_eq!(told(&mut world, &asks(30)), [("a".to_owned(), 30)]);
}
