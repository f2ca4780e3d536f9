//! `SOCK_STREAM` sockets with a path: for programs that are not of this house.
//!
//! Source: unix(7).

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen as listen_on, socket,
};

/// Connections that wait to be accepted: a few of each service.
const BACKLOG: i32 = 128;

/// Binds `path` anew (what stood there is removed) and listens; close-on-exec and non-blocking.
///
/// # Errors
/// `ENOENT`: no such folder. `EACCES`: we may not write there. `ENAMETOOLONG`: over 107 bytes.
pub fn listen(path: &Path) -> Result<OwnedFd, Errno> {
    let _ = nix::unistd::unlink(path); // It may not be there; if it cannot be removed, bind says so.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen_on(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_arrive_in_a_row_and_who_sent_them_is_known() {
        let path = std::env::temp_dir().join(std::format!("shg-stream-{}", std::process::id()));
        let listener = super::listen(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let taken = crate::seqpacket::accept(listener.as_fd()).unwrap();
        assert_eq!(crate::seqpacket::peer_uid(taken.as_fd()), Ok(nix::unistd::geteuid().as_raw()));
        client.write_all(b"one").unwrap();
        client.write_all(b"two").unwrap();
        drop(client);
        let mut text = std::string::String::new();
        let mut taken = UnixStream::from(taken);
        taken.set_nonblocking(false).unwrap();
        taken.read_to_string(&mut text).unwrap();
        assert_eq!(text, "onetwo");
        std::fs::remove_file(path).unwrap();
    }
}
