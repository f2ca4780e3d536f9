//! Is a service well? It is tried from inside its own network, or by a program of its own, or has to say so.
//!
//! In:  its manifest's `health`, its namespace, its address, its reaper. Out: a try that has failed so often in a row that the service is ended; then it
//! dies like any other, with a word why, and comes back with the same pauses.
//!
//! Of what a service answers, twelve bytes are looked at: `HTTP/1.x ` and three digits. Nothing is parsed beyond that, and nothing is waited for.
//!
//! Not here: running that program (`exec`): its reaper does, on SIGUSR1 (docs/decisions/0107-the-reaper-runs-the-probe.md).
//!
//! Source: RFC 9112 §4 (status line).

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use contract::Text;
use contract::control::State;
use contract::manifest::{Health, Probe};
use log::warn;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{SockaddrIn, connect, getsockopt, sockopt::SocketError};
use sys::{clock, descriptor, pidfd};

use crate::house::House;
use crate::process::What;

/// Between two looks at a try that is under way, in milliseconds.
pub const LOOK_EVERY_MS: u64 = 100;
/// What is read of an answer: `HTTP/1.1 200`.
const ANSWER_BYTES: usize = 12;

/// What is known of a service's health.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When it is tried next, in milliseconds after boot.
    due_ms: u64,
    /// Tries that failed in a row.
    fails: u8,
    /// It said a line, when it was already up.
    pub said: bool,
    /// Its reaper said how the program ended that tries it: well, or not.
    pub ended: Option<bool>,
    /// A try went well since it is up.
    well: bool,
    /// The try that is under way.
    attempt: Option<Attempt>,
}

/// The reaper's words of a probe. A service may say them, too: of its own health it can always lie.
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;

/// What was said on the descriptor for readiness.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said {
    /// A line.
    pub ready: bool,
    /// A probe ended: well, or not.
    pub well: Option<bool>,
}

impl Said {
    /// And these words.
    pub fn take(&mut self, words: &[u8]) {
        for word in words {
            match *word {
                b'\n' => self.ready = true,
                ACK => self.well = Some(true),
                NAK => self.well = Some(false),
                _ => {}
            }
        }
    }
}

#[derive(Debug)]
struct Attempt {
    how: How,
    since_ms: u64,
    asked: bool,
}

/// How it is tried.
#[derive(Debug)]
enum How {
    /// Over a connection.
    Socket(OwnedFd),
    /// Its reaper was asked to run a program.
    Program,
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    Well,
    Badly(&'static str),
    /// It is still under way.
    On,
}

impl Pulse {
    /// A service that has just come up: the first try is one pause away.
    pub fn begin(&mut self, health: &Health, now_ms: u64) {
        *self = Self { due_ms: now_ms + u64::from(health.every_ms), ..Self::default() };
    }

    /// Did a try go well since it is up?
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.well
    }

    /// When somebody has to look at it.
    #[must_use]
    pub fn wake_ms(&self) -> u64 {
        self.attempt.as_ref().map_or(self.due_ms, |attempt| {
            attempt.since_ms + LOOK_EVERY_MS.max(clock::boot_ms().saturating_sub(attempt.since_ms))
        })
    }

    /// One turn. Says why, where it has failed too often.
    fn turn(
        &mut self,
        health: &Health,
        now_ms: u64,
        begin: impl FnOnce() -> Option<How>,
    ) -> Option<&'static str> {
        let went = match (&mut self.attempt, health.probe) {
            (Some(attempt), _) => attempt.look(health, self.ended, now_ms),
            (None, _) if now_ms < self.due_ms => Went::On,
            (None, Probe::Notify) => {
                if std::mem::take(&mut self.said) {
                    Went::Well
                } else {
                    Went::Badly("it did not say that it is")
                }
            }
            (None, Probe::Tcp | Probe::Http | Probe::Exec) => match begin() {
                Some(how) => {
                    self.ended = None;
                    self.attempt = Some(Attempt { how, since_ms: now_ms, asked: false });
                    Went::On
                }
                None => Went::Badly("its port takes no connection"),
            },
        };
        let why = match went {
            Went::On => return None,
            Went::Well => {
                self.well = true;
                self.fails = 0;
                None
            }
            Went::Badly(why) => {
                self.fails = self.fails.saturating_add(1);
                Some(why)
            }
        };
        self.attempt = None;
        self.due_ms = now_ms + u64::from(health.every_ms);
        why.filter(|_| self.fails >= health.fails)
    }
}

