//! What a start costs: our sandbox against crun, bwrap and the kernel's own steps, in turns, in one run.
//!
//! In:  `SHG_BENCH=1` (`make bench B=sandbox` sets it) for the whole of it; without, three short rounds prove that all of it works.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges; the whole table beside it.
//!
//! A round is one start of an empty root's `/bin/true`, its end, and the clean-up. Ours is what the supervisor does: a fresh cgroup, every
//! layer, reading all of them back, the last word. Peers are `bench/contender.rs`, the kernel's own steps `bench/floor.c`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "bench/contender.rs"]
mod contender;
mod stage;

use std::fs;
use std::os::fd::AsFd;
use std::time::Instant;

use contender::{Contender, Round, scratch};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use sandbox::{Entered, Moment, Network, Report, cgroup, enter, layers, look};
use stage::{LIMIT_MS, Stage, enter_stage, manifest, without_controllers};

/// CPU time of a start, in microseconds.
const CPU_US_MAX: u64 = 2_500;
/// Memory that a start takes beside what the supervisor has, in KiB.
const EXTRA_KIB_MAX: u64 = 256;

/// Ours: what the supervisor keeps between two lives of a service.
struct Ours {
    stage: Stage,
    root: std::ffi::CString,
}

impl Ours {
    fn new(root: &std::path::Path) -> Self {
        let mut manifest = manifest("");
        manifest.command = ["/bin/true".into()].into_iter().collect();
        let root = std::ffi::CString::new(root.to_str().unwrap()).unwrap();
        Self { stage: Stage::new(&manifest), root }
    }

    /// One round; `cold` makes the network and the whole cgroup anew, too. What `look` does while every layer is on and nothing runs yet is its caller's.
    fn round(&mut self, cold: bool, read_back: bool, mut look_at: impl FnMut(&Entered)) -> Round {
        let (began, cpu) = (Instant::now(), cpu_us());
        if cold {
            self.stage.network = Network::create().unwrap();
            cgroup::remove(&self.stage.plan.cgroup).unwrap();
        }
        let root = sys::mount::copy(&self.root).unwrap();
        let plan = &self.stage.plan;
        let group = cgroup::renew(&plan.cgroup, &plan.cgroup_files).unwrap();
        let given = self.stage.given_with(root.as_fd(), group.as_fd());
        let entered = enter(plan, given).unwrap();
        assert!(sys::descriptor::wait_readable(entered.applied.as_fd(), LIMIT_MS).unwrap(), "no word");
        let Report::Applied(told) = entered.report() else { panic!("not applied") };
        if read_back {
            let seen =
                layers(&look(entered.pid, plan, &self.stage.network.namespace, told, Moment::Waiting), plan);
            assert_eq!(
                seen.iter().chain(self.stage.unseen.iter()).count(),
                contract::layer::Layer::ALL.len()
            );
        }
        look_at(&entered);
        entered.go().unwrap();
        let end = waitpid(Pid::from_raw(entered.pid), None).unwrap();
        assert!(matches!(end, WaitStatus::Exited(_, 0)), "{end:?}");
        drop((entered, root));
        Round { ns: u64::try_from(began.elapsed().as_nanos()).unwrap(), cpu_us: cpu_us() - cpu, kib: 0 }
    }
}

/// How large a hostile tree is that has to go.
const TREE: u64 = 1_000;
/// How long it may take after its grace, in microseconds.
const TREE_US_MAX: u64 = 100_000;

/// A tree of processes in a sandbox, and from the kernel's order to kill them until the last is gone, in microseconds.
fn tree_us(root: &std::path::Path) -> u64 {
    let mut manifest = manifest("");
    manifest.command = ["/bin/tree".into(), TREE.to_string().as_str().into()].into_iter().collect();
    manifest.limits.pids = u32::try_from(TREE + 10).unwrap();
    let stage = Stage::new(&manifest);
    let root = std::ffi::CString::new(root.to_str().unwrap()).unwrap();
    let root = sys::mount::copy(&root).unwrap();
    let group = cgroup::renew(&stage.plan.cgroup, &stage.plan.cgroup_files).unwrap();
    let entered = enter(&stage.plan, stage.given_with(root.as_fd(), group.as_fd())).unwrap();
    assert!(sys::descriptor::wait_readable(entered.applied.as_fd(), LIMIT_MS).unwrap(), "no word");
    assert!(matches!(entered.report(), Report::Applied(_)), "not applied");
    entered.go().unwrap();
    stage.hears(b't');
    assert_eq!(cgroup::processes(&stage.plan.cgroup).count(), usize::try_from(TREE).unwrap());
    let began = Instant::now();
    cgroup::kill(&stage.plan.cgroup).unwrap();
    // The first process of a process namespace is gone when all of it are.
    waitpid(Pid::from_raw(entered.pid), None).unwrap();
    let gone = began.elapsed();
    assert!(!cgroup::is_populated(&stage.plan.cgroup));
    cgroup::remove(&stage.plan.cgroup).unwrap();
    u64::try_from(gone.as_micros()).unwrap()
}

