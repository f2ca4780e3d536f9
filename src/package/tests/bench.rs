//! A bundle of 20 MB: how long it takes from the order to its end, and what checking it costs beside hashing it and no more.
//!
//! In:  `SHG_BENCH=1` (`make bench B=install` sets it) for the whole of it; without, one short round proves that all of it works.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges.
//!
//! The registry is ours, by HTTP on the loopback; the disk is in memory. Each value is the better quartile of its rounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use contract::packages::Ask;
use stage::{Made, Shop, Stage, enter, install, remove};

/// The image, in bytes.
const SIZE: usize = 20_000_000;
/// What an installation may take, in microseconds.
const LIMIT_US: u64 = 1_000_000;

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

/// The better quartile.
fn quarter(mut rounds: Vec<u64>) -> u64 {
    rounds.sort_unstable();
    rounds[rounds.len() / 4]
}

/// Resident memory, in KiB. Source: proc(5).
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn bench_install() {
    if !enter("bench_install", &["openssl"]) {
        return;
    }
    let whole = std::env::var_os("SHG_BENCH").is_some();
    let (rounds, size) = if whole { (9, SIZE) } else { (1, 1_000_000) };
    let shop = Shop::open();
    let stage = Stage::new(&shop.word().replace("silence_s = 1", "silence_s = 30"), 128);
    let made = Made::sized("hello", "demo", (1, 1), size);
    shop.put("1", &made);
    stage.does(&Ask::List);
    let pid = stage.daemon.as_ref().unwrap().0.id();
    let before_kib = resident_kib(pid);
    let (mut all, mut hash) = (Vec::new(), Vec::new());
    let file = stage.disk.join("bundles/images").join(made.image().hex());
    for _ in 0..rounds {
        let begin = Instant::now();
        stage.does(&install(&shop.source("1")));
        all.push(us(begin.elapsed()));
        // What somebody else needs for the digest alone.
        let begin = Instant::now();
        let output = Command::new("openssl").args(["dgst", "-sha256"]).arg(&file).output().unwrap();
        hash.push(us(begin.elapsed()));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(&made.image().hex()), "{said}");
        stage.does(&remove("hello"));
    }
    let after_kib = resident_kib(pid);
    println!("\nrow openssl hashes the image in {} us", quarter(hash));
    let limit = if whole { LIMIT_US } else { 30 * LIMIT_US };
    println!("\nfigure install_20mb_us {} {limit} at_most 1000", quarter(all));
    println!("\nfigure package_idle_kib {before_kib} 3072 at_most 1000");
    println!("\nfigure package_after_kib {after_kib} 3072 at_most 1000");
}
