//! The power goes, or the disk fails, at any step of an installation, an update, a removal: after it there is the old or the new, whole, and
//! nothing besides. `make test T=cuts`.
//!
//! In:  the store of `package` on a disk that remembers (`cuts/tape.rs`), and on a real one. Out: how many states were looked at.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cuts/tape.rs"]
mod tape;

use std::collections::BTreeSet;

use bundle::key::Secret;
use bundle::keyring::{Entry, Keyring};
use bundle::make::{self, Bundle};
use bundle::record::Record;
use bundle::sign::Architecture;
use bundle::tree::{Content, Owner, Tree};
use contract::Name;
use lab::house::Scratch;
use package::disk::{Disk, Folder, Place};
use package::store::{Checked, Offer, Store};
use package::{Error, RESERVE_BYTES};

use tape::Tape;

const SERVICE: &str = include_str!("../../src/services/hello/manifest.toml");
/// What comes in one piece from the network.
const PIECE: usize = 5000;

fn secret(byte: u8) -> Secret {
    Secret::of_seeds([byte; 32], [byte; 32])
}

/// Believes the key 1 for the provider demo, 2 for the provider other.
fn keyring() -> Keyring {
    let entry = |provider: &str, byte| Entry {
        provider: Name::new(provider).unwrap(),
        key: secret(byte).public().unwrap(),
    };
    Keyring {
        entries: vec![entry("demo", 1), entry("other", 2)],
        ..Keyring::new(secret(9).public().unwrap())
    }
}

/// A bundle of the service hello (or another name) with its record.
fn bundle_of(name: &str, provider: &str, version: u64, key: u8) -> (Bundle, Record) {
    let mut program = vec![u8::try_from(version).unwrap(); 9000];
    program[..20].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0]);
    let mut tree = Tree::default();
    tree.put(b"hello", Owner::root(0o755), Content::File(program)).unwrap();
    let service =
        SERVICE.replace("\"hello\"", &format!("\"{name}\"")).replace("\"demo\"", &format!("\"{provider}\""));
    let bundle = make::make(tree, &service, version, None).unwrap();
    let signature = bundle.check().unwrap().0.seal(&secret(key)).unwrap();
    let record = Record { manifest: bundle.manifest.clone(), config: bundle.config.clone(), signature };
    (bundle, record)
}

fn hello(version: u64) -> (Bundle, Record) {
    bundle_of("hello", "demo", version, 1)
}

fn open<D: Disk>(disk: D) -> Store<D> {
    Store::open(disk, keyring(), Architecture::I386).unwrap()
}

fn tape() -> Tape {
    Tape::new(1 << 30)
}

/// Fetches what is missing, and installs.
fn install<D: Disk>(store: &mut Store<D>, (bundle, record): &(Bundle, Record)) -> Result<(), Error> {
    let Offer::Fetch(from) = store.offer(record)? else { return Ok(()) };
    for piece in bundle.layer[usize::try_from(from).unwrap()..].chunks(PIECE) {
        store.take(record, piece)?;
    }
    store.install(record.clone())
}

/// Fetches what is missing, and checks it.
fn fetched<D: Disk>(store: &mut Store<D>, (bundle, record): &(Bundle, Record)) -> Checked {
    let (candidate, from) = store.candidate(record).unwrap();
    for piece in bundle.layer[usize::try_from(from).unwrap()..].chunks(PIECE) {
        store.take(record, piece).unwrap();
    }
    store.check(candidate).unwrap()
}

/// Puts hello 2, which the supervisor then does not take.
fn put_and_take_back<D: Disk>(store: &mut Store<D>) {
    let checked = fetched(store, &hello(2));
    let replaced = store.put(checked).unwrap();
    assert_eq!(replaced.old().map(|old| old.statement.version), Some(1));
    store.take_back(replaced).unwrap();
}

/// The versions of hello that may be there: 0 is none.
fn version<D: Disk>(store: &Store<D>) -> u64 {
    store
        .installed()
        .iter()
        .find(|one| one.statement.name.as_str() == "hello")
        .map_or(0, |one| one.statement.version)
}

/// What is on the disk is what is installed, whole, and at most one part of an image besides.
fn whole<D: Disk>(store: Store<D>, what: &str) -> D {
    let records = store.installed().len();
    // Two services may have one image: it is there once, and for as long as one of them is.
    let images = store.installed().iter().map(|one| (one.image.hex(), one.image_bytes, one.image));
    let images: BTreeSet<_> = images.collect();
    let disk = store.close();
    let on_disk = disk.list(Place::Images).unwrap();
    let parts = on_disk.iter().filter(|(name, _)| name.ends_with(".part")).count();
    assert!(parts <= 1, "{what}: {parts} parts were left");
    assert_eq!(on_disk.len() - parts, images.len(), "{what}: {on_disk:?}: an image nobody has");
    for (name, bytes, digest) in &images {
        let read = disk.read(Place::Images, name, *bytes).unwrap();
        assert!(bundle::digest::Digest::of(&read) == *digest, "{what}: an image that is not whole");
    }
    assert_eq!(disk.list(Place::Records).unwrap().len(), records, "{what}: a record nobody has");
    disk
}

