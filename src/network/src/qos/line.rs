//! The queues of the line: what leaves by the WAN link, and what comes in by it.
//!
//! In:  the wanted network, attachments. Out: a `Tree` for the WAN link, one for [`IFB`], and filters on the plays' links. Pure.
//!
//! ```text
//! 1: ─ 1:1 line ─┬ 1:10  voice     strict, bounded
//!                ├ 1:20  TV        guaranteed
//!                ├ 1:30  Internet  the rest; all that is nobody else's
//!                └ 1:40  services  guaranteed together ─┬ 1:100 slot 0   floor, ceiling
//!                                                       └ 1:1a2b a slice with a ceiling ─┬ 1:101 slot 1 …
//! ```
//!
//! What comes in can only be delayed by us who stand behind the line: so it goes through a link of its own, [`IFB`], a little below the
//! line's rate, so that its queue is here and not at the operator's. There it is as the operator sent it: before NAT is undone. The class
//! of a connection is fetched from its mark; a play that has a link of its own needs none.
//!
//! Source: tc-htb(8); RFC 4594; docs/qos.md.

use contract::Name;
use contract::attach::Rates;
use contract::wanted::{Access, Qos, WanIpv4, Wanted};

use super::dscp;
use super::slices;
use super::tree::{Act, Class, Filter, INGRESS, IP, Leaf, ROOT, Rate, Takes, Tree};
use crate::class::{self, Class as Kind};
use crate::target::Attachment;

/// Through this link goes what comes in by the WAN.
pub const IFB: &str = "ifb-wan";

/// The line.
pub const LINE: u16 = 0x1;
/// Voice.
pub const VOICE: u16 = 0x10;
/// TV.
pub const TV: u16 = 0x20;
/// The Internet play, and all that is nobody else's.
pub const INTERNET: u16 = 0x30;
/// All hosted services.
pub const SERVICES: u16 = 0x40;
/// The service in slot 0; those of the others follow, and then slices' (`slices.rs`).
pub const SLOTS: u16 = 0x100;

/// We stay below what the line carries, so that no queue builds up in the modem, in percent: out, where nothing comes but from us; and in,
/// where what is under way is on the line already, in bursts of many senders.
const PERCENT: (u64, u64) = (98, 90);
/// What a frame had before PPP took it out, in bytes: Ethernet's header, PPPoE's, PPP's. Source: RFC 2516 §4.
const PPPOE_BYTES: u16 = 14 + 6 + 2;

/// Voice waits in one row: 64 packets are a second of one call.
const VOICE_LEAF: Leaf = Leaf::Row { limit: 64 };
/// TV as well: what is within its guarantee does not wait, and a stream has bursts.
const TV_LEAF: Leaf = Leaf::Row { limit: 512 };
/// How long a flow's packets may wait, in milliseconds: on the way out as RFC 8290 §5.2.1 has it. On the way in the operator's queue
/// stands before ours, and it is the first to fill: a flow that loses packets here as soon as they wait keeps on asking for a little more
/// than we pass, and what is too much waits there, with voice behind it. Many flows of short ways need a tenth of a second in which to
/// find their rate; that has to be here, where each flow waits behind itself alone.
const TARGET_MS: (u32, u32) = (5, 120);
/// A service's own flows: 9 KiB for the rows.
pub const SERVICE_LEAF: Leaf =
    Leaf::Flows { flows: 128, limit: 1_024, bytes: 1 << 20, target_ms: TARGET_MS.0 };

/// Where filters stand: marks before codepoints.
const BY_MARK: u16 = 1;
const BY_CODEPOINT: u16 = 2;

/// One direction of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the operator.
    Up,
    /// From him.
    Down,
}

impl Way {
    /// What is promised that way, in kbit/s.
    #[must_use]
    pub fn floor(self, rates: &Rates) -> u32 {
        match self {
            Self::Up => rates.floor_up_kbit_s,
            Self::Down => rates.floor_down_kbit_s,
        }
    }

    /// The most that is allowed that way, in kbit/s; 0: all.
    #[must_use]
    pub fn ceiling(self, rates: &Rates) -> u32 {
        match self {
            Self::Up => rates.ceiling_up_kbit_s,
            Self::Down => rates.ceiling_down_kbit_s,
        }
    }
}

/// A class's number that a service's is.
#[must_use]
pub fn minor_of(slot: u8) -> u16 {
    SLOTS + u16::from(slot)
}

