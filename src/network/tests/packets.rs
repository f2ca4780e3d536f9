//! Who reaches whom, with real packets: a home, the Internet and two services around one gateway, each in a namespace of its own.
//!
//! The rows are those of docs/firewall.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use stage::neighbours::Met::{From as Reached, Refused, Silence};
use stage::neighbours::{LIMIT, Met, Neighbours, PORT, SILENCE};
use stage::{Namespace, enter, run};

fn from(text: &str) -> Met {
    Reached(text.parse().unwrap())
}

#[test]
fn who_may_open_a_connection_to_whom() {
    if !enter("who_may_open_a_connection_to_whom") {
        return;
    }
    let (all, mut gateway) = Neighbours::make();
    all.warm_up();
    let Neighbours { isp, home, hello, camera, gateway: own } = &all;
    // what, from, to which address, who listens there and where, what happens
    let table = [
        ("home to Internet", home, "203.0.113.1:8080", isp, PORT, from("203.0.113.7")),
        ("home to a service", home, "10.64.0.2:8080", hello, PORT, from("192.168.1.100")),
        (
            "home to a service, by the gateway's port",
            home,
            "192.168.1.1:80",
            hello,
            PORT,
            from("192.168.1.100"),
        ),
        (
            "home to a service that has no port at the gateway",
            home,
            "10.64.0.3:8080",
            camera,
            PORT,
            from("192.168.1.100"),
        ),
        ("home to another port of a service", home, "10.64.0.2:81", hello, 81, Refused),
        ("home to the gateway", home, "192.168.1.1:8080", own, PORT, Refused),
        ("home to the gateway's name server", home, "192.168.1.1:53", own, 53, from("192.168.1.100")),
        ("home to the gateway, IPv6", home, "[fd01::1]:8080", own, PORT, Refused),
        ("a service to the Internet", hello, "203.0.113.1:8080", isp, PORT, from("203.0.113.7")),
        ("a service to the home", hello, "192.168.1.100:8080", home, PORT, Refused),
        ("a service to the gateway", hello, "10.64.0.1:8080", own, PORT, Refused),
        ("a service to the gateway's LAN address", hello, "192.168.1.1:53", own, 53, Refused),
        ("a service to another one", hello, "10.64.0.3:8080", camera, PORT, Refused),
        ("a service to another one's port at the gateway", camera, "192.168.1.1:80", hello, PORT, Refused),
        ("Internet to the gateway", isp, "203.0.113.7:8080", own, PORT, Silence),
        ("Internet to the gateway's name server", isp, "203.0.113.7:53", own, 53, Silence),
        ("Internet to the gateway's LAN address", isp, "192.168.1.1:53", own, 53, Silence),
        ("Internet to the home's port of a service", isp, "203.0.113.7:80", hello, PORT, Silence),
        ("Internet to the gateway, IPv6", isp, "[fd00::7]:8080", own, PORT, Silence),
        ("Internet to the home", isp, "192.168.1.100:8080", home, PORT, Silence),
        ("Internet to a service", isp, "10.64.0.2:8080", hello, PORT, Silence),
    ];
    for (what, client, target, server, port, met) in table {
        let limit = if met == Silence { SILENCE } else { LIMIT };
        assert_eq!(all.meet(client, target, server, (port, limit)), met, "{what}");
    }
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

#[test]
fn the_agent_is_called_from_where_the_operator_says() {
    if !enter("the_agent_is_called_from_where_the_operator_says") {
        return;
    }
    let (all, mut gateway) = Neighbours::with(
        "[[management]]\nfrom = \"203.0.113.0/30\"\nport = 8443\n[[management]]\nfrom = \"192.168.1.100/32\"\nport = 8444\n",
    );
    all.warm_up();
    let Neighbours { isp, home, hello, gateway: own, .. } = &all;
    let table = [
        ("the operator", isp, "203.0.113.7:8443", own, 8443, from("203.0.113.1")),
        ("his, at the home's port", isp, "203.0.113.7:8444", own, 8444, Silence),
        ("his, at another port", isp, "203.0.113.7:8080", own, PORT, Silence),
        ("a host at home", home, "192.168.1.1:8444", own, 8444, from("192.168.1.100")),
        ("it, at the operator's port", home, "192.168.1.1:8443", own, 8443, Refused),
        ("a service", hello, "10.64.0.1:8443", own, 8443, Refused),
    ];
    for (what, client, target, server, port, met) in table {
        let limit = if met == Silence { SILENCE } else { LIMIT };
        assert_eq!(all.meet(client, target, server, (port, limit)), met, "{what}");
    }
    // Another one of the operator's link, who is not told.
    isp.run("ip address delete 203.0.113.1/24 dev isp");
    isp.run("ip address add 203.0.113.9/24 dev isp");
    assert_eq!(all.meet(isp, "203.0.113.7:8443", own, (8443, SILENCE)), Silence);
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

#[test]
fn nobody_speaks_in_another_ones_name() {
    if !enter("nobody_speaks_in_another_ones_name") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    let server = all.isp.within(|| UdpSocket::bind("203.0.113.1:9").unwrap());
    let say = |at: &Namespace, link: &str, address: &str, limit: Duration| {
        server.set_read_timeout(Some(limit)).unwrap();
        at.run(&format!("ip address replace {address}/32 dev {link}"));
        let socket = at.within(|| UdpSocket::bind((address, 0)).unwrap());
        socket.send_to(address.as_bytes(), "203.0.113.1:9").unwrap();
        let mut said = [0; 32];
        server
            .recv_from(&mut said)
            .map(|(length, from)| (said[..length].to_vec(), from.ip().to_string()))
            .ok()
    };
    let masked = |address: &str| Some((address.as_bytes().to_vec(), "203.0.113.7".to_owned()));
    assert_eq!(say(&all.hello, "eth0", "10.64.0.2", LIMIT), masked("10.64.0.2"), "its own");
    assert_eq!(say(&all.hello, "eth0", "10.64.0.3", SILENCE), None, "its neighbour's");
    assert_eq!(say(&all.hello, "eth0", "192.168.1.100", SILENCE), None, "somebody's at home");
    assert_eq!(say(&all.hello, "eth0", "203.0.113.7", SILENCE), None, "the gateway's");
    assert_eq!(say(&all.home, "home", "192.168.1.100", LIMIT), masked("192.168.1.100"), "its own");
    assert_eq!(say(&all.home, "home", "10.64.0.2", SILENCE), None, "a service's");
    assert_eq!(say(&all.home, "home", "198.51.100.9", SILENCE), None, "nobody's that we know");
}

#[test]
fn pings_are_answered_and_segments_fit() {
    if !enter("pings_are_answered_and_segments_fit") {
        return;
    }
    let (all, _gateway) = Neighbours::make();
    all.warm_up();
    // A path that is narrower than its ends, as PPPoE makes it.
    run("ip link set eth0 mtu 1400");
    let segment = |client: &Namespace, target: &str, server: &Namespace| {
        let listener = server.within(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
        let target: SocketAddr = target.parse().unwrap();
        let stream = client.within(|| TcpStream::connect_timeout(&target, LIMIT).unwrap());
        let accepted = listener.accept().unwrap().0;
        let largest = |stream: &TcpStream| {
            nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::TcpMaxSeg).unwrap()
        };
        (largest(&stream), largest(&accepted))
    };
    let (client, server) = segment(&all.home, "203.0.113.1:8080", &all.isp);
    assert!(client <= 1360 && server <= 1360, "{client} {server}: no more than 1400 less two headers");
    let (client, server) = segment(&all.home, "10.64.0.2:8080", &all.hello);
    assert!(client > 1400 && server > 1400, "{client} {server}: at home nothing is cut");

    let ping = |at: &Namespace, to: &str| {
        let pinged = at.within(|| {
            let kind = nix::sys::socket::SockType::Datagram;
            let family = nix::sys::socket::AddressFamily::Inet;
            let protocol = nix::sys::socket::SockProtocol::Icmp;
            std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap();
            let flags = nix::sys::socket::SockFlag::SOCK_CLOEXEC;
            let socket = UdpSocket::from(nix::sys::socket::socket(family, kind, flags, protocol).unwrap());
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            socket.send_to(&[8, 0, 0, 0, 0, 0, 0, 1], (to, 0)).unwrap();
            socket.recv_from(&mut [0; 64]).is_ok()
        });
        assert!(pinged, "{to}");
    };
    ping(&all.isp, "203.0.113.7");
    ping(&all.home, "192.168.1.1");
    ping(&all.home, "203.0.113.1");
    ping(&all.hello, "10.64.0.1");
    ping(&all.hello, "203.0.113.1");
}
