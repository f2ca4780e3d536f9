//! Multicast groups by a link's number: where several links have one address, its address does not say which.
//!
//! Source: ip(7), `IP_ADD_MEMBERSHIP` with `struct ip_mreqn`.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Lets `socket` hear what is sent to `group` on the link `link_index`.
///
/// # Errors
/// `ENODEV`: no such link. `EADDRINUSE`: it hears that already. `EINVAL`: no group. `ENOBUFS`: too many (igmp_max_memberships).
pub fn join(socket: BorrowedFd<'_>, group: Ipv4Addr, link_index: u32) -> Result<(), Errno> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: i32::try_from(link_index).map_err(|_| Errno::ENODEV)?,
    };
    let size = libc::socklen_t::try_from(size_of_val(&request)).map_err(|_| Errno::EINVAL)?;
    let place: *const libc::ip_mreqn = &raw const request;
    // SAFETY: the kernel reads `size` bytes at `place`, which is a whole `ip_mreqn`, alive during the call.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, place.cast(), size)
    };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::join;
    use nix::errno::Errno;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn a_group_is_joined_on_a_link_once() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(join(socket.as_fd(), group, loopback), Ok(()));
        assert_eq!(join(socket.as_fd(), group, loopback), Err(Errno::EADDRINUSE));
        assert_eq!(join(socket.as_fd(), group, 0x7fff_ffff), Err(Errno::ENODEV));
        assert_eq!(join(socket.as_fd(), Ipv4Addr::LOCALHOST, loopback), Err(Errno::EINVAL));
    }
}
