//! A batch is whole, and what is listed is told from everything else.

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
    wanted::parse(include_str!("../../../../rootfs/etc/shg/network.toml")).unwrap()
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
            slice_rates: Default::default(),
        })
        .collect()
    })
}

/// What a kernel that keeps every word would list.
fn listed(table: &Table) -> Listed {
    let body = |attributes: crate::bytes::Writer| [vec![1, 0, 0, 0], attributes.end()].concat();
    let rules = |name| table.rules.iter().filter(move |rule| rule.chain == name);
    Listed {
        sets: table.sets.iter().map(|set| body(set.definition())).collect(),
        flowtables: table.flowtable.iter().map(|flows| body(flows.attributes(super::TABLE))).collect(),
        chains: table.chains.iter().map(|chain| body(chain.attributes())).collect(),
        rules: table
            .chains
            .iter()
            .flat_map(|chain| rules(chain.name))
            .map(|rule| body(rule.attributes()))
            .collect(),
        elements: table.sets.iter().map(|set| (set.name.to_owned(), set.elements.clone())).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_batch_is_whole(services in services(), generation: u32, first: u32) {
        let table = firewall::table(&home(), &services, &firewall::Facts::default());
        let (batch, last) = table.batch(true, generation, first);
        prop_assert!(batch.len() < 1 << 19, "{} bytes: half of what the socket takes", batch.len());
        let found: Vec<_> = messages(&batch).collect();
        prop_assert!(found.len() <= usize::try_from(table.messages()).unwrap());
        for (place, message) in (0..).zip(&found) {
            prop_assert_eq!(message.sequence, first.wrapping_add(place));
            prop_assert_eq!(message.flags & 4 != 0, message.sequence == last, "one acknowledgement");
        }
        let named = |rule: &crate::expression::Rule| table.chains.iter().any(|chain| chain.name == rule.chain);
        prop_assert!(table.rules.iter().all(named));
    }

    #[test]
    fn what_is_listed_is_told_from_everything_else(services in services(), place: prop::sample::Index, bit in 0..8_u32) {
        let table = firewall::table(&home(), &services, &firewall::Facts::default());
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
