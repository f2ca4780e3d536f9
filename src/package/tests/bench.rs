//! A bundle of 20 MB: how long it takes from the order to its end, and what checking it costs beside hashing it and no more.
//!
//! In:  `SHG_BENCH=1` (`make bench B=install` sets it) for the whole of it; without, one short round proves that all of it works.
//! Out: `figure NAME ours peer at_least|at_most THOUSANDTHS`, a line each, which `lab bench` judges.
//!
//! The registry is ours, by HTTP on the loopback; the disk is in memory. Each value is the better quartile of its rounds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::time::{Duration, Instant};

use bundle::digest::Digest;
use bundle::keyring::Keyring;
use bundle::record::Record;
use contract::packages::Ask;
use package::disk::Folder;
use package::keep::ARCHITECTURE;
use package::store::Store;
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

/// How long checking an image takes that is there, and how long its digest alone.
fn check(made: &Made) -> (u64, u64) {
    let folder = testbed::folder("store");
    let root = Keyring::new(stage::secret(9).public().unwrap()).update(&stage::keyring()).unwrap();
    let mut store = Store::open(Folder::new(&folder).unwrap(), root, ARCHITECTURE).unwrap();
    let (manifest, config) = (made.bundle.manifest.clone(), made.bundle.config.clone());
    let record = Record { manifest, config, signature: made.signature.clone() };
    let (candidate, _) = store.candidate(&record).unwrap();
    store.take(&record, &made.bundle.layer).unwrap();
    let mut file = fs::File::open(folder.join(format!("images/{}.part", made.image().hex()))).unwrap();
    let begin = Instant::now();
    assert_eq!(Digest::of_all(&mut file).unwrap().0, made.image());
    let hash = us(begin.elapsed());
    let begin = Instant::now();
    store.check(candidate).unwrap();
    (us(begin.elapsed()), hash)
}

#[test]
fn bench_install() {
    if !enter("bench_install", &[]) {
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
    let mut all = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        stage.does(&install(&shop.source("1")));
        all.push(us(begin.elapsed()));
        stage.does(&remove("hello"));
    }
    let after_kib = resident_kib(pid);
    let (check, hash) = (0..rounds).map(|_| check(&made)).collect::<(Vec<_>, Vec<_>)>();
    let limit = if whole { LIMIT_US } else { 30 * LIMIT_US };
    println!("figure install_20mb_us {} {limit} at_most 1000", quarter(all));
    // Hashing, bringing it to the disk, reading the form: as fast as four fifths of hashing alone. A short round is too small for that.
    let goal = if whole { 1250 } else { 2000 };
    println!("figure check_20mb_us {} {} at_most {goal}", quarter(check), quarter(hash));
    println!("figure package_idle_kib {before_kib} 3072 at_most 1000");
    println!("figure package_after_kib {after_kib} 3072 at_most 1000");
}
