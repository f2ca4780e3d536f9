//! Multicast routing: the sockets through which the kernel's multicast routes are set, of both families.
//!
//! In:  links by number, groups, sources. Out: sockets, routes, counters.
//!
//! Who opens such a socket needs `CAP_NET_ADMIN` and `CAP_NET_RAW`; who is given it needs nothing: the kernel lets the socket on which
//! routing was begun change routes, whoever holds it (`ip_mroute_setsockopt`, `ip6_mroute_setsockopt`). When its last holder is gone all
//! multicast routes go.
//!
//! Not here: what is in a packet, and which routes there should be (`multicast`).
//!
//! Source: linux/mroute.h, linux/mroute6.h; ip(7), ipv6(7); RFC 2113 and RFC 2711 (router alert).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// `MRT_INIT`, `MRT_ADD_VIF`, `MRT_DEL_VIF`, `MRT_ADD_MFC`, `MRT_DEL_MFC`; those of IPv6 have the same numbers.
const INIT: i32 = 200;
const ADD_VIF: i32 = 202;
const DEL_VIF: i32 = 203;
const ADD_MFC: i32 = 204;
const DEL_MFC: i32 = 205;
/// `VIFF_USE_IFINDEX`.
const USE_IFINDEX: u8 = 8;
/// `SIOCGETSGCNT`, `SIOCGETSGCNT_IN6`.
const GET_COUNT: libc::c_ulong = 0x89e1;
/// `MAXVIFS`, `MAXMIFS`.
pub const LINKS_MAX: usize = 32;
/// `IGMPMSG_NOCACHE`, `MRT6MSG_NOCACHE`: a packet came for which there is no route.
pub const NO_ROUTE: u8 = 1;

/// `struct vifctl`.
#[repr(C)]
struct Vif {
    number: u16,
    flags: u8,
    threshold: u8,
    rate_limit: u32,
    link_index: u32,
    remote: u32,
}

/// `struct mfcctl`.
#[repr(C)]
struct Mfc {
    origin: libc::in_addr,
    group: libc::in_addr,
    parent: u16,
    thresholds: [u8; LINKS_MAX],
    counts: [u32; 3],
    expire: i32,
}

/// `struct mif6ctl`.
#[repr(C)]
struct Mif6 {
    number: u16,
    flags: u8,
    threshold: u8,
    link_index: u16,
    rate_limit: u32,
}

/// `struct mf6cctl`.
#[repr(C)]
struct Mf6c {
    origin: libc::sockaddr_in6,
    group: libc::sockaddr_in6,
    parent: u16,
    links: [u32; 8],
}

/// `struct sioc_sg_req`.
#[repr(C)]
struct Count {
    source: libc::in_addr,
    group: libc::in_addr,
    packets: libc::c_ulong,
    bytes: libc::c_ulong,
    wrong: libc::c_ulong,
}

/// `struct sioc_sg_req6`.
#[repr(C)]
struct Count6 {
    source: libc::sockaddr_in6,
    group: libc::sockaddr_in6,
    packets: libc::c_ulong,
    bytes: libc::c_ulong,
    wrong: libc::c_ulong,
}

const _: () = assert!(size_of::<Vif>() == 16 && size_of::<Mfc>() == 60);
const _: () = assert!(size_of::<Mif6>() == 12 && size_of::<Mf6c>() == 92);

/// Which family a socket routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, with IGMP.
    V4,
    /// IPv6, with MLD.
    V6,
}

/// A multicast route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Who sends.
    pub source: IpAddr,
    /// The group.
    pub group: IpAddr,
    /// Number of the link by which it comes.
    pub from: u16,
    /// Numbers of the links by which it leaves, as bits; none: it is thrown away, quietly.
    pub to: u32,
}

impl Family {
    fn level(self) -> i32 {
        match self {
            Self::V4 => libc::IPPROTO_IP,
            Self::V6 => libc::IPPROTO_IPV6,
        }
    }
}

