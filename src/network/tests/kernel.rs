//! One gateway against the kernel of this machine, in a namespace of its own: what it makes, and that asked twice it makes nothing.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contract::learn::Learned;
use network::gateway::{ADOPT_MS, Gateway};
use stage::{CONFIGURATION, Namespace, attachment, enter, folder, lease, plug_in, run};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

fn forwards() -> bool {
    fs::read_to_string(FORWARDING).unwrap().trim() == "1"
}

fn configuration(name: &str) -> PathBuf {
    let path = folder(name).join("network.toml");
    fs::write(&path, CONFIGURATION).unwrap();
    path
}

fn gateway(name: &str) -> Gateway {
    let mut gateway = Gateway::open(configuration(name), ADOPT_MS).unwrap();
    gateway.turn();
    gateway
}

/// Both tables of ours, as nft says them.
fn ours() -> String {
    run("nft -s list table inet shg") + &run("nft -s list table bridge shg")
}

/// Nothing is left to do, and nothing is done.
fn assert_settled(gateway: &mut Gateway) {
    assert_eq!(gateway.fault(), None);
    let before = gateway.changes();
    gateway.turn();
    assert_eq!(gateway.changes(), before, "asked twice, it changes nothing");
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} in\n{said}");
    }
}

#[test]
fn the_firewall_is_what_nft_reads() {
    if !enter("the_firewall_is_what_nft_reads") {
        return;
    }
    plug_in();
    let mut gateway = gateway("firewall");
    let (namespace, inside) = Namespace::make().copies();
    gateway.attach(attachment("hello", 0, 80), &namespace, inside).unwrap();
    assert_settled(&mut gateway);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ruleset.nft");
    let listed = ours();
    if std::env::var_os("WRITE_DATA").is_some() {
        fs::write(file, &listed).unwrap();
    }
    assert_eq!(listed, fs::read_to_string(file).unwrap());

    // And what nft makes of these words is what we make of them: there is nothing to replace.
    run("nft flush ruleset");
    run(&format!("nft -f {file}"));
    assert_settled(&mut gateway);
}

#[test]
fn other_networks_are_what_nft_makes_of_them_too() {
    if !enter("other_networks_are_what_nft_makes_of_them_too") {
        return;
    }
    plug_in();
    let udp = |mut attachment: network::target::Attachment| {
        attachment.serves[0].protocol = contract::manifest::Protocol::Udp;
        attachment
    };
    let table = [
        ("as shipped", CONFIGURATION.to_owned()),
        ("no address on the WAN", CONFIGURATION.replace("\"dhcp\"", "\"none\"")),
        (
            "prefixes between bytes",
            CONFIGURATION.replace("= 24", "= 25").replace(".199", ".120").replace(".100", ".110"),
        ),
        ("short prefixes", CONFIGURATION.replace("prefix_length = 24\ndhcp", "prefix_length = 16\ndhcp")),
        ("long names", CONFIGURATION.replace("br-lan", "fifteen-letters")),
    ];
    for (what, text) in table {
        let path = folder("others").join("network.toml");
        fs::write(&path, text).unwrap();
        let mut gateway = Gateway::open(path, 0).unwrap();
        gateway.turn();
        let kept = [Namespace::make(), Namespace::make()];
        for (slot, asked) in (0..).zip([attachment("hello", 0, 80), udp(attachment("camera", 1, 5353))]) {
            let (namespace, inside) = kept[slot].copies();
            gateway.attach(asked, &namespace, inside).unwrap();
        }
        assert_settled(&mut gateway);
        let listed = folder("listed").join("ruleset.nft");
        fs::write(&listed, run("nft -s list ruleset")).unwrap();
        run("nft flush ruleset");
        run(&format!("nft -f {}", listed.display()));
        let before = gateway.changes();
        gateway.turn();
        assert_eq!(gateway.changes(), before, "{what}: {}", fs::read_to_string(&listed).unwrap());
    }
}

