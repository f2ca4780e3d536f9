//! A table of the firewall, whole: its chains and rules, as one batch that replaces what was there; and whether a kernel has it.
//!
//! In:  sets, chains, rules. Out: netlink messages. In: what the kernel lists. Out: does it say the same? Pure.
//!
//! A batch is one transaction: no packet ever meets half of it. It takes away our own table only; others' tables stay. Where only
//! elements of sets differ, only they are changed.
//!
//! Not here: sockets (`filter.rs`), which rules there are (`firewall.rs`).
//!
//! Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h; nft(8).

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::{self, ELEMENT, Writer, agrees, attribute, text};
use crate::expression::Rule;
use crate::set::{self, Element, Set};
use crate::socket::{ACK, APPEND, CREATE, REQUEST};

/// The name of our table.
pub const TABLE: &str = "shg";
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// The largest `struct nfgenmsg`.
const HEADER: usize = 4;

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const NEWSET: u16 = 9;
const GETSET: u16 = 10;
const NEWELEMENT: u16 = 12;
const GETELEMENT: u16 = 13;
const DELELEMENT: u16 = 14;
const GETGEN: u16 = 16;
const NEWFLOWTABLE: u16 = 22;
const GETFLOWTABLE: u16 = 23;

/// Elements in one message: an attribute holds 64 KiB, an element here less than 100 bytes.
const ELEMENTS: usize = 512;

/// What a table looks at: there is one of ours of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Packets of IPv4 and IPv6.
    #[default]
    Packets,
    /// Frames that come by a bridge's ports.
    Frames,
}

/// Where a chain meets packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// All that comes in.
    Prerouting,
    /// What is for us.
    Input,
    /// What passes through.
    Forward,
    /// What the gateway itself sends.
    Output,
    /// All that goes out.
    Postrouting,
}

/// Where and how a chain meets packets by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Base {
    /// Where it meets them.
    pub hook: Hook,
    /// It translates addresses (type `nat`); else it filters.
    pub translates: bool,
    /// Its place among others at the same hook.
    pub priority: i32,
    /// What no rule names is let through; else it is thrown away.
    pub accepts: bool,
}

/// A chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// `None`: it meets what another chain sends there.
    pub base: Option<Base>,
}

/// Where connections are that take the short way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flowtable {
    /// Its name.
    pub name: &'static str,
    /// The links on which their packets come in.
    pub links: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Table {
    /// What it looks at.
    pub family: Family,
    /// Its sets and maps.
    pub sets: Vec<Set>,
    /// Its flowtable.
    pub flowtable: Option<Flowtable>,
    /// Its chains; one that is sent to stands before those that send there.
    pub chains: Vec<Chain>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// What the kernel lists of our table: bodies of messages; and elements by their sets' names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Sets.
    pub sets: Vec<Vec<u8>>,
    /// Flowtables.
    pub flowtables: Vec<Vec<u8>>,
    /// Chains.
    pub chains: Vec<Vec<u8>>,
    /// Rules.
    pub rules: Vec<Vec<u8>>,
    /// Elements.
    pub elements: BTreeMap<String, BTreeSet<Element>>,
}

/// A request's kind.
const fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

/// `struct nfgenmsg`, and attributes.
fn body(family: u8, resource: u16, attributes: Writer) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    [vec![family, 0, high, low], attributes.end()].concat()
}

impl Family {
    /// Its number. Source: linux/netfilter.h.
    fn number(self) -> u8 {
        match self {
            Self::Packets => 1, // NFPROTO_INET
            Self::Frames => 7,  // NFPROTO_BRIDGE
        }
    }

    /// The request that lists all chains of this family: kind, body.
    #[must_use]
    pub fn list_chains(self) -> (u16, Vec<u8>) {
        (kind(GETCHAIN), body(self.number(), 0, Writer::default()))
    }

    /// The request that lists the rules of our table: kind, body.
    #[must_use]
    pub fn list_rules(self) -> (u16, Vec<u8>) {
        self.list(GETRULE) // NFTA_RULE_TABLE
    }

