//! `AF_PACKET` sockets: packets of one link without their link-layer header, and the kernel's filter in front of them.
//!
//! In:  packets, from the network layer's header on, and where they go. Out: packets, and what the kernel knows of them.
//!
//! A socket hears nothing before [`bind`], so a filter that is attached first lets nothing slip through.
//!
//! Not here: what is in a packet, and which filter is the right one (`lease`).
//!
//! Source: packet(7), `PACKET_AUXDATA`; socket(7), `SO_ATTACH_FILTER`; the kernel's networking/filter.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, recvmsg,
    sendto, socket,
};

/// Bytes of an Ethernet address.
const ADDRESS_BYTES: u8 = 6;
/// The most instructions of a program here; the kernel's own limit is 4096.
pub const INSTRUCTIONS_MAX: usize = 32;
/// The checksum of the transport is not there yet: hardware would have written it. Source: linux/if_packet.h.
const TP_STATUS_CSUMNOTREADY: u32 = 1 << 3;
/// The packet carried a VLAN tag. Source: linux/if_packet.h.
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
/// Bytes of `struct tpacket_auxdata`. Source: linux/if_packet.h.
const AUXDATA_BYTES: usize = 20;

/// One instruction of a filter: `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip when it holds.
    pub jump_true: u8,
    /// How many instructions to skip when it does not.
    pub jump_false: u8,
    /// With what.
    pub operand: u32,
}

/// What the kernel knows of a packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Its transport's checksum was left to hardware that it never met (veth and virtio peers do so): do not check it.
    pub checksum_unset: bool,
    /// It carried a VLAN tag, which the kernel has taken off: it is for another link.
    pub tagged: bool,
}

/// Opens a socket that hears nothing yet; close-on-exec and non-blocking.
///
/// # Errors
/// `EPERM`: we lack `CAP_NET_RAW`. `EAFNOSUPPORT`: the kernel has no `AF_PACKET`. `EMFILE`, `ENFILE`: a table is full.
pub fn open() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let opened = socket(AddressFamily::Packet, SockType::Datagram, flags, None)?;
    set(&opened, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
    Ok(opened)
}

/// Puts `program` in front of any socket: it answers how many bytes of a packet may pass, 0 for none.
///
/// # Errors
/// `EINVAL`: the program is empty, longer than [`INSTRUCTIONS_MAX`], or not well formed.
pub fn attach(socket: &OwnedFd, program: &[Instruction]) -> Result<(), Errno> {
    let mut filter = [libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; INSTRUCTIONS_MAX];
    let filter = filter.get_mut(..program.len()).ok_or(Errno::EINVAL)?;
    for (place, step) in filter.iter_mut().zip(program) {
        let Instruction { code, jump_true: jt, jump_false: jf, operand: k } = *step;
        *place = libc::sock_filter { code, jt, jf, k };
    }
    let len = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    // The kernel copies the program during the call, while `filter` lives.
    set(
        socket,
        libc::SOL_SOCKET,
        libc::SO_ATTACH_FILTER,
        &libc::sock_fprog { len, filter: filter.as_mut_ptr() },
    )
}

/// Lets `socket` hear packets of `protocol` (an `ETH_P_` number) that come in by link `link_index`.
///
/// # Errors
/// `ENODEV`: no such link. `ENETDOWN`: it is down; it is bound all the same and hears once the link is up.
pub fn bind(socket: &OwnedFd, link_index: u32, protocol: u16) -> Result<(), Errno> {
    nix::sys::socket::bind(socket.as_raw_fd(), &address(link_index, protocol, [0; 6])?)
}

/// Receives one packet from its network layer's header on; what does not fit in `buffer` is cut off.
///
/// # Errors
/// `EAGAIN`: nothing there. `ENETDOWN`: the link went down; said once.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Status), Errno> {
    let mut space = nix::cmsg_space!([u8; AUXDATA_BYTES]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut status = Status::default();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::Unknown(part) = control
            && part.cmsg_header.cmsg_level == libc::SOL_PACKET
            && part.cmsg_header.cmsg_type == libc::PACKET_AUXDATA
        {
            status = auxiliary(&part.data_bytes);
        }
    }
    Ok((message.bytes, status))
}

