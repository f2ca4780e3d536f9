//! Bundles on the data disk are mounted, if they are what a trusted key signed; a byte that changes later is an I/O error and no more.
//!
//! In:  the rehearsal root with keys of its own, a data disk that was made at the desk. Out: passed, failed, or `skipped: ` and why.
//!
//! Not here: what is decided before the kernel is asked (`src/storage/tests/bundles.rs`), how a bundle comes onto the disk.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;

use contract::limit::SERVICES;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use lab::guest::{Around, END_LIMIT, Guest, Options, UP_LIMIT};
use lab::root::{self, Variant};
use lab::{facts, tool};
use serde_json::Value;

use disk::{DAMAGED, Desk, WORD, data, place, sum};

fn boot(desk: &Desk, keys: bool) -> Option<Guest> {
    let keys = if keys { root::keys(&desk.keys()).unwrap() } else { Vec::new() };
    let files = keys.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect();
    let options = Options {
        variant: Variant::Rehearsal,
        around: Around::Nothing,
        files,
        data: Some(desk.data()),
        ..Options::usual().unwrap()
    };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    let mounted = |guest: &mut Guest| Ok((guest.json("disk --json")?["state"] == "mounted").then_some(()));
    guest.until("the disk", UP_LIMIT, mounted).unwrap();
    Some(guest)
}

/// Why the image of `name` is not mounted.
fn refused(guest: &mut Guest, desk: &Desk, name: &str, image: &str) -> String {
    let answer = guest.ask(&format!("image mount {name} {}", desk.hex(image))).unwrap();
    assert_eq!(answer.exit, 1, "{name}: {}", answer.text);
    answer.text
}

fn mount(guest: &mut Guest, desk: &Desk, name: &str) {
    let said = guest.door(&format!("image mount {name} {}", desk.hex(name)));
    assert!(said.is_ok(), "{name}: {said:?}\n{:#?}", facts::log(guest, "storage"));
}

/// What the file `data` of `name` is to be read as, without the block `without`.
fn read(guest: &mut Guest, name: &str, without: Option<usize>) {
    let last = u32::try_from(SERVICES - 1).unwrap();
    let owner = TENANT_UID_BASE + last * TENANT_UID_COUNT + 1000;
    let (bytes, fault) = (data(name), without.map(|block| format!("block {block}: ")));
    let said = guest.door(&format!("image read {name} data")).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        format!("owner {owner} bytes {} sum {}", bytes.len(), sum(&bytes, without)),
        "{name}: {said}"
    );
    match fault {
        None => assert_eq!(lines.len(), 1, "{name}: {said}"),
        Some(fault) => {
            assert_eq!(lines.len(), 2, "{name}: {said}");
            assert!(lines[1].starts_with(&fault) && lines[1].contains("os error 5"), "{name}: {said}");
        }
    }
}

/// Devices of bundles: those of the device-mapper, and the loop devices on the data disk.
fn devices(guest: &mut Guest) -> (usize, usize) {
    let said = guest.door("image devices").unwrap();
    let count = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    (count(" shg-"), count("/bundles/images/"))
}

fn devices_become(guest: &mut Guest, wanted: usize) {
    let seen =
        guest.until("the devices", UP_LIMIT, |guest| Ok((devices(guest) == (wanted, wanted)).then_some(())));
    assert!(seen.is_ok(), "{wanted} are wanted:\n{}", guest.door("image devices").unwrap());
}

/// A disk with a sound bundle (`hello`) and damaged ones.
fn damaged() -> Desk {
    let mut desk = Desk::new();
    for name in ["hello", "bent", "tree", "crooked", "short", "forged", "alias"] {
        desk.install(name);
    }
    desk.bend("bent", |image| {
        let at = place(image, "bent", DAMAGED);
        image[at + 77] ^= 1;
    });
    // The last hash of the tree is that of the last block, or zeros behind it: what it is of cannot be read.
    let blocks = desk.blocks("tree");
    desk.bend("tree", |image| {
        let at = place(image, "tree", DAMAGED) / bundle::BLOCK_BYTES;
        // Two rows: the topmost block, then a hash of 32 bytes for each block of the image.
        image[(blocks + 1) * bundle::BLOCK_BYTES + at * 32] ^= 1;
    });
    desk.bend("crooked", |image| image[1152] ^= 1);
    desk.bend("short", |image| image.truncate(image.len() - bundle::BLOCK_BYTES));
    desk.sign("forged", 2);
    desk.rename("hello", "alias");
    desk
}

