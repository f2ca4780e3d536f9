//! The daemon's loop: one thread, one poll. Wires in, news from the kernel in, turns out.
//!
//! In:  the wires `attach`, `learn`, `show`, `told`; the kernel's news. Out: answers; a network that is as wanted.
//!
//! News come in crowds (a firewall that is replaced is a hundred of them), so a turn waits [`CROWD_MS`] for the rest of its crowd, and
//! longer where turn after turn finds something to change: somebody else wants the opposite, and neither should eat the machine.
//!
//! Not here: what a turn is (`gateway.rs`).

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use contract::learn::{Learned, Wish};
use contract::{Text, attach};
use log::warn;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::de::DeserializeOwned;
use sys::seqpacket::Descriptors;
use sys::{Errno, clock};
use wire::{Connection, Listener, Received};

mod sessions;
mod show;
mod speaker;

use sessions::Sessions;
use speaker::Speaker;

use crate::Error;
use crate::configuration::{Places, Watch};
use crate::gateway::{ADOPT_MS, Gateway};
use crate::socket::News;
use crate::target::Attachment;
use crate::wish::is_same;

/// The configuration.
pub const CONFIGURATION: &str = "/etc/shg/network.toml";
/// Clients of one wire at a time: a daemon's last life and its next, and a few `ctl`.
const CLIENTS_MAX: usize = 8;
/// How long a turn waits for more news, in milliseconds.
const CROWD_MS: u64 = 50;
/// How often that wait is doubled, at most: 1.6 s.
const DOUBLED_MAX: u32 = 5;
/// Messages of one client that are heard in a row.
const MESSAGES_MAX: usize = 64;

/// The daemon.
#[derive(Debug)]
pub struct Room {
    attach: Door,
    learn: Door,
    show: Door,
    told: Speaker,
    sessions: Sessions,
    watch: Watch,
    news: Vec<News>,
    gateway: Gateway,
    /// What `lease` was last told, and when.
    wish: Option<(Wish, u64)>,
    /// Turns in a row that changed something.
    busy: u32,
    /// When the next turn is due, in milliseconds after boot.
    due_ms: Option<u64>,
}

/// A wire and who came in by it.
#[derive(Debug)]
struct Door {
    listener: Listener,
    clients: Vec<Connection>,
}

impl Room {
    /// The daemon on its wires `attach`, `learn`, `show`, `told`. Nothing is changed yet.
    ///
    /// # Errors
    /// [`Error::Kernel`]: no netlink.
    pub fn open(wires: [Listener; 4]) -> Result<Self, Error> {
        Self::open_in(Places::real(), wires)
    }

    /// The same, with a configuration elsewhere: for tests.
    ///
    /// # Errors
    /// As [`Room::open`].
    pub fn open_at(configuration: PathBuf, wires: [Listener; 4]) -> Result<Self, Error> {
        Self::open_in(Places::beside(configuration), wires)
    }

    fn open_in(places: Places, wires: [Listener; 4]) -> Result<Self, Error> {
        let [attach, learn, show, told] = wires.map(|listener| Door { listener, clients: Vec::new() });
        Ok(Self {
            attach,
            learn,
            show,
            told: Speaker::new(told),
            sessions: Sessions::default(),
            news: Vec::new(),
            watch: Watch::of(&places),
            gateway: Gateway::open_in(places, ADOPT_MS)?,
            wish: None,
            busy: 0,
            due_ms: None,
        })
    }

