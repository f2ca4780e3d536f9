//! All three plays, guests and queues on the real, 32-bit kernel, which has VLANs and filters them: tried, kept over a death, taken back.
//!
//! In:  the test root, the largest network of `contract`. Out: passed, failed, or `skipped: ` and why. Rows are what `ctl network` says.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::{facts, namespace};

/// Where the test roots have it.
const WHOLE: &str = "/usr/lib/shg/tests/whole.toml";

fn rows(guest: &mut Guest, list: &str) -> Vec<String> {
    let answer = guest.json("network --json").unwrap();
    let rows = answer[list].as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned());
    rows.filter(|row| !row.ends_with(" down")).collect()
}

/// Waits until nothing differs.
fn settle(guest: &mut Guest) {
    let settled = |guest: &mut Guest| Ok(rows(guest, "differs").is_empty().then_some(()));
    if guest.until("nothing differs", UP_LIMIT, settled).is_err() {
        assert_eq!(rows(guest, "differs"), [""; 0], "{:#?}", facts::log(guest, "network"));
    }
}

#[test]
fn plays_are_tried_and_taken_back() {
    let Some(()) = namespace::enter("plays_are_tried_and_taken_back").unwrap() else { return };
    let options = Options { around: Around::Topology, ..Options::usual().unwrap() };
    if options.kernel != Kernel::Board {
        return println!(
            "skipped: plays_are_tried_and_taken_back: the quick kernel may lack what queues need"
        );
    }
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    settle(&mut guest);
    let before = rows(&mut guest, "observed");

    guest.door(&format!("network apply {WHOLE} --confirm 600")).unwrap();
    settle(&mut guest);
    let observed = rows(&mut guest, "observed");
    let begins = |word: &str| observed.iter().any(|row| row.starts_with(word));
    for word in [
        "eth0 up",
        "eth0.10 up",
        "eth0.20 up",
        "eth0.30 up",
        "br-lan up, 192.168.1.1/24",
        "br-guest up, 192.168.2.1/24",
        "eth1 up, port of br-lan",
        "eth1.100 up, port of br-guest",
        "rule 1000: to 198.51.100.0/24 by table 20",
        "rule 1020: to 203.0.113.0/24 by table 30",
        "route to 0.0.0.0/0 unreachable in table 20",
        "firewall stands",
    ] {
        assert!(begins(word), "{word}: {observed:#?}");
    }
    assert!(!observed.iter().any(|row| row.contains("203.0.113.50")), "the lease was of another link");

    // A death in between changes nothing.
    let said = facts::log(&mut guest, "network").unwrap().len();
    guest.door("kill network").unwrap();
    let again = |guest: &mut Guest| {
        let network = facts::process(guest, "network")?;
        Ok((network.state == "up" && network.restarts == 1).then_some(()))
    };
    guest.until("its next life", UP_LIMIT, again).unwrap();
    settle(&mut guest);
    assert_eq!(rows(&mut guest, "observed"), observed);
    let log = facts::log(&mut guest, "network").unwrap();
    let made: Vec<_> =
        log.iter().skip(said).filter(|line| line.contains("made") || line.contains("added")).collect();
    assert!(made.is_empty(), "{made:#?}");
    assert!(rows(&mut guest, "wanted").iter().any(|row| row.starts_with("on trial")));

    guest.door("network revert").unwrap();
    guest.until("the address on the WAN again", UP_LIMIT, facts::wan).unwrap();
    settle(&mut guest);
    assert_eq!(rows(&mut guest, "observed"), before);
    assert!(guest.door("network confirm").is_err(), "there is nothing to be confirmed");
}
