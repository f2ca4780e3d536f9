//! `SOCK_SEQPACKET` sockets that carry frames and descriptors.
//!
//! Source: unix(7), `SCM_RIGHTS`, `SO_PEERCRED`; cmsg(3).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, connect, getsockopt,
    listen as listen_on, socket, socketpair, sockopt,
};

/// The most descriptors that one frame carries.
pub const DESCRIPTORS: usize = 4;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 8;

/// Descriptors that came with a frame, in order.
pub type Descriptors = [Option<OwnedFd>; DESCRIPTORS];

/// Makes two sockets that are connected to each other; both close-on-exec and non-blocking.
///
/// # Errors
/// `EMFILE`, `ENFILE`: a table of descriptors is full.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )
}

/// Binds `path` anew (what stood there is removed) and listens; close-on-exec and non-blocking.
///
/// # Errors
/// `ENOENT`: no such folder. `EACCES`: we may not write there. `ENAMETOOLONG`: over 107 bytes.
pub fn listen(path: &Path) -> Result<OwnedFd, Errno> {
    let _ = nix::unistd::unlink(path); // It may not be there; if it cannot be removed, bind says so.
    let socket = open(SockFlag::SOCK_NONBLOCK)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen_on(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// Connects to `path` at once or not at all; close-on-exec and non-blocking.
///
/// # Errors
/// `ENOENT`, `ECONNREFUSED`: nobody listens there. `EACCES`: we may not. `EAGAIN`: too many are waiting.
pub fn dial(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = open(SockFlag::SOCK_NONBLOCK)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket)
}

fn open(flags: SockFlag) -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | flags, None)
}

/// Accepts one connection; close-on-exec and non-blocking.
///
/// # Errors
/// `EAGAIN`: nobody waits. `EMFILE`, `ENFILE`: a table of descriptors is full.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let number = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: accept4 has just made this descriptor for us, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The uid of the process that made the connection.
///
/// # Errors
/// `ENOTSOCK`: not a socket.
pub fn peer_uid(connection: BorrowedFd<'_>) -> Result<u32, Errno> {
    getsockopt(&connection, sockopt::PeerCredentials).map(|peer| peer.uid())
}

/// The process that made the connection, as we number processes; 0: it is in none of ours.
///
/// # Errors
/// `ENOTSOCK`: not a socket.
pub fn peer_pid(connection: BorrowedFd<'_>) -> Result<u32, Errno> {
    getsockopt(&connection, sockopt::PeerCredentials).map(|peer| peer.pid().unsigned_abs())
}

/// Room for the descriptors of one frame, aligned as `struct cmsghdr` must be. No heap: PID 1 sends and receives too.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);
const CONTROL_BYTES: usize = 64;
// SAFETY: `CMSG_SPACE` only computes.
const _: () = assert!(CONTROL_BYTES >= unsafe { libc::CMSG_SPACE(RIGHTS_BYTES) } as usize);
const RIGHTS_BYTES: u32 = 4 * 4; // DESCRIPTORS numbers of four bytes

/// A header over one buffer and `control`, of which `control_bytes` count.
fn header(part: &mut libc::iovec, control: &mut Control, control_bytes: u32) -> libc::msghdr {
    // SAFETY: msghdr is a plain C struct; all zero is a valid value of it (null pointers, zero lengths).
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = part;
    header.msg_iovlen = 1;
    if control_bytes > 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control_bytes as _;
    }
    header
}