    /// The first turn. It makes everything, perhaps; the kernel says all of that again to whoever wants to hear it, and we do only from then
    /// on. So there is another look soon, for what was changed by others meanwhile.
    ///
    /// # Errors
    /// [`Error::Kernel`]: no news of the kernel.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.turn();
        let routes = News::of_routes().map_err(Error::kernel("news of the kernel"))?;
        let filter = News::of_filter().inspect_err(|errno| warn!("news of the firewall: {}", errno.desc()));
        self.news.extend([routes].into_iter().chain(filter));
        self.due_by(clock::boot_ms() + CROWD_MS);
        Ok(())
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// [`Error::Kernel`]: no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            if self.wait()? {
                self.gateway.look_again();
                self.tell_all();
            }
            if self.watch.heard() {
                self.turn();
            }
            if self.news.iter().fold(false, |heard, news| news.heard() | heard) {
                self.due_by(clock::boot_ms() + (CROWD_MS << self.busy.min(DOUBLED_MAX)));
            }
            self.serve_attach();
            self.serve_learn();
            self.serve_show();
            if self.told.attend() {
                self.tell_others();
            }
            if let Some(due_ms) = self.gateway.due_ms() {
                self.due_by(due_ms);
            }
            if self.due_ms.is_some_and(|due_ms| due_ms <= clock::boot_ms()) {
                self.turn();
            }
        }
    }

    fn turn(&mut self) {
        let before = self.gateway.changes();
        self.gateway.turn();
        self.busy = if self.gateway.changes() > before { self.busy.saturating_add(1) } else { 0 };
        self.due_ms = self.gateway.due_ms();
        self.tell_all();
    }

    fn tell_all(&mut self) {
        self.tell_wish();
        self.tell_others();
    }

    /// Tells the other daemons what is new for each.
    fn tell_others(&mut self) {
        let Self { told, gateway, .. } = self;
        told.tell(|uid| gateway.told(uid));
    }

    fn due_by(&mut self, at_ms: u64) {
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Waits until there is something to do. Have mounts changed?
    fn wait(&self) -> Result<bool, Error> {
        let doors = [&self.attach, &self.learn, &self.show, &self.told.door];
        let listeners = doors.iter().map(|door| door.listener.as_fd());
        let clients = doors.iter().flat_map(|door| door.clients.iter().map(AsFd::as_fd));
        let descriptors = listeners.chain(clients).chain(self.news.iter().map(AsFd::as_fd));
        let descriptors = descriptors.chain(self.watch.files());
        let mut wanted: Vec<PollFd<'_>> =
            descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        let others = wanted.len();
        wanted.extend(self.watch.mounts().map(|mounts| PollFd::new(mounts, PollFlags::POLLPRI)));
        let limit = self.due_ms.map_or(PollTimeout::NONE, |due_ms| {
            let rest = due_ms.saturating_sub(clock::boot_ms());
            PollTimeout::from(u16::try_from(rest).unwrap_or(u16::MAX))
        });
        match poll(&mut wanted, limit) {
            // Of mounts there are only news: the file itself can always be read.
            Ok(_) => Ok(wanted.get(others).and_then(PollFd::revents).is_some_and(|news| !news.is_empty())),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(Error::kernel("cannot wait")(errno)),
        }
    }

    fn serve_attach(&mut self) {
        self.attach.let_in();
        for client in std::mem::take(&mut self.attach.clients) {
            let alive = hear(&client, |ask, descriptors| {
                let answer = answer_attach(&mut self.gateway, ask, descriptors).unwrap_or_else(|error| {
                    warn!("{error}");
                    attach::Answer::Refused(Text::format(format_args!("{error}")))
                });
                client.send(&answer, &[]).is_ok()
            });
            if alive {
                self.attach.clients.push(client);
            }
        }
    }

    fn serve_learn(&mut self) {
        if self.learn.let_in() {
            self.wish = None; // Everybody hears it again.
        }
        for client in std::mem::take(&mut self.learn.clients) {
            let alive = hear(&client, |learned: Learned, along| {
                if self.sessions.hear(&learned, along) {
                    self.wish = None;
                }
                self.gateway.learn(learned);
                true
            });
            if alive {
                self.learn.clients.push(client);
            }
        }
        self.tell_wish();
        self.tell_others();
    }

    /// Tells `lease` what is wanted of it, where that is new.
    fn tell_wish(&mut self) {
        let (wish, now_ms) = (self.gateway.wish(), clock::boot_ms());
        let passed_s = |at_ms| u32::try_from(now_ms.saturating_sub(at_ms) / 1_000).unwrap_or(u32::MAX);
        if !self.wish.as_ref().is_some_and(|(old, at_ms)| is_same(old, &wish, passed_s(*at_ms))) {
            let clients = &mut self.learn.clients;
            self.sessions.along(&wish, |along| clients.retain(|client| client.send(&wish, along).is_ok()));
            self.wish = Some((wish, now_ms));
        }
    }

    fn serve_show(&mut self) {
        self.show.let_in();
        let mut orders = false;
        for client in std::mem::take(&mut self.show.clients) {
            let alive = hear(&client, |ask, along| {
                orders |= show::changes(&ask);
                show::answer(&mut self.gateway, &client, &ask, along)
            });
            if alive {
                self.show.clients.push(client);
            }
        }
        if orders {
            self.due_ms = self.gateway.due_ms();
            self.tell_all();
        }
    }
}

impl Door {
    /// Lets one client in. Did somebody come?
    fn let_in(&mut self) -> bool {
        let Some(client) = self.listener.accept() else { return false };
        if self.clients.len() >= CLIENTS_MAX {
            warn!("more than {CLIENTS_MAX} clients of one wire; the eldest is dropped");
            self.clients.remove(0);
        }
        self.clients.push(client);
        true
    }
}

/// Gives each message of `client` to `each`, which says whether the client is to be kept. Is it still there?
fn hear<T: DeserializeOwned>(client: &Connection, mut each: impl FnMut(T, Descriptors) -> bool) -> bool {
    for _ in 0..MESSAGES_MAX {
        match client.receive() {
            Received::Message(message, descriptors) => {
                if !each(message, descriptors) {
                    return false;
                }
            }
            Received::Nothing => return true,
            Received::Gone => return false,
        }
    }
    true
}

fn answer_attach(
    gateway: &mut Gateway,
    ask: attach::Ask,
    descriptors: Descriptors,
) -> Result<attach::Answer, Error> {
    match ask {
        attach::Ask::Attach { service, slice, slot, serves, reaches, rates, slice_rates } => {
            let [namespace, inside, ..] = descriptors;
            let both: Option<(OwnedFd, OwnedFd)> = namespace.zip(inside);
            let Some((namespace, inside)) = both else {
                return Err(Error::Refused(format!("{service}: no namespace or no socket came along")));
            };
            let (serves, rates) = (serves.into_iter().collect(), rates.unwrap_or_default());
            let attachment = Attachment { service, slice, slot, serves, reaches, rates, slice_rates };
            gateway.attach(attachment, &namespace, inside).map(|address| attach::Answer::Attached { address })
        }
        attach::Ask::Resize { slice, rates } => gateway.resize(&slice, rates).map(|()| attach::Answer::Done),
        attach::Ask::Detach { service } => gateway.detach(&service).map(|()| attach::Answer::Done),
        attach::Ask::Carried { service } => gateway.carried(&service).map(attach::Answer::Carried),
    }
}
