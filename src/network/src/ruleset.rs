//! A table of the firewall, whole: its chains and rules, as one batch that replaces what was there; and whether a kernel has it.
//!
//! In:  chains, rules. Out: netlink messages. In: what the kernel lists. Out: does it say the same? Pure.
//!
//! A batch is one transaction: no packet ever meets half of it. It takes away our own table only; others' tables stay.
//!
//! Not here: sockets (`filter.rs`), which rules there are (`firewall.rs`).
//!
//! Source: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h; nft(8).

use crate::bytes::{self, Writer, agrees, attribute, text};
use crate::expression::Rule;
use crate::socket::{ACK, APPEND, CREATE, REQUEST};

/// The name of our table.
pub const TABLE: &str = "shg";
/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;
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
const GETGEN: u16 = 16;

/// Where a chain meets packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// All that comes in.
    Prerouting,
    /// What is for us.
    Input,
    /// What passes through.
    Forward,
    /// All that goes out.
    Postrouting,
}

/// A chain that meets packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where it meets them.
    pub hook: Hook,
    /// It translates addresses (type `nat`); else it filters.
    pub translates: bool,
    /// Its place among others at the same hook.
    pub priority: i32,
    /// What no rule names is let through; else it is thrown away.
    pub accepts: bool,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its chains.
    pub chains: Vec<Chain>,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// What the kernel lists of our table: bodies of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Chains.
    pub chains: Vec<Vec<u8>>,
    /// Rules.
    pub rules: Vec<Vec<u8>>,
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

/// The request that lists all chains: kind, body.
#[must_use]
pub fn list_chains() -> (u16, Vec<u8>) {
    (kind(GETCHAIN), body(INET, 0, Writer::default()))
}

/// The request that lists the rules of our table: kind, body.
#[must_use]
pub fn list_rules() -> (u16, Vec<u8>) {
    (kind(GETRULE), body(INET, 0, Writer::default().put_text(1, TABLE))) // NFTA_RULE_TABLE
}

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
            Self::Postrouting => 4,
        }
    }
}

impl Chain {
    fn attributes(&self) -> Writer {
        let hook = Writer::default()
            .put_be32(1, self.hook.number()) // NFTA_HOOK_HOOKNUM
            .put(2, &self.priority.to_be_bytes()); // NFTA_HOOK_PRIORITY
        Writer::default()
            .put_text(1, TABLE) // NFTA_CHAIN_TABLE
            .put_text(3, self.name) // NFTA_CHAIN_NAME
            .nest(4, hook) // NFTA_CHAIN_HOOK
            .put_be32(5, u32::from(self.accepts)) // NFTA_CHAIN_POLICY: NF_DROP or NF_ACCEPT
            .put_text(7, if self.translates { "nat" } else { "filter" }) // NFTA_CHAIN_TYPE
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
    /// The batch that puts this table in the place of the one that is there, if there is one. `first` is the number of its first
    /// message; returned is the number of the last one that is acknowledged, too.
    #[must_use]
    pub fn batch(&self, generation: u32, first: u32) -> (Vec<u8>, u32) {
        const BEGIN: u16 = 16; // NFNL_MSG_BATCH_BEGIN
        const END: u16 = 17; // NFNL_MSG_BATCH_END
        let table = || Writer::default().put_text(1, TABLE); // NFTA_TABLE_NAME
        // Made first, so that there is one to be taken away.
        let tables = [(NEWTABLE, CREATE), (DELTABLE, 0), (NEWTABLE, CREATE)]
            .map(|(kind, flags)| (kind, flags, table()));
        let chains = self.chains.iter().map(|chain| (NEWCHAIN, CREATE, chain.attributes()));
        let rules = self.rules.iter().map(|rule| (NEWRULE, CREATE | APPEND, rule.attributes()));
        let mut number = first;
        let generation = Writer::default().put_be32(1, generation); // NFNL_BATCH_GENID
        let mut bytes = bytes::message(BEGIN, REQUEST, number, &body(0, SUBSYSTEM, generation));
        let mut last = None;
        for (what, flags, attributes) in tables.into_iter().chain(chains).chain(rules) {
            number = number.wrapping_add(1);
            last = Some(bytes.len());
            bytes.extend(bytes::message(kind(what), REQUEST | flags, number, &body(INET, 0, attributes)));
        }
        // Errors come in order, so the last one's acknowledgement says that there is none.
        if let Some(flags) = last.and_then(|at| bytes.get_mut(at + 6)) {
            *flags |= ACK.to_ne_bytes()[0] | ACK.to_ne_bytes()[1];
        }
        bytes.extend(bytes::message(
            END,
            REQUEST,
            number.wrapping_add(1),
            &body(0, SUBSYSTEM, Writer::default()),
        ));
        (bytes, number)
    }

    /// How many messages a batch has.
    #[must_use]
    pub fn messages(&self) -> u32 {
        u32::try_from(self.chains.len() + self.rules.len() + 5).unwrap_or(u32::MAX)
    }

    /// Is what the kernel lists this table?
    #[must_use]
    pub fn is(&self, listed: &Listed) -> bool {
        let same = |asked: Vec<Vec<u8>>, found: &[Vec<u8>]| {
            asked.len() == found.len()
                && asked.iter().zip(found).all(|(asked, found)| agrees(asked, skip(found)))
        };
        let chains = self.chains.iter().map(|chain| chain.attributes().end()).collect();
        // Rules are listed chain by chain, in the order in which chains were made.
        let rules =
            self.chains.iter().flat_map(|chain| self.rules.iter().filter(|rule| rule.chain == chain.name));
        let rules = rules.map(|rule| rule.attributes().end()).collect();
        same(chains, &listed.chains) && same(rules, &listed.rules)
    }
}

/// Is this a chain of our table?
#[must_use]
pub fn is_ours(listed: &[u8]) -> bool {
    attribute(skip(listed), 1).and_then(text) == Some(TABLE)
}

fn skip(listed: &[u8]) -> &[u8] {
    listed.get(HEADER..).unwrap_or_default()
}
