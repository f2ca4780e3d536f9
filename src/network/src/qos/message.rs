//! Queues, classes, filters and actions as netlink bytes.
//!
//! In:  plain data. Out: bodies of `RTM_*QDISC`, `RTM_*TCLASS`, `RTM_*TFILTER` messages. Pure.
//!
//! Every structure here is made of numbers of at most 32 bits, so it is the same on 32 and 64 bits. The two attributes of 64 bits (packets
//! a second) are values by themselves, without alignment.
//!
//! Not here: reading them (`observed.rs`).
//!
//! Source: linux/rtnetlink.h (`struct tcmsg`), linux/pkt_sched.h, linux/pkt_cls.h, linux/tc_act/*.h.

use super::tree::{AT_CLSACT, AT_ROOT, Act, CLSACT, Class, Filter, Leaf, ROOT, Rate, Takes, Word};
use crate::bytes::Writer;

pub(super) const TCA_KIND: u16 = 1;
pub(super) const TCA_OPTIONS: u16 = 2;
pub(super) const HTB_PARMS: u16 = 1;
pub(super) const HTB_INIT: u16 = 2;
pub(super) const FW_CLASSID: u16 = 1;
pub(super) const FW_MASK: u16 = 5;
pub(super) const U32_CLASSID: u16 = 1;
pub(super) const U32_SEL: u16 = 5;
pub(super) const U32_ACT: u16 = 7;
pub(super) const ACT_KIND: u16 = 1;
pub(super) const ACT_OPTIONS: u16 = 2;
pub(super) const MIRRED_PARMS: u16 = 2;
pub(super) const SKBEDIT_PARMS: u16 = 2;
pub(super) const SKBEDIT_PRIORITY: u16 = 3;
pub(super) const CTINFO_ACT: u16 = 3;
pub(super) const CTINFO_CPMARK: u16 = 7;
pub(super) const POLICE_TBF: u16 = 1;
pub(super) const POLICE_PKTRATE: u16 = 10;
pub(super) const POLICE_PKTBURST: u16 = 11;
pub(super) const FQ_CODEL_TARGET: u16 = 1;
pub(super) const FQ_CODEL_LIMIT: u16 = 2;
pub(super) const FQ_CODEL_FLOWS: u16 = 5;
pub(super) const FQ_CODEL_MEMORY: u16 = 9;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GRO_MAX_SIZE: u16 = 58;

/// HTB's own version, and what a class without a quantum would get of its rate.
const HTB_VERSION: u32 = 3;
const HTB_RATE2QUANTUM: u32 = 10;
/// `TC_LINKLAYER_ETHERNET`; without it the kernel wants a table of times for each rate.
const ETHERNET: u8 = 1;
/// What becomes of a packet behind an action: the next one, nothing more, it is thrown away.
const PIPE: u32 = 3;
const STOLEN: u32 = 4;
const SHOT: u32 = 2;
/// `TCA_EGRESS_REDIR`.
const REDIRECT: u32 = 1;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `struct tcmsg`.
#[must_use]
pub fn head(link: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    words(&[0, link, handle, parent, info]) // The family is unspecified.
}

fn whole(head: Vec<u8>, kind: &str, options: &[u8]) -> Vec<u8> {
    let attributes = Writer::default().put_text(TCA_KIND, kind).put(TCA_OPTIONS, options);
    [head, attributes.end()].concat()
}

/// Our root on a link.
#[must_use]
pub fn root(link: u32, default: u16) -> Vec<u8> {
    let init = words(&[HTB_VERSION, HTB_RATE2QUANTUM, default.into(), 0, 0]);
    whole(head(link, ROOT, AT_ROOT, 0), "htb", &Writer::default().put(HTB_INIT, &init).end())
}

/// The place for filters on what comes in.
#[must_use]
pub fn clsact(link: u32) -> Vec<u8> {
    whole(head(link, CLSACT, AT_CLSACT, 0), "clsact", &[])
}

/// The kernel's word for a leaf.
#[must_use]
pub fn leaf_kind(leaf: &Leaf) -> &'static str {
    match leaf {
        Leaf::Row { .. } => "pfifo",
        Leaf::Flows { .. } => "fq_codel",
    }
}

/// Where packets of a class wait.
#[must_use]
pub fn leaf(link: u32, class: &Class, leaf: &Leaf) -> Vec<u8> {
    let put = |writer: Writer, (kind, value): (u16, u32)| writer.put(kind, &value.to_ne_bytes());
    let options = match leaf {
        Leaf::Row { limit } => words(&[*limit]),
        Leaf::Flows { flows, limit, bytes, target_ms } => {
            let target_us = target_ms.saturating_mul(1_000);
            let (limit, flows) = ((FQ_CODEL_LIMIT, *limit), (FQ_CODEL_FLOWS, *flows));
            [(FQ_CODEL_TARGET, target_us), limit, flows, (FQ_CODEL_MEMORY, *bytes)]
                .into_iter()
                .fold(Writer::default(), put)
                .end()
        }
    };
    whole(head(link, 0, class.handle(), 0), leaf_kind(leaf), &options)
}

