//! Queues: what leaves and comes in by the WAN, in which order and how much; what services' links are promised and allowed.
//!
//! In:  the wanted network, attachments, what the kernel says. Out: changes in the kernel; asked twice, none.
//!
//! Four steps, as everywhere here: `observed.rs` reads, `line.rs` and `links.rs` say what should stand, `change.rs` what has to be
//! changed for it, `message.rs` and `queues.rs` do it. All but the last are pure.
//!
//! Not here: who is in which class (the firewall writes marks, `class.rs`); 802.1p priorities (VLANs' own maps).
//!
//! Source: docs/qos.md; tc-htb(8), tc-fq_codel(8), tc-u32(8), tc-ctinfo(8); linux/pkt_sched.h, linux/pkt_cls.h.

pub mod tree;

pub mod dscp;
pub mod line;
pub mod links;
pub mod slices;

pub mod observed;

pub mod change;

pub mod message;
pub mod queues;

pub mod traffic;
pub mod turn;