impl Attempt {
    fn look(&mut self, health: &Health, ended: Option<bool>, now_ms: u64) -> Went {
        let socket = match (&self.how, ended) {
            (How::Program, Some(true)) => return Went::Well,
            (How::Program, Some(false)) => return Went::Badly("its program did not end with 0 in time"),
            _ if self.is_late(health, now_ms) => return Went::Badly("it did not answer in time"),
            (How::Program, None) => return Went::On,
            (How::Socket(socket), _) => socket,
        };
        if !self.asked {
            if !is_ready(socket, PollFlags::POLLOUT) {
                return Went::On;
            }
            if getsockopt(socket, SocketError) != Ok(0) {
                return Went::Badly("its port takes no connection");
            }
            if health.probe == Probe::Tcp {
                return Went::Well;
            }
            let ask = format!("GET {} HTTP/1.0\r\nConnection: close\r\n\r\n", health.path);
            if descriptor::write(socket, ask.as_bytes()) != Ok(ask.len()) {
                return Went::Badly("it took no request");
            }
            self.asked = true;
        }
        if !is_ready(socket, PollFlags::POLLIN) {
            return Went::On;
        }
        let mut answer = [0; ANSWER_BYTES];
        let length = nix::unistd::read(socket, &mut answer).unwrap_or(0);
        if is_well(answer.get(..length).unwrap_or_default()) {
            Went::Well
        } else {
            Went::Badly("its answer is none of success")
        }
    }

    fn is_late(&self, health: &Health, now_ms: u64) -> bool {
        // The reaper has a deadline of its own, and is to say so first.
        let more_ms = if matches!(self.how, How::Program) { LOOK_EVERY_MS } else { 0 };
        now_ms.saturating_sub(self.since_ms) >= u64::from(health.timeout_ms) + more_ms
    }
}