/// Opens a raw IGMP or ICMPv6 socket and begins multicast routing on it. What it sends stays on the link and carries the router alert.
/// It is close-on-exec and non-blocking.
///
/// # Errors
/// `EPERM`, `EACCES`: we lack a right. `EADDRINUSE`: somebody else routes multicast in this namespace. `ENOPROTOOPT`, `EOPNOTSUPP`: the
/// kernel cannot.
pub fn open(family: Family) -> Result<OwnedFd, Errno> {
    /// IPv4's option: type 148, length 4, value 0. Source: RFC 2113 §2.1.
    const ALERT: [u8; 4] = [148, 4, 0, 0];
    /// A hop-by-hop header: next header (the kernel's), length 0; router alert (5, 2 bytes, 0: MLD), PadN. Source: RFC 2711 §2.1.
    const ALERT6: [u8; 8] = [0, 0, 5, 2, 0, 0, 1, 0];
    /// `CS6`: internetwork control. Source: RFC 2474 §4.2.2.2.
    const PRECEDENCE: i32 = 0xc0;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    match family {
        Family::V4 => {
            let opened = raw(libc::AF_INET, libc::IPPROTO_IGMP, flags)?;
            set(&opened, libc::IPPROTO_IP, INIT, &1_i32)?;
            set(&opened, libc::IPPROTO_IP, libc::IP_OPTIONS, &ALERT)?;
            set(&opened, libc::IPPROTO_IP, libc::IP_TOS, &PRECEDENCE)?;
            set(&opened, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, &1_i32)?;
            set(&opened, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP, &0_i32)?;
            set(&opened, libc::IPPROTO_IP, libc::IP_PKTINFO, &1_i32)?;
            Ok(opened)
        }
        Family::V6 => {
            let opened = socket(AddressFamily::Inet6, SockType::Raw, flags, SockProtocol::IcmpV6)?;
            set(&opened, libc::IPPROTO_IPV6, INIT, &1_i32)?;
            set(&opened, libc::IPPROTO_IPV6, libc::IPV6_HOPOPTS, &ALERT6)?;
            set(&opened, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &PRECEDENCE)?;
            set(&opened, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &1_i32)?;
            set(&opened, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP, &0_i32)?;
            set(&opened, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
            set(&opened, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &only_listeners())?;
            Ok(opened)
        }
    }
}

/// `ICMPV6_FILTER`. Source: linux/icmpv6.h.
const ICMPV6_FILTER: i32 = 1;

/// Lets multicast listener messages pass (types 130 to 132 and 143), and type 0, by which the kernel tells of missing routes. A bit that is
/// set blocks. Source: RFC 3542 §3.2.
fn only_listeners() -> [u32; 8] {
    let mut filter = [u32::MAX; 8];
    for (word, types) in filter.iter_mut().zip(0_u32..) {
        let passes = [0_u32, 130, 131, 132, 143].into_iter().filter(|kind| kind / 32 == types);
        *word = passes.fold(u32::MAX, |word, kind| word & !(1 << (kind % 32)));
    }
    filter
}

fn raw(domain: i32, protocol: i32, flags: SockFlag) -> Result<OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: socket takes three integers and no pointer.
    let answer = unsafe { libc::socket(domain, libc::SOCK_RAW | flags.bits(), protocol) };
    let opened = Errno::result(answer)?;
    // SAFETY: the call succeeded, so the descriptor is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// Gives the link with the kernel's number `link_index` the number `number` in routes.
///
/// # Errors
/// `EADDRINUSE`: the number is given. `EADDRNOTAVAIL`, `ENODEV`: no such link. `ENFILE`: the number is [`LINKS_MAX`] or more.
pub fn add_link(socket: BorrowedFd<'_>, family: Family, number: u16, link_index: u32) -> Result<(), Errno> {
    match family {
        Family::V4 => {
            let vif = Vif { number, flags: USE_IFINDEX, threshold: 1, rate_limit: 0, link_index, remote: 0 };
            set(&socket, family.level(), ADD_VIF, &vif)
        }
        Family::V6 => {
            let link_index = u16::try_from(link_index).map_err(|_| Errno::ENODEV)?;
            set(
                &socket,
                family.level(),
                ADD_VIF,
                &Mif6 { number, flags: 0, threshold: 1, link_index, rate_limit: 0 },
            )
        }
    }
}

/// Takes a number from its link; routes by it lead nowhere then.
///
/// # Errors
/// `EADDRNOTAVAIL`: no link has it.
pub fn drop_link(socket: BorrowedFd<'_>, family: Family, number: u16) -> Result<(), Errno> {
    match family {
        Family::V4 => {
            let vif = Vif { number, flags: 0, threshold: 0, rate_limit: 0, link_index: 0, remote: 0 };
            set(&socket, family.level(), DEL_VIF, &vif)
        }
        Family::V6 => set(&socket, family.level(), DEL_VIF, &number),
    }
}

/// Sets a route, in the place of one of the same source and group if there is one.
///
/// # Errors
/// `EINVAL`: addresses of two families, or not those of the socket. `ENFILE`: no such link's number. `ENOMEM`.
pub fn add_route(socket: BorrowedFd<'_>, route: &Route) -> Result<(), Errno> {
    change(socket, ADD_MFC, route)
}

/// Removes a route.
///
/// # Errors
/// `ENOENT`: there is none. `EINVAL`: addresses of two families.
pub fn drop_route(socket: BorrowedFd<'_>, route: &Route) -> Result<(), Errno> {
    change(socket, DEL_MFC, route)
}

fn change(socket: BorrowedFd<'_>, option: i32, route: &Route) -> Result<(), Errno> {
    match (route.source, route.group) {
        (IpAddr::V4(source), IpAddr::V4(group)) => {
            let mut thresholds = [0; LINKS_MAX];
            for (number, threshold) in thresholds.iter_mut().enumerate() {
                *threshold = u8::from(route.to >> number & 1 == 1);
            }
            let (origin, group) = (address(source), address(group));
            let mfc = Mfc { origin, group, parent: route.from, thresholds, counts: [0; 3], expire: 0 };
            set(&socket, libc::IPPROTO_IP, option, &mfc)
        }
        (IpAddr::V6(source), IpAddr::V6(group)) => {
            let links = [route.to, 0, 0, 0, 0, 0, 0, 0];
            let mfc = Mf6c { origin: address6(source), group: address6(group), parent: route.from, links };
            set(&socket, libc::IPPROTO_IPV6, option, &mfc)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(Errno::EINVAL),
    }
}

/// How many packets a route has passed on, or thrown away.
///
/// # Errors
/// `EADDRNOTAVAIL`: there is no such route. `EINVAL`: addresses of two families.
#[allow(clippy::useless_conversion, reason = "a `long` has 32 bits on i686")]
pub fn packets(socket: BorrowedFd<'_>, source: IpAddr, group: IpAddr) -> Result<u64, Errno> {
    match (source, group) {
        (IpAddr::V4(source), IpAddr::V4(group)) => {
            let (source, group) = (address(source), address(group));
            let mut count = Count { source, group, packets: 0, bytes: 0, wrong: 0 };
            // SAFETY: the request reads and writes a `struct sioc_sg_req`, which this is, alive and ours alone during the call.
            Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), GET_COUNT as _, &raw mut count) })?;
            Ok(u64::from(count.packets))
        }
        (IpAddr::V6(source), IpAddr::V6(group)) => {
            let (source, group) = (address6(source), address6(group));
            let mut count = Count6 { source, group, packets: 0, bytes: 0, wrong: 0 };
            // SAFETY: the request reads and writes a `struct sioc_sg_req6`, which this is, alive and ours alone during the call.
            Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), GET_COUNT as _, &raw mut count) })?;
            Ok(u64::from(count.packets))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(Errno::EINVAL),
    }
}

