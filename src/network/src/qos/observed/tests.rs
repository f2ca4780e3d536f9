//! What a kernel says, as bytes: `tests/data/queues-x86_64`; and what we write, read back.

use super::{Kind, Seen, class, filter, queue};
use crate::bytes::messages;
use crate::qos::message;
use crate::qos::tree::{AT_CLSACT, AT_ROOT, Act, Class, Filter, INGRESS, IP, Leaf, ROOT, Rate, Takes, Word};

const PACKET: &[u8] = include_bytes!("../../../tests/data/queues-x86_64");

fn read(packet: &[u8]) -> Seen {
    let mut seen = Seen::default();
    for message in messages(packet) {
        match message.kind {
            36 => seen.queues.extend(queue(message.body)),
            40 => seen.classes.extend(class(message.body)),
            44 => seen.filters.extend(filter(message.body)),
            _ => {}
        }
    }
    seen
}

#[test]
#[cfg(target_endian = "little")]
fn what_the_kernel_says_is_read() {
    let seen = read(PACKET);
    let at =
        |parent: u32| seen.queues.iter().find(|queue| queue.link == 3 && queue.parent == parent).unwrap();
    assert_eq!((at(AT_ROOT).handle, at(AT_ROOT).kind), (ROOT, Kind::Root(0x30)));
    assert_eq!(at(AT_CLSACT).kind, Kind::Clsact);
    assert_eq!(at(ROOT | 0x10).kind, Kind::Leaf(Leaf::Row { limit: 64 }));

    let rate = Rate::kbit_s(19_600);
    let line = Class { minor: 1, parent: 0, rate, ceil: rate, prio: 0, overhead: 22, leaf: None };
    let rate = Rate::kbit_s(1_000);
    let leaf = Some(Leaf::Row { limit: 64 });
    let voice = Class { minor: 0x10, parent: 1, rate, ceil: rate, prio: 0, overhead: 22, leaf };
    for class in [line, voice] {
        assert_eq!(seen.classes.iter().filter(|has| has.is(&class)).count(), 1, "{class:?}");
        let other = Class { ceil: Rate::kbit_s(1_001), ..class };
        assert!(!seen.classes.iter().any(|has| has.is(&other)));
    }
    let ef = Word { at: 0, mask: 0xf0fc_0000, value: 0x40b8_0000 };
    let wanted = [
        Filter {
            parent: ROOT,
            priority: 2,
            protocol: 3,
            handle: 0x8000_0001,
            takes: Takes::Words(vec![ef]),
            class: 0x10,
            acts: Vec::new(),
        },
        Filter {
            parent: INGRESS,
            priority: 1,
            protocol: IP[0],
            handle: 0x8000_0800,
            takes: Takes::Words(Vec::new()),
            class: 0,
            acts: vec![Act::Redirect(4)],
        },
    ];
    let found: Vec<&Filter> = seen.filters.iter().filter(|filter| filter.handle & 0xfff != 0).collect();
    assert_eq!(found, wanted.iter().collect::<Vec<_>>());
}

#[test]
fn what_we_write_is_read_back() {
    let inward = |acts: Vec<Act>| {
        let takes = Takes::Words(Vec::new());
        Filter { parent: INGRESS, priority: 1, protocol: IP[1], handle: 7, takes, class: 0, acts }
    };
    let filters = [
        inward(vec![Act::Recall(0xff), Act::Redirect(4)]),
        inward(vec![Act::Class(0x20), Act::Redirect(4)]),
        inward(vec![Act::AtMost { packets_s: 20_000, burst: 2_000 }]),
        inward(vec![Act::AtMost { packets_s: 7, burst: 3 }]),
        Filter { parent: ROOT, handle: 9, takes: Takes::Mark(0xff), class: 0x108, ..inward(Vec::new()) },
    ];
    for wanted in filters {
        assert_eq!(filter(&message::filter(3, &wanted)), Some(wanted));
    }
    let rate = Rate::kbit_s(64);
    let class = Class { minor: 9, parent: 1, rate, ceil: rate, prio: 2, overhead: 0, leaf: None };
    let leaves = [Leaf::Row { limit: 5 }, Leaf::Flows { flows: 2, limit: 3, bytes: 4, target_ms: 5 }];
    for leaf in leaves {
        assert_eq!(queue(&message::leaf(3, &class, &leaf)).map(|queue| queue.kind), Some(Kind::Leaf(leaf)));
    }
}

#[test]
fn whatever_is_cut_off_is_left_out() {
    for cut in 0..PACKET.len() {
        let _ = read(&PACKET[..cut]);
    }
    for message in messages(PACKET) {
        for cut in 0..message.body.len() {
            let _ = (queue(&message.body[..cut]), class(&message.body[..cut]), filter(&message.body[..cut]));
        }
    }
}
