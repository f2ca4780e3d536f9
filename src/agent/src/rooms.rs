//! The other rooms, asked over their wires: `control` (processes, slices, promises, orders); bundles, the network and who we are
//! have modules of their own (`packages.rs`, `network/ask.rs`, `own.rs`).
//!
//! In:  questions. Out: answers, within [`PATIENCE_MS`]; a room that does not answer in time is dialled again later, and meanwhile has
//! nothing to say.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use contract::Name;
use contract::control::{Answer, Ask, Process, Promised, State};
use contract::mount::Damage;
use contract::packages;
use contract::sla::{Breach, Compliance, Event, What};
use contract::wires::{CONTROL, Wire};
use log::warn;
use usp::Code;
use wire::Client;

use crate::model::Order;
use crate::network::Lines;
use crate::packages::Packages;

/// How long one answer is waited for, in milliseconds: these rooms answer from memory, in one turn.
const PATIENCE_MS: u16 = 500;
/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 1_000;
/// Frames of one answer.
const FRAMES_MAX: usize = 256;

/// What the supervisor says by itself.
#[derive(Debug)]
pub enum Change {
    /// A process has come into another state.
    Process(Process),
    /// It is there no more.
    Gone(Name),
    /// A promise to a service was not kept.
    Breach(Name, Breach),
    /// What lies on the disk of a service's image is not what was signed: what of it, and when that was told, in milliseconds after boot.
    Damaged(Name, Damage, u64),
    /// A time at which a service is started passed: in which state it was, and when, in milliseconds after boot.
    StartSkipped(Name, State, u64),
    /// A service is promised something else, or had a breach.
    Compliance(Compliance),
}

/// An order was taken; or why not, in words, and as USP says it.
pub type Given = Result<(), (Code, String)>;

/// The wires.
#[derive(Debug)]
pub struct Rooms {
    /// Bundles.
    pub packages: Packages,
    /// The network.
    pub network: Lines,
    /// Where the sockets are.
    folder: PathBuf,
    control: Option<Client>,
    dial_ms: u64,
    /// An order that is answered later, and whose it is.
    order: Option<(u32, Client)>,
    /// It tells of processes by itself.
    watch: Option<Client>,
    watch_ms: u64,
    /// It tells of breaches and compliance by itself.
    events: Option<Client>,
    /// The last event that we have heard: when, and its number. What was before our own time was told, or to nobody.
    heard: (u64, u64),
    said: bool,
}

impl Rooms {
    /// Their sockets are in `folder`: `/run/wire`, but in tests.
    #[must_use]
    pub fn new(folder: PathBuf, now_ms: u64) -> Self {
        Self {
            packages: Packages::new(folder.clone()),
            network: Lines::new(folder.clone()),
            folder,
            control: None,
            dial_ms: 0,
            order: None,
            watch: None,
            watch_ms: 0,
            events: None,
            heard: (now_ms, 0),
            said: false,
        }
    }

    fn dial(&self, wire: Wire) -> Result<Client, wire::Error> {
        Client::dial_at(wire, &self.folder.join(wire.name))
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let order = self.order.as_ref().map(|(_, client)| client);
        self.watch.iter().chain(&self.events).chain(order).map(AsFd::as_fd).chain(self.packages.descriptors())
    }

