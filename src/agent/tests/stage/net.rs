//! A `network`, a `lease` and a `time` that a test plays: the network of docs/examples/ipoe.toml, or another, with a host at home, and a trial.
//!
//! In:  what the daemon asks. Out: what they would answer. A change is on trial, as in the real one: taken back when its time is over.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::learn::{Lease, Mapping, Session};
use contract::manifest::Protocol;
use contract::show::{Address, Answer, Ask, Link, Route, Traffic};
use contract::wanted::{PPP_LINK, WanIpv4, Wanted};
use contract::wires::{CLOCK, LEASES, SHOW};
use contract::{clock, leases};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use sys::seqpacket::Descriptors;
use wire::{Connection, Received};

use super::house::listener;

/// The network that is wanted at first.
const TEXT: &str = include_str!("../../../../docs/examples/ipoe.toml");

/// What the played `network` holds.
pub(crate) struct State {
    /// What is wanted.
    pub(crate) wanted: Wanted,
    /// What was wanted before, and until when the change is on trial.
    pub(crate) trial: Option<(Wanted, Instant)>,
    /// Changes that were taken.
    pub(crate) changes: usize,
    /// Of these kept.
    pub(crate) kept: usize,
    /// A host has asked for a port: where a session is wanted, of IPv6.
    pub(crate) asked: bool,
    /// The state of the session, where one is wanted.
    pub(crate) session: &'static str,
    /// How often leases were asked for.
    pub(crate) looks: usize,
    /// The controller that the DHCP server names.
    pub(crate) controller: Option<leases::Controller>,
    /// The domain that its DHCP server says.
    pub(crate) domain: String,
}

/// The rooms.
#[derive(Clone)]
pub(crate) struct Net(pub(crate) Arc<Mutex<State>>);

impl Net {
    /// Serves all three wires.
    pub(crate) fn begin() -> Self {
        Self::of(TEXT)
    }

    /// The same, with another network.
    pub(crate) fn of(text: &str) -> Self {
        let wanted = contract::wanted::parse(text).unwrap();
        let state = State {
            wanted,
            trial: None,
            changes: 0,
            kept: 0,
            asked: false,
            session: "UP",
            looks: 0,
            controller: None,
            domain: String::new(),
        };
        let net = Self(Arc::new(Mutex::new(state)));
        let served = net.clone();
        let listeners = [SHOW, LEASES, CLOCK].map(listener);
        std::thread::spawn(move || {
            let mut clients: [Vec<Connection>; 3] = Default::default();
            loop {
                for (place, listener) in listeners.iter().enumerate() {
                    clients[place].extend(listener.accept());
                }
                served.expire();
                clients[0].retain(|client| match client.receive::<Ask>() {
                    Received::Message(ask, along) => served.answer(client, &ask, along),
                    Received::Nothing => true,
                    Received::Gone => false,
                });
                clients[1].retain(|client| match client.receive::<leases::Ask>() {
                    Received::Message(..) => served.leases().iter().all(|row| client.send(row, &[]).is_ok()),
                    Received::Nothing => true,
                    Received::Gone => false,
                });
                clients[2].retain(|client| match client.receive::<clock::Ask>() {
                    Received::Message(..) => clock().iter().all(|row| client.send(row, &[]).is_ok()),
                    Received::Nothing => true,
                    Received::Gone => false,
                });
                std::thread::sleep(Duration::from_millis(1)); // a step of a wait with a limit: the test ends and takes us along
            }
        });
        net
    }

    /// A trial whose time is over is taken back.
    fn expire(&self) {
        let mut state = self.0.lock().unwrap();
        if state.trial.as_ref().is_some_and(|(_, ends)| *ends <= Instant::now()) {
            let (before, _) = state.trial.take().unwrap();
            state.wanted = before;
        }
    }

    fn answer(&self, client: &Connection, ask: &Ask, along: Descriptors) -> bool {
        let mut state = self.0.lock().unwrap();
        let rows = match ask {
            Ask::Wanted => {
                let left =
                    state.trial.as_ref().map(|(_, ends)| ends.duration_since(Instant::now()).as_secs());
                let trial_s = left.map_or(0, |left| u32::try_from(left).unwrap() + 1);
                let mut bytes = vec![0; 65_536];
                let used = postcard::to_slice(&state.wanted.clone().without_secrets(), &mut bytes).unwrap();
                let memory = sealed(used);
                return client.send(&Answer::Wanted { trial_s }, &[memory.as_fd()]).is_ok();
            }
            Ask::Found => found(&state.wanted),
            Ask::Traffic => vec![Answer::Traffic(heapless::Vec::from_slice(&[voice()]).unwrap())],
            Ask::Change { confirm_within_s } => {
                let mut bytes = Vec::new();
                let [file, ..] = along;
                let mut file = File::from(file.unwrap());
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_end(&mut bytes).unwrap();
                let wanted: Wanted = postcard::from_bytes(&bytes).unwrap();
                assert_eq!(wanted.fault(), None, "the agent has looked before it asks");
                let before = std::mem::replace(&mut state.wanted, wanted);
                let before = state.trial.take().map_or(before, |(first, _)| first);
                let ends = Instant::now() + Duration::from_secs((*confirm_within_s).into());
                state.trial = Some((before, ends));
                state.changes += 1;
                Vec::new()
            }
            Ask::Confirm => match state.trial.take() {
                Some(_) => {
                    state.kept += 1;
                    Vec::new()
                }
                None => {
                    return client.send(&Answer::Refused("nothing is to be confirmed".into()), &[]).is_ok();
                }
            },
            Ask::Network | Ask::Apply { .. } | Ask::Revert => panic!("{ask:?} is not the agent's to say"),
        };
        rows.iter().chain([&Answer::Done]).all(|row| client.send(row, &[]).is_ok())
    }

