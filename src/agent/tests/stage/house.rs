//! A supervisor and an `identity` that a test plays: one service, `hello`, in the slice `demo`, and what bundles bring.
//!
//! In:  what the daemon asks. Out: what they would answer, in their order.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::Name;
use contract::control::{Answer, Ask, Kind, Process, Promised, State};
use contract::identify;
use contract::layer::Layers;
use contract::limit::LOG_CHUNK_BYTES;
use contract::manifest::{Cpu, Memory, Rate, Restart};
use contract::sla::{Amounts, Breach, Compliance, Event, RESOURCES, What, Window};
use contract::slice::Slice;
use contract::wires::{CONTROL, IDENTIFY, TENANT_UID_BASE, Wire};
use wire::{Connection, Listener, Received};

use super::ENDPOINT;
use super::who::Who;

/// What there is for slices.
const CAPACITY: Amounts = [1600, 512, 10_000, 50_000, 250];

/// A wire that a test serves.
pub(crate) fn listener(wire: Wire) -> Listener {
    listener_at(wire, Path::new(wire.path))
}

/// The same at another place.
pub(crate) fn listener_at(wire: Wire, path: &Path) -> Listener {
    let wire = Wire { clients: &[0], ..wire };
    let _ = std::fs::remove_file(path);
    Listener::new(wire, sys::seqpacket::listen(path).unwrap())
}

/// A name.
pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A service that runs.
pub(crate) fn process(service: &str) -> Process {
    Process {
        name: name(service),
        kind: Kind::Tenant,
        state: State::Up,
        pid: Some(77),
        since_ms: 5_000,
        ready_ms: Some(5_100),
        restarts: 0,
        exit: None,
        memory_bytes: Some(1 << 20),
        address: None,
        uid_base: Some(TENANT_UID_BASE),
        layers: Layers::all(),
        reason: "".into(),
        autostart: true,
        restart: Restart::Always,
        restarted_ms: None,
        next_ms: None,
        stop_grace_ms: 2_500,
    }
}

fn slice(slice: &str) -> Slice {
    Slice {
        name: name(slice),
        cpu: Cpu { floor_permille: 100, ceiling_permille: 800 },
        memory: Memory { floor_mib: 32, high_mib: 0, ceiling_mib: 128 },
        disk: Default::default(),
        uplink: Rate { floor_kbit_s: 1_000, ceiling_kbit_s: 5_000 },
        downlink: Rate { floor_kbit_s: 2_000, ceiling_kbit_s: 0 },
    }
}

/// A supervisor with one service, `hello`, and an `identity`.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) hello: Arc<Mutex<Process>>,
    pub(crate) orders: Arc<Mutex<Vec<Ask>>>,
    /// Services of bundles.
    pub(crate) more: Arc<Mutex<Vec<Process>>>,
    pub(crate) slices: Arc<Mutex<Vec<Slice>>>,
    /// Orders about slices are answered so: at once; not; with these words; or the connection ends.
    pub(crate) keeps: Arc<Mutex<Keeps>>,
    /// Slices that services of bundles are in, once for each.
    pub(crate) taken: Arc<Mutex<Vec<Name>>>,
    /// What `hello` has written, and how much of it is there no more.
    pub(crate) log: Arc<Mutex<(Vec<u8>, u64)>>,
    breaches: Arc<Mutex<Vec<Event>>>,
    /// How often it was asked how promises were kept.
    pub(crate) polled: Arc<AtomicUsize>,
    /// Its `identity`.
    pub(crate) who: Arc<Mutex<Who>>,
}

/// How an order about a slice is answered.
#[derive(Clone, Default)]
pub(crate) enum Keeps {
    /// It is on the disk.
    #[default]
    Good,
    /// Not yet.
    Later,
    /// It is not.
    Not(&'static str),
    /// The supervisor dies of it.
    Dies,
}

/// Who is told something by itself.
#[derive(Default)]
struct Told {
    followers: Vec<Connection>,
    watchers: Vec<Connection>,
    processes: Vec<Process>,
    breaches: usize,
}

impl House {
    /// Serves both wires.
    pub(crate) fn begin() -> Self {
        let house = Self {
            hello: Arc::new(Mutex::new(process("hello"))),
            orders: Arc::default(),
            more: Arc::default(),
            slices: Arc::new(Mutex::new(vec![slice("demo")])),
            taken: Arc::default(),
            keeps: Arc::default(),
            log: Arc::default(),
            breaches: Arc::default(),
            polled: Arc::default(),
            who: Arc::new(Mutex::new(Who::new(ENDPOINT))),
        };
        let (control, identify) = (listener(CONTROL), listener(IDENTIFY));
        let served = house.clone();
        std::thread::spawn(move || served.serve(&control, &identify));
        house
    }

