//! What our firewall costs a stream: through it, and through the least that translates addresses, which somebody has written by hand.
//!
//! In:  a host at home, a peer at the provider's, a gateway between, each in a namespace. Out: figures for `make bench B=nat` where
//! `SHG_BENCH` is set, in kbit/s; else one short round proves that all of it works.
//!
//! Both rulesets are loaded by nft in turn, on the same links, and the same stream goes through: TCP from home, in packets of an Ethernet
//! frame each (segments would cost the firewall once for forty of them). The long way is every packet through all chains; the short way
//! is by a flowtable, where the kernel has one. Who listens and who sends cost as much in either case, so a ratio is nearer to one than
//! that of the rulesets alone.
//!
//! Source: nft(8); docs/firewall.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stage::neighbours::Neighbours;
use stage::{Namespace, enter, folder, run};

/// Rounds; each measures every ruleset once, in turn.
const ROUNDS: usize = 11;
/// How long one stream is measured, and how long it may rise before.
const MEASURED: Duration = Duration::from_secs(1);
const RISE: Duration = Duration::from_millis(300);
/// Where the peer listens.
const PORT: u16 = 5201;

/// The least that lets the home out by our address, and nothing in; `{…}` is what the short way needs.
const LEAST: &str = "
table inet least {
    {flowtable}
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname { \"lo\", \"br-lan\" } accept
        meta l4proto { 1, 58 } accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        {offload}
        ct state established,related accept
        iifname \"br-lan\" oifname \"eth0\" accept
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname \"eth0\" masquerade
    }
}
";
/// What counts packets that take the long way.
const WATCH: &str = "
table inet watch {
    counter long { }
    chain forward { type filter hook forward priority -300; counter name long; }
}
";

/// A ruleset.
struct Ruleset {
    name: &'static str,
    file: PathBuf,
    rates: Vec<u64>,
    /// Packets that took the long way, of the last stream.
    long: u64,
}

fn least(short: bool) -> String {
    let (flowtable, offload) = match short {
        true => (
            "flowtable f { hook ingress priority filter; devices = { eth0, eth1 }; counter; }",
            "meta l4proto { tcp, udp } flow add @f",
        ),
        false => ("", ""),
    };
    LEAST.replace("{flowtable}", flowtable).replace("{offload}", offload)
}

/// Ours as nft lists it, without the short way.
fn without_short_way(listed: &str) -> String {
    let (mut text, mut inside) = (String::new(), false);
    for line in listed.lines() {
        inside |= line.trim_start().starts_with("flowtable ");
        if !inside && !line.contains("flow add @") {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line.trim() != "}";
    }
    text
}

/// Sends until told to stop, and returns how many kbit/s came through.
fn stream(all: &Neighbours) -> u64 {
    let listener = all.isp.within(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
    let mut sender = all.home.within(|| TcpStream::connect(("203.0.113.1", PORT)).unwrap());
    let (mut receiver, _) = listener.accept().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let block = [0; 65_536];
            while sender.write_all(&block).is_ok() {}
        });
        let mut block = vec![0; 65_536];
        let mut take = |time: Duration| {
            let (began, mut bytes) = (Instant::now(), 0_u64);
            while began.elapsed() < time {
                bytes += u64::try_from(receiver.read(&mut block).unwrap()).unwrap();
            }
            bytes * 8 / u64::try_from(began.elapsed().as_millis()).unwrap()
        };
        take(RISE);
        let rate = take(MEASURED);
        receiver.shutdown(std::net::Shutdown::Both).unwrap();
        drop(receiver);
        rate
    })
}

fn measure(all: &Neighbours, ruleset: &mut Ruleset) {
    run("nft flush ruleset");
    for file in [&ruleset.file, &ruleset.file.with_file_name("watch")] {
        run(&format!("nft -f {}", file.display()));
    }
    ruleset.rates.push(stream(all));
    let counted = run("nft list counter inet watch long");
    let mut words = counted.split_whitespace().skip_while(|word| *word != "packets");
    ruleset.long = words.nth(1).unwrap().parse().unwrap();
}

/// The value below which this part of the rounds lies.
fn quantile(rates: &[u64], tenths: usize) -> u64 {
    let mut sorted = rates.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() * tenths / 10]
}

fn rulesets(place: &Path) -> Vec<Ruleset> {
    let ours = run("nft -s list ruleset");
    let short = ours.contains("flow add @");
    let mut texts = vec![("ours_long", without_short_way(&ours)), ("least_long", least(false))];
    if short {
        texts.extend([("ours_short", ours), ("least_short", least(true))]);
    } else {
        println!("| row bench_nat: this kernel has no flowtables: the long way only");
    }
    fs::write(place.join("watch"), WATCH).unwrap();
    let ruleset = |(name, text): (&'static str, String)| {
        let file = place.join(name);
        fs::write(&file, text).unwrap();
        Ruleset { name, file, rates: Vec::new(), long: 0 }
    };
    texts.into_iter().map(ruleset).collect()
}

#[test]
fn bench_nat() {
    if !enter("bench_nat") {
        return;
    }
    let (all, gateway) = Neighbours::make();
    all.warm_up();
    // Each packet on its own, both ways.
    let one_by_one = |at: &Namespace, link: &str| {
        at.run(&format!("ip link set dev {link} gso_max_segs 1"));
    };
    one_by_one(&all.home, "home");
    one_by_one(&all.isp, "isp");
    let mut rulesets = rulesets(&folder("nat"));
    drop(gateway);
    let rounds = if std::env::var_os("SHG_BENCH").is_some() { ROUNDS } else { 1 };
    for round in 0..rounds {
        // Each begins as often as the other.
        let order: Vec<usize> = (0..rulesets.len()).map(|at| (at + round) % rulesets.len()).collect();
        for at in order {
            measure(&all, &mut rulesets[at]);
        }
    }
    // What both do who have no other way. An emulated gateway moves a few hundred packets in this time.
    let long = rulesets[..2].iter().map(|ruleset| ruleset.long).min().unwrap();
    for pair in rulesets.chunks(2) {
        let way = pair[0].name.trim_start_matches("ours_");
        assert!(pair.iter().all(|ruleset| ruleset.rates.iter().all(|rate| *rate > 0)));
        for (what, tenths) in [("median", 5), ("p10", 1)] {
            let [us, them] = [&pair[0], &pair[1]].map(|ruleset| quantile(&ruleset.rates, tenths));
            println!("figure nat_{way}_{what}_kbit_s {us} {them} at_least 950");
        }
        let counts: Vec<String> =
            pair.iter().map(|ruleset| format!("{} {}", ruleset.name, ruleset.long)).collect();
        println!("| row packets that took the long way in the last round: {}", counts.join(", "));
        if way == "short" {
            let few = |ruleset: &Ruleset| ruleset.long < long / 4;
            assert!(pair.iter().all(few), "the short way is taken, the long one by {long}: {counts:?}");
        } else {
            assert!(long > 100, "the long way is taken: {counts:?}");
        }
    }
}
