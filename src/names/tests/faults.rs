//! Upstreams that are dead, that lie, that never end; clients that take too much. The real daemon, asked by dig.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stage::hostile::{answer, nothing, say, tcp, udp};
use stage::{Stage, answers, at, daemon, dig, enter, number, status, until, upstream};

/// The gateway with these upstreams on its loopback.
fn with(ports: &[u16]) -> (Stage, stage::Program) {
    let mut stage = Stage::new();
    stage.told.upstreams = ports.iter().map(|port| upstream("127.0.0.1", *port)).collect();
    let daemon = daemon();
    stage.tell();
    (stage, daemon)
}

/// A port on which nobody listens, and one that hears and says nothing.
fn dead_and_silent() -> (u16, u16) {
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (dead, udp(|_, _, _| ()).0)
}

#[test]
fn faults_dns_a_dead_upstream_is_left_alone() {
    if !enter("faults_dns_a_dead_upstream_is_left_alone") {
        return;
    }
    let (dead, silent) = dead_and_silent();
    let (good, _) = udp(|socket, query, from| drop(socket.send_to(&answer(query, 0x8180, 1, 60), from)));
    let (_stage, _daemon) = with(&[dead, silent, good]);
    assert_eq!(answers(&dig("home", "one.example A")), ["198.51.100.0"], "by the one that lives");
    let begin = Instant::now();
    for name in ["two", "three", "four"] {
        assert_eq!(answers(&dig("home", &format!("{name}.example A"))), ["198.51.100.0"]);
    }
    assert!(begin.elapsed() < Duration::from_millis(700), "nobody waits for the silent one any more");
}

#[test]
fn faults_dns_all_upstreams_are_dead() {
    if !enter("faults_dns_all_upstreams_are_dead") {
        return;
    }
    let lives = Arc::new(AtomicBool::new(true));
    let is_alive = Arc::clone(&lives);
    let (port, count) = udp(move |socket, query, from| {
        if is_alive.load(Ordering::Relaxed) {
            let _ = socket.send_to(&answer(query, 0x8180, 1, 1), from);
        }
    });
    let (_stage, _daemon) = with(&[port]);
    assert_eq!(answers(&dig("home", "known.example A")), ["198.51.100.0"]);
    lives.store(false, Ordering::Relaxed);
    // It is old after a second; then the question goes out, and what was known is told while nobody answers.
    let said = until("it is told though it is old", 10, || {
        let said = dig("home", "known.example A");
        said.contains("EDE: 3").then_some(said)
    });
    assert_eq!(answers(&said), ["198.51.100.0"], "{said}");
    let said = dig("home", "unknown.example A");
    assert_eq!(status(&said), "SERVFAIL", "{said}");
    // A failure is remembered for a while.
    let before = count.load(Ordering::Relaxed);
    assert_eq!(status(&dig("home", "unknown.example A")), "SERVFAIL");
    assert_eq!(count.load(Ordering::Relaxed), before);
    lives.store(true, Ordering::Relaxed);
    until("it answers again", 20, || (answers(&dig("home", "unknown.example A")).len() == 1).then_some(()));
}

/// The answer has to come from the upstream, with our number and our question.
#[test]
fn faults_dns_lies_are_not_believed() {
    if !enter("faults_dns_lies_are_not_believed") {
        return;
    }
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, _) = udp(move |socket, query, from| {
        let lie = |place: usize, byte: u8| {
            let mut lie = answer(query, 0x8180, 1, 60);
            lie[place] ^= byte;
            *lie.last_mut().unwrap() = 66;
            lie
        };
        let _ = stranger.send_to(&lie(2, 0), from);
        for (place, byte) in [(0, 1), (2, 0x80), (13, 1), (5, 2)] {
            let _ = socket.send_to(&lie(place, byte), from);
        }
        let _ = socket.send_to(&lie(2, 0)[..20], from);
        let _ = socket.send_to(&[], from);
        let _ = socket.send_to(&answer(query, 0x8180, 2, 60), from);
    });
    let (_stage, _daemon) = with(&[port]);
    let said = dig("home", "www.example A");
    assert_eq!(answers(&said), ["198.51.100.0", "198.51.100.1"], "{said}");
}