    /// The request that lists the sets of our table: kind, body.
    #[must_use]
    pub fn list_sets(self) -> (u16, Vec<u8>) {
        self.list(GETSET) // NFTA_SET_TABLE
    }

    /// The request that lists the flowtables of our table: kind, body.
    #[must_use]
    pub fn list_flowtables(self) -> (u16, Vec<u8>) {
        self.list(GETFLOWTABLE) // NFTA_FLOWTABLE_TABLE
    }

    fn list(self, what: u16) -> (u16, Vec<u8>) {
        (kind(what), body(self.number(), 0, Writer::default().put_text(1, TABLE)))
    }

    /// The request that lists the elements of a set of our table: kind, body.
    #[must_use]
    pub fn list_elements(self, set: &str) -> (u16, Vec<u8>) {
        // NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET
        (kind(GETELEMENT), body(self.number(), 0, Writer::default().put_text(1, TABLE).put_text(2, set)))
    }
}

/// The name of a set that the kernel lists.
#[must_use]
pub fn set_name(listed: &[u8]) -> Option<&str> {
    attribute(skip(listed), 2).and_then(text) // NFTA_SET_NAME
}

/// The elements that one message lists.
#[must_use]
pub fn elements(listed: &[u8]) -> Vec<Element> {
    set::listed(skip(listed))
}

/// A batch that makes a flowtable in a table of its own and takes it away again: does this kernel have such? And its last message's
/// number.
#[must_use]
pub fn try_flowtable(generation: u32, first: u32) -> (Vec<u8>, u32) {
    const TRIAL: &str = "shg-trial";
    let table = || Writer::default().put_text(1, TRIAL);
    let flowtable = Flowtable { name: "trial", links: Vec::new() };
    let steps = [
        (NEWTABLE, CREATE, table()),
        (NEWFLOWTABLE, CREATE, flowtable.attributes(TRIAL)),
        (DELTABLE, 0, table()),
    ];
    batch(Family::Packets, generation, first, steps)
}

/// How many numbers such a batch takes.
pub const TRIAL_MESSAGES: u32 = 5;

/// The request for the ruleset's generation: kind, body.
#[must_use]
pub fn ask_generation() -> (u16, Vec<u8>) {
    (kind(GETGEN), body(0, 0, Writer::default()))
}

/// The generation in that request's answer.
#[must_use]
pub fn generation(answer: &[u8]) -> Option<u32> {
    let value = attribute(answer.get(HEADER..)?, 1)?; // NFTA_GEN_ID
    value.try_into().ok().map(u32::from_be_bytes)
}

