//! PPPoE against pppoe-server and pppd, in the provider's guest: VLAN 10, CHAP and PAP, both families, and all that ends a session.
//!
//! In:  the test root, a network with PPPoE. Out: passed, failed, or `skipped: ` and why.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use lab::error::Error;
use lab::facts::Session;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::provider::Provider;
use lab::topology::Side;
use lab::{facts, namespace};

/// The provider's addresses, and a host of the Internet behind it. Source: RFC 5737.
const PROVIDER: &str = "203.0.113.1";
const FIRST: &str = "203.0.113.50";
const WEB: &str = "198.51.100.80";
/// The same in IPv6, what the home gets of it, and who asks: our DUID-LL. Source: RFC 3849; RFC 8415 §11.4.
const WEB6: &str = "2001:db8:9::9";
const HOME6: &str = "2001:db8:77:";
const DUID: &str = "00:03:00:01:52:54:00:53:48:01";
/// The largest packet of a session. Source: RFC 2516 §7; RFC 4638 §3, where both sides and the line carry it.
const USUAL: u64 = 1_492;
const LARGE: u64 = 1_500;

/// What we ship, with a session in VLAN 10.
fn network() -> String {
    let shipped = include_str!("../../rootfs/etc/shg/network.toml");
    let pppoe = "vlan = 10\nipv4 = \"pppoe\"\npppoe = { user = \"alice\", password = \"secret\" }";
    assert!(shipped.contains("ipv4 = \"dhcp\""));
    shipped.replace("ipv4 = \"dhcp\"", pppoe)
}

/// The same, where the line carries packets of 1500 bytes in a session.
fn network_large() -> String {
    network().replace("vlan = 10\n", &format!("vlan = 10\nmtu = {LARGE}\n"))
}

/// The provider's servers, which ask who we are in this `way`: `require-chap` or `require-pap`.
fn serve(provider: &mut Provider, way: &str, password: &str) -> Result<(), Error> {
    provider.run("killall pppoe-server pppd; true")?;
    let options = format!(
        "{way}\nname isp\nms-dns {PROVIDER}\n+ipv6\nlcp-echo-interval 10\nlcp-echo-failure 3\nnoproxyarp\nlogfile /tmp/pppd.log\n"
    );
    provider.write("/etc/ppp/pppoe-server-options", &options)?;
    for file in ["pap-secrets", "chap-secrets"] {
        provider.write(&format!("/etc/ppp/{file}"), &format!("alice * {password} *"))?;
    }
    let server = format!("pppoe-server -I eth0.10 -C ac -L {PROVIDER} -R {FIRST} -N 9");
    provider
        .run(&format!("{server} -O /etc/ppp/pppoe-server-options -q /usr/sbin/pppd -Q /usr/sbin/pppoe"))?;
    Ok(())
}

/// Waits until the session is up, with IPv6.
fn wait_up(guest: &mut Guest, what: &str) -> Session {
    let up = |session: &Session| session.state == "UP" && !session.identifier.is_empty();
    let found = guest.until(what, UP_LIMIT, |guest| Ok(facts::session(guest)?.filter(up)));
    found.unwrap_or_else(|error| trouble(guest, &error))
}

/// Waits until the session is not up.
fn wait_down(guest: &mut Guest, what: &str, limit: Duration) -> Session {
    let down = |session: &Session| session.state != "UP";
    let found = guest.until(what, limit, |guest| Ok(facts::session(guest)?.filter(down)));
    found.unwrap_or_else(|error| trouble(guest, &error))
}

/// What both sides know, for the text of a failure.
fn trouble(guest: &mut Guest, error: &Error) -> ! {
    let row = facts::session(guest);
    let log = facts::log(guest, "lease").unwrap_or_default();
    let leases = guest.door("leases").unwrap_or_default();
    let network = guest.door("network").unwrap_or_default();
    let provider = guest.provider().unwrap();
    let theirs = provider.run("ps; ip addr; cat /tmp/pppd.log /tmp/radvd.log; true").unwrap_or_default();
    panic!("{error}\nsession {row:?}\nlease {log:#?}\n{leases}\nnetwork {network}\nprovider {theirs}");
}

/// A host at home reaches the Internet.
fn through(guest: &mut Guest, what: &str) {
    let ping = |guest: &mut Guest| {
        let topology = guest.topology()?;
        Ok(topology.run(Side::Lan, &["busybox", "ping", "-c", "1", "-W", "2", WEB]).ok().map(drop))
    };
    guest.until(what, UP_LIMIT, ping).unwrap_or_else(|error| trouble(guest, &error));
}

/// Does an echo in one packet of this many bytes, which nobody may cut (the kernel says so of whatever it sends first), come back?
fn passes_whole(guest: &mut Guest, bytes: u64) -> bool {
    let payload = (bytes - 28).to_string();
    let words = ["busybox", "ping", "-c", "1", "-W", "10", "-s", &payload, WEB];
    guest.topology().unwrap().run(Side::Lan, &words).is_ok()
}

