//! A service that starts at times of the day, with a clock that servers have set.
//!
//! In:  the rehearsal root, a data disk with such a service, chronyd. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: clocks that step, ends, orders, deaths (`src/supervisor/src/model/times.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use lab::guest::{Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::namespace;
use lab::operator::DESK;
use lab::root::{self, Variant};
use lab::tool::{self, Bound};
use serde_json::Value;

const NETWORK: &str = include_str!("../../rootfs/etc/shg/network.toml");
const PROGRAMS: [(&str, &str); 2] = [("chronyd", "chrony"), ("ip", "iproute2")];
const DAY_S: u64 = 86_400;
/// From the desk's word until its first time and from one to the next, in minutes: a boot on a busy machine takes less.
const APART_MINUTES: u64 = 3;

/// Four times of the day, in seconds after midnight, the first after a boot.
fn times() -> [u64; 4] {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    [1, 2, 3, 4].map(|count| (now_s / 60 + count * APART_MINUTES) * 60 % DAY_S)
}

fn manifest(name: &str, times: &[u64]) -> String {
    let times: Vec<String> =
        times.iter().map(|time| format!("\"{:02}:{:02}\"", time / 3_600, time / 60 % 60)).collect();
    let more = format!("restart = \"never\"\nready = \"running\"\nstart_at = [{}]\n[cpu]", times.join(", "));
    let manifest = disk::manifest(name).replace("autostart = false", "autostart = true");
    let kept: Vec<&str> =
        manifest.lines().filter(|line| !line.starts_with("restart") && !line.starts_with("ready")).collect();
    kept.join("\n").replace("[\"/hello\"]", "[\"/hello\", \"exit\", \"0\"]").replacen("[cpu]", &more, 1)
}

fn row(guest: &mut Guest, name: &str) -> Value {
    let all = guest.json("status --json").unwrap();
    all.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap_or_default()
}

fn now_s(guest: &mut Guest) -> u64 {
    guest.json("time --json").unwrap()["now_s"].as_u64().unwrap()
}

#[test]
fn a_service_starts_at_its_time_of_the_day() {
    const NAME: &str = "a_service_starts_at_its_time_of_the_day";
    if let Some(why) = PROGRAMS.iter().find_map(|(program, package)| tool::need(program, package).err()) {
        return println!("skipped: {why}");
    }
    let chatter = lab::house::firmware().join("chatter");
    let Ok(program) = fs::read(&chatter) else {
        return println!("skipped: no {}: make firmware rehearsal", chatter.display());
    };
    let Some(()) = namespace::enter(NAME).unwrap() else { return };
    tool::run("ip", &["link", "set", "lo", "up"]).unwrap();
    let scratch = Scratch::new().unwrap();
    let (configuration, pid) = (scratch.file("chrony.conf"), scratch.file("chrony.pid"));
    let words =
        format!("allow all\nlocal stratum 2\ncmdport 0\nbindcmdaddress /\npidfile {}\n", pid.display());
    fs::write(&configuration, words).unwrap();
    let mut chronyd = tool::bound("chronyd");
    chronyd.args(["-d", "-x", "-u", "root", "-F", "0", "-f"]).arg(&configuration);
    let _chronyd = Bound::start(&mut chronyd).unwrap();

    let (mut desk, times) = (disk::Desk::new(), times());
    desk.install_program("night", &manifest("night", &times), program.clone());
    desk.install_program("noon", &manifest("noon", &[(times[0] + DAY_S / 2) % DAY_S]), program);
    let files = root::keys(&desk.keys()).unwrap();
    let options = Options {
        variant: Variant::Rehearsal,
        network: Some(format!("{NETWORK}\n[time]\nserver = [\"{DESK}\"]\n")),
        files: files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect(),
        data: Some(desk.data()),
        ..Options::usual().unwrap()
    };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    let guest = &mut guest;
    let planned =
        guest.until("a next start", 2 * UP_LIMIT, |guest| Ok(row(guest, "night")["next_ms"].as_u64()));
    planned
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", guest.door("time").unwrap(), guest.last_lines()));
    let before = row(guest, "night");
    assert!(before["state"] == "down" && before["exit"].is_null(), "not at boot: {before}");

    let ended = guest.until("its first end", 4 * UP_LIMIT, |guest| {
        let row = row(guest, "night");
        Ok((row["exit"] == "code 0").then_some(row))
    });
    let ended = ended.unwrap_or_else(|error| panic!("{error}\n{}", guest.last_lines()));
    let (second, since_ms) = (now_s(guest) % DAY_S, ended["since_ms"].as_u64().unwrap());
    let late = times.map(|time| (second + DAY_S - time) % DAY_S).into_iter().min().unwrap();
    println!("» it ended {late} s after the minute, at the latest");
    assert!(late < 90, "{second}, its times are {times:?}");
    // Its next time is the one after that.
    let until_ms = row(guest, "night")["next_ms"].as_u64().unwrap() - since_ms;
    assert!(until_ms.abs_diff(APART_MINUTES * 60_000) < 60_000, "{until_ms}");
    let other = row(guest, "noon");
    assert!(other["exit"].is_null() && other["next_ms"].as_u64().unwrap() > since_ms + 36_000_000, "{other}");
    let console = guest.console();
    assert_eq!(console.matches("night: its time of the day has come").count(), 1, "{console}");
}
