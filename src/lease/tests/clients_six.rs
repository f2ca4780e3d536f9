//! The real daemon and IPv6: dnsmasq and Kea as the provider; the kernel, rdisc6, radvdump, dhclient and dhcpcd as hosts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::process::Stdio;

use contract::learn::Ipv6Wish;
use contract::leases::Answer;
use contract::wanted::LanIpv6;
use stage::six::{ISP, LINK, addresses, has, has_address, kea, kea_log, prefix, speaks_from, told};
use stage::{Program, Stage, at, daemon, dnsmasq, enter, ip, isp_log, rows, run, until};

const HOME: &str = "2001:db8:1::/64";
const OTHER: &str = "2001:db8:2::/64";

#[test]
fn clients_six_takes_a_router_an_address_and_words_of_dnsmasq() {
    if !enter("clients_six_takes_a_router_an_address_and_words_of_dnsmasq") {
        return;
    }
    let mut stage = Stage::with_ipv6(Ipv6Wish::Slaac, LanIpv6::None);
    let dns = format!("--dhcp-option=option6:dns-server,[{ISP}]");
    // Managed: its own address by DHCPv6, and one that we make.
    let options = ["--enable-ra", "--dhcp-range=2001:db8:9::100,2001:db8:9::1ff,slaac,64,200", &dns];
    let _server = dnsmasq(&options);
    let mut life = daemon();
    stage.greet();
    let known = stage.ipv6("both addresses", 20, |known| known.addresses.len() == 2);
    let log = isp_log();
    assert!(known.router.is_some_and(|router| router.is_unicast_link_local()), "{known:?}\n{log}");
    assert_eq!(known.name_servers.as_slice(), [ISP.parse::<std::net::Ipv6Addr>().unwrap()], "{log}");
    assert!(
        known.addresses.iter().all(|own| prefix(LINK).holds(own.address.into()) && own.prefix_length == 64)
    );
    let [given, made] = known.addresses.as_slice() else { panic!("{known:?}") };
    assert!(given.address.segments()[7] >= 0x100 && given.valid_s <= 200, "{known:?}");
    assert!(log.contains("DHCPREPLY") || log.contains("DHCPv6"), "{log}");

    // The next life makes the same address.
    assert!(!life.is_over());
    drop(life);
    let _life = daemon();
    stage.greet();
    let again = stage.ipv6("both addresses again", 20, |known| known.addresses.len() == 2);
    assert_eq!(again.addresses[1].address, made.address, "{again:?}");
}

#[test]
fn clients_six_has_a_prefix_delegated_by_kea_and_keeps_it() {
    let name = "clients_six_has_a_prefix_delegated_by_kea_and_keeps_it";
    if !enter(name) || !has(name, "kea-dhcp6") {
        return;
    }
    let mut stage = Stage::with_ipv6(Ipv6Wish::Prefix, LanIpv6::None);
    let _router = dnsmasq(&["--enable-ra", "--dhcp-range=2001:db8:9::,ra-only,64,3600"]);
    let _server = kea("2001:db8:f000::", 40);
    let life = daemon();
    stage.greet();
    let known = stage.ipv6("a prefix", 20, |known| !known.prefixes.is_empty());
    let first = known.prefixes[0];
    assert!(prefix("2001:db8:f000::/40").overlaps(&first.prefix) && first.prefix.length() == 56, "{known:?}");
    assert!((55..=60).contains(&first.preferred_s) && (85..=90).contains(&first.valid_s), "{known:?}");
    let given = |row: &Answer| matches!(row, Answer::Ipv6 { state, .. } if state.as_str() == "BOUND");
    assert!(rows().iter().any(given), "{:?}", rows());
    // Renewed at T1, which is 12 s: without that there would be 78 left.
    until("a renewal", 25, || kea_log().contains("RENEW (type 5)").then_some(()));
    let fresh = |row: &Answer| matches!(row, Answer::Ipv6 { known, .. } if known.prefixes[0].valid_s > 80);
    until("its answer", 5, || rows().iter().any(fresh).then_some(()));
    assert!(!kea_log().contains("REBIND (type 6)"), "{}", kea_log());

    // The link flaps: the same is asked for at once.
    ip("isp", "link set eth0 down");
    until("down", 5, || {
        rows()
            .iter()
            .any(|row| matches!(row, Answer::Ipv6 { state, .. } if state.as_str() == "DOWN"))
            .then_some(())
    });
    ip("isp", "link set eth0 up");
    until("bound again", 15, || rows().iter().any(given).then_some(()));
    assert!(kea_log().contains("REBIND (type 6)"), "{}", kea_log());

    // A boot: the prefix is asked for by name.
    drop(life);
    let _life = daemon();
    stage.greet();
    let again = stage.ipv6("the same prefix", 20, |known| !known.prefixes.is_empty());
    assert_eq!(again.prefixes[0].prefix, first.prefix);
    // It is wanted no more, and given back.
    stage.wish.clients.clear();
    stage.wish_anew();
    until("released", 5, || kea_log().contains("RELEASE (type 8)").then_some(()));
}

