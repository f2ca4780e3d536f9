//! A bundle comes, is replaced, goes: what is answered, what the supervisor hears, what is on the disk, over restarts of the daemon.
//!
//! In:  an honest registry of our own. Out: rows, ends, files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::os::fd::AsFd;
use std::process::Command;

use contract::installed;
use contract::limit::SLICES;
use contract::manifest::{Cpu, Memory, Rate};
use contract::packages::{Answer, Ask, Fault, Install, State};
use contract::slice::Slice;
use stage::{Made, Shop, Stage, end, enter, install, list, name, next, order, remove, unit, until, update};

fn hello(version: u64) -> Made {
    Made::new("hello", "demo", version, 1)
}

/// How many frames the supervisor has heard: so many.
fn heard(stage: &Stage, count: usize) {
    let said = || stage.heard.asks.lock().unwrap().len();
    until("the supervisor hears it", 10, || (said() == count).then_some(()));
}

#[test]
fn a_bundle_comes_is_updated_and_goes() {
    if !enter("a_bundle_comes_is_updated_and_goes", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    until("the supervisor is told", 10, || (stage.heard.words() == ["all"]).then_some(()));
    let follower = stage.ask(&Ask::Follow);
    assert_eq!(end(&follower), (vec![], Answer::Done));
    for version in 1..=3 {
        shop.put(&version.to_string(), &hello(version));
    }
    let image = hello(1).image();

    let rows = stage.does(&install(&shop.source("1")));
    assert!(
        matches!(rows.last(), Some(Answer::Progress { bytes, of }) if bytes == of && *of > 300_000),
        "{rows:?}"
    );
    assert_eq!(stage.heard.words(), ["service hello 1"]);
    let row = next(&follower);
    let first = unit(&row).clone();
    assert_eq!((first.state, first.image, first.tag.as_str()), (State::Installed, image.0, "a-tag"));
    assert_eq!(first.source.as_str(), shop.source("1"));
    assert_eq!(stage.files().len(), 2, "an image and a record");

    let (fault, words) = stage.refuses(&install(&shop.source("2")));
    assert_eq!(fault, Fault::Duplicate, "{words}");
    let (fault, words) = stage.refuses(&update("hello", &shop.source("1")));
    assert_eq!(fault, Fault::Duplicate, "{words}");
    stage.does(&update("hello", &shop.source(&hello(2).digest().to_string())));
    assert_eq!(
        (stage.list(), stage.heard.words()),
        (vec!["hello 2".to_owned()], vec!["service hello 2".to_owned()])
    );
    let (fault, words) = stage.refuses(&update("hello", &shop.source("1")));
    assert!(fault == Fault::Older && words.contains("not above 2"), "{words}");
    assert_eq!(stage.files().len(), 2, "the old ones are gone");

    let follower = stage.ask(&Ask::Follow);
    end(&follower);
    stage.does(&Ask::Remove { service: name("hello"), drop_data: true });
    assert_eq!(stage.heard.words(), ["forget hello", "drop hello of demo"]);
    let rows = [next(&follower), next(&follower)];
    assert!(unit(&rows[0]).state == State::Removing && rows[1] == Answer::Gone(name("hello")), "{rows:?}");
    assert_eq!((stage.list(), stage.files()), (vec![], vec![]));
    assert_eq!(stage.refuses(&remove("hello")).0, Fault::Absent);
}

#[test]
fn what_was_ordered_outlives_the_daemon() {
    if !enter("what_was_ordered_outlives_the_daemon", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word(), 64);
    shop.put("2", &hello(2));
    stage.does(&install(&shop.source("2")));
    stage.heard.words();
    stage.does(&Ask::Autostart { service: name("hello"), starts: true });
    heard(&stage, 1);
    assert_eq!(stage.heard.words(), ["service hello 2 starts"]);
    stage.does(&Ask::Restarts { service: name("hello"), restarts: false });
    heard(&stage, 1);
    assert_eq!(stage.heard.words(), ["service hello 2 starts once"]);
    let slice = Slice {
        name: name("demo"),
        cpu: Cpu { floor_permille: 10, ceiling_permille: 500 },
        memory: Memory { floor_mib: 8, high_mib: 0, ceiling_mib: 32 },
        disk: Default::default(),
        uplink: Default::default(),
        downlink: Rate { floor_kbit_s: 987_654, ceiling_kbit_s: 987_655 },
    };
    let gone = Slice { name: name("gone"), ..slice.clone() };
    stage.heard.says.lock().unwrap().extend([
        installed::Answer::Rented(gone),
        installed::Answer::Rented(slice),
        installed::Answer::Released(name("gone")),
    ]);
    until("the slice is on the disk", 10, || {
        let book = fs::read(stage.disk.join("state/package/book")).unwrap_or_default();
        let book = String::from_utf8_lossy(&book).into_owned();
        (book.contains("987654") && !book.contains("gone")).then_some(())
    });
    heard(&stage, 3);
    assert_eq!(stage.heard.words(), ["kept", "kept", "kept"]);
    stage.start();
    heard(&stage, 3);
    assert_eq!(stage.heard.words(), ["slice demo", "service hello 2 starts once", "all"]);
    let rows = stage.does(&Ask::List);
    assert!(unit(&rows[0]).autostart && unit(&rows[0]).tag.as_str() == "a-tag", "{rows:?}");
    // Each connection hears all of it anew.
    *stage.heard.hangs_up.lock().unwrap() = true;
    heard(&stage, 3);
    assert_eq!(stage.heard.words(), ["slice demo", "service hello 2 starts once", "all"]);
    // And so is its next version, until that is ordered otherwise: then it is as its manifest says.
    shop.put("3", &hello(3));
    stage.does(&update("hello", &shop.source("3")));
    assert_eq!(stage.heard.words(), ["service hello 3 starts once"]);
    stage.does(&Ask::Restarts { service: name("hello"), restarts: true });
    heard(&stage, 1);
    assert_eq!(stage.heard.words(), ["service hello 3 starts"]);
    let nothing = Ask::Restarts { service: name("world"), restarts: true };
    assert_eq!(stage.refuses(&nothing).0, Fault::Absent);
}

/// What package says to one word about a slice.
fn says(stage: &Stage, word: installed::Answer) -> String {
    stage.heard.says.lock().unwrap().push(word);
    heard(stage, 1);
    stage.heard.words().remove(0)
}

fn slice(number: usize) -> Slice {
    Slice {
        name: name(&format!("slice-{number}")),
        cpu: Cpu { floor_permille: 10, ceiling_permille: 500 },
        memory: Memory { floor_mib: 8, high_mib: 0, ceiling_mib: 32 },
        disk: Default::default(),
        uplink: Default::default(),
        downlink: Default::default(),
    }
}

#[test]
fn whether_a_slice_is_kept_is_said_when_it_is_known() {
    if !enter("whether_a_slice_is_kept_is_said_when_it_is_known", &[]) {
        return;
    }
    let mut stage = Stage::new("", 64);
    heard(&stage, 1);
    stage.heard.words();
    for number in 0..SLICES {
        assert_eq!(says(&stage, installed::Answer::Rented(slice(number))), "kept");
    }
    let full = says(&stage, installed::Answer::Rented(slice(SLICES)));
    assert!(full.starts_with("not kept: Resources"), "{full}");
    let mounted = |how: &str| {
        let disk = stage.disk.to_str().unwrap();
        let mount = Command::new("mount").args(["-o", &format!("remount,{how}"), disk]).status();
        assert!(mount.unwrap().success(), "{how}");
    };
    let generation = || fs::read(stage.disk.join("state/package/book")).unwrap();
    let before = generation();
    mounted("ro");
    let word = says(&stage, installed::Answer::Released(name("slice-1")));
    assert!(word.starts_with("not kept: Disk"), "{word}");
    mounted("rw");
    // It has this one as it is: all the same nobody knows what is on the disk before it was written once more.
    assert_eq!(says(&stage, installed::Answer::Rented(slice(1))), "kept");
    let after = generation();
    assert_ne!(after, before, "it was written");
    assert_eq!(says(&stage, installed::Answer::Rented(slice(1))), "kept");
    assert_eq!(generation(), after, "and now that is known");
    stage.start();
    heard(&stage, SLICES + 1);
}

#[test]
fn a_volume_that_is_to_go_goes_though_nobody_could_do_it_at_once() {
    if !enter("a_volume_that_is_to_go_goes_though_nobody_could_do_it_at_once", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word(), 64);
    shop.put("1", &hello(1));
    let drops = || Ask::Remove { service: name("hello"), drop_data: true };
    stage.does(&install(&shop.source("1")));
    *stage.heard.refuses.lock().unwrap() = Some((Fault::Disk, "storage is gone"));
    let (fault, words) = stage.refuses(&drops());
    assert!(fault == Fault::Disk && words.contains("storage is gone"), "{words}");
    assert_eq!((stage.list(), stage.files()), (vec![], vec![]), "its bundle is gone all the same");
    stage.heard.words();
    stage.start();
    heard(&stage, 2);
    assert_eq!(stage.heard.words(), ["all", "drop hello of demo"]);
    *stage.heard.refuses.lock().unwrap() = None;
    stage.start();
    heard(&stage, 2);
    assert_eq!(stage.heard.words(), ["all", "drop hello of demo"]);
    until("nothing is left to do", 10, || {
        let book = fs::read(stage.disk.join("state/package/book")).unwrap_or_default();
        (!String::from_utf8_lossy(&book).contains("\"service\":\"hello\"")).then_some(())
    });
    stage.start();
    heard(&stage, 1);
    assert_eq!(stage.heard.words(), ["all"]);
    // Nobody said that it goes.
    stage.does(&install(&shop.source("1")));
    stage.does(&remove("hello"));
    assert_eq!(stage.heard.words(), ["service hello 1", "forget hello"]);
}

#[test]
fn what_the_supervisor_refuses_is_not_kept() {
    if !enter("what_the_supervisor_refuses_is_not_kept", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    for version in 1..=2 {
        shop.put(&version.to_string(), &hello(version));
    }
    let refuse = |words| *stage.heard.refuses.lock().unwrap() = words;
    refuse(Some((Fault::Slice, "hello: not admitted: demo rents no slice here")));
    let (fault, words) = stage.refuses(&install(&shop.source("1")));
    assert!(fault == Fault::Slice && words.contains("rents no slice"), "{words}");
    assert_eq!((stage.list(), stage.files()), (vec![], vec![]));
    refuse(None);
    stage.does(&install(&shop.source("1")));
    let before = stage.files();
    stage.heard.words();
    refuse(Some((Fault::Resources, "hello: not admitted: slice demo is short of 8 MiB memory")));
    let (fault, words) = stage.refuses(&update("hello", &shop.source("2")));
    assert!(fault == Fault::Resources && words.contains("short of 8 MiB"), "{words}");
    assert_eq!((stage.list(), stage.files()), (vec!["hello 1".to_owned()], before));
    heard(&stage, 2);
    assert_eq!(stage.heard.words(), ["service hello 2", "service hello 1"]);
    refuse(None);
    stage.does(&update("hello", &shop.source("2")));
    assert_eq!(stage.list(), ["hello 2"]);

    // It dies before it has answered: its next life is told what was there, and then what is to come.
    shop.put("3", &hello(3));
    *stage.heard.is_silent.lock().unwrap() = true;
    let client = stage.ask(&update("hello", &shop.source("3")));
    until("the bundle is put", 10, || {
        let rows = stage.does(&Ask::List);
        (unit(&rows[0]).state == State::Updating && unit(&rows[0]).version == 3).then_some(())
    });
    stage.heard.words();
    *stage.heard.hangs_up.lock().unwrap() = true;
    *stage.heard.is_silent.lock().unwrap() = false;
    assert_eq!(end(&client).1, Answer::Done);
    let words = stage.heard.words();
    let words = &words[words.len() - 3..];
    assert_eq!(words, ["before hello 2", "all", "service hello 3"]);
    assert_eq!((stage.list(), stage.files().len()), (vec!["hello 3".to_owned()], 2));
}

#[test]
fn orders_are_refused_with_their_reason() {
    if !enter("orders_are_refused_with_their_reason", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    shop.put("1", &hello(1));
    shop.put("2", &Made::new("hello", "other", 2, 2));
    shop.put("3", &Made::new("world", "demo", 3, 1));
    stage.does(&install(&shop.source("1")));
    let with = |change: fn(&mut Install), which: &str| {
        let mut order = order(&shop.source(which));
        change(&mut order);
        Ask::Install(order)
    };
    let table = [
        ("no scheme", install("registry.example/a:1"), Fault::Ask, "https://"),
        ("another scheme", install("ftp://registry.example/a:1"), Fault::Ask, "only https"),
        (
            "a name and a word in it",
            install("https://user:word@registry.example/a:1"),
            Fault::Ask,
            "no registry",
        ),
        ("plain HTTP", install("http://127.0.0.1:1/demo/hello:1"), Fault::Ask, "plain_http"),
        ("not there", install(&shop.source("9")), Fault::Missing, "not there"),
        ("another provider's", update("hello", &shop.source("2")), Fault::Foreign, "another provider"),
        ("another service", update("hello", &shop.source("3")), Fault::Foreign, "another service than hello"),
        ("an update of nothing", update("world", &shop.source("3")), Fault::Absent, "no such service"),
        (
            "another slice",
            with(|order| order.slice = Some(name("other")), "3"),
            Fault::Slice,
            "in the slice demo",
        ),
        ("nobody there", install("https://127.0.0.1:1/a/b:1"), Fault::Unreachable, "time is not known"),
        ("remove nothing", remove("world"), Fault::Absent, "no such service"),
        (
            "autostart of nothing",
            Ask::Autostart { service: name("world"), starts: true },
            Fault::Absent,
            "no such",
        ),
        ("cancel nothing", Ask::Cancel("x".into()), Fault::Absent, "'x'"),
        ("await nothing", Ask::Await("x".into()), Fault::Absent, "'x'"),
        ("no list", Ask::Keyring, Fault::Ask, "no file"),
    ];
    for (what, ask, fault, word) in table {
        let had = stage.refuses(&ask);
        assert!(had.0 == fault && had.1.contains(word), "{what}: {had:?}");
    }
    assert_eq!((stage.list(), stage.files().len()), (vec!["hello 1".to_owned()], 2));
    let table = [
        ("its slice", with(|order| order.slice = Some(name("demo")), "3")),
        ("an order that is none before it", remove("world")),
    ];
    for (what, ask) in table {
        assert_eq!(stage.order(&ask).1, Answer::Done, "{what}");
    }
}

#[test]
fn keys_are_added_and_withdrawn() {
    if !enter("keys_are_added_and_withdrawn", &[]) {
        return;
    }
    let shop = Shop::open();
    let mut stage = Stage::new(&shop.word(), 64);
    shop.put("1", &Made::new("hello", "demo", 1, 3));
    let send = |list: &[u8], is_sealed: bool| {
        let client = wire::Client::dial(contract::wires::PACKAGES).unwrap();
        let file = stage::shop::memory(list, is_sealed);
        client.send(&Ask::Keyring, &[file.as_fd()]).unwrap();
        end(&client).1
    };
    let why = |answer: Answer| {
        let Answer::Refused(fault, words) = answer else { panic!("{answer:?}") };
        (fault, words.to_string())
    };
    let (fault, words) = stage.refuses(&install(&shop.source("1")));
    assert!(fault == Fault::Signature && words.contains("is not trusted"), "{words}");
    let newer = list(7, 9, &[("demo", 3)]);
    assert_eq!(why(send(&newer, false)).0, Fault::Ask, "a file that may change");
    assert_eq!(why(send(&list(8, 1, &[("demo", 3)]), true)).0, Fault::Signature, "not the root's");
    assert_eq!(why(send(b"SHGSIGN1", true)).0, Fault::Signature, "no list");
    assert_eq!(why(send(&list(5, 9, &[("demo", 3)]), true)).0, Fault::Older, "as old as the image's");
    assert_eq!(send(&newer, true), Answer::Done);
    let (fault, words) = why(send(&list(6, 9, &[("demo", 1)]), true));
    assert!(fault == Fault::Older && words.contains("serial 6 is not above 7"), "{words}");
    stage.does(&install(&shop.source("1")));
    // It counts over a restart; and the key that it leaves out is withdrawn.
    stage.start();
    assert_eq!(stage.list(), ["hello 1"]);
    shop.put("2", &Made::new("hello", "demo", 2, 1));
    assert_eq!(stage.refuses(&update("hello", &shop.source("2"))).0, Fault::Signature);
    // A list that is no longer readable: the image's counts, and what it does not believe is not started, and can be removed.
    fs::write(stage.disk.join("state/package/keyring"), "x").unwrap();
    stage.start();
    assert_eq!(stage.list(), Vec::<String>::new());
    stage.does(&remove("hello"));
    assert_eq!(stage.files(), []);
}

#[test]
fn without_a_disk_everything_is_refused_until_there_is_one() {
    if !enter("without_a_disk_everything_is_refused_until_there_is_one", &[]) {
        return;
    }
    let shop = Shop::open();
    shop.put("1", &hello(1));
    let mut stage = Stage::new(&shop.word(), 64);
    until("the supervisor is told", 10, || (stage.heard.words() == ["all"]).then_some(()));
    stage.daemon = None;
    for folder in ["bundles", "state"] {
        fs::remove_dir_all(stage.disk.join(folder)).unwrap();
    }
    stage.heard.words();
    stage.start();
    for ask in [Ask::List, install(&shop.source("1")), remove("hello")] {
        let (fault, words) = stage.refuses(&ask);
        assert!(fault == Fault::Disk && words.contains("no data disk"), "{ask:?}: {words}");
    }
    assert_eq!(stage.heard.words(), Vec::<String>::new(), "it is not told that there is nothing");
    stage.give_disk();
    until("the disk is found", 10, || (stage.order(&Ask::List).1 == Answer::Done).then_some(()));
    stage.does(&install(&shop.source("1")));

    // The disk goes, and comes back: the supervisor is told nothing, and then all of it.
    let (disk, away) = (stage.disk.to_str().unwrap(), stage.disk.with_file_name("away"));
    fs::create_dir_all(&away).unwrap();
    stage.heard.words();
    testbed::run(&["mount", "--move", disk, away.to_str().unwrap()]);
    until("the disk is missed", 10, || (stage.order(&Ask::List).1 != Answer::Done).then_some(()));
    assert_eq!(stage.heard.words(), Vec::<String>::new());
    testbed::run(&["mount", "--move", away.to_str().unwrap(), disk]);
    until("the disk is found again", 10, || (stage.order(&Ask::List).1 == Answer::Done).then_some(()));
    heard(&stage, 2);
    assert_eq!(stage.heard.words(), ["service hello 1", "all"]);

    // A root without keys: nobody's bundles count, and slices are kept all the same.
    let (key, hidden) = ("/etc/shg/keys/root.public", "/etc/shg/keys/hidden");
    fs::rename(key, hidden).unwrap();
    stage.heard.words();
    stage.start();
    heard(&stage, 1);
    assert_eq!(stage.heard.words(), ["all"]);
    assert_eq!(stage.list(), Vec::<String>::new());
    for ask in [install(&shop.source("1")), update("hello", &shop.source("1"))] {
        let (fault, words) = stage.refuses(&ask);
        assert!(fault == Fault::Signature && words.contains("root.public"), "{words}");
    }
    assert_eq!(says(&stage, installed::Answer::Rented(slice(1))), "kept");
    // With the image that has them, what was installed is there again, and so is the slice.
    fs::rename(hidden, key).unwrap();
    stage.start();
    heard(&stage, 3);
    assert_eq!(stage.list(), ["hello 1"]);
}

#[test]
fn there_has_to_be_room() {
    if !enter("there_has_to_be_room", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 18);
    shop.put("1", &Made::sized("hello", "demo", (1, 1), 3_000_000));
    let (fault, words) = stage.refuses(&install(&shop.source("1")));
    assert!(fault == Fault::Resources && words.contains("bytes are needed"), "{words}");
    assert!(
        !shop
            .paths()
            .iter()
            .any(|path| path.contains(&Made::sized("hello", "demo", (1, 1), 3_000_000).image().hex()))
    );
    shop.put("2", &hello(2));
    stage.does(&install(&shop.source("2")));
}
