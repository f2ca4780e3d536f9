//! A list of keys that came along a wire, as a memory file that nobody can change any more.
//!
//! In:  a descriptor. Out: its bytes, within a limit.
//!
//! Source: memfd_create(2), fcntl(2) `F_GET_SEALS`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;

use bundle::envelope::BYTES_MAX;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

/// What the file has to be sealed against.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SHRINK);

/// Reads it.
///
/// # Errors
/// Why it is not taken, in words.
pub(crate) fn read(file: OwnedFd) -> Result<Vec<u8>, String> {
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(|errno| format!("its file: {}", errno.desc()))?;
    if !SealFlag::from_bits_truncate(seals).contains(SEALS) {
        return Err("its file is not sealed".to_owned());
    }
    let (mut file, mut bytes) = (File::from(file), Vec::new());
    let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| format!("its file: {error}"))?;
    if bytes.len() > BYTES_MAX { Err(format!("more than {BYTES_MAX} bytes")) } else { Ok(bytes) }
}