/// Sends one frame and up to [`DESCRIPTORS`] descriptors. The frame goes whole or not at all.
///
/// # Errors
/// `EAGAIN`: the queue is full. `EPIPE`, `ECONNRESET`: the other end is gone. `EMSGSIZE`: too large for the socket's buffer.
/// `EINVAL`: too many descriptors.
pub fn send(connection: BorrowedFd<'_>, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let count = u32::try_from(descriptors.len()).unwrap_or(u32::MAX);
    if descriptors.len() > DESCRIPTORS {
        return Err(Errno::EINVAL);
    }
    let mut control = Control([0; CONTROL_BYTES]);
    // SAFETY: `CMSG_SPACE` only computes.
    let space = unsafe { libc::CMSG_SPACE(4 * count) };
    // SAFETY: and so does `CMSG_LEN`.
    let length = unsafe { libc::CMSG_LEN(4 * count) };
    // The kernel only reads from it, though the C type has no const.
    let mut part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
    let header = header(&mut part, &mut control, if count == 0 { 0 } else { space });
    if count > 0 {
        // SAFETY: the header is whole.
        let rights = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
        // SAFETY: its control buffer is `control`, aligned, with room for one cmsghdr and `count` numbers; zero is a valid one.
        let rights = unsafe { rights.as_mut() }.ok_or(Errno::EINVAL)?;
        rights.cmsg_level = libc::SOL_SOCKET;
        rights.cmsg_type = libc::SCM_RIGHTS;
        rights.cmsg_len = length as _;
        // SAFETY: data of this cmsghdr begins inside of `control`.
        let mut place = unsafe { libc::CMSG_DATA(rights) }.cast::<RawFd>();
        for descriptor in descriptors {
            // SAFETY: `place` runs over `count` numbers, for which `space` has room.
            unsafe { place.write_unaligned(descriptor.as_raw_fd()) };
            place = place.wrapping_add(1);
        }
    }
    loop {
        // SAFETY: the header points to `part` and `control`, both alive, with their true lengths.
        let sent = unsafe { libc::sendmsg(connection.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        match Errno::result(sent) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one frame and its descriptors, which are close-on-exec. 0 bytes: the other end is gone (no frame is empty).
///
/// # Errors
/// `EAGAIN`: nothing there. `EMSGSIZE`: the frame is larger than `buffer`, or brought more descriptors than [`DESCRIPTORS`]; it is
/// lost and every descriptor of it closed.
pub fn receive(connection: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Descriptors), Errno> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `CMSG_SPACE` only computes.
    let space = unsafe { libc::CMSG_SPACE(RIGHTS_BYTES) };
    let mut header = header(&mut part, &mut control, space);
    let length = loop {
        // SAFETY: the header points to `part` and `control`, both alive, with their true lengths.
        let got = unsafe { libc::recvmsg(connection.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match Errno::result(got) {
            Err(Errno::EINTR) => {}
            other => break usize::try_from(other?).unwrap_or(0),
        }
    };
    let descriptors = rights(&header);
    if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(Errno::EMSGSIZE);
    }
    Ok((length, descriptors))
}

/// The descriptors that came with `header`. The kernel installs no more of them than there was room for.
fn rights(header: &libc::msghdr) -> Descriptors {
    let mut descriptors = Descriptors::default();
    // SAFETY: recvmsg has filled the header; its control buffer is alive as long as the caller's.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: it is null, or a cmsghdr that the kernel wrote into an aligned buffer.
    let Some(first) = (unsafe { first.as_ref() }) else { return descriptors };
    if first.cmsg_level != libc::SOL_SOCKET || first.cmsg_type != libc::SCM_RIGHTS {
        return descriptors;
    }
    // SAFETY: `CMSG_LEN` only computes.
    let empty = unsafe { libc::CMSG_LEN(0) } as usize;
    #[allow(clippy::unnecessary_cast, reason = "the field is 32 bits wide on musl, a word on glibc")]
    let count = (first.cmsg_len as usize).saturating_sub(empty) / size_of::<RawFd>();
    // SAFETY: data of this cmsghdr begins inside of the control buffer.
    let mut place = unsafe { libc::CMSG_DATA(first) }.cast::<RawFd>();
    for descriptor in descriptors.iter_mut().take(count) {
        // SAFETY: the kernel wrote `count` numbers here.
        let number = unsafe { place.read_unaligned() };
        // SAFETY: the kernel has just made this descriptor for us, and no one else has it yet.
        *descriptor = Some(unsafe { OwnedFd::from_raw_fd(number) });
        place = place.wrapping_add(1);
    }
    descriptors
}

/// A file in memory, close-on-exec; `label` is only for a person who looks at `/proc`.
///
/// # Errors
/// `EMFILE`, `ENFILE`: a table of descriptors is full. `ENOMEM`: no memory.
pub fn memory_file(label: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    nix::sys::memfd::memfd_create(label, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
}

#[cfg(test)]
mod tests {
    use super::{Descriptors, pair, receive, send};
    use nix::errno::Errno;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn a_frame_arrives_whole_with_its_descriptor() {
        let (here, there) = pair().unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        send(here.as_fd(), b"keep this", &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut buffer = [0; 32];
        let (length, descriptors) = receive(there.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"keep this");
        let [Some(writer), None, None, None]: Descriptors = descriptors else { panic!("one descriptor") };
        std::fs::File::from(writer).write_all(b"x").unwrap();
        assert_eq!(nix::unistd::read(&reader, &mut buffer), Ok(1));
    }

    #[test]
    fn a_frame_that_is_too_large_is_an_error_and_the_next_one_is_not() {
        let (here, there) = pair().unwrap();
        send(here.as_fd(), b"0123456789", &[]).unwrap();
        send(here.as_fd(), b"ok", &[]).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(receive(there.as_fd(), &mut buffer).unwrap_err(), Errno::EMSGSIZE);
        assert_eq!(receive(there.as_fd(), &mut buffer).unwrap().0, 2);
        assert_eq!(receive(there.as_fd(), &mut buffer).unwrap_err(), Errno::EAGAIN);
        drop(here);
        assert_eq!(receive(there.as_fd(), &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn who_connects_is_known() {
        let path = std::env::temp_dir().join(std::format!("shg-seqpacket-{}", std::process::id()));
        let listener = super::listen(&path).unwrap();
        let _client = super::dial(&path).unwrap();
        let connection = super::accept(listener.as_fd()).unwrap();
        assert_eq!(super::peer_uid(connection.as_fd()), Ok(nix::unistd::geteuid().as_raw()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn who_finds_a_full_queue_does_not_wait() {
        let path = std::env::temp_dir().join(format!("shg-seqpacket-full-{}", std::process::id()));
        let _nobody_accepts = super::listen(&path).unwrap();
        let dialled: Vec<_> = (0..100).map(|_| super::dial(&path)).collect();
        assert!(dialled[0].is_ok());
        assert_eq!(dialled.last().unwrap().as_ref().err(), Some(&Errno::EAGAIN));
        std::fs::remove_file(&path).unwrap();
    }
}