/// `struct tc_ratespec`: cell, link layer, overhead, alignment, smallest packet, rate.
fn ratespec(rate: Rate, overhead: u16) -> Vec<u8> {
    let mut bytes = vec![0, ETHERNET];
    bytes.extend(overhead.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(rate.0.to_ne_bytes());
    bytes
}

/// A class: `struct tc_htb_opt`.
#[must_use]
pub fn class(link: u32, class: &Class) -> Vec<u8> {
    let (rate, ceil) = (ratespec(class.rate, class.overhead), ratespec(class.ceil, class.overhead));
    let level = 0;
    let rest =
        words(&[class.rate.burst_ticks(), class.ceil.burst_ticks(), class.quantum(), level, class.prio]);
    let options = Writer::default().put(HTB_PARMS, &[rate, ceil, rest].concat());
    whole(head(link, class.handle(), class.above(), 0), "htb", &options.end())
}

/// A filter's place: priority and protocol (in network order).
#[must_use]
pub fn place(priority: u16, protocol: u16) -> u32 {
    u32::from(priority) << 16 | u32::from(protocol.to_be())
}

/// A filter.
#[must_use]
pub fn filter(link: u32, filter: &Filter) -> Vec<u8> {
    let head = head(link, filter.handle, filter.parent, place(filter.priority, filter.protocol));
    let class = (ROOT | u32::from(filter.class)).to_ne_bytes();
    match &filter.takes {
        Takes::Mark(mask) => {
            let options = Writer::default().put(FW_CLASSID, &class).put(FW_MASK, &mask.to_ne_bytes());
            whole(head, "fw", &options.end())
        }
        Takes::Words(words) => {
            let options = if filter.class == 0 {
                Writer::default()
            } else {
                Writer::default().put(U32_CLASSID, &class)
            };
            let options = options.put(U32_SEL, &selector(words));
            let acts = (1..).zip(&filter.acts).fold(Writer::default(), |acts, (order, act)| {
                acts.nest(
                    order,
                    Writer::default().put_text(ACT_KIND, act_kind(act)).nest(ACT_OPTIONS, options_of(act)),
                )
            });
            let options = if filter.acts.is_empty() { options } else { options.nest(U32_ACT, acts) };
            whole(head, "u32", &options.end())
        }
    }
}

/// `struct tc_u32_sel` and its keys; a key that looks at no bit takes all.
fn selector(asked: &[Word]) -> Vec<u8> {
    const TERMINAL: u8 = 1;
    const ALL: [Word; 1] = [Word { at: 0, mask: 0, value: 0 }];
    let keys = if asked.is_empty() { &ALL } else { asked };
    let mut bytes = vec![TERMINAL, 0, u8::try_from(keys.len()).unwrap_or(0)];
    bytes.resize(16, 0);
    for word in keys {
        bytes.extend(word.mask.to_be_bytes());
        bytes.extend(word.value.to_be_bytes());
        bytes.extend(word.at.to_ne_bytes());
        bytes.extend([0; 4]);
    }
    bytes
}

/// The kernel's word for an action.
#[must_use]
pub fn act_kind(act: &Act) -> &'static str {
    match act {
        Act::Class(_) => "skbedit",
        Act::Recall(_) => "ctinfo",
        Act::Redirect(_) => "mirred",
        Act::AtMost { .. } => "police",
    }
}

fn options_of(act: &Act) -> Writer {
    let common = |action: u32| words(&[0, 0, action, 0, 0]); // number, capabilities, what follows, and two counts
    match act {
        Act::Class(minor) => {
            let priority = (ROOT | u32::from(*minor)).to_ne_bytes();
            Writer::default().put(SKBEDIT_PARMS, &common(PIPE)).put(SKBEDIT_PRIORITY, &priority)
        }
        Act::Recall(mask) => {
            Writer::default().put(CTINFO_ACT, &common(PIPE)).put(CTINFO_CPMARK, &mask.to_ne_bytes())
        }
        Act::Redirect(link) => {
            let parameters = [common(STOLEN), words(&[REDIRECT, *link])].concat();
            Writer::default().put(MIRRED_PARMS, &parameters)
        }
        Act::AtMost { packets_s, burst } => {
            // `struct tc_police`: number, action, limit, burst, largest packet, two rates (none), two counts, capabilities.
            let police = [words(&[0, SHOT, 0, 0, 0]), vec![0; 24], words(&[0, 0, 0])].concat();
            Writer::default()
                .put(POLICE_TBF, &police)
                .put(POLICE_PKTRATE, &u64::from(*packets_s).to_ne_bytes())
                .put(POLICE_PKTBURST, &Act::burst_ticks(*packets_s, *burst).to_ne_bytes())
        }
    }
}

/// A link of the kind `ifb`, up. Source: linux/if_link.h.
#[must_use]
pub fn ifb(name: &str) -> Vec<u8> {
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const INFO_KIND: u16 = 1;
    const UP: u32 = 1;
    let attributes = Writer::default()
        .put_text(IFLA_IFNAME, name)
        .nest(IFLA_LINKINFO, Writer::default().put_text(INFO_KIND, "ifb"));
    [words(&[0, 0, UP, UP]), attributes.end()].concat() // `struct ifinfomsg`
}

/// Where a link's segments are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What it sends.
    Sent,
    /// What the kernel puts together of what it received.
    Received,
}

impl Cut {
    /// Its attribute. Source: linux/if_link.h.
    #[must_use]
    pub fn attribute(self) -> u16 {
        match self {
            Self::Sent => IFLA_GSO_MAX_SIZE,
            Self::Received => IFLA_GRO_MAX_SIZE,
        }
    }
}

/// A link's largest segment, in bytes; `None`: only which link it is.
#[must_use]
pub fn segments(link: u32, bytes: Option<(Cut, u32)>) -> Vec<u8> {
    let put = |(cut, bytes): (Cut, u32)| Writer::default().put(cut.attribute(), &bytes.to_ne_bytes()).end();
    [words(&[0, link, 0, 0]), bytes.map(put).unwrap_or_default()].concat()
}

#[cfg(test)]
mod tests;
