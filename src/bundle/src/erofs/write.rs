//! Writes a tree as a sealed image.
//!
//! In:  a tree. Out: whole blocks, the same for the same tree, on every machine.

use std::collections::BTreeMap;

use crate::tree::{Content, Fault, Node, Tree};
use crate::{BLOCK_BYTES, IMAGE_BYTES_MAX};

use super::{
    ENTRY_BYTES, FILE, FOLDER, INLINE, INODE_BYTES, LINK, PLAIN, ROOT_AT, SUPER_AT, crc32c, entry_kind,
    place, shape, superblock,
};

/// One inode of the image.
struct Inode<'t> {
    node: &'t Node,
    /// The number of the folder's parent, itself for the root.
    parent: usize,
    links: u16,
    /// Where it is, in bytes.
    at: usize,
    size: usize,
    /// Its first whole block.
    block: usize,
}

impl Inode<'_> {
    fn kind(&self) -> u16 {
        match &self.node.content {
            Content::Folder(_) => FOLDER,
            Content::File(_) => FILE,
            Content::Link(_) => LINK,
        }
    }
}

/// Writes `tree`.
///
/// # Errors
/// [`Fault::Bytes`]: it would be larger than an image may be. [`Fault::Inodes`]: more links than have a number.
pub fn write(tree: &Tree) -> Result<Vec<u8>, Fault> {
    let order: Vec<usize> = tree.walk().into_iter().map(|(number, _)| number).collect();
    let mut inodes = inodes(tree, &order)?;
    let mut end = ROOT_AT;
    for number in &order {
        let Some(inode) = inodes.get_mut(number) else { continue };
        let (_, tail) = shape(inode.size);
        inode.at = place(end, tail);
        end = inode.at + INODE_BYTES + tail;
    }
    let mut blocks = end.div_ceil(BLOCK_BYTES);
    for number in &order {
        let Some(inode) = inodes.get_mut(number) else { continue };
        let (whole, _) = shape(inode.size);
        if whole > 0 {
            inode.block = blocks;
            blocks += whole;
        }
    }
    let bytes = blocks * BLOCK_BYTES;
    if u64::try_from(bytes).map_or(true, |bytes| bytes > IMAGE_BYTES_MAX) {
        return Err(Fault::Bytes);
    }
    let mut image = vec![0; bytes];
    let mut put = |at: usize, bytes: &[u8]| {
        image.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    };
    for (index, number) in order.iter().enumerate() {
        let Some(inode) = inodes.get(number) else { continue };
        let folder;
        let content = match &inode.node.content {
            Content::File(bytes) | Content::Link(bytes) => bytes,
            Content::Folder(entries) => {
                folder = entries_of(*number, inode.parent, entries, &inodes);
                &folder
            }
        };
        let (whole, _) = shape(inode.size);
        let (blocks, tail) = content.split_at_checked(whole * BLOCK_BYTES).unwrap_or((content, &[]));
        put(inode.at, &header(inode, index));
        put(inode.at + INODE_BYTES, tail);
        put(inode.block * BLOCK_BYTES, if whole > 0 { blocks } else { &[] });
    }
    let counted = |count: usize| u32::try_from(count).map_err(|_| Fault::Inodes);
    put(SUPER_AT, &superblock(counted(order.len())?, counted(blocks)?));
    mend(&mut image);
    Ok(image)
}

/// Puts the checksum of an image's superblock right.
pub fn mend(image: &mut [u8]) {
    let put = |image: &mut [u8], sum: u32| {
        image.iter_mut().skip(SUPER_AT + 4).zip(sum.to_le_bytes()).for_each(|(to, from)| *to = from);
    };
    put(image, 0);
    let sum = crc32c(image.get(SUPER_AT..BLOCK_BYTES).unwrap_or(&[]));
    put(image, sum);
}

