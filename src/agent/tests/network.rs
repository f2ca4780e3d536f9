//! The network in the tree: read, changed as a whole or not at all, and taken back where the controller was cut off.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stage::net::Net;
use stage::{Desk, House, broker, connected, daemon_said, enter, until, word};

fn get(desk: &mut Desk, path: &str) -> Value {
    desk.call("get", &json!([path]))
}

/// What the rooms say stands where TR-181 has it.
#[test]
fn the_network_is_read() {
    if !enter("the_network_is_read") {
        return;
    }
    let (_broker, _house, net) = (broker(""), House::begin(), Net::begin());
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let table = [
        ("Device.Ethernet.Interface.1.Name", "eth0"),
        ("Device.Ethernet.Interface.1.Upstream", "true"),
        ("Device.Ethernet.VLANTermination.2.VLANID", "20"),
        ("Device.Ethernet.VLANTermination.2.LowerLayers", "Device.Ethernet.Link.1"),
        ("Device.Ethernet.Link.1.LowerLayers", "Device.Ethernet.Interface.1"),
        ("Device.Bridging.Bridge.1.Port.3.LowerLayers", "Device.Ethernet.Interface.2"),
        ("Device.IP.Interface.1.LowerLayers", "Device.Ethernet.Link.1"),
        ("Device.IP.Interface.2.LowerLayers", "Device.Ethernet.VLANTermination.2"),
        ("Device.IP.Interface.4.LowerLayers", "Device.Ethernet.Link.2"),
        ("Device.IP.Interface.1.IPv4Address.1.IPAddress", "203.0.113.7"),
        ("Device.IP.Interface.1.IPv4Address.1.AddressingType", "DHCP"),
        ("Device.IP.Interface.4.IPv4Address.2.SubnetMask", "255.255.255.0"),
        ("Device.Routing.Router.1.IPv4Forwarding.1.GatewayIPAddress", "203.0.113.1"),
        ("Device.Routing.Router.1.IPv4Forwarding.1.Interface", "Device.IP.Interface.1"),
        ("Device.RouterAdvertisement.InterfaceSetting.4.Enable", "true"),
        ("Device.DHCPv4.Client.1.DHCPStatus", "Bound"),
        ("Device.DHCPv4.Client.1.DNSServers", "203.0.113.53"),
        ("Device.DHCPv4.Server.Pool.1.MinAddress", "192.168.1.100"),
        ("Device.DHCPv4.Server.Pool.1.Client.1.Chaddr", "02:00:00:00:00:10"),
        ("Device.DHCPv6.Client.1.Enable", "true"),
        ("Device.DNS.Client.Server.1.Type", "DHCPv4"),
        ("Device.NAT.PortMappingNumberOfEntries", "0"),
        ("Device.QoS.Shaper.1.ShapingRate", "20000000"),
        ("Device.QoS.QueueStats.1.DroppedPackets", "2"),
        ("Device.Hosts.Host.1.HostName", "tablet"),
        ("Device.Hosts.Host.1.Layer3Interface", "Device.IP.Interface.4"),
        ("Device.Time.Client.1.Mode", "Unicast"),
    ];
    for (path, want) in table {
        assert_eq!(get(&mut desk, path), json!(want), "{path}");
    }
    // A port that a host has asked for has a row that only the host takes away.
    net.0.lock().unwrap().asked = true;
    let row = until("its row", 5, || {
        let rows = desk.call("instances", &json!(["Device.NAT.PortMapping."])).to_string();
        rows.contains("PortMapping.1.").then_some("Device.NAT.PortMapping.1.")
    });
    let asked = get(&mut desk, row);
    assert_eq!((&asked["ExternalPort"], &asked["InternalPort"]), (&json!("4000"), &json!("5000")), "{asked}");
    let why = desk.fails("del", &json!([row]));
    assert!(why.to_string().contains("7013"), "{why}");
}

/// A session, and what leads into the home, by both families.
const SESSION: &str = concat!(
    include_str!("../../../docs/examples/pppoe.toml"),
    "[[forward]]\nname = 'page'\nport = 8000\nlast = 8010\nto = '192.168.1.100'\nfrom = '198.51.100.0/24'\ndescription = 'a page'\n",
    "[[pinhole]]\nname = 'console'\nprotocol = 'udp'\nport = 5000\nto = '::1:2:3:4'\nfrom = '2001:db8:9::/48'\n",
);