#[test]
fn what_somebody_else_changed_is_mended_and_what_is_his_is_left() {
    if !enter("what_somebody_else_changed_is_mended_and_what_is_his_is_left") {
        return;
    }
    plug_in();
    let mut gateway = gateway("mended");
    gateway.learn(Learned::Lease(lease(7)));
    let right = ours();
    run("nft add table ip others");
    run("nft add chain ip others theirs");
    let others = run("nft list table ip others");
    let breaks = [
        "nft delete table inet shg",
        "nft flush chain inet shg forward",
        "nft add rule inet shg input accept",
        "nft insert rule inet shg forward ip saddr 1.2.3.4 accept",
        "nft chain inet shg input { policy accept ; }",
        "nft add chain inet shg more",
        "nft delete table bridge shg",
        "nft flush chain bridge shg frames",
        "nft insert rule bridge shg frames accept",
        "nft flush set bridge shg ports",
        "ip address del 192.168.1.1/24 dev br-lan",
        "ip address add 192.168.9.1/24 dev br-lan",
        "ip link set eth1 nomaster",
        "ip link set eth1 down",
        "ip link del br-lan",
        "ip route del default",
        "ip route add 198.51.100.0/24 dev br-lan proto dhcp",
        "ip route add 198.51.100.0/24 dev br-lan proto static scope global",
        "ip route add 198.51.100.0/24 via 203.0.113.9 proto dhcp metric 5",
        "ip address del 203.0.113.7/24 dev eth0",
        "forwarding off",
    ];
    let state = || run("ip -br -4 address") + &run("ip route") + &run("ip -br link show master br-lan");
    let before = state();
    for broken in breaks {
        match broken {
            "forwarding off" => fs::write(FORWARDING, "0").unwrap(),
            command => drop(run(command)),
        }
        gateway.turn();
        assert_settled(&mut gateway);
        assert_eq!(ours(), right, "{broken}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&state()).len(), words(&before).len(), "{broken}: {}", state());
        assert!(forwards(), "{broken}");
    }
    assert_eq!(run("nft list table ip others"), others, "another one's table");
}

#[test]
fn nothing_is_passed_on_without_a_firewall() {
    if !enter("nothing_is_passed_on_without_a_firewall") {
        return;
    }
    plug_in();
    // Somebody holds a table of our name, so that ours cannot be put there: nft, for as long as it runs.
    let mut holder = Command::new("nft").arg("-i").stdin(Stdio::piped()).spawn().unwrap();
    let mut words = holder.stdin.take().unwrap();
    writeln!(words, "add table inet shg {{ flags owner; }}").unwrap();
    let until = |what: &str, mut holds: Box<dyn FnMut() -> bool + '_>| {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < Duration::from_secs(10), "{what}");
            std::thread::sleep(Duration::from_millis(5)); // a step of a wait with a limit
        }
    };
    until("the holder", Box::new(|| run("nft list tables").contains("inet shg")));
    fs::write(FORWARDING, "1").unwrap();
    let mut gateway = gateway("without");
    assert_says(gateway.fault().unwrap(), &["firewall: not replaced"]);
    assert!(!forwards(), "a former life's forwarding has ended");
    assert_says(&run("ip -4 address show br-lan"), &["192.168.1.1/24"]);
    let (namespace, inside) = Namespace::make().copies();
    assert!(gateway.attach(attachment("hello", 0, 80), &namespace, inside).is_err());

    drop(words);
    holder.wait().unwrap();
    until("the holder's end", Box::new(|| !run("nft list tables").contains("inet shg")));
    gateway.turn();
    assert_settled(&mut gateway);
    assert!(forwards());
}

