//! The gateway boots: on both roots, with its door or without; and what it is compared with boots too.
//!
//! In:  what `make firmware` and the kernel's script made. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: what single rooms promise (their own guest tests).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use lab::error::Error;
use lab::guest::{Around, BOOT_LIMIT, END_LIMIT, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::topology::{Side, Topology, WAN_ADDRESS, WEB_ADDRESS, WEB_PAGE};
use lab::{facts, namespace, peer, root, tool};

/// The page through the emulator's LAN, as a browser of this host gets it.
fn page(guest: &Guest) -> Option<String> {
    let url = guest.page().unwrap();
    let words = ["-sS", "--fail", "--noproxy", "*", "--max-time", "10", &url];
    let output = tool::run("curl", &words).ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn everything_comes_up_and_ends_in_order() {
    let Some(mut guest) = Guest::boot(&Options::usual().unwrap()).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    let moments = facts::moments(&mut guest).unwrap();
    assert!(moments.init_ms <= moments.loop_ms && moments.loop_ms <= moments.services_ms, "{moments:?}");

    let got = guest.until("the page", UP_LIMIT, |guest| Ok(page(guest)));
    assert!(got.unwrap().contains("<html"), "the page is one");

    let wrong = guest.ask("no-such-command").unwrap();
    assert_eq!(wrong.exit, 2, "wrong usage says so: {}", wrong.text);

    // What is said of a gateway that no longer answers.
    let seen = guest.processors();
    assert!(seen.contains("CPU#0") && seen.contains("CPU#1") && seen.contains("HLT="), "{seen}");

    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    guest.until("the page after a reset", UP_LIMIT, |guest| Ok(page(guest))).unwrap();

    guest.power_button().unwrap();
    guest.wait_off(END_LIMIT).unwrap();
}

#[test]
fn the_shipped_root_serves_and_has_no_door() {
    let options = Options { variant: Variant::Shipped, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    guest.until("the page", BOOT_LIMIT + UP_LIMIT, |guest| Ok(page(guest))).unwrap();
    assert!(matches!(guest.ask("status"), Err(Error::Missing { .. })), "there is nothing to ask");
    let paths = root::paths(options.kernel, Variant::Shipped).unwrap();
    assert!(!paths.iter().any(|path| path.ends_with("door")), "{paths:?}");
}

#[test]
fn the_bare_init_tells_its_times() {
    let mut missing = Vec::new();
    for kernel in [Kernel::Quick, Kernel::Board] {
        match peer::measure(kernel) {
            Ok(bare) => assert!(bare.init_ms > 0, "{}: {bare:?}", kernel.word()),
            Err(why @ Error::Missing { .. }) => missing.push(why),
            Err(error) => unreachable!("{}: {error}", kernel.word()),
        }
    }
    let word = if missing.len() == 2 { "skipped" } else { "skipped in part" };
    missing.iter().for_each(|why| println!("{word}: {why}"));
}

#[test]
fn the_neighbours_stand_before_there_is_a_gateway() {
    let Some(()) = namespace::enter("the_neighbours_stand_before_there_is_a_gateway").unwrap() else {
        return;
    };
    let topology = match Topology::make() {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap(),
    };
    let limit = Duration::from_secs(5);
    let page = topology.fetch(Side::Isp, &format!("http://{WEB_ADDRESS}/"), limit).unwrap();
    assert_eq!(page.as_deref(), Ok(WEB_PAGE));
    let none = topology.fetch(Side::Lan, &format!("http://{WEB_ADDRESS}/"), limit).unwrap();
    assert!(none.is_err(), "nothing joins the two sides yet");
}

#[test]
fn the_pump_carries_what_is_said() {
    let Some(()) = namespace::enter("the_pump_carries_what_is_said").unwrap() else { return };
    let topology = match Topology::make() {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap(),
    };
    // One pump's far end is the other's: so the two sides are one Ethernet, without a gateway.
    let cable = lab::pump::Cable::between(&topology.port(Side::Isp), &topology.port(Side::Lan)).unwrap();
    assert_eq!(topology.lan_lease(UP_LIMIT).unwrap(), WAN_ADDRESS);
    let page = topology.fetch(Side::Lan, &format!("http://{WEB_ADDRESS}/"), Duration::from_secs(20)).unwrap();
    assert_eq!(page.as_deref(), Ok(WEB_PAGE));
    drop(cable);
}

#[test]
fn a_board_without_a_root_says_so() {
    let options = Options { around: Around::Nothing, variant: Variant::Shipped, ..Options::usual().unwrap() };
    let nothing = root::Root { path: "/nowhere/root.cpio.zst".into(), bytes: 0 };
    let error = match Guest::start(&options, nothing) {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap_err().to_string(),
    };
    assert!(error.contains("/nowhere/root.cpio.zst"), "{error}");
}