#[test]
fn large_packets_pass_where_both_sides_take_them() {
    let Some(()) = namespace::enter("large_packets_pass_where_both_sides_take_them").unwrap() else { return };
    let usual = Options::usual().unwrap();
    let options = Options { around: Around::Provider, network: Some(network_large()), ..usual };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    let provider = guest.provider().unwrap();
    for line in [
        format!("/bin/ip link set eth0 mtu {}", LARGE + 8),
        "/bin/ip link add link eth0 name eth0.10 type vlan id 10".to_owned(),
        "/bin/ip link set eth0.10 up".to_owned(),
        format!("/bin/ip addr add {WEB}/32 dev lo"),
    ] {
        provider.run(&line).unwrap();
    }
    serve(provider, "require-chap", "secret").unwrap();
    let session = wait_up(&mut guest, "a session");
    assert_eq!(session.mtu, LARGE, "{session:?}");
    guest.topology().unwrap().lan_lease(UP_LIMIT).unwrap();
    through(&mut guest, "the Internet, from a host at home");
    assert!(passes_whole(&mut guest, LARGE), "{LARGE} bytes in one packet");

    // The control: the provider's line carries no more than usual.
    let provider = guest.provider().unwrap();
    provider.run("killall pppoe-server pppd; /bin/ip link set eth0.10 mtu 1500").unwrap();
    serve(provider, "require-chap", "secret").unwrap();
    wait_down(&mut guest, "the end of the large session", Duration::from_secs(120));
    let session = wait_up(&mut guest, "a usual session");
    assert_eq!(session.mtu, USUAL, "{session:?}");
    through(&mut guest, "the Internet by the usual session");
    assert!(!passes_whole(&mut guest, LARGE), "{LARGE} bytes in one packet of {USUAL}");
    assert!(passes_whole(&mut guest, USUAL));
}

#[test]
fn a_session_comes_up_and_comes_back() {
    let Some(()) = namespace::enter("a_session_comes_up_and_comes_back").unwrap() else { return };
    let usual = Options::usual().unwrap();
    let options = Options { around: Around::Provider, network: Some(network()), ..usual };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    let provider = guest.provider().unwrap();
    lines_arrive_whole(provider);
    provider.run("/bin/ip link add link eth0 name eth0.10 type vlan id 10").unwrap();
    provider.run("/bin/ip link set eth0.10 up").unwrap();
    provider.run(&format!("/bin/ip addr add {WEB}/32 dev lo")).unwrap();
    serve(provider, "require-chap", "secret").unwrap();

    let first = wait_up(&mut guest, "a session with CHAP");
    assert_eq!(
        (first.address.as_str(), first.peer.as_str(), first.mtu),
        (FIRST, PROVIDER, USUAL),
        "{first:?}"
    );
    guest.topology().unwrap().lan_lease(UP_LIMIT).unwrap();
    match options.kernel {
        Kernel::Board => ipv6_passes(&mut guest, &first),
        Kernel::Quick => println!(
            "skipped in part: a_session_comes_up_and_comes_back: Debian's 6.1 was seen to send no IPv6 by the session; why is not known"
        ),
    }
    through(&mut guest, "the Internet, from a host at home");
    lease_is_killed(&mut guest);
    the_cable_is_out_and_in(&mut guest);
    the_server_ends_it(&mut guest);
    another_way_and_a_wrong_password(&mut guest);
}

/// What dies in the provider's guest meanwhile cuts no line that it is told: the ends of sessions are many such deaths.
fn lines_arrive_whole(provider: &mut Provider) {
    let die = "( for each in $(seq 400); do ( sleep 0.01 & ) ; done ) >/dev/null 2>&1 &";
    provider.run(die).unwrap();
    let word = "0123456789".repeat(40);
    for line in 0..20 {
        let said = provider.run(&format!("echo {line} {word}")).unwrap();
        assert_eq!(said.trim_end(), format!("{line} {word}"), "line {line}");
    }
}

