//! Takes a folder of the desk as it is; its files become root's.
//!
//! Source: path(7).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{Error, Rules};
use crate::IMAGE_BYTES_MAX;
use crate::tree::{Content, Fault, Owner, Tree};

/// Reads `folder` and all that is below.
///
/// # Errors
/// [`Error`] with the path.
pub fn read(folder: &Path, rules: Rules) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    below(&mut tree, folder, &mut Vec::new(), rules)?;
    Ok(tree)
}

fn below(tree: &mut Tree, folder: &Path, path: &mut Vec<u8>, rules: Rules) -> Result<(), Error> {
    let lost = |error| Error::Read(folder.display().to_string(), error);
    for entry in fs::read_dir(folder).map_err(lost)? {
        let entry = entry.map_err(lost)?;
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(entry.file_name().as_bytes());
        one(tree, &entry.path(), path, rules)?;
        path.truncate(length);
    }
    Ok(())
}

fn one(tree: &mut Tree, place: &Path, path: &mut Vec<u8>, rules: Rules) -> Result<(), Error> {
    let lost = |error| Error::Read(place.display().to_string(), error);
    let found = fs::symlink_metadata(place).map_err(lost)?;
    let kind = found.file_type();
    let content = if kind.is_dir() {
        Content::Folder(BTreeMap::new())
    } else if kind.is_symlink() {
        Content::Link(fs::read_link(place).map_err(lost)?.into_os_string().into_vec())
    } else if kind.is_file() {
        if found.len() > IMAGE_BYTES_MAX {
            return Err(Error::entry(path)(Fault::Bytes));
        }
        Content::File(fs::read(place).map_err(lost)?)
    } else {
        let what = if kind.is_char_device() {
            "a character device"
        } else if kind.is_block_device() {
            "a block device"
        } else if kind.is_fifo() {
            "a named pipe"
        } else {
            "a socket"
        };
        return Err(Error::entry(path)(Fault::Kind(what)));
    };
    let owner = Owner::new(rules.mode(found.mode()), 0, 0).map_err(Error::entry(path))?;
    tree.put(path, owner, content).map_err(Error::entry(path))?;
    if kind.is_dir() { below(tree, place, path, rules) } else { Ok(()) }
}
