//! Visits to the running program, by the loopback link: what a browser gets, and what those get who are slow or speak no HTTP.
//!
//! This is not a sandbox, so the page says that there is none, and some of the tries get through: they are harmless.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take: a visit is three seconds at most, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

/// The program, while it serves.
struct Service {
    child: Child,
    port: u16,
}

impl Service {
    /// Starts it on a free port and waits until it says that it is ready. A port that was free may be taken a moment later: then on
    /// another one.
    fn start() -> Self {
        (0..10).find_map(|_| Self::start_once()).unwrap()
    }

    fn start_once() -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
        command.arg(port.to_string()).env("NOTIFY_FD", "1").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut service = Self { child: command.spawn().unwrap(), port };
        let mut lines = BufReader::new(service.child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let first = lines.next()?;
        assert_eq!(first, "ready", "the notify descriptor");
        assert_eq!(lines.next(), Some(format!("serving on port {port}")));
        Some(service)
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Says `words`, and hears all of the answer: its head and its body.
    fn say(&self, words: &[u8]) -> (String, String) {
        let mut stream = self.dial();
        stream.write_all(words).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn page_and_facts_are_of_this_very_visit() {
    let service = Service::start();
    let (head, page) = service.say(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", page.len())) && head.contains("default-src 'none'")
    );
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("127.0.0.1") && !page.contains("no answer"), "every try has an answer");

    let (_, text) = service.say(b"GET /facts.json HTTP/1.0\r\n\r\n");
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(facts["visits"], 2);
    assert_eq!(facts["local"], format!("127.0.0.1:{}", service.port));
    assert_eq!(facts["own"]["name"], "hello");
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let seccomp = own.lines().find_map(|line| line.strip_prefix("Seccomp:")).unwrap().trim();
    assert_eq!(facts["own"]["seccomp"].to_string(), seccomp, "measured, and inherited from here");
    assert!(facts["tried"].as_array().unwrap().len() > 12);

    let (head, body) = service.say(b"HEAD / HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK") && body.is_empty());
}

#[test]
fn a_stream_ends_by_itself_and_the_next_one_is_heard() {
    let service = Service::start();
    let (head, body) = service.say(b"GET /stream HTTP/1.0\r\n\r\n");
    assert!(
        head.contains("200 OK") && !head.contains("Content-Length"),
        "it ends with the connection: {head}"
    );
    assert!(body.len() >= 64 * 1024 && body.bytes().all(|byte| byte == 0), "{} bytes", body.len());
    let (head, body) = service.say(b"HEAD /stream HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK") && body.is_empty());

    // Who asks for one and does not read is cut off like anybody who is slow.
    let mut deaf = service.dial();
    deaf.write_all(b"GET /stream HTTP/1.0\r\n\r\n").unwrap();
    let (head, _) = service.say(b"GET / HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK"), "{head}");
}

#[test]
fn other_requests_are_refused_and_nobody_suffers() {
    let service = Service::start();
    for (what, words, want) in [
        ("garbage", b"\x16\x03\x01 \xff\xfe\n\n".as_slice(), "400"),
        ("other path", b"GET /etc/passwd HTTP/1.0\r\n\r\n", "404"),
        ("other method", b"DELETE / HTTP/1.0\r\n\r\n", "405"),
        ("too long", &[b'x'; 9000], "431"),
    ] {
        let (head, _) = service.say(words);
        assert!(head.starts_with(&format!("HTTP/1.1 {want} ")), "{what}: {head}");
    }
    drop(service.dial()); // Somebody who leaves at once.
    let (head, _) = service.say(b"GET / HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK"), "{head}");
}

#[test]
fn who_is_slow_loses_his_turn() {
    let service = Service::start();
    let started = Instant::now();
    let mut slow = service.dial();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: gate").unwrap();
    let (head, _) = service.say(b"GET / HTTP/1.0\r\n\r\n");
    assert!(head.contains("200 OK") && started.elapsed() < LIMIT, "the next one waits a few seconds at most");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn wrong_words_are_told_so() {
    for words in [["eighty"].as_slice(), &["80", "81"], &["0"], &["70000"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_hello")).args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(output.stderr, b"usage: hello [PORT]\n");
    }
}
