//! The two neighbours of a gateway: an Internet provider and a host at home, each in a network namespace of its own.
//!
//! In:  namespaces of our own (`namespace.rs`), two datagram sockets to the emulator. Out: peers that we did not write, to run
//! commands in.
//!
//! ```text
//!  isp: web 198.51.100.80, DHCP ─ 203.0.113.1 eth0 ══ isp0 ─ pump ─ QEMU eth0 │gateway│ eth1 QEMU ─ pump ─ lan0 ══ eth0 :lan
//! ```
//!
//! With VLANs (`make_tagged`) eth0 at the provider's is untagged, and each VLAN has a link beside it, `eth10` for VLAN 10; the provider's
//! address and servers are then in the first of them.
//!
//! Addresses are of the blocks for documentation. Source: RFC 5737; ip-netns(8), dnsmasq(8), udhcpc of BusyBox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::error::Error;
use crate::house::Scratch;
use crate::pump::{Pump, Tags, sockets};
use crate::tool::{self, Bound};
use crate::wait;
use crate::{board::Port, namespace};

/// The provider's end of the WAN.
pub const ISP_ADDRESS: &str = "203.0.113.1";
/// The only address that its DHCP server gives out.
pub const WAN_ADDRESS: &str = "203.0.113.50";
/// A web server of the Internet, one hop behind the provider.
pub const WEB_ADDRESS: &str = "198.51.100.80";
/// What its page says.
pub const WEB_PAGE: &str = "a page of the Internet\n";
/// How long the provider's lease is: the shortest that dnsmasq gives.
const LEASE: &str = "2m";

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The provider: behind the gateway's WAN.
    Isp,
    /// The host at home: in its LAN.
    Lan,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Isp => "isp",
            Self::Lan => "lan",
        }
    }
}

/// Both neighbours, and the pumps to the emulator.
#[derive(Debug)]
pub struct Topology {
    // Dropped in this order: servers, pumps, files.
    servers: Vec<Bound>,
    pumps: Vec<Pump>,
    scratch: Scratch,
}

impl Topology {
    /// Makes the namespaces and plugs both pumps in; the provider's servers answer when this returns.
    ///
    /// # Errors
    /// [`Error::Missing`]: a program is not installed, or we are not inside. [`Error::Tool`]: a step failed.
    pub fn make() -> Result<Self, Error> {
        Self::make_tagged(&[])
    }

    /// As [`Topology::make`], with a provider who has these VLANs, the Internet's first.
    ///
    /// # Errors
    /// As [`Topology::make`].
    pub fn make_tagged(vlans: &[u16]) -> Result<Self, Error> {
        for (program, package) in NEEDED {
            tool::need(program, package)?;
        }
        if !namespace::inside() {
            let remedy = "lab::namespace::enter first".to_owned();
            return Err(Error::Missing { what: "namespaces of our own".to_owned(), remedy });
        }
        let scratch = Scratch::new()?;
        let mut topology = Self { servers: Vec::new(), pumps: Vec::new(), scratch };
        private_run()?;
        topology.join(Side::Isp, vlans)?;
        topology.join(Side::Lan, &[])?;
        topology.serve(&vlan_link(vlans.first().copied().unwrap_or(0)))?;
        Ok(topology)
    }

    /// The port of the board that leads to `side`.
    #[must_use]
    pub fn port(&self, side: Side) -> Port {
        let (ours, theirs) = sockets(|name| self.scratch.file(name), side.word());
        Port::Pump { ours, theirs }
    }

    /// A command that runs at `side`: what it prints is for the caller.
    #[must_use]
    pub fn command(&self, side: Side, words: &[&str]) -> Command {
        inside(tool::command("nsenter"), side, words)
    }

    /// Runs `words` at `side` to their end.
    ///
    /// # Errors
    /// [`Error::Tool`]: it failed; the text has its last words.
    pub fn run(&self, side: Side, words: &[&str]) -> Result<Output, Error> {
        tool::finish(words.first().copied().unwrap_or_default(), self.command(side, words).output())
    }

