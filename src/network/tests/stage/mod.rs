//! Where the network is tried: user, network and process namespaces of the test's own, so that the machine sees nothing of it.
//!
//! In:  the name of a test. Out: that test, run again inside; or the reason why it cannot run here.
//!
//! Source: unshare(1), user_namespaces(7); ip(8) and nft(8) are the oracles.

#![allow(dead_code, reason = "no test needs all of it")]

pub(crate) mod neighbours;

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;

use contract::Name;
use contract::learn::Lease;
use contract::manifest::{Audience, Protocol, Serve};
use network::target::Attachment;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// Set in the process that runs inside: a folder of its own, which goes when it has ended.
const INSIDE: &str = "NETWORK_STAGE";
/// The configuration that is shipped.
pub(crate) const CONFIGURATION: &str = include_str!("../../../../rootfs/etc/shg/network.toml");

/// Is this the process inside? Else runs the test `name` there, and fails where that fails.
pub(crate) fn enter_stage(name: &str) -> bool {
    const UNSHARE: [&str; 7] =
        ["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    for program in ["ip", "nft", "nsenter"] {
        if Command::new(program).arg("--version").output().is_err() {
            println!("skipped: {name}: no {program} here");
            return false;
        }
    }
    let tried = Command::new("unshare").args(UNSHARE).args(["nft", "add", "table", "inet", "trial"]).output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: {name}: this machine gives us no network namespace with nftables: {tried:?}");
        return false;
    }
    let folder = std::env::temp_dir().join(format!("shg-network-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("--").arg(own).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    // What it says inside is said here only where it matters: a suite's words twice would be counted twice.
    let output = command.env(INSIDE, &folder).output();
    let _ = fs::remove_dir_all(&folder);
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: inside:\n{text}");
    let said = |line: &&str| line.starts_with("skipped") || line.starts_with("figure ");
    text.lines().filter(said).for_each(|line| println!("{line}"));
    false
}

/// Runs a command to its end and returns what it said.
pub(crate) fn run(words: &str) -> String {
    let mut words = words.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words.clone()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", words.collect::<Vec<_>>());
    String::from_utf8(output.stdout).unwrap()
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
        run(&format!("nsenter --net={} {words}", self.path()))
    }

    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    pub(crate) fn copies(&self) -> (OwnedFd, OwnedFd) {
        (self.namespace.try_clone().unwrap(), self.netlink.try_clone().unwrap())
    }
}

/// A folder of the test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(std::env::var_os(INSIDE).unwrap()).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
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
    }
}
