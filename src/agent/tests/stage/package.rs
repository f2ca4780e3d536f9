//! A `package` that a test plays: bundles of services whose names and versions their sources say.
//!
//! In:  what the daemon asks. Out: what it would answer; `registry.example/cam:2` is version 2 of `cam` of the provider `demo`,
//! `registry.example/acme/cam:2` of `acme`; and a repository that is called like a fault has it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::manifest::{Audience, Protocol, Restart, Serve, Volume};
use contract::packages::{Answer, Ask, Fault, Install, Kept, State, Unit, Uses};
use contract::restart::ordered;
use contract::wires::PACKAGES;
use contract::{Name, Text};
use wire::{Connection, Listener, Received};

use super::house::{House, listener, name, process};

/// Repositories that are not what they should be.
const FAULTS: [(&str, Fault, &str); 4] = [
    ("unsigned", Fault::Signature, "unsigned: no key that counts signed it"),
    ("large", Fault::Resources, "large: slice demo is short of 32 MiB memory"),
    ("broken", Fault::Form, "broken: its image is cut"),
    ("nobody", Fault::Unreachable, "nobody: nobody answers there"),
];

/// An installation that is under way.
struct Work {
    install: Install,
    listening: Vec<Connection>,
}

/// All that is listed.
type Rows = (Vec<Unit>, Vec<Kept>);

#[derive(Default)]
struct Inside {
    units: Vec<Unit>,
    kept: Vec<Kept>,
    asks: Vec<Ask>,
    /// Installations wait.
    held: bool,
}

/// It; a clone is the same.
#[derive(Clone)]
pub(crate) struct Package {
    inside: Arc<Mutex<Inside>>,
    house: House,
}

fn version(install: &Install) -> (String, u64) {
    let (place, tag) = install.source.rsplit_once(':').unwrap();
    (place.rsplit_once('/').unwrap().1.to_owned(), tag.parse().unwrap())
}

fn provider(install: &Install) -> &str {
    match install.source.split('/').collect::<Vec<_>>()[..] {
        [_, provider, _] => provider,
        _ => "demo",
    }
}

/// What each of its services uses: a volume, a port of the address outside, a few words.
fn uses() -> Uses {
    let page =
        Serve { name: name("page"), protocol: Protocol::Tcp, port: 443, to: Audience::Internet, at: 8443 };
    Uses {
        volume: Some(Volume { size_mib: 3, inodes: 64, at: "/data".into(), kept: true }),
        serves: std::iter::once(page).collect(),
        internet: true,
        home: false,
        environment: ["MODE=day", "PLACE=a=b", "MODE=night"].into_iter().map(Text::from).collect(),
    }
}

impl Package {
    pub(crate) fn begin(house: &House) -> Self {
        let package = Self { inside: Arc::default(), house: house.clone() };
        let (served, wire) = (package.clone(), listener(PACKAGES));
        std::thread::spawn(move || served.serve(&wire));
        package
    }

    /// Installations wait from now on, or go on.
    pub(crate) fn hold(&self, held: bool) {
        self.inside.lock().unwrap().held = held;
    }

