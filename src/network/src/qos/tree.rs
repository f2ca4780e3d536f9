//! Queues of one link as plain data: classes, leaves, filters.
//!
//! In:  rates. Out: a `Tree`. Pure.
//!
//! Numbers are the kernel's own: a handle is a major and a minor number of 16 bits; our root is always `1:`, a class is `1:minor`;
//! leaves have those that the kernel gives.
//!
//! Source: tc(8), tc-htb(8); linux/pkt_sched.h.

/// Our queues on a link begin here: `1:`.
pub const ROOT: u32 = 0x1_0000;
/// The place of a link's own queue. Source: linux/pkt_sched.h, `TC_H_ROOT`.
pub const AT_ROOT: u32 = 0xffff_ffff;
/// The place of `clsact`, and its handle. Source: linux/pkt_sched.h, `TC_H_CLSACT`.
pub const AT_CLSACT: u32 = 0xffff_fff1;
/// `ffff:`.
pub const CLSACT: u32 = 0xffff_0000;
/// The place of filters on what comes in. Source: linux/pkt_sched.h, `TC_H_MIN_INGRESS`.
pub const INGRESS: u32 = 0xffff_fff2;
/// The place of filters on what goes out, before it waits. Source: linux/pkt_sched.h, `TC_H_MIN_EGRESS`.
pub const EGRESS: u32 = 0xffff_fff3;

/// The lowest rate that the queues keep: nothing is no rate, and a class without a promise must have one. In kbit/s.
pub const KBIT_S_MIN: u32 = 8;
/// The highest: what `contract::wanted` allows of a line. In kbit/s.
pub const KBIT_S_MAX: u32 = 10_000_000;
/// Bytes a second in one kbit/s.
const BYTES_S: u32 = 125;
/// Classes above each other, at most. Source: linux/pkt_sched.h, `TC_HTB_MAXDEPTH`.
pub const DEPTH_MAX: usize = 8;
/// A frame of a full packet with its header, VLAN and PPPoE, in bytes.
const FRAME_BYTES: u32 = 1_526;
/// A burst is what a class sends in so long at its rate. It is what may be made good after a timer that came late, so a class whose bursts are
/// shorter than timers are late does not get its rate; a longer one is jitter of others, once, after a pause. In milliseconds.
const BURST_MS: u32 = 5;
/// Bytes that a class may send in its turn when several share what is left. Source: net/sched/sch_htb.c warns outside of these.
const QUANTUM: (u32, u32) = (FRAME_BYTES, 60_000);
/// A tick of the kernel's bursts, in nanoseconds. Source: include/net/pkt_sched.h, `PSCHED_SHIFT` 6.
const TICK_NS: u64 = 64;

// No rate needs the attribute for more than 32 bits (`TCA_HTB_RATE64`).
const _: () = assert!(KBIT_S_MAX as u64 * BYTES_S as u64 <= u32::MAX as u64);

/// A rate, in bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(pub u32);

impl Rate {
    /// This rate, in kbit/s; what is beyond the limits is at them.
    #[must_use]
    pub fn kbit_s(kbit_s: u32) -> Self {
        Self(kbit_s.clamp(KBIT_S_MIN, KBIT_S_MAX) * BYTES_S)
    }

    /// The same, in kbit/s.
    #[must_use]
    pub fn in_kbit_s(self) -> u32 {
        self.0 / BYTES_S
    }

    /// How long one burst takes, in the kernel's ticks.
    #[must_use]
    pub fn burst_ticks(self) -> u32 {
        let bytes = (self.0 / 1_000).saturating_mul(BURST_MS).max(FRAME_BYTES);
        let ns = u64::from(bytes) * 1_000_000_000 / u64::from(self.0.max(1));
        u32::try_from(ns / TICK_NS).unwrap_or(u32::MAX)
    }

    fn quantum(self) -> u32 {
        (self.0 / 1_000).clamp(QUANTUM.0, QUANTUM.1)
    }
}

/// A class of HTB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Its number: `1:minor`.
    pub minor: u16,
    /// The class above it; 0: none, it stands below the root.
    pub parent: u16,
    /// What it is promised.
    pub rate: Rate,
    /// The most that it gets.
    pub ceil: Rate,
    /// Who goes first; 0 before 7.
    pub prio: u32,
    /// What each frame takes beside itself, in bytes.
    pub overhead: u16,
    /// Where its packets wait; `None`: it has classes below it.
    pub leaf: Option<Leaf>,
}

impl Class {
    /// Its handle.
    #[must_use]
    pub fn handle(&self) -> u32 {
        ROOT | u32::from(self.minor)
    }

