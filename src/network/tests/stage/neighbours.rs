//! A home, the Internet and two services around one gateway, each in a namespace of its own.
//!
//! In:  nothing. Out: all of them, plugged in; what becomes of an attempt to connect.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use contract::learn::{Learned, Lease};
use network::gateway::{ADOPT_MS, Gateway};

use super::{CONFIGURATION, Namespace, attachment, folder, lease, plug_in, run};

/// How long an answer may take on a busy machine: a few tries of TCP.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// How long to wait for an answer that should not come; the same way has had another one that did.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);
/// Where everybody listens.
pub(crate) const PORT: u16 = 8080;

/// The neighbourhood.
pub(crate) struct Neighbours {
    pub(crate) isp: Namespace,
    pub(crate) home: Namespace,
    pub(crate) hello: Namespace,
    pub(crate) camera: Namespace,
    pub(crate) gateway: Namespace,
}

/// What became of an attempt to connect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// The listener says from which address it came.
    From(IpAddr),
    /// An answer that says no.
    Refused,
    /// No answer.
    Silence,
}
impl Neighbours {
    pub(crate) fn make() -> (Self, Gateway) {
        Self::with("")
    }

    /// With more in the operator's file.
    pub(crate) fn with(more: &str) -> (Self, Gateway) {
        Self::on(&format!("{CONFIGURATION}\n{more}"), ("eth0", "isp"))
    }

    /// With this operator's file, on a line whose Internet play has this link at the gateway and that one at the provider: `isp`, or a VLAN
    /// link on it, `isp.N`.
    pub(crate) fn on(text: &str, (internet, provider): (&str, &str)) -> (Self, Gateway) {
        plug_in();
        let path = folder("packets").join("network.toml");
        std::fs::write(&path, text).unwrap();
        let mut gateway = Gateway::open(path, ADOPT_MS).unwrap();
        gateway.turn();
        gateway.learn(Learned::Lease(Lease { link: internet.into(), ..lease(7) }));
        let neighbours = Self {
            isp: Namespace::make(),
            home: Namespace::make(),
            hello: Namespace::make(),
            camera: Namespace::make(),
            gateway: Namespace::here(),
        };
        for (cable, at) in [("isp", &neighbours.isp), ("home", &neighbours.home)] {
            run(&format!("ip link set {cable} netns {}", at.path()));
            at.run(&format!("ip link set {cable} up"));
        }
        if let Some((_, id)) = provider.split_once('.') {
            neighbours.isp.run(&format!("ip link add link isp name {provider} type vlan id {id}"));
            neighbours.isp.run(&format!("ip link set {provider} up"));
        }
        neighbours.isp.run(&format!("ip address add 203.0.113.1/24 dev {provider}"));
        neighbours.isp.run(&format!("ip address add fd00::1/64 dev {provider} nodad"));
        // The provider's router would send what is for the home there: nothing but the gateway keeps it out.
        neighbours.isp.run("ip route add 192.168.1.0/24 via 203.0.113.7");
        neighbours.isp.run("ip route add 10.64.0.0/24 via 203.0.113.7");
        neighbours.home.run("ip address add 192.168.1.100/24 dev home");
        neighbours.home.run("ip route add default via 192.168.1.1");
        neighbours.home.run("ip address add fd01::100/64 dev home nodad");
        run(&format!("ip address add fd00::7/64 dev {internet} nodad"));
        run("ip address add fd01::1/64 dev br-lan nodad");
        for (name, slot, at) in [("hello", 0, 80), ("camera", 1, 0)] {
            let (namespace, inside) = [&neighbours.hello, &neighbours.camera][usize::from(slot)].copies();
            gateway.attach(attachment(name, slot, at), &namespace, inside).unwrap();
        }
        (neighbours, gateway)
    }

    /// Listens at `to`, connects from `client` to `target`.
    pub(crate) fn meet(
        &self,
        client: &Namespace,
        target: &str,
        to: &Namespace,
        (port, limit): (u16, Duration),
    ) -> Met {
        let any: IpAddr =
            if target.starts_with('[') { "::".parse().unwrap() } else { "0.0.0.0".parse().unwrap() };
        let listener = to.within(|| TcpListener::bind((any, port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let target: SocketAddr = target.parse().unwrap();
        let connected = client.within(|| TcpStream::connect_timeout(&target, limit));
        match connected {
            Ok(mut stream) => {
                // The client's last word of three may still be under way.
                let accepted = || listener.accept().ok();
                let (mut accepted, peer) = testbed::until("a connection", LIMIT.as_secs(), accepted);
                accepted.write_all(b"page").unwrap();
                let mut page = [0; 4];
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.read_exact(&mut page).unwrap();
                Met::From(peer.ip())
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Met::Silence,
            Err(_) => Met::Refused,
        }
    }

    /// The neighbours' link-layer addresses are known, so that the first attempt is not lost.
    pub(crate) fn warm_up(&self) {
        let _ = self.meet(&self.home, "203.0.113.1:8080", &self.isp, (PORT, LIMIT));
    }
}