#[test]
fn clients_six_hosts_make_addresses_and_are_told_words() {
    let name = "clients_six_hosts_make_addresses_and_are_told_words";
    if !enter(name) || !has(name, "rdisc6") || !has(name, "radvdump") {
        return;
    }
    let mut stage = Stage::with_ipv6(Ipv6Wish::None, LanIpv6::Stateless);
    stage.give(&[told(HOME, 9_000, 90_000)]);
    let dump = fs::File::create("/run/radvdump").unwrap();
    let _dump = Program(at("guest", &["radvdump"]).stdout(dump).stderr(Stdio::null()).spawn().unwrap());
    let _life = daemon();
    stage.greet();
    has_address("home", HOME, 10);
    speaks_from("home", HOME, 5);

    rdisc6_reads_it();
    radvdump_reads_it();

    // Words by DHCPv6, to a host that has an address.
    fs::write("/run/isc.sh", "#!/bin/sh\nenv | grep ^new_ >>/run/isc.words\n").unwrap();
    run(&["chmod", "+x", "/run/isc.sh"]);
    let options = [
        "-6",
        "-S",
        "-d",
        "-cf",
        "/dev/null",
        "-pf",
        "/run/isc.pid",
        "-lf",
        "/run/isc.leases",
        "-sf",
        "/run/isc.sh",
        "eth0",
    ];
    let _host =
        Program(at("home", &[&["dhclient"], &options[..]].concat()).stderr(Stdio::null()).spawn().unwrap());
    let words = until("dhclient's words", 15, || {
        fs::read_to_string("/run/isc.words").ok().filter(|text| text.contains("dhcp6_name_servers"))
    });
    assert!(words.contains("new_dhcp6_name_servers=2001:db8:1::1") && words.contains("home.arpa"), "{words}");

    // No way out any more: it is no default router, and says so; the prefix stays.
    stage.wish.servers[0].default_router = false;
    stage.wish_anew();
    until("no default route", 10, || {
        let routes = at("home", &["ip", "-6", "route", "show", "default"]).output().unwrap();
        routes.stdout.is_empty().then_some(())
    });
    assert!(addresses("home").iter().any(|own| own.1));
}

