//! Clients that we did not write (dig, kdig) ask the real daemon, whose upstream is dnsmasq.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use stage::{
    Stage, answers, asked, at, daemon, dig, dnsmasq, enter, flags, has, hosts, number, status, until,
};

const ZONE: [&str; 5] = [
    "--address=/www.example/192.0.2.80",
    "--address=/www.example/2001:db8::80",
    "--address=/home.example/192.168.1.66",
    "--address=/mapped.example/::ffff:192.168.1.66",
    "--address=/allowed.example/192.168.1.66",
];

/// Answers from outside: asked for once, then told from what is known, with less to live.
#[test]
fn clients_dns_answers_are_remembered() {
    if !enter("clients_dns_answers_are_remembered") {
        return;
    }
    let (mut stage, _isp, _daemon) = (Stage::new(), dnsmasq(&ZONE), daemon());
    stage.tell();
    let said = dig("home", "www.example A");
    assert_eq!((status(&said), answers(&said)), ("NOERROR", vec!["192.0.2.80".to_owned()]), "{said}");
    assert!(flags(&said).contains("rd ra") && !flags(&said).contains("aa"), "{said}");
    assert!(said.contains("EDNS: version: 0, flags:; udp: 1232"), "{said}");
    let ttl = |said: &str| {
        said.lines()
            .find(|line| line.starts_with("www.example."))
            .and_then(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok())
    };
    until("it ages", 5, || ttl(&dig("home", "www.example A")).filter(|ttl| *ttl < 3600));
    // Another case, another host, TCP, IPv6, several in a row on one connection.
    for (side, words) in [
        ("home", "WWW.Example A"),
        ("guest", "www.example A"),
        ("home", "+tcp www.example A"),
        ("home", "+noedns www.example A"),
        ("home", "@fd00:1::1 www.example A"),
        ("home", "+tcp @fd00:1::1 www.example A"),
        ("home", "+tcp +keepopen www.example A www.example A"),
    ] {
        let said = dig(side, words);
        assert_eq!((status(&said), answers(&said)[0].as_str()), ("NOERROR", "192.0.2.80"), "{words}: {said}");
    }
    assert!(dig("home", "WWW.Example A").contains("WWW.Example."), "the name comes back in its own case");
    assert_eq!(asked("www.example"), 1, "once");
    assert_eq!(answers(&dig("home", "www.example AAAA")), ["2001:db8::80"]);
    if has("kdig") {
        let words = ["kdig", "@192.168.1.1", "+ednsopt=65001:00", "+dnssec", "www.example", "A"];
        let said = String::from_utf8(at("home", &words).output().unwrap().stdout).unwrap();
        assert!(said.contains("status: NOERROR") && said.contains("192.0.2.80"), "{said}");
    } else {
        println!("skipped in part: no program kdig");
    }
}

/// What is refused, and what is never asked outside.
#[test]
fn clients_dns_what_stays_here() {
    if !enter("clients_dns_what_stays_here") {
        return;
    }
    let (mut stage, _isp, _daemon) = (Stage::new(), dnsmasq(&ZONE), daemon());
    stage.tell();
    for (words, wanted) in [
        ("+norecurse www.example A", "REFUSED"),
        ("version.bind CH TXT", "REFUSED"),
        ("www.example TYPE250", "REFUSED"),
        ("+opcode=2 www.example A", "NOTIMP"),
        ("+edns=1 +noednsnegotiation www.example A", "BADVERS"),
        ("www.invalid A", "NXDOMAIN"),
        ("printer.local A", "NXDOMAIN"),
        ("unknown.home.arpa A", "NXDOMAIN"),
        ("home.arpa SOA", "NOERROR"),
        ("nobody A", "NOERROR"),
        ("-x 192.168.77.1", "NXDOMAIN"),
        ("-x 10.1.2.3", "NXDOMAIN"),
        ("-x fd00:7::1", "NXDOMAIN"),
    ] {
        let said = dig("home", words);
        assert_eq!(status(&said), wanted, "{words}: {said}");
    }
    for (words, wanted) in [
        ("localhost A", "127.0.0.1"),
        ("a.localhost AAAA", "::1"),
        ("-x 127.0.0.1", "localhost."),
        ("gateway.home.arpa A", "192.168.1.1"),
        ("gateway A", "192.168.1.1"),
        ("-x 192.168.1.1", "gateway.home.arpa."),
    ] {
        assert_eq!(answers(&dig("home", words)), [wanted], "{words}");
    }
    let any = dig("home", "+notcp www.example ANY");
    assert!(any.contains("HINFO") && any.contains("RFC8482"), "{any}");
    let log = std::fs::read_to_string("/run/isp.log").unwrap();
    let stray = log.lines().filter(|line| line.contains("query[") && !line.contains("ready.example"));
    assert_eq!(stray.collect::<Vec<_>>(), Vec::<&str>::new(), "nothing of that was asked outside");
}