    fn processes(&self) -> Vec<Process> {
        let mut all = vec![self.hello.lock().unwrap().clone()];
        all.extend(self.more.lock().unwrap().iter().cloned());
        all
    }

    fn serve(&self, control: &Listener, identity: &Listener) {
        let (mut askers, mut others): (Vec<Connection>, Vec<Connection>) = (Vec::new(), Vec::new());
        let mut told = Told { processes: self.processes(), ..Told::default() };
        loop {
            askers.extend(control.accept());
            others.extend(identity.accept());
            for client in std::mem::take(&mut askers) {
                match client.receive::<Ask>() {
                    Received::Message(Ask::Follow, _) if client.send(&Answer::Done, &[]).is_ok() => {
                        told.followers.push(client);
                    }
                    Received::Message(Ask::Watch, _) => {
                        let last = self.breaches.lock().unwrap();
                        let sent = last.iter().map(|event| client.send(&Answer::Event(event.clone()), &[]));
                        if sent.filter(Result::is_ok).count() == last.len() {
                            told.watchers.push(client);
                        }
                    }
                    Received::Message(ask, _) if self.answer(&client, ask.clone()) => askers.push(client),
                    Received::Nothing => askers.push(client),
                    Received::Message(..) | Received::Gone => {}
                }
            }
            self.tell(&mut told);
            others.retain(|client| match client.receive::<identify::Ask>() {
                Received::Message(ask, _) => client.send(&self.who.lock().unwrap().answer(&ask), &[]).is_ok(),
                Received::Nothing => true,
                Received::Gone => false,
            });
            std::thread::sleep(Duration::from_millis(1)); // a step of a wait with a limit: the test ends and takes us along
        }
    }

    fn tell(&self, told: &mut Told) {
        let now = self.processes();
        let before = std::mem::replace(&mut told.processes, now.clone());
        let mut rows: Vec<Answer> =
            now.iter().filter(|one| !before.contains(one)).cloned().map(Answer::Process).collect();
        let there = |one: &&Process| !now.iter().any(|other| other.name == one.name);
        rows.extend(before.iter().filter(there).map(|one| Answer::Gone(one.name.clone())));
        for row in &rows {
            told.followers.retain(|client| client.send(row, &[]).is_ok());
        }
        let breaches = self.breaches.lock().unwrap();
        for event in breaches.iter().skip(told.breaches) {
            told.watchers.retain(|client| client.send(&Answer::Event(event.clone()), &[]).is_ok());
        }
        let news = breaches.len() > told.breaches;
        told.breaches = breaches.len();
        drop(breaches);
        for row in self.compliance().into_iter().filter(|_| news).map(Answer::Compliance) {
            told.watchers.retain(|client| client.send(&row, &[]).is_ok());
        }
    }

    fn answer(&self, client: &Connection, ask: Ask) -> bool {
        let (named, state) = match &ask {
            Ask::Stop(name) => (Some(name), State::Ending),
            Ask::Start(name) => (Some(name), State::Starting),
            Ask::Restart(name) => (Some(name), State::Returning),
            Ask::Status
            | Ask::Follow
            | Ask::Facts
            | Ask::Log { .. }
            | Ask::Verify(_)
            | Ask::Slices
            | Ask::Rent(_)
            | Ask::Release(_)
            | Ask::Compliance
            | Ask::Events
            | Ask::Watch
            | Ask::Ready { .. }
            | Ask::Reboot
            | Ask::PowerOff => (None, State::Up),
        };
        let keeps = self.keeps.lock().unwrap().clone();
        let (rows, refused) = match (&ask, keeps) {
            (Ask::Rent(_) | Ask::Release(_), Keeps::Not(words)) => {
                (Vec::new(), Some(Answer::Refused(words.into())))
            }
            (Ask::Rent(_) | Ask::Release(_), Keeps::Dies) => {
                self.orders.lock().unwrap().push(ask.clone());
                return false;
            }
            (Ask::Rent(_) | Ask::Release(_), Keeps::Later) => {
                self.orders.lock().unwrap().push(ask.clone());
                return true;
            }
            (_, _) => self.say(&ask),
        };
        let last = refused.unwrap_or(Answer::Done);
        for row in rows {
            let _ = client.send(&row, &[]);
        }
        if let Some(named) = named {
            let mut hello = self.hello.lock().unwrap();
            if hello.name == *named {
                hello.state = state;
            } else {
                let mut more = self.more.lock().unwrap();
                more.iter_mut().filter(|one| one.name == *named).for_each(|one| one.state = state);
            }
        }
        if !matches!(ask, Ask::Status | Ask::Slices | Ask::Compliance) {
            self.orders.lock().unwrap().push(ask);
        }
        client.send(&last, &[]).is_ok()
    }

