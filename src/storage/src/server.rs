//! The loop: one thread, one poll, clients first and disks after them.
//!
//! In:  questions on the wire `mount`; the kernel's events. Out: answers; a data disk.
//!
//! A client that waits for an image is never behind a disk that has yet to be looked at: disks are looked at one event a round, after
//! every client had its turn.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::path::Path;

use bundle::digest::Digest;
use contract::Name;
use contract::mount::{Answer, Ask, Damage, Image, ROOT_IMAGES};
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::Errno;
use wire::{Connection, Listener, Received};

use crate::block::Places;
use crate::damage::{self, Devices};
use crate::disk::Disk;
use crate::installed::Installed;
use crate::owner::Owners;
use crate::services::{Limits, Volumes, Whose};
use crate::shelf::Shelf;
use crate::uevent::{Event, Events};
use crate::volume::Volume;
use crate::{CLIENTS_MAX, DATA, Error, verity};

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    clients: Vec<Connection>,
    /// What was last said of a damaged image.
    said: Option<(Digest, Damage)>,
    /// They are told of damaged images.
    watchers: Vec<Connection>,
    events: Option<Events>,
    disk: Disk<Volume>,
    shelf: Shelf,
    volumes: Volumes,
    devices: Devices,
}

/// Clients that are told of damaged images; of more the eldest goes.
const WATCHERS_MAX: usize = 2;

/// What a client is from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    Client,
    Watcher,
    Gone,
}

/// What a client gets: an answer, perhaps with a mount.
type Given = Result<(Answer, Option<std::os::fd::OwnedFd>), Error>;

fn damage(image: Digest, damage: Damage) -> Answer {
    Answer::Damaged { image: image.0, damage }
}

impl Server {
    /// Serves `listener`. It hears about disks from now on and has looked at none yet.
    #[must_use]
    pub fn new(listener: Listener) -> Self {
        verity::sweep();
        let events = Events::listen();
        if let Err(errno) = &events {
            warn!("events of block devices: cannot be heard: {}; no hot-plug", errno.desc());
        }
        Self {
            listener,
            clients: Vec::with_capacity(CLIENTS_MAX),
            said: None,
            watchers: Vec::new(),
            events: events.ok(),
            disk: Disk::new(Places::default(), Volume),
            shelf: Shelf::new(ROOT_IMAGES.into(), Installed::default()),
            volumes: Volumes::new(Path::new(DATA)),
            devices: Devices::default(),
        }
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// [`Error::System`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        self.wait(PollTimeout::ZERO)?;
        self.serve();
        self.disk.begin();
        loop {
            let limit = if self.volumes.has_dropped() { PollTimeout::ZERO } else { PollTimeout::NONE };
            self.wait(limit)?;
            self.serve();
            if let Some(event) = self.events.as_ref().and_then(Events::next) {
                self.hear(&event);
            }
            if self.volumes.has_dropped() {
                self.volumes.tidy();
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, limit: PollTimeout) -> Result<(), Error> {
        let descriptors = [self.listener.as_fd()].into_iter();
        let descriptors = descriptors.chain(self.clients.iter().map(AsFd::as_fd));
        let descriptors = descriptors.chain(self.events.iter().map(AsFd::as_fd));
        let mut wanted: Vec<PollFd<'_>> =
            descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::system("poll", "cannot wait", errno)),
        }
    }

    /// Lets one client in, and answers one question of each.
    fn serve(&mut self) {
        if let Some(client) = self.listener.accept() {
            if self.clients.len() >= CLIENTS_MAX {
                warn!("wire mount: more than {CLIENTS_MAX} clients; the eldest is dropped");
                self.clients.remove(0);
            }
            self.clients.push(client);
        }
        let clients = std::mem::take(&mut self.clients);
        for client in clients {
            match self.answer(&client) {
                Stays::Client => self.clients.push(client),
                Stays::Watcher => self.let_watch(client),
                Stays::Gone => {}
            }
        }
    }