/// CPU time of this process and of its children that were waited for, in microseconds.
fn cpu_us() -> u64 {
    let of = |usage: Usage| [usage.user_time(), usage.system_time()];
    let times = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| of(getrusage(who).unwrap()));
    let us =
        |time: nix::sys::time::TimeVal| u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap();
    times.into_iter().flatten().map(us).sum()
}

/// What a child that waits for its last word has for itself, in KiB: pages that are its alone, and tables for them.
fn own_kib(entered: &Entered) -> u64 {
    let sum = |file: &str, keys: &[&str]| {
        let text = fs::read_to_string(format!("/proc/{}/{file}", entered.pid)).unwrap();
        let value = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let wanted = |line: &&str| keys.iter().any(|key| line.starts_with(key));
        text.lines().filter(wanted).filter_map(value).sum::<u64>()
    };
    sum("smaps_rollup", &["Private_Clean:", "Private_Dirty:"]) + sum("status", &["VmPTE:"])
}

/// The value that a part of all rounds is not over, in thousandths.
fn at(values: impl Iterator<Item = u64>, permille: usize) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values[(values.len() - 1) * permille / 1000]
}

fn figure(name: &str, ours: u64, peer: u64, permille: u64) {
    println!("figure {name} {ours} {peer} at_most {permille}");
}

#[test]
fn a_start_costs_little_more_than_the_kernel_asks() {
    if !enter_stage("a_start_costs_little_more_than_the_kernel_asks") {
        return;
    }
    let whole = std::env::var_os("SHG_BENCH").is_some();
    let rounds = if whole { 200 } else { 3 };
    let folder = scratch();
    let root = folder.join("root");
    let mut ours = Ours::new(&root);
    ours.stage.unseen = without_controllers();
    let mut peers = match contender::all(&folder) {
        Ok(peers) => peers,
        Err(why) => return println!("skipped: {why}"),
    };

    let mut own: [Vec<Round>; 3] = Default::default();
    for _ in 0..rounds {
        own[0].push(ours.round(false, true, |_| ()));
        own[1].push(ours.round(true, true, |_| ()));
        own[2].push(ours.round(false, false, |_| ()));
        for peer in &mut peers {
            peer.round();
        }
    }
    let mut extra = 0;
    ours.round(false, true, |entered| extra = own_kib(entered));

    let [warm, cold, blind] = own;
    let rows = [("ours-warm", &warm), ("ours-cold", &cold), ("ours-warm-not-read-back", &blind)];
    let rows = rows.into_iter().chain(peers.iter().map(|peer| (peer.name, &peer.rounds)));
    println!("row name median_us p10_us cpu_us_median peak_kib");
    for (name, rounds) in rows {
        let us = |permille| at(rounds.iter().map(|round| round.ns / 1000), permille);
        let cpu = at(rounds.iter().map(|round| round.cpu_us), 500);
        let kib =
            if name.starts_with("ours") { extra } else { at(rounds.iter().map(|round| round.kib), 500) };
        println!("row {name} {} {} {cpu} {kib}", us(500), us(100));
    }
    let find = |name: &str| peers.iter().find(|peer: &&Contender| peer.name == name).map(|peer| &peer.rounds);
    let us = |rounds: &Vec<Round>, permille| at(rounds.iter().map(|round| round.ns / 1000), permille);
    for (word, permille) in [("median", 500), ("p10", 100)] {
        for (peer, mine, limit) in
            [("crun", &warm, 250), ("bwrap", &warm, 1000), ("floor", &warm, 1500), ("steps", &cold, 1500)]
        {
            let kind = if peer == "steps" { "cold" } else { "warm" };
            let theirs = find(peer).unwrap_or_else(|| panic!("no {peer}"));
            figure(
                &format!("{kind}_start_us_{word}_against_{peer}"),
                us(mine, permille),
                us(theirs, permille),
                limit,
            );
        }
    }
    let trees: Vec<u64> = (0..if whole { 20 } else { 1 }).map(|_| tree_us(&root)).collect();
    figure("tree_of_1000_gone_us_against_limit", at(trees.into_iter(), 500), TREE_US_MAX, 1000);
    figure(
        "warm_start_cpu_us_against_limit",
        at(warm.iter().map(|round| round.cpu_us), 500),
        CPU_US_MAX,
        1000,
    );
    figure("warm_start_extra_kib_against_limit", extra, EXTRA_KIB_MAX, 1000);
}
