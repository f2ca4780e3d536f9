//! The kernel's PPPoE sockets, and channels and units of `/dev/ppp`.
//!
//! In:  descriptors, numbers. Out: descriptors, numbers, or an `Errno`.
//!
//! A *channel* carries frames (here: a connected PPPoE socket), a *unit* is a PPP link. `CAP_NET_ADMIN` is asked for when `/dev/ppp` is
//! opened, and (since Linux 6.12.100 or so) by the calls that make a descriptor a channel's or a unit's; by no other call here.
//!
//! Not here: what is spoken over them (`lease`).
//!
//! Source: the kernel's networking/ppp_generic; linux/if_pppox.h, linux/ppp-ioctl.h; drivers/net/ppp/pppoe.c for errors.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Source: linux/if_pppox.h, `PX_PROTO_OE`.
const PX_PROTO_OE: u32 = 0;
/// Protocols whose packets a unit lets pass or drops: IPv4, IPv6. Source: IANA "PPP DLL Protocol Numbers".
pub const PROTOCOLS: [u16; 2] = [0x0021, 0x0057];
/// Bytes of a link's name with its closing zero. Source: linux/if.h, `IFNAMSIZ`.
const NAME_BYTES: usize = 16;

/// `struct sockaddr_pppox` with a `struct pppoe_addr` in it. Source: linux/if_pppox.h.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Address {
    family: u16,
    protocol: u32,
    session: [u8; 2],
    peer: [u8; 6],
    link: [u8; NAME_BYTES],
}

const _: () = assert!(size_of::<Address>() == 30);

/// `struct npioctl`. Source: linux/ppp-ioctl.h.
#[repr(C)]
struct Mode {
    protocol: i32,
    mode: i32,
}

mod call {
    nix::ioctl_read!(channel, b't', 55, i32); // PPPIOCGCHAN
    nix::ioctl_write_ptr!(attach, b't', 56, i32); // PPPIOCATTCHAN
    nix::ioctl_write_ptr!(connect, b't', 58, i32); // PPPIOCCONNECT
    nix::ioctl_readwrite!(new_unit, b't', 62, i32); // PPPIOCNEWUNIT
    nix::ioctl_write_ptr!(mode, b't', 75, super::Mode); // PPPIOCSNPMODE
    nix::ioctl_write_ptr!(mru, b't', 82, i32); // PPPIOCSMRU
    nix::ioctl_read!(unit, b't', 86, i32); // PPPIOCGUNIT
}

/// A session of PPPoE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its number; 0: none.
    pub number: u16,
    /// The other side.
    pub peer: [u8; 6],
}

/// A PPPoE socket that knows no session; close-on-exec and non-blocking.
///
/// # Errors
/// `EAFNOSUPPORT`, `EPROTONOSUPPORT`: the kernel has no PPPoE.
pub fn socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: three integers; a wrong one comes back as an error.
    let number = Errno::result(unsafe { libc::socket(libc::AF_PPPOX, kind, PX_PROTO_OE.cast_signed()) })?;
    // SAFETY: the call succeeded, so it is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets `socket` carry `session` on the link `link`.
///
/// # Errors
/// `EALREADY`: another socket has this session, or this one had one that ended. `EBUSY`: it has one. `ENODEV`: no such link.
/// `ENETDOWN`: it is down.
pub fn begin(socket: &OwnedFd, session: Session, link: &str) -> Result<(), Errno> {
    let mut name = [0; NAME_BYTES];
    let bytes = link.as_bytes();
    let place = name.get_mut(..bytes.len()).filter(|place| place.len() < NAME_BYTES).ok_or(Errno::ENODEV)?;
    place.copy_from_slice(bytes);
    let address = Address {
        family: u16::try_from(libc::AF_PPPOX).map_err(|_| Errno::EAFNOSUPPORT)?,
        protocol: PX_PROTO_OE,
        session: session.number.to_be_bytes(),
        peer: session.peer,
        link: name,
    };
    let size = libc::socklen_t::try_from(size_of::<Address>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `size` bytes at `address`, which lives during the call, and keeps no pointer.
    let answer = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size) };
    Errno::result(answer).map(drop)
}

/// Ends the session of `socket`, whoever else holds it: its channel is gone at once.
///
/// # Errors
/// `EALREADY`: it has ended.
pub fn end(socket: &OwnedFd) -> Result<(), Errno> {
    // Source: drivers/net/ppp/pppoe.c, `pppoe_connect`: number 0 takes the old session away and gives none.
    begin(socket, Session { number: 0, peer: [0; 6] }, "")
}

