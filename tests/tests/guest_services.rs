//! Services of bundles come with a boot, live through deaths of the supervisor and of package, and go without a trace.
//!
//! In:  the rehearsal root with keys of its own, a data disk with bundles on it. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: every order in which things can happen (`src/supervisor/src/model.rs`), what is mounted (`guest_bundles.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use lab::facts::{self, Process};
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::{self, Variant};

use disk::{Desk, manifest};

/// How often the supervisor is killed.
const KILLS: u64 = 10;

/// One that stays, one whose image is damaged, one that wants more than its slice has, one that waits for an order.
fn desk() -> Desk {
    let mut desk = Desk::new();
    let runs = |name: &str| {
        let by_itself = manifest(name).replace("autostart = false", "autostart = true");
        by_itself.replace("ready = \"notify\"", "ready = \"running\"")
    };
    desk.install_waiting("lodger", &runs("lodger"));
    desk.install_waiting("damaged", &runs("damaged"));
    desk.bend("damaged", |image| image[1152] ^= 1);
    desk.install_waiting("wanting", &runs("wanting").replace("floor_permille = 20", "floor_permille = 500"));
    desk.install_waiting("idle", &runs("idle").replace("autostart = true", "autostart = false"));
    desk
}

fn row(guest: &mut Guest, name: &str) -> Option<Process> {
    facts::processes(guest).ok()?.into_iter().find(|process| process.name == name)
}

fn becomes(guest: &mut Guest, name: &str, state: &str) -> Process {
    let seen = guest.until(&format!("{name} {state}"), UP_LIMIT, |guest| {
        Ok(row(guest, name).filter(|process| process.state == state))
    });
    seen.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", row(guest, name), guest.last_lines()))
}

/// Lines of the machine's state that have to do with services of bundles, and the number of services' links.
fn traces(guest: &mut Guest, name: &str) -> (Vec<String>, usize) {
    let state = guest.door("state").unwrap();
    let its = state.lines().filter(|line| line.contains(name)).map(str::to_owned).collect();
    (its, state.lines().filter(|line| line.starts_with("link svc-")).count())
}

fn kill_supervisor(guest: &mut Guest) {
    let lives = facts::lives(guest).unwrap();
    guest.door("kill supervisor").unwrap();
    let next = |guest: &mut Guest| Ok((facts::lives(guest).unwrap_or(0) > lives).then_some(()));
    guest.until("the next life", UP_LIMIT, next).unwrap();
}

#[test]
fn services_of_bundles_come_stay_and_go() {
    let desk = desk();
    let files = root::keys(&desk.keys()).unwrap();
    let files = files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect();
    let (variant, around, data) = (Variant::Rehearsal, Around::Nothing, Some(desk.data()));
    let options = Options { variant, around, files, data, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    let guest = &mut guest;

    becomes(guest, "lodger", "up");
    let damaged = becomes(guest, "damaged", "failed");
    assert!(damaged.reason.contains("not what was signed"), "{}", damaged.reason);
    let wanting = becomes(guest, "wanting", "failed");
    assert!(wanting.reason.contains("short of"), "{}", wanting.reason);
    assert!(!becomes(guest, "idle", "down").autostart);
    becomes(guest, "hello", "up");
    let resident = facts::resident(guest).unwrap();
    println!("supervisor: {:?} KiB resident", resident.iter().find(|(name, _)| name == "supervisor"));

    // Nobody notices that the supervisor dies, nor that package does.
    let before = facts::processes(guest).unwrap();
    for _ in 0..KILLS {
        kill_supervisor(guest);
    }
    assert_eq!(facts::processes(guest).unwrap(), before, "no process was restarted, none changed its state");
    let restarts = row(guest, "package").unwrap().restarts;
    guest.door("kill package").unwrap();
    let again = |guest: &mut Guest| {
        Ok(row(guest, "package").filter(|process| process.state == "up" && process.restarts > restarts))
    };
    guest.until("package up again", UP_LIMIT, again).unwrap();
    let but_package =
        |all: Vec<Process>| all.into_iter().filter(|one| one.name != "package").collect::<Vec<_>>();
    assert_eq!(but_package(facts::processes(guest).unwrap()), but_package(before));

    // An order is for this boot, whoever it is about.
    guest.door("start idle").unwrap();
    becomes(guest, "idle", "up");
    guest.door("stop lodger").unwrap();
    becomes(guest, "lodger", "down");
    guest.door("start lodger").unwrap();
    becomes(guest, "lodger", "up");
    let refused = guest.ask("start wanting").unwrap();
    assert!(refused.exit == 1 && refused.text.contains("short of"), "{}", refused.text);

    let (its, links) = traces(guest, "lodger");
    assert!(its.iter().any(|line| line.starts_with("cgroup ")), "{its:#?}");
    guest.door("remove lodger").unwrap();
    assert_eq!(row(guest, "lodger"), None, "it is gone when that was answered");
    let (its, now) = traces(guest, "lodger");
    assert_eq!((its, now), (Vec::new(), links - 1), "nothing of it stays");
    guest.door("remove damaged").unwrap();
    kill_supervisor(guest);
    assert!(row(guest, "lodger").is_none() && row(guest, "damaged").is_none(), "and nothing comes back");
    becomes(guest, "idle", "up");
}
