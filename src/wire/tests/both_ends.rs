//! Both ends of a wire in one process: who may come in, what arrives, what happens to nonsense.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::AsFd;
use std::path::PathBuf;

use contract::control::{Answer, Ask};
use contract::wires::Wire;
use contract::{Name, frame, limit};
use wire::{Client, Error, Listener, Received};

/// The uids of everybody who may run these tests: ours.
fn wire(clients: &'static [u32]) -> Wire {
    Wire { name: "control", server: "test", clients, path: "" }
}

fn ours() -> &'static [u32] {
    let path = PathBuf::from("/proc/self");
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    Box::leak(Box::new([uid]))
}

struct Bound(PathBuf, Listener);

impl Bound {
    fn new(what: &str, clients: &'static [u32]) -> Self {
        let path = std::env::temp_dir().join(format!("shg-wire-{what}-{}", std::process::id()));
        let socket = sys::seqpacket::listen(&path).unwrap();
        Self(path, Listener::new(wire(clients), socket))
    }

    fn dial(&self) -> Client {
        Client::dial_at(wire(&[]), &self.0).unwrap()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_question_gets_its_answer() {
    let bound = Bound::new("answer", ours());
    let client = bound.dial();
    let connection = bound.1.accept().unwrap();
    assert!(matches!(connection.receive::<Ask>(), Received::Nothing));
    let ask = Ask::Log { name: Name::new("hello").unwrap(), from: 7 };
    client.send(&ask, &[]).unwrap();
    let Received::Message(heard, _) = connection.receive::<Ask>() else { panic!("a message") };
    assert_eq!(heard, ask);

    let bytes = heapless::Vec::from_slice(&[9; limit::LOG_CHUNK_BYTES]).unwrap();
    let answer = Answer::Log { next: 4103, bytes };
    connection.send(&answer, &[connection.as_fd()]).unwrap();
    let (heard, descriptors) = client.wait::<Answer>().unwrap();
    assert_eq!(heard, answer);
    assert!(descriptors[0].is_some() && descriptors[1].is_none());
}

#[test]
fn a_stranger_is_turned_away() {
    let bound = Bound::new("stranger", &[4_000_000_000]);
    let client = bound.dial();
    assert!(bound.1.accept().is_none());
    assert_eq!(client.wait::<Answer>().unwrap_err(), Error::Closed);
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let bound = Bound::new("nonsense", ours());
    let rude = bound.dial();
    let polite = bound.dial();
    let (first, second) = (bound.1.accept().unwrap(), bound.1.accept().unwrap());
    sys::seqpacket::send(rude.as_fd(), &[250, 1, 2, 3], &[]).unwrap();
    polite.send(&Ask::Status, &[]).unwrap();
    assert!(matches!(first.receive::<Ask>(), Received::Gone));
    assert!(matches!(second.receive::<Ask>(), Received::Message(Ask::Status, _)));
}

#[test]
fn who_does_not_read_is_dropped() {
    let bound = Bound::new("deaf", ours());
    let _deaf = bound.dial();
    let connection = bound.1.accept().unwrap();
    // The socket's queue is bounded; a thousand frames are more than any.
    let gone = (0..1_000).find_map(|_| connection.send(&Answer::Done, &[]).err());
    assert_eq!(gone, Some(Error::Closed));
}

#[test]
fn a_frame_is_all_of_its_bytes() {
    let mut buffer = [0; 64];
    let used = frame::encode(&Ask::Start(Name::new("hello").unwrap()), &mut buffer).unwrap().to_vec();
    assert!(frame::decode::<Ask>(&used).is_ok());
    for cut in 0..used.len() {
        assert!(frame::decode::<Ask>(&used[..cut]).is_err(), "cut at {cut}");
    }
    let longer = [used.as_slice(), &[0]].concat();
    assert_eq!(frame::decode::<Ask>(&longer), Err(frame::Error::Malformed));
    assert_eq!(frame::encode(&Ask::Status, &mut []), Err(frame::Error::TooLarge));
}
