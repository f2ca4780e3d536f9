//! Where the network is tried: a machine with two links, and services' namespaces.
//!
//! In:  names of links and services. Out: descriptors of what was made. ip(8), nft(8) and tc(8) are the oracles.
//!
//! Source: `testbed`.

#![allow(dead_code, unused_imports, reason = "no test needs all of it")]

pub(crate) mod bulk;
pub(crate) mod frames;
pub(crate) mod neighbours;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use contract::Name;
use contract::learn::{Address6, Ipv6, Lease, OnLink};
use contract::manifest::{Audience, Protocol, Serve};
use network::target::Attachment;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
pub(crate) use testbed::folder;

/// The configuration that is shipped.
pub(crate) const CONFIGURATION: &str = include_str!("../../../../rootfs/etc/shg/network.toml");

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str) -> bool {
    testbed::enter(name, &["ip", "nft", "nsenter"], "nft add table inet trial")
}

/// Runs a line of words to its end, and returns what it wrote.
pub(crate) fn run(line: &str) -> String {
    testbed::run_at("", line)
}

/// The two links of the board, as pairs; their other ends are the cables.
pub(crate) fn plug_in() {
    for (link, cable) in [("eth0", "isp"), ("eth1", "home")] {
        run(&format!("ip link add {link} type veth peer name {cable}"));
        run(&format!("ip link set {cable} up"));
    }
}

/// A service's network namespace, and a socket that was opened inside, as the supervisor makes them.
pub(crate) struct Namespace {
    pub(crate) namespace: OwnedFd,
    pub(crate) netlink: OwnedFd,
}

impl Namespace {
    pub(crate) fn make() -> Self {
        let home = File::open("/proc/thread-self/ns/net").unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let made = Self::here();
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        made
    }

    /// Where the test itself is.
    pub(crate) fn here() -> Self {
        let namespace = OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap());
        let flags = SockFlag::SOCK_CLOEXEC;
        let netlink =
            socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute).unwrap();
        Self { namespace, netlink }
    }

    /// Does `work` inside, in a thread of its own, and returns what came of it.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    /// Runs a command inside.
    pub(crate) fn run(&self, words: &str) -> String {
        self.within(|| run(words))
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    pub(crate) fn copies(&self) -> (OwnedFd, OwnedFd) {
        (self.namespace.try_clone().unwrap(), self.netlink.try_clone().unwrap())
    }
}

/// A lease of the WAN's, with this last byte.
pub(crate) fn lease(last: u8) -> Lease {
    Lease {
        link: "eth0".into(),
        address: [203, 0, 113, last].into(),
        prefix_length: 24,
        router: Some([203, 0, 113, 1].into()),
        routes: heapless::Vec::new(),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
        sip_servers: heapless::Vec::new(),
        server: [203, 0, 113, 1].into(),
        lease_s: 600,
    }
}

/// A service that offers its page to the home.
pub(crate) fn attachment(name: &str, slot: u8, at: u16) -> Attachment {
    let page = Serve {
        name: Name::new("page").unwrap(),
        protocol: Protocol::Tcp,
        port: 8080,
        to: Audience::Home,
        at,
    };
    let (service, slice) = (Name::new(name).unwrap(), Name::new("demo").unwrap());
    Attachment {
        service,
        slice,
        slot,
        serves: vec![page],
        reaches: Default::default(),
        rates: Default::default(),
        slice_rates: Default::default(),
    }
}

/// What the operator says of IPv6 on `link`: an address, and prefixes, each preferred for so many seconds.
pub(crate) fn ipv6(link: &str, prefixes: &[(&str, u32)]) -> Ipv6 {
    let prefix = |(prefix, preferred_s): &(&str, u32)| OnLink {
        prefix: prefix.parse().unwrap(),
        preferred_s: *preferred_s,
        valid_s: 7_200,
    };
    let address = Address6 {
        address: "2001:db8:ff::7".parse().unwrap(),
        prefix_length: 64,
        preferred_s: 900,
        valid_s: 1_800,
    };
    Ipv6 {
        link: link.into(),
        router: "fe80::1".parse().ok(),
        mtu: 0,
        addresses: [address].into_iter().collect(),
        prefixes: prefixes.iter().map(prefix).collect(),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
    }
}