    /// When the watch is to be begun again, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let watch = (self.watch.is_none() || self.events.is_none()).then_some(self.watch_ms);
        watch.into_iter().chain(self.packages.due_ms()).min()
    }

    /// What has changed, in order; and whether the watch has begun just now: then anything may have.
    pub fn heard(&mut self, now_ms: u64) -> (Vec<Change>, bool) {
        let (mut heard, mut anew) = (Vec::new(), false);
        if self.watch_ms <= now_ms && (self.watch.is_none() || self.events.is_none()) {
            self.watch_ms = now_ms.saturating_add(DIAL_EVERY_MS);
            if self.watch.is_none() {
                let watch = self.dial(CONTROL).ok().filter(|client| client.send(&Ask::Follow, &[]).is_ok());
                self.watch = watch.filter(|client| next::<Answer>(client) == Ok(Answer::Done));
                anew = self.watch.is_some();
            }
            if self.events.is_none() {
                self.events = self.dial(CONTROL).ok().filter(|client| client.send(&Ask::Watch, &[]).is_ok());
            }
        }
        for _ in 0..FRAMES_MAX {
            match self.watch.as_ref().map(Client::receive::<Answer>) {
                Some(Ok(Some((Answer::Process(process), _)))) => heard.push(Change::Process(process)),
                Some(Ok(Some((Answer::Gone(name), _)))) => heard.push(Change::Gone(name)),
                Some(Ok(Some(_))) => {}
                Some(Err(_)) => self.watch = None,
                Some(Ok(None)) | None => break,
            }
        }
        for _ in 0..FRAMES_MAX {
            match self.events.as_ref().map(Client::receive::<Answer>) {
                Some(Ok(Some((Answer::Event(event), _)))) => heard.extend(self.event(event)),
                Some(Ok(Some((Answer::Compliance(row), _)))) => heard.push(Change::Compliance(row)),
                Some(Ok(Some(_))) => {}
                Some(Err(_)) => self.events = None,
                Some(Ok(None)) | None => break,
            }
        }
        (heard, anew)
    }

    /// An event that we have not heard of, if it is told: who begins to watch is told the last ones again.
    fn event(&mut self, event: Event) -> Option<Change> {
        let place = (event.at_ms, event.number);
        if place <= self.heard {
            return None;
        }
        self.heard = place;
        match event.what {
            What::Breach(breach) => Some(Change::Breach(event.who, breach)),
            What::Damaged(damage) => Some(Change::Damaged(event.who, damage, event.at_ms)),
            What::StartSkipped(state) => Some(Change::StartSkipped(event.who, state, event.at_ms)),
            What::State(_) => None,
        }
    }

    /// What the supervisor says of slices; `None`: nothing.
    pub fn slices(&mut self, now_ms: u64) -> Option<Vec<Promised>> {
        let mut slices = Vec::new();
        let end = self.ask(&Ask::Slices, now_ms, |answer| {
            if let Answer::Promised(promised) = answer {
                slices.push(promised);
            }
        });
        (end == Ok(Answer::Done)).then_some(slices)
    }

    /// What it says of promises that were kept, or not; `None`: nothing.
    pub fn compliance(&mut self, now_ms: u64) -> Option<Vec<Compliance>> {
        let mut rows = Vec::new();
        let end = self.ask(&Ask::Compliance, now_ms, |answer| {
            if let Answer::Compliance(one) = answer {
                rows.push(one);
            }
        });
        (end == Ok(Answer::Done)).then_some(rows)
    }

    /// What the supervisor says of processes; `None`: nothing.
    pub fn processes(&mut self, now_ms: u64) -> Option<Vec<Process>> {
        let mut processes = Vec::new();
        let end = self.ask(&Ask::Status, now_ms, |answer| {
            if let Answer::Process(process) = answer {
                processes.push(process);
            }
        });
        match end {
            Ok(Answer::Done) => Some(processes),
            Ok(_) | Err(_) => None,
        }
    }

    /// The log of a service from byte `from` on of all that it ever wrote, as far as it is there; and the byte after its last.
    ///
    /// # Errors
    /// Why there is none.
    pub fn log(&mut self, service: &Name, from: u64, now_ms: u64) -> Result<(Vec<u8>, u64), (Code, String)> {
        let (bytes, next) = self.log_from(service, from, now_ms)?;
        if !bytes.is_empty() || from == 0 {
            return Ok((bytes, next));
        }
        // Nothing new, or the service is another by now, and its log has not come that far: then the byte before is not there, either.
        let before = self.log_from(service, from.saturating_sub(1), now_ms)?;
        if before.0.is_empty() { self.log_from(service, 0, now_ms) } else { Ok((Vec::new(), from)) }
    }

    fn log_from(&mut self, service: &Name, from: u64, now_ms: u64) -> Result<(Vec<u8>, u64), (Code, String)> {
        let (mut log, mut end) = (Vec::new(), from);
        let ask = Ask::Log { name: service.clone(), from };
        let answer = self.ask(&ask, now_ms, |answer| {
            if let Answer::Log { next, bytes } = answer {
                log.extend_from_slice(&bytes);
                end = next;
            }
        });
        match answer {
            Ok(Answer::Refused(why) | Answer::Short(why)) => Err((Code::COMMAND_FAILURE, why.to_string())),
            Ok(_) => Ok((log, end)),
            Err(why) => Err((Code::COMMAND_FAILURE, why)),
        }
    }

    /// Gives an order to the supervisor.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn give(&mut self, order: &Order, now_ms: u64) -> Given {
        let failed = |why: String| (Code::COMMAND_FAILURE, why);
        let ask = match order {
            Order::Reboot => Ask::Reboot,
            Order::Start(name) => Ask::Start(name.clone()),
            Order::Stop(name) => Ask::Stop(name.clone()),
            Order::Restart(name) => Ask::Restart(name.clone()),
            Order::Autostart(service, starts) => {
                let ask = packages::Ask::Autostart { service: service.clone(), starts: *starts };
                return self.packages.at_once(&ask).map_err(failed);
            }
            Order::Restarts(service, restarts) => {
                let ask = packages::Ask::Restarts { service: service.clone(), restarts: *restarts };
                return self.packages.at_once(&ask).map_err(failed);
            }
            Order::Drop(..)
            | Order::Rent(..)
            | Order::Release(_)
            | Order::Cancel(_)
            | Order::RunLevel(..)
            | Order::OnBoard(_)
            | Order::EndSession(_)
            | Order::Reconnect(_)
            | Order::Collect(_)
            | Order::Bundle(..)
            | Order::Roles(..)
            | Order::Network(..)
            | Order::Certify(_)
            | Order::Refused(_)
            | Order::Says(_)
            | Order::Log(_)
            | Order::Timer(_)
            | Order::Challenge(_)
            | Order::RestartSlice(..)
            | Order::Empty(..) => return Ok(()),
        };
        match self.ask(&ask, now_ms, |_| ()).map_err(failed)? {
            Answer::Refused(reason) => Err(failed(reason.to_string())),
            Answer::Short(reason) => Err((Code::SYSTEM_RESOURCES_EXCEEDED, reason.to_string())),
            Answer::Done
            | Answer::Process(_)
            | Answer::Gone(_)
            | Answer::Facts(_)
            | Answer::Layer(_)
            | Answer::Promised(_)
            | Answer::Compliance(_)
            | Answer::Event(_)
            | Answer::Log { .. } => Ok(()),
        }
    }

    /// Passes on that `service` says it is ready, by the process `pid`.
    ///
    /// # Errors
    /// The supervisor does not answer, or does not believe it.
    pub fn ready(&mut self, service: &Name, pid: u32, now_ms: u64) -> Result<(), String> {
        let ask = Ask::Ready { service: service.clone(), pid };
        let answer = self.ask(&ask, now_ms, |_| ())?;
        if let Answer::Refused(why) = answer { Err(why.to_string()) } else { Ok(()) }
    }

    /// Can an order be given that is answered later?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.order.is_none()
    }

    /// Gives such an order for the request in `row`, on a connection of its own.
    ///
    /// # Errors
    /// The supervisor is not there.
    pub fn order(&mut self, row: u32, ask: &Ask) -> Result<(), wire::Error> {
        let client = self.dial(CONTROL)?;
        client.send(ask, &[])?;
        self.order = Some((row, client));
        Ok(())
    }

    /// Its answer, once it is there; `None` in it: the supervisor is gone.
    pub fn ordered(&mut self) -> Option<(u32, Option<Answer>)> {
        let (row, client) = self.order.take()?;
        match client.receive() {
            Ok(None) => {
                self.order = Some((row, client));
                None
            }
            Ok(Some((answer, _))) => Some((row, Some(answer))),
            Err(_) => Some((row, None)),
        }
    }

    /// Nobody waits for its answer any more.
    pub fn forget_order(&mut self, row: u32) {
        self.order.take_if(|(of, _)| *of == row);
    }

    fn ask(&mut self, ask: &Ask, now_ms: u64, mut row: impl FnMut(Answer)) -> Result<Answer, String> {
        if self.control.is_none() && self.dial_ms <= now_ms {
            self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
            self.control = self.dial(CONTROL).ok();
        }
        let Some(client) = self.control.take() else {
            return Err("the supervisor does not answer".to_owned());
        };
        let mut talk = || {
            client.send(ask, &[])?;
            for _ in 0..FRAMES_MAX {
                match next::<Answer>(&client)? {
                    end @ (Answer::Done | Answer::Refused(_) | Answer::Short(_)) => return Ok(end),
                    answer @ (Answer::Process(_)
                    | Answer::Gone(_)
                    | Answer::Facts(_)
                    | Answer::Promised(_)
                    | Answer::Compliance(_)
                    | Answer::Event(_)
                    | Answer::Layer(_)
                    | Answer::Log { .. }) => row(answer),
                }
            }
            Err(wire::Error::Silent)
        };
        match talk() {
            Ok(end) => {
                self.control = Some(client);
                self.said = false;
                Ok(end)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!("supervisor: {error}");
                }
                Err(error.to_string())
            }
        }
    }
}

/// What comes next.
pub(crate) fn next<T: serde::de::DeserializeOwned>(client: &Client) -> Result<T, wire::Error> {
    let wait = sys::descriptor::wait_readable(client.as_fd(), PATIENCE_MS);
    wait.map_err(|errno| wire::Error::System("agent", errno))?;
    client.receive()?.map(|(answer, _)| answer).ok_or(wire::Error::Silent)
}
