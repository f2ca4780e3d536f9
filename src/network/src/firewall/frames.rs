//! Frames that no port of the home may carry: those with a tag inside another one, and those with a provider's tag.
//!
//! In:  the wanted network. Out: a table that looks at frames before a bridge does. Pure.
//!
//! The LAN's bridge filters VLANs, but looks at the outer tag only, and takes that off where a frame leaves as one of the home's. So what a
//! host hid behind a priority's tag, or behind one of the home's own VLAN, would come out of another port as a frame of the guests' (IEEE
//! 802.1Q §6.9; net/bridge/br_vlan.c, `__allowed_ingress`). A provider's tag is none of the bridge's: it would pass as content.
//!
//! Not here: VLANs that no port has (`target/home.rs`), packets (the rest of `firewall/`).

use contract::wanted::Wanted;

use crate::expression::{Load, Rule, Tag};
use crate::ruleset::{Base, Chain, Family, Hook, Table};
use crate::set::{Field, Set, link};

const FRAMES: &str = "frames";
/// The home's ports, by name: one that is plugged in later is under the same rules from its first frame on.
const PORTS: &str = "ports";
/// nft's word for a bridge's `filter`. Source: linux/netfilter_bridge.h, `NF_BR_PRI_FILTER_BRIDGED`.
const PRIORITY: i32 = -200;

/// The whole table.
#[must_use]
pub fn frames(wanted: &Wanted) -> Table {
    let ports = wanted.lan.ports.iter();
    let ports = ports.fold(Set::of(PORTS, &[Field::Link]), |set, port| set.with(link(port), Vec::new()));
    let base = Base { hook: Hook::Prerouting, translates: false, priority: PRIORITY, accepts: true };
    let rule = || Rule::of(FRAMES);
    let rules = [rule().holds(Tag::Customer), rule().holds(Tag::Provider), rule().begins_with(Tag::Provider)];
    Table {
        family: Family::Frames,
        sets: vec![ports],
        flowtable: None,
        chains: vec![Chain { name: FRAMES, base: Some(base) }],
        rules: rules.map(|rule| rule.is_in(PORTS, &[Load::LinkIn]).throw_away()).to_vec(),
    }
}