/// A play by PPP, and the firewall's tables.
#[test]
fn a_session_and_the_firewall_are_read() {
    if !enter("a_session_and_the_firewall_are_read") {
        return;
    }
    let (_broker, _house, net) = (broker(""), House::begin(), Net::of(SESSION));
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let table = [
        ("Device.PPP.InterfaceNumberOfEntries", "1"),
        ("Device.PPP.Interface.1.Name", "ppp0"),
        ("Device.PPP.Interface.1.LowerLayers", "Device.Ethernet.VLANTermination.1"),
        ("Device.IP.Interface.1.LowerLayers", "Device.PPP.Interface.1"),
        ("Device.IP.Interface.1.IPv4Address.1.IPAddress", "203.0.113.7"),
        ("Device.IP.Interface.1.IPv4Address.1.AddressingType", "IPCP"),
        ("Device.PPP.Interface.1.ConnectionStatus", "Connected"),
        ("Device.PPP.Interface.1.X_SHG_LastReason", "the peer has ended the one before"),
        ("Device.PPP.Interface.1.Username", "subscriber@isp.example"),
        ("Device.PPP.Interface.1.Password", ""),
        ("Device.PPP.Interface.1.CurrentMRUSize", "1492"),
        ("Device.PPP.Interface.1.IPv6CPEnable", "true"),
        ("Device.PPP.Interface.1.PPPoE.ServiceName", ""),
        ("Device.PPP.Interface.1.IPCP.LocalIPAddress", "203.0.113.7"),
        ("Device.PPP.Interface.1.IPCP.RemoteIPAddress", "203.0.113.1"),
        ("Device.PPP.Interface.1.IPCP.DNSServers", "203.0.113.53"),
        ("Device.PPP.Interface.1.IPv6CP.LocalInterfaceIdentifier", "::200:ff:fe00:7"),
        ("Device.PPP.Interface.1.IPv6CP.RemoteInterfaceIdentifier", "::1"),
        ("Device.Firewall.Config", "High"),
        ("Device.Firewall.Type", "Stateful"),
        ("Device.Firewall.PinholeNumberOfEntries", "1"),
        ("Device.Firewall.Pinhole.1.Status", "Enabled"),
        ("Device.Firewall.Pinhole.1.Origin", "Controller"),
        ("Device.Firewall.Pinhole.1.DestIP", "::1:2:3:4"),
        ("Device.Firewall.Pinhole.1.DestPort", "5000"),
        ("Device.Firewall.Pinhole.1.Protocol", "17"),
        ("Device.Firewall.Pinhole.1.SourcePrefixes", "2001:db8:9::/48"),
        ("Device.NAT.PortMapping.1.Status", "Enabled"),
        ("Device.NAT.PortMapping.1.ExternalPort", "8000"),
        ("Device.NAT.PortMapping.1.ExternalPortEndRange", "8010"),
        ("Device.NAT.PortMapping.1.Protocol", "TCP"),
        ("Device.NAT.PortMapping.1.InternalClient", "192.168.1.100"),
        ("Device.NAT.PortMapping.1.RemoteHost", "198.51.100.0/24"),
        ("Device.NAT.PortMapping.1.Description", "a page"),
    ];
    for (path, want) in table {
        assert_eq!(get(&mut desk, path), json!(want), "{path}");
    }
    // A pinhole that a host has asked for is the host's; and a session that has ended says so.
    let mut state = net.0.lock().unwrap();
    (state.asked, state.session) = (true, "SEARCHING");
    drop(state);
    let asked = "Device.Firewall.Pinhole.2.";
    until("its row", 5, || {
        desk.call("instances", &json!(["Device.Firewall.Pinhole."])).to_string().contains(asked).then_some(())
    });
    let row = get(&mut desk, asked);
    let of = |name: &str| row[name].as_str().unwrap().to_owned();
    assert_eq!(["Origin", "DestIP", "DestPort", "Protocol"].map(of), ["User", "2001:db8::10", "6000", "6"]);
    let why = desk.fails("del", &json!([asked]));
    assert!(why.to_string().contains("7013"), "{why}");
    assert_eq!(get(&mut desk, "Device.PPP.Interface.1.ConnectionStatus"), json!("Connecting"));
    assert_eq!(get(&mut desk, "Device.PPP.Interface.1.IPCP.LocalIPAddress"), json!(""));
}