impl Hook {
    /// Its number: `NF_INET_…`.
    fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

impl Chain {
    fn attributes(&self) -> Writer {
        let chain = Writer::default()
            .put_text(1, TABLE) // NFTA_CHAIN_TABLE
            .put_text(3, self.name); // NFTA_CHAIN_NAME
        let Some(base) = &self.base else { return chain };
        let hook = Writer::default()
            .put_be32(1, base.hook.number()) // NFTA_HOOK_HOOKNUM
            .put(2, &base.priority.to_be_bytes()); // NFTA_HOOK_PRIORITY
        chain
            .nest(4, hook) // NFTA_CHAIN_HOOK
            .put_be32(5, u32::from(base.accepts)) // NFTA_CHAIN_POLICY: NF_DROP or NF_ACCEPT
            .put_text(7, if base.translates { "nat" } else { "filter" }) // NFTA_CHAIN_TYPE
    }
}

impl Flowtable {
    fn attributes(&self, table: &str) -> Writer {
        let links = self.links.iter().fold(Writer::default(), |list, link| list.put_text(ELEMENT, link));
        let hook = Writer::default()
            .put_be32(1, 0) // NFTA_FLOWTABLE_HOOK_NUM: NF_NETDEV_INGRESS
            .put_be32(2, 0); // NFTA_FLOWTABLE_HOOK_PRIORITY
        let hook = if self.links.is_empty() { hook } else { hook.nest(3, links) }; // NFTA_FLOWTABLE_HOOK_DEVS
        Writer::default()
            .put_text(1, table) // NFTA_FLOWTABLE_TABLE
            .put_text(2, self.name) // NFTA_FLOWTABLE_NAME
            .nest(3, hook) // NFTA_FLOWTABLE_HOOK
            .put_be32(7, 2) // NFTA_FLOWTABLE_FLAGS: NFT_FLOWTABLE_COUNTER
    }
}

impl Rule {
    fn attributes(&self) -> Writer {
        let written = Writer::default()
            .put_text(1, TABLE) // NFTA_RULE_TABLE
            .put_text(2, self.chain) // NFTA_RULE_CHAIN
            .nest(4, self.expressions.clone()); // NFTA_RULE_EXPRESSIONS
        if self.comment.is_empty() {
            return written;
        }
        // NFTA_RULE_USERDATA holds what nft keeps for itself: type (0: a comment), length, text with its NUL.
        let length = u8::try_from(self.comment.len() + 1).unwrap_or(u8::MAX);
        written.put(7, &[&[0, length], self.comment.as_bytes(), &[0]].concat())
    }
}

impl Table {
    /// The batch that makes this table, in the place of the one that `stands`, if there is one: for one that goes the kernel waits until
    /// nobody looks at it, so none is taken away in vain. `first` is the number of its first message; returned is the number of the last
    /// one that is acknowledged, too.
    #[must_use]
    pub fn batch(&self, stands: bool, generation: u32, first: u32) -> (Vec<u8>, u32) {
        // NFTA_TABLE_NAME. Made first, so that there is one to be taken away, whoever was here meanwhile.
        let gone = stands.then_some([(NEWTABLE, CREATE), (DELTABLE, 0)]);
        let tables = gone.into_iter().flatten().chain([(NEWTABLE, CREATE)]);
        let tables = tables.map(|(kind, flags)| (kind, flags, Writer::default().put_text(1, TABLE)));
        let sets = (1..).zip(&self.sets).map(|(number, set)| (NEWSET, CREATE, set.making(number)));
        let elements =
            self.sets.iter().flat_map(|set| pieces(NEWELEMENT, set.name, set.elements.iter().collect()));
        let flows =
            self.flowtable.iter().map(|flowtable| (NEWFLOWTABLE, CREATE, flowtable.attributes(TABLE)));
        let chains = self.chains.iter().map(|chain| (NEWCHAIN, CREATE, chain.attributes()));
        let rules = self.rules.iter().map(|rule| (NEWRULE, CREATE | APPEND, rule.attributes()));
        batch(
            self.family,
            generation,
            first,
            tables.chain(sets).chain(elements).chain(flows).chain(chains).chain(rules),
        )
    }