/// `struct group_req`.
#[repr(C)]
struct Member {
    link_index: u32,
    group: libc::sockaddr_storage,
}

/// Listens to all of `group` on a link, as a host: the kernel reports it, and answers the querier there.
///
/// # Errors
/// `EADDRINUSE`: we do. `ENOBUFS`: more groups than `igmp_max_memberships`. `ENODEV`: no such link.
pub fn join(socket: BorrowedFd<'_>, link_index: u32, group: IpAddr) -> Result<(), Errno> {
    set(&socket, level_of(group), libc::MCAST_JOIN_GROUP, &Member { link_index, group: storage(group) })
}

/// Listens no longer.
///
/// # Errors
/// `EADDRNOTAVAIL`: we did not.
pub fn leave(socket: BorrowedFd<'_>, link_index: u32, group: IpAddr) -> Result<(), Errno> {
    set(&socket, level_of(group), libc::MCAST_LEAVE_GROUP, &Member { link_index, group: storage(group) })
}

/// Sources in one filter: what the kernel's `igmp_max_msf` is unless somebody changes it.
pub const SOURCES_MAX: usize = 10;

/// `struct group_filter`, with room for [`SOURCES_MAX`].
#[repr(C)]
struct Filter {
    link_index: u32,
    group: libc::sockaddr_storage,
    mode: u32,
    count: u32,
    sources: [libc::sockaddr_storage; SOURCES_MAX],
}

/// Says from whom we listen to a group that we have joined: `only` these sources, or all but these.
///
/// # Errors
/// `EADDRNOTAVAIL`: we have not joined. `EINVAL`: more than [`SOURCES_MAX`] sources.
pub fn filter(
    socket: BorrowedFd<'_>,
    link_index: u32,
    group: IpAddr,
    only: bool,
    sources: &[IpAddr],
) -> Result<(), Errno> {
    const EXCLUDE: u32 = 0;
    const INCLUDE: u32 = 1;
    let mut list = [storage(IpAddr::V4(Ipv4Addr::UNSPECIFIED)); SOURCES_MAX];
    let places = list.get_mut(..sources.len()).ok_or(Errno::EINVAL)?;
    for (place, source) in places.iter_mut().zip(sources) {
        *place = storage(*source);
    }
    let count = u32::try_from(sources.len()).map_err(|_| Errno::EINVAL)?;
    let mode = if only { INCLUDE } else { EXCLUDE };
    let whole = Filter { link_index, group: storage(group), mode, count, sources: list };
    set(&socket, level_of(group), libc::MCAST_MSFILTER, &whole)
}