/// IPV6CP's address is ours on the link, a prefix for the home comes by DHCPv6 over the session (wide-dhcpv6, radvd), and a host at home
/// speaks with the Internet by IPv6.
fn ipv6_passes(guest: &mut Guest, session: &Session) {
    let identifier = u64::from_str_radix(&session.identifier, 16).unwrap();
    let address = std::net::Ipv6Addr::from((0xfe80_u128 << 112) | u128::from(identifier));
    let provider = guest.provider().unwrap();
    let radvd = "interface ppp0 { AdvSendAdvert on; AdvOtherConfigFlag on; MinRtrAdvInterval 3; MaxRtrAdvInterval 9; };";
    let server =
        format!("interface ppp0 {{ }};\nhost gateway {{ duid {DUID}; prefix {HOME6}:/56 3600; }};\n");
    provider.write("/etc/radvd.conf", radvd).unwrap();
    provider.write("/etc/dhcp6s.conf", &server).unwrap();
    for line in [
        "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding".to_owned(),
        format!("/bin/ip -6 addr add {WEB6}/128 dev lo"),
        format!("/bin/ip -6 route add {HOME6}:/56 via {address} dev ppp0"),
        "mkdir -p /var/lib/dhcpv6 /run/radvd".to_owned(),
        "radvd -C /etc/radvd.conf -m logfile -l /tmp/radvd.log -p /tmp/radvd.pid".to_owned(),
        "dhcp6s -c /etc/dhcp6s.conf -P /tmp/dhcp6s.pid ppp0".to_owned(),
    ] {
        provider.run(&line).unwrap();
    }
    let has = |guest: &mut Guest| {
        let said = guest.topology()?.run(Side::Lan, &["ip", "-6", "-o", "address", "show", "dev", "eth0"])?;
        Ok(String::from_utf8_lossy(&said.stdout).contains(HOME6).then_some(()))
    };
    guest
        .until("an address of the prefix at home", UP_LIMIT, has)
        .unwrap_or_else(|error| trouble(guest, &error));
    let ping = |guest: &mut Guest| {
        Ok(guest
            .topology()?
            .run(Side::Lan, &["busybox", "ping", "-6", "-c", "1", "-W", "2", WEB6])
            .ok()
            .map(drop))
    };
    guest.until("the Internet by IPv6", UP_LIMIT, ping).unwrap_or_else(|error| trouble(guest, &error));
}

/// The session and the PPP link outlive the daemon.
fn lease_is_killed(guest: &mut Guest) {
    let theirs = guest.provider().unwrap().run("pidof pppd").unwrap();
    let before = facts::process(guest, "lease").unwrap().restarts;
    guest.door("kill lease").unwrap();
    let again = |guest: &mut Guest| {
        let lease = facts::process(guest, "lease")?;
        Ok((lease.state == "up" && lease.restarts > before).then_some(()))
    };
    guest.until("the next life of lease", UP_LIMIT, again).unwrap();
    wait_up(guest, "the session in the next life");
    through(guest, "the Internet in the next life");
    assert_eq!(guest.provider().unwrap().run("pidof pppd").unwrap(), theirs, "the same session");
    let log = facts::log(guest, "lease").unwrap();
    assert!(log.iter().any(|line| line.contains("of an earlier life goes on")), "{log:#?}");
}

/// A short look at the cable ends nothing.
fn the_cable_is_out_and_in(guest: &mut Guest) {
    let theirs = guest.provider().unwrap().run("pidof pppd").unwrap();
    guest.plug_wan(false).unwrap();
    guest.plug_wan(true).unwrap();
    through(guest, "the Internet with the cable in again");
    assert_eq!(facts::session(guest).unwrap().unwrap().state, "UP");
    assert_eq!(guest.provider().unwrap().run("pidof pppd").unwrap(), theirs, "the same session");
}

/// It comes back by itself, whether the server says goodbye or not.
fn the_server_ends_it(guest: &mut Guest) {
    guest.provider().unwrap().run("killall pppd").unwrap();
    wait_down(guest, "the end of the session", UP_LIMIT);
    wait_up(guest, "a session after the server's goodbye");
    through(guest, "the Internet after the server's goodbye");
    guest.provider().unwrap().run("killall -9 pppoe pppd").unwrap();
    let silent = wait_down(guest, "the end of a silent session", Duration::from_secs(120));
    assert!(!silent.reason.is_empty(), "{silent:?}");
    wait_up(guest, "a session after the server's silence");
}

/// PAP; and what a wrong password looks like.
fn another_way_and_a_wrong_password(guest: &mut Guest) {
    serve(guest.provider().unwrap(), "require-pap", "secret").unwrap();
    wait_down(guest, "the end of the session with CHAP", Duration::from_secs(120));
    assert_eq!(wait_up(guest, "a session with PAP").mtu, USUAL);
    through(guest, "the Internet by PAP");
    for way in ["require-pap", "require-chap"] {
        serve(guest.provider().unwrap(), way, "another").unwrap();
        let refused = |session: &Session| session.reason.contains("refuses user or password");
        let limit = Duration::from_secs(150);
        let found = guest.until("a clear word", limit, |guest| Ok(facts::session(guest)?.filter(refused)));
        let session = found.unwrap_or_else(|error| trouble(guest, &error));
        assert_ne!(session.state, "UP", "{way}: {session:?}");
    }
    serve(guest.provider().unwrap(), "require-chap", "secret").unwrap();
    wait_up(guest, "a session after the password was mended");
}