/// Does `act` on `before`, cuts the power after each step in every way, and looks at what is there. How many states there were.
fn cut(before: &Tape, may_be: &[u64], act: fn(&mut Store<Tape>)) -> usize {
    let mut recorded = before.clone();
    recorded.states = Some(Vec::new());
    let mut store = open(recorded);
    act(&mut store);
    let mut end = store.close();
    let mut states = end.states.take().unwrap();
    states.push(end);
    let newest = hello(3);
    let mut count = 0;
    for (step, state) in states.iter().enumerate() {
        for after in state.after_a_cut() {
            count += 1;
            let what = format!("step {step}");
            let store = open(after);
            let found = version(&store);
            assert!(may_be.contains(&found), "{what}: version {found}");
            // Life goes on: the next one can be installed. A part that rotted costs one more try, and no more.
            let mut store = open(whole(store, &what));
            if let Err(error) = install(&mut store, &newest) {
                assert!(matches!(error, Error::Digest(_)), "{what}: {error}");
                install(&mut store, &newest).unwrap();
            }
            assert_eq!(version(&store), 3, "{what}");
            whole(store, &what);
        }
    }
    count
}

#[test]
fn the_power_goes_at_any_step() {
    let with = |bundles: &[(Bundle, Record)]| {
        let mut store = open(tape());
        for bundle in bundles {
            install(&mut store, bundle).unwrap();
        }
        store.close()
    };
    let nothing = with(&[bundle_of("other", "other", 9, 2)]);
    // Another service's image is the same as that of hello 1.
    let shared = with(&[bundle_of("other", "other", 1, 2)]);
    let one = with(&[bundle_of("other", "other", 1, 2), hello(1)]);
    let fresh = cut(&nothing, &[0, 1], |store| install(store, &hello(1)).unwrap());
    let second = cut(&shared, &[0, 1], |store| install(store, &hello(1)).unwrap());
    let update = cut(&one, &[1, 2], |store| install(store, &hello(2)).unwrap());
    let apart = with(&[bundle_of("other", "other", 9, 2), hello(1)]);
    let remove = |store: &mut Store<Tape>| store.remove(&Name::new("hello").unwrap()).unwrap();
    let removal = cut(&one, &[0, 1], remove) + cut(&apart, &[0, 1], remove);
    let back = cut(&one, &[1, 2], |store| {
        put_and_take_back(store);
        assert_eq!(version(store), 1);
    });
    // A version that is still being tried when the power goes is not the one.
    let tried = cut(&one, &[1], |store| {
        let checked = fetched(store, &hello(2));
        let replaced = store.put(checked).unwrap();
        assert_eq!((version(store), replaced.old().map(|old| old.statement.version)), (2, Some(1)));
    });
    assert!(tried > 30, "{tried} states of what is tried");
    let none = cut(&shared, &[0, 1], |store| {
        let checked = fetched(store, &hello(1));
        let replaced = store.put(checked).unwrap();
        store.take_back(replaced).unwrap();
        assert_eq!(version(store), 0);
    });
    assert!(back > 50 && none > 30, "{back} and {none} states of what was refused");
    println!("states looked at: {} installing, {update} updating, {removal} removing", fresh + second);
    assert!(fresh > 50 && second > 30 && update > 50 && removal > 20, "there was something to look at");
}

#[test]
fn what_was_put_where_nothing_was_is_none_before_it_is_settled() {
    let mut store = open(tape());
    let name = Name::new("hello").unwrap();
    let put = |store: &mut Store<Tape>, version| {
        let checked = fetched(store, &hello(version));
        store.put(checked).unwrap()
    };
    // What had to be taken back, what was settled, and what takes its place.
    let replaced = put(&mut store, 1);
    assert!(store.is_first(&name));
    store.take_back(replaced).unwrap();
    let replaced = put(&mut store, 1);
    assert!(store.is_first(&name));
    store.settle(replaced).unwrap();
    assert!(!store.is_first(&name));
    let replaced = put(&mut store, 2);
    assert!(!store.is_first(&name), "there was one before it");
    store.settle(replaced).unwrap();
}

