//! Puts one layer of an image onto a tree.
//!
//! In:  a layer's stream, packed or not. Out: the tree with it.
//!
//! Source: OCI image-spec, layer.md.

use std::collections::BTreeMap;
use std::io::Read;

use super::inflate::Inflate;
use super::tar::{Entry, Kind, Reader};
use super::{Error, Rules};
use crate::IMAGE_BYTES_MAX;
use crate::tree::{Content, Fault, Owner, Tree};

/// What a whiteout's name begins with, and the name of the one that hides all of a folder.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Puts the layer `stream` onto `tree`.
///
/// # Errors
/// [`Error`] says which entry is refused, and why; `tree` is of no use then.
pub fn apply(tree: &mut Tree, stream: impl Read, rules: Rules) -> Result<(), Error> {
    tree.next_layer();
    let mut reader = Reader::new(Inflate::new(stream)?);
    while let Some(entry) = reader.entry_after().map_err(Inflate::error)? {
        let mut bytes = Vec::new();
        if entry.size > IMAGE_BYTES_MAX {
            return Err(Error::entry(&entry.path)(Fault::Bytes));
        }
        reader.read_to_end(&mut bytes).map_err(Error::Stream).map_err(Inflate::error)?;
        let path = entry.path.clone();
        put(tree, entry, bytes, rules).map_err(Error::entry(&path))?;
    }
    Ok(())
}

fn put(tree: &mut Tree, entry: Entry, bytes: Vec<u8>, rules: Rules) -> Result<(), Fault> {
    let path = entry.path.as_slice();
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (&[][..], path),
    };
    if name == OPAQUE {
        return tree.clear(folder);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(Fault::Path("a whiteout of no name"));
        }
        // `./` before a path that is not absolute is nothing.
        let before: &[u8] = if folder.is_empty() { b"." } else { folder };
        return tree.remove(&[before, b"/", hidden].concat());
    }
    if entry.capable {
        return Err(Fault::Kind("a file with capabilities"));
    }
    let content = match entry.kind {
        Kind::File => Content::File(bytes),
        Kind::Folder => Content::Folder(BTreeMap::new()),
        Kind::Link => Content::Link(entry.target),
        Kind::HardLink => return tree.link(path, &entry.target),
        Kind::Other(what) => return Err(Fault::Kind(what)),
    };
    let owner = Owner::new(rules.mode(entry.mode), entry.uid, entry.gid)?;
    tree.put(path, owner, content)
}
