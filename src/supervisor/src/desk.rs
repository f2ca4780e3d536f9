//! The wire `control`, served: rows for whoever asks, orders taken.
//!
//! In:  `control::Ask`. Out: `control::Answer`s.
//!
//! Orders about slices are answered when package has kept them (`rental.rs`).
//!
//! A client that does not read loses its connection, not our time.

use contract::control::{Answer, Ask, State, Verified};
use contract::keep::Keep as Word;
use contract::limit::LOG_CHUNK_BYTES;
use contract::{Name, Text};
use log::info;
use wire::{Connection, Error, Received};

use crate::admission::Refusal;
use crate::events::WATCHERS_MAX;
use crate::house::House;
use crate::life::Event;
use crate::process::{Process, What};
use crate::rental::Wish;
use crate::slices::refused;

/// Clients at a time; one more is turned away.
pub const CLIENTS_MAX: usize = 8;
/// Processes of a service that are looked at for one who asks.
const VERIFIED_MAX: usize = 16;
/// Clients that follow what becomes of processes; of more the eldest goes.
pub const FOLLOWERS_MAX: usize = 2;
/// Asks of one client in one turn.
const ASKS_A_TURN: usize = 4;

/// What a client is from now on.
enum Stays {
    Client,
    Watcher,
    Follower,
    /// Not listened to before this was answered.
    Asker(Wish),
}

impl House {
    /// Lets clients in, and answers those who have asked.
    pub fn serve(&mut self) {
        while let Some(client) = self.control.accept() {
            if self.clients.len() + self.rental.askers() < CLIENTS_MAX {
                self.clients.push(client);
            }
        }
        let clients = std::mem::take(&mut self.clients);
        for client in clients {
            match self.listen(&client) {
                Ok(Stays::Client) => self.clients.push(client),
                Ok(Stays::Watcher) if self.events.watchers.len() < WATCHERS_MAX => {
                    self.events.watchers.push(client);
                }
                Ok(Stays::Follower) => {
                    if self.followers.len() >= FOLLOWERS_MAX {
                        self.followers.remove(0);
                    }
                    self.followers.push(client);
                }
                Ok(Stays::Asker(wish)) => self.order_slice(client, wish),
                Ok(Stays::Watcher) | Err(_) => {}
            }
        }
        self.mind_slices();
        // Who watches has nothing more to ask; but he may leave.
        self.events.watchers.retain(|watcher| matches!(watcher.receive::<Ask>(), Received::Nothing));
    }

    /// The process at `place` has come into another state: who follows is told.
    pub fn tell(&mut self, place: usize) {
        if self.followers.is_empty() {
            return;
        }
        let process = self.processes.get(place).filter(|process| process.is_now());
        let Some(process) = process else { return };
        let row = Answer::Process(process.row());
        self.followers.retain(|client| client.send(&row, &[]).is_ok());
    }

    /// This one is there no more: who follows is told.
    pub fn tell_gone(&mut self, name: &Name) {
        self.followers.retain(|client| client.send(&Answer::Gone(name.clone()), &[]).is_ok());
    }

    fn listen(&mut self, client: &Connection) -> Result<Stays, Error> {
        for _ in 0..ASKS_A_TURN {
            match client.receive::<Ask>() {
                Received::Nothing => return Ok(Stays::Client),
                Received::Gone => return Err(Error::Closed),
                Received::Message(Ask::Watch, _) => {
                    self.tell_last(client)?;
                    self.compliance().try_for_each(|row| client.send(&Answer::Compliance(row), &[]))?;
                    return Ok(Stays::Watcher);
                }
                Received::Message(Ask::Follow, _) => {
                    client.send(&Answer::Done, &[])?;
                    return Ok(Stays::Follower);
                }
                Received::Message(Ask::Rent(_) | Ask::Release(_), _) if self.ending.is_some() => {
                    client.send(&Answer::Refused("the machine is ending".into()), &[])?;
                }
                Received::Message(Ask::Rent(slice), _) => return Ok(Stays::Asker(Wish::Rent(slice))),
                Received::Message(Ask::Release(name), _) => return Ok(Stays::Asker(Wish::Release(name))),
                Received::Message(ask, _) => self.answer(client, ask)?,
            }
        }
        Ok(Stays::Client)
    }

    fn tell_last(&self, client: &Connection) -> Result<(), Error> {
        self.events.last().try_for_each(|event| client.send(&Answer::Event(event.clone()), &[]))
    }

    fn answer(&mut self, client: &Connection, ask: Ask) -> Result<(), Error> {
        let last = match ask {
            Ask::Status => {
                for process in self.processes.iter().filter(|process| process.is_now()) {
                    client.send(&Answer::Process(process.row()), &[])?;
                }
                Answer::Done
            }
            Ask::Facts => client.send(&Answer::Facts(self.facts), &[]).map(|()| Answer::Done)?,
            // Answered where they were heard, or later.
            Ask::Follow | Ask::Rent(_) | Ask::Release(_) => Answer::Done,
            Ask::Slices => {
                for row in self.promised() {
                    client.send(&Answer::Promised(row), &[])?;
                }
                Answer::Done
            }
            Ask::Compliance => {
                for row in self.compliance() {
                    client.send(&Answer::Compliance(row), &[])?;
                }
                Answer::Done
            }
            Ask::Events | Ask::Watch => {
                self.tell_last(client)?;
                Answer::Done
            }
            Ask::Log { name, from } => self.log(client, &name, from)?,
            Ask::Verify(name) => self.verify(client, &name)?,
            Ask::Start(name) => self.order(&name, "start", |house, place| {
                if house.lines.known.is_some() {
                    house.admit(place)?; // Refused at once, if at all.
                }
                house.want(place, true);
                if house.processes.get(place).is_some_and(|process| process.record.state != State::Down) {
                    house.happen(place, Event::Want);
                }
                Ok(())
            }),
            Ask::Stop(name) => self.order(&name, "stop", |house, place| {
                house.want(place, false);
                house.happen(place, Event::Unwant);
                Ok(())
            }),
            Ask::Restart(name) => self.order(&name, "restart", |house, place| {
                house.want(place, true);
                house.happen(place, Event::Unwant);
                house.happen(place, Event::Want);
                house.forget_restarts(place);
                Ok(())
            }),
            Ask::Ready { service, pid } => self.hear_ready(&service, pid),
            Ask::Reboot => self.say(Word::Reboot),
            Ask::PowerOff => self.say(Word::PowerOff),
        };
        client.send(&last, &[])
    }