/// The queues of the line: the WAN link's, [`IFB`]'s, and filters on the links that plays come in by. `ifb` is the number of [`IFB`],
/// once it is there. Where no queues are wanted, none of these links has any.
#[must_use]
pub fn trees(wanted: &Wanted, attachments: &[Attachment], ifb: Option<u32>) -> Vec<Tree> {
    let wan = wanted.wan.link.to_string();
    let Some(qos) = &wanted.qos else {
        let mut links: Vec<String> =
            [wan].into_iter().chain(sources(wanted).into_iter().map(|(link, _)| link)).collect();
        links.dedup(); // The first play's link may be the WAN's own.
        return links.into_iter().map(|link| Tree { link, ..Tree::default() }).collect();
    };
    let mut trees = vec![
        tree(IFB.to_owned(), Way::Down, wanted, qos, attachments),
        tree(wan, Way::Up, wanted, qos, attachments),
    ];
    for (link, act) in ifb.map(|_| sources(wanted)).unwrap_or_default() {
        let acts: Vec<Act> = [act].into_iter().chain(ifb.map(Act::Redirect)).collect();
        // One place holds filters of one protocol only.
        let filters: Vec<Filter> =
            (1..).zip(IP).map(|(place, protocol)| inward(place, protocol, &acts)).collect();
        match trees.iter_mut().find(|tree| tree.link == link) {
            Some(tree) if tree.hooked => {} // Two plays on one link: by connection.
            Some(tree) => {
                tree.hooked = true;
                tree.filters.extend(filters);
            }
            None => trees.push(Tree { link, hooked: true, filters, ..Tree::default() }),
        }
    }
    trees
}

fn inward(priority: u16, protocol: u16, acts: &[Act]) -> Filter {
    let takes = Takes::Words(Vec::new());
    Filter { parent: INGRESS, priority, protocol, handle: 0, takes, class: 0, acts: acts.to_vec() }
}

/// Links that plays come in by, the Internet's first, and how packets get their class there.
fn sources(wanted: &Wanted) -> Vec<(String, Act)> {
    let by_connection = Act::Recall(class::MASK);
    let plays = wanted.voice.iter().map(|voice| (&voice.access, Act::Class(VOICE)));
    let plays = plays.chain(wanted.tv.iter().map(|tv| (&tv.access, Act::Class(TV))));
    let plays = plays.filter(|(access, _)| is_apart(wanted, access));
    let plays = plays.map(|(access, act)| (wanted.frame_link(access).to_string(), act));
    [(wanted.address_link(&wanted.internet).to_string(), by_connection)].into_iter().chain(plays).collect()
}

/// Has the play a link of its own?
fn is_apart(wanted: &Wanted, access: &Access) -> bool {
    access.vlan != wanted.internet.vlan
}

fn tree(link: String, way: Way, wanted: &Wanted, qos: &Qos, attachments: &[Attachment]) -> Tree {
    let (line, tv, overhead) = match way {
        Way::Up => (below(qos.up_kbit_s, PERCENT.0), 0, 0),
        Way::Down => (below(qos.down_kbit_s, PERCENT.1), qos.tv_kbit_s, lost_header(wanted)),
    };
    let overhead = overhead + u16::from(qos.overhead_bytes);
    let rest = line.saturating_sub(qos.voice_kbit_s).saturating_sub(tv).saturating_sub(qos.services_kbit_s);
    let tv_apart = wanted.tv.as_ref().is_some_and(|tv| is_apart(wanted, &tv.access));
    let tv_ceil = if tv_apart || tv == 0 { line } else { tv };
    let class = |minor, rate, ceil, prio, leaf| {
        let parent = if minor == LINE { 0 } else { LINE };
        Class { minor, parent, rate: Rate::kbit_s(rate), ceil: Rate::kbit_s(ceil), prio, overhead, leaf }
    };
    let mut classes = vec![
        class(LINE, line, line, 0, None),
        class(VOICE, qos.voice_kbit_s, qos.voice_kbit_s, 0, Some(VOICE_LEAF)),
        class(TV, tv, tv_ceil, 1, Some(TV_LEAF)),
        class(INTERNET, rest, line, 2, Some(leaf(way, 1_024, 4 << 20))),
        class(SERVICES, qos.services_kbit_s, line, 2, None),
    ];
    let ceil = |ceiling: u32, floor: u32| match ceiling {
        0 => line,
        ceiling => ceiling.clamp(floor.max(1), line),
    };
    let floors = fit(attachments.iter().map(|one| way.floor(&one.rates)).collect(), qos.services_kbit_s);
    let shares = slices::shares(way, qos.services_kbit_s, (attachments, &floors));
    classes.extend(shares.iter().map(|share| {
        let class = class(share.minor, share.floor, ceil(share.ceiling, share.floor), 2, None);
        Class { parent: SERVICES, ..class }
    }));
    classes.extend(attachments.iter().zip(floors).map(|(service, floor)| {
        let ceil = ceil(way.ceiling(&service.rates), floor);
        let class = class(minor_of(service.slot), floor, ceil, 2, Some(leaf(way, 128, 1 << 20)));
        let share = shares.iter().find(|share| *share.slice == service.slice);
        Class { parent: share.map_or(SERVICES, |share| share.minor), ..class }
    }));
    let filters = marks(attachments).chain(codepoints(wanted, tv)).collect();
    Tree { link, default: INTERNET, classes, hooked: false, filters }
}

