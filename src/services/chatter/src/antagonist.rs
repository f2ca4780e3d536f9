//! What a bad neighbour does: each antagonist of the noisy-neighbour matrix, for so many seconds.
//!
//! In:  its word, and what that needs. Out: a count of what it came to, which the log tells.
//!
//! Everything happens inside a sandbox of the rehearsal root. Where a limit stops it, it goes on trying: that is what it is for.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::volume;

/// Threads of whoever wants all processors: a fair scheduler that counts threads gives them nearly everything.
const SPINNERS: usize = 16;
/// One bite of memory.
const BITE_BYTES: usize = 1 << 20;
/// How much of it is held at most: whoever may have more should not fall over all at once.
const BITES_MAX: usize = 700;
/// Programs of a fork bomb that are held at a time, and connections of a hoarder.
const HELD_MAX: usize = 2_000;
/// What a datagram carries that shall fill a line, and one of which there shall be many, in bytes.
const FULL_BYTES: usize = 1_400;
const SMALL_BYTES: usize = 18;

/// `O_NONBLOCK`. Source: asm-generic/fcntl.h.
const NONBLOCK: i32 = 0o4000;

/// An antagonist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Antagonist {
    /// Spins on every processor.
    Spin,
    /// Takes memory, and touches it again and again.
    Memory,
    /// Fills the folder for temporary files, which is memory, and empties it.
    Files,
    /// Writes small records to its volume, each forced to the disk.
    Fsync,
    /// Fills its volume, and goes on trying.
    Fill,
    /// Writes a file of its volume over and over: what the kernel keeps for the disk is memory.
    Cache,
    /// Starts programs that start nothing, as many as it may, and ends them.
    Fork,
    /// Sends full datagrams to an address and port as fast as it can: a line is filled.
    Flood(String),
    /// Sends small ones: interrupts are filled.
    Packets(String),
    /// Sends one datagram from each of its ports in turn: to whoever tracks connections each is a new one.
    Ports(String),
    /// Opens connections to an address and port and holds them.
    Connect(String),
    /// Sends a word to an address and port a few times a second, and takes what comes: whoever is there fills the line.
    Fetch(String),
    /// Writes to its log as fast as it can.
    Log,
    /// Leaves children that nobody waits for.
    Zombies,
    /// Writes to whoever wants to know that it is ready, without an end and without a line's end.
    Notify,
}

impl Antagonist {
    /// Reads `WORD` or `WORD ADDRESS:PORT`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let word = words.next()?;
        let target = words.next().map(str::to_owned);
        match (word, target, words.next()) {
            ("spin", None, None) => Some(Self::Spin),
            ("memory", None, None) => Some(Self::Memory),
            ("files", None, None) => Some(Self::Files),
            ("fsync", None, None) => Some(Self::Fsync),
            ("fill", None, None) => Some(Self::Fill),
            ("cache", None, None) => Some(Self::Cache),
            ("fork", None, None) => Some(Self::Fork),
            ("flood", Some(target), None) => Some(Self::Flood(target)),
            ("packets", Some(target), None) => Some(Self::Packets(target)),
            ("ports", Some(target), None) => Some(Self::Ports(target)),
            ("connect", Some(target), None) => Some(Self::Connect(target)),
            ("fetch", Some(target), None) => Some(Self::Fetch(target)),
            ("log", None, None) => Some(Self::Log),
            ("zombies", None, None) => Some(Self::Zombies),
            ("notify", None, None) => Some(Self::Notify),
            _ => None,
        }
    }

    /// Does its worst until `until`. How often it did it.
    #[must_use]
    pub fn rage(&self, until: Instant) -> u64 {
        match self {
            Self::Spin => spin(until),
            Self::Memory => memory(until),
            Self::Files => files(until),
            Self::Fsync => volume::storm(until),
            Self::Fill => volume::fill(until),
            Self::Cache => volume::cache(until),
            Self::Fork => fork(until, "1000", HELD_MAX),
            Self::Flood(target) => flood(until, target, FULL_BYTES),
            Self::Packets(target) => flood(until, target, SMALL_BYTES),
            Self::Ports(target) => ports(until, target),
            Self::Connect(target) => connect(until, target),
            Self::Fetch(target) => fetch(until, target),
            Self::Log => log(until),
            Self::Zombies => fork(until, "0", HELD_MAX),
            Self::Notify => notify(until),
        }
    }
}

/// A piece of work that is the same every time.
pub(crate) fn work(turns: u64) -> u64 {
    (0..turns * 10_000).fold(turns, |sum, number| black_box(sum ^ number))
}

fn spin(until: Instant) -> u64 {
    let spinner = move || {
        let mut turns = 0_u64;
        while Instant::now() < until {
            turns = turns.wrapping_add(work(1));
        }
        turns
    };
    let others: Vec<_> = (1..SPINNERS).filter_map(|_| thread::Builder::new().spawn(spinner).ok()).collect();
    let _ = spinner();
    u64::try_from(others.len()).unwrap_or(0) + 1
}

fn memory(until: Instant) -> u64 {
    let mut bites: Vec<Vec<u8>> = Vec::new();
    while Instant::now() < until {
        if bites.len() < BITES_MAX {
            bites.push(vec![1; BITE_BYTES]);
        }
        for bite in &mut bites {
            bite.iter_mut().step_by(4096).for_each(|byte| *byte = byte.wrapping_add(1));
        }
    }
    u64::try_from(bites.len()).unwrap_or(0)
}