    /// Rows for who asks; and a refusal.
    fn say(&self, ask: &Ask) -> (Vec<Answer>, Option<Answer>) {
        let mut refused = None;
        let rows = match ask {
            Ask::Log { name, from } if name.as_str() == "hello" => self.log(*from),
            Ask::Log { name, .. } => {
                refused = Some(Answer::Refused(format!("{name}: no such process").as_str().into()));
                Vec::new()
            }
            Ask::Status => self.processes().into_iter().map(Answer::Process).collect(),
            Ask::Slices => self.promised().into_iter().map(Answer::Promised).collect(),
            Ask::Compliance => {
                self.polled.fetch_add(1, Ordering::SeqCst);
                self.compliance().into_iter().map(Answer::Compliance).collect()
            }
            Ask::Rent(slice) if slice.cpu.floor_permille > CAPACITY[0] => {
                let words = format!("slice {} does not fit: the gateway is short of cpu", slice.name);
                refused = Some(Answer::Short(words.as_str().into()));
                Vec::new()
            }
            Ask::Rent(slice) => {
                let mut slices = self.slices.lock().unwrap();
                slices.retain(|one| one.name != slice.name);
                slices.push(slice.clone());
                Vec::new()
            }
            Ask::Release(slice) if slice.as_str() == "demo" => {
                refused = Some(Answer::Refused("slice demo: hello is in it".into()));
                Vec::new()
            }
            Ask::Release(slice) if self.taken.lock().unwrap().contains(slice) => {
                refused = Some(Answer::Refused(format!("slice {slice}: it is taken").as_str().into()));
                Vec::new()
            }
            Ask::Release(slice) => {
                self.slices.lock().unwrap().retain(|one| one.name != *slice);
                Vec::new()
            }
            Ask::Follow
            | Ask::Facts
            | Ask::Verify(_)
            | Ask::Start(_)
            | Ask::Stop(_)
            | Ask::Restart(_)
            | Ask::Events
            | Ask::Watch
            | Ask::Ready { .. }
            | Ask::Reboot
            | Ask::PowerOff => Vec::new(),
        };
        (rows, refused)
    }

    /// What `hello` has written, from byte `from` on.
    fn log(&self, from: u64) -> Vec<Answer> {
        let (bytes, gone) = self.log.lock().unwrap().clone();
        let mut next = from.max(gone);
        let rest = bytes.get(usize::try_from(next - gone).unwrap_or(usize::MAX)..).unwrap_or_default();
        let pieces = rest.chunks(LOG_CHUNK_BYTES).map(|piece| {
            next += piece.len() as u64;
            Answer::Log { next, bytes: heapless::Vec::from_slice(piece).unwrap() }
        });
        pieces.collect()
    }

    fn promised(&self) -> Vec<Promised> {
        let slices = self.slices.lock().unwrap();
        let floors = |one: &Slice| {
            [
                one.cpu.floor_permille,
                one.memory.floor_mib,
                one.uplink.floor_kbit_s,
                one.downlink.floor_kbit_s,
                one.disk.floor_permille,
            ]
        };
        let mut sum = [0; RESOURCES];
        for one in slices.iter() {
            sum.iter_mut().zip(floors(one)).for_each(|(sum, more)| *sum += more);
        }
        let gateway = Promised { slice: None, all: CAPACITY, promised: sum, rented: None };
        let rows = slices.iter().map(|one| Promised {
            slice: Some(one.name.clone()),
            all: floors(one),
            promised: [50, 8, 0, 0, 0],
            rented: Some(one.clone()),
        });
        std::iter::once(gateway).chain(rows).collect()
    }

    fn compliance(&self) -> Vec<Compliance> {
        let window = Window {
            span_ms: 60_000,
            wanted_ms: 60_000,
            up_ms: 59_000,
            cpu_us: 6_000_000,
            ..Window::default()
        };
        let of_hello = self.breaches.lock().unwrap();
        let row = |process: Process| Compliance {
            breaches: if process.name == name("hello") { u32::try_from(of_hello.len()).unwrap() } else { 0 },
            service: process.name,
            slice: name("demo"),
            promised: [50, 8, 100, 200, 30],
            ceilings: [400, 16, 5_000, 0, 2_048, 512],
            windows: [window; 3],
            last: None,
        };
        self.processes().into_iter().map(row).collect()
    }

    /// The service is in another state from now on.
    pub(crate) fn becomes(&self, state: State) {
        self.hello.lock().unwrap().state = state;
    }

    /// A promise to `hello` was not kept.
    pub(crate) fn breaks(&self, breach: Breach) {
        self.happens(breach.at_ms, "hello", What::Breach(breach));
    }

    /// Something happens to a service.
    pub(crate) fn happens(&self, at_ms: u64, service: &str, what: What) {
        let mut breaches = self.breaches.lock().unwrap();
        let number = u64::try_from(breaches.len()).unwrap() + 1;
        breaches.push(Event { number, at_ms, who: name(service), what });
    }
}