    /// From now on `client` is told of damaged images, and first of those that are.
    fn let_watch(&mut self, client: Connection) {
        let damaged = self.devices.damaged();
        let mut told = damaged.iter().map(|image| client.send(&damage(*image, Damage::Somewhere), &[]));
        if told.all(|told| told.is_ok()) {
            if self.watchers.len() >= WATCHERS_MAX {
                self.watchers.remove(0);
            }
            self.watchers.push(client);
        }
    }

    /// Follows what the kernel said.
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Damaged(device, damage) => {
                // One that is gone again was refused when it was opened, and who had asked was told.
                let image = self.devices.image(*device);
                image.into_iter().for_each(|image| self.tell(image, *damage));
            }
            Event::Came(_) | Event::Went(_) => {
                self.disk.hear(event);
                self.volumes.look_again();
            }
            Event::Lost => {
                self.disk.hear(event);
                self.volumes.look_again();
                let damaged = self.devices.damaged();
                damaged.into_iter().for_each(|image| self.tell(image, Damage::Somewhere));
            }
        }
    }

    /// An image is damaged: who watches is told; who does not read loses its connection.
    fn tell(&mut self, image: Digest, what: Damage) {
        // Whoever reads it again and again makes the kernel say it again and again, up to a hundred times: once is enough for the log.
        if self.said.replace((image, what)) != Some((image, what)) {
            damage::warn(image, what);
        }
        self.watchers.retain(|watcher| watcher.send(&damage(image, what), &[]).is_ok());
    }

    /// Answers one question of `client`.
    fn answer(&mut self, client: &Connection) -> Stays {
        let ask = match client.receive::<Ask>() {
            Received::Message(Ask::Watch, _) => return Stays::Watcher,
            Received::Message(ask, _) => ask,
            Received::Nothing => return Stays::Client,
            Received::Gone => return Stays::Gone,
        };
        let (answer, mount) = self.act(ask).unwrap_or_else(|error| {
            warn!("{error}");
            (Answer::Refused(contract::Text::format(format_args!("{error}"))), None)
        });
        let descriptors: Vec<_> = mount.iter().map(AsFd::as_fd).collect();
        if client.send(&answer, &descriptors).is_ok() { Stays::Client } else { Stays::Gone }
    }

    fn act(&mut self, ask: Ask) -> Given {
        match ask {
            Ask::Mount { service, image, uid_base, uid_count } => {
                self.mount(&service, &image, uid_base, uid_count)
            }
            Ask::Release { service } => {
                self.shelf.release(&service);
                self.volumes.rest(&service);
                Ok((Answer::Done, None))
            }
            Ask::Volume { service, provider, uid_base, uid_count, bytes, inodes } => {
                let owners = Owners::new(uid_base, uid_count)?;
                let volume = self.volumes.open(
                    Whose { service: &service, provider: &provider },
                    owners,
                    Limits { bytes, inodes },
                )?;
                Ok((Answer::Mounted, Some(volume)))
            }
            Ask::Drop { service, provider } => {
                let whose = Whose { service: &service, provider: &provider };
                self.volumes.drop(whose).map(|()| (Answer::Done, None))
            }
            Ask::Disk => {
                let (volumes_bytes, promised_bytes) = self.volumes.promises();
                let state = self.disk.state();
                Ok((Answer::Disk(contract::mount::Disk { volumes_bytes, promised_bytes, ..state }), None))
            }
            // Answered where it was heard.
            Ask::Watch => Ok((Answer::Done, None)),
            Ask::Finish => {
                info!("the machine ends");
                self.shelf.close();
                self.disk.finish().map(|()| (Answer::Done, None))
            }
        }
    }

    fn mount(&mut self, service: &Name, image: &Image, uid_base: u32, uid_count: u32) -> Given {
        let owners = Owners::new(uid_base, uid_count)?;
        self.shelf.mount(service, image, owners).map(|mount| (Answer::Mounted, Some(mount)))
    }
}
