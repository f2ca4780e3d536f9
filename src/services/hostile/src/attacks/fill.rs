//! Attacks by memory that is nobody's heap: what is shared, what lies in pipes and sockets, what is pinned.
//!
//! Each fills more than the manifest grants. Where that is too much there is nobody left to say so.

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;

use crate::call;

/// Memory: the manifest grants 24 MiB.
const BYTES: usize = 64 << 20;
/// What is written at once.
const PIECE: [u8; 16 << 10] = [1; 16 << 10];
/// A pipe may be as large as this without a right, and the pipes of one user together [`BYTES`]. Source: pipe(7).
const PIPE_BYTES: usize = 1 << 20;
const PIPES: usize = 48;
/// Pairs of sockets: the manifest grants 700 files. Each takes some 150 KiB before it says that it is full.
const PAIRS: usize = 340;
/// A limit of pinned memory is 64 KiB.
const PINNED_BYTES: usize = 1 << 20;

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Writes until no more is taken: how much that was.
fn fill(mut file: &File) -> Result<usize, Errno> {
    let mut all = 0;
    loop {
        match file.write(&PIECE) {
            Ok(written) => all += written,
            Err(error) if errno(&error) == Errno::EAGAIN => return Ok(all),
            Err(error) => return Err(errno(&error)),
        }
    }
}

/// Did as much get in as cannot have been granted?
fn judge(bytes: usize) -> Result<(), Errno> {
    if bytes > BYTES / 2 { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// Memory behind a descriptor, and then that of System V.
pub(super) fn shared() -> Result<(), Errno> {
    let mut file = File::from(memfd_create("hostile", MFdFlags::MFD_CLOEXEC)?);
    for _ in 0..BYTES / PIECE.len() / 2 {
        file.write_all(&PIECE).map_err(|error| errno(&error))?;
    }
    call::shared(BYTES / 2)?.fill(1);
    Ok(())
}

pub(super) fn pipes() -> Result<(), Errno> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for _ in 0..PIPES {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(i32::try_from(PIPE_BYTES).unwrap_or(i32::MAX)))?;
        let writer = File::from(writer);
        bytes += fill(&writer)?;
        all.push((reader, writer));
    }
    judge(bytes)
}

pub(super) fn sockets() -> Result<(), Errno> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for _ in 0..PAIRS {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (reader, writer) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
        let writer = File::from(writer);
        bytes += fill(&writer)?;
        all.push((reader, writer));
    }
    judge(bytes)
}

/// Memory that is never taken away.
pub(super) fn pinned() -> Result<(), Errno> {
    call::pin(&vec![1; PINNED_BYTES])
}
