//! Questions by TCP and TLS: one connection an upstream, for as long as it is used.
//!
//! In:  questions, events. Out: messages; who waited for a connection that is over is asked for anew.
//!
//! Source: RFC 7766 §6.2 (connections that are used again), RFC 7858 §3.

use std::os::fd::AsFd;
use std::sync::Arc;

use log::warn;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use trust::rustls::ClientConfig;
use trust::rustls::pki_types::ServerName;

use super::{Forward, Pending};
use crate::message::{self, Fault};
use crate::stream::{Gone, Stream};
use crate::token::{Kind, Token};
use crate::upstreams::bit;

/// Messages that nobody waits for: answers that came too late are some, more are a stranger's.
const STRAYS_MAX: u32 = 64;

/// What TLS needs to begin.
type Tls = (Arc<ClientConfig>, ServerName<'static>);

impl Forward {
    /// Sends by the connection to this upstream, which is made where there is none.
    pub(super) fn send_by_stream(
        &mut self,
        epoll: &Epoll,
        upstream: usize,
        bytes: &[u8],
        now_ms: u64,
    ) -> bool {
        if self.streams.get(upstream).is_none_or(Option::is_none)
            && !self.open_stream(epoll, upstream, now_ms)
        {
            return false;
        }
        let Some(stream) = self.streams.get_mut(upstream).and_then(Option::as_mut) else { return false };
        stream.used_ms = now_ms;
        if stream.put(bytes).is_err() {
            return false;
        }
        // It is written when the event says so: what goes wrong then is not in the way of others' questions here.
        arm(epoll, stream, upstream);
        true
    }

    fn open_stream(&mut self, epoll: &Epoll, upstream: usize, now_ms: u64) -> bool {
        let Some(asked) = self.upstreams.get(upstream) else { return false };
        let (address, name) = (asked.address, asked.tls.clone());
        let tls = if name.is_empty() { None } else { Some(self.tls(&name)) };
        let tls = match tls.transpose() {
            Ok(tls) => tls,
            Err(why) => {
                if !std::mem::replace(&mut self.said, true) {
                    warn!("upstream {address}: not asked: {why}");
                }
                return false;
            }
        };
        self.serial = self.serial.wrapping_add(1);
        let Ok(stream) = Stream::open(address, tls, self.serial, now_ms) else { return false };
        let token = Token { kind: Kind::Stream, place: upstream, serial: stream.serial };
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
        let added = epoll.add(stream.as_fd(), EpollEvent::new(flags, token.number())).is_ok();
        if let Some(slot) = self.streams.get_mut(upstream).filter(|_| added) {
            *slot = Some(stream);
        }
        added
    }

    /// What TLS needs for the name `name`, or why there is none.
    fn tls(&mut self, name: &str) -> Result<Tls, String> {
        if !trust::clock::is_believed() {
            return Err("the clock is not believed yet".to_owned());
        }
        let config = match &self.config {
            Some(config) => Arc::clone(config),
            // No list of revoked certificates counts here: one that cannot be read must not take the names of the home.
            None => trust::client_with(&trust::anchors::read(), &[], trust::clock::Clock::Believed)
                .map_err(|error| error.to_string())?,
        };
        self.config = Some(Arc::clone(&config));
        self.said = false;
        Ok((config, trust::server_name(name).map_err(|error| error.to_string())?))
    }

    /// Something happened on the connection to an upstream.
    pub fn stream(&mut self, epoll: &Epoll, token: Token, now_ms: u64) {
        let upstream = token.place;
        let Some(stream) = self.streams.get_mut(upstream).and_then(Option::as_mut) else { return };
        if stream.serial != token.serial {
            return;
        }
        let turned = stream.turn();
        let (messages, turned) = match stream.messages() {
            Ok(messages) => (messages, turned),
            Err(gone) => (Vec::new(), Err(gone)),
        };
        if !messages.is_empty() {
            (stream.used_ms, stream.heard_ms) = (now_ms, now_ms);
        }
        arm(epoll, stream, upstream);
        for message in messages {
            self.heard_by_stream(epoll, upstream, &message, now_ms);
        }
        if let Err(gone) = turned {
            self.hang_up(epoll, upstream, &gone, now_ms);
        }
    }

    fn heard_by_stream(&mut self, epoll: &Epoll, upstream: usize, message: &[u8], now_ms: u64) {
        let Some(id) = crate::query::word(message, 0) else { return };
        let waits = |pending: &Pending| {
            let here = pending.upstream == upstream && pending.socket.is_none() && pending.id == id;
            here.then(|| message::read(message, id, &pending.question))
                .filter(|read| *read != Err(Fault::Stranger))
        };
        let mut slots = self.slots.iter().enumerate();
        let found = slots.find_map(|(place, slot)| slot.as_ref().and_then(waits).map(|read| (place, read)));
        let Some(stream) = self.streams.get_mut(upstream).and_then(Option::as_mut) else { return };
        let Some((place, read)) = found else {
            stream.strays += 1;
            if stream.strays > STRAYS_MAX {
                self.hang_up(epoll, upstream, &Gone::TooMuch, now_ms);
            }
            return;
        };
        stream.answers = stream.answers.saturating_add(1);
        self.heard(epoll, place, (read, message), now_ms);
    }

    /// A question by the connection to this upstream was not answered, though it was sent at `sent_ms`: where nothing else was heard of it
    /// since, the connection is dead.
    pub(super) fn doubt(&mut self, upstream: usize, sent_ms: u64) {
        if let Some(slot) = self.streams.get_mut(upstream)
            && slot.as_ref().is_some_and(|stream| stream.heard_ms < sent_ms)
        {
            *slot = None;
        }
    }

    /// A connection is over: who waits for it is asked for anew. One that has served is no failure of its upstream: servers close what
    /// idles.
    fn hang_up(&mut self, epoll: &Epoll, upstream: usize, gone: &Gone, now_ms: u64) {
        let Some(stream) = self.streams.get_mut(upstream).and_then(Option::take) else { return };
        let served = stream.answers > 0;
        drop(stream);
        if !served {
            let address = self.upstreams.get(upstream).map(|one| one.address.to_string()).unwrap_or_default();
            warn!("upstream {address}: {gone}");
            self.upstreams.failed(upstream, now_ms);
        }
        for place in 0..self.slots.len() {
            let Some(pending) = self.slots.get_mut(place).and_then(Option::as_mut) else { continue };
            if pending.upstream == upstream && pending.socket.is_none() {
                if served {
                    pending.tried &= !bit(upstream);
                }
                self.send(epoll, place, now_ms);
            }
        }
    }
}

/// Waits for what the connection waits for.
fn arm(epoll: &Epoll, stream: &mut Stream, upstream: usize) {
    let wants = stream.wants_to_write();
    if wants != stream.waits_to_write {
        stream.waits_to_write = wants;
        let token = Token { kind: Kind::Stream, place: upstream, serial: stream.serial };
        let write = if wants { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN | write, token.number());
        // It is there: it was added when it was opened.
        let _ = epoll.modify(stream.as_fd(), &mut event);
    }
}
