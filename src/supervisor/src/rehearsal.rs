//! Rehearsals: a tenant goes without layers that a test names, and is refused for it, or runs all the same. The firmware has none of this.
//!
//! In:  a line in a file that only the test root's door writes: `NAME judge|run LAYER,LAYER|- WORD…`. Out: that tenant's next start.
//!
//! `judge` is how the gateway is: whoever lacks a layer does not start. `run` is what attacks are tried against, to show that they would
//! get through.

use std::fs;

use contract::Name;
use contract::layer::{Layer, Layers};
use log::warn;
use sandbox::Plan;

use crate::tenant::Tenant;

/// Where the line stands.
const LINE: &str = "/run/rehearsal";

/// Dresses `tenant` as the line says, where it is about it.
pub(crate) fn dress(name: &Name, tenant: &mut Tenant) {
    let Ok(text) = fs::read_to_string(LINE) else { return };
    let mut words = text.split_whitespace();
    if words.next() != Some(name.as_str()) {
        return;
    }
    let weak = words.next() == Some("run");
    let layers = words.next().unwrap_or("-").split(',').filter_map(|word| word.parse::<Layer>().ok());
    let mut manifest = tenant.manifest.clone();
    for word in words {
        let _ = manifest.command.push(word.into()); // The manifest's own words and two more.
    }
    match Plan::new(&manifest, tenant.slot) {
        Ok(plan) => tenant.plan.arguments = plan.arguments,
        Err(error) => return warn!("{name}: {error}"),
    }
    tenant.without = layers.fold(Layers::NONE, Layers::with);
    tenant.weak = weak;
}