    /// Starts `words` at `side`; it runs until the topology is dropped.
    ///
    /// # Errors
    /// [`Error::Tool`]: it cannot be started.
    pub fn start(&mut self, side: Side, words: &[&str]) -> Result<(), Error> {
        let mut command = inside(tool::bound("nsenter"), side, words);
        let log = self.scratch.file(&format!("{}-{}.log", side.word(), self.servers.len()));
        let file = fs::File::create(&log).map_err(Error::path(&log))?;
        let other = file.try_clone().map_err(Error::path(&log))?;
        self.servers.push(Bound::start(command.stdout(file).stderr(other))?);
        Ok(())
    }

    /// Fetches a page from `side`: its text, and why not in one word if there is none (`refused`, `timeout`, or curl's code).
    ///
    /// # Errors
    /// [`Error::Tool`]: there is no curl.
    pub fn fetch(&self, side: Side, url: &str, limit: Duration) -> Result<Result<String, String>, Error> {
        let limit = limit.as_secs().max(1).to_string();
        let words = ["curl", "-sS", "--fail", "--noproxy", "*", "--max-time", &limit, url];
        let output = self.command(side, &words).output();
        let output =
            output.map_err(|error| Error::Tool { program: "curl".to_owned(), why: error.to_string() })?;
        // Source: curl(1), EXIT CODES.
        Ok(match output.status.code() {
            Some(0) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(7) => Err("refused".to_owned()),
            Some(28) => Err("timeout".to_owned()),
            other => Err(format!("curl {}", other.map_or("killed".to_owned(), |code| code.to_string()))),
        })
    }

