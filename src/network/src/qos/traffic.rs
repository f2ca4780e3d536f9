//! What classes have carried, as rows for people.
//!
//! In:  what was `Seen` on a link. Out: rows of the wire `show`. Pure.

use contract::Text;
use contract::limit::CLASS_BYTES;
use contract::show::Traffic;

use super::line::{INTERNET, LINE, SERVICES, SLOTS, TV, VOICE};
use super::observed::Seen;
use super::slices;
use super::tree::Rate;
use crate::target::{Attachment, slot_of};

/// A row for each class of the link.
#[must_use]
pub fn rows(link: &str, seen: &Seen, attachments: &[Attachment]) -> Vec<Traffic> {
    let mut rows: Vec<(u16, Traffic)> = Vec::new();
    for class in &seen.classes {
        let leaf = seen.queues.iter().find(|queue| queue.parent == class.handle);
        let [rate, ceil, ..] = class.measures;
        let row = Traffic {
            link: Text::from(link),
            class: name(link, class.minor(), attachments),
            rate_kbit_s: Rate(rate).in_kbit_s(),
            ceil_kbit_s: Rate(ceil).in_kbit_s(),
            bytes: class.bytes,
            packets: class.packets,
            drops: leaf.map_or(0, |leaf| leaf.drops),
            backlog_bytes: leaf.map_or(0, |leaf| leaf.backlog_bytes),
        };
        rows.push((class.minor(), row));
    }
    rows.sort_by_key(|(minor, _)| *minor);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn name(link: &str, minor: u16, attachments: &[Attachment]) -> Text<CLASS_BYTES> {
    let whose = |slot: u8| attachments.iter().find(|service| service.slot == slot);
    let slot = slot_of(link).or_else(|| minor.checked_sub(SLOTS).and_then(|slot| u8::try_from(slot).ok()));
    match (slot.and_then(whose), minor) {
        (Some(service), _) => Text::from(&*service.service),
        (None, LINE) => Text::from("line"),
        (None, VOICE) => Text::from("voice"),
        (None, TV) => Text::from("tv"),
        (None, INTERNET) => Text::from("internet"),
        (None, SERVICES) => Text::from("services"),
        (None, other) => {
            match slices::numbers(attachments).into_iter().find(|(_, number)| *number == other) {
                Some((slice, _)) => Text::format(format_args!("slice {slice}")),
                None => Text::format(format_args!("1:{other:x}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{name, rows};
    use crate::qos::observed::{Kind, Queue, Seen, Shape};
    use crate::target::Attachment;
    use crate::testing::{rated, sharing};
    use contract::Name;

    #[test]
    fn a_class_has_its_name_and_its_leaf_its_drops() {
        let shape = |minor: u32| Shape {
            handle: 0x1_0000 | minor,
            parent: 0x1_0000,
            measures: [125_000, 250_000, 0, 0, 0],
            turn: [0, 0],
            bytes: 5_000_000_000,
            packets: 7,
        };
        let leaf = Queue {
            link: 2,
            handle: 0x10_0000,
            parent: 0x1_0010,
            kind: Kind::Other,
            drops: 3,
            backlog_bytes: 99,
        };
        let classes = [0x101, 0x30, 0x10, 0x1, 0x77].map(shape).to_vec();
        let seen = Seen { index: 2, queues: vec![leaf], classes, filters: Vec::new(), thrown_outward: 0 };
        let service = Attachment { service: Name::new("camera").unwrap(), ..rated(1, 0, 0) };
        let rows = rows("eth0", &seen, &[service]);
        let named: Vec<(&str, u32, u32)> =
            rows.iter().map(|row| (row.class.as_str(), row.drops, row.backlog_bytes)).collect();
        let wanted = [("line", 0, 0), ("voice", 3, 99), ("internet", 0, 0), ("1:77", 0, 0), ("camera", 0, 0)];
        assert_eq!(named, wanted);
        // Of a slice with the longest name that there is; a service may have its name.
        let longest = "a".repeat(contract::limit::NAME_BYTES);
        let its = [sharing(rated(1, 0, 0), (&longest, 0, 900))];
        let minor = crate::qos::slices::numbers(&its)[0].1;
        assert_eq!(name("eth0", minor, &its).as_str(), format!("slice {longest}"));
        assert_eq!((rows[0].rate_kbit_s, rows[0].ceil_kbit_s, rows[0].bytes), (1_000, 2_000, 5_000_000_000));
    }
}