/// Where flows wait: so many rows, eight packets for each, so many bytes in all.
fn leaf(way: Way, flows: u32, bytes: u32) -> Leaf {
    let target_ms = match way {
        Way::Up => TARGET_MS.0,
        Way::Down => TARGET_MS.1,
    };
    Leaf::Flows { flows, limit: flows * 8, bytes, target_ms }
}

fn below(kbit_s: u32, percent: u64) -> u32 {
    u32::try_from(u64::from(kbit_s) * percent / 100).unwrap_or(u32::MAX)
}

/// What of each frame is gone when we see it come in.
fn lost_header(wanted: &Wanted) -> u16 {
    match wanted.internet.ipv4 {
        WanIpv4::Pppoe => PPPOE_BYTES,
        WanIpv4::Dhcp | WanIpv4::Static | WanIpv4::None => 0,
    }
}

/// What was promised, in kbit/s. Should it not fit (a smaller line was asked for since), each gives its part.
#[must_use]
pub fn fit(mut floors: Vec<u32>, all_kbit_s: u32) -> Vec<u32> {
    let sum: u64 = floors.iter().copied().map(u64::from).sum();
    if sum > u64::from(all_kbit_s) {
        let part = |floor: u32| u64::from(floor) * u64::from(all_kbit_s) / sum;
        floors.iter_mut().for_each(|floor| *floor = u32::try_from(part(*floor)).unwrap_or(*floor));
    }
    floors
}

/// Filters that send what the firewall has marked to its class.
fn marks(attachments: &[Attachment]) -> impl Iterator<Item = Filter> {
    let services = attachments.iter().map(|service| (Kind::Service(service.slot), minor_of(service.slot)));
    [(Kind::Voice, VOICE), (Kind::Tv, TV)].into_iter().chain(services).map(|(kind, class)| Filter {
        parent: ROOT,
        priority: BY_MARK,
        protocol: super::tree::ALL,
        handle: kind.mark(),
        takes: Takes::Mark(class::MASK),
        class,
        acts: Vec::new(),
    })
}

/// Filters for what bears a codepoint and no mark: for plays that have no link of their own.
fn codepoints(wanted: &Wanted, tv_kbit_s: u32) -> Vec<Filter> {
    let voice = wanted.voice.as_ref().is_none_or(|voice| !is_apart(wanted, &voice.access));
    let tv = wanted.tv.as_ref().is_none_or(|tv| !is_apart(wanted, &tv.access)) && tv_kbit_s > 0;
    dscp::filters(BY_CODEPOINT, voice.then_some(VOICE), tv.then_some(TV))
}

/// Can what this slice is allowed of the line be kept? In words why not.
///
/// # Errors
/// What is missing.
pub fn can_share(wanted: &Wanted, slice: &Name, rates: &Rates) -> Result<(), String> {
    if wanted.qos.is_none() && [Way::Up, Way::Down].iter().any(|way| way.ceiling(rates) != 0) {
        return Err(format!("slice {slice}: a ceiling of the line, whose rate is not known ([qos])"));
    }
    Ok(())
}

/// May the service have these floors beside the others? In words why not.
///
/// # Errors
/// What is missing.
pub fn admit(wanted: &Wanted, others: &[Attachment], asked: &Attachment) -> Result<(), String> {
    can_share(wanted, &asked.slice, &asked.slice_rates)?;
    for (way, words) in [(Way::Up, "up"), (Way::Down, "down")] {
        let floor = way.floor(&asked.rates);
        let all = wanted.qos.as_ref().map_or(0, |qos| qos.services_kbit_s);
        let others = others.iter().filter(|other| other.service != asked.service && other.slot != asked.slot);
        let taken: u64 = others.map(|other| u64::from(way.floor(&other.rates))).sum();
        if floor > 0 && taken + u64::from(floor) > u64::from(all) {
            let left = u64::from(all).saturating_sub(taken);
            return Err(format!(
                "{}: floor {words}: {floor} kbit/s of {left} that are left for services",
                asked.service
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
