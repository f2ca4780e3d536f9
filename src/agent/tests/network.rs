//! The network in the tree: read, changed as a whole or not at all, and taken back where the controller was cut off.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

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