    /// The handle of what is above it.
    #[must_use]
    pub fn above(&self) -> u32 {
        ROOT | u32::from(self.parent)
    }

    /// What it may send in its turn when several share what is left, in bytes.
    #[must_use]
    pub fn quantum(&self) -> u32 {
        self.rate.quantum()
    }
}

/// Where packets wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// In one row, so many of them: for voice, whose packets none must overtake or drop early.
    Row {
        /// Packets.
        limit: u32,
    },
    /// By flow, each with its turn and none for long (`fq_codel`, RFC 8290).
    Flows {
        /// How many rows there are.
        flows: u32,
        /// Packets in all.
        limit: u32,
        /// Bytes in all.
        bytes: u32,
        /// How long packets of a flow may wait before its sender is told by a loss to go slower, in milliseconds.
        target_ms: u32,
    },
}

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Where it stands: [`ROOT`], [`INGRESS`] or [`EGRESS`].
    pub parent: u32,
    /// Its place among others: 1 is asked before 2.
    pub priority: u16,
    /// The protocol of packets that it looks at, as in an Ethernet header.
    pub protocol: u16,
    /// Its number; 0: the kernel gives one.
    pub handle: u32,
    /// Which packets it takes.
    pub takes: Takes,
    /// The class that they go to, as a minor number; 0: none.
    pub class: u16,
    /// What is done with them.
    pub acts: Vec<Act>,
}

impl Filter {
    /// Does it stand at `clsact`?
    #[must_use]
    pub fn is_at_clsact(&self) -> bool {
        [INGRESS, EGRESS].contains(&self.parent)
    }
}

/// Every protocol. Source: linux/if_ether.h, `ETH_P_ALL`.
pub const ALL: u16 = 3;
/// IPv4 and IPv6. Source: linux/if_ether.h.
pub const IP: [u16; 2] = [0x0800, 0x86dd];

/// Which packets a filter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// Those with the mark that is the filter's number, under this mask.
    Mark(u32),
    /// Those with these words behind the link's header; with none, all.
    Words(Vec<Word>),
}

/// A word of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Where, in bytes behind the link's header.
    pub at: u32,
    /// The bits that are looked at.
    pub mask: u32,
    /// What they are.
    pub value: u32,
}

/// What is done with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It gets the priority that names this class, as a minor number: a root of ours that it comes to asks no filter then.
    Class(u16),
    /// It gets its connection's mark, under this mask.
    Recall(u32),
    /// It goes out by the link with this number.
    Redirect(u32),
    /// It passes while there are no more than so many a second, and so many at once.
    AtMost {
        /// Packets a second.
        packets_s: u32,
        /// Packets at once.
        burst: u32,
    },
}

impl Act {
    /// How long a burst of so many packets takes at that measure, in the kernel's ticks.
    #[must_use]
    pub fn burst_ticks(packets_s: u32, burst: u32) -> u64 {
        u64::from(burst) * 1_000_000_000 / u64::from(packets_s.max(1)) / TICK_NS
    }
}

/// Queues of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The link.
    pub link: String,
    /// What packets without a class go to, as a minor number; 0: there are no classes, the kernel's own queue stands.
    pub default: u16,
    /// Classes, those above before those below.
    pub classes: Vec<Class>,
    /// There is a place for filters on what comes in and goes out.
    pub hooked: bool,
    /// Filters: at the root, on what comes in, on what goes out.
    pub filters: Vec<Filter>,
}

#[cfg(test)]
mod tests {
    use super::{Act, Rate};

    #[test]
    fn rates_and_bursts_are_those_of_tc() {
        // kbit/s, bytes a second, burst in ticks: of `tc class add … rate R burst max(R · 5 ms, 1526)`
        let table = [
            ("nothing is the least", 0, 1_000, 23_843_750),
            ("a call", 100, 12_500, 1_907_500),
            ("20 Mbit/s: five milliseconds", 20_000, 2_500_000, 78_125),
            ("10 Gbit/s", 10_000_000, 1_250_000_000, 78_125),
            ("more is the most", u32::MAX, 1_250_000_000, 78_125),
        ];
        for (what, kbit_s, bytes_s, ticks) in table {
            let rate = Rate::kbit_s(kbit_s);
            assert_eq!((rate.0, rate.burst_ticks()), (bytes_s, ticks), "{what}");
        }
        assert_eq!(Rate::kbit_s(1_234).in_kbit_s(), 1_234);
        assert_eq!(Act::burst_ticks(20_000, 2_000), 1_562_500, "a tenth of a second");
    }
}