fn is_ready(socket: &OwnedFd, what: PollFlags) -> bool {
    let mut wanted = [PollFd::new(socket.as_fd(), what)];
    poll(&mut wanted, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A status from 200 to 399. Source: RFC 9112 §4, RFC 9110 §15.
fn is_well(answer: &[u8]) -> bool {
    matches!(answer, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'2' | b'3', tens, ones]
        if tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// Begins to connect to `port` at `address`; `None`: it was refused at once.
fn dial(socket: OwnedFd, address: Ipv4Addr, port: u16) -> Option<OwnedFd> {
    let [a, b, c, d] = address.octets();
    match connect(socket.as_raw_fd(), &SockaddrIn::new(a, b, c, d, port)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Some(socket),
        Err(_) => None,
    }
}

impl House {
    /// Looks after everybody who is up. Who is not well is ended, and dies like any other.
    pub fn take_pulses(&mut self) {
        let now_ms = clock::boot_ms();
        for place in 0..self.processes.len() {
            let Some(process) = self.processes.get_mut(place) else { return };
            let What::Tenant(tenant) = &mut process.what else { continue };
            let Some(health) = tenant.manifest.health.as_ref().filter(|_| process.record.state == State::Up)
            else {
                continue;
            };
            // Before it has a link it has its loopback.
            let address = process.record.address.or((!tenant.needs_link()).then_some(Ipv4Addr::LOCALHOST));
            let (network, reaper) = (&tenant.network, &process.pidfd);
            let begin = || match health.probe {
                Probe::Exec => {
                    let asked = pidfd::send_signal(reaper.as_ref()?.as_fd(), Signal::SIGUSR1);
                    asked.ok().map(|()| How::Program)
                }
                Probe::Notify | Probe::Tcp | Probe::Http => {
                    dial(network.as_ref()?.stream().ok()?, address?, health.port).map(How::Socket)
                }
            };
            let Some(why) = tenant.pulse.turn(health, now_ms, begin) else { continue };
            process.record.reason = Text::format(format_args!("not well: {why}"));
            warn!("{}: not well: {why}, {} times in a row", process.name, health.fails);
            tenant.pulse.begin(health, now_ms);
            self.kill(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, How, Probe, Pulse, dial, is_well};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::OwnedFd;

    fn health(probe: Probe) -> Health {
        Health {
            probe,
            port: 1,
            path: "/well".into(),
            command: Default::default(),
            every_ms: 1_000,
            timeout_ms: 500,
            fails: 2,
        }
    }

    fn open(port: u16) -> Option<OwnedFd> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        dial(socket(AddressFamily::Inet, SockType::Stream, flags, None).ok()?, Ipv4Addr::LOCALHOST, port)
    }

    #[test]
    fn success_is_a_status_of_two_or_three_hundred() {
        for (answer, well) in [
            ("HTTP/1.1 200", true),
            ("HTTP/1.0 304", true),
            ("HTTP/1.1 404", false),
            ("HTTP/1.1 2x0", false),
            ("HTTP/2.0 200", false),
            ("HTTP/1.1 20", false),
            ("", false),
        ] {
            assert_eq!(is_well(answer.as_bytes()), well, "{answer}");
        }
    }

    #[test]
    fn who_has_to_say_so_and_does_not_fails_in_time() {
        let (health, mut pulse) = (health(Probe::Notify), Pulse::default());
        pulse.begin(&health, 0);
        let mut turn = |now_ms, said| {
            pulse.said |= said;
            pulse.turn(&health, now_ms, || None).is_some()
        };
        assert!(!turn(500, true) && !turn(1_000, false), "it said so before");
        assert!(!turn(2_000, false), "once is not too often");
        assert!(!turn(3_000, true), "it is well again");
        assert!(!turn(4_000, false) && turn(5_000, false), "twice in a row is");
    }

    #[test]
    fn a_program_is_well_by_what_its_reaper_says_of_this_try() {
        let (health, mut pulse) = (health(Probe::Exec), Pulse::default());
        pulse.begin(&health, 0);
        // when, what the reaper said since, and is it enough?
        let table = [
            (1_000, None, None),
            (1_100, Some(true), None),
            (2_000, Some(false), None), // It said so before it was asked again.
            (2_200, None, None),
            (2_800, None, None), // Late, and once is not too often.
            (3_800, None, None),
            (3_900, Some(false), Some("its program did not end with 0 in time")),
        ];
        for (now_ms, said, want) in table {
            pulse.ended = said.or(pulse.ended);
            assert_eq!(pulse.turn(&health, now_ms, || Some(How::Program)), want, "{now_ms}");
        }
        pulse.begin(&health, 0);
        for now_ms in [1_000, 1_600, 2_600] {
            assert_eq!(pulse.turn(&health, now_ms, || Some(How::Program)), None);
        }
        assert_eq!(pulse.turn(&health, 3_200, || None), Some("it did not answer in time"));
    }

    /// Turns until a try ends: the kernel connects on loopback while we look.
    fn outcome(probe: Probe, port: u16, times: u64) -> Option<&'static str> {
        let (health, mut pulse) = (health(probe), Pulse::default());
        let mut last = None;
        for time in 1..=times {
            last = pulse.turn(&health, time * 10_000, || open(port).map(How::Socket));
            let mut looks = 0_u64;
            while pulse.attempt.is_some() && looks < 2_000_000 {
                looks += 1;
                // So many looks are far longer than a loopback needs; then it is late.
                let passed_ms = if looks < 1_999_999 { 0 } else { 501 };
                last = pulse.turn(&health, time * 10_000 + passed_ms, || None);
            }
        }
        last
    }

    #[test]
    fn a_port_is_tried_and_a_page_asked_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(outcome(Probe::Tcp, port, 3), None);
        let server = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().take(7).enumerate() {
                let mut stream = stream.unwrap();
                let mut ask = [0; 256];
                let length = stream.read(&mut ask).unwrap();
                if length > 0 {
                    assert!(ask.starts_with(b"GET /well HTTP/1.0\r\n"));
                    let status = if number < 5 { "200 OK" } else { "500 No" };
                    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
                }
            }
        });
        // Three connections of the first round still wait in the queue.
        assert_eq!(outcome(Probe::Http, port, 2), None);
        assert_eq!(outcome(Probe::Http, port, 2), Some("its answer is none of success"));
        server.join().unwrap();
        assert_eq!(outcome(Probe::Tcp, port, 2), Some("its port takes no connection"));
    }
}