    /// Lets the host at home ask for an address, until it has one, and returns it.
    ///
    /// # Errors
    /// [`Error::Late`]: nobody gave it one within `limit`.
    pub fn lan_lease(&self, limit: Duration) -> Result<String, Error> {
        let script = self.scratch.file("lan-lease.sh");
        let words = script.display().to_string();
        fs::write(&script, LEASE_SCRIPT).map_err(Error::path(&script))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).map_err(Error::path(&script))?;
        wait::until("an address for the host at home", limit, || {
            let ask =
                ["busybox", "udhcpc", "-n", "-q", "-f", "-t", "3", "-T", "2", "-i", "eth0", "-s", &words];
            let _ = self.command(Side::Lan, &ask).output();
            self.address(Side::Lan)
        })
    }

    /// The first IPv4 address of eth0 at `side`.
    ///
    /// # Errors
    /// [`Error::Tool`]: ip(8).
    pub fn address(&self, side: Side) -> Result<Option<String>, Error> {
        let output = self.run(side, &["ip", "-4", "-o", "address", "show", "dev", "eth0"])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let word = text.split_whitespace().skip_while(|word| *word != "inet").nth(1);
        Ok(word.and_then(|word| word.split('/').next()).map(str::to_owned))
    }

    /// What the gateway has sent to the provider until now, in frames by VLAN and priority.
    #[must_use]
    pub fn tags(&self) -> Tags {
        self.pumps.first().map(Pump::tags).unwrap_or_default()
    }

    /// One file of the provider's or of the host's, for servers that need one.
    #[must_use]
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.scratch.file(name)
    }

    fn join(&mut self, side: Side, vlans: &[u16]) -> Result<(), Error> {
        let name = side.word();
        tool::run("ip", &["netns", "add", name])?;
        self.run(side, &["ip", "link", "set", "lo", "up"])?;
        let mut links = Vec::new();
        for vlan in [0].iter().chain(vlans) {
            let (near, far) = (format!("{name}{vlan}"), vlan_link(*vlan));
            tool::run("ip", &["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name])?;
            // The kernel at the pump's end has nothing to say.
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{near}/disable_ipv6"), "1");
            const OFFLOADS: [&str; 10] = ["rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
            tool::run("ethtool", &[["-K", &near].as_slice(), &OFFLOADS].concat())?;
            self.run(side, &[["ethtool", "-K", &far].as_slice(), &OFFLOADS].concat())?;
            tool::run("ip", &["link", "set", &near, "up"])?;
            self.run(side, &["ip", "link", "set", &far, "up"])?;
            links.push((near, *vlan));
        }
        let (ours, theirs) = sockets(|file| self.scratch.file(file), name);
        self.pumps.push(Pump::start(&links, &theirs, &ours)?);
        Ok(())
    }

    /// The provider: an address, a web server behind it, a DHCP server.
    fn serve(&mut self, link: &str) -> Result<(), Error> {
        self.run(Side::Isp, &["ip", "address", "add", &format!("{ISP_ADDRESS}/24"), "dev", link])?;
        self.run(Side::Isp, &["ip", "address", "add", &format!("{WEB_ADDRESS}/32"), "dev", "lo"])?;
        let pages = self.scratch.file("pages");
        crate::house::make_folder(&pages)?;
        let page = pages.join("index.html");
        fs::write(&page, WEB_PAGE).map_err(Error::path(&page))?;
        self.start(Side::Isp, &["busybox", "httpd", "-f", "-p", "80", "-h", &pages.display().to_string()])?;
        let range = format!("--dhcp-range={WAN_ADDRESS},{WAN_ADDRESS},{LEASE}");
        let leases = format!("--dhcp-leasefile={}", self.scratch.file("isp.leases").display());
        let servers = format!("--dhcp-option=option:dns-server,{ISP_ADDRESS}");
        // Not as a daemon: it would change its user, which a namespace with one user refuses.
        let words =
            ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--port=0"];
        let interface = format!("--interface={link}");
        let more = [&interface, "--bind-interfaces", "--dhcp-authoritative", "--no-ping", "--log-dhcp"];
        self.start(Side::Isp, &[&words[..], &more, &[&range, &leases, &servers]].concat())?;
        let own = format!("http://{WEB_ADDRESS}/");
        wait::until("the provider's web server", Duration::from_secs(20), || {
            Ok(self.fetch(Side::Isp, &own, Duration::from_secs(5))?.ok())
        })?;
        Ok(())
    }
}

/// The provider's link of a VLAN; 0: of untagged frames.
fn vlan_link(vlan: u16) -> String {
    format!("eth{vlan}")
}

/// What stands between us and a namespace's program.
fn inside(mut command: Command, side: Side, words: &[&str]) -> Command {
    command.arg(format!("--net=/run/netns/{}", side.word())).arg("--").args(words);
    command
}

/// A `/run` of our own, where ip(8) keeps the names of network namespaces; more room in datagram sockets.
fn private_run() -> Result<(), Error> {
    if !Path::new("/run/netns").exists() || !fs::exists("/run/lab").unwrap_or(false) {
        tool::run("mount", &["-t", "tmpfs", "tmpfs", "/run"])?;
        crate::house::make_folder(Path::new("/run/lab"))?;
    }
    // Ten datagrams, the usual length of a queue, are less than one window of TCP. Source: unix(7), max_dgram_qlen.
    let _ = fs::write("/proc/sys/net/unix/max_dgram_qlen", "512");
    tool::run("ip", &["link", "set", "lo", "up"]).map(drop)
}

/// Programs that the neighbours are made of, and Debian's packages.
const NEEDED: [(&str, &str); 7] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("dnsmasq", "dnsmasq-base"),
    ("busybox", "busybox"),
    ("curl", "curl"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];

/// What the host at home does with a lease. Source: udhcpc of BusyBox, its environment.
const LEASE_SCRIPT: &str = "#!/bin/sh
case $1 in
bound | renew)
    ip address flush dev \"$interface\"
    ip address add \"$ip/$mask\" dev \"$interface\"
    for hop in $router; do ip route replace default via \"$hop\" dev \"$interface\"; done
    ;;
esac
";
