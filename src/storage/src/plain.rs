//! Opens plain files beneath a folder, whatever somebody put in their place.
//!
//! In:  a folder, a path below it. Out: a regular file, open for reading; or all of its bytes, within a limit.
//!
//! No link is followed and nothing leads out of the folder; a pipe in a file's place does not hold us.
//!
//! Source: openat2(2).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use sys::Errno;

use crate::errno;

/// Opens the file at `path` beneath `folder`. `None`: what stands there is no regular file.
///
/// # Errors
/// `ENOENT`: there is nothing. `ELOOP`: a symbolic link. `EXDEV`: it leads out. Others as open(2).
pub fn open(folder: &Path, path: &str) -> Result<Option<File>, Errno> {
    let folder = File::open(folder).map_err(|error| errno(&error))?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(folder, path, how).map(File::from)?;
    let about = file.metadata().map_err(|error| errno(&error))?;
    Ok(about.is_file().then_some(file))
}

/// Reads the file at `path` beneath `folder`. `None`: it is no regular file, or has more than `bytes_max` bytes.
///
/// # Errors
/// As [`open`]; `EIO`: the disk fails.
pub fn read(folder: &Path, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, Errno> {
    let Some(file) = open(folder, path)? else { return Ok(None) };
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|error| errno(&error))?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}
