//! The stage for IPv6: providers that give prefixes, hosts that make addresses, and what a `network` would do between.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;
use std::process::Stdio;

use contract::learn::{Ipv6, Ipv6Wish, Learned, OnLink};
use contract::prefix::Prefix;
use contract::wanted::LanIpv6;

use super::{Program, Stage, at, ip, run, until};

/// The provider's own prefix on the link, and its address there.
pub(crate) const LINK: &str = "2001:db8:9::/64";
pub(crate) const ISP: &str = "2001:db8:9::1";
/// Somebody on the Internet, whom the gateway plays.
pub(crate) const OUTSIDE: &str = "2001:db8:ffff::1";

/// Is `program` on this machine? Else says that `test` is skipped.
pub(crate) fn has(test: &str, program: &str) -> bool {
    let found = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists());
    if !found {
        println!("skipped: {test}: no program {program}");
    }
    found
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

impl Stage {
    /// The stage with IPv6 only: this of the provider, this for the home. `lease` keeps what outlives a boot.
    pub(crate) fn with_ipv6(wish: Ipv6Wish, given: LanIpv6) -> Self {
        let mut stage = Self::new();
        fs::create_dir_all("/run/state").unwrap();
        // The kernel's own part on the WAN is off, as `network` has it; the gateway routes.
        fs::write("/proc/sys/net/ipv6/conf/wan/accept_ra", "0").unwrap();
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        run(&["ip", "address", "add", &format!("{OUTSIDE}/128"), "dev", "lo"]);
        ip("isp", &format!("address add {ISP}/64 dev eth0 nodad"));
        for client in &mut stage.wish.clients {
            (client.ipv4, client.ipv6) = (false, wish);
        }
        for server in &mut stage.wish.servers {
            (server.pool, server.ipv6) = (None, given);
            (server.default_router, server.mtu) = (true, 1_492);
            server.domain = "home.arpa".into();
        }
        if wish == Ipv6Wish::None {
            stage.wish.clients.clear();
        }
        if given == LanIpv6::None {
            stage.wish.servers.clear();
        }
        stage
    }

    /// As `network` does when prefixes come and go: they are the home's from now on, and we have an address in each.
    pub(crate) fn give(&mut self, prefixes: &[OnLink]) {
        run(&["ip", "-6", "address", "flush", "dev", "lan", "scope", "global"]);
        for on_link in prefixes {
            let address = format!("{}1/64", on_link.prefix.first());
            run(&["ip", "address", "add", &address, "dev", "lan", "nodad"]);
        }
        self.wish.servers[0].prefixes = prefixes.iter().copied().collect();
    }

    /// Waits until what is known of IPv6 is as `question` asks.
    pub(crate) fn ipv6(&mut self, what: &str, limit_s: u64, mut question: impl FnMut(&Ipv6) -> bool) -> Ipv6 {
        let mut last = None;
        for _ in 0..100 {
            let word = self.learned(limit_s);
            if let Learned::Ipv6(known) = &word
                && question(known)
            {
                return known.clone();
            }
            last = Some(word);
        }
        panic!("{what}: {last:?}\n{}", kea_log());
    }
}

pub(crate) fn told(text: &str, preferred_s: u32, valid_s: u32) -> OnLink {
    OnLink { prefix: prefix(text), preferred_s, valid_s }
}

/// A host's global addresses: each, and whether it is still preferred.
pub(crate) fn addresses(side: &str) -> Vec<(Ipv6Addr, bool)> {
    let words = ["ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "global", "-tentative"];
    let output = at(side, &words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let address = line.split_whitespace().skip_while(|word| *word != "inet6").nth(1)?;
        Some((address.split_once('/')?.0.parse().ok()?, !line.contains("deprecated")))
    };
    text.lines().filter_map(line).collect()
}

/// Waits until a host has a preferred address in `wanted`, and returns it.
pub(crate) fn has_address(side: &str, wanted: &str, limit_s: u64) -> Ipv6Addr {
    let holds = |own: &(Ipv6Addr, bool)| own.1 && prefix(wanted).holds(own.0.into());
    until(&format!("{side}: an address in {wanted}"), limit_s, || {
        addresses(side).into_iter().find(holds).map(|own| own.0)
    })
}

/// Waits until none of a host's addresses in `old` is preferred any more.
pub(crate) fn gives_up(side: &str, old: &str, limit_s: u64) {
    until(&format!("{side}: {old} is given up"), limit_s, || {
        let mut of_it = addresses(side).into_iter().filter(|own| prefix(old).holds(own.0.into()));
        of_it.all(|own| !own.1).then_some(())
    });
}

/// The address that a host speaks from to somebody on the Internet, who answers.
pub(crate) fn source(side: &str) -> Option<Ipv6Addr> {
    let output = at(side, &["ip", "-6", "route", "get", OUTSIDE]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = text.split_whitespace().skip_while(|word| *word != "src").nth(1)?.parse().ok()?;
    let ping = at(side, &["busybox", "ping6", "-c", "1", "-W", "1", OUTSIDE]).stdout(Stdio::null()).status();
    ping.unwrap().success().then_some(own)
}

/// Waits until a host speaks from `wanted` and is answered.
pub(crate) fn speaks_from(side: &str, wanted: &str, limit_s: u64) {
    until(&format!("{side}: speaks from {wanted}"), limit_s, || {
        source(side).filter(|own| prefix(wanted).holds((*own).into()))
    });
}

/// Kea at the provider's: an address of the link, and prefixes of 56 bits out of this one. It remembers nothing.
pub(crate) fn kea(pool: &str, length: u8) -> Program {
    let config = format!(
        r#"{{"Dhcp6": {{
            "interfaces-config": {{"interfaces": ["eth0"]}},
            "server-id": {{"type": "EN", "enterprise-id": 32473, "identifier": "0102030405", "persist": false}},
            "lease-database": {{"type": "memfile", "persist": false}},
            "renew-timer": 12, "rebind-timer": 20, "preferred-lifetime": 60, "valid-lifetime": 90,
            "option-data": [{{"name": "dns-servers", "data": "{ISP}"}}],
            "subnet6": [{{
                "id": 1, "subnet": "{LINK}", "interface": "eth0", "rapid-commit": false,
                "pools": [{{"pool": "2001:db8:9::100-2001:db8:9::1ff"}}],
                "pd-pools": [{{"prefix": "{pool}", "prefix-len": {length}, "delegated-len": 56}}]
            }}],
            "loggers": [{{"name": "kea-dhcp6", "severity": "DEBUG", "debuglevel": 55,
                "output_options": [{{"output": "stdout"}}]}}]
        }}}}"#
    );
    fs::write("/run/kea.json", config).unwrap();
    // It listens at the link-local address, once there is one.
    until("the provider's link-local address", 10, || {
        let words = ["ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "link", "-tentative"];
        (!at("isp", &words).output().unwrap().stdout.is_empty()).then_some(())
    });
    let log = fs::OpenOptions::new().create(true).append(true).open("/run/kea.log").unwrap();
    let mut command = at("isp", &["kea-dhcp6", "-c", "/run/kea.json"]);
    command.env("KEA_LOCKFILE_DIR", "none").env("KEA_PIDFILE_DIR", "/run");
    Program(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

pub(crate) fn kea_log() -> String {
    fs::read_to_string("/run/kea.log").unwrap_or_default()
}
