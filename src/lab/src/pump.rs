//! A packet pump: what a link says, the emulator hears, and the other way round.
//!
//! In:  a link of this network namespace, the emulator's datagram socket. Out: frames, as they are, both ways.
//!
//! `/dev/net/tun` may be root's alone; a packet socket and a datagram socket are anybody's in a namespace of his own. One end of a
//! veth pair stays with the pump, the other goes to the peer. Its offloads are to be switched off, so that every checksum is in the
//! frame (`topology.rs` does it).
//!
//! Sources: packet(7); qemu-system-i386(1), `-netdev dgram`.

use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, sendmsg, socket,
};

use crate::board::Port;
use crate::error::Error;

/// The largest frame that a link hands over, in bytes.
const FRAME_BYTES_MAX: usize = 65_536;
/// How often the pump looks whether it is still wanted, in milliseconds.
const LOOK_MS: u16 = 200;
/// Frames that are moved one way before the other way gets its turn.
const BATCH: usize = 64;

/// A running pump; it stops when this is dropped.
#[derive(Debug)]
pub struct Pump {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Joins the link `link` and the emulator's socket `theirs`; `ours` is made.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no such link, or we may not listen on it.
    pub fn start(link: &str, ours: &Path, theirs: &Path) -> Result<Self, Error> {
        let wire = open(link)?;
        let emulator = UnixDatagram::bind(ours).map_err(Error::path(ours))?;
        emulator.set_nonblocking(true).map_err(Error::path(ours))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, theirs) = (Arc::clone(&stop), theirs.to_path_buf());
        let thread = thread::spawn(move || turn(&wire, &emulator, &theirs, &stopped));
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Joins two pumps where an emulator would stand: for trying them, and for topologies without a gateway.
#[derive(Debug)]
pub struct Cable {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Cable {
    /// Joins the emulator's ends of two ports.
    ///
    /// # Errors
    /// [`Error::Usage`]: a port has no pump. [`Error::Io`]: its socket is taken.
    pub fn between(one: &Port, other: &Port) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let (one, other) = (far_end(one)?, far_end(other)?);
        let mut threads = Vec::new();
        for (from, to) in [(&one, &other), (&other, &one)] {
            let from = from.0.try_clone().map_err(Error::io("cable"))?;
            let (socket, target) = (to.0.try_clone().map_err(Error::io("cable"))?, to.1.clone());
            let stop = Arc::clone(&stop);
            threads.push(thread::spawn(move || {
                let mut frame = vec![0; FRAME_BYTES_MAX];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(count) = from.recv(&mut frame) {
                        let _ = socket.send_to(frame.get(..count).unwrap_or_default(), &target);
                    }
                }
            }));
        }
        Ok(Self { stop, threads })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The socket where an emulator would listen, and the pump's.
fn far_end(port: &Port) -> Result<(UnixDatagram, PathBuf), Error> {
    let Port::Pump { ours, theirs } = port else {
        return Err(Error::Usage("a port without a pump".to_owned()));
    };
    let socket = UnixDatagram::bind(ours).map_err(Error::path(ours))?;
    let limit = Some(Duration::from_millis(LOOK_MS.into()));
    socket.set_read_timeout(limit).map_err(Error::path(ours))?;
    Ok((socket, theirs.clone()))
}

/// Opens a packet socket on `link`.
fn open(link: &str) -> Result<OwnedFd, Error> {
    let trouble = || format!("link {link}");
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let opened = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll);
    let opened = opened.map_err(Error::errno(trouble()))?;
    let address = address(link).map_err(Error::errno(trouble()))?;
    // The address has no protocol in it; the kernel then keeps the socket's, which is every one.
    bind(opened.as_raw_fd(), &address).map_err(Error::errno(trouble()))?;
    Ok(opened)
}

fn address(link: &str) -> Result<LinkAddr, Errno> {
    getifaddrs()?
        .filter(|found| found.interface_name == link)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or(Errno::ENODEV)
}

fn turn(wire: &OwnedFd, emulator: &UnixDatagram, theirs: &Path, stop: &AtomicBool) {
    let mut frame = vec![0; FRAME_BYTES_MAX];
    while !stop.load(Ordering::Relaxed) {
        let mut ends =
            [PollFd::new(wire.as_fd(), PollFlags::POLLIN), PollFd::new(emulator.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ends, PollTimeout::from(LOOK_MS)).is_err() {
            continue;
        }
        for _ in 0..BATCH {
            let Ok(count @ 1..) = recv(wire.as_raw_fd(), &mut frame, MsgFlags::empty()) else { break };
            let whole = frame.get(..count).unwrap_or_default();
            // A full queue or an emulator that is not there loses the frame, as a wire would.
            let _ = emulator.send_to(whole, theirs);
        }
        for _ in 0..BATCH {
            let count = match emulator.recv(&mut frame) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let whole = [IoSlice::new(frame.get(..count).unwrap_or_default())];
            let _ = sendmsg::<()>(wire.as_raw_fd(), &whole, &[], MsgFlags::empty(), None);
        }
    }
}

/// The two sockets of a pump called `name` in `folder`: the emulator's and the pump's.
#[must_use]
pub fn sockets(folder: impl Fn(&str) -> PathBuf, name: &str) -> (PathBuf, PathBuf) {
    (folder(&format!("{name}.qemu")), folder(&format!("{name}.pump")))
}
