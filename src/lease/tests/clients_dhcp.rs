//! The real daemon between peers that were not on its first stage: dhcpcd and perfdhcp at home, Kea at the operator's; with what
//! operators ask for, and with what `names` is told.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::Path;

use contract::leases::Answer;
use contract::mac::Mac;
use contract::name::Text;
use contract::resolve::Ask;
use contract::wanted::Reservation;
use contract::wires::{RESOLVE, Wire};
use stage::{Program, Stage, at, daemon, dnsmasq, enter, ip, isp_log, rows, run, until, wait_state};
use wire::{Connection, Listener, Received};

/// What dhcpcd tells its host.
const HOOK: &str = "#!/bin/sh
[ -z \"$new_ip_address\" ] || echo $reason $new_ip_address router $new_routers dns $new_domain_name_servers \
    domain $new_domain_name lease $new_dhcp_lease_time >>/run/dhcpcd.lease
";
/// Kea with what an operator gives out.
const KEA: &str = r#"{ "Dhcp4": {
  "interfaces-config": { "interfaces": [ "eth0" ], "re-detect": false },
  "lease-database": { "type": "memfile", "persist": false },
  "valid-lifetime": 120, "renew-timer": 60, "rebind-timer": 105,
  "client-classes": [ { "name": "ours", "test": "substring(option[60].hex,0,5) == 'sagem'" } ],
  "subnet4": [ { "id": 1, "subnet": "10.9.0.0/24", "client-class": "ours",
    "pools": [ { "pool": "10.9.0.50 - 10.9.0.59" } ],
    "option-data": [ { "name": "routers", "data": "10.9.0.1" },
      { "name": "domain-name-servers", "data": "10.9.0.1" },
      { "code": 121, "space": "dhcp4", "csv-format": false, "data": "000A0900FE08 0A0A0900 FD" },
      { "name": "ntp-servers", "data": "10.9.0.5" } ] } ],
  "loggers": [ { "name": "kea-dhcp4", "severity": "INFO", "output_options": [ { "output": "stdout" } ] } ]
} }"#;

fn is_there(program: &str) -> bool {
    let found =
        ["/sbin", "/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        println!("skipped: no program {program}");
    }
    found
}

/// The link-layer address of the host `side`.
fn mac(side: &str) -> Mac {
    let words = at(side, &["ip", "-o", "link", "show", "eth0"]).output().unwrap();
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    words.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap().parse().unwrap()
}

/// `names`, as far as it listens.
fn names() -> Listener {
    Listener::new(Wire { clients: &[0], ..RESOLVE }, sys::seqpacket::listen(Path::new(RESOLVE.path)).unwrap())
}

/// Waits until `names` has been told these names, each with the end of its address.
fn told(connection: &Connection, want: &[(&str, u8)]) {
    let want: Vec<(String, u8)> = want.iter().map(|(name, last)| ((*name).to_owned(), *last)).collect();
    until(&format!("names are {want:?}"), 10, || match connection.receive() {
        Received::Message(Ask::Local { first: true, names }, _) => {
            let last =
                |address: std::net::IpAddr| address.to_string().rsplit('.').next().unwrap().parse().unwrap();
            let told: Vec<_> = names.iter().map(|one| (one.name.to_string(), last(one.address))).collect();
            (told == want).then_some(())
        }
        Received::Message(Ask::Local { .. } | Ask::Show, _) => panic!("one frame holds them"),
        Received::Nothing => None,
        Received::Gone => panic!("lease is gone"),
    });
}