/// What is not what was signed, or not signed, is refused, each with its reason.
fn refuse_all(guest: &mut Guest, desk: &Desk) {
    let table = [
        ("crooked", "crooked", "blocks that are not what was signed"),
        ("short", "short", " bytes, "),
        ("forged", "forged", "is not trusted"),
        ("alias", "hello", "its signature is over service hello"),
        ("none", "hello", "not installed"),
        // A statement of one's own over somebody else's image: its bytes are not what was signed.
        ("tree", "hello", "blocks that are not what was signed"),
    ];
    for (name, image, why) in table {
        let said = refused(guest, desk, name, image);
        println!("{name}: {}", said.trim_end());
        assert!(said.contains(&format!("bundle {name}: ")) && said.contains(why), "{name}: {said}");
    }
}

/// What was told of damaged images: whose, what of it, which block.
fn told(guest: &mut Guest) -> Vec<(String, String, Option<u64>)> {
    let events = guest.json("events --json").unwrap();
    // One that was refused when it was opened may still be there when the kernel says why, or not: its refusal is what counts.
    let open = |event: &&Value| event["damaged"].is_string() && event["who"] != "crooked";
    let damaged = events.as_array().unwrap().iter().filter(open);
    let row = |event: &Value| {
        let word = |key: &str| event[key].as_str().unwrap().to_owned();
        (word("who"), word("damaged"), event["block"].as_u64())
    };
    damaged.map(row).collect()
}

/// These were told of, and no others.
fn was_told(guest: &mut Guest, wanted: &[(&str, &str, Option<u64>)]) {
    let wanted: Vec<_> =
        wanted.iter().map(|(who, what, block)| ((*who).to_owned(), (*what).to_owned(), *block)).collect();
    let seen = guest.until("the event", UP_LIMIT, |guest| Ok((told(guest) == wanted).then_some(())));
    assert!(seen.is_ok(), "{wanted:?} are wanted: {:?}\n{:#?}", told(guest), facts::log(guest, "storage"));
}

/// The supervisor dies, and another asks storage what it knows.
fn kill_supervisor(guest: &mut Guest) {
    let lives = facts::lives(guest).unwrap();
    guest.door("kill supervisor").unwrap();
    let next = |guest: &mut Guest| Ok((facts::lives(guest).unwrap_or(0) > lives).then_some(()));
    guest.until("another life of the supervisor", UP_LIMIT, next).unwrap();
}

/// storage dies under the mounts of hello and bent: who is in a mount stays in it, and nothing piles up.
fn kill_storage(guest: &mut Guest, desk: &Desk) {
    let restarts = facts::process(guest, "storage").unwrap().restarts;
    guest.door("kill storage").unwrap();
    let up = |guest: &mut Guest| {
        let now = facts::process(guest, "storage")?;
        Ok((now.state == "up" && now.restarts > restarts).then_some(()))
    };
    guest.until("storage up again", UP_LIMIT, up).unwrap();
    read(guest, "hello", None);
    read(guest, "bent", Some(DAMAGED));
    assert_eq!(devices(guest), (2, 2));
    mount(guest, desk, "hello");
    read(guest, "hello", None);
    devices_become(guest, 2); // the one of its last life went with its last mount
    guest.door("image release bent").unwrap();
    devices_become(guest, 1);
    guest.door("image release hello").unwrap();
    devices_become(guest, 0);
}

