//! Sockets: SIP's on each side, and a pair of ports on each side for each medium.
//!
//! In:  links and addresses. Out: sockets that are bound to their link, marked for their class.
//!
//! Source: RFC 4594 §2.3 (EF for media, CS5 for signalling); ip(7), `IP_TOS`; socket(7), `SO_BINDTODEVICE`, `SO_PRIORITY`.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use contract::told::Voice;
use nix::sys::socket::{setsockopt, sockopt};

use crate::media::{Door, Pair};
use crate::proxy::Ports;
use crate::side::Side;

/// Ports of media: sixteen pairs are used at most, so one is found at once.
const PORTS: std::ops::Range<Pair> = 20_000..20_512;
/// How often another pair is tried.
const TRIES: usize = 16;
/// Media: EF. Source: RFC 3246; the six bits stand above two others.
const EF: i32 = 46 << 2;
/// Signalling: CS5. Source: RFC 4594 §2.3.
const CS5: i32 = 40 << 2;
/// `SO_PRIORITY` of both: what becomes 802.1p 5 or 6 in the play's VLAN. 7 would need a right.
const PRIORITY: i32 = 6;

/// A socket on a link, at `address`.
///
/// # Errors
/// The port is taken, the link or the address is not there.
pub fn socket(link: &str, address: SocketAddrV4, class: i32) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(link))?;
    setsockopt(&socket, sockopt::Ipv4Tos, &class)?;
    setsockopt(&socket, sockopt::Priority, &PRIORITY)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// SIP's socket on a link.
///
/// # Errors
/// As [`socket`].
pub fn signalling(link: &str, address: SocketAddrV4) -> io::Result<UdpSocket> {
    socket(link, address, CS5)
}

/// The four sockets of one medium.
#[derive(Debug)]
pub struct Line {
    /// Its pair of ports.
    pub pair: Pair,
    /// Its sockets, each with its door.
    pub sockets: [(Door, UdpSocket); 4],
}

/// All lines, and where new ones are opened.
#[derive(Debug, Default)]
pub struct Lines {
    home: Option<(String, Ipv4Addr)>,
    play: Option<(String, Ipv4Addr)>,
    next: usize,
    /// Those that are open.
    pub open: Vec<Line>,
}

impl Lines {
    /// From now on these links. Lines that were open on others are closed.
    pub fn tell(&mut self, told: &Voice) {
        let place = |(link, address): &(contract::wanted::LinkName, Ipv4Addr)| (link.to_string(), *address);
        let (home, play) = (Some(place(&told.home)), told.play.as_ref().map(place));
        if (&home, &play) != (&self.home, &self.play) {
            self.open.clear();
            (self.home, self.play) = (home, play);
        }
    }

    fn line(&self, pair: Pair) -> Option<io::Result<Line>> {
        let (home, play) = (self.home.as_ref()?, self.play.as_ref()?);
        let at =
            |(link, address): &(String, Ipv4Addr), port| socket(link, SocketAddrV4::new(*address, port), EF);
        let next = pair.checked_add(1)?;
        let sockets = || {
            Ok([
                (Door { pair, side: Side::Home, control: false }, at(home, pair)?),
                (Door { pair, side: Side::Home, control: true }, at(home, next)?),
                (Door { pair, side: Side::Play, control: false }, at(play, pair)?),
                (Door { pair, side: Side::Play, control: true }, at(play, next)?),
            ])
        };
        Some(sockets().map(|sockets| Line { pair, sockets }))
    }
}

impl Ports for Lines {
    fn open(&mut self) -> Option<Pair> {
        for _ in 0..TRIES {
            let pair = PORTS.step_by(2).cycle().nth(self.next)?;
            self.next = (self.next + 1) % PORTS.step_by(2).len();
            if let Ok(line) = self.line(pair)? {
                self.open.push(line);
                return Some(pair);
            }
        }
        None
    }

    fn close(&mut self, pair: Pair) {
        self.open.retain(|line| line.pair != pair);
    }
}
