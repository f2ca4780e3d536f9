//! A packet pump: what a link says, the emulator hears, and the other way round.
//!
//! In:  links of this network namespace, the emulator's datagram socket. Out: frames, both ways: as they are, or, where a link stands for a
//! VLAN, with its tag on the emulator's side only. Many hosts' kernels have no VLANs, and so the provider's switch is here.
//!
//! `/dev/net/tun` may be root's alone; a packet socket and a datagram socket are anybody's in a namespace of his own. One end of a
//! veth pair stays with the pump, the other goes to the peer. Its offloads are to be switched off, so that every checksum is in the
//! frame (`topology.rs` does it).
//!
//! Sources: packet(7); qemu-system-i386(1), `-netdev dgram`; IEEE 802.1Q-2022 §9.6 (tags).

use std::collections::BTreeMap;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
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

/// Where a frame's tag stands, what announces it, and its length. Source: IEEE 802.1Q-2022 §9.6.
const TAG_AT: usize = 12;
const TAG: [u8; 2] = [0x81, 0x00];
const TAG_BYTES: usize = 4;

/// How many frames the emulator sent: by VLAN (0: untagged) and 802.1p priority.
pub type Tags = BTreeMap<(u16, u8), u64>;

/// A running pump; it stops when this is dropped.
#[derive(Debug)]
pub struct Pump {
    stop: Arc<AtomicBool>,
    tags: Arc<Mutex<Tags>>,
    thread: Option<JoinHandle<()>>,
}

/// A link, and the VLAN that it stands for; 0: untagged frames.
#[derive(Debug)]
struct Wire {
    socket: OwnedFd,
    vlan: u16,
}

impl Pump {
    /// Joins links, each with the VLAN that it stands for (0: untagged frames), and the emulator's socket `theirs`; `ours` is made. Frames
    /// of other VLANs are lost, as in a switch that does not know them.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no such link, or we may not listen on it.
    pub fn start(links: &[(String, u16)], ours: &Path, theirs: &Path) -> Result<Self, Error> {
        let wire = |(link, vlan): &(String, u16)| Ok(Wire { socket: open(link)?, vlan: *vlan });
        let wires: Vec<Wire> = links.iter().map(wire).collect::<Result<_, Error>>()?;
        let emulator = UnixDatagram::bind(ours).map_err(Error::path(ours))?;
        emulator.set_nonblocking(true).map_err(Error::path(ours))?;
        let stop = Arc::new(AtomicBool::new(false));
        let tags = Arc::new(Mutex::new(Tags::new()));
        let (stopped, counted, theirs) = (Arc::clone(&stop), Arc::clone(&tags), theirs.to_path_buf());
        let thread = thread::spawn(move || turn(&wires, &emulator, &theirs, (&stopped, &counted)));
        Ok(Self { stop, tags, thread: Some(thread) })
    }

    /// What the emulator has sent until now.
    #[must_use]
    pub fn tags(&self) -> Tags {
        self.tags.lock().map(|tags| tags.clone()).unwrap_or_default()
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

fn turn(wires: &[Wire], emulator: &UnixDatagram, theirs: &Path, (stop, tags): (&AtomicBool, &Mutex<Tags>)) {
    let mut frame = vec![0; FRAME_BYTES_MAX];
    while !stop.load(Ordering::Relaxed) {
        let ends = wires.iter().map(|wire| wire.socket.as_fd()).chain([emulator.as_fd()]);
        let mut ends: Vec<PollFd<'_>> = ends.map(|end| PollFd::new(end, PollFlags::POLLIN)).collect();
        if poll(&mut ends, PollTimeout::from(LOOK_MS)).is_err() {
            continue;
        }
        for wire in wires {
            to_emulator(wire, emulator, theirs, &mut frame);
        }
        from_emulator(wires, emulator, tags, &mut frame);
    }
}

fn to_emulator(wire: &Wire, emulator: &UnixDatagram, theirs: &Path, frame: &mut [u8]) {
    for _ in 0..BATCH {
        let Ok(count @ 1..) = recv(wire.socket.as_raw_fd(), frame, MsgFlags::empty()) else { break };
        let whole = frame.get(..count).unwrap_or_default();
        // A full queue or an emulator that is not there loses the frame, as a wire would.
        let _ = match (wire.vlan, whole.split_at_checked(TAG_AT)) {
            (0, _) | (_, None) => emulator.send_to(whole, theirs),
            (vlan, Some((addresses, rest))) => {
                emulator.send_to(&[addresses, &TAG, &vlan.to_be_bytes(), rest].concat(), theirs)
            }
        };
    }
}

fn from_emulator(wires: &[Wire], emulator: &UnixDatagram, tags: &Mutex<Tags>, frame: &mut [u8]) {
    for _ in 0..BATCH {
        let count = match emulator.recv(frame) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let (vlan, priority, parts) = untag(frame.get(..count).unwrap_or_default());
        if let Ok(mut tags) = tags.lock() {
            *tags.entry((vlan, priority)).or_default() += 1;
        }
        if let Some(wire) = wires.iter().find(|wire| wire.vlan == vlan) {
            let parts = parts.map(IoSlice::new);
            let _ = sendmsg::<()>(wire.socket.as_raw_fd(), &parts, &[], MsgFlags::empty(), None);
        }
    }
}

/// A frame's VLAN and priority, and what stands before and behind its tag. The VLAN 0 says a priority only.
fn untag(frame: &[u8]) -> (u16, u8, [&[u8]; 2]) {
    let tag = frame.get(TAG_AT..TAG_AT + TAG_BYTES).and_then(|tag| <[u8; TAG_BYTES]>::try_from(tag).ok());
    match (tag, frame.get(..TAG_AT), frame.get(TAG_AT + TAG_BYTES..)) {
        (Some([a, b, high, low]), Some(addresses), Some(rest)) if [a, b] == TAG => {
            (u16::from_be_bytes([high & 0x0f, low]), high >> 5, [addresses, rest])
        }
        _ => (0, 0, [frame, &[]]),
    }
}

/// The two sockets of a pump called `name` in `folder`: the emulator's and the pump's.
#[must_use]
pub fn sockets(folder: impl Fn(&str) -> PathBuf, name: &str) -> (PathBuf, PathBuf) {
    (folder(&format!("{name}.qemu")), folder(&format!("{name}.pump")))
}

#[cfg(test)]
mod tests {
    use super::untag;

    #[test]
    fn a_tag_is_taken_off() {
        let addresses = [7; 12];
        let tagged = [addresses.as_slice(), &[0x81, 0, 0xa0, 20, 8, 0], b"packet"].concat();
        let plain = [addresses.as_slice(), &[8, 0], b"packet"].concat();
        let table = [
            ("tagged", tagged.as_slice(), (20, 5), plain.as_slice()),
            ("plain", &plain, (0, 0), &plain),
            ("cut in the tag", &tagged[..15], (0, 0), &tagged[..15]),
            ("nothing", &[], (0, 0), &[]),
        ];
        for (what, frame, tag, rest) in table {
            let (vlan, priority, parts) = untag(frame);
            assert_eq!(((vlan, priority), parts.concat().as_slice()), (tag, rest), "{what}");
        }
    }
}
