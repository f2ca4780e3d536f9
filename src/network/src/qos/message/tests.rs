//! What we write against what tc(8) sends: `tests/data/tc-options`.

use super::{class, filter, leaf, root};
use crate::bytes::{agrees, attribute, text};
use crate::qos::tree::{ALL, Act, Class, Filter, INGRESS, IP, Leaf, ROOT, Rate, Takes, Word};

const SENT: &str = include_str!("../../../tests/data/tc-options");
/// `struct tcmsg`.
const TCMSG: usize = 20;

/// The options that tc(8) sends under this name.
fn sent(name: &str) -> Vec<u8> {
    let line = SENT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    let digits: Vec<u32> = line.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
}

fn options(body: &[u8]) -> &[u8] {
    attribute(&body[TCMSG..], 2).unwrap()
}

fn class_of(leaf: Option<Leaf>) -> Class {
    let rate = Rate::kbit_s(19_600);
    Class { minor: 1, parent: 0, rate, ceil: rate, prio: 0, overhead: 22, leaf }
}

#[test]
#[cfg(target_endian = "little")]
fn queues_are_what_tc_sends() {
    assert_eq!(options(&root(3, 0x30)), sent("root"));
    let leaves = [
        ("pfifo", Leaf::Row { limit: 64 }),
        ("fq_codel", Leaf::Flows { flows: 128, limit: 1_024, bytes: 1 << 20, target_ms: 5 }),
    ];
    for (kind, which) in leaves {
        let body = leaf(3, &class_of(None), &which);
        assert_eq!(attribute(&body[TCMSG..], 1).and_then(text), Some(kind));
        if kind == "pfifo" {
            assert_eq!(options(&body), sent(kind));
        } else {
            assert!(agrees(options(&body), &sent(kind)) && agrees(&sent(kind), options(&body)), "{kind}");
        }
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_class_is_what_tc_sends_but_for_its_tables() {
    let (mut ours, mut theirs) = (options(&class(3, &class_of(None))).to_vec(), sent("class"));
    assert_eq!(ours.len(), theirs.len(), "44 bytes and their head, on 32 bits as on 64");
    for bytes in [&mut ours, &mut theirs] {
        for rate in [4, 16] {
            bytes[rate] = 0; // The cell and the alignment are for tables of times, which we do without.
            bytes[rate + 4..rate + 6].fill(0);
        }
    }
    assert_eq!(ours, theirs);
}

#[test]
#[cfg(target_endian = "little")]
fn filters_are_what_tc_sends() {
    let base = Filter {
        parent: ROOT,
        priority: 1,
        protocol: ALL,
        handle: 0x80,
        takes: Takes::Mark(0xff),
        class: 0x10,
        acts: Vec::new(),
    };
    let ef = Word { at: 0, mask: 0xf0fc_0000, value: 0x40b8_0000 };
    let words = Filter { takes: Takes::Words(vec![ef]), ..base.clone() };
    let inward = |acts: Vec<Act>| {
        let takes = Takes::Words(Vec::new());
        Filter { parent: INGRESS, protocol: IP[0], handle: 0, takes, class: 0, acts, ..base.clone() }
    };
    let table = [
        ("fw", base.clone()),
        ("dscp", words),
        ("redirect", inward(vec![Act::Redirect(4)])),
        ("recall", inward(vec![Act::Recall(0xff), Act::Redirect(4)])),
        ("class-by-link", inward(vec![Act::Class(0x10), Act::Redirect(4)])),
        ("police", inward(vec![Act::AtMost { packets_s: 20_000, burst: 2_000 }])),
    ];
    for (name, wanted) in table {
        let body = filter(3, &wanted);
        let (ours, theirs) = (options(&body).to_vec(), sent(name));
        assert!(agrees(&ours, &theirs), "{name}:\n{ours:x?}\n{theirs:x?}");
        let zone = if name == "recall" { 8 } else { 0 }; // They name the zone of connections: that of all.
        assert_eq!(ours.len() + zone, theirs.len(), "{name}: they say no more");
        let info = u32::from_ne_bytes(body[16..20].try_into().unwrap());
        let network = wanted.protocol.to_be_bytes();
        assert_eq!(info.to_le_bytes(), [network[0], network[1], 1, 0], "{name}");
    }
}
