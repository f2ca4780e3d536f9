//! A tenant for tests: it writes a numbered line every 10 ms, holds connections open, and ends with the code that it is told.
//!
//! In:  connections; a line `exit CODE`, `write BYTES` or `do SECONDS ANTAGONIST` (`antagonist.rs`) on one of them. Out: `line N`
//! on standard output; `tick N` on each connection every 100 ms, with numbers that begin at 0 for each, so whoever listens sees whether anything
//! was lost; `written` when its volume's disk has a record of so many bytes, or `refused`.
//!
//! With words it does something else: `spin N` keeps N threads busy, `hold N` touches N MiB and keeps them, `nap N` ends after N ms,
//! `tree N` starts N naps and stays, `pair N` starts one that eats without an end (`eat N`, after N ms) and stays, `keep N` fills its volume (`volume.rs`) and stays, `pour N` writes there with N threads for ever, `draw N` reads there,
//! `cut N` writes there, forces nothing and cuts its files, `note N` forces notes of a block,
//! `web N` serves pages that are work on port N (`web.rs`), `film N` reads N bytes of its camera and stays, `line N` takes a line of at most N bytes from its serial port, answers it and stays,
//! `herald N` says by its gateway's socket that it is ready, tries for N seconds, and stays; `exit N` ends at once with that code.
//!
//! Only the rehearsal root has it. Not here: anything that a service should be modelled on; for that there is `hello`.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

mod antagonist;
mod volume;
mod web;

pub use antagonist::Antagonist;

/// Where it listens.
const PORT: u16 = 7000;
/// Between two lines of its log.
const LINE_EVERY: Duration = Duration::from_millis(10);
/// Between two words on a connection.
const TICK_EVERY: Duration = Duration::from_millis(100);
/// The longest order, in bytes.
const ORDER_BYTES: usize = 64;

/// Talks until it is told to end, and returns with which code.
#[must_use]
pub fn talk_until_told() -> u8 {
    let listener = match TcpListener::bind(("0.0.0.0", PORT)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("chatter: port {PORT}: {error}");
            return 1;
        }
    };
    let (ends, told) = channel();
    thread::spawn(move || talk(&listener, &ends));
    say_ready();
    let mut number = 0_u64;
    loop {
        match told.recv_timeout(LINE_EVERY) {
            Ok(code) => return code,
            Err(RecvTimeoutError::Timeout) => println!("line {number}"),
            Err(RecvTimeoutError::Disconnected) => return 1,
        }
        number += 1;
    }
}

/// Says once that it is ready, where somebody asked.
fn say_ready() {
    let number = std::env::var("NOTIFY_FD").unwrap_or_default();
    if let Ok(mut notify) = File::options().write(true).open(format!("/proc/self/fd/{number}")) {
        // Nobody to tell: then nobody waits.
        let _ = notify.write_all(b"ready\n");
    }
}

/// What its words ask of it instead of talking; `None`: nothing.
#[must_use]
pub fn other_work(words: &[String]) -> Option<fn(usize)> {
    match words.first().map(String::as_str) {
        Some("spin") => Some(spin),
        Some("hold") => Some(hold),
        Some("nap") => Some(nap),
        Some("tree") => Some(tree),
        Some("pair") => Some(pair),
        Some("eat") => Some(eat),
        Some("keep") => Some(keep),
        Some("pour") => Some(|threads| at_disk(threads, volume::pour)),
        Some("draw") => Some(|threads| at_disk(threads, volume::draw)),
        Some("cut") => Some(|threads| at_disk(threads, volume::cut)),
        Some("note") => Some(|threads| at_disk(threads, volume::note)),
        Some("film") => Some(film),
        Some("web") => Some(web::serve),
        Some("line") => Some(line),
        Some("herald") => Some(herald),
        Some(_) | None => None,
    }
}

/// Keeps so many threads busy for ever.
fn spin(threads: usize) {
    let busy = || {
        let mut number = 0_u64;
        loop {
            number = std::hint::black_box(number.wrapping_add(1));
        }
    };
    let more: Vec<_> = (1..threads).map(|_| thread::spawn(busy)).collect();
    say_ready();
    if more.len() + 1 == threads {
        busy();
    }
}

/// Does nothing for so many milliseconds.
fn nap(ms: usize) {
    thread::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
}

/// Starts so many naps, and stays for ever.
fn tree(children: usize) {
    let made = antagonist::tree(children, Instant::now() + Duration::from_secs(60));
    println!("did Tree {made} times");
    loop {
        thread::park();
    }
}

/// Starts one that eats after so many milliseconds, and stays whatever becomes of it.
fn pair(ms: usize) {
    if let Err(error) = antagonist::again("eat", &ms.to_string()) {
        return eprintln!("chatter: {error}");
    }
    say_ready();
    loop {
        thread::park();
    }
}

