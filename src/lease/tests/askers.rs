//! The wire `leases` with many rows, slow readers, and more of them than there is room for.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use contract::leases::{Answer, Ask};
use contract::wires::{LEASES, Wire};
use lease::askers::{Askers, CLIENTS_MAX};
use lease::link::News;
use lease::side::{Side, Waits};
use nix::poll::{PollFd, PollTimeout, poll};
use wire::{Client, Error, Listener};

/// Rows of the second side.
const ROWS: u64 = 512;

struct Stage {
    path: PathBuf,
    askers: Askers,
}

/// A client of which there is one row.
#[derive(Debug)]
struct Client4;

/// A server with every second place taken.
#[derive(Debug)]
struct Server4;

impl Side for Client4 {
    fn descriptors(&self) -> Waits<'_> {
        Waits::new()
    }
    fn due_ms(&self) -> Option<u64> {
        None
    }
    fn hear(&mut self, _: &News, _: u64) {}
    fn turn(&mut self, _: u64) {}
    fn row(&self, from: u64, _: u64) -> Option<(u64, Answer)> {
        let (link, state) = ("wan".into(), "BOUND".into());
        let row =
            Answer::Client { link, state, lease: None, remaining_s: 0, controller: None, domain: "".into() };
        (from == 0).then_some((0, row))
    }
}

impl Side for Server4 {
    fn descriptors(&self) -> Waits<'_> {
        Waits::new()
    }
    fn due_ms(&self) -> Option<u64> {
        None
    }
    fn hear(&mut self, _: &News, _: u64) {}
    fn turn(&mut self, _: u64) {}
    fn row(&self, from: u64, now_ms: u64) -> Option<(u64, Answer)> {
        let place = from.next_multiple_of(2);
        let address = Ipv4Addr::from_bits(u32::try_from(place).unwrap());
        let remaining_s = u32::try_from(now_ms).unwrap();
        let (link, mac, host) = ("lan".into(), [2; 6], "host".into());
        let answer = Answer::Given { link, address, mac, host, remaining_s };
        (place < ROWS).then_some((place, answer))
    }
}

impl Stage {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shg-lease-{name}-{}", std::process::id()));
        let ours = std::fs::metadata("/proc/self").unwrap().uid();
        let wire = Wire { clients: Box::leak(Box::new([ours])), ..LEASES };
        let listener = Listener::new(wire, sys::seqpacket::listen(&path).unwrap());
        Self { path, askers: Askers::new(listener) }
    }

    fn dial(&mut self) -> Client {
        let client = Client::dial_at(LEASES, &self.path).unwrap();
        self.turn();
        client
    }

    /// One turn of the loop, as the room does it.
    fn turn(&mut self) {
        let mut wanted: Vec<PollFd<'_>> =
            self.askers.descriptors().map(|(descriptor, flags)| PollFd::new(descriptor, flags)).collect();
        poll(&mut wanted, PollTimeout::ZERO).unwrap();
        let ready: Vec<bool> = wanted.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        self.askers.turn(&ready, &[&Client4, &Server4], 60);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn who_reads_slowly_gets_every_row_in_order() {
    let mut stage = Stage::new("slow");
    let client = stage.dial();
    client.send(&Ask::Leases, &[]).unwrap();
    for _ in 0..100 {
        stage.turn(); // Nobody reads yet.
    }
    let mut told = Vec::new();
    loop {
        let Some((answer, _)) = client.receive().unwrap() else {
            stage.turn();
            continue;
        };
        if answer == Answer::Done {
            break;
        }
        if let Answer::Given { address, remaining_s, .. } = answer {
            told.push((address, remaining_s));
        } else {
            assert!(told.is_empty(), "our own lease comes first: {answer:?}");
        }
    }
    assert_eq!(told.len(), usize::try_from(ROWS / 2).unwrap());
    assert!(told.is_sorted() && told.iter().all(|row| row.1 == 60), "{told:?}");
}

#[test]
fn the_eldest_makes_room() {
    let mut stage = Stage::new("many");
    let clients: Vec<Client> = (0..=CLIENTS_MAX).map(|_| stage.dial()).collect();
    assert_eq!(clients[0].receive::<Answer>().unwrap_err(), Error::Closed);
    let last = clients.last().unwrap();
    last.send(&Ask::Leases, &[]).unwrap();
    stage.turn();
    stage.turn();
    assert!(matches!(last.receive::<Answer>(), Ok(Some((Answer::Client { .. }, _)))));
}
