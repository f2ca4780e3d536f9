//! Links, addresses and routes in the kernel: look at them, change them. The only module that knows the crates `rtnetlink` and
//! `netlink-packet-route`.
//!
//! In:  a socket of some namespace, a `Change`. Out: an `Observed`; the change, done.
//!
//! Theirs are the words in which links, addresses and routes are asked for; ours are the socket (theirs needs an async runtime) and the
//! decoder (theirs loses every link on i386, see `bytes.rs`).
//!
//! Source: rtnetlink(7), veth(4).

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::Emitable;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use netlink_packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::{
    AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use sys::Errno;

use crate::Error;
use crate::bytes::u32_at;
use crate::observed::Observed;
use crate::plan::Change;
use crate::socket::{CREATE, EXCLUSIVE, REPLACE, Socket};
use crate::target::{Address, INSIDE_LINK, Route};

/// Stations that a bridge remembers: a home has a tenth, and without a limit one host that makes addresses up would have all memory. What
/// is beyond it still gets its frames, and so do all others. Since Linux 6.7; older kernels pass over it.
const STATIONS_MAX: u32 = 2_048;

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;

/// Looks at everything.
///
/// # Errors
/// [`Error::Kernel`]: it does not say.
pub fn observe(socket: &mut Socket) -> Result<Observed, Error> {
    /// IPv4 only: `AF_INET` in the first byte.
    const INET: u8 = 2;
    let failed = |what: &str| Error::kernel(format!("cannot list {what}"));
    let mut observed = Observed::default();
    for body in socket.dump(GETLINK, &[0; 16]).map_err(failed("links"))? {
        observed.take_link(&body);
    }
    for body in socket.dump(GETADDR, &[INET, 0, 0, 0, 0, 0, 0, 0]).map_err(failed("addresses"))? {
        observed.take_address(&body);
    }
    let mut route = [0; 12];
    route[0] = INET;
    for body in socket.dump(GETROUTE, &route).map_err(failed("routes"))? {
        observed.take_route(&body);
    }
    Ok(observed)
}

/// Makes one change.
///
/// # Errors
/// [`Error::Kernel`]: it was refused; the text says which.
pub fn apply(socket: &mut Socket, change: &Change) -> Result<(), Error> {
    let done = match change {
        Change::AddBridge(bridge) => {
            let made = LinkBridge::new(bridge).fdb_max_learned(STATIONS_MAX).build();
            socket.change(NEWLINK, CREATE | EXCLUSIVE, &body(&made))
        }
        Change::SetBridge { link, bridge } => both(socket, link, bridge).and_then(|(link, bridge)| {
            socket.change(SETLINK, 0, &body(&LinkUnspec::new_with_index(link).controller(bridge).build()))
        }),
        Change::SetUp(link) => index(socket, link).and_then(|link| {
            socket.change(SETLINK, 0, &body(&LinkUnspec::new_with_index(link).up().build()))
        }),
        Change::AddAddress(address) => index(socket, &address.link)
            .and_then(|link| socket.change(NEWADDR, CREATE | REPLACE, &address_body(address, link))),
        Change::DropAddress(address) => index(socket, &address.link)
            .and_then(|link| socket.change(DELADDR, 0, &address_body(address, link))),
        Change::AddRoute(route) => index(socket, &route.link)
            .and_then(|link| socket.change(NEWROUTE, CREATE | REPLACE, &route_body(route, link))),
        // A route may have gone with its address.
        Change::DropRoute(route) => index(socket, &route.link)
            .and_then(|link| socket.change(DELROUTE, 0, &any_route_body(route, link)))
            .or_else(|errno| if errno == Errno::ESRCH { Ok(()) } else { Err(errno) }),
    };
    done.map_err(Error::kernel(change.to_string()))
}

/// Makes a pair of links: `name` here, [`INSIDE_LINK`] in `namespace`.
///
/// # Errors
/// [`Error::Kernel`]: `EEXIST`: there is such a link here or there.
pub fn add_pair(socket: &mut Socket, name: &str, namespace: BorrowedFd<'_>) -> Result<(), Error> {
    let peer = LinkUnspec::new_with_name(INSIDE_LINK).setns_by_fd(namespace.as_raw_fd()).build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth).name(name);
    let pair = pair.set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
    socket
        .change(NEWLINK, CREATE | EXCLUSIVE, &body(&pair))
        .map_err(Error::kernel(format!("{name}: not made")))
}

