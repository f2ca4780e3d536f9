//! Both families, tables and rules against the kernel of this machine, with ip(8) as the oracle.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use contract::learn::{Learned, Lease};
use network::gateway::{ADOPT_MS, Gateway};
use stage::{CONFIGURATION, Namespace, attachment, enter, folder, ipv6, lease, plug_in, run};

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} in\n{said}");
    }
}

/// Nothing is left to do, and nothing is done.
fn assert_settled(gateway: &mut Gateway) {
    assert_eq!(gateway.fault(), None);
    let before = gateway.changes();
    gateway.turn();
    assert_eq!(gateway.changes(), before, "asked twice, it changes nothing");
}

/// What ip(8) said, without what time alone changes: how long something lives, whether the kernel still asks for others with an address
/// (`tentative`), link-local addresses of its own, which come with the carrier, and the order of it all.
fn timeless(said: &str) -> Vec<String> {
    let until = |line: &str, word: &str| line.split(word).next().unwrap_or_default().to_owned();
    let words = |line: &str| {
        let line = until(&until(line, "valid_lft"), "expires").replace('\\', "");
        line.split_whitespace().filter(|word| *word != "tentative").collect::<Vec<_>>().join(" ")
    };
    let is_kernels_own = |line: &String| {
        line.starts_with("fe80::/64") || (line.contains("scope link") && !line.contains("nodad"))
    };
    let mut lines: Vec<String> = said.lines().map(words).filter(|line| !is_kernels_own(line)).collect();
    lines.sort();
    lines
}

#[test]
fn a_prefix_reaches_home_and_services_and_the_next_one_cuts_nothing() {
    if !enter("a_prefix_reaches_home_and_services_and_the_next_one_cuts_nothing") {
        return;
    }
    plug_in();
    let path = folder("prefix").join("network.toml");
    fs::write(&path, CONFIGURATION).unwrap();
    let mut gateway = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    gateway.turn();
    let service = Namespace::make();
    let (namespace, inside) = service.copies();
    gateway.attach(attachment("hello", 0, 80), &namespace, inside).unwrap();
    gateway.learn(Learned::Ipv6(ipv6("eth0", &[("2001:db8:1::/56", 3_600)])));
    assert_says(&run("ip -6 address show eth0"), &["2001:db8:ff::7/64", "dynamic"]);
    assert_says(&run("ip -6 address show br-lan"), &["2001:db8:1::1/64"]);
    assert_says(&run("ip -6 address show svc-0"), &["2001:db8:1:ff::1/128", "fe80::1/64"]);
    let routes = run("ip -6 route");
    let wanted = [
        "default via fe80::1 dev eth0 proto static",
        "unreachable 2001:db8:1::/56",
        "2001:db8:1:ff::2 dev svc-0",
    ];
    assert_says(&routes, &wanted);
    assert_says(&service.run("ip -6 address"), &["2001:db8:1:ff::2/128"]);
    assert_says(&service.run("ip -6 route"), &["default via fe80::1 dev eth0"]);
    assert_settled(&mut gateway);

    gateway.learn(Learned::Ipv6(ipv6("eth0", &[("2001:db8:2::/56", 3_600), ("2001:db8:1::/56", 0)])));
    assert_says(&run("ip -6 address show br-lan deprecated"), &["2001:db8:1::1/64"]);
    assert_says(&run("ip -6 address show br-lan -deprecated"), &["2001:db8:2::1/64"]);
    assert_says(&service.run("ip -6 address show eth0 deprecated"), &["2001:db8:1:ff::2/128"]);
    assert_says(&service.run("ip -6 address show eth0 -deprecated"), &["2001:db8:2:ff::2/128"]);
    assert_settled(&mut gateway);

    // The next life touches none of it, though nobody has told it anything yet.
    drop(gateway);
    let state = || timeless(&(run("ip -6 -o address") + &run("ip -6 route")));
    let before = state();
    let mut next = Gateway::open(path, ADOPT_MS).unwrap();
    next.turn();
    assert_eq!((next.changes(), next.fault()), (0, None));
    assert_eq!(state(), before);
    next.learn(Learned::Ipv6(ipv6("eth0", &[])));
    assert!(!run("ip -6 address show br-lan").contains("2001:db8"), "the service's link still waits for it");
    assert!(!run("ip -6 route").contains("unreachable"));
}