/// What is cut by UDP is asked by TCP, and told by TCP.
#[test]
fn faults_dns_long_answers_go_by_tcp() {
    if !enter("faults_dns_long_answers_go_by_tcp") {
        return;
    }
    let (port, _) = udp(|socket, query, from| drop(socket.send_to(&answer(query, 0x8380, 0, 0), from)));
    let by_tcp = tcp(port, |stream, query| say(stream, &answer(query, 0x8180, 200, 60)));
    let (_stage, _daemon) = with(&[port]);
    let cut = dig("home", "+ignore www.example A");
    assert!(stage::flags(&cut).contains("tc") && answers(&cut).is_empty(), "{cut}");
    assert_eq!(answers(&dig("home", "www.example A")).len(), 200);
    assert_eq!(by_tcp.load(Ordering::Relaxed), 1, "it is remembered: {:?}", stage::rows());
}

/// A connection that never says all of its answer ends, and holds nobody up.
#[test]
fn faults_dns_an_endless_answer_ends() {
    if !enter("faults_dns_an_endless_answer_ends") {
        return;
    }
    let (port, _) = udp(|socket, query, from| {
        let flags = if b"ef".contains(&query[13]) { 0x8380 } else { 0x8180 };
        let _ = socket.send_to(&answer(query, flags, u8::from(flags == 0x8180), 60), from);
    });
    tcp(port, |stream, query| {
        use std::io::Write;
        // A part of what was promised; or more and more, for as long as somebody listens.
        let _ = stream.write_all(&[0xff, 0xff, 0, 0, 0, 0]);
        while query[13] == b'f' && stream.write_all(&[0; 512]).is_ok() {}
    });
    let (_stage, _daemon) = with(&[port]);
    let begin = Instant::now();
    let slow = std::thread::spawn(|| dig("home", "endless.example A"));
    until("it is under way", 3, || (number("pending") > 0).then_some(()));
    assert_eq!(answers(&dig("home", "other.example A")), ["198.51.100.0"], "others are answered meanwhile");
    assert_eq!(status(&slow.join().unwrap()), "SERVFAIL");
    assert!(begin.elapsed() < Duration::from_secs(6));
    assert_eq!(status(&dig("home", "flood.example A")), "SERVFAIL");
    assert_eq!(number("pending"), 0);
}

/// That there is nothing is remembered; many who ask the same are one question.
#[test]
fn faults_dns_many_ask_once() {
    if !enter("faults_dns_many_ask_once") {
        return;
    }
    let (port, count) = udp(|socket, query, from| {
        if query[13] == b'n' {
            let _ = socket.send_to(&nothing(query), from);
        }
    });
    let (_stage, _daemon) = with(&[port]);
    for _ in 0..3 {
        assert_eq!(status(&dig("home", "nothing.example A")), "NXDOMAIN");
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    // One after the other without waiting: nobody is answered, and all are one.
    let start =
        || at("home", &["dig", "@192.168.1.1", "+tries=1", "+time=1", "many.example", "A"]).output().unwrap();
    let all: Vec<_> = (0..8).map(|_| std::thread::spawn(start)).collect();
    until("it is asked", 3, || (number("misses") >= 9).then_some(()));
    assert_eq!(number("pending"), 1);
    all.into_iter().for_each(|one| drop(one.join().unwrap()));
}

/// Connections have their limits, and who takes all of them keeps nobody out.
#[test]
fn faults_dns_clients_that_take_too_much() {
    if !enter("faults_dns_clients_that_take_too_much") {
        return;
    }
    let (port, _) = udp(|socket, query, from| drop(socket.send_to(&answer(query, 0x8180, 1, 60), from)));
    let (_stage, _daemon) = with(&[port]);
    // From the gateway itself: its own address is one client's, too.
    let idle: Vec<TcpStream> =
        (0..40).filter_map(|_| TcpStream::connect((Ipv4Addr::new(192, 168, 1, 1), 53)).ok()).collect();
    assert!(!idle.is_empty() || number("connections") == 0);
    assert_eq!(answers(&dig("home", "+tcp www.example A")), ["198.51.100.0"]);
    assert!(number("connections") <= 9, "eight of one client");
    // More questions than one may have asked outside: refused, and still served from what is known.
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    drop(flood);
    let line = "for n in $(seq 1200); do echo \"n$n.example A\"; done > /run/flood; \
                dig @192.168.1.1 +tries=1 +time=2 -f /run/flood";
    let said = at("home", &["sh", "-c", line]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.matches("status: NOERROR").count() >= 400, "a household's worth is served");
    assert_eq!(answers(&dig("home", "www.example A")), ["198.51.100.0"]);
}
