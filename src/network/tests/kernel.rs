//! One gateway against the kernel of this machine, in a namespace of its own: what it makes, and that asked twice it makes nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;

use network::gateway::Gateway;
use stage::{CONFIGURATION, Namespace, attachment, enter_stage, folder, plug_in, run};

fn gateway(name: &str) -> Gateway {
    let path = folder(name).join("network.toml");
    fs::write(&path, CONFIGURATION).unwrap();
    let mut gateway = Gateway::open(path).unwrap();
    gateway.turn();
    gateway
}

/// Nothing is left to do, and nothing is done.
fn assert_settled(gateway: &mut Gateway) {
    assert_eq!(gateway.fault(), None);
    let before = gateway.changes();
    gateway.turn();
    assert_eq!(gateway.changes(), before, "asked twice, it changes nothing");
}

#[test]
fn the_firewall_is_what_nft_reads() {
    if !enter_stage("the_firewall_is_what_nft_reads") {
        return;
    }
    plug_in();
    let mut gateway = gateway("firewall");
    let (namespace, inside) = Namespace::make().copies();
    gateway.attach(attachment("hello", 0, 80), &namespace, inside).unwrap();
    assert_settled(&mut gateway);
    let listed = run("nft -s list ruleset");
    if std::env::var_os("WRITE_DATA").is_some() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ruleset.nft"), &listed).unwrap();
    }
    assert_eq!(listed, include_str!("data/ruleset.nft"));
}