#[test]
fn voice_has_its_own_table_and_nothing_leaks() {
    if !enter("voice_has_its_own_table_and_nothing_leaks") {
        return;
    }
    plug_in();
    // Voice is untagged here: no VLAN is needed, and this machine may have none.
    let text = CONFIGURATION
        .replace("[internet]\nipv4 = \"dhcp\"\nipv6 = \"dhcp\"", "[internet]\nvlan = 10\nipv4 = \"none\"");
    let voice =
        "\n[voice]\naccess = { ipv4 = \"dhcp\" }\nreaches = [\"198.51.100.0/24\", \"2001:db8:5::/48\"]\n";
    let path = folder("voice").join("network.toml");
    fs::write(&path, text.clone() + voice).unwrap();
    let mut gateway = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    gateway.turn();
    let lease = Lease {
        routes: [("198.51.100.0/25".parse().unwrap(), [203, 0, 113, 9].into())].into_iter().collect(),
        ..lease(7)
    };
    let lookup = |to: &str| std::process::Command::new("ip").args(["route", "get", to]).output().unwrap();
    assert!(!lookup("198.51.100.7").status.success(), "unreachable while voice is down");
    gateway.learn(Learned::Lease(lease));
    run("ip link set isp up");
    assert_says(
        &run("ip rule"),
        &["1000:\tfrom all to 198.51.100.0/24 lookup 20", "1010:\tfrom 203.0.113.7 lookup 20"],
    );
    assert_says(&run("ip -6 rule"), &["1000:\tfrom all to 2001:db8:5::/48 lookup 20"]);
    let table = run("ip route show table 20");
    assert_says(
        &table,
        &[
            "default via 203.0.113.1 dev eth0",
            "198.51.100.0/25 via 203.0.113.9",
            "203.0.113.0/24 dev eth0",
            "unreachable default",
        ],
    );
    assert!(!run("ip route").contains("203.0.113"), "nothing of it in the main table");
    assert_says(&String::from_utf8(lookup("198.51.100.7").stdout).unwrap(), &["via 203.0.113.9 dev eth0"]);
    assert_says(&String::from_utf8(lookup("198.51.100.200").stdout).unwrap(), &["via 203.0.113.1 dev eth0"]);
    assert_says(&run("ip -6 route show table 20"), &["unreachable default"]);

    gateway.learn(Learned::Lost { link: "eth0".into() });
    assert!(!lookup("198.51.100.7").status.success(), "and again when it has gone");
    fs::write(&path, CONFIGURATION).unwrap();
    gateway.turn();
    assert_says(&run("ip rule"), &["32766:"]);
    assert!(
        !run("ip rule").contains("lookup 20")
            && run("ip route show table all").lines().all(|line| !line.contains("table 20"))
    );
    assert_settled(&mut gateway);
}

