//! What the kernel says of a link's queues.
//!
//! In:  bodies of dumped messages. Out: a `Seen`. Pure.
//!
//! What is not ours (a queue of another kind, a filter that does something else) is seen as [`Kind::Other`], or by its place alone; so it
//! differs from whatever is wanted there.
//!
//! Source: linux/rtnetlink.h (`struct tcmsg`), linux/pkt_sched.h, linux/pkt_cls.h, linux/gen_stats.h.

use super::message::{
    ACT_KIND, ACT_OPTIONS, CTINFO_CPMARK, Cut, FQ_CODEL_FLOWS, FQ_CODEL_LIMIT, FQ_CODEL_MEMORY,
    FQ_CODEL_TARGET, FW_CLASSID, FW_MASK, HTB_INIT, HTB_PARMS, MIRRED_PARMS, POLICE_PKTBURST, POLICE_PKTRATE,
    SKBEDIT_PRIORITY, TCA_KIND, TCA_OPTIONS, U32_ACT, U32_CLASSID, U32_SEL,
};
use super::tree::{Act, Class, Filter, Leaf, Takes, Word};
use crate::bytes::{attribute, attributes, text, u16_at, u32_at};

/// `struct tcmsg`, in bytes.
const TCMSG: usize = 20;
/// Bits of a handle that number a class.
const MINOR: u32 = 0xffff;

/// Queues of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The link's number.
    pub index: u32,
    /// Its queues.
    pub queues: Vec<Queue>,
    /// Classes of its root.
    pub classes: Vec<Shape>,
    /// Filters at its root, on what comes in, on what goes out.
    pub filters: Vec<Filter>,
    /// Packets that those on what goes out have thrown away.
    pub thrown_outward: u64,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its link's number.
    pub link: u32,
    /// Its handle; 0: the kernel's own.
    pub handle: u32,
    /// Where it stands.
    pub parent: u32,
    /// What it is.
    pub kind: Kind,
    /// Packets that found no room.
    pub drops: u32,
    /// What waits, in bytes.
    pub backlog_bytes: u32,
}

/// What a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HTB, and its default class.
    Root(u32),
    /// `clsact`.
    Clsact,
    /// A leaf as we make them.
    Leaf(Leaf),
    /// Anything else.
    Other,
}

/// A class as the kernel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its handle.
    pub handle: u32,
    /// What is above it.
    pub parent: u32,
    /// Rate, ceiling, in bytes a second; their bursts, in ticks; overhead, in bytes.
    pub measures: [u32; 5],
    /// Quantum in bytes, and priority: of classes with nothing below them.
    pub turn: [u32; 2],
    /// What was sent, in bytes.
    pub bytes: u64,
    /// The same in packets.
    pub packets: u64,
}

impl Shape {
    /// Is it as `class` wants it?
    #[must_use]
    pub fn is(&self, class: &Class) -> bool {
        let (rate, ceil) = (class.rate, class.ceil);
        let measures = [rate.0, ceil.0, rate.burst_ticks(), ceil.burst_ticks(), class.overhead.into()];
        let turn = class.leaf.is_none() || self.turn == [class.quantum(), class.prio];
        self.handle == class.handle() && self.measures == measures && turn && !self.is_elsewhere(class)
    }

    /// Is it that class, but below another one? There the kernel leaves it for good.
    #[must_use]
    pub fn is_elsewhere(&self, class: &Class) -> bool {
        self.handle == class.handle() && class.parent != 0 && self.parent != class.above()
    }

    /// Its minor number.
    #[must_use]
    pub fn minor(&self) -> u16 {
        u16::try_from(self.handle & MINOR).unwrap_or(0)
    }
}

fn number(bytes: &[u8], kind: u16) -> Option<u32> {
    attribute(bytes, kind).and_then(|value| u32_at(value, 0))
}

fn number64(bytes: &[u8], kind: u16) -> Option<u64> {
    attribute(bytes, kind).and_then(|value| u64_at(value, 0))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_ne_bytes)
}

/// One queue.
#[must_use]
pub fn queue(body: &[u8]) -> Option<Queue> {
    let attributes = body.get(TCMSG..)?;
    let options = attribute(attributes, TCA_OPTIONS).unwrap_or_default();
    let kind = match attribute(attributes, TCA_KIND).and_then(text)? {
        "htb" => {
            attribute(options, HTB_INIT).and_then(|init| u32_at(init, 8)).map_or(Kind::Other, Kind::Root)
        }
        "clsact" => Kind::Clsact,
        "pfifo" => u32_at(options, 0).map_or(Kind::Other, |limit| Kind::Leaf(Leaf::Row { limit })),
        "fq_codel" => flows(options).map_or(Kind::Other, Kind::Leaf),
        _ => Kind::Other,
    };
    let (drops, backlog_bytes) = waiting(attributes);
    let (link, handle, parent) = (u32_at(body, 4)?, u32_at(body, 8)?, u32_at(body, 12)?);
    Some(Queue { link, handle, parent, kind, drops, backlog_bytes })
}

fn flows(options: &[u8]) -> Option<Leaf> {
    let (limit, flows) = (number(options, FQ_CODEL_LIMIT)?, number(options, FQ_CODEL_FLOWS)?);
    // The kernel counts in 1024 ns, and says 4999 µs of 5000. Source: include/net/codel.h, `CODEL_SHIFT`.
    let target_ms = number(options, FQ_CODEL_TARGET)?.div_ceil(1_000);
    Some(Leaf::Flows { flows, limit, bytes: number(options, FQ_CODEL_MEMORY)?, target_ms })
}