    /// A service says by its socket that it is ready. Of two versions of it that one is whose process says so.
    fn hear_ready(&mut self, service: &Name, pid: u32) -> Answer {
        let lives = self.hands.lives;
        let says = |process: &Process| process.name == *service && lives(&process.cgroup(), pid);
        match self.processes.iter().position(says) {
            Some(place) => {
                self.is_ready(place);
                Answer::Done
            }
            None => {
                Answer::Refused(Text::format(format_args!("{service}: process {pid} is none of its own")))
            }
        }
    }

    fn say(&mut self, word: Word) -> Answer {
        self.keep.say(word, &[]);
        Answer::Done
    }

    fn log(&self, client: &Connection, name: &Name, mut from: u64) -> Result<Answer, Error> {
        let Some(process) = self.place_of(name).and_then(|place| self.processes.get(place)) else {
            return Ok(unknown(name));
        };
        let _ = process.ring.pump();
        loop {
            let mut piece = [0; LOG_CHUNK_BYTES];
            let (length, next) = process.ring.read(from, &mut piece);
            if length == 0 {
                return Ok(Answer::Done);
            }
            let bytes = piece.iter().copied().take(length).collect();
            client.send(&Answer::Log { next, bytes }, &[])?;
            from = next;
        }
    }

    /// Looks at every process of a service, as before its start. Layers that only the child could try are the ones of that start.
    fn verify(&self, client: &Connection, name: &Name) -> Result<Answer, Error> {
        let Some(process) = self.place_of(name).and_then(|place| self.processes.get(place)) else {
            return Ok(unknown(name));
        };
        let (What::Tenant(tenant), Some(_)) = (&process.what, process.record.pid) else {
            return Ok(Answer::Refused(Text::format(format_args!("{name}: it is no service that runs"))));
        };
        let Some(network) = &tenant.network else {
            return Ok(Answer::Refused(Text::format(format_args!("{name}: its network is lost"))));
        };
        let all = || sandbox::cgroup::processes(&tenant.plan.cgroup);
        for pid in all().take(VERIFIED_MAX) {
            let told = process.record.layers;
            let seen = sandbox::look(pid, &tenant.plan, &network.namespace, told, sandbox::Moment::Running);
            // One that has ended meanwhile is left out. One that is there, and says nothing, has no layer.
            if seen.status.is_empty() && !all().any(|other| other == pid) {
                continue;
            }
            for row in sandbox::rows(&seen, &tenant.plan) {
                let row = Verified {
                    pid: pid.unsigned_abs(),
                    layer: row.layer,
                    wanted: contract::Text::format(format_args!("{}", row.wanted)),
                    found: contract::Text::format(format_args!("{}", row.found)),
                    holds: row.holds,
                };
                client.send(&Answer::Layer(row), &[])?;
            }
        }
        Ok(Answer::Done)
    }

    fn order(
        &mut self,
        name: &Name,
        verb: &str,
        give: impl FnOnce(&mut Self, usize) -> Result<(), Refusal>,
    ) -> Answer {
        if self.ending.is_some() {
            return Answer::Refused("the machine is ending".into());
        }
        match self.place_of(name) {
            Some(place) if self.processes.get(place).is_some_and(Process::leaves) => {
                Answer::Refused(Text::format(format_args!("{name}: it is being taken away")))
            }
            Some(place) => {
                info!("{name}: an order: {verb}");
                match give(self, place) {
                    Ok(()) => Answer::Done,
                    Err(refusal) => refused(&refusal, Text::format(format_args!("{name}: {refusal}"))),
                }
            }
            None => unknown(name),
        }
    }

    /// Whoever restarts a service begins to count anew. Source: TR-181, `ExecutionUnit.{i}.AutoRestart.Restart()`.
    fn forget_restarts(&mut self, place: usize) {
        if let Some(process) = self.processes.get_mut(place) {
            process.record.restarts = 0;
            process.write_record();
        }
    }

    pub(crate) fn want(&mut self, place: usize, wanted: bool) {
        if let Some(process) = self.processes.get_mut(place) {
            process.record.wanted = wanted;
            // Times of the day begin anew with an order to start.
            process.record.scheduled = wanted;
            process.record.due_s = process.record.due_s.filter(|_| wanted);
            process.record.deaths = (0, 0);
            process.record.crashes = 0;
            process.record.by_itself = false;
            process.record.missed = 0;
            process.write_record();
        }
    }
}

fn unknown(name: &Name) -> Answer {
    Answer::Refused(contract::Text::format(format_args!("{name}: no such process; `ctl status` lists them")))
}