/// Names of hosts, as `lease` says them: for the home, and for nobody else.
#[test]
fn clients_dns_hosts_of_the_home() {
    if !enter("clients_dns_hosts_of_the_home") {
        return;
    }
    let (mut stage, _isp, _daemon) = (Stage::new(), dnsmasq(&ZONE), daemon());
    stage.tell();
    hosts(&[("Printer", "192.168.1.50"), ("printer", "fd00:1::50"), ("wpad", "192.168.1.51")]);
    for (words, wanted) in [
        ("printer.home.arpa A", "192.168.1.50"),
        ("PRINTER.home.arpa AAAA", "fd00:1::50"),
        ("printer A", "192.168.1.50"),
        ("-x 192.168.1.50", "printer.home.arpa."),
        ("-x fd00:1::50", "printer.home.arpa."),
    ] {
        let said = dig("home", words);
        assert_eq!(answers(&said), [wanted], "{words}: {said}");
        assert!(flags(&said).contains("aa"), "{said}");
    }
    assert_eq!(status(&dig("home", "wpad.home.arpa A")), "NXDOMAIN");
    for words in ["printer.home.arpa A", "-x 192.168.1.50"] {
        assert_eq!(status(&dig("guest", words)), "NXDOMAIN", "a guest sees nothing of it: {words}");
    }
    assert_eq!(answers(&dig("guest", "gateway.home.arpa A")), ["192.168.2.1"]);
    // They are all said anew, and these are gone.
    hosts(&[("other", "192.168.1.52")]);
    assert_eq!(status(&dig("home", "printer.home.arpa A")), "NXDOMAIN");
}

/// An answer that leads into the home is blocked, unless the name may; a host does not get what it is denied.
#[test]
fn clients_dns_policies_hold() {
    if !enter("clients_dns_policies_hold") {
        return;
    }
    let (mut stage, _isp, _daemon) = (Stage::new(), dnsmasq(&ZONE), daemon());
    stage.told.rebind_allow.push("allowed.example".into()).unwrap();
    stage.tell();
    for words in ["home.example A", "mapped.example AAAA"] {
        let said = dig("home", words);
        assert_eq!((status(&said), answers(&said).len()), ("NOERROR", 0), "{said}");
        assert!(said.contains("EDE: 15"), "{said}");
    }
    assert_eq!(number("blocked"), 2);
    assert_eq!(answers(&dig("home", "allowed.example A")), ["192.168.1.66"]);
    hosts(&[("child", "192.168.1.7")]);
    let mut deny = heapless::Vec::new();
    deny.push("example".into()).unwrap();
    let client = contract::wanted::reach::Client { mac: contract::mac::Mac([2, 0, 0, 0, 0, 7]), deny };
    stage.told.clients.push(client).unwrap();
    stage.tell();
    until("it is denied", 5, || (status(&dig("home", "www.example A")) == "NXDOMAIN").then_some(()));
    assert_eq!(answers(&dig("guest", "www.example A")), ["192.0.2.80"], "others get it");
    assert_eq!(status(&dig("home", "allowed.example A")), "NXDOMAIN", "what is remembered, too");
}
