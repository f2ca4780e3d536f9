//! The loop: one thread, one poll.
//!
//! In:  the wire `told`, SIP and media of both sides, questions on the wire `calls`, time. Out: SIP, media, answers.
//!
//! Media go before SIP in each turn: a flood of messages must not be heard in a call.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;

use contract::calls::Ask;
use contract::told::{Told, Voice};
use contract::wires::TOLD;
use log::{info, warn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sys::{Errno, clock};
use wire::{Askers, Line, Listener};

use crate::answers::answers;
use crate::media::Door;
use crate::message::MESSAGE_BYTES_MAX;
use crate::proxy::Proxy;
use crate::relay::{Lines, signalling};
use crate::side::Side;
use crate::{Error, PACKETS_A_TURN};

/// The largest packet of media: no link carries a larger one.
const MEDIA_BYTES: usize = 1_600;
/// How often calls are looked at that nobody ended, and sockets that could not be opened, in milliseconds.
const LOOK_EVERY_MS: u64 = 5_000;

/// Everything that the daemon holds.
#[derive(Debug)]
pub struct Room {
    askers: Askers,
    line: Line<Told>,
    proxy: Option<Proxy>,
    signalling: Vec<(Side, SocketAddrV4, UdpSocket)>,
    lines: Lines,
    look_ms: u64,
}

impl Room {
    /// Serves `calls`. Nothing is told yet.
    #[must_use]
    pub fn new(calls: Listener) -> Self {
        Self {
            askers: Askers::new(calls),
            line: Line::new(TOLD),
            proxy: None,
            signalling: Vec::new(),
            lines: Lines::default(),
            look_ms: 0,
        }
    }

    /// Works for ever.
    ///
    /// # Errors
    /// [`Error::Poll`]: the kernel has no memory to wait with.
    pub fn run(&mut self) -> Result<Infallible, Error> {
        loop {
            self.wait()?;
            let now_ms = clock::boot_ms();
            self.line.dial(now_ms);
            match self.line.hear() {
                Some((Told::Voice(told), _)) => self.obey(told),
                Some((Told::Names(_) | Told::Time(_) | Told::Multicast(_), _)) => {
                    warn!("told: not meant for us")
                }
                None => {}
            }
            self.pass_media(now_ms);
            self.pass_messages(now_ms);
            if self.look_ms <= now_ms {
                self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
                self.open();
                if let Some(proxy) = &mut self.proxy {
                    proxy.expire(&mut self.lines, now_ms);
                }
            }
            let proxy = self.proxy.as_ref();
            self.askers.turn(|Ask::Calls, client| client.send_all(answers(proxy, now_ms)));
        }
    }

    fn wait(&self) -> Result<(), Error> {
        let dues = self.proxy.is_some().then_some(self.look_ms).into_iter().chain(self.line.due_ms());
        let left_ms = dues.min().map(|due_ms| due_ms.saturating_sub(clock::boot_ms()));
        let limit = left_ms
            .map_or(PollTimeout::NONE, |left_ms| PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX));
        let media =
            self.lines.open.iter().flat_map(|line| line.sockets.iter().map(|(_, socket)| socket.as_fd()));
        let messages = self.signalling.iter().map(|(_, _, socket)| socket.as_fd());
        let all = self.askers.descriptors().chain(self.line.descriptor()).chain(messages).chain(media);
        let mut wanted: Vec<PollFd<'_>> = all.map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
        match poll(&mut wanted, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::Poll(errno)),
        }
    }

    fn obey(&mut self, told: Option<Voice>) {
        let Some(told) = told else {
            (self.proxy, self.lines) = (None, Lines::default());
            self.signalling.clear();
            return;
        };
        self.lines.tell(&told);
        match &mut self.proxy {
            Some(proxy) => proxy.tell(told),
            None => self.proxy = Some(Proxy::new(told)),
        }
        self.open();
    }

    /// SIP's sockets stand where they should: one on each side that has an address.
    fn open(&mut self) {
        let Some(proxy) = &self.proxy else { return };
        for side in [Side::Home, Side::Play] {
            let wanted = proxy.own(side);
            if self.signalling.iter().any(|(has, at, _)| *has == side && Some(*at) == wanted) {
                continue;
            }
            self.signalling.retain(|(has, _, _)| *has != side);
            let told = proxy.told();
            let link = match side {
                Side::Home => Some(&told.home.0),
                Side::Play => told.play.as_ref().map(|(link, _)| link),
            };
            let Some((at, link)) = wanted.zip(link) else { continue };
            match signalling(link.as_str(), at) {
                Ok(socket) => {
                    info!("{link}: SIP at {at}");
                    self.signalling.push((side, at, socket));
                }
                Err(error) => warn!("{link}: no SIP at {at} yet: {error}"),
            }
        }
    }

    fn pass_media(&mut self, now_ms: u64) {
        let Some(proxy) = &mut self.proxy else { return };
        let mut buffer = [0; MEDIA_BYTES];
        for line in &self.lines.open {
            for (door, socket) in &line.sockets {
                for _ in 0..PACKETS_A_TURN {
                    let Some((length, from)) = receive(socket, &mut buffer) else { break };
                    let Some(to) = proxy.way(*door, from, now_ms) else { continue };
                    let beyond = Door { side: door.side.other(), ..*door };
                    if let Some((_, out)) = line.sockets.iter().find(|(has, _)| *has == beyond) {
                        // A packet that does not leave is a packet lost; the next one is 20 ms away.
                        let _ = out.send_to(buffer.get(..length).unwrap_or_default(), to);
                    }
                }
            }
        }
    }

    fn pass_messages(&mut self, now_ms: u64) {
        let Self { proxy: Some(proxy), signalling, lines, .. } = self else { return };
        let mut buffer = [0; MESSAGE_BYTES_MAX + 1];
        let mut waiting = Vec::new();
        for (side, _, socket) in signalling.iter() {
            for _ in 0..PACKETS_A_TURN {
                let Some((length, from)) = receive(socket, &mut buffer) else { break };
                let bytes = buffer.get(..length).unwrap_or_default();
                waiting.extend(proxy.hear(*side, from, bytes, (lines, now_ms)));
            }
        }
        for out in waiting {
            let socket = signalling.iter().find(|(side, _, _)| *side == out.side);
            let sent = socket.map(|(_, _, socket)| socket.send_to(&out.bytes, out.to));
            if let Some(Err(error)) = sent
                && error.kind() != io::ErrorKind::WouldBlock
            {
                warn!("{}: cannot send: {error}", out.to);
            }
        }
    }
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddrV4)> {
    match socket.recv_from(buffer) {
        Ok((length, SocketAddr::V4(from))) => Some((length, from)),
        Ok((_, SocketAddr::V6(_))) | Err(_) => None,
    }
}
