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

#[cfg(test)]
mod tests {
    use super::{Listed, Table};
    use crate::bytes::messages;
    use crate::firewall;
    use crate::target::Attachment;
    use contract::Name;
    use contract::limit::{SERVES, SERVICES};
    use contract::manifest::{Audience, Protocol, Serve};
    use contract::wanted;
    use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    fn home() -> wanted::Wanted {
        wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap()
    }

    fn serve() -> impl Strategy<Value = Serve> {
        let audience =
            prop::sample::select(vec![Audience::Home, Audience::Slice, Audience::Internet, Audience::Portal]);
        let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]);
        (audience, protocol, any::<u16>(), any::<u16>()).prop_map(|(to, protocol, port, at)| Serve {
            name: Name::new("page").unwrap(),
            protocol,
            port,
            to,
            at,
        })
    }

    fn services() -> impl Strategy<Value = Vec<Attachment>> {
        let service = prop::collection::vec(serve(), 0..=SERVES);
        prop::collection::vec(service, 0..=SERVICES).prop_map(|all| {
            let all = (0..).zip(all);
            all.map(|(slot, serves)| Attachment {
                service: Name::new("hello").unwrap(),
                slice: Name::new("demo").unwrap(),
                slot,
                serves,
                reaches: Default::default(),
                rates: Default::default(),
            })
            .collect()
        })
    }

    /// What a kernel that keeps every word would list.
    fn listed(table: &Table) -> Listed {
        let body = |attributes: crate::bytes::Writer| [vec![1, 0, 0, 0], attributes.end()].concat();
        let rules = |name| table.rules.iter().filter(move |rule| rule.chain == name);
        Listed {
            chains: table.chains.iter().map(|chain| body(chain.attributes())).collect(),
            rules: table
                .chains
                .iter()
                .flat_map(|chain| rules(chain.name))
                .map(|rule| body(rule.attributes()))
                .collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_batch_is_whole(services in services(), generation: u32, first: u32) {
            let table = firewall::table(&home(), &services);
            let (batch, last) = table.batch(generation, first);
            prop_assert!(batch.len() < 1 << 19, "{} bytes: half of what the socket takes", batch.len());
            let found: Vec<_> = messages(&batch).collect();
            prop_assert_eq!(found.len(), usize::try_from(table.messages()).unwrap());
            for (place, message) in (0..).zip(&found) {
                prop_assert_eq!(message.sequence, first.wrapping_add(place));
                prop_assert_eq!(message.flags & 4 != 0, message.sequence == last, "one acknowledgement");
            }
            let named = |rule: &crate::expression::Rule| table.chains.iter().any(|chain| chain.name == rule.chain);
            prop_assert!(table.rules.iter().all(named));
        }

        #[test]
        fn what_is_listed_is_told_from_everything_else(services in services(), place: prop::sample::Index, bit in 0..8_u32) {
            let table = firewall::table(&home(), &services);
            let right = listed(&table);
            prop_assert!(table.is(&right));
            // One bit of what a rule says, behind its header.
            let mut wrong = right.clone();
            let rule = place.index(wrong.rules.len());
            let byte = 4 + place.index(wrong.rules[rule].len() - 4);
            wrong.rules[rule][byte] ^= 1 << bit;
            // Padding and flags of kinds are no words.
            let spoken = crate::bytes::agrees(&right.rules[rule][4..], &wrong.rules[rule][4..]);
            prop_assert_eq!(table.is(&wrong), spoken);
            let mut short = right.clone();
            short.rules.remove(rule);
            prop_assert!(!table.is(&short));
            let mut long = right;
            long.rules.push(long.rules[rule].clone());
            prop_assert!(!table.is(&long));
        }
    }
}
