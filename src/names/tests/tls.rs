//! DNS over TLS: the real daemon, an upstream with OpenSSL, certificates of `openssl`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::process::Stdio;

use contract::wanted::reach::Upstream;
use stage::{Program, Stage, answers, daemon, dig, enter, flags, has, rows, run, status, until};

/// An authority, and a server's certificate that bears `dns.example`.
fn certificates() {
    let extension = "subjectAltName=DNS:dns.example";
    for words in [
        "req -x509 -newkey ed25519 -nodes -subj /CN=authority -days 30 -keyout /run/ca.key -out /run/ca.pem",
        "req -newkey ed25519 -nodes -subj /CN=server -keyout /run/server.key -out /run/server.csr",
    ] {
        fs::write(
            "/etc/openssl.cnf",
            "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n\
            [authority]\nbasicConstraints=critical,CA:TRUE\n",
        )
        .unwrap();
        let words: Vec<&str> =
            ["openssl"].into_iter().chain(words.split(' ')).chain(["-config", "/etc/openssl.cnf"]).collect();
        run(&words);
    }
    fs::write("/run/extension", extension).unwrap();
    run(&[
        "openssl",
        "x509",
        "-req",
        "-in",
        "/run/server.csr",
        "-CA",
        "/run/ca.pem",
        "-CAkey",
        "/run/ca.key",
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        "/run/extension",
        "-out",
        "/run/server.pem",
    ]);
}

fn server() -> Program {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dot.py");
    let words = [script, "/run/server.pem", "/run/server.key", "8853", "/run/dot.log"];
    let child = std::process::Command::new("python3").args(words).stderr(Stdio::null()).spawn();
    let program = Program(child.unwrap());
    until("the upstream listens", 10, || std::net::TcpStream::connect("127.0.0.1:8853").ok());
    program
}

fn log(word: &str) -> usize {
    fs::read_to_string("/run/dot.log")
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with(word))
        .count()
}

#[test]
fn clients_dns_over_tls() {
    if !enter("clients_dns_over_tls") {
        return;
    }
    if !has("openssl") || !has("python3") {
        println!("skipped: clients_dns_over_tls: no program openssl or python3");
        return;
    }
    let mut stage = Stage::new();
    certificates();
    let (_server, _daemon) = (server(), daemon());
    let by = |name: &str| Upstream {
        enable: true,
        address: "127.0.0.1".parse().unwrap(),
        port: 8853,
        tls: name.into(),
    };
    stage.told.upstreams = heapless::Vec::from_iter([by("dns.example")]);
    stage.tell();
    assert_eq!(status(&dig("home", "early.example A")), "SERVFAIL", "the clock is not believed yet");
    fs::write("/run/time/synchronized", "").unwrap();
    assert_eq!(status(&dig("home", "nobody.example A")), "SERVFAIL", "nobody is trusted yet");
    assert_eq!(log("question"), 0);
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    let said = until("it is asked", 15, || {
        let said = dig("home", "+adflag www.example A");
        (status(&said) == "NOERROR").then_some(said)
    });
    assert_eq!(answers(&said), ["192.0.2.85"]);
    assert!(flags(&said).contains("ad"), "what the upstream has proven is passed on: {said}");
    for name in ["one", "two", "three-and-a-longer-name"] {
        assert_eq!(answers(&dig("home", &format!("{name}.example A"))), ["192.0.2.85"]);
    }
    let text = fs::read_to_string("/run/dot.log").unwrap();
    let questions: Vec<&str> = text.lines().filter(|line| line.starts_with("question")).collect();
    assert!(questions.len() >= 4 && questions.iter().all(|line| *line == "question of 128 bytes"), "{text}");
    assert!(log("connection") <= 2, "one connection serves for all: {text}");
    // Another name than the certificate bears: nobody is asked, not even in the clear.
    stage.told.upstreams = heapless::Vec::from_iter([by("other.example")]);
    stage.tell();
    let before = log("question");
    assert_eq!(status(&dig("home", "four.example A")), "SERVFAIL");
    assert_eq!(log("question"), before);
    let rows = rows();
    let row = rows.iter().find(|(name, _)| name == "upstream 127.0.0.1:8853").unwrap();
    assert!(row.1.starts_with("TLS,") && row.1.contains(" 0 answered"), "{row:?}");
}