#[test]
fn clients_dhcp_dhcpcd_gets_what_is_kept_for_it_and_its_name_is_told() {
    if !enter("clients_dhcp_dhcpcd_gets_what_is_kept_for_it_and_its_name_is_told") || !is_there("dhcpcd") {
        return;
    }
    let mut stage = Stage::new();
    run(&["mount", "-t", "tmpfs", "tmpfs", "/var/lib"]);
    let wire = names();
    let server = &mut stage.wish.servers[0];
    let kept = |mac, last, name: &str| Reservation {
        class: None,
        enable: true,
        mac,
        address: [192, 168, 1, last].into(),
        name: name.into(),
    };
    server.reservations = [kept(mac("home"), 20, ""), kept(Mac([2; 6]), 21, "printer")].into_iter().collect();
    server.name_servers.push([192, 168, 1, 1].into()).unwrap();
    (server.domain, server.names) = (Text::from("home.arpa"), true);
    let _daemon = daemon();
    stage.greet();
    let connection = until("lease dials names", 5, || wire.accept());
    told(&connection, &[("printer", 21)]);
    fs::write("/run/dhcpcd.sh", HOOK).unwrap();
    run(&["chmod", "+x", "/run/dhcpcd.sh"]);
    let words =
        ["dhcpcd", "-4", "-B", "-c", "/run/dhcpcd.sh", "-h", "My-Laptop.lan", "-f", "/dev/null", "eth0"];
    let _host = Program(at("home", &words).spawn().unwrap());
    let line = until("dhcpcd has a lease", 20, || {
        let text = fs::read_to_string("/run/dhcpcd.lease").unwrap_or_default();
        text.lines().find(|line| line.contains(" 192.168.1.")).map(str::to_owned)
    });
    let want = "192.168.1.20 router 192.168.1.1 dns 192.168.1.1 domain home.arpa lease 600";
    assert!(line.contains(want), "{line}");
    told(&connection, &[("printer", 21), ("my-laptop", 20)]);
    let kept =
        rows().into_iter().any(|row| matches!(row, Answer::Kept { name, .. } if name.as_str() == "printer"));
    assert!(kept, "{:?}", rows());
    // `names` dies and comes back: it is told again.
    drop((connection, wire));
    fs::remove_file(RESOLVE.path).unwrap();
    let wire = names();
    let connection = until("lease dials names again", 10, || wire.accept());
    told(&connection, &[("printer", 21), ("my-laptop", 20)]);
}

