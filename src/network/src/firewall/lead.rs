//! Addresses that are translated: ports that lead inside, and what leaves by a play with that play's address.
//!
//! In:  the house. Out: the rules of the chains `inward`, `leads` and `outward`.
//!
//! A port that leads inside does so for the home and for services too (RFC 4787 REQ-9, RFC 5382 REQ-8): they use the same address as
//! everybody. Between two hosts of the home the gateway then speaks in its own name, else answers would miss it.
//!
//! Which of the gateway's addresses are outside is asked of the kernel's routes, so no lease changes a rule.
//!
//! Source: RFC 3022, RFC 4787, RFC 5382.

use contract::prefix::Prefix;
use contract::wanted::Forward;

use super::{House, INWARD, LEADS, OUTWARD};
use crate::expression::{Load, Rule};

/// One port, from everywhere: an element of a map. Others are rules.
pub(super) fn is_plain(forward: &Forward) -> bool {
    forward.from.is_none() && forward.last.max(forward.port) == forward.port
}

pub(super) fn rules(house: &House<'_>) -> Vec<Rule> {
    let mut rules = leads(house);
    rules.extend(inward(house));
    rules.extend(outward(house));
    rules
}

fn leads(house: &House<'_>) -> Vec<Rule> {
    let port = [Load::Protocol, Load::ToPort];
    let mut rules = vec![Rule::of(LEADS).lead_by("forwards", &port)];
    for forward in house.wanted.forward.iter().filter(|forward| !is_plain(forward)) {
        let rule = match forward.from {
            Some(from) => Rule::of(LEADS).from(from),
            None => Rule::of(LEADS),
        };
        let rule = rule.ports(forward.protocol, forward.port, forward.last.max(forward.port));
        let rule = match forward.to_port {
            0 => rule.send_to_host(forward.to),
            port => rule.send_to(forward.to, port),
        };
        rules.push(rule.says(&forward.name));
    }
    rules.push(Rule::of(LEADS).lead_by("mapped", &port));
    rules
}

fn inward(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(INWARD);
    let (home, ours) = (&house.wanted.lan.bridge, Prefix::host(house.wanted.lan.address.into()));
    let mut rules = vec![rule().comes_by(home).to(ours).lead_by("doors", &[Load::Protocol, Load::ToPort])];
    rules.extend(house.inside().map(|prefix| rule().to(prefix).leaves()));
    rules.extend([
        rule().comes_by(&house.internet).ipv4().to_us().goes_to(LEADS),
        rule().comes_by(home).ipv4().to_us().goes_to(LEADS),
        rule().is_in("online", &[Load::LinkIn]).ipv4().to_us().goes_to(LEADS),
    ]);
    rules
}

fn outward(house: &House<'_>) -> Vec<Rule> {
    let rule = || Rule::of(OUTWARD);
    let home = house.home();
    let mut rules: Vec<Rule> =
        house.inside().map(|prefix| rule().goes_by(&house.internet).from(prefix).masquerade()).collect();
    let others = house.outside().skip(1);
    rules.extend(others.map(|link| rule().goes_by(link).from(home).masquerade()));
    rules.push(rule().goes_by(&house.wanted.lan.bridge).from(home).led().masquerade());
    rules
}