fn files(until: Instant) -> u64 {
    let path = std::env::temp_dir().join(format!("hog-{}", std::process::id()));
    let bite = vec![1; BITE_BYTES];
    let mut written = 0;
    while Instant::now() < until {
        let Ok(mut file) = File::create(&path) else { break };
        while Instant::now() < until && file.write_all(&bite).is_ok() {
            written += 1;
        }
    }
    let _ = std::fs::remove_file(path);
    written
}

/// Children that end after `nap_ms` and are waited for late: as many as it may have, but for `held_max`.
fn fork(until: Instant, nap_ms: &str, held_max: usize) -> u64 {
    let mut held: Vec<Child> = Vec::new();
    let mut made = 0;
    while Instant::now() < until {
        match nap(nap_ms) {
            Ok(child) => {
                made += 1;
                held.push(child);
            }
            Err(_) => thread::sleep(Duration::from_millis(1)), // Its limit; it tries again.
        }
        if held.len() >= held_max {
            held.drain(..held_max / 2).for_each(end);
        }
    }
    held.into_iter().for_each(end);
    made
}

/// This program again, asleep.
fn nap(nap_ms: &str) -> std::io::Result<Child> {
    again("nap", nap_ms)
}

/// This program again, with other words.
pub(crate) fn again(what: &str, amount: &str) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args([what, amount]).spawn()
}

fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// So many children that are left as they are.
pub(crate) fn tree(children: usize, until: Instant) -> usize {
    let mut made = 0;
    while made < children && Instant::now() < until {
        made += usize::from(nap("3600000").is_ok());
    }
    made
}

fn flood(until: Instant, target: &str, bytes: usize) -> u64 {
    let Ok(socket) = UdpSocket::bind(("0.0.0.0", 0)) else { return 0 };
    let (datagram, mut sent) = (vec![0; bytes], 0);
    while Instant::now() < until {
        for _ in 0..64 {
            sent += u64::from(socket.send_to(&datagram, target).is_ok());
        }
    }
    sent
}

fn ports(until: Instant, target: &str) -> u64 {
    let mut sent = 0;
    while Instant::now() < until {
        // Port 0: the kernel takes another one each time.
        let socket = UdpSocket::bind(("0.0.0.0", 0));
        sent += u64::from(socket.is_ok_and(|socket| socket.send_to(&[0; SMALL_BYTES], target).is_ok()));
    }
    sent
}

fn connect(until: Instant, target: &str) -> u64 {
    const PATIENCE: Duration = Duration::from_millis(50);
    let Ok(address) = target.parse() else { return 0 };
    let mut held = Vec::new();
    let mut made = 0;
    while Instant::now() < until {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) if held.len() < HELD_MAX => {
                made += 1;
                held.push(stream);
            }
            Ok(_) => made += 1,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    made
}

fn fetch(until: Instant, target: &str) -> u64 {
    const ASK_EVERY: Duration = Duration::from_millis(250);
    let Ok(socket) = UdpSocket::bind(("0.0.0.0", 0)) else { return 0 };
    if socket.connect(target).is_err() || socket.set_read_timeout(Some(ASK_EVERY)).is_err() {
        return 0;
    }
    let (mut datagram, mut came, mut ask) = ([0; 2_048], 0, Instant::now());
    while Instant::now() < until {
        if Instant::now() >= ask {
            ask = Instant::now() + ASK_EVERY;
            let _ = socket.send(b"more");
        }
        came += u64::from(socket.recv(&mut datagram).is_ok());
    }
    came
}

fn log(until: Instant) -> u64 {
    let mut lines = 0;
    while Instant::now() < until {
        println!("flood {lines} {}", "x".repeat(200));
        lines += 1;
    }
    lines
}

fn notify(until: Instant) -> u64 {
    let number = std::env::var("NOTIFY_FD").unwrap_or_default();
    let opened = File::options().write(true).custom_flags(NONBLOCK).open(format!("/proc/self/fd/{number}"));
    let Ok(mut file) = opened else { return 0 };
    let (bite, mut written) = ([b'x'; 4096], 0);
    while Instant::now() < until {
        match file.write_all(&bite) {
            Ok(()) => written += 1,
            Err(_) => thread::sleep(Duration::from_millis(1)), // It is full.
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::Antagonist;
    use std::time::{Duration, Instant};

    #[test]
    fn a_word_is_an_antagonist_or_nothing() {
        let table = [
            ("spin", Some(Antagonist::Spin)),
            ("flood 192.0.2.1:9", Some(Antagonist::Flood("192.0.2.1:9".to_owned()))),
            ("flood", None),
            ("spin much", None),
            ("fsync", Some(Antagonist::Fsync)),
            ("fill", Some(Antagonist::Fill)),
            ("cache", Some(Antagonist::Cache)),
            ("", None),
            ("dance", None),
        ];
        for (text, wanted) in table {
            assert_eq!(Antagonist::parse(text), wanted, "{text}");
        }
    }

    #[test]
    fn rage_ends_in_time_and_came_to_something() {
        let until = Instant::now() + Duration::from_millis(50);
        assert!(Antagonist::Spin.rage(until) > 0);
        assert!(Instant::now() < until + Duration::from_secs(5));
    }
}
