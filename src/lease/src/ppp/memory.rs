//! What is remembered of a session that is up, so that the next life of this daemon can go on with it.
//!
//! In:  a [`Memory`]. Out: a file in memory, which `network` keeps with the session's other descriptors; and back.
//!
//! The kernel's part of a session (socket, channel, unit) lives as long as anybody holds its descriptors. What both sides have agreed
//! is in no kernel: it stands here. The secret does not.
//!
//! Source: memfd_create(2).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};

use contract::frame;
use contract::learn;
use contract::name::Text;
use sys::seqpacket::memory_file;

use super::lcp::{Lcp, MRU_USUAL, Way};

/// More than it ever takes, in bytes.
const BYTES_MAX: usize = 1_024;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// What `network` was told.
    pub told: learn::Session,
    /// The session's number.
    pub session: u16,
    /// The concentrator.
    pub peer: [u8; 6],
    /// Our magic number, and the peer's.
    pub magic: u32,
    /// See `magic`.
    pub peer_magic: u32,
    /// Since when it has been up, in milliseconds after boot.
    pub up_ms: u64,
    /// The peer may ask again who we are (CHAP).
    pub chap: bool,
    /// As whom.
    pub user: Text<64>,
}

/// The same as a tuple, which is what a frame can hold.
type Flat = (learn::Session, (u16, [u8; 6]), (u32, u32), u64, bool, Text<64>);

impl Memory {
    /// LCP as it was agreed.
    #[must_use]
    pub fn lcp(&self) -> Lcp {
        let mru = self.told.mtu;
        Lcp {
            peer_mru: mru,
            peer_magic: self.peer_magic,
            way: self.chap.then_some(Way::Chap),
            ..Lcp::new(mru.max(MRU_USUAL), self.magic)
        }
    }

    /// Writes it into a new file.
    ///
    /// # Errors
    /// The kernel's: no memory, no descriptor.
    pub fn store(&self) -> std::io::Result<OwnedFd> {
        let flat: Flat = (
            self.told.clone(),
            (self.session, self.peer),
            (self.magic, self.peer_magic),
            self.up_ms,
            self.chap,
            self.user.clone(),
        );
        let mut buffer = [0; BYTES_MAX];
        let bytes = frame::encode(&flat, &mut buffer).map_err(std::io::Error::other)?;
        let mut file = File::from(memory_file(c"pppoe session")?);
        file.write_all(bytes)?;
        Ok(file.into())
    }

    /// Reads it. `None`: it is none, or one of another version of this program.
    #[must_use]
    pub fn recall(descriptor: impl AsFd) -> Option<Self> {
        let mut file = File::from(descriptor.as_fd().try_clone_to_owned().ok()?);
        file.seek(SeekFrom::Start(0)).ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64).read_to_end(&mut bytes).ok()?;
        let (told, (session, peer), (magic, peer_magic), up_ms, chap, user) =
            frame::decode::<Flat>(&bytes).ok()?;
        Some(Self { told, session, peer, magic, peer_magic, up_ms, chap, user })
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use contract::learn::Session;

    #[test]
    fn what_is_stored_is_recalled() {
        let told = Session {
            link: "eth0.10".into(),
            ppp: "ppp0".into(),
            address: [192, 0, 2, 7].into(),
            peer: [192, 0, 2, 1].into(),
            name_servers: [[192, 0, 2, 53].into()].into_iter().collect(),
            mtu: 1_492,
            identifier: 7,
            peer_identifier: 9,
        };
        let (session, peer, magic, peer_magic) = (5, [2, 0, 0, 0, 0, 1], 7, 9);
        let user = "alice".into();
        let memory = Memory { told, session, peer, magic, peer_magic, up_ms: 1 << 40, chap: true, user };
        let file = memory.store().unwrap();
        for _ in 0..2 {
            assert_eq!(Memory::recall(&file), Some(memory.clone()));
        }
        assert_eq!(memory.lcp().mtu(), 1_492);
        assert_eq!(Memory::recall(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
