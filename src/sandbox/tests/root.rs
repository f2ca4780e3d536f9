//! Roots that lie: places that are links, and places that change while they are used (attacks 4, 6, 8 and 9); and a kernel that has less
//! than its board names (attack 34).
//!
//! In:  `LONG=1` for ten thousand races; else a few.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use contract::layer::{Layer, Layers};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;
use sandbox::{Error, LANDLOCK_MAX, Report, Step, enter};
use stage::{Stage, end, enter_stage, manifest};
use sys::Errno;
use sys::mount::Draft;

/// Where a link would lead: a folder of the gateway's, in the test's own mount namespace.
const VICTIM: &str = "/run";

/// A root in which `lies` is a link to the victim.
fn root(lies: Option<&str>) -> OwnedFd {
    let root = Draft::new(c"tmpfs").unwrap().mount(0).unwrap();
    for place in ["proc", "dev", "tmp"] {
        if lies == Some(place) {
            symlinkat(VICTIM, &root, place).unwrap();
        } else {
            mkdirat(&root, place, Mode::from_bits_truncate(0o755)).unwrap();
        }
    }
    root
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

#[test]
fn a_place_that_is_a_link_is_refused() {
    if !enter_stage("a_place_that_is_a_link_is_refused") {
        return;
    }
    let before = mounts();
    for (place, step) in [("proc", Step::Proc), ("dev", Step::Dev), ("tmp", Step::Tmp)] {
        let (entered, report) =
            Stage::new(&manifest("exit 0")).with_root(root(Some(place))).enter(Layers::NONE);
        assert_eq!(report, Report::Failed(Error::Inside(step, Errno::ELOOP)), "{place}");
        end(entered);
        assert_eq!(mounts(), before, "{place}: nothing is mounted where it led");
    }
    let (entered, report) = Stage::new(&manifest("exit 0")).with_root(root(None)).enter(Layers::NONE);
    assert!(matches!(report, Report::Applied(_)), "the same root without a lie: {report:?}");
    end(entered);

    // The control: whoever mounts by path is led astray.
    sys::mount::attach(root(Some("dev")).as_fd(), AT_FDCWD, c"/mnt").unwrap();
    mount(Some("tmpfs"), "/mnt/dev", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    assert!(mounts().lines().any(|line| line.contains(&format!(" {VICTIM} ")) && !before.contains(line)));
}

/// Says that it is over when it goes, also where an assertion fails: else the other thread would be waited for.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_place_that_changes_while_it_is_used_leads_nowhere() {
    if !enter_stage("a_place_that_changes_while_it_is_used_leads_nowhere") {
        return;
    }
    let races = if std::env::var_os("LONG").is_some_and(|value| value == "1") { 10_000 } else { 60 };
    let changing = root(None);
    symlinkat(VICTIM, &changing, "link").unwrap();
    sys::mount::attach(changing.as_fd(), AT_FDCWD, c"/mnt").unwrap();
    let before = mounts();
    let over = AtomicBool::new(false);
    let (mut applied, mut refused, mut seen_through) = (0, 0, 0);
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat2(AT_FDCWD, "/mnt/dev", AT_FDCWD, "/mnt/link", RenameFlags::RENAME_EXCHANGE).unwrap();
                // Every rename makes everybody's walk along paths begin again.
                (0..1_000).for_each(|_| thread::yield_now());
            }
        });
        for _ in 0..races {
            let stage = Stage::new(&manifest("exit 0")).with_root(sys::mount::copy(c"/mnt").unwrap());
            let (entered, report) = stage.enter(Layers::NONE);
            match report {
                Report::Applied(_) => {
                    // A folder that got its mount and another name a moment later: reading back finds no `/dev` there, so it does not start.
                    let seen = stage.seen(&entered, report);
                    let whole = seen.has(Layer::Mounts) && seen.has(Layer::MinimalDev);
                    *(if whole { &mut applied } else { &mut seen_through }) += 1;
                }
                Report::Failed(Error::Inside(Step::Dev, _)) => refused += 1,
                other @ (Report::Nothing | Report::Failed(_)) => panic!("{other:?}"),
            }
            end(entered);
        }
    });
    assert_eq!(mounts(), before, "nothing is mounted where it led");
    println!(
        "{races} races: {applied} found a folder, {refused} a link, {seen_through} one that became the other"
    );
    assert!(applied > 0 && refused > 0, "there was no race: {applied} and {refused}");
}

#[test]
fn a_kernel_that_has_less_than_its_board_names_is_refused() {
    if !enter_stage("a_kernel_that_has_less_than_its_board_names_is_refused") {
        return;
    }
    let stage = Stage::new(&manifest("exit 0"));
    let has = sys::landlock::abi().unwrap();
    for wanted in [has + 1, LANDLOCK_MAX + 1] {
        let given = sandbox::Given { landlock: wanted, ..stage.given(Layers::NONE) };
        assert_eq!(enter(&stage.plan, given).unwrap_err(), Error::Landlock { has, wanted });
    }
    let given = sandbox::Given { landlock: 2, ..stage.given(Layers::NONE) };
    end(enter(&stage.plan, given).unwrap());
}
