//! The USB stick: a data disk with the label that the gateway looks for.
//!
//! In:  nothing, or a folder with what is on it. Out: a sparse ext4 image, made once without any right; copies of it for tests.
//!
//! Source: mke2fs(8); `src/storage/src/lib.rs` for the label.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::error::Error;
use crate::{house, tool};

/// The label by which `storage` finds its disk.
const LABEL: &str = "SHG-DATA";
/// It keeps an account of projects: services' volumes are limited by that.
const EXTENDED: &str = "root_owner=0:0,quotatype=prjquota";
/// Large enough for what is stored now; the file is sparse.
const SIZE: &str = "256M";

/// Makes an empty data disk at `path`, unless there is one.
///
/// # Errors
/// [`Error::Missing`]: no mke2fs. [`Error::Tool`]: it failed. [`Error::Io`]: a file.
pub fn make(path: &Path) -> Result<(), Error> {
    if path.exists() {
        return Ok(());
    }
    make_of(path, None)
}

/// As [`make`], with what is in `folder`, owners and modes included.
///
/// # Errors
/// As [`make`].
pub fn holding(path: &Path, folder: &Path) -> Result<(), Error> {
    make_of(path, Some(folder))
}

fn make_of(path: &Path, contents: Option<&Path>) -> Result<(), Error> {
    tool::need("mke2fs", "e2fsprogs")?;
    let contents = contents.map(|folder| folder.display().to_string());
    let contents = contents.as_ref().map_or_else(Vec::new, |folder| vec!["-d", folder]);
    let words = ["-q", "-F", "-t", "ext4", "-L", LABEL, "-O", "project,quota", "-E", EXTENDED];
    house::put(path, |beside| {
        let name = beside.display().to_string();
        tool::run("mke2fs", &[&words, contents.as_slice(), &[&name, SIZE]].concat()).map(drop)
    })
}

/// The stick of `lab run`, which keeps what was written to it.
#[must_use]
pub fn kept() -> PathBuf {
    house::cache().join("stick.img")
}

/// Takes the stick that is kept, and makes it if there is none. `None`: another gateway has it. It is given back when the lock is dropped.
///
/// # Errors
/// As [`make`].
pub fn take_kept() -> Result<Option<Flock<File>>, Error> {
    let path = kept();
    make(&path)?;
    let file = File::open(&path).map_err(Error::path(&path))?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}

/// Makes a fresh stick at `path`, from a template that is made once.
///
/// # Errors
/// As [`make`].
pub fn fresh(path: &Path) -> Result<(), Error> {
    let template = house::built().join("empty-data-stick.img");
    make(&template)?;
    copy(&template, path)
}

/// Copies a stick; what is empty takes no room.
///
/// # Errors
/// [`Error::Tool`]: the disk is full, or the like.
pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    tool::run("cp", &["--sparse=always", &from.display().to_string(), &to.display().to_string()]).map(drop)
}