/// Takes a link away; the other end of a pair goes with it.
///
/// # Errors
/// [`Error::Kernel`], but not for a link that is not there.
pub fn drop_link(socket: &mut Socket, name: &str) -> Result<(), Error> {
    let dropped = index(socket, name)
        .and_then(|link| socket.change(DELLINK, 0, &body(&LinkUnspec::new_with_index(link).build())));
    match dropped {
        Err(Errno::ENODEV) => Ok(()),
        other => other.map_err(Error::kernel(format!("{name}: not removed"))),
    }
}

fn body<M: Emitable>(message: &M) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

fn index(socket: &mut Socket, name: &str) -> Result<u32, Errno> {
    let answer = socket.get(GETLINK, &body(&LinkUnspec::new_with_name(name).build()))?;
    u32_at(&answer, 4).ok_or(Errno::EBADMSG)
}

fn both(socket: &mut Socket, link: &str, bridge: &str) -> Result<(u32, u32), Errno> {
    Ok((index(socket, link)?, index(socket, bridge)?))
}

fn address_body(address: &Address, link: u32) -> Vec<u8> {
    let message =
        AddressMessageBuilder::<Ipv4Addr>::new().index(link).address(address.address, address.length);
    body(&message.build())
}

fn route_body(route: &Route, link: u32) -> Vec<u8> {
    let message = route_message(route, link);
    let message = if route.via.is_none() { message.scope(RouteScope::Link) } else { message };
    body(&message.build())
}

/// The same, of whatever protocol and scope: for a route that somebody else has set. Source: net/ipv4/fib_trie.c, `fib_table_delete`.
fn any_route_body(route: &Route, link: u32) -> Vec<u8> {
    body(&route_message(route, link).protocol(RouteProtocol::Unspec).scope(RouteScope::NoWhere).build())
}

fn route_message(route: &Route, link: u32) -> RouteMessageBuilder<Ipv4Addr> {
    let message = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(link);
    let message = message.destination_prefix(route.to, route.length);
    match route.via {
        Some(via) => message.gateway(via),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::{address_body, body, route_body};
    use crate::bytes::attribute;
    use crate::target::{Address, Route};
    use rtnetlink::{LinkBridge, LinkUnspec};
    use std::fs;
    use std::path::Path;

    #[test]
    fn nobody_else_knows_their_crates() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = |folder: &Path| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let (folders, mut all): (Vec<_>, Vec<_>) = files(&folder).partition(|path| path.is_dir());
        all.extend(folders.iter().flat_map(|folder| files(folder)).filter(|path| path.is_file()));
        for file in all {
            let text = fs::read_to_string(&file).unwrap();
            let imports = text.lines().any(|line| {
                let line = line.trim_start();
                ["use rtnetlink", "use netlink_packet"].iter().any(|word| line.starts_with(word))
            });
            assert_eq!(imports, file.ends_with("kernel.rs"), "{}", file.display());
        }
    }

    // What ip(8) 6.1 sends (strace), behind `struct nlmsghdr`.
    #[test]
    #[cfg(target_endian = "little")]
    fn bodies_are_what_iproute2_sends() {
        let up = [0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(body(&LinkUnspec::new_with_index(3).up().build()), up, "ip link set … up");
        let port = [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 10, 0, 7, 0, 0, 0];
        assert_eq!(body(&LinkUnspec::new_with_index(3).controller(7).build()), port, "ip link set … master");
        let bridge = body(&LinkBridge::new("br").build());
        assert_eq!(attribute(&bridge[16..], 3), Some(b"br\0".as_slice()), "ip link add br type bridge");
        assert!(
            attribute(&bridge[16..], 18).is_some_and(|info| info.windows(6).any(|word| word == b"bridge"))
        );
        let address = Address { link: String::new(), address: [192, 0, 2, 1].into(), length: 24 };
        let address = address_body(&address, 3);
        assert_eq!(address[..8], [2, 24, 0, 0, 3, 0, 0, 0], "ip address add");
        let values = [2, 1, 4].map(|kind| attribute(&address[8..], kind).unwrap().to_vec());
        assert_eq!(values, [[192, 0, 2, 1], [192, 0, 2, 1], [192, 0, 2, 255]]);
        let direct = Route { to: [192, 0, 2, 9].into(), length: 32, via: None, link: String::new() };
        assert_eq!(
            route_body(&direct, 3)[..8],
            [2, 32, 0, 0, 254, 4, 253, 1],
            "ip route add … scope link proto static"
        );
        let default =
            Route { to: [0; 4].into(), length: 0, via: Some([192, 0, 2, 1].into()), link: String::new() };
        let default = route_body(&default, 3);
        assert_eq!(default[..8], [2, 0, 0, 0, 254, 4, 0, 1], "ip route add default proto static");
        assert_eq!(attribute(&default[12..], 5), Some([192, 0, 2, 1].as_slice()));
    }
}