#[test]
fn links_follow_the_lease_and_the_cable() {
    if !enter("links_follow_the_lease_and_the_cable") {
        return;
    }
    run("ip link add eth0 type veth peer name isp");
    let mut gateway = gateway("links");
    assert_says(&run("ip -4 address show br-lan"), &["192.168.1.1/24 brd 192.168.1.255", "UP"]);
    run("ip link add eth1 type veth peer name home");
    gateway.turn();
    assert_says(&run("ip link show eth1"), &["master br-lan", "UP"]);
    assert_settled(&mut gateway);

    gateway.learn(Learned::Lease(lease(7)));
    assert!(
        gateway.leased().is_some_and(|(lease, applied_ms)| lease.address.octets()[3] == 7 && applied_ms > 0)
    );
    assert_says(&run("ip -4 address show eth0"), &["203.0.113.7/24"]);
    run("ip link set isp up");
    assert_says(&run("ip route"), &["default via 203.0.113.1 dev eth0"]);
    assert_settled(&mut gateway);

    gateway.learn(Learned::Lease(lease(8)));
    assert_says(&run("ip -4 address show eth0"), &["203.0.113.8/24"]);
    assert!(!run("ip -4 address show eth0").contains("203.0.113.7"));
    assert_says(&run("ip route"), &["default via 203.0.113.1 dev eth0"]);
    assert_settled(&mut gateway);

    gateway.learn(Learned::Lost { link: "eth0".into() });
    assert_eq!(run("ip -4 address show eth0"), "");
    assert_eq!(run("ip route show default"), "");
    assert!(gateway.leased().is_none());
    assert_settled(&mut gateway);

    gateway.learn(Learned::Lost { link: "eth9".into() });
    let ours = contract::learn::Lease { address: [192, 168, 1, 50].into(), ..lease(7) };
    gateway.learn(Learned::Lease(ours));
    assert_says(gateway.fault().unwrap(), &["lease of 192.168.1.50/24 on eth0", "not taken"]);
    assert_eq!(run("ip -4 address show eth0"), "");
    let one =
        contract::learn::Lease { prefix_length: 32, router: Some([198, 51, 100, 1].into()), ..lease(7) };
    gateway.learn(Learned::Lease(one));
    assert_says(&run("ip route"), &["default via 198.51.100.1 dev eth0"]);
    assert_settled(&mut gateway);
    gateway.learn(Learned::Lease(lease(9)));
    run("ip link del eth0");
    gateway.turn();
    assert_settled(&mut gateway);
    run("ip link add eth0 type veth peer name isp");
    gateway.turn();
    assert_says(&run("ip -4 address show eth0"), &["203.0.113.9/24"]);
    assert_settled(&mut gateway);
}

#[test]
fn a_service_gets_its_link_once() {
    if !enter("a_service_gets_its_link_once") {
        return;
    }
    plug_in();
    let mut gateway = gateway("service");
    let first = Namespace::make();
    let ask = |gateway: &mut Gateway, namespace: &Namespace| {
        let (namespace, inside) = namespace.copies();
        gateway.attach(attachment("hello", 3, 80), &namespace, inside).unwrap()
    };
    assert_eq!(ask(&mut gateway, &first).to_string(), "10.64.0.5");
    assert_says(&first.run("ip -4 address"), &["lo", "10.64.0.5/32", "eth0", "state UP"]);
    assert_says(
        &first.run("ip route"),
        &["default via 10.64.0.1 dev eth0", "10.64.0.1 dev eth0 proto static scope link"],
    );
    assert_says(&run("ip -4 address show svc-3"), &["10.64.0.1/32", "UP"]);
    assert_says(&run("ip route"), &["10.64.0.5 dev svc-3"]);
    let (before, link) = (gateway.changes(), run("ip -o link show svc-3"));
    ask(&mut gateway, &first);
    assert_eq!((gateway.changes(), run("ip -o link show svc-3")), (before, link.clone()), "asked twice");

    let second = Namespace::make();
    assert_eq!(ask(&mut gateway, &second).to_string(), "10.64.0.5");
    assert_says(&second.run("ip -4 address"), &["10.64.0.5/32"]);
    assert!(!first.run("ip link").contains("eth0"), "it has moved");
    assert_settled(&mut gateway);

    let third = Namespace::make();
    let (namespace, inside) = third.copies();
    let refused = gateway.attach(attachment("camera", 4, 80), &namespace, inside).unwrap_err().to_string();
    assert_says(&refused, &["port 80", "hello has it"]);
    let (namespace, inside) = third.copies();
    let refused = gateway.attach(attachment("camera", 4, 53), &namespace, inside).unwrap_err().to_string();
    assert_says(&refused, &["port 53", "the gateway itself"]);
    let (namespace, inside) = third.copies();
    assert!(gateway.attach(attachment("camera", 32, 0), &namespace, inside).is_err(), "no such slot");
    let (namespace, inside) = third.copies();
    gateway.attach(attachment("camera", 4, 8080), &namespace, inside).unwrap();

    gateway.detach("hello").unwrap();
    assert!(!run("ip link").contains("svc-3") && run("ip link").contains("svc-4"));
    assert!(!run("nft list ruleset").contains("hello"));
    gateway.detach("hello").unwrap();
    assert_settled(&mut gateway);
}