#[test]
fn clients_dhcp_perfdhcp_gets_every_address_of_the_pool() {
    if !enter("clients_dhcp_perfdhcp_gets_every_address_of_the_pool") || !is_there("perfdhcp") {
        return;
    }
    let mut stage = Stage::new();
    stage.wish.clients.clear();
    let server = &mut stage.wish.servers[0];
    server.name_servers.push([192, 168, 1, 1].into()).unwrap();
    let _daemon = daemon();
    stage.greet();
    ip("home", "address add 192.168.1.2/24 dev eth0");
    // A hundred hosts for a hundred addresses: first they come, each waiting for ARP; then all are known.
    let perf = |words: &str| {
        let words = format!("perfdhcp -4 -l eth0 -R 100 -W 2000000 -d 3 {words} 192.168.1.1");
        let words: Vec<&str> = words.split(' ').collect();
        let output = at("home", &words).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let first = perf("-r 40 -n 120");
    let given = rows().into_iter().filter(|row| matches!(row, Answer::Given { .. })).count();
    assert!(given >= 95, "{given} of 100: {first}");
    let then = perf("-r 200 -n 400");
    let drops: Vec<&str> = then.lines().filter(|line| line.starts_with("drops: ")).collect();
    assert_eq!(drops, ["drops: 0", "drops: 0"], "{then}");
}

#[test]
fn clients_dhcp_an_operator_hears_what_it_wants_and_its_words_are_taken() {
    if !enter("clients_dhcp_an_operator_hears_what_it_wants_and_its_words_are_taken") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    let dhcp = &mut stage.wish.clients[0].dhcp;
    (dhcp.vendor_class, dhcp.client_id) = ("sagem-tv".into(), "box-7".into());
    (dhcp.vendor_specific, dhcp.host_name) = ("0x00000de9040102aabb".into(), "gateway".into());
    let _server = dnsmasq(&[
        "--dhcp-vendorclass=set:ours,sagem",
        "--dhcp-range=tag:ours,10.9.0.50,10.9.0.59,255.255.255.0,120",
        "--dhcp-host=id:box-7,10.9.0.55",
        "--dhcp-option=121,0.0.0.0/0,10.9.0.254,10.0.0.0/8,10.9.0.253,10.9.9.0/24,0.0.0.0",
        "--dhcp-option=option:ntp-server,10.9.0.5",
        "--dhcp-option=120,10.9.0.6",
    ]);
    until("dnsmasq listens", 5, || isp_log().contains("sockets bound").then_some(()));
    let _daemon = daemon();
    stage.greet();
    let lease = stage.lease(10);
    assert_eq!((lease.address, lease.router), ([10, 9, 0, 55].into(), None), "{}", isp_log());
    let routes: Vec<String> = lease.routes.iter().map(|(prefix, by)| format!("{prefix} by {by}")).collect();
    assert_eq!(routes, ["0.0.0.0/0 by 10.9.0.254", "10.0.0.0/8 by 10.9.0.253", "10.9.9.0/24 by 0.0.0.0"]);
    assert_eq!(lease.time_servers.as_slice(), [std::net::Ipv4Addr::new(10, 9, 0, 5)]);
    assert_eq!(lease.sip_servers.as_slice(), [std::net::Ipv4Addr::new(10, 9, 0, 6)]);
    let log = isp_log();
    assert!(log.contains("vendor class: sagem-tv") && log.contains("client provides name: gateway"), "{log}");
    let asked = ["121:classless-static-route", "42:ntp-server", "120:sip-server", "125:vendor-id-encap"];
    assert!(asked.iter().all(|option| log.contains(option)), "{log}");
    // It calls itself otherwise: another lease; what does not concern it goes on.
    stage.wish.clients[0].dhcp.client_id = Text::default();
    stage.restart_network();
    stage.greet();
    let other =
        until("another lease", 20, || Some(stage.lease(20)).filter(|other| other.address != lease.address));
    assert!(other.address.to_string().starts_with("10.9.0.5"), "{other:?}");
}

#[test]
fn clients_dhcp_kea_serves_us() {
    if !enter("clients_dhcp_kea_serves_us") || !is_there("kea-dhcp4") {
        return;
    }
    let mut stage = Stage::new();
    ip("isp", "address add 10.9.0.1/24 dev eth0");
    stage.wish.clients[0].dhcp.vendor_class = "sagem".into();
    fs::write("/run/kea.json", KEA.replace("000A0900FE08 0A0A0900 FD", "000A0900FE080A0A0900FD")).unwrap();
    let log = fs::File::create("/run/isp.log").unwrap();
    let mut command = at("isp", &["kea-dhcp4", "-c", "/run/kea.json"]);
    command.env("KEA_PIDFILE_DIR", "/run").env("KEA_LOCKFILE_DIR", "/run");
    let _server = Program(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    until("Kea listens", 10, || isp_log().contains("DHCP4_STARTED").then_some(()));
    let _daemon = daemon();
    stage.greet();
    let lease = stage.lease(20);
    assert!(lease.address.to_string().starts_with("10.9.0.5"), "{lease:?}");
    let routes: Vec<String> = lease.routes.iter().map(|(prefix, by)| format!("{prefix} by {by}")).collect();
    assert_eq!(
        (routes, lease.router),
        (vec!["0.0.0.0/0 by 10.9.0.254".into(), "10.0.0.0/8 by 10.9.0.253".into()], None)
    );
    assert_eq!(lease.time_servers.as_slice(), [std::net::Ipv4Addr::new(10, 9, 0, 5)]);
    wait_state("BOUND", 2);
    // The carrier goes and comes: INIT-REBOOT with Kea.
    ip("isp", "link set eth0 down");
    wait_state("DOWN", 5);
    ip("isp", "link set eth0 up");
    assert_eq!(stage.lease(10).address, lease.address);
}
