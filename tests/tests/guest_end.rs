//! The machine ends in order, whoever asks for it; a missing disk, or one that is pulled out, ends nothing.
//!
//! In:  the test root, a stick. Out: passed, failed, or `skipped: ` and why.
//!
//! That the stick was let go of is read from its file system, by a program that we did not write: e2fsck(8).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use lab::error::Error;
use lab::guest::{Around, BOOT_LIMIT, END_LIMIT, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::{facts, root, tool};

/// From the word to the end of the machine: the gateway's own bound (`init::LIMITS`), five times for emulation.
const RESET_LIMIT: Duration = Duration::from_secs(90);

fn boot(stick: bool) -> Option<Guest> {
    let options = Options { around: Around::Nothing, stick, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

fn disk(guest: &mut Guest, state: &str) {
    let mut last = String::new();
    let seen = guest.until(&format!("the disk {state}"), UP_LIMIT, |guest| {
        let disk = guest.json("disk --json")?;
        last = disk.to_string();
        Ok((disk["state"] == state).then_some(()))
    });
    assert!(seen.is_ok(), "{last}\n{}", guest.last_lines());
}

/// Was the file system let go of? An ext4 that was not has its journal to replay, and e2fsck says so.
fn is_clean(stick: &Path) -> bool {
    let said = tool::run("dumpe2fs", &["-h", &stick.display().to_string()]).unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("Filesystem features"), "{text}");
    !text.contains("needs_recovery")
}

/// The machine started anew because it was told to, not because its kernel gave up: the console is read after the fact.
fn is_in_order(guest: &Guest) {
    assert!(!guest.console().contains("Kernel panic"), "{}", guest.last_lines());
}

#[test]
fn it_ends_in_order_whoever_asks() {
    let Some(mut guest) = boot(true) else { return };
    let stick = guest.file("stick.img");
    disk(&mut guest, "mounted");
    // A key is made of good random numbers only, so there are some from now on.
    let made = |guest: &mut Guest| Ok((guest.json("identity --json")?["kept"] == "disk").then_some(()));
    guest.until("an identity", UP_LIMIT, made).unwrap();
    for (who, order) in
        [("ctl", "reboot"), ("SIGTERM", "kill init TERM"), ("Ctrl-Alt-Del's signal", "kill init INT")]
    {
        guest.monitor().forget_events().unwrap();
        // The answer may or may not come before the end.
        let _ = guest.ask(order);
        let reset = guest.monitor().event("RESET", RESET_LIMIT);
        assert!(reset.is_ok(), "{who}\n{}", guest.last_lines());
        assert!(is_clean(&stick), "{who}");
        is_in_order(&guest);
        guest.wait_ready(BOOT_LIMIT).unwrap();
        facts::wait_all_up(&mut guest).unwrap();
        disk(&mut guest, "mounted");
        // Each end leaves a seed, and the boot after it counts that.
        let log = facts::log(&mut guest, "storage").unwrap();
        for words in ["the last boot's seed is counted", "random numbers are good"] {
            assert!(log.iter().any(|line| line.contains(words)), "{who}: {words}: {log:#?}");
        }
    }
    guest.power_button().unwrap();
    guest.wait_off(END_LIMIT).unwrap();
    assert!(is_clean(&stick), "the power button");
    is_in_order(&guest);
}

#[test]
fn a_disk_comes_and_goes() {
    let Some(mut guest) = boot(true) else { return };
    disk(&mut guest, "mounted");
    let before = facts::processes(&mut guest).unwrap();
    guest.unplug_stick().unwrap();
    disk(&mut guest, "absent");
    guest.plug_stick().unwrap();
    disk(&mut guest, "mounted");
    assert_eq!(facts::processes(&mut guest).unwrap(), before, "nobody was restarted for it");
    // Pulled like that the mains would be: the file system is mended at the next boot.
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    disk(&mut guest, "mounted");
}

#[test]
fn without_a_disk_the_rest_works() {
    let Some(mut guest) = boot(false) else { return };
    disk(&mut guest, "absent");
    assert_eq!(facts::process(&mut guest, "hello").unwrap().state, "up");
}

#[test]
fn a_panic_in_pid_1_starts_the_machine_anew() {
    let options = Options { around: Around::Nothing, stick: false, ..Options::usual().unwrap() };
    let root = match root::bare(Kernel::from_environment().unwrap(), "panic") {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap(),
    };
    let options = Options { variant: root::Variant::Shipped, ..options };
    let mut guest = match Guest::start(&options, root) {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap(),
    };
    guest.monitor().event("RESET", BOOT_LIMIT).unwrap();
    // The only trace of a machine that has no door; read after the fact.
    assert!(guest.console().contains("init: panic at"), "{}", guest.last_lines());
}
