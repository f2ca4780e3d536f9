//! The real daemon on a disk of the test's own; bundles made on the spot; and a supervisor that a test plays.
//!
//! In:  orders on the wire `packages`. Out: what the daemon answers, what the supervisor heard, what is on the disk.
//!
//! Source: `testbed`; `contract::{packages, installed}`.
#![allow(
    dead_code,
    unused_imports,
    clippy::panic,
    reason = "each suite takes what it needs, and fails by panicking"
)]

pub(crate) mod bundles;
pub(crate) mod shop;

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::Name;
use contract::installed;
use contract::manifest::Restart;
use contract::packages::{Answer, Ask, Fault, Install, Kept, Unit};
use contract::wires::{INSTALLED, PACKAGES, Wire};
pub(crate) use testbed::{Program, run, until};
use wire::{Client, Connection, Listener, Received};

pub(crate) use bundles::{Made, keyring, list, secret};
pub(crate) use shop::Shop;

/// How long an order may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// As [`testbed::enter`]; a root of our own, as far as the daemon sees it.
pub(crate) fn enter(name: &str, programs: &[&str]) -> bool {
    let programs = [&["ip", "setpriv", "mount"], programs].concat();
    if !testbed::enter(name, &programs, "ip link set lo up && mount -t tmpfs tmpfs /run") {
        return false;
    }
    run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]);
    run(&["mount", "-t", "tmpfs", "tmpfs", "/etc"]);
    for folder in ["/run/wire", "/run/time", "/etc/shg/keys"] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write("/etc/hosts", "127.0.0.1 localhost registry.example blobs.example\n").unwrap();
    fs::write("/etc/shg/keys/root.public", secret(9).public().unwrap().text()).unwrap();
    fs::write("/etc/shg/keys/keyring", list(5, 9, &[("demo", 1), ("other", 2)])).unwrap();
    run(&["ip", "link", "set", "lo", "up"]);
    true
}

/// What the supervisor heard, and how it answers.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) asks: Arc<Mutex<Vec<installed::Ask>>>,
    /// It refuses services with these words.
    pub(crate) refuses: Arc<Mutex<Option<(Fault, &'static str)>>>,
    /// It answers nothing for the time being.
    pub(crate) is_silent: Arc<Mutex<bool>>,
    /// What it says by itself, next.
    pub(crate) says: Arc<Mutex<Vec<installed::Answer>>>,
    /// It ends every connection, once.
    pub(crate) hangs_up: Arc<Mutex<bool>>,
}

impl Heard {
    /// Serves `installed`.
    pub(crate) fn begin() -> Self {
        // Who we are inside: root.
        let wire = Wire { clients: &[0], ..INSTALLED };
        let listener = Listener::new(wire, sys::seqpacket::listen(Path::new(INSTALLED.path)).unwrap());
        let heard = Self::default();
        let played = heard.clone();
        std::thread::spawn(move || played.serve(&listener));
        heard
    }

    fn serve(&self, listener: &Listener) {
        // A connection, and whether it has said all.
        let mut clients: Vec<(Connection, bool)> = Vec::new();
        loop {
            clients.extend(listener.accept().map(|connection| (connection, false)));
            if std::mem::take(&mut *self.hangs_up.lock().unwrap()) {
                clients.clear();
            }
            let is_silent = *self.is_silent.lock().unwrap();
            // A connection whose daemon has just been killed takes nothing: the next one gets it.
            let takes = |answer: &installed::Answer| {
                clients.iter().any(|(client, _)| client.send(answer, &[]).is_ok())
            };
            self.says.lock().unwrap().retain(|answer| !takes(answer));
            clients.retain_mut(|(client, has_all)| {
                if is_silent {
                    return true;
                }
                loop {
                    match client.receive::<installed::Ask>() {
                        Received::Message(ask, _) => {
                            self.asks.lock().unwrap().push(ask.clone());
                            *has_all |= ask == installed::Ask::All;
                            let is_word = matches!(ask, installed::Ask::Kept | installed::Ask::NotKept(..));
                            if *has_all && !is_word && client.send(&self.answer(&ask), &[]).is_err() {
                                return false;
                            }
                        }
                        Received::Nothing => return true,
                        Received::Gone => return false,
                    }
                }
            });
            let _ = sys::descriptor::wait_readable(listener.as_fd(), 2);
        }
    }

    fn answer(&self, ask: &installed::Ask) -> installed::Answer {
        match (ask, *self.refuses.lock().unwrap()) {
            (installed::Ask::Service(_) | installed::Ask::Drop { .. }, Some((fault, words))) => {
                installed::Answer::Refused(fault, words.into())
            }
            _ => installed::Answer::Done,
        }
    }

    /// What it heard since the last time, in words.
    pub(crate) fn words(&self) -> Vec<String> {
        let asks = std::mem::take(&mut *self.asks.lock().unwrap());
        asks.into_iter()
            .map(|ask| match ask {
                installed::Ask::Slice(slice) => format!("slice {}", slice.name),
                installed::Ask::Service(service) => {
                    let starts = if service.manifest.autostart { " starts" } else { "" };
                    let again = match service.manifest.restart {
                        Restart::Always => "",
                        Restart::OnFailure => " until it ends well",
                        Restart::Never => " once",
                    };
                    format!("service {} {}{starts}{again}", service.manifest.name, service.version)
                }
                installed::Ask::Before(service) => {
                    format!("before {} {}", service.manifest.name, service.version)
                }
                installed::Ask::All => "all".to_owned(),
                installed::Ask::Forget(name) => format!("forget {name}"),
                installed::Ask::Drop { service, provider } => format!("drop {service} of {provider}"),
                installed::Ask::Kept => "kept".to_owned(),
                installed::Ask::NotKept(fault, why) => format!("not kept: {fault:?}: {why}"),
            })
            .collect()
    }
}

