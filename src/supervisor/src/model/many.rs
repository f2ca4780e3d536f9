//! A crash loop leaves the house as large as it was.
//!
//! In:  a service that dies and is started again, two thousand times, `LONG=1` a hundred thousand. Out: it runs each time, and this process has
//! no more memory and no more descriptors than after the first tenth of them.
//!
//! The sandbox's part of a start asks for no memory at all (`src/sandbox/tests/memory.rs`); the whole, fewer times, is `make test T=churn`.

use std::fs;
use std::process::Command;

use contract::control::State;

use super::{H, World};

/// Restarts, in the short and in the long run.
const RESTARTS: [u32; 2] = [2_000, 100_000];
/// What it may have more after all of them, in KiB.
const GROWN_KIB_MAX: u64 = 64;
/// Says that this process has nothing else to do.
const ALONE: &str = "SHG_MODEL_ALONE";

/// Memory of this process that is no file's, in KiB, and how many descriptors are open.
fn size() -> (u64, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
    (kib, fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Dies, and runs again as another process. The order before it forgets the deaths before: each is a first one.
fn restart(world: &mut World) {
    let before = world.pid("a");
    world.happen(H::Start("a"));
    world.happen(H::Dies("a"));
    world.settle();
    let process = &world.house.processes[world.place("a").unwrap()];
    assert_eq!(process.record.state, State::Up);
    assert!(process.record.pid.is_some() && process.record.pid != before);
}

#[test]
fn a_crash_loop_leaves_the_house_as_large_as_it_was() {
    if std::env::var_os(ALONE).is_none() {
        // Other tests in this process would be counted, too.
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.args([
            "--exact",
            "model::many::a_crash_loop_leaves_the_house_as_large_as_it_was",
            "--nocapture",
        ]);
        assert!(alone.env(ALONE, "1").status().unwrap().success());
        return;
    }
    let long = std::env::var_os("LONG").is_some_and(|long| long == "1");
    let mut world = World::new();
    world.happen(H::Service("a", 1));
    world.settle();
    let (tenth, mut looks) = (RESTARTS[usize::from(long)] / 10, Vec::new());
    for _ in 0..10 {
        for _ in 0..tenth {
            restart(&mut world);
        }
        looks.push(size());
    }
    println!("KiB and descriptors, after each {tenth} restarts: {looks:?}");
    let ((before, descriptors), (after, descriptors_after)) = (looks[0], looks[9]);
    assert!(after <= before + GROWN_KIB_MAX, "it has grown from {before} to {after} KiB");
    assert_eq!(descriptors_after, descriptors);
}
