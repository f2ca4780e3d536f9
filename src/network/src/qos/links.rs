//! The queues of services' links: their ceilings, whoever is at the other end, and a measure for packets.
//!
//! In:  an attachment. Out: a `Tree` for each end of its link. Pure.
//!
//! What a service is sent is held up where it leaves us, on `svc-N`; what it sends, where it leaves the service, on the link's inner end:
//! so its own connections feel it at once, and nothing is thrown away that could wait. It cannot change that end.
//!
//! Small packets cost as much as large ones: a flood of them would take the processor from everybody. So there is a measure of packets
//! too, for every service, each way.
//!
//! Source: tc-htb(8), tc-police(8), veth(4).

use contract::wanted::Wanted;

use super::line::{LINE, SERVICE_LEAF};
use super::tree::{ALL, Act, Class, EGRESS, Filter, INGRESS, Rate, Takes, Tree};
use crate::target::{Attachment, INSIDE_LINK, service_link};

/// What a service may send, and be sent, at once, is this part of what it may in a second.
const AT_ONCE: u32 = 10;

/// Its place among filters; those of the line's have 1 and 2, and a place holds filters of one protocol only.
const PLACE: u16 = 3;

/// Our end; each service may send, and be sent, so many packets a second.
#[must_use]
pub fn outside(service: &Attachment, packets_s: u32) -> Tree {
    let measure = |parent| Filter {
        parent,
        priority: PLACE,
        protocol: ALL,
        handle: 0,
        takes: Takes::Words(Vec::new()),
        class: 0,
        acts: vec![Act::AtMost { packets_s, burst: packets_s / AT_ONCE }],
    };
    let tree = ceiling(service_link(service.slot), service.rates.ceiling_down_kbit_s);
    Tree { hooked: true, filters: [INGRESS, EGRESS].map(measure).to_vec(), ..tree }
}

/// The service's end.
#[must_use]
pub fn inside(service: &Attachment) -> Tree {
    ceiling(INSIDE_LINK.to_owned(), service.rates.ceiling_up_kbit_s)
}

/// The largest piece of TCP that a service's link takes, in bytes: the kernel makes 64 KiB of a flow where it may, and a call would wait for
/// all of it. It is what the line carries in two milliseconds, and two full packets on the slowest.
#[must_use]
pub fn segment_bytes(wanted: &Wanted) -> u32 {
    const USUAL: u32 = 65_536; // Source: linux/netdevice.h, `GSO_LEGACY_MAX_SIZE`.
    const LEAST: u32 = 3_000;
    wanted.qos.as_ref().map_or(USUAL, |qos| (qos.up_kbit_s / 4).clamp(LEAST, USUAL))
}

fn ceiling(link: String, kbit_s: u32) -> Tree {
    if kbit_s == 0 {
        return Tree { link, ..Tree::default() };
    }
    let rate = Rate::kbit_s(kbit_s);
    let class =
        Class { minor: LINE, parent: 0, rate, ceil: rate, prio: 0, overhead: 0, leaf: Some(SERVICE_LEAF) };
    Tree { link, default: LINE, classes: vec![class], ..Tree::default() }
}

#[cfg(test)]
mod tests {
    use super::{inside, outside, segment_bytes};
    use crate::qos::tree::Act;
    use crate::target::Attachment;
    use crate::testing::{rated, with_queues};
    use contract::attach::Rates;

    #[test]
    fn pieces_are_of_two_milliseconds() {
        let table = [("no line", None, 65_536), ("20 Mbit/s", Some(20_000), 5_000)];
        let table = table.into_iter().chain([("slow", Some(64), 3_000), ("fast", Some(1_000_000), 65_536)]);
        for (what, up_kbit_s, bytes) in table {
            let mut wanted = with_queues("");
            match up_kbit_s {
                Some(kbit_s) => wanted.qos.as_mut().unwrap().up_kbit_s = kbit_s,
                None => wanted.qos = None,
            }
            assert_eq!(segment_bytes(&wanted), bytes, "{what}");
        }
    }

    #[test]
    fn a_ceiling_stands_where_packets_leave_and_there_is_a_measure_in_any_case() {
        // ceilings up and down, classes inside and outside
        let table =
            [("none", 0, 0, 0, 0), ("up", 500, 0, 1, 0), ("down", 0, 500, 0, 1), ("both", 1, 2, 1, 1)];
        for (what, up, down, within, without) in table {
            let rates = Rates { ceiling_up_kbit_s: up, ceiling_down_kbit_s: down, ..Rates::default() };
            let service = Attachment { rates, ..rated(3, 0, 0) };
            let (inside, outside) = (inside(&service), outside(&service, 700));
            assert_eq!((inside.classes.len(), outside.classes.len()), (within, without), "{what}");
            assert_eq!((inside.link.as_str(), outside.link.as_str()), ("eth0", "svc-3"), "{what}");
            assert_eq!((inside.hooked, outside.hooked), (false, true), "{what}");
            assert_eq!((inside.filters.len(), outside.filters.len()), (0, 2), "{what}");
            let measure = [Act::AtMost { packets_s: 700, burst: 70 }];
            assert!(outside.filters.iter().all(|filter| filter.acts == measure), "{what}");
        }
    }
}