/// The number of the channel of `socket`. From now on its packets come by the channel, and no longer by the socket.
///
/// # Errors
/// `ENOTCONN`: it carries no session.
pub fn channel_of(socket: &OwnedFd) -> Result<u32, Errno> {
    let mut number = 0;
    // SAFETY: the kernel writes one integer to `number`.
    unsafe { call::channel(socket.as_raw_fd(), &raw mut number) }?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// Makes `descriptor`, an unused one of `/dev/ppp`, that of channel `number`. It serves one channel only.
///
/// # Errors
/// `ENXIO`: no such channel. `EINVAL`, `ENOTTY`: it is used already, or not of `/dev/ppp`. `EPERM`: we lack `CAP_NET_ADMIN`.
pub fn attach(descriptor: &OwnedFd, number: u32) -> Result<(), Errno> {
    let number = i32::try_from(number).map_err(|_| Errno::ENXIO)?;
    // SAFETY: the kernel reads one integer.
    unsafe { call::attach(descriptor.as_raw_fd(), &raw const number) }.map(drop)
}

/// Makes `descriptor`, an unused one of `/dev/ppp`, that of a new unit, and returns its number: the link is `ppp<number>`. It lives as
/// long as the descriptor.
///
/// * `wanted` — its number.
///
/// # Errors
/// `EEXIST`: there is such a link. `ENOTTY`: the descriptor is used already, or not of `/dev/ppp`. `EPERM`: we lack `CAP_NET_ADMIN`.
pub fn new_unit(descriptor: &OwnedFd, wanted: u32) -> Result<u32, Errno> {
    let mut number = i32::try_from(wanted).map_err(|_| Errno::EEXIST)?;
    // SAFETY: the kernel reads and writes one integer.
    unsafe { call::new_unit(descriptor.as_raw_fd(), &raw mut number) }?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// The number of the unit of `descriptor`.
///
/// # Errors
/// `ENOTTY`: it is no unit's.
pub fn unit_of(descriptor: &OwnedFd) -> Result<u32, Errno> {
    let mut number = 0;
    // SAFETY: the kernel writes one integer to `number`.
    unsafe { call::unit(descriptor.as_raw_fd(), &raw mut number) }?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// Lets the unit `number` send and receive by the channel of `channel`.
///
/// # Errors
/// `ENXIO`: no such unit. `EINVAL`: the channel has one already.
pub fn connect(channel: &OwnedFd, number: u32) -> Result<(), Errno> {
    let number = i32::try_from(number).map_err(|_| Errno::ENXIO)?;
    // SAFETY: the kernel reads one integer.
    unsafe { call::connect(channel.as_raw_fd(), &raw const number) }.map(drop)
}

/// The largest packet that the unit receives, in bytes.
///
/// # Errors
/// `ENOTTY`: it is no unit's descriptor.
pub fn set_mru(unit: &OwnedFd, bytes: u16) -> Result<(), Errno> {
    let bytes = i32::from(bytes);
    // SAFETY: the kernel reads one integer.
    unsafe { call::mru(unit.as_raw_fd(), &raw const bytes) }.map(drop)
}

/// Lets packets of `protocol` (0x0021: IPv4, 0x0057: IPv6) pass the unit, or drops them.
///
/// # Errors
/// `EINVAL`: another protocol. `ENOTTY`: it is no unit's descriptor.
pub fn set_passing(unit: &OwnedFd, protocol: u16, passes: bool) -> Result<(), Errno> {
    // Source: linux/ppp-ioctl.h, enum NPmode: PASS, DROP.
    let mode = Mode { protocol: i32::from(protocol), mode: i32::from(!passes) };
    // SAFETY: the kernel reads one `struct npioctl`.
    unsafe { call::mode(unit.as_raw_fd(), &raw const mode) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{Session, attach, begin, channel_of, new_unit, socket, unit_of};
    use nix::errno::Errno;
    use std::os::fd::OwnedFd;

    #[test]
    fn what_is_not_of_dev_ppp_is_refused() {
        let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert_eq!(attach(&null, 0), Err(Errno::ENOTTY));
        assert_eq!(new_unit(&null, 0), Err(Errno::ENOTTY));
        assert_eq!(unit_of(&null), Err(Errno::ENOTTY));
        assert_eq!(channel_of(&null), Err(Errno::ENOTTY));
    }

    /// The whole of it is proven in the guest (tests/tests/clients_pppoe.rs): this host's kernel has no PPPoE, perhaps.
    #[test]
    fn a_socket_has_no_session_at_first() {
        let Ok(socket) = socket() else { return println!("skipped: this kernel has no PPPoE") };
        assert_eq!(channel_of(&socket), Err(Errno::ENOTCONN));
        let session = Session { number: 1, peer: [2, 0, 0, 0, 0, 1] };
        assert_eq!(begin(&socket, session, "no-such-link"), Err(Errno::ENODEV));
        assert_eq!(begin(&socket, session, "a-name-that-is-too-long"), Err(Errno::ENODEV));
    }
}
