//! Networks one after the other in a real kernel, read by programs that we did not write: what `ip -j` and `nft -j` say after A and then B
//! is what they say after B alone.
//!
//! In:  networks that a kernel without VLANs can have. Out: the same words, but for what the kernel numbers by itself.
//!
//! Source: ip(8), `-json`; libnftables-json(5).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::Path;

use contract::learn::Learned;
use network::gateway::Gateway;
use serde_json::Value;
use stage::{CONFIGURATION, Namespace, enter, folder, lease};

/// Changes of what is shipped, each a network: a name, and what takes the place of what.
fn networks() -> Vec<(&'static str, String)> {
    let changed = |from: &str, to: &str| {
        assert!(CONFIGURATION.contains(from), "{from}");
        CONFIGURATION.replace(from, to)
    };
    let more = |text: &str| format!("{CONFIGURATION}\n{text}");
    let fixed = "ipv4 = \"static\"\nstatic = { address = \"203.0.113.9\", prefix_length = 24, router = \"203.0.113.1\" }";
    let forwards: String = (0..20)
        .map(|at| {
            format!("[[forward]]\nname = \"f-{at}\"\nport = {}\nto = \"192.168.1.{}\"\n", 1_000 + at, 10 + at)
        })
        .collect();
    vec![
        ("as shipped", CONFIGURATION.to_owned()),
        ("a fixed address", changed("ipv4 = \"dhcp\"", fixed)),
        ("no IPv6", changed("ipv6 = \"dhcp\"", "ipv6 = \"none\"")),
        ("another bridge", changed("\"br-lan\"", "\"home0\"")),
        ("no port", changed("[\"eth1\"]", "[]")),
        ("another address", changed("\"192.168.1.1\"", "\"192.168.1.254\"")),
        ("forwards", more(&forwards)),
        (
            "queues",
            more(
                "[qos]\nup_kbit_s = 20000\ndown_kbit_s = 40000\nvoice_kbit_s = 1000\nservices_kbit_s = 4000",
            ),
        ),
        (
            "guests",
            more(
                "[guest]\nports = [\"eth2\"]\naddress = \"192.168.2.1\"\nprefix_length = 24\n\
                 dhcp = { first = \"192.168.2.100\", last = \"192.168.2.199\", lease_s = 600 }",
            ),
        ),
    ]
}

/// What a program says in a namespace, as JSON, without what the kernel chooses: numbers, hardware addresses and what follows from them,
/// moments, counts.
fn says(at: &Namespace, words: &str) -> Value {
    // Where there is nothing, ip(8) may say nothing.
    let text = at.run(words);
    let mut value: Value =
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    clean(&mut value);
    value
}

fn clean(value: &mut Value) {
    const CHOSEN: [&str; 15] = [
        "qdisc",
        "tso_max_size",
        "handle",
        "ifindex",
        "link_index",
        "link_netnsid",
        "stats64",
        "valid_life_time",
        "preferred_life_time",
        "operstate",
        "metainfo",
        "permaddr",
        "bridge_id",
        "root_id",
        "linkmode",
    ];
    match value {
        Value::Object(object) => {
            let chosen =
                |key: &str| CHOSEN.contains(&key) || key.ends_with("_timer") || key.starts_with("port_");
            object.retain(|key, value| !chosen(key) || value.is_object());
            // A link's own; a network's is compared.
            object.retain(|key, value| {
                key != "address" || value.as_str().is_none_or(|it| it.split(':').count() != 6)
            });
            // Flags of a carrier come a moment later than those of a will.
            if let Some(Value::Array(flags)) = object.get_mut("flags") {
                flags.retain(|flag| flag == "UP");
            }
            object.values_mut().for_each(clean);
        }
        Value::Array(rows) => {
            let own = |row: &Value| row["scope"] == "link" && row["family"] == "inet6";
            rows.retain(|row| !own(row) && row["protocol"] != "kernel" && row["kind"] != "noqueue");
            rows.iter_mut().for_each(clean);
            // Links and queues are listed in the order in which they were made; rules stay in theirs.
            rows.sort_by_key(|row| ["ifname", "dev", "parent", "kind"].map(|key| row[key].to_string()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All of it.
fn state(at: &Namespace) -> Vec<(&'static str, Value)> {
    const WORDS: [&str; 8] = [
        "ip -j -d link show",
        "ip -j address show",
        "ip -j -4 route show table all",
        "ip -j -6 route show table all",
        "ip -j rule show",
        "nft -j -s list table inet shg",
        "nft -j -s list table bridge shg",
        "tc -j qdisc show",
    ];
    WORDS.into_iter().map(|words| (words, says(at, words))).collect()
}

fn fresh() -> Namespace {
    let made = Namespace::make();
    for link in ["eth0", "eth1", "eth2"] {
        made.run(&format!("ip link add {link} type veth peer name {link}-far"));
        made.run(&format!("ip link set {link}-far up"));
    }
    made
}

/// Brings a namespace to each of these networks, one after the other.
fn bring(at: &Namespace, place: &Path, networks: &[&str]) {
    at.within(|| {
        fs::write(place, networks[0]).unwrap();
        let mut gateway = Gateway::open(place.to_owned(), 0).unwrap();
        gateway.turn();
        for network in networks {
            fs::write(place, network).unwrap();
            gateway.turn();
            gateway.learn(Learned::Lease(lease(7)));
            gateway.turn();
            assert_eq!(gateway.fault(), None);
        }
        let before = gateway.changes();
        gateway.turn();
        assert_eq!(gateway.changes(), before, "asked twice it changes nothing");
    });
}

#[test]
fn plans_after_each_other_are_what_ip_and_nft_say_of_the_last() {
    if !enter("plans_after_each_other_are_what_ip_and_nft_say_of_the_last") {
        return;
    }
    let (networks, place) = (networks(), folder("oracle").join("network.toml"));
    let alone: Vec<_> = networks
        .iter()
        .map(|(_, text)| {
            let at = fresh();
            bring(&at, &place, &[text]);
            state(&at)
        })
        .collect();
    // nft says of what is shipped what the page about it says.
    let table = &alone[0].iter().find(|(words, _)| words.starts_with("nft")).unwrap().1["nftables"];
    for chain in ["input", "forward"] {
        let found = table.as_array().unwrap().iter().find(|row| row["chain"]["name"] == chain).unwrap();
        assert_eq!((&found["chain"]["policy"], &found["chain"]["type"]), (&"drop".into(), &"filter".into()));
    }
    // All pairs in the long run; else each network with two others.
    let steps: &[usize] =
        if std::env::var_os("LONG").is_some() { &[1, 2, 3, 4, 5, 6, 7, 8] } else { &[1, 4] };
    for (from, (first, before)) in networks.iter().enumerate() {
        for to in steps.iter().map(|step| (from + step) % networks.len()) {
            let (then, text) = &networks[to];
            let at = fresh();
            bring(&at, &place, &[before, text]);
            for ((words, says), (_, wanted)) in state(&at).iter().zip(&alone[to]) {
                assert_eq!(says, wanted, "{first}, then {then}: {words}");
            }
        }
    }
}