/// The kernel says that something is another.
fn stir(number: usize) {
    testbed::run(&["ip", "address", "add", &format!("127.9.0.{number}/32"), "dev", "lo"]);
}

/// Has changes of the number of ports told.
fn subscribe(desk: &mut Desk) {
    let wish = json!({
        "ID": "ports", "NotifType": "ValueChange", "ReferenceList": "Device.NAT.PortMappingNumberOfEntries",
        "Enable": "true",
    });
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
}

/// Changes that come one soon after the other are told each for itself: with a look a second the fifth would come after four.
#[test]
fn changes_are_told_at_once() {
    if !enter("changes_are_told_at_once") {
        return;
    }
    let (_broker, _house, net) = (broker(""), House::begin(), Net::begin());
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    subscribe(&mut desk);
    let began = Instant::now();
    let told = (1..=5).map(|number| {
        let one = Instant::now();
        net.0.lock().unwrap().asked = number % 2 == 1;
        stir(number);
        let notice = desk.notice();
        assert!(notice.to_string().contains("PortMappingNumberOfEntries"), "{notice}");
        one.elapsed()
    });
    let told: Vec<Duration> = told.collect();
    println!("told after {told:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{told:?}");
}

/// News of the kernel's without end are not looked at without end, and a change in them is told all the same.
#[test]
fn a_flood_of_news_costs_little() {
    const SPAN: Duration = Duration::from_secs(4);
    /// Looks at once; one comes a second.
    const AT_ONCE: usize = 5;
    if !enter("a_flood_of_news_costs_little") {
        return;
    }
    let (_broker, _house, net) = (broker(""), House::begin(), Net::begin());
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    subscribe(&mut desk);
    let lines: String = (1..=100)
        .map(|number| {
            let one = format!("127.8.0.{number}/32 dev lo\n");
            format!("address add {one}address del {one}")
        })
        .collect();
    fs::write("/run/flood", lines).unwrap();
    let looks = || net.0.lock().unwrap().looks;
    let (began, before) = (Instant::now(), looks());
    while began.elapsed() < SPAN {
        testbed::run(&["ip", "-batch", "/run/flood"]);
    }
    let looked = looks() - before;
    let may = AT_ONCE + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    println!("{looked} looks, {may} at most");
    assert!((1..=may).contains(&looked), "{looked} looks, {may} at most");
    net.0.lock().unwrap().asked = true;
    testbed::run(&["ip", "-batch", "/run/flood"]);
    assert!(desk.notice().to_string().contains("PortMappingNumberOfEntries"));
}

