//! One socket on which multicast routing was begun: what came by it, what leaves by it.
//!
//! In:  the socket. Out: what hosts and the kernel say; queries sent. What is refused is said once in the log.
//!
//! Not here: the calls themselves (`sys::mroute`), what follows from them (`household.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use log::warn;
use sys::mroute::{self, Family};
use sys::{Errno, by_link};

use crate::message::{Heard, Unrouted};
use crate::querier::INTERVAL_S;
use crate::{igmp, mld};

/// The largest message that is read: no Ethernet frame is larger.
const PACKET_BYTES: usize = 1_600;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A host or a querier said something.
    Said {
        /// Number of the link by which it came, the kernel's.
        link_index: u32,
        /// Who.
        host: IpAddr,
        /// What.
        heard: Heard,
    },
    /// A stream has no route.
    Unrouted(Unrouted),
    /// Nothing that we understand.
    Noise,
}

/// The socket.
#[derive(Debug)]
pub struct Kernel {
    family: Family,
    socket: OwnedFd,
    /// What was refused last: said once.
    said: Option<(String, Errno)>,
}

impl Kernel {
    /// A socket of `family` that `network` has opened.
    #[must_use]
    pub fn new(family: Family, socket: OwnedFd) -> Self {
        Self { family, socket, said: None }
    }

    /// Its family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The next thing that came; `None`: nothing more now.
    pub fn receive(&self) -> Option<News> {
        let mut buffer = [0; PACKET_BYTES];
        let arrival = by_link::receive(self.socket.as_fd(), &mut buffer).ok()?;
        let bytes = buffer.get(..arrival.length).unwrap_or_default();
        let link_index = arrival.link_index;
        let said = |host, heard| News::Said { link_index, host, heard };
        let news = match self.family {
            Family::V4 => igmp::read(bytes).map(|packet| match packet {
                igmp::Packet::From(host, heard) => said(host.into(), heard),
                igmp::Packet::Kernel(unrouted) => News::Unrouted(unrouted),
            }),
            Family::V6 => mld::read(bytes).and_then(|packet| match packet {
                mld::Packet::From(heard) => {
                    // Hosts speak by their link-local address. Source: RFC 3810 §5.2.13.
                    let host = arrival.from.map(|from| from.ip()).filter(is_link_local)?;
                    Some(said(host, heard))
                }
                mld::Packet::Kernel(unrouted) => Some(News::Unrouted(unrouted)),
            }),
        };
        Some(news.unwrap_or(News::Noise))
    }

    /// Asks who watches `group`, or anything (`None`), on a link, as `from`, to be answered within `response_ms`.
    pub fn ask(&mut self, link_index: u32, from: IpAddr, group: Option<IpAddr>, response_ms: u16) {
        let sent = match (from, group) {
            (IpAddr::V4(_), None) => {
                let bytes = igmp::query(Ipv4Addr::UNSPECIFIED, response_ms.into(), INTERVAL_S);
                self.send(link_index, from, igmp::ALL_HOSTS.into(), &bytes)
            }
            (IpAddr::V4(_), Some(IpAddr::V4(group))) => {
                let bytes = igmp::query(group, response_ms.into(), INTERVAL_S);
                self.send(link_index, from, group.into(), &bytes)
            }
            (IpAddr::V6(_), None) => {
                let bytes = mld::query(Ipv6Addr::UNSPECIFIED, response_ms, INTERVAL_S);
                self.send(link_index, from, mld::ALL_HOSTS.into(), &bytes)
            }
            (IpAddr::V6(_), Some(IpAddr::V6(group))) => {
                let bytes = mld::query(group, response_ms, INTERVAL_S);
                self.send(link_index, from, group.into(), &bytes)
            }
            (IpAddr::V4(_), Some(IpAddr::V6(_))) | (IpAddr::V6(_), Some(IpAddr::V4(_))) => Ok(()),
        };
        self.note("cannot ask", sent);
    }

    fn send(&self, link_index: u32, from: IpAddr, to: IpAddr, bytes: &[u8]) -> Result<(), Errno> {
        by_link::send(self.socket.as_fd(), link_index, from, SocketAddr::new(to, 0), bytes)
    }

    /// Gives a link its number, and listens there for what hosts say to routers. `true`: it has it.
    pub fn add_link(&mut self, number: u16, link_index: u32, watches: bool) -> bool {
        let (socket, family) = (self.socket.as_fd(), self.family);
        let added = match mroute::add_link(socket, family, number, link_index) {
            Err(Errno::EADDRINUSE) => Ok(()), // Since a former life.
            other => other,
        };
        let groups: [IpAddr; 2] = match family {
            Family::V4 => [igmp::REPORTS.into(), igmp::ALL_ROUTERS.into()],
            Family::V6 => [mld::REPORTS.into(), mld::ALL_ROUTERS.into()],
        };
        let mut result = added;
        for group in groups.into_iter().filter(|_| watches) {
            let joined = match mroute::join(self.socket.as_fd(), link_index, group) {
                Err(Errno::EADDRINUSE) => Ok(()),
                other => other,
            };
            result = result.and(joined);
        }
        let has = result.is_ok();
        self.note(&format!("link {link_index} gets no multicast routes"), result);
        has
    }

    /// Does `what` to the socket, and says once what is refused. Is it done?
    pub fn try_to(&mut self, what: &str, act: impl FnOnce(BorrowedFd<'_>) -> Result<(), Errno>) -> bool {
        let result = act(self.socket.as_fd());
        self.note(what, result);
        result.is_ok()
    }

    /// How many packets a stream has had; `None`: it has no route.
    #[must_use]
    pub fn packets(&self, source: IpAddr, group: IpAddr) -> Option<u64> {
        mroute::packets(self.socket.as_fd(), source, group).ok()
    }

    fn note(&mut self, what: &str, result: Result<(), Errno>) {
        let Err(errno) = result else { return };
        let words = (what.to_owned(), errno);
        if self.said.as_ref() != Some(&words) {
            warn!("{what}: {}", errno.desc());
            self.said = Some(words);
        }
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    }
}
