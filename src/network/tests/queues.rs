//! Queues against the kernel of this machine, in a namespace of its own; tc(8) is the oracle.
//!
//! What this kernel lacks is done without, and tried in the guest (`tests/tests/voice_load.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use contract::Name;
use contract::attach::Rates;
use network::gateway::{ADOPT_MS, Gateway};
use network::target::Attachment;
use stage::{CONFIGURATION, Namespace, attachment, enter, folder, plug_in, run};

const QUEUES: &str =
    "\n[qos]\nup_kbit_s = 20000\ndown_kbit_s = 40000\nservices_kbit_s = 4000\noverhead_bytes = 22\n";

fn configuration(name: &str) -> PathBuf {
    let path = folder(name).join("network.toml");
    fs::write(&path, format!("{CONFIGURATION}{QUEUES}")).unwrap();
    path
}

fn gateway(path: &Path) -> Gateway {
    let mut gateway = Gateway::open(path.to_owned(), ADOPT_MS).unwrap();
    gateway.turn();
    gateway
}

/// The same, in a slice that has 800 kbit/s and this ceiling.
fn sharing(slot: u8, slice: &str, ceiling: u32) -> Attachment {
    Attachment { slice: Name::new(slice).unwrap(), slice_rates: size(ceiling), ..rated(slot, 250, 0) }
}

fn size(ceiling: u32) -> Rates {
    rated(0, 800, ceiling).rates
}

/// The class above that of a service, as tc(8) names it.
fn above(link: &str, slot: u8) -> String {
    let said = run(&format!("tc class show dev {link} classid 1:{:x}", 0x100 + u16::from(slot)));
    let mut words = said.split_whitespace().skip_while(|word| *word != "parent");
    words.nth(1).unwrap_or_else(|| panic!("{link}: {said}")).to_owned()
}

/// Nothing is left to do, and nothing is done.
fn assert_settled(gateway: &mut Gateway) {
    assert_eq!(gateway.fault(), None);
    let before = gateway.changes();
    gateway.turn();
    assert_eq!(gateway.changes(), before, "asked twice, it changes nothing");
}