fn level_of(group: IpAddr) -> i32 {
    match group {
        IpAddr::V4(_) => Family::V4.level(),
        IpAddr::V6(_) => Family::V6.level(),
    }
}

fn address(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn address6(address: Ipv6Addr) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: u16::try_from(libc::AF_INET6).unwrap_or(0),
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: address.octets() },
        sin6_scope_id: 0,
    }
}

/// An address as `struct sockaddr_storage`.
fn storage(whole: IpAddr) -> libc::sockaddr_storage {
    // SAFETY: every field of it is an integer or an array of integers, for which zeros are a value.
    let mut place: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    match whole {
        IpAddr::V4(four) => {
            let written = libc::sockaddr_in {
                sin_family: u16::try_from(libc::AF_INET).unwrap_or(0),
                sin_port: 0,
                sin_addr: address(four),
                sin_zero: [0; 8],
            };
            // SAFETY: a storage is larger than, and aligned for, the address of any family; it is ours alone.
            unsafe { (&raw mut place).cast::<libc::sockaddr_in>().write(written) };
        }
        IpAddr::V6(six) => {
            // SAFETY: a storage is larger than, and aligned for, the address of any family; it is ours alone.
            unsafe { (&raw mut place).cast::<libc::sockaddr_in6>().write(address6(six)) };
        }
    }
    place
}

/// One setsockopt(2) with a plain value of the type that the option takes.
fn set<T>(socket: &impl AsRawFd, level: i32, option: i32, value: &T) -> Result<(), Errno> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::EINVAL)?;
    let value: *const T = value;
    // SAFETY: the kernel reads `size` bytes at `value`, which is a borrowed `T` of that size, and keeps no pointer to it.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), size) };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Family, Route, add_link, add_route, filter, join, leave, only_listeners, open, packets};
    use nix::errno::Errno;
    use nix::sched::{CloneFlags, unshare};
    use std::net::IpAddr;
    use std::os::fd::AsFd;

    #[test]
    fn the_filter_lets_listeners_pass() {
        let filter = only_listeners();
        let passes = |kind: usize| filter[kind / 32] >> (kind % 32) & 1 == 0;
        let passing: Vec<usize> = (0..256).filter(|kind| passes(*kind)).collect();
        assert_eq!(passing, [0, 130, 131, 132, 143]);
    }

    /// In a network namespace of its own, which this thread alone enters and which ends with it.
    #[test]
    fn routes_are_set_and_counted() {
        let done = std::thread::spawn(|| {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
                return Err(format!("no network namespace: {errno}"));
            }
            for (family, source, group) in
                [(Family::V4, "192.0.2.1", "239.1.1.1"), (Family::V6, "2001:db8::1", "ff05::7")]
            {
                let socket = match open(family) {
                    Ok(socket) => socket,
                    Err(Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => {
                        return Err("no multicast routing".to_owned());
                    }
                    Err(errno) => panic!("{family:?}: {errno}"),
                };
                assert_eq!(open(family).err(), Some(Errno::EADDRINUSE), "one at a time");
                let (socket, source): (_, IpAddr) = (socket.as_fd(), source.parse().unwrap());
                let group = group.parse().unwrap();
                add_link(socket, family, 0, 1).unwrap(); // The loopback link.
                assert_eq!(add_link(socket, family, 0, 1), Err(Errno::EADDRINUSE));
                let route = Route { source, group, from: 0, to: 0 };
                add_route(socket, &route).unwrap();
                assert_eq!(packets(socket, source, group), Ok(0));
                super::drop_route(socket, &route).unwrap();
                assert_eq!(super::drop_route(socket, &route), Err(Errno::ENOENT));
                join(socket, 1, group).unwrap();
                assert_eq!(join(socket, 1, group), Err(Errno::EADDRINUSE));
                filter(socket, 1, group, false, &[source]).unwrap();
                leave(socket, 1, group).unwrap();
                assert_eq!(leave(socket, 1, group), Err(Errno::EADDRNOTAVAIL));
                super::drop_link(socket, family, 0).unwrap();
            }
            Ok(())
        });
        if let Err(why) = done.join().unwrap() {
            println!("skipped: {why}");
        }
    }
}
