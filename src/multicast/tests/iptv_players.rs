//! The daemon among programs that we did not write: ffmpeg sends two channels, ffmpeg watches one and the other, smcroute watches on
//! command.
//!
//! In:  namespaces. Out: pictures that were decoded; who watches, by the daemon's word.
//!
//! Source: ffmpeg-protocols(1), `udp`; smcroutectl(8).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use stage::{Program, Stage, at, daemon, enter, run, station, until, watchers};
use testbed::has;

const FIRST: &str = "239.1.1.1";
const SECOND: &str = "239.1.1.2";
/// From the player's start to its first picture, in seconds: it waits for a key picture (every half second here), and machines are busy.
const PICTURE_S: u64 = 20;

/// A station that is ffmpeg: a test picture, 25 a second, of this many lines.
fn channel(group: &str, lines: u32) -> Program {
    let picture = format!("testsrc=size={}x{lines}:rate=25", lines * 4 / 3);
    let to = format!("udp://{group}:5004?ttl=8&localaddr=10.9.0.2&pkt_size=1316");
    let words = ["ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", &picture];
    let more = ["-c:v", "mpeg2video", "-g", "12", "-f", "mpegts", &to];
    let mut command = at("isp", &[&words[..], &more].concat());
    Program(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// Watches until ten pictures are decoded; returns what ffmpeg says of them.
fn watch(group: &str) -> String {
    let from = format!("udp://{group}:5004?localaddr=192.168.1.10&timeout={}", PICTURE_S * 1_000_000);
    let words = ["ffmpeg", "-hide_banner", "-nostdin", "-i", &from, "-frames:v", "10", "-f", "null", "-"];
    let output = at("one", &words).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{group}: {said}");
    said
}

#[test]
fn iptv_ffmpeg_watches_one_channel_and_the_next() {
    if !enter("iptv_ffmpeg_watches_one_channel_and_the_next") {
        return;
    }
    if !has("ffmpeg") {
        return println!("skipped: iptv_ffmpeg_watches_one_channel_and_the_next: no program ffmpeg");
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let _stations = [channel(FIRST, 120), channel(SECOND, 240)];
    let mut times = Vec::new();
    for (group, size) in [(FIRST, "160x120"), (SECOND, "320x240"), (FIRST, "160x120"), (SECOND, "320x240")] {
        let began = Instant::now();
        let said = watch(group);
        times.push(began.elapsed().as_millis());
        assert!(said.contains(size), "{group}: it is the picture of that channel: {said}");
        assert!(said.contains("frame=   10") || said.contains("frame=10"), "{group}: {said}");
        until("nobody watches any more", 5, || (watchers(group) == 0).then_some(()));
    }
    println!(
        "| ffmpeg: ten pictures after a change of channel take {times:?} ms, its own start and key pictures included"
    );
}

#[test]
fn iptv_smcroute_watches_on_command() {
    if !enter("iptv_smcroute_watches_on_command") {
        return;
    }
    if !has("smcrouted") {
        return println!("skipped: iptv_smcroute_watches_on_command: no program smcrouted (smcroute)");
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let _station = station(60, &[FIRST, SECOND]);
    fs::write("/run/smcroute.conf", "").unwrap();
    let words = [
        "smcrouted",
        "-n",
        "-N",
        "-f",
        "/run/smcroute.conf",
        "-u",
        "/run/smcroute.sock",
        "-P",
        "/run/smcroute.pid",
    ];
    let _smcroute = Program::start("two", &words, Some(Path::new("/run/smcroute.log")));
    let tell = |words: &str| {
        let line = format!("smcroutectl -u /run/smcroute.sock {words}");
        let words: Vec<&str> = line.split(' ').collect();
        at("two", &words).output().unwrap().status.success()
    };
    until("smcrouted listens", 10, || tell("show").then_some(()));
    let received = || {
        let text = run("two", "cat /proc/net/dev");
        let line = text.lines().find(|line| line.trim_start().starts_with("eth0:")).unwrap().to_owned();
        line.split_whitespace().nth(2).unwrap().parse::<u64>().unwrap()
    };
    for group in [FIRST, SECOND] {
        assert!(tell(&format!("join eth0 {group}")), "{}", fs::read_to_string("/run/smcroute.log").unwrap());
        until("it is heard", 5, || (watchers(group) == 1).then_some(()));
        let before = received();
        until("its stream comes", 5, || (received() > before + 50).then_some(()));
        assert!(tell(&format!("leave eth0 {group}")));
        until("and that it leaves", 5, || (watchers(group) == 0).then_some(()));
    }
    // One source only (IGMPv3).
    assert!(tell(&format!("join eth0 10.9.0.2 {FIRST}")));
    until("it is heard", 5, || (watchers(FIRST) == 1).then_some(()));
    assert!(tell(&format!("leave eth0 10.9.0.2 {FIRST}")));
    until("and that it leaves", 5, || (watchers(FIRST) == 0).then_some(()));
}