    /// What was asked for, but lists.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        self.inside.lock().unwrap().asks.clone()
    }

    /// Volumes whose services are gone.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.inside.lock().unwrap().kept.clone()
    }

    fn rows(&self) -> Rows {
        (self.units(), self.kept())
    }

    pub(crate) fn units(&self) -> Vec<Unit> {
        self.inside.lock().unwrap().units.clone()
    }

    fn serve(&self, wire: &Listener) {
        let (mut clients, mut followers): (Vec<Connection>, Vec<Connection>) = (Vec::new(), Vec::new());
        let mut works: Vec<Work> = Vec::new();
        let mut told = Rows::default();
        loop {
            clients.extend(wire.accept());
            for client in std::mem::take(&mut clients) {
                match client.receive::<Ask>() {
                    Received::Nothing => clients.push(client),
                    Received::Gone => {}
                    Received::Message(Ask::Follow, _) => {
                        self.list(&client, &told);
                        followers.push(client);
                    }
                    Received::Message(ask, _) => clients.extend(self.answer(client, ask, &mut works)),
                }
            }
            if !self.inside.lock().unwrap().held {
                for work in works.drain(..) {
                    let answer = self.install(&work.install);
                    clients.extend(end(work, &answer));
                }
            }
            for listener in works.iter().flat_map(|work| &work.listening) {
                let _ = listener.send(&Answer::Progress { bytes: 1_000, of: 4_000 }, &[]);
            }
            self.tell(&mut told, &mut followers);
            std::thread::sleep(Duration::from_millis(5)); // a step of a wait with a limit: the test ends and takes us along
        }
    }

    /// Answers one question; who may ask on.
    fn answer(&self, client: Connection, ask: Ask, works: &mut Vec<Work>) -> Vec<Connection> {
        if ask != Ask::List {
            self.inside.lock().unwrap().asks.push(ask.clone());
        }
        let mut asking = Vec::new();
        let answer = match ask {
            Ask::Install(install) => {
                works.push(Work { install, listening: vec![client] });
                return Vec::new();
            }
            Ask::Await(tag) => match works.iter_mut().find(|work| work.install.tag == tag) {
                Some(work) => {
                    work.listening.push(client);
                    return Vec::new();
                }
                None => Answer::Refused(Fault::Absent, "nothing".into()),
            },
            Ask::Cancel(tag) => {
                for work in works.extract_if(.., |work| work.install.tag == tag) {
                    asking.extend(end(work, &Answer::Refused(Fault::Canceled, "canceled".into())));
                }
                Answer::Done
            }
            Ask::Remove { service, drop_data } => {
                let Inside { units, kept, .. } = &mut *self.inside.lock().unwrap();
                let gone = units.extract_if(.., |unit| unit.name == service);
                kept.extend(gone.filter(|_| !drop_data).map(left));
                *self.house.taken.lock().unwrap() = units.iter().map(|unit| unit.provider.clone()).collect();
                self.house.more.lock().unwrap().retain(|one| one.name != service);
                Answer::Done
            }
            Ask::Autostart { service, starts } => {
                let mut inside = self.inside.lock().unwrap();
                let units = inside.units.iter_mut().filter(|unit| unit.name == service);
                units.for_each(|unit| unit.autostart = starts);
                Answer::Done
            }
            Ask::Restarts { service, restarts } => {
                let mut more = self.house.more.lock().unwrap();
                let its = more.iter_mut().filter(|one| one.name == service);
                its.for_each(|one| one.restart = ordered(Restart::Always, Some(restarts)));
                Answer::Done
            }
            Ask::Drop { service, provider } => self.drop_kept(&service, &provider),
            Ask::List => {
                self.list(&client, &self.rows());
                return vec![client];
            }
            Ask::Follow | Ask::Keyring => panic!("{ask:?}: not here"),
        };
        if client.send(&answer, &[]).is_ok() {
            asking.push(client);
        }
        asking
    }

    fn drop_kept(&self, service: &Name, provider: &Name) -> Answer {
        let kept = &mut self.inside.lock().unwrap().kept;
        match kept.iter().position(|one| one.is_of(service, provider)) {
            Some(place) => {
                kept.remove(place);
                Answer::Done
            }
            None => Answer::Refused(Fault::Busy, "its volume is in use".into()),
        }
    }

    fn list(&self, client: &Connection, (units, kept): &Rows) {
        let kept = kept.iter().cloned().map(Answer::Kept);
        for row in units.iter().cloned().map(Answer::Unit).chain(kept) {
            let _ = client.send(&row, &[]);
        }
        let _ = client.send(&Answer::Done, &[]);
    }

    fn install(&self, install: &Install) -> Answer {
        let (service, version) = version(install);
        if let Some((_, fault, words)) = FAULTS.iter().find(|(name, ..)| *name == service) {
            return Answer::Refused(*fault, (*words).into());
        }
        let mut inside = self.inside.lock().unwrap();
        let old = inside.units.iter().find(|unit| unit.name.as_str() == service).cloned();
        match (&old, &install.update) {
            (Some(_), None) => return Answer::Refused(Fault::Duplicate, "it is installed".into()),
            (Some(old), Some(_)) if old.version >= version => {
                return Answer::Refused(Fault::Older, "one that is as new is installed".into());
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        inside.units.retain(|unit| unit.name.as_str() != service);
        inside.kept.retain(|one| !one.is_of(&name(&service), &name(provider(install))));
        inside.units.push(Unit {
            name: name(&service),
            provider: name(provider(install)),
            summary: "A camera".into(),
            version,
            source: install.source.clone(),
            tag: install.tag.clone(),
            image: [u8::try_from(version).unwrap(); 32],
            image_bytes: 4_000,
            autostart: true,
            state: State::Installed,
            installed_s: [1_764_100_799, 1_764_100_799],
            uses: uses(),
        });
        *self.house.taken.lock().unwrap() = inside.units.iter().map(|unit| unit.provider.clone()).collect();
        let mut more = self.house.more.lock().unwrap();
        more.retain(|one| one.name.as_str() != service);
        more.push(process(&service));
        Answer::Done
    }

    fn tell(&self, told: &mut Rows, followers: &mut Vec<Connection>) {
        let now = self.rows();
        let (units, kept) = std::mem::replace(told, now.clone());
        let stays = now.1.iter().filter(|one| !kept.contains(one)).cloned().map(Answer::Kept);
        let new = now.0.iter().filter(|unit| !units.contains(unit)).cloned().map(Answer::Unit);
        let gone = units.iter().filter(|unit| !now.0.iter().any(|other| other.name == unit.name));
        let gone = gone.map(|unit| Answer::Gone(unit.name.clone()));
        let dropped = kept.iter().filter(|one| !now.1.contains(one));
        let dropped = dropped.map(|one| Answer::Dropped(one.service.clone(), one.provider.clone()));
        let rows: Vec<Answer> = stays.chain(new).chain(gone).chain(dropped).collect();
        for row in rows {
            followers.retain(|client| client.send(&row, &[]).is_ok());
        }
    }
}

/// What a service has left.
fn left(unit: Unit) -> Kept {
    let Unit { name: service, provider, tag, installed_s: since_s, uses, .. } = unit;
    Kept { service, provider, tag, volume: uses.volume.unwrap(), since_s }
}

/// Tells all who wait; those who are still there may ask on.
fn end(work: Work, answer: &Answer) -> Vec<Connection> {
    work.listening.into_iter().filter(|client| client.send(answer, &[]).is_ok()).collect()
}
