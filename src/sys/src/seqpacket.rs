//! `SOCK_SEQPACKET` sockets that carry frames and descriptors.
//!
//! Source: unix(7), `SCM_RIGHTS`, `SO_PEERCRED`; cmsg(3).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    accept4, bind, connect, getsockopt, listen as listen_on, recvmsg, sendmsg, socket, socketpair, sockopt,
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

/// Connects to `path`; close-on-exec and blocking.
///
/// # Errors
/// `ENOENT`, `ECONNREFUSED`: nobody listens there. `EACCES`: we may not. `EAGAIN`: too many are waiting.
pub fn dial(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = open(SockFlag::empty())?;
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

/// Sends one frame and up to [`DESCRIPTORS`] descriptors. The frame goes whole or not at all.
///
/// # Errors
/// `EAGAIN`: the queue is full. `EPIPE`, `ECONNRESET`: the other end is gone. `EMSGSIZE`: too large for the socket's buffer.
/// `EINVAL`: too many descriptors.
pub fn send(connection: BorrowedFd<'_>, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut numbers: [RawFd; DESCRIPTORS] = [-1; DESCRIPTORS];
    let numbers = numbers.get_mut(..descriptors.len()).ok_or(Errno::EINVAL)?;
    for (number, descriptor) in numbers.iter_mut().zip(descriptors) {
        *number = descriptor.as_raw_fd();
    }
    let rights = [ControlMessage::ScmRights(numbers)];
    let control = if numbers.is_empty() { &[] } else { rights.as_slice() };
    let parts = [IoSlice::new(frame)];
    loop {
        match sendmsg::<()>(connection.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None) {
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
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(connection.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Descriptors::default();
    let mut places = descriptors.iter_mut();
    let mut too_many = false;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for us, and no one else has it yet.
                let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
                match places.next() {
                    Some(place) => *place = Some(descriptor),
                    None => too_many = true, // And `descriptor` is closed here.
                }
            }
        }
    }
    if too_many || message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(Errno::EMSGSIZE);
    }
    Ok((message.bytes, descriptors))
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
}