/// The inodes that there are going to be, by number of node; where they are is not known yet.
fn inodes<'t>(tree: &'t Tree, order: &[usize]) -> Result<BTreeMap<usize, Inode<'t>>, Fault> {
    let mut inodes = BTreeMap::new();
    for number in order {
        let Some(node) = tree.node(*number) else { continue };
        let size = match &node.content {
            Content::File(bytes) | Content::Link(bytes) => bytes.len(),
            Content::Folder(entries) => folder_bytes(entries),
        };
        let links = if matches!(node.content, Content::Folder(_)) { 2 } else { 0 };
        inodes.insert(*number, Inode { node, parent: 0, links, at: 0, size, block: 0 });
    }
    for number in order {
        let Some(Node { content: Content::Folder(entries), .. }) = tree.node(*number) else { continue };
        let mut below: u16 = 0;
        for child in entries.values() {
            let Some(inode) = inodes.get_mut(child) else { continue };
            if inode.kind() == FOLDER {
                inode.parent = *number;
                below = below.checked_add(1).ok_or(Fault::Inodes)?;
            } else {
                inode.links = inode.links.checked_add(1).ok_or(Fault::Inodes)?;
            }
        }
        if let Some(inode) = inodes.get_mut(number) {
            inode.links = inode.links.checked_add(below).ok_or(Fault::Inodes)?;
        }
    }
    Ok(inodes)
}

/// An inode's bytes. Source: `struct erofs_inode_compact`.
fn header(inode: &Inode<'_>, index: usize) -> [u8; INODE_BYTES] {
    let (_, tail) = shape(inode.size);
    let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let owner = inode.node.owner;
    let mut bytes = [0; INODE_BYTES];
    let mut set = |at: usize, field: &[u8]| {
        bytes.iter_mut().skip(at).zip(field).for_each(|(to, from)| *to = *from);
    };
    set(0, &if tail > 0 { INLINE } else { PLAIN }.to_le_bytes());
    set(4, &(inode.kind() | owner.mode).to_le_bytes());
    set(6, &inode.links.to_le_bytes());
    set(8, &word(inode.size));
    set(16, &word(inode.block));
    set(20, &word(index + 1));
    set(24, &owner.uid.to_le_bytes());
    set(26, &owner.gid.to_le_bytes());
    bytes
}

/// The names of a folder in their order, `.` and `..` among them, cut into blocks.
fn blocks_of(entries: &BTreeMap<Vec<u8>, usize>) -> Vec<Vec<&[u8]>> {
    let mut names: Vec<&[u8]> = entries.keys().map(Vec::as_slice).collect();
    names.extend([&b"."[..], b".."]);
    names.sort_unstable();
    let mut blocks: Vec<Vec<&[u8]>> = Vec::new();
    let mut used = BLOCK_BYTES;
    for name in names {
        if used + ENTRY_BYTES + name.len() > BLOCK_BYTES {
            blocks.push(Vec::new());
            used = 0;
        }
        used += ENTRY_BYTES + name.len();
        if let Some(block) = blocks.last_mut() {
            block.push(name);
        }
    }
    blocks
}

/// The size of a folder, in bytes: whole blocks, and what the last one has.
fn folder_bytes(entries: &BTreeMap<Vec<u8>, usize>) -> usize {
    let blocks = blocks_of(entries);
    let last = blocks.last().map_or(0, |names| names.iter().map(|name| ENTRY_BYTES + name.len()).sum());
    blocks.len().saturating_sub(1) * BLOCK_BYTES + last
}

/// A folder's bytes. Source: `struct erofs_dirent`; erofs.rst, "Directories".
fn entries_of(
    number: usize,
    parent: usize,
    entries: &BTreeMap<Vec<u8>, usize>,
    inodes: &BTreeMap<usize, Inode<'_>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for names in blocks_of(entries) {
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        let mut name_at = names.len() * ENTRY_BYTES;
        for name in &names {
            let leads_to = match *name {
                b"." => Some(&number),
                b".." => Some(&parent),
                name => entries.get(name),
            };
            let inode = leads_to.and_then(|number| inodes.get(number));
            let nid = inode.and_then(|inode| u64::try_from(inode.at / INODE_BYTES).ok()).unwrap_or(0);
            bytes.extend(nid.to_le_bytes());
            bytes.extend(u16::try_from(name_at).unwrap_or(0).to_le_bytes());
            bytes.extend([inode.and_then(|inode| entry_kind(inode.kind())).unwrap_or(0), 0]);
            name_at += name.len();
        }
        names.iter().for_each(|name| bytes.extend(*name));
    }
    bytes
}
