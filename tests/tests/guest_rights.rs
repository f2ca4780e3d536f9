//! Every core daemon is who its table says, and may what its table says: read back from the kernel, while it does its work.
//!
//! In:  the usual root and the supervisor's own table. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: the layers of services (`attacks.rs`); the door, which is in no shipped root and may more in rehearsals.
//!
//! Source: proc_pid_status(5), capabilities(7).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use contract::wires::uid;
use lab::facts;
use lab::guest::{Guest, Options};
use supervisor::core::{DAEMONS, Daemon};

/// What the kernel says of a process, words parted by single spaces.
fn said(guest: &mut Guest, pid: u64) -> BTreeMap<String, String> {
    let answer = guest.door(&format!("rights {pid}")).unwrap();
    let line = |line: &str| {
        let (key, words) = line.split_once(':')?;
        Some((key.to_owned(), words.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    answer.lines().filter_map(line).collect()
}

/// What it has to say of a daemon.
fn wanted(daemon: &Daemon) -> BTreeMap<String, String> {
    let its = daemon.capabilities.iter().fold(0, |mask, capability| mask | capability.bitmask());
    // A program of root's takes the rights of its bounding set with it; every other needs them to be ambient.
    let ambient = if daemon.uid == uid::ROOT { 0 } else { its };
    let id = [daemon.uid.to_string().as_str(); 4].join(" ");
    let mask = |bits: u64| format!("{bits:016x}");
    let rows = [
        ("Uid", id.clone()),
        ("Gid", id),
        ("Groups", String::new()),
        ("CapInh", mask(its)),
        ("CapPrm", mask(its)),
        ("CapEff", mask(its)),
        ("CapBnd", mask(its)),
        ("CapAmb", mask(ambient)),
        ("NoNewPrivs", "1".to_owned()),
        // No daemon has a filter of calls: that is a layer of services.
        ("Seccomp", "0".to_owned()),
    ];
    rows.map(|(key, words)| (key.to_owned(), words)).into()
}

#[test]
fn every_daemon_is_who_its_table_says() {
    let Some(mut guest) = Guest::boot(&Options::usual().unwrap()).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    let mut faults = Vec::new();
    for daemon in DAEMONS.iter().filter(|daemon| daemon.name != "door") {
        let pid = facts::process(&mut guest, daemon.name).unwrap().pid.unwrap();
        let (said, wanted) = (said(&mut guest, pid), wanted(daemon));
        println!("{}: {said:?}", daemon.name);
        if said != wanted {
            faults.push(format!("{}: {said:?}, not {wanted:?}", daemon.name));
        }
        // What fetches from strangers has no right at all, whatever a table says.
        if ["package", "agent"].contains(&daemon.name) {
            assert_ne!(daemon.uid, uid::ROOT, "{}", daemon.name);
            assert_eq!(said["CapBnd"], "0000000000000000", "{}", daemon.name);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