/// After so many milliseconds it takes all the memory that there is.
fn eat(ms: usize) {
    nap(ms);
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

/// Says by its gateway's socket that it is ready, tries for so many seconds, and stays for ever.
fn herald(seconds: usize) {
    let end = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let say = || -> std::io::Result<String> {
        let mut gateway = UnixStream::connect("/dev/gateway")?;
        gateway.write_all(b"{\"ready\":true,\"id\":1}\n")?;
        let mut lines = BufReader::new(gateway).lines();
        lines
            .find_map(|line| line.ok().filter(|line| line.contains("\"done\":1")))
            .ok_or(ErrorKind::NotConnected.into())
    };
    while Instant::now() < end {
        match say() {
            Ok(line) => {
                println!("heard: {line}");
                break;
            }
            Err(_) => thread::sleep(TICK_EVERY),
        }
    }
    loop {
        thread::park();
    }
}

/// Fills its volume with up to so many MiB, and with files, and stays.
fn keep(mib: usize) {
    volume::keep(mib);
    say_ready();
    loop {
        thread::park();
    }
}

/// Works at its volume with so many threads for ever.
fn at_disk(threads: usize, work: fn(usize) -> std::io::Error) {
    let more: Vec<_> = (0..threads).map(|number| thread::spawn(move || work(number))).collect();
    say_ready();
    for thread in more {
        // It ends where the disk takes no more.
        if let Ok(error) = thread.join() {
            eprintln!("chatter: {error}");
        }
    }
}

/// Reads so many bytes of its camera, and stays; ends where there is none.
fn film(bytes: usize) {
    let mut picture = vec![0; bytes];
    match File::open("/dev/video0").and_then(|mut camera| camera.read_exact(&mut picture)) {
        Ok(()) => println!("filmed: {bytes} bytes"),
        Err(error) => return eprintln!("chatter: /dev/video0: {error}"),
    }
    say_ready();
    loop {
        thread::park();
    }
}

/// Takes a line of at most so many bytes from its serial port, answers it, and stays; ends where there is none.
fn line(bytes: usize) {
    let opened = File::options().read(true).write(true).open("/dev/ttyUSB0");
    let heard = opened.and_then(|mut port| {
        say_ready();
        let mut text = vec![0; bytes];
        let length = port.read(&mut text)?;
        text.truncate(length);
        let answer = format!("heard: {}", String::from_utf8_lossy(&text).trim_end());
        println!("{answer}");
        writeln!(port, "{answer}")
    });
    if let Err(error) = heard {
        return eprintln!("chatter: /dev/ttyUSB0: {error}");
    }
    loop {
        thread::park();
    }
}

/// Touches so many MiB, and keeps them for ever.
fn hold(mib: usize) {
    const PAGE: usize = 4096;
    let mut all = vec![0_u8; mib << 20];
    for page in all.chunks_mut(PAGE) {
        if let Some(first) = page.first_mut() {
            *first = 1;
        }
    }
    println!("held: {mib} MiB");
    say_ready();
    loop {
        thread::park();
        std::hint::black_box(&all);
    }
}

/// Serves each connection by a thread of its own; how many there can be is the cgroup's business.
fn talk(listener: &TcpListener, ends: &Sender<u8>) {
    for stream in listener.incoming().flatten() {
        let ends = ends.clone();
        let spawned = thread::Builder::new().spawn(move || tick(stream, &ends));
        if let Err(error) = spawned {
            eprintln!("chatter: {error}");
        }
    }
}

fn tick(mut stream: TcpStream, ends: &Sender<u8>) {
    if stream.set_read_timeout(Some(TICK_EVERY)).is_err() {
        return;
    }
    let mut order = Vec::new();
    for number in 0_u64.. {
        if writeln!(stream, "tick {number}").is_err() {
            return;
        }
        let mut piece = [0; ORDER_BYTES];
        match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(length) => order.extend_from_slice(piece.get(..length).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        }
        if order.len() > ORDER_BYTES {
            return;
        }
        match parse(&order) {
            // The receiver is `main`, which is there as long as we are.
            Some(Order::Exit(code)) => drop(ends.send(code)),
            Some(Order::Write(bytes)) => {
                order.clear();
                let word = volume::record(bytes).map_or("refused", |()| "written");
                if writeln!(stream, "{word}").is_err() {
                    return;
                }
            }
            Some(Order::Do(for_s, antagonist)) => {
                order.clear();
                let times = antagonist.rage(Instant::now() + Duration::from_secs(for_s));
                println!("did {antagonist:?} {times} times");
            }
            None => {}
        }
    }
}

/// What can be ordered.
#[derive(Debug, PartialEq, Eq)]
enum Order {
    /// End with this code.
    Exit(u8),
    /// Add a record of so many bytes to the diary.
    Write(usize),
    /// Do this for so many seconds.
    Do(u64, Antagonist),
}

/// The longest rage, in seconds, and the longest record, in bytes.
const RAGE_S_MAX: u64 = 600;
const RECORD_BYTES_MAX: usize = 65_536;

/// An order, once its line is whole.
fn parse(order: &[u8]) -> Option<Order> {
    let line = std::str::from_utf8(order).ok()?.strip_suffix('\n')?.trim_end();
    if let Some(code) = line.strip_prefix("exit ") {
        return code.parse().ok().map(Order::Exit);
    }
    if let Some(bytes) = line.strip_prefix("write ") {
        return bytes.parse().ok().filter(|bytes| *bytes <= RECORD_BYTES_MAX).map(Order::Write);
    }
    let (seconds, antagonist) = line.strip_prefix("do ")?.split_once(' ')?;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds <= RAGE_S_MAX)?;
    Antagonist::parse(antagonist).map(|antagonist| Order::Do(seconds, antagonist))
}

#[cfg(test)]
mod tests {
    use super::{Antagonist, Order, parse};

    #[test]
    fn an_order_is_a_whole_line() {
        let table = [
            ("exit 7\n", Some(Order::Exit(7))),
            ("do 3 spin\n", Some(Order::Do(3, Antagonist::Spin))),
            ("do 9999 spin\n", None),
            ("write 512\n", Some(Order::Write(512))),
            ("write 1000000\n", None),
            ("exit 7", None),
            ("exit 300\n", None),
            ("leave\n", None),
            ("", None),
        ];
        for (order, code) in table {
            assert_eq!(parse(order.as_bytes()), code, "{order:?}");
        }
    }
}