/// What tc(8) says of a link's classes, without the numbers of leaves, which are the kernel's.
fn classes(said: &str) -> String {
    let mut words = said.split_whitespace().peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "leaf" {
            let _ = words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Can this kernel do what a test of queues needs at least?
fn can() -> bool {
    run("ip link add trial type ifb");
    let words = ["qdisc", "add", "dev", "trial", "root", "htb"];
    let can = std::process::Command::new("tc").args(words).output().unwrap().status.success();
    run("ip link del trial");
    if !can {
        println!("skipped: queues: this kernel has no HTB");
    }
    can
}

fn rated(slot: u8, floor: u32, ceiling: u32) -> Attachment {
    let rates = Rates {
        floor_up_kbit_s: floor,
        floor_down_kbit_s: floor,
        ceiling_up_kbit_s: ceiling,
        ceiling_down_kbit_s: ceiling,
    };
    Attachment { rates, ..attachment(&format!("service-{slot}"), slot, 8_000 + u16::from(slot)) }
}

#[test]
fn queues_of_the_line_are_what_tc_reads() {
    if !enter("queues_of_the_line_are_what_tc_reads") || !can() {
        return;
    }
    plug_in();
    let path = configuration("line");
    let mut gateway = gateway(&path);
    assert_settled(&mut gateway);

    // What tc(8) prints of the same numbers.
    let classes = classes(&run("tc class show dev eth0"));
    for words in [
        "class htb 1:1 root rate 19600Kbit overhead 22 ceil 19600Kbit burst 12250b cburst 12250b",
        "class htb 1:10 parent 1:1 prio 0 rate 1Mbit overhead 22 ceil 1Mbit burst 1526b cburst 1526b",
        "class htb 1:30 parent 1:1 prio 2 rate 14600Kbit overhead 22 ceil 19600Kbit",
        "class htb 1:40 parent 1:1 prio 2 rate 4Mbit overhead 22 ceil 19600Kbit",
    ] {
        assert!(classes.contains(words), "{words} in\n{classes}");
    }
    assert!(run("tc class show dev ifb-wan").contains("class htb 1:1 root rate 36Mbit"));
    assert!(run("tc -j qdisc show dev eth0").contains(r#""default":"0x30""#));
    let inward = run("tc filter show dev eth0 ingress");
    for words in ["protocol ip ", "protocol ipv6 ", "mirred (Egress Redirect to device ifb-wan) stolen"] {
        assert!(inward.contains(words), "{words} in\n{inward}");
    }
    let codepoints = run("tc filter show dev eth0 parent 1:");
    assert!(codepoints.contains("match 40b80000/f0fc0000 at 0"), "{codepoints}");

    for link in ["eth0", "eth1"] {
        assert!(run(&format!("ip -d link show dev {link}")).contains("gro_max_size 5000 "), "{link}");
    }

    // Another life changes nothing; a class that somebody has changed is mended, and it alone.
    let mut next = self::gateway(&path);
    assert_eq!((next.changes(), next.fault()), (0, None));
    run("tc class change dev eth0 classid 1:10 parent 1:1 htb rate 2mbit ceil 3mbit");
    run("tc filter del dev ifb-wan parent 1: protocol all prio 2");
    next.turn();
    assert_eq!(next.changes(), 1 + 12, "a class; voice's three codepoints in four places");
    assert_settled(&mut next);
    run("ip link del ifb-wan");
    next.turn();
    assert_settled(&mut next);
    assert!(run("tc filter show dev eth0 ingress").contains("to device ifb-wan"));

    // And no longer wanted, it goes.
    fs::write(&path, CONFIGURATION).unwrap();
    next.turn();
    assert_settled(&mut next);
    assert!(!run("tc qdisc show dev eth0").contains("htb") && !run("ip link").contains("ifb-wan"));
    assert!(!run("tc qdisc show dev eth0").contains("clsact"));
    assert!(run("ip -d link show dev eth0").contains("gro_max_size 65536 "));
}

#[test]
fn a_service_has_its_ceiling_at_both_ends_and_its_floor_on_the_line() {
    if !enter("a_service_has_its_ceiling_at_both_ends_and_its_floor_on_the_line") || !can() {
        return;
    }
    plug_in();
    let path = configuration("services");
    let mut gateway = gateway(&path);
    let services = [Namespace::make(), Namespace::make()];
    for (slot, namespace) in (0..).zip(&services) {
        let (copy, inside) = namespace.copies();
        gateway.attach(rated(slot, 1_500, 3_000), &copy, inside).unwrap();
    }
    assert_settled(&mut gateway);
    let ceiling = "class htb 1:1 root prio 0 rate 3Mbit ceil 3Mbit";
    for said in [run("tc class show dev svc-1"), services[1].run("tc class show dev eth0")] {
        assert!(classes(&said).contains(ceiling), "{said}");
    }
    assert!(services[1].run("ip -d link show dev eth0").contains("gso_max_size 5000 "));
    let floor = "class htb 1:101 parent 1:40 prio 2 rate 1500Kbit overhead 22 ceil 3Mbit";
    for link in ["eth0", "ifb-wan"] {
        assert!(classes(&run(&format!("tc class show dev {link}"))).contains(floor), "{link}");
    }

    // Another ceiling changes three classes of that service on four links, and nothing else.
    let before = gateway.changes();
    let (copy, inside) = services[1].copies();
    gateway.attach(rated(1, 1_500, 2_000), &copy, inside).unwrap();
    assert_eq!(gateway.changes() - before, 4);
    assert_settled(&mut gateway);

    // Floors that do not fit are refused, and nothing has changed.
    let third = Namespace::make();
    let (copy, inside) = third.copies();
    let refused = gateway.attach(rated(2, 1_500, 0), &copy, inside).unwrap_err().to_string();
    assert!(refused.contains("1500 kbit/s of 1000"), "{refused}");
    assert_settled(&mut gateway);

    // A new life that has been asked for one of them only leaves the other's as they are.
    let mut next = self::gateway(&path);
    let (copy, inside) = services[0].copies();
    next.attach(rated(0, 1_500, 3_000), &copy, inside).unwrap();
    assert_eq!(next.changes(), 0);
    assert!(run("tc class show dev eth0").contains("class htb 1:101"));

    // Detached, its classes go.
    gateway.detach("service-1").unwrap();
    assert_settled(&mut gateway);
    assert!(!run("tc class show dev eth0").contains("class htb 1:101"));
}

#[test]
fn services_of_a_slice_share_its_class_on_the_line() {
    if !enter("services_of_a_slice_share_its_class_on_the_line") || !can() {
        return;
    }
    plug_in();
    let path = configuration("slices");
    let mut gateway = gateway(&path);
    let services = [Namespace::make(), Namespace::make(), Namespace::make()];
    let attach = |gateway: &mut Gateway, (slot, slice, ceiling): (u8, &str, u32)| {
        let (copy, inside) = services[usize::from(slot)].copies();
        gateway.attach(sharing(slot, slice, ceiling), &copy, inside).unwrap();
    };
    let all = [(0, "demo", 2_000), (1, "demo", 2_000), (2, "acme", 0)];
    all.into_iter().for_each(|one| attach(&mut gateway, one));
    assert_settled(&mut gateway);
    let slice = above("eth0", 0);
    // Not every kernel has filters by mark.
    let by_mark = |link: &str| run(&format!("tc filter show dev {link} parent 1:")).contains("classid 1:101");
    let marks = ["eth0", "ifb-wan"].map(by_mark);
    for link in ["eth0", "ifb-wan"] {
        assert_eq!([0, 1, 2].map(|slot| above(link, slot)), [slice.as_str(), &slice, "1:40"], "{link}");
        let said = classes(&run(&format!("tc class show dev {link}")));
        let words = format!("class htb {slice} parent 1:40 rate 800Kbit overhead 22 ceil 2Mbit");
        assert!(said.contains(&words), "{words} in\n{said}");
    }

    // Another size is one class each way; asked twice, none.
    let demo = Name::new("demo").unwrap();
    for changes in [2, 0] {
        let before = gateway.changes();
        gateway.resize(&demo, size(1_500)).unwrap();
        assert_eq!(gateway.changes() - before, changes);
    }
    assert!(classes(&run("tc class show dev eth0")).contains("ceil 1500Kbit"));

    // A new life is asked for one after the other, and finds the same tree; for a slice, too, that was given another size meanwhile.
    let mut next = self::gateway(&path);
    attach(&mut next, (1, "demo", 1_500));
    assert_eq!((next.changes(), next.fault()), (0, None));
    assert_eq!(above("eth0", 0), slice, "it waits");
    attach(&mut next, (0, "demo", 1_200));
    assert_eq!(next.changes(), 2);
    attach(&mut next, (2, "acme", 0));
    assert_settled(&mut next);

    // Without its ceiling its services stand where they did without, and nothing of it is left; and with it again below it.
    next.resize(&demo, size(0)).unwrap();
    assert_settled(&mut next);
    for link in ["eth0", "ifb-wan"] {
        assert_eq!([0, 1].map(|slot| above(link, slot)), ["1:40", "1:40"], "{link}");
        assert!(!run(&format!("tc class show dev {link}")).contains(&slice), "{link}");
    }
    assert_eq!(["eth0", "ifb-wan"].map(by_mark), marks, "its filter came along");
    next.resize(&demo, size(2_000)).unwrap();
    assert_settled(&mut next);
    assert_eq!(above("ifb-wan", 1), slice);

    // Its class goes with its last service.
    next.detach("service-0").unwrap();
    assert_eq!(above("eth0", 1), slice);
    next.detach("service-1").unwrap();
    assert_settled(&mut next);
    for link in ["eth0", "ifb-wan"] {
        assert!(!run(&format!("tc class show dev {link}")).contains(&slice), "{link}");
    }
}
