//! Classes written on packets, and segments cut to what a path carries.
//!
//! In:  the house. Out: the rules of the chains `clamp` and `own`, and of those that they ask.
//!
//! Queues read what is written here (`class.rs`). What passes is marked on its way through; what the gateway sends itself, as it leaves.
//!
//! Source: RFC 4459 §3.2 (segments), RFC 4594 (classes).

use super::{CALLS, CLAMP, House, OWN, PICTURES};
use crate::class::{Class, MASK};
use crate::expression::{Load, Rule};

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let mut rules = class(CALLS, Class::Voice);
    rules.extend(class(PICTURES, Class::Tv));
    for link in house.outside() {
        rules.push(Rule::of(CLAMP).goes_by(link).clamp());
        rules.push(Rule::of(CLAMP).comes_by(link).clamp());
    }
    rules.push(Rule::of(CLAMP).mark_by("classes", &[Load::LinkIn]));
    rules.push(Rule::of(CLAMP).mark_by("classes", &[Load::LinkOut]));
    let voice = house.voice.iter().map(|(_, link)| (link, CALLS));
    let tv = house.tv.iter().map(|(_, link)| (link, PICTURES));
    for (link, chain) in voice.chain(tv) {
        rules.push(Rule::of(CLAMP).goes_by(link).asks(chain));
        rules.push(Rule::of(CLAMP).comes_by(link).asks(chain));
    }
    // Codepoints of its own packets the gateway's daemons have written themselves.
    let own =
        |rule: Rule, class: Class| [rule.clone().mark(class.mark(), MASK), rule.priority(class.priority())];
    let voice = house.voice.iter().map(|(_, link)| (link, Class::Voice));
    let tv = house.tv.iter().map(|(_, link)| (link, Class::Tv));
    rules.extend(voice.chain(tv).flat_map(|(link, class)| own(Rule::of(OWN).goes_by(link), class)));
    if house.proxies() {
        // What the voice daemon sends to the home's phones.
        let sent = Rule::of(OWN).goes_by(&house.wanted.lan.bridge).sent_by(contract::wires::uid::VOICE);
        rules.extend(own(sent, Class::Voice));
    }
    rules
}

/// What is written on a packet of this class.
fn class(chain: &'static str, class: Class) -> Vec<Rule> {
    let rule = || Rule::of(chain);
    let written = class
        .dscp()
        .into_iter()
        .flat_map(|codepoint| [rule().dscp(codepoint, false), rule().dscp(codepoint, true)]);
    [rule().mark(class.mark(), MASK), rule().priority(class.priority())].into_iter().chain(written).collect()
}