/// A Set is a transaction, an Add makes a row that holds once it is enabled, and all of it is kept once we are heard again.
/// Shows R-SET.1, R-ADD.3, R-ADD.5, R-ADD.1.
#[test]
fn the_network_is_changed() {
    if !enter("the_network_is_changed") {
        return;
    }
    let (_broker, _house, net) = (broker(""), House::begin(), Net::begin());
    let _daemon = connected(&word(""));
    let mut desk = Desk::connect(&json!({}));
    let changes = || net.0.lock().unwrap().changes;
    // A rule of the whole is broken by one of its parts: nothing of it is done.
    let why = desk.fails(
        "set",
        &json!(["Device.DHCPv4.Server.Pool.1.", {"MinAddress": "10.0.0.1", "LeaseTime": "600", "allowPartial": false}]),
    );
    assert!(why.to_string().contains("lan.dhcp"), "{why}");
    assert_eq!(get(&mut desk, "Device.DHCPv4.Server.Pool.1.LeaseTime"), json!("43200"), "nothing of it");
    assert_eq!(changes(), 0);
    desk.call(
        "set",
        &json!(["Device.DHCPv4.Server.Pool.1.", {"MinAddress": "192.168.1.50", "LeaseTime": "600"}]),
    );
    assert_eq!(net.0.lock().unwrap().wanted.lan.dhcp.unwrap().lease_s, 600);
    assert_eq!(get(&mut desk, "Device.X_SHG_Network.OnTrial"), json!("true"));
    // The standard's answer to a port for a game.
    let wish = json!({
        "Enable": "true", "ExternalPort": "3074", "InternalPort": "3075", "Protocol": "UDP",
        "InternalClient": "192.168.1.100", "Description": "a game of chess",
    });
    assert_eq!(
        desk.call("add", &json!(["Device.NAT.PortMapping.", wish])),
        json!("Device.NAT.PortMapping.1.")
    );
    let forward = net.0.lock().unwrap().wanted.forward[0].clone();
    assert_eq!(
        (forward.port, forward.to_port, forward.description.as_str()),
        (3074, 3075, "a game of chess")
    );
    let why = desk.fails("add", &json!(["Device.NAT.PortMapping.", {"Enable": "true"}]));
    assert!(why.to_string().contains("forward"), "without a port it cannot hold: {why}");
    assert_eq!(desk.call("add", &json!(["Device.NAT.PortMapping.", {}])), json!("Device.NAT.PortMapping.2."));
    assert_eq!(get(&mut desk, "Device.NAT.PortMapping.2.Status"), json!("Disabled"));
    desk.call("del", &json!(["Device.NAT.PortMapping.2."]));
    let kept = json!({"Enable": "true", "Chaddr": "02:00:00:00:00:99", "Yiaddr": "192.168.1.20"});
    let row = desk.call("add", &json!(["Device.DHCPv4.Server.Pool.1.StaticAddress.", kept]));
    let row = row.as_str().unwrap().to_owned();
    assert_eq!(get(&mut desk, &format!("{row}Chaddr")), json!("02:00:00:00:00:99"), "its row stays its own");
    desk.call("set", &json!(["Device.Time.NTPServer1", "ntp.isp.example"]));
    desk.call("set", &json!(["Device.QoS.Shaper.2.ShapingRate", "250000000"]));
    let state = || {
        let state = net.0.lock().unwrap();
        (state.trial.is_some(), state.kept)
    };
    until("it is kept", 20, || (state() == (false, 1)).then_some(()));
    let wanted = net.0.lock().unwrap().wanted.clone();
    assert_eq!(wanted.qos.unwrap().down_kbit_s, 250_000);
    assert_eq!((wanted.forward.len(), wanted.time.server.len(), wanted.lan.reservation.len()), (1, 1, 1));
    until("it is read", 5, || {
        (get(&mut desk, "Device.X_SHG_Network.OnTrial") == json!("false")).then_some(())
    });
}

/// A Set that cuts the controller off undoes itself, and he hears of it.
#[test]
fn a_change_that_cuts_us_off_is_taken_back() {
    if !enter("a_change_that_cuts_us_off_is_taken_back") {
        return;
    }
    let (first, _house, net) = (broker(""), House::begin(), Net::begin());
    let _daemon = connected(&format!("confirm_within_s = 12\n{}", word("")));
    let mut desk = Desk::connect(&json!({}));
    let wish = json!({
        "ID": "back", "NotifType": "Event", "ReferenceList": "Device.X_SHG_Network.Reverted!", "Enable": "true",
        "NotifRetry": "true", "Persistent": "true",
    });
    desk.call("add", &json!(["Device.LocalAgent.Subscription.", wish]));
    desk.call("set", &json!(["Device.IP.Interface.1.X_SHG_VLANID", "77"]));
    // The way to the broker is gone with it.
    drop(desk);
    drop(first);
    assert_eq!(net.0.lock().unwrap().wanted.internet.vlan, 77);
    until("it is taken back", 30, || (net.0.lock().unwrap().wanted.internet.vlan == 0).then_some(()));
    let _second = broker("");
    // usp-js stumbles over the record that says that we are there.
    until("it is there again", 30, || (daemon_said().matches(": connected").count() == 2).then_some(()));
    let mut desk = Desk::connect(&json!({}));
    let notice = desk.notice();
    assert!(notice.to_string().contains("Reverted!"), "{notice}");
    assert_eq!(net.0.lock().unwrap().kept, 0);
    assert_eq!(get(&mut desk, "Device.IP.Interface.1.X_SHG_VLANID"), json!("0"));
}