#[test]
fn bridges_and_ports_are_set_as_they_should_be() {
    if !enter("bridges_and_ports_are_set_as_they_should_be") {
        return;
    }
    plug_in();
    run("ip link add eth3 type veth peer name guest");
    let guest = "\n[guest]\nports = [\"eth3\"]\naddress = \"192.168.2.1\"\nprefix_length = 24\ndhcp = { first = \"192.168.2.100\", last = \"192.168.2.199\", lease_s = 600 }\n";
    let path = folder("bridges").join("network.toml");
    fs::write(&path, format!("{CONFIGURATION}{guest}")).unwrap();
    let mut gateway = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    gateway.turn();
    assert_says(&run("ip -d link show eth1"), &["master br-lan", "fastleave on", "isolated off"]);
    assert_says(&run("ip -d link show eth3"), &["master br-guest", "fastleave on", "isolated on"]);
    assert_says(&run("ip -d link show br-guest"), &["mcast_snooping 1", "stp_state 0"]);
    assert_says(&run("ip address show br-guest"), &["192.168.2.1/24"]);
    let settings = [
        "ipv4/conf/br-guest/arp_ignore 1",
        "ipv4/conf/eth0/rp_filter 1",
        "ipv6/conf/eth0/accept_ra 0",
        "ipv4/conf/all/send_redirects 0",
    ];
    for setting in settings {
        let (file, value) = setting.split_once(' ').unwrap();
        assert_eq!(fs::read_to_string(format!("/proc/sys/net/{file}")).unwrap().trim(), value, "{setting}");
    }
    assert_settled(&mut gateway);
    for broken in [
        "ip link set dev eth3 type bridge_slave isolated off",
        "ip link set dev br-guest type bridge mcast_snooping 0",
        "ip link set dev eth3 group 0",
        "ip link set dev eth3 mtu 1400",
        "ip link set dev eth3 master br-lan",
    ] {
        run(broken);
        gateway.turn();
        assert_settled(&mut gateway);
        assert_says(&run("ip -d link show eth3"), &["master br-guest", "isolated on", "mtu 1500"]);
    }
    fs::write(&path, CONFIGURATION).unwrap();
    gateway.turn();
    let port = run("ip link show eth3");
    assert!(
        !run("ip link").contains("br-guest") && !port.contains("master") && !port.contains("UP"),
        "{port}"
    );
    assert_settled(&mut gateway);
}

/// Does a datagram come from one to the other, at these addresses of one network?
fn hears(from: &Namespace, to: &Namespace, address: &str, limit: Duration) -> bool {
    let listens = to.within(|| UdpSocket::bind(("0.0.0.0", 4_000)).unwrap());
    listens.set_read_timeout(Some(limit)).unwrap();
    let says = from.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    says.send_to(b"film", (address, 4_000)).unwrap();
    listens.recv_from(&mut [0; 8]).is_ok()
}

#[test]
fn bridged_tv_is_its_ports_and_nobody_elses() {
    if !enter("bridged_tv_is_its_ports_and_nobody_elses") {
        return;
    }
    plug_in();
    run("ip link add eth3 type veth peer name box");
    // TV is untagged here: no VLAN is needed, and this machine may have none.
    let text = CONFIGURATION
        .replace("[internet]\nipv4 = \"dhcp\"\nipv6 = \"dhcp\"", "[internet]\nvlan = 10\nipv4 = \"none\"");
    let tv = "\n[tv]\naccess = { ipv4 = \"none\" }\nprofile = \"bridged\"\nports = [\"eth3\"]\n";
    let path = folder("tv").join("network.toml");
    fs::write(&path, text + tv).unwrap();
    let mut gateway = Gateway::open(path, ADOPT_MS).unwrap();
    gateway.turn();
    assert_says(&run("ip -d link show eth3"), &["master br-tv", "fastleave on"]);
    assert_says(&run("ip -d link show eth0"), &["master br-tv"]);
    let [operator, home, set_top] = [("isp", 1), ("home", 2), ("box", 3)].map(|(cable, host)| {
        let side = Namespace::make();
        run(&format!("ip link set {cable} netns {}", side.path()));
        side.run(&format!("ip link set {cable} up"));
        side.run(&format!("ip address add 100.64.30.{host}/24 dev {cable}"));
        side
    });
    assert!(hears(&operator, &set_top, "100.64.30.3", Duration::from_secs(15)), "what the operator sends");
    assert!(hears(&set_top, &operator, "100.64.30.1", Duration::from_secs(15)), "what the set-top box asks");
    assert!(
        !hears(&operator, &home, "100.64.30.2", Duration::from_secs(2)),
        "nothing of it comes to the home"
    );
    assert!(!hears(&home, &operator, "100.64.30.1", Duration::from_secs(2)), "nor from there");
}
