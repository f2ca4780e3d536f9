//! The wire `leases` with many rows, slow readers, and more of them than there is room for.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use contract::leases::{Answer, Ask};
use contract::wires::{LEASES, Wire};
use lease::askers::{Askers, CLIENTS_MAX, Tale};
use lease::table::{Guest, Key, ROWS_MAX, Row, Use};
use nix::poll::{PollFd, PollTimeout, poll};
use wire::{Client, Error, Listener};

struct Stage {
    path: PathBuf,
    askers: Askers,
    rows: Vec<Row>,
}

impl Stage {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shg-lease-{name}-{}", std::process::id()));
        let ours = std::fs::metadata("/proc/self").unwrap().uid();
        let wire = Wire { clients: Box::leak(Box::new([ours])), ..LEASES };
        let listener = Listener::new(wire, sys::seqpacket::listen(&path).unwrap());
        Self { path, askers: Askers::new(listener), rows: (0..ROWS_MAX).rev().map(row).collect() }
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
        let client = Answer::Client { state: "BOUND".into(), lease: None, remaining_s: 0 };
        self.askers.turn(&ready, &Tale { client: Some(client), rows: &self.rows, now_ms: 1_000 });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Every second row is not worth telling.
fn row(number: usize) -> Row {
    let mac = [2, 0, 0, 0, 0, 0];
    let address = Ipv4Addr::from_bits(u32::try_from(number).unwrap() + 1);
    let (state, until_ms) = match number % 4 {
        0 => (Use::Offered, 61_000),
        1 => (Use::Given, 1_000),
        _ => (Use::Given, 61_000),
    };
    Row { address, guest: Guest { key: Key::Mac(mac), mac, host: "host".into() }, state, until_ms }
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
        match client.receive().unwrap().map(|(answer, _)| answer) {
            Some(Answer::Done) => break,
            Some(Answer::Given { address, remaining_s, .. }) => told.push((address, remaining_s)),
            Some(Answer::Client { .. } | Answer::Session { .. }) => {
                assert!(told.is_empty(), "our own lease comes first");
            }
            None => stage.turn(),
        }
    }
    assert_eq!(told.len(), ROWS_MAX / 2);
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