/// What rdisc6 makes of an answer to its question.
fn rdisc6_reads_it() {
    let text = until("an answer to rdisc6", 10, || {
        let output = at("home", &["rdisc6", "-1", "-w", "500", "eth0"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.contains("Prefix").then_some(text)
    });
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let words: Vec<String> = lines.by_ref().collect();
    let says =
        |start: &str, part: &str| words.iter().any(|line| line.starts_with(start) && line.contains(part));
    assert!(says("Stateful address conf.", ": No") && says("Stateful other conf.", ": Yes"), "{text}");
    assert!(says("Router lifetime", "1800") && says("Prefix", HOME) && says("MTU", "1492"), "{text}");
    assert!(says("Valid time", "5400") && says("Pref. time", "2700"), "{text}");
    assert!(says("Recursive DNS server", "fe80::") && says("DNS search list", "home.arpa"), "{text}");
}

/// What radvdump has heard.
fn radvdump_reads_it() {
    let dumped = until("radvdump sees it", 10, || {
        let text = fs::read_to_string("/run/radvdump").unwrap();
        text.contains("DNSSL").then_some(text)
    });
    assert!(
        dumped.contains(&format!("prefix {HOME}")) && dumped.contains("AdvOtherConfigFlag on"),
        "{dumped}"
    );
}

#[test]
fn clients_six_hosts_are_given_addresses() {
    let name = "clients_six_hosts_are_given_addresses";
    if !enter(name) {
        return;
    }
    let mut stage = Stage::with_ipv6(Ipv6Wish::None, LanIpv6::Stateful);
    stage.give(&[told(HOME, 9_000, 90_000)]);
    let _life = daemon();
    stage.greet();
    has_address("home", HOME, 10);
    fs::write("/run/isc.sh", "#!/bin/sh\n[ -z \"$new_ip6_address\" ] || ip address replace $new_ip6_address/128 dev eth0 preferred_lft $new_preferred_life valid_lft $new_max_life\n[ -z \"$old_ip6_address\" ] || [ \"$old_ip6_address\" = \"$new_ip6_address\" ] || echo $reason $old_ip6_address >>/run/isc.gone\n").unwrap();
    run(&["chmod", "+x", "/run/isc.sh"]);
    let options = [
        "-6",
        "-d",
        "-v",
        "-cf",
        "/dev/null",
        "-pf",
        "/run/isc.pid",
        "-lf",
        "/run/isc.leases",
        "-sf",
        "/run/isc.sh",
        "eth0",
    ];
    let log = fs::File::create("/run/isc.log").unwrap();
    let _host = Program(at("home", &[&["dhclient"], &options[..]].concat()).stderr(log).spawn().unwrap());
    let given = |within: &str| {
        until("a row", 15, || {
            let row = |row: Answer| {
                let Answer::Given6 { address, .. } = row else { return None };
                Some(address).filter(|address| prefix(within).holds((*address).into()))
            };
            rows().into_iter().find_map(row)
        })
    };
    let address = given(HOME);
    until("it has it", 10, || addresses("home").iter().any(|own| own.0 == address).then_some(()));

    let _other = has(name, "dhcpcd").then(dhcpcd_is_given_one_too);

    // Another prefix: the old address is deprecated by the router's word, the new one comes from the same row.
    stage.give(&[told(OTHER, 9_000, 90_000)]);
    stage.wish_anew();
    has_address("home", OTHER, 10);
    let row = given(OTHER);
    assert_eq!(row.segments()[4..], address.segments()[4..], "the same lower half");
    // What the kernel made of it is given up; what DHCPv6 gave is its client's to take away.
    until("given up", 10, || {
        let mut made =
            addresses("home").into_iter().filter(|own| own.0 != address && prefix(HOME).holds(own.0.into()));
        made.all(|own| !own.1).then_some(())
    });
}

/// Another client, which looks for routers by itself.
fn dhcpcd_is_given_one_too() -> Program {
    // What it remembers of this machine's own links is none of ours.
    run(&["mount", "-t", "tmpfs", "tmpfs", "/var/lib/dhcpcd"]);
    fs::write("/run/dhcpcd.conf", "duid ll\nnohook all\nipv6rs\nia_na 7\n").unwrap();
    let log = fs::File::create("/run/dhcpcd.log").unwrap();
    let mut command =
        at("guest", &["dhcpcd", "-6", "-B", "-d", "-f", "/run/dhcpcd.conf", "--noconfigure", "eth0"]);
    let program = Program(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    until("a row of dhcpcd's", 15, || {
        let count = rows().iter().filter(|row| matches!(row, Answer::Given6 { .. })).count();
        (count == 2).then_some(())
    });
    program
}