/// Packets that a filter's actions have thrown away: `TCA_ACT_STATS`, which is built like `TCA_STATS2`.
#[must_use]
pub fn thrown(body: &[u8]) -> u32 {
    const ACT_STATS: u16 = 4;
    let options = body.get(TCMSG..).and_then(|attributes| attribute(attributes, TCA_OPTIONS));
    let list = options.and_then(|options| attribute(options, U32_ACT)).unwrap_or_default();
    let one = |act| {
        attribute(act, ACT_STATS).and_then(|stats| attribute(stats, 3)).and_then(|queue| u32_at(queue, 8))
    };
    attributes(list).filter_map(|(_, act)| one(act)).sum()
}

/// `TCA_STATS2`, `TCA_STATS_QUEUE`: length, backlog, drops, and two more.
fn waiting(attributes: &[u8]) -> (u32, u32) {
    let queue = attribute(attributes, TCA_STATS2).and_then(|stats| attribute(stats, 3)).unwrap_or_default();
    (u32_at(queue, 8).unwrap_or(0), u32_at(queue, 4).unwrap_or(0))
}

const TCA_STATS2: u16 = 7;

/// One class of HTB.
#[must_use]
pub fn class(body: &[u8]) -> Option<Shape> {
    let attributes = body.get(TCMSG..)?;
    let parms = attribute(attribute(attributes, TCA_OPTIONS)?, HTB_PARMS)?;
    // `struct tc_htb_opt`: two rates of 12 bytes (overhead at 2, rate at 8), then five numbers.
    let overhead = u16_at(parms, 2)?.into();
    let measures = [u32_at(parms, 8)?, u32_at(parms, 20)?, u32_at(parms, 24)?, u32_at(parms, 28)?, overhead];
    let turn = [u32_at(parms, 32)?, u32_at(parms, 40)?];
    // `struct gnet_stats_basic`: 64 bits, then 32; `TCA_STATS_PKT64` where the latter do not do.
    let stats = attribute(attributes, TCA_STATS2).unwrap_or_default();
    let basic = attribute(stats, 1).unwrap_or_default();
    let packets = number64(stats, 8).or_else(|| u32_at(basic, 8).map(u64::from)).unwrap_or(0);
    let (handle, above) = (u32_at(body, 8)?, u32_at(body, 12)?);
    let bytes = u64_at(basic, 0).unwrap_or(0);
    Some(Shape { handle, parent: above, measures, turn, bytes, packets })
}

/// One filter; `None` for what is only a filter's frame.
#[must_use]
pub fn filter(body: &[u8]) -> Option<Filter> {
    let attributes = body.get(TCMSG..)?;
    let (handle, parent, info) = (u32_at(body, 8)?, u32_at(body, 12)?, u32_at(body, 16)?);
    let options = attribute(attributes, TCA_OPTIONS)?;
    let priority = u16::try_from(info >> 16).ok()?;
    let protocol = u16::from_be(u16::try_from(info & MINOR).ok()?);
    let kind = attribute(attributes, TCA_KIND).and_then(text)?;
    let (takes, class, acts) = match kind {
        "fw" => (Takes::Mark(number(options, FW_MASK)?), number(options, FW_CLASSID), Vec::new()),
        "u32" => {
            let words = words(attribute(options, U32_SEL)?);
            (Takes::Words(words), number(options, U32_CLASSID), acts(options))
        }
        _ => (Takes::Words(Vec::new()), None, Vec::new()),
    };
    let class = u16::try_from(class.unwrap_or(0) & MINOR).unwrap_or(0);
    Some(Filter { parent, priority, protocol, handle, takes, class, acts })
}

/// `struct tc_u32_sel`: its head has 16 bytes, each key as many.
fn words(selector: &[u8]) -> Vec<Word> {
    let be = |bytes: &[u8], at: usize| u32_at(bytes, at).map(u32::from_be);
    let keys = selector.get(16..).unwrap_or_default().chunks_exact(16);
    let word = |key: &[u8]| Some(Word { mask: be(key, 0)?, value: be(key, 4)?, at: u32_at(key, 8)? });
    keys.filter_map(word).filter(|word| word.mask != 0).collect()
}

/// The largest segment that a link takes, in bytes: behind `struct ifinfomsg`.
#[must_use]
pub fn segments(body: &[u8], cut: Cut) -> Option<u32> {
    number(body.get(16..)?, cut.attribute())
}

fn acts(options: &[u8]) -> Vec<Act> {
    let list = attribute(options, U32_ACT).unwrap_or_default();
    attributes(list).filter_map(|(_, act)| one_act(act)).collect()
}

fn one_act(act: &[u8]) -> Option<Act> {
    let options = attribute(act, ACT_OPTIONS)?;
    match attribute(act, ACT_KIND).and_then(text)? {
        "skbedit" => {
            let priority = number(options, SKBEDIT_PRIORITY)?;
            Some(Act::Class(u16::try_from(priority & MINOR).ok()?))
        }
        "ctinfo" => number(options, CTINFO_CPMARK).map(Act::Recall),
        "mirred" => attribute(options, MIRRED_PARMS).and_then(|parms| u32_at(parms, 24)).map(Act::Redirect),
        "police" => {
            let packets_s = u32::try_from(number64(options, POLICE_PKTRATE)?).ok()?;
            let ticks = number64(options, POLICE_PKTBURST)?;
            // Back from time to packets, and rounded: 64 ns a tick.
            let burst = ticks.saturating_mul(64).saturating_mul(packets_s.into()).saturating_add(500_000_000);
            Some(Act::AtMost { packets_s, burst: u32::try_from(burst / 1_000_000_000).ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