#[test]
fn a_bundle_is_mounted_as_it_was_signed_or_not_at_all() {
    let desk = damaged();
    let Some(mut guest) = boot(&desk, true) else { return };
    assert_eq!(devices(&mut guest), (0, 0));
    mount(&mut guest, &desk, "hello");
    read(&mut guest, "hello", None);
    let said = guest.door("image run hello hello").unwrap();
    assert_eq!(said, format!("{WORD}exit status: 0\n"));
    // The same again is another mount of the same device.
    mount(&mut guest, &desk, "hello");
    read(&mut guest, "hello", None);
    assert_eq!(devices(&mut guest), (1, 1));

    // A byte of a file: what lies there cannot be read, and all the rest can.
    mount(&mut guest, &desk, "bent");
    assert_eq!(told(&mut guest), []);
    read(&mut guest, "bent", Some(DAMAGED));
    let bent = ("bent", "data", Some(desk.block("bent", DAMAGED)));
    was_told(&mut guest, &[bent]);
    assert_eq!(guest.door("image run bent hello").unwrap(), format!("{WORD}exit status: 0\n"));
    read(&mut guest, "hello", None);
    assert_eq!(devices(&mut guest), (2, 2));

    refuse_all(&mut guest, &desk);
    devices_become(&mut guest, 2);

    // A byte of the tree: the blocks that its block speaks of.
    mount(&mut guest, &desk, "tree");
    let said = guest.door("image read tree data").unwrap();
    assert!(said.lines().any(|line| line.starts_with(&format!("block {DAMAGED}: "))), "{said}");
    let tree = ("tree", "tree", Some(desk.block_of_tree("tree", DAMAGED)));
    was_told(&mut guest, &[bent, tree]);
    guest.door("image release tree").unwrap();
    devices_become(&mut guest, 2);

    // Who asks later is told what the kernel knows by then, and only of what is in use.
    kill_supervisor(&mut guest);
    was_told(&mut guest, &[("bent", "somewhere", None)]);

    kill_storage(&mut guest, &desk);
    was_told(&mut guest, &[("bent", "somewhere", None)]);

    // The disk is written out though an image on it is in use.
    mount(&mut guest, &desk, "hello");
    let stick = guest.file("stick.img").display().to_string();
    guest.power_button().unwrap();
    guest.wait_off(END_LIMIT).unwrap();
    let said = tool::run("dumpe2fs", &["-h", &stick]).unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("Filesystem features") && !text.contains("needs_recovery"), "{text}");
}

/// Calls of storage that make or end a device, in one mount: find a loop device, configure it, make a dm device, load its table, resume
/// it, tell it to go with its last user.
const CALLS: usize = 6;

#[test]
fn nothing_is_left_wherever_storage_is_killed() {
    let mut desk = Desk::new();
    desk.install("hello");
    let Some(mut guest) = boot(&desk, true) else { return };
    let mut left = 0;
    for call in 1..=CALLS {
        let restarts = facts::process(&mut guest, "storage").unwrap().restarts;
        let said = guest.door(&format!("image cut hello {} {call}", desk.hex("hello"))).unwrap();
        println!("{}", said.trim_end().replace('\n', ", "));
        assert!(said.starts_with(&format!("killed after {call}\n")), "{said}");
        left += said.lines().filter(|line| line.contains(" shg-")).count();
        let up = |guest: &mut Guest| {
            let now = facts::process(guest, "storage")?;
            Ok((now.state == "up" && now.restarts > restarts).then_some(()))
        };
        guest.until("storage up again", UP_LIMIT, up).unwrap();
        devices_become(&mut guest, 0);
    }
    assert!(left > 0, "no cut was where a device stays until the next life");
    // A mount makes no fewer. Right after its start storage may make one for itself meanwhile: it feeds the seed to the kernel's pool.
    let said = guest.door(&format!("image cut hello {} {}", desk.hex("hello"), 10 * CALLS)).unwrap();
    let calls = said.trim_end().strip_prefix("Mounted after ").and_then(|calls| calls.parse::<usize>().ok());
    assert!(calls.is_some_and(|calls| calls >= CALLS), "{said}");
    mount(&mut guest, &desk, "hello");
    read(&mut guest, "hello", None);
    devices_become(&mut guest, 1);
}

#[test]
fn without_keys_no_bundle_is_mounted_and_the_rest_works() {
    let mut desk = Desk::new();
    desk.install("hello");
    let Some(mut guest) = boot(&desk, false) else { return };
    let said = refused(&mut guest, &desk, "hello", "hello");
    assert!(said.contains("no key is trusted: /etc/shg/keys/root.public is not there"), "{said}");
    assert_eq!(devices(&mut guest), (0, 0));
    assert_eq!(facts::process(&mut guest, "hello").unwrap().state, "up");
}