/// Reads a `struct tpacket_auxdata`: `tp_status` at byte 0, `tp_vlan_tci` at byte 16.
fn auxiliary(bytes: &[u8]) -> Status {
    let word = bytes.first_chunk().map_or(0, |word| u32::from_ne_bytes(*word));
    let tag = bytes.get(16..).and_then(|rest| rest.first_chunk()).map_or(0, |tag| u16::from_ne_bytes(*tag));
    Status {
        checksum_unset: word & TP_STATUS_CSUMNOTREADY != 0,
        // Tag 0 carries a priority and no VLAN. Source: IEEE 802.1Q.
        tagged: word & TP_STATUS_VLAN_VALID != 0 && tag & 0x0fff != 0,
    }
}

/// Sends `packet` of `protocol` (an `ETH_P_` number) by link `link_index` to the link-layer address `to`.
///
/// # Errors
/// `ENXIO`, `ENODEV`: no such link. `ENETDOWN`: it is down. `EMSGSIZE`: larger than its MTU. `EAGAIN`, `ENOBUFS`: its queue is full.
pub fn send(
    socket: BorrowedFd<'_>,
    link_index: u32,
    protocol: u16,
    to: [u8; 6],
    packet: &[u8],
) -> Result<(), Errno> {
    let to = address(link_index, protocol, to)?;
    loop {
        match sendto(socket.as_raw_fd(), packet, &to, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

fn address(link_index: u32, protocol: u16, to: [u8; 6]) -> Result<LinkAddr, Errno> {
    let [a, b, c, d, e, f] = to;
    let raw = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(|_| Errno::EINVAL)?,
        sll_protocol: protocol.to_be(),
        sll_ifindex: i32::try_from(link_index).map_err(|_| Errno::ENODEV)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: ADDRESS_BYTES,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    };
    let size = libc::socklen_t::try_from(size_of_val(&raw)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: `raw` is a whole `sockaddr_ll` of the family that it names, alive during the call, which copies it.
    unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(size)) }.ok_or(Errno::EINVAL)
}

/// One setsockopt(2) with a plain value of the type that the option takes.
fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> Result<(), Errno> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::EINVAL)?;
    let value: *const T = value;
    // SAFETY: the kernel reads `size` bytes at `value`, which is a borrowed `T` of that size, and keeps no pointer to it.
    let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.cast(), size) };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{AUXDATA_BYTES, Instruction, Status, attach, auxiliary};
    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::OwnedFd;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socketpair(AddressFamily::Unix, SockType::Datagram, None, flags).unwrap()
    }

    fn answer(bytes: u32) -> Instruction {
        let code = u16::try_from(libc::BPF_RET | libc::BPF_K).unwrap();
        Instruction { code, jump_true: 0, jump_false: 0, operand: bytes }
    }

    #[test]
    fn a_filter_says_what_may_pass() {
        for (bytes, want) in [(u32::MAX, Ok(5)), (2, Ok(2)), (0, Err(Errno::EAGAIN))] {
            let (here, there) = pair();
            attach(&there, &[answer(bytes)]).unwrap();
            nix::unistd::write(&here, b"hello").unwrap();
            assert_eq!(nix::unistd::read(&there, &mut [0; 8]), want);
        }
    }

    #[test]
    fn a_program_that_is_none_is_refused() {
        let (_here, there) = pair();
        assert_eq!(attach(&there, &[]), Err(Errno::EINVAL));
        assert_eq!(attach(&there, &[answer(0); super::INSTRUCTIONS_MAX + 1]), Err(Errno::EINVAL));
    }

    #[test]
    fn what_the_kernel_knows_is_read() {
        let mut bytes = [0; AUXDATA_BYTES];
        assert_eq!(auxiliary(&bytes), Status::default());
        bytes[..4].copy_from_slice(&(1_u32 | 1 << 3).to_ne_bytes());
        assert_eq!(auxiliary(&bytes), Status { checksum_unset: true, tagged: false });
        bytes[..4].copy_from_slice(&(1_u32 | 1 << 4).to_ne_bytes());
        assert!(!auxiliary(&bytes).tagged, "a tag that is only a priority");
        bytes[16..18].copy_from_slice(&7_u16.to_ne_bytes());
        assert!(auxiliary(&bytes).tagged);
        assert_eq!(auxiliary(&[]), Status::default());
    }
}
