//! Neighbours at the inner end of a service's link: there is one, we are it, and it is set, not asked for.
//!
//! In:  a socket of the namespace, its link, our addresses on it, the hardware address of our end. Out: entries; how many changes that took.
//!
//! The kernel's table of neighbours is one for all namespaces. A service that sends to neighbours that nobody is would fill it with entries
//! that wait for an answer, which nothing takes away for seconds: then the gateway finds no neighbour of its own. So nobody is asked there.
//! What is not known has failed at once, and what has failed makes room as soon as the table is full.
//!
//! Source: linux/neighbour.h; net/core/neighbour.c, `__neigh_event_send`, `neigh_forced_gc`.

use std::net::IpAddr;

use sys::Errno;

use crate::bytes::{Writer, attribute, text, u32_at};
use crate::socket::{CREATE, REPLACE, Socket};

const NEW_NEIGHBOUR: u16 = 28;
const GET_NEIGHBOUR: u16 = 30;
const GET_TABLE: u16 = 66;
const SET_TABLE: u16 = 67;
/// `struct ndmsg` and `struct ndtmsg`, in bytes.
const HEAD: usize = 12;
const TABLE_HEAD: usize = 4;
/// `NDA_DST`, `NDA_LLADDR`.
const ADDRESS: u16 = 1;
const HARDWARE: u16 = 2;
/// `NDTA_NAME`, `NDTA_PARMS`; of these `NDTPA_IFINDEX`, `NDTPA_MCAST_PROBES`.
const NAME: u16 = 1;
const PARAMETERS: u16 = 6;
const LINK: u16 = 1;
const PROBES: u16 = 11;
/// `NUD_PERMANENT`.
const PERMANENT: u16 = 0x80;

/// A link inside a namespace, and who is at its other end.
#[derive(Debug, Clone, Copy)]
pub struct End<'e> {
    /// Its number.
    pub link: u32,
    /// The addresses of its only neighbour.
    pub neighbour: &'e [IpAddr],
    /// The hardware address of that one.
    pub hardware: &'e [u8],
}

/// Sees to it that the only neighbour is known, and no other is asked for. Returns how many changes that took.
///
/// # Errors
/// What the kernel says.
pub fn settle(socket: &mut Socket, end: End<'_>) -> Result<u64, Errno> {
    let mut made = 0;
    for (family, name) in [(family_of(true), "arp_cache"), (family_of(false), "ndisc_cache")] {
        // A kernel without a family has no such table, or the link is not in it.
        let Some(probes) = probes(socket, family, name, end.link)? else { continue };
        for address in end.neighbour.iter().filter(|address| family_of(address.is_ipv4()) == family) {
            if !knows(socket, end, *address)? {
                let attributes =
                    Writer::default().put(ADDRESS, &octets(*address)).put(HARDWARE, end.hardware).end();
                let body = [head(family, end.link, PERMANENT).as_slice(), &attributes].concat();
                socket.change(NEW_NEIGHBOUR, CREATE | REPLACE, &body)?;
                made += 1;
            }
        }
        if probes != 0 {
            let none = Writer::default().put(LINK, &end.link.to_ne_bytes()).put(PROBES, &0_u32.to_ne_bytes());
            let attributes = Writer::default().put_text(NAME, name).nest(PARAMETERS, none).end();
            socket.change(SET_TABLE, 0, &[[family, 0, 0, 0].as_slice(), &attributes].concat())?;
            made += 1;
        }
    }
    Ok(made)
}

/// How often everybody on a link is asked for an address, by the table of a family.
fn probes(socket: &mut Socket, family: u8, table: &str, link: u32) -> Result<Option<u32>, Errno> {
    let bodies = socket.dump(GET_TABLE, &[family, 0, 0, 0])?;
    let of_link = |body: &Vec<u8>| {
        let attributes = body.get(TABLE_HEAD..)?;
        let named = attribute(attributes, NAME).and_then(text) == Some(table);
        let all = attribute(attributes, PARAMETERS).filter(|_| named)?;
        let number = |kind| attribute(all, kind).and_then(|value| u32_at(value, 0));
        number(PROBES).filter(|_| number(LINK) == Some(link))
    };
    Ok(bodies.iter().find_map(of_link))
}

/// Is this address set, to this hardware?
fn knows(socket: &mut Socket, end: End<'_>, address: IpAddr) -> Result<bool, Errno> {
    let attributes = Writer::default().put(ADDRESS, &octets(address)).end();
    let family = family_of(address.is_ipv4());
    let answer =
        match socket.get(GET_NEIGHBOUR, &[head(family, end.link, 0).as_slice(), &attributes].concat()) {
            Err(Errno::ENOENT) => return Ok(false),
            answer => answer?,
        };
    let permanent = answer.get(8..10) == Some(PERMANENT.to_ne_bytes().as_slice());
    let hardware = answer.get(HEAD..).and_then(|attributes| attribute(attributes, HARDWARE));
    Ok(permanent && hardware == Some(end.hardware))
}

/// `struct ndmsg`.
fn head(family: u8, link: u32, state: u16) -> [u8; HEAD] {
    let [a, b, c, d] = link.to_ne_bytes();
    let [low, high] = state.to_ne_bytes();
    [family, 0, 0, 0, a, b, c, d, low, high, 0, 0]
}

/// `AF_INET`, `AF_INET6`.
fn family_of(is_ipv4: bool) -> u8 {
    if is_ipv4 { 2 } else { 10 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