/// A disk, and the daemon on it.
pub(crate) struct Stage {
    pub(crate) disk: PathBuf,
    pub(crate) heard: Heard,
    pub(crate) daemon: Option<Program>,
}

impl Stage {
    /// With the operator's word `word`, and a disk of so many MiB.
    pub(crate) fn new(word: &str, disk_mib: u32) -> Self {
        let disk = testbed::folder("disk");
        run(&["mount", "-t", "tmpfs", "-o", &format!("size={disk_mib}m"), "tmpfs", disk.to_str().unwrap()]);
        let mut stage = Self { disk, heard: Heard::begin(), daemon: None };
        stage.give_disk();
        stage.word(word);
        stage.start();
        stage
    }

    /// What `storage` makes.
    pub(crate) fn give_disk(&self) {
        for folder in ["bundles", "state/package"] {
            fs::create_dir_all(self.disk.join(folder)).unwrap();
        }
    }

    pub(crate) fn word(&self, word: &str) {
        fs::write("/etc/shg/package.toml", word).unwrap();
    }

    /// Starts the daemon; one that runs is killed first.
    pub(crate) fn start(&mut self) {
        self.daemon = None;
        // A bench takes the firmware's.
        let program =
            std::env::var("SHG_PACKAGE").unwrap_or_else(|_| env!("CARGO_BIN_EXE_package").to_owned());
        self.daemon = Some(testbed::daemon(&program, &PACKAGES, "", &[self.disk.to_str().unwrap()]));
    }

    /// Gives an order, and returns the connection.
    pub(crate) fn ask(&self, ask: &Ask) -> Client {
        let client = Client::dial(PACKAGES).unwrap();
        client.send(ask, &[]).unwrap();
        client
    }

    /// Gives an order, and waits for its end.
    pub(crate) fn order(&self, ask: &Ask) -> (Vec<Answer>, Answer) {
        end(&self.ask(ask))
    }

    /// Gives an order that has to be done.
    pub(crate) fn does(&self, ask: &Ask) -> Vec<Answer> {
        let (rows, end) = self.order(ask);
        assert_eq!(end, Answer::Done, "{ask:?}");
        rows
    }

    /// Gives an order that has to be refused: as what, and in which words.
    pub(crate) fn refuses(&self, ask: &Ask) -> (Fault, String) {
        let end = self.order(ask).1;
        let Answer::Refused(fault, words) = end else { panic!("{ask:?}: {end:?}") };
        (fault, words.to_string())
    }

    /// What is installed, in words.
    pub(crate) fn list(&self) -> Vec<String> {
        let rows = self.does(&Ask::List);
        let units = rows.iter().filter(|row| !matches!(row, Answer::Kept(_))).map(unit);
        units.map(|unit| format!("{} {}", unit.name, unit.version)).collect()
    }

    /// Volumes whose services are gone.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let kept = |row| if let Answer::Kept(kept) = row { Some(kept) } else { None };
        self.does(&Ask::List).into_iter().filter_map(kept).collect()
    }

    /// The names of the files of images and records, with their sizes.
    pub(crate) fn files(&self) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        for folder in ["images", "records"] {
            for entry in fs::read_dir(self.disk.join("bundles").join(folder)).unwrap() {
                let entry = entry.unwrap();
                found.push((entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()));
            }
        }
        found.sort();
        found
    }
}

/// The row's bundle.
pub(crate) fn unit(row: &Answer) -> &Unit {
    let Answer::Unit(unit) = row else { panic!("a bundle was to be said, not {row:?}") };
    unit
}

/// The next answer.
pub(crate) fn next(client: &Client) -> Answer {
    let begin = Instant::now();
    loop {
        match client.wait::<Answer>() {
            Ok((answer, _)) => return answer,
            Err(wire::Error::Silent) if begin.elapsed() < PATIENCE => {}
            Err(error) => panic!("packages: {error}"),
        }
    }
}

/// Rows, and the end of an order.
pub(crate) fn end(client: &Client) -> (Vec<Answer>, Answer) {
    let mut rows = Vec::new();
    loop {
        match next(client) {
            end @ (Answer::Done | Answer::Refused(..)) => return (rows, end),
            row @ (Answer::Unit(_)
            | Answer::Gone(_)
            | Answer::Kept(_)
            | Answer::Dropped(..)
            | Answer::Progress { .. }) => rows.push(row),
        }
    }
}

/// An order to install what is at `source`.
pub(crate) fn install(source: &str) -> Ask {
    Ask::Install(order(source))
}

/// An order to update `service` with what is at `source`.
pub(crate) fn update(service: &str, source: &str) -> Ask {
    Ask::Install(Install { update: Some(name(service)), ..order(source) })
}

/// The order, to be changed.
pub(crate) fn order(source: &str) -> Install {
    Install {
        source: source.into(),
        username: "".into(),
        password: "".into(),
        tag: "a-tag".into(),
        update: None,
        slice: None,
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// An order to drop what `service` of `provider` has left.
pub(crate) fn drops(service: &str, provider: &str) -> Ask {
    Ask::Drop { service: name(service), provider: name(provider) }
}

/// An order to remove `service`.
pub(crate) fn remove(service: &str) -> Ask {
    Ask::Remove { service: name(service), drop_data: false }
}