    /// How many numbers a batch takes, at most.
    #[must_use]
    pub fn messages(&self) -> u32 {
        let elements: usize = self.sets.iter().map(|set| 2 * (set.elements.len() / ELEMENTS + 1)).sum();
        let all = self.sets.len() + elements + self.chains.len() + self.rules.len() + 6;
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    /// The batch that changes the elements that differ, and no more; as [`Table::batch`]. `None`: nothing differs.
    #[must_use]
    pub fn amend(&self, listed: &Listed, generation: u32, first: u32) -> Option<(Vec<u8>, u32)> {
        let mut steps = Vec::new();
        for set in &self.sets {
            let nothing = BTreeSet::new();
            let found = listed.elements.get(set.name).unwrap_or(&nothing);
            if *found == set.elements {
                continue;
            }
            // Runs have ends, which belong to none alone: all of them go, and come anew.
            let (gone, new): (Vec<&Element>, Vec<&Element>) = if set.runs {
                (found.iter().collect(), set.elements.iter().collect())
            } else {
                (found.difference(&set.elements).collect(), set.elements.difference(found).collect())
            };
            steps.extend(pieces(DELELEMENT, set.name, gone));
            steps.extend(pieces(NEWELEMENT, set.name, new));
        }
        (!steps.is_empty()).then(|| batch(self.family, generation, first, steps))
    }

    /// Is what the kernel lists this table?
    #[must_use]
    pub fn is(&self, listed: &Listed) -> bool {
        let nothing = BTreeSet::new();
        let elements = |set: &Set| *listed.elements.get(set.name).unwrap_or(&nothing) == set.elements;
        self.is_built_so(listed) && self.sets.iter().all(elements)
    }

    /// Is it this table, but perhaps for the elements of its sets?
    #[must_use]
    pub fn is_built_so(&self, listed: &Listed) -> bool {
        let same = |asked: Vec<Vec<u8>>, found: &[Vec<u8>]| {
            asked.len() == found.len()
                && asked.iter().zip(found).all(|(asked, found)| agrees(asked, skip(found)))
        };
        let chains = self.chains.iter().map(|chain| chain.attributes().end()).collect();
        // Rules are listed chain by chain, in the order in which chains were made.
        let rules =
            self.chains.iter().flat_map(|chain| self.rules.iter().filter(|rule| rule.chain == chain.name));
        let rules = rules.map(|rule| rule.attributes().end()).collect();
        let flows = self.flowtable.iter().map(|flowtable| flowtable.attributes(TABLE).end()).collect();
        let sets = self.sets.len() == listed.sets.len()
            && self.sets.iter().zip(&listed.sets).all(|(set, listed)| set.is(skip(listed)));
        sets && same(flows, &listed.flowtables) && same(chains, &listed.chains) && same(rules, &listed.rules)
    }
}

/// One step of a batch: kind, flags, attributes.
type Step = (u16, u16, Writer);

/// Elements, in as many messages as they need.
fn pieces<'e>(kind: u16, set: &'e str, elements: Vec<&'e Element>) -> impl Iterator<Item = Step> {
    let chunks: Vec<Step> = elements
        .chunks(ELEMENTS)
        .map(|some| {
            let flags = if kind == NEWELEMENT { CREATE } else { 0 };
            (kind, flags, set::message(set, some.iter().copied()))
        })
        .collect();
    chunks.into_iter()
}

/// These steps as one transaction.
fn batch(
    family: Family,
    generation: u32,
    first: u32,
    steps: impl IntoIterator<Item = Step>,
) -> (Vec<u8>, u32) {
    const BEGIN: u16 = 16; // NFNL_MSG_BATCH_BEGIN
    const END: u16 = 17; // NFNL_MSG_BATCH_END
    let mut number = first;
    let generation = Writer::default().put_be32(1, generation); // NFNL_BATCH_GENID
    let mut bytes = bytes::message(BEGIN, REQUEST, number, &body(0, SUBSYSTEM, generation));
    let mut last = None;
    for (what, flags, attributes) in steps {
        number = number.wrapping_add(1);
        last = Some(bytes.len());
        bytes.extend(bytes::message(
            kind(what),
            REQUEST | flags,
            number,
            &body(family.number(), 0, attributes),
        ));
    }
    // Errors come in order, so the last one's acknowledgement says that there is none.
    if let Some(flags) = last.and_then(|at| bytes.get_mut(at + 6)) {
        *flags |= ACK.to_ne_bytes()[0] | ACK.to_ne_bytes()[1];
    }
    let end = body(0, SUBSYSTEM, Writer::default());
    bytes.extend(bytes::message(END, REQUEST, number.wrapping_add(1), &end));
    (bytes, number)
}

/// Is this a chain of our table?
#[must_use]
pub fn is_ours(listed: &[u8]) -> bool {
    attribute(skip(listed), 1).and_then(text) == Some(TABLE)
}

fn skip(listed: &[u8]) -> &[u8] {
    listed.get(HEADER..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
