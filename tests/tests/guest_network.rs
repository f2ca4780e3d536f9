//! The network on the real, 32-bit kernel: as wanted after boot, and untouched by the death of its daemon.
//!
//! In:  the test root. Out: passed, failed, or `skipped: ` and why. Rows are what `ctl network` says.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::{facts, namespace};

/// How often the daemon is killed.
const KILLS: u64 = 3;

/// A list of what `ctl network` says, without links that the board kernel makes for itself and nobody uses (`tunl0`, `gre0`, …).
fn rows(guest: &mut Guest, list: &str) -> Vec<String> {
    let answer = guest.json("network --json").unwrap();
    let rows = answer[list].as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned());
    rows.filter(|row| !row.ends_with(" down")).collect()
}

#[test]
fn the_kernel_is_as_wanted_and_a_dead_daemon_leaves_it_so() {
    let Some(()) = namespace::enter("the_kernel_is_as_wanted_and_a_dead_daemon_leaves_it_so").unwrap() else {
        return;
    };
    let options = Options { around: Around::Topology, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();

    let observed = [
        "lo up, 127.0.0.1/8",
        "eth0 up, 203.0.113.50/24, route to 0.0.0.0/0 via 203.0.113.1 on eth0",
        "eth1 up, port of br-lan",
        "br-lan up, 192.168.1.1/24",
        "svc-0 up, 10.64.0.1/32, route to 10.64.0.2/32 on svc-0",
        "firewall stands",
        "packets are passed on",
        "short way between home and Internet at eth0 eth1",
    ];
    assert_eq!(rows(&mut guest, "observed"), observed);
    assert_eq!(rows(&mut guest, "differs"), [""; 0]);
    assert!(rows(&mut guest, "wanted").contains(&"svc-0 hello 10.64.0.2, page 80 at 80".to_owned()));
    let log = facts::log(&mut guest, "network").unwrap();
    assert!(!log.iter().any(|line| line.starts_with("<4>") || line.starts_with("<3>")), "{log:#?}");

    for kill in 1..=KILLS {
        let before = facts::log(&mut guest, "network").unwrap().len();
        guest.door("kill network").unwrap();
        let again = |guest: &mut Guest| {
            let network = facts::process(guest, "network")?;
            Ok((network.state == "up" && network.restarts == kill).then_some(()))
        };
        guest.until("its next life", UP_LIMIT, again).unwrap();
        guest.until("the lease again", UP_LIMIT, facts::wan).unwrap();
        let adopted = |guest: &mut Guest| {
            Ok(rows(guest, "wanted").iter().any(|row| row.starts_with("svc-0 ")).then_some(()))
        };
        guest.until("the service again", UP_LIMIT, adopted).unwrap();
        assert_eq!(rows(&mut guest, "observed"), observed, "life {kill}");
        assert_eq!(rows(&mut guest, "differs"), [""; 0], "life {kill}");
        let log = facts::log(&mut guest, "network").unwrap();
        // What it took up again is no change.
        let adopted =
            |line: &&String| [": taken", "of our former life"].iter().any(|word| line.contains(word));
        let said: Vec<_> = log.iter().skip(before).filter(|line| !adopted(line)).collect();
        assert!(
            said.iter().all(|line| line.contains("eth0 has 203.0.113.50")),
            "it changes nothing: {said:#?}"
        );
        assert!(facts::process(&mut guest, "hello").unwrap().restarts == 0, "nobody notices");
    }
}
