//! The daemon among hosts that we did not write: the kernel's own IGMP and MLD, in each version, and a station that sends.
//!
//! In:  namespaces. Out: who gets which packets, and how soon.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use stage::{Stage, Viewer, daemon, enter, run, station, until, watchers};

const FIRST: &str = "239.1.1.1";
const SECOND: &str = "239.1.1.2";
const SIX: &str = "ff3e::8000:1";
/// From one channel to the next, in milliseconds.
const ZAP_MS: u64 = 300;

/// Packets that a side's link has received.
fn received(side: &str) -> u64 {
    let text = run(side, "cat /proc/net/dev");
    let line = text.lines().find(|line| line.trim_start().starts_with("eth0:")).unwrap();
    line.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// Waits until a box has seen so many packets more of `group`.
fn until_seen(viewer: &mut Viewer, group: &str, packets: u64) {
    let mut seen = 0;
    until("packets", 10, || {
        seen += viewer.count(group).0;
        (seen >= packets).then_some(())
    });
}

/// Does the gateway watch `group` at the station's side?
fn asks_for(group: &str) -> bool {
    let wan: u32 =
        fs::read_to_string("/sys/class/net/wan/ifindex").map_or(0, |text| text.trim().parse().unwrap());
    let text = run("", "ip maddress show dev wan");
    assert!(wan == 0 || !text.is_empty());
    text.lines().any(|line| line.split_whitespace().any(|word| word == group))
}

#[test]
fn a_stream_goes_where_it_is_watched_and_nowhere_else() {
    if !enter("a_stream_goes_where_it_is_watched_and_nowhere_else") {
        return;
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let _station = station(60, &[FIRST, SECOND, SIX]);
    let mut one = Viewer::at("one");
    for group in [FIRST, SIX] {
        one.join(group);
        assert!(asks_for(group), "{group}: asked for at the station's side");
        // The bridge floods until it has heard a querier, and the answers to its first question have had their time (1 s).
        until("the other port of the home is left in peace", 5, || {
            let before = received("two");
            until_seen(&mut one, group, 50);
            (received("two") - before < 10).then_some(())
        });
        assert_eq!(watchers(group), 1);
        // Nobody watches any more: the stream ends at the operator's side, too.
        one.leave(group);
        until("nobody watches", 2, || (watchers(group) == 0).then_some(()));
        // A new life takes nothing away before it has settled.
        until("the station's side knows", 6, || (!asks_for(group)).then_some(()));
    }
    // One source only, and another one's packets do not come.
    let mut two = Viewer::at("two");
    two.join(&format!("{SECOND} 10.9.0.2"));
    let mut other = Viewer::at("one");
    other.join_blindly(&format!("{FIRST} 10.9.0.99"));
    until("it is heard", 5, || (watchers(FIRST) == 1).then_some(()));
    until_seen(&mut two, SECOND, 50);
    assert_eq!(other.count(FIRST).0, 0, "nobody sends from there");
}

#[test]
fn channels_change_at_once() {
    if !enter("channels_change_at_once") {
        return;
    }
    let mut stage = Stage::new();
    let _daemon = daemon();
    stage.tell();
    let _station = station(120, &[FIRST, SECOND, "ff3e::8000:2", SIX]);
    for (version, file, channels) in [
        ("IGMPv3", "ipv4/conf/eth0/force_igmp_version=3", [FIRST, SECOND]),
        ("IGMPv2", "ipv4/conf/eth0/force_igmp_version=2", [FIRST, SECOND]),
        ("MLDv2", "ipv6/conf/eth0/force_mld_version=2", [SIX, "ff3e::8000:2"]),
        ("MLDv1", "ipv6/conf/eth0/force_mld_version=1", [SIX, "ff3e::8000:2"]),
    ] {
        let (file, number) = file.split_once('=').unwrap();
        let line = format!("echo {number} > /proc/sys/net/{file}");
        let output = std::process::Command::new("nsenter")
            .args(["--net=/run/netns/one", "--", "unshare", "--mount", "sh", "-c"])
            .arg(format!("mount -t proc proc /proc 2>/dev/null; {line}"))
            .output();
        assert!(output.unwrap().status.success(), "{line}");
        let mut one = Viewer::at("one");
        let mut times = Vec::new();
        for (leave, join) in (0..10).map(|change| (channels[change % 2], channels[(change + 1) % 2])) {
            if !times.is_empty() {
                one.leave(leave);
            }
            times.push(one.join(join));
        }
        times.sort_unstable();
        println!(
            "| {version}: a channel takes {} ms, at most {} ms, of {} changes",
            times[5],
            times[9],
            times.len()
        );
        assert!(times[5] <= ZAP_MS, "{version}: {times:?}");
    }
}

#[test]
fn the_picture_does_not_stop_when_the_daemon_is_killed() {
    if !enter("the_picture_does_not_stop_when_the_daemon_is_killed") {
        return;
    }
    let mut stage = Stage::new();
    let mut life = daemon();
    stage.tell();
    let _station = station(90, &[FIRST, SIX]);
    let mut one = Viewer::at("one");
    one.join(FIRST);
    let mut two = Viewer::at("two");
    two.join(SIX);
    one.count(FIRST);
    two.count(SIX);
    for kill in 0..5 {
        drop(life);
        until("packets without it", 10, || (one.count(FIRST).0 > 0).then_some(()));
        life = daemon();
        stage.tell();
        until("it knows again", 10, || (watchers(FIRST) == 1 && watchers(SIX) == 1).then_some(()));
        for (viewer, group) in [(&mut one, FIRST), (&mut two, SIX)] {
            let (packets, lost) = viewer.count(group);
            assert_eq!(lost, 0, "kill {kill}: {group}: {packets} packets");
        }
    }
    // What a former life has asked for, and nobody watches any more, ends.
    drop(life);
    one.leave(FIRST);
    let _life = daemon();
    stage.tell();
    until("the station's side knows", 10, || (!asks_for(FIRST)).then_some(()));
    assert!(asks_for(SIX));
    assert_eq!(two.count(SIX).1, 0);
}