    fn leases(&self) -> Vec<leases::Answer> {
        let mut state = self.0.lock().unwrap();
        state.looks += 1;
        if state.wanted.internet.ipv4 == WanIpv4::Pppoe {
            let asked = state.asked.then(pinhole);
            return std::iter::once(session(&state)).chain(asked).chain([leases::Answer::Done]).collect();
        }
        let lease = Lease {
            link: "eth0".into(),
            address: [203, 0, 113, 7].into(),
            prefix_length: 24,
            router: Some([203, 0, 113, 1].into()),
            routes: heapless::Vec::new(),
            name_servers: heapless::Vec::from_slice(&[[203, 0, 113, 53].into()]).unwrap(),
            time_servers: heapless::Vec::new(),
            sip_servers: heapless::Vec::new(),
            server: [203, 0, 113, 1].into(),
            lease_s: 3600,
        };
        let client = leases::Answer::Client {
            link: "eth0".into(),
            state: "BOUND".into(),
            lease: Some(lease),
            remaining_s: 3000,
            controller: state.controller.clone(),
            domain: state.domain.as_str().into(),
        };
        let given = leases::Answer::Given {
            link: "br-lan".into(),
            address: [192, 168, 1, 100].into(),
            mac: [2, 0, 0, 0, 0, 0x10],
            host: "tablet".into(),
            remaining_s: 600,
        };
        let mapping = Mapping {
            protocol: Protocol::Udp,
            external_port: 4000,
            host: [192, 168, 1, 100].into(),
            port: 5000,
        };
        let asked = leases::Answer::Mapping { link: "br-lan".into(), mapping, remaining_s: 90 };
        let asked = state.asked.then_some(asked);
        [client, given].into_iter().chain(asked).chain([leases::Answer::Done]).collect()
    }
}

fn found(wanted: &Wanted) -> Vec<Answer> {
    let link = |name: &str, bridge: &str| {
        Answer::Link(Link { name: name.into(), up: true, bridge: bridge.into(), mtu: 1500 })
    };
    let address = |link: &str, address: [u8; 4], length| {
        let life_s = [u32::MAX; 2];
        Answer::Address(Address {
            link: link.into(),
            address: std::net::IpAddr::from(address),
            length,
            life_s,
        })
    };
    let internet = wanted.address_link(&wanted.internet);
    let route = Route {
        play: 0,
        to: "0.0.0.0/0".parse().unwrap(),
        link: internet.clone(),
        via: Some(std::net::IpAddr::from([203, 0, 113, 1])),
        metric: 0,
    };
    let session = (internet.as_str() == PPP_LINK).then(|| link(PPP_LINK, ""));
    let rest = [
        link("eth0", ""),
        link("eth0.20", ""),
        link("eth1", "br-lan"),
        link("br-lan", ""),
        address(&internet, [203, 0, 113, 7], 24),
        address("br-lan", wanted.lan.address.octets(), wanted.lan.prefix_length),
        Answer::Route(route),
    ];
    session.into_iter().chain(rest).collect()
}

/// The session that is wanted.
fn session(state: &State) -> leases::Answer {
    let link = state.wanted.frame_link(&state.wanted.internet);
    let up = Session {
        link: link.clone(),
        ppp: PPP_LINK.into(),
        address: [203, 0, 113, 7].into(),
        peer: [203, 0, 113, 1].into(),
        name_servers: heapless::Vec::from_slice(&[[203, 0, 113, 53].into()]).unwrap(),
        mtu: 1492,
        identifier: 0x0200_00ff_fe00_0007,
        peer_identifier: 1,
    };
    leases::Answer::Session {
        link,
        state: state.session.into(),
        session: (state.session == "UP").then_some(up),
        up_s: 60,
        reason: "the peer has ended the one before".into(),
    }
}

/// What a host has asked for.
fn pinhole() -> leases::Answer {
    let mapping = Mapping {
        protocol: Protocol::Tcp,
        external_port: 6000,
        host: "2001:db8::10".parse().unwrap(),
        port: 6000,
    };
    leases::Answer::Mapping { link: "br-lan".into(), mapping, remaining_s: 90 }
}

fn voice() -> Traffic {
    Traffic {
        link: "eth0".into(),
        class: "voice".into(),
        rate_kbit_s: 1_000,
        ceil_kbit_s: 1_000,
        bytes: 5_000,
        packets: 50,
        drops: 2,
        backlog_bytes: 0,
    }
}

fn clock() -> Vec<clock::Answer> {
    let clock = clock::Clock {
        state: clock::State::Remembered,
        now_s: 1_800_000_000,
        source: "".into(),
        sealed: false,
        stratum: 0,
        offset_us: 0,
        dispersion_us: 0,
        frequency_ppb: 0,
        since_s: 0,
        reason: "".into(),
    };
    vec![clock::Answer::Clock(clock), clock::Answer::Done]
}

fn sealed(bytes: &[u8]) -> File {
    let memory = memfd_create(c"wanted", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    let mut memory = File::from(memory);
    memory.write_all(bytes).unwrap();
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).unwrap();
    memory
}