#[test]
fn the_disk_fails_at_any_step() {
    let mut store = open(tape());
    install(&mut store, &hello(1)).unwrap();
    let one = store.close();
    let (mut failed, mut step) = (0, 0);
    loop {
        let mut store = open(one.clone());
        let mut disk = store.close();
        disk.fails_in = Some(step);
        store = match Store::open(disk, keyring(), Architecture::I386) {
            Ok(store) => store,
            Err(_) => open(one.clone()),
        };
        let outcome = install(&mut store, &hello(2));
        let mut disk = store.close();
        let through = disk.fails_in.take().is_some();
        let store = open(disk);
        let found = version(&store);
        match &outcome {
            Ok(()) => assert_eq!(found, 2),
            Err(error) => {
                assert!(error.to_string().contains("error 5"), "{error}");
                assert!([1, 2].contains(&found), "step {step}: version {found}");
                failed += 1;
            }
        }
        whole(store, &format!("step {step}"));
        if through {
            break;
        }
        step += 1;
    }
    assert!(failed >= 8, "{failed} of {step} steps failed aloud");
}

#[test]
fn what_may_not_be_installed_is_refused_and_nothing_stays() {
    let mut store = open(tape());
    install(&mut store, &hello(2)).unwrap();
    let offer = |bundle: (Bundle, Record)| store.offer(&bundle.1).map(|_| ()).unwrap_err().to_string();
    let table = [
        ("older", offer(hello(1)), "version 1 is not above 2"),
        ("another provider's", offer(bundle_of("hello", "other", 3, 2)), "another provider"),
        ("a key of another provider", offer(bundle_of("hello", "demo", 3, 2)), "a key of provider other"),
        ("a stranger's", offer(bundle_of("hello", "demo", 3, 7)), "not trusted"),
    ];
    for (what, said, word) in table {
        assert!(said.contains(word), "{what}: {said}");
    }
    let (bundle, record) = hello(3);
    let mixed = Record { signature: hello(4).1.signature, ..record.clone() };
    assert!(matches!(store.offer(&mixed), Err(Error::Statement)));
    assert_eq!(store.offer(&hello(2).1).unwrap(), Offer::Same);
    // A registry that sends other bytes, fewer, or more.
    let mut bent = bundle.layer.clone();
    bent[100] ^= 1;
    store.take(&record, &bent).unwrap();
    assert!(matches!(store.install(record.clone()), Err(Error::Digest(_))));
    store.take(&record, &bundle.layer[..5000]).unwrap();
    assert!(matches!(store.install(record.clone()), Err(Error::Digest(_))));
    store.take(&record, &bundle.layer).unwrap();
    assert!(matches!(store.take(&record, b"more"), Err(Error::Digest(_))));
    assert_eq!(version(&store), 2);
    let mut disk = store.close();
    assert_eq!(disk.list(Place::Images).unwrap().len(), 1, "nothing of them stays");
    // Space is asked for before.
    let need = u64::try_from(bundle.layer.len()).unwrap();
    disk.free = RESERVE_BYTES + need - 1;
    let small = open(disk);
    assert!(matches!(small.offer(&record), Err(Error::Space(..))));
}

#[test]
fn a_disk_that_rots_and_keys_that_change_cost_no_more_than_they_must() {
    let mut store = open(tape());
    install(&mut store, &hello(1)).unwrap();
    let disk = store.close();
    let mut rotten = disk.clone();
    rotten.rot(Place::Records, "hello", 50);
    assert_eq!(version(&open(rotten)), 0, "a record that is not whole does not count");
    // With other keys it is not believed; nothing of it goes, and with the right ones it is there again.
    let store = Store::open(disk, Keyring::new(secret(9).public().unwrap()), Architecture::I386).unwrap();
    assert_eq!(version(&store), 0);
    assert_eq!(version(&open(store.close())), 1);
}

#[test]
fn a_real_folder_does_what_the_tape_does() {
    let scratch = Scratch::new().unwrap();
    let top = scratch.file("bundles");
    std::fs::create_dir(&top).unwrap();
    let mut store = open(Folder::new(&top).unwrap());
    let (bundle, record) = hello(1);
    let free = store.offer(&record);
    if matches!(free, Err(Error::Space(..))) {
        return println!("skipped: the disk is full here");
    }
    // Cut in the middle: it goes on where it was.
    store.take(&record, &bundle.layer[..7000]).unwrap();
    let mut store = open(store.close());
    assert_eq!(store.offer(&record).unwrap(), Offer::Fetch(7000));
    install(&mut store, &(bundle, record)).unwrap();
    install(&mut store, &hello(2)).unwrap();
    let mut store = open(Folder::new(&top).unwrap());
    assert_eq!(version(&store), 2);
    store.remove(&Name::new("hello").unwrap()).unwrap();
    assert!(matches!(store.remove(&Name::new("hello").unwrap()), Err(Error::Absent(_))));
    let disk = whole(store, "removed");
    assert!(Place::ALL.iter().all(|place| disk.list(*place).unwrap().is_empty()), "nothing stays");
}