#[test]
fn the_next_life_adopts_what_is_right_and_drops_what_nobody_asks_for() {
    if !enter("the_next_life_adopts_what_is_right_and_drops_what_nobody_asks_for") {
        return;
    }
    plug_in();
    let path = configuration("adopts");
    let (hello, camera) = (Namespace::make(), Namespace::make());
    let attach = |gateway: &mut Gateway, name: &str, slot, at, namespace: &Namespace| {
        let (namespace, inside) = namespace.copies();
        gateway.attach(attachment(name, slot, at), &namespace, inside)
    };
    let mut life = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    life.turn();
    life.learn(Learned::Lease(lease(7)));
    attach(&mut life, "hello", 0, 80, &hello).unwrap();
    attach(&mut life, "camera", 1, 81, &camera).unwrap();
    drop(life);
    // Whether a link works is found out by the kernel in its own time.
    let links = || run("ip -o link").replace("state UNKNOWN", "state UP");
    let state = || links() + &run("ip -o -4 address") + &run("ip route") + &run("nft -a list ruleset");
    let before = state();

    let mut next = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    next.turn();
    assert_eq!((next.changes(), next.fault()), (0, None), "it touches nothing");
    attach(&mut next, "hello", 0, 80, &hello).unwrap();
    let new = Namespace::make();
    assert!(attach(&mut next, "game", 2, 0, &new).is_err(), "who is new waits until all have been adopted");
    attach(&mut next, "camera", 1, 81, &camera).unwrap();
    next.learn(Learned::Lease(lease(7)));
    assert_eq!((next.changes(), next.fault()), (0, None));
    assert_eq!(state(), before);
    attach(&mut next, "game", 2, 0, &new).unwrap();
    drop(next);

    let mut last = Gateway::open(path, 0).unwrap();
    attach(&mut last, "hello", 0, 80, &hello).unwrap();
    last.turn();
    assert!(!run("ip link").contains("svc-1") && !run("nft list ruleset").contains("camera"));
    assert_says(&run("ip -4 address"), &["203.0.113.7/24", "svc-0"]);
    assert_settled(&mut last);
}

#[test]
fn a_wrong_configuration_changes_nothing_and_a_new_one_moves_services() {
    if !enter("a_wrong_configuration_changes_nothing_and_a_new_one_moves_services") {
        return;
    }
    plug_in();
    let path = configuration("wrong");
    fs::write(&path, "nonsense").unwrap();
    let mut gateway = Gateway::open(path.clone(), ADOPT_MS).unwrap();
    gateway.turn();
    assert_eq!(gateway.changes(), 0);
    let service = Namespace::make();
    let (namespace, inside) = service.copies();
    let refused = gateway.attach(attachment("hello", 0, 80), &namespace, inside).unwrap_err().to_string();
    assert_says(&refused, &["network.toml", "line 1"]);
    fs::write(&path, CONFIGURATION).unwrap();
    let (namespace, inside) = service.copies();
    gateway.attach(attachment("hello", 0, 80), &namespace, inside).unwrap();
    let before = gateway.changes();
    fs::write(&path, CONFIGURATION.replace("prefix_length", "length")).unwrap();
    gateway.turn();
    assert_eq!(gateway.changes(), before, "what was there stays");
    fs::write(&path, CONFIGURATION.replace("10.64.0.0", "10.65.0.0").replace(".1.1\"", ".1.2\"")).unwrap();
    gateway.turn();
    assert_says(&service.run("ip -4 address"), &["10.65.0.2/32"]);
    assert_says(&run("ip -4 address"), &["10.65.0.1/32", "192.168.1.2/24"]);
    assert!(!service.run("ip -4 address").contains("10.64.") && !run("ip -4 address").contains("10.64."));
    assert!(!run("ip -4 address").contains("192.168.1.1/24"));
    assert_settled(&mut gateway);
}
