//! Checks that an image has the one form that we write, before the kernel is let near it.
//!
//! In:  an image's bytes, at any place. Out: how many blocks it has and what it holds, or what is wrong and where.
//!
//! It goes through the image in the order in which it was written and knows where each thing has to be: an inode that is elsewhere, two
//! that overlap, a folder that leads back, a block that is not used are all the same fault. What a file holds is not read.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::tree::MODE_MASK;
use crate::{BLOCK_BYTES, DEPTH_MAX, IMAGE_BYTES_MAX, INODES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

use super::{
    ENTRY_BYTES, FOLDER, INLINE, INODE_BYTES, KIND, LINK, PLAIN, ROOT_AT, SUPER_AT, SUPER_BYTES, crc32c,
    entry_kind, place, shape, superblock,
};

/// Bytes that can be read at any place.
pub trait Source {
    /// Fills `buffer` from `at` on.
    ///
    /// # Errors
    /// `UnexpectedEof`: there is less. Else what reading says.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Source for [u8] {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let from = self.get(at..).and_then(|rest| rest.get(..buffer.len()));
        let from = from.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        buffer.copy_from_slice(from);
        Ok(())
    }
}

impl Source for File {
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, at)
    }
}

/// Why an image is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not EROFS, or not in our form.
    Super,
    /// Its superblock's checksum is another.
    Checksum,
    /// It is larger than an image may be, in bytes.
    Large(u64),
    /// So many blocks are said, so many are used.
    Blocks(u32, u32),
    /// An inode is not what it has to be: where, in bytes, and why.
    Inode(u64, &'static str),
    /// A device, pipe or socket: where, in bytes.
    Device(u64),
    /// A set-id bit: where, in bytes.
    SetId(u64),
    /// A folder is not what it has to be: where its inode is, in bytes, and why.
    Folder(u64, &'static str),
    /// It could not be read (to its end).
    Read(io::ErrorKind),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Super => write!(f, "not a sealed image of the one form that is taken"),
            Self::Checksum => write!(f, "the superblock's checksum does not fit"),
            Self::Large(bytes) => write!(f, "{bytes} bytes, limit {IMAGE_BYTES_MAX}"),
            Self::Blocks(said, used) => write!(f, "{said} blocks are said, {used} are used"),
            Self::Inode(at, why) => write!(f, "inode at byte {at}: {why}"),
            Self::Device(at) => write!(f, "inode at byte {at}: a device, pipe or socket"),
            Self::SetId(at) => write!(f, "inode at byte {at}: a set-user-id or set-group-id bit"),
            Self::Folder(at, why) => write!(f, "folder at byte {at}: {why}"),
            Self::Read(kind) => write!(f, "cut short or unreadable: {kind}"),
        }
    }
}

impl std::error::Error for Fault {}

/// An inode, as read.
struct Inode {
    at: usize,
    kind: u16,
    links: u16,
    size: usize,
    block: usize,
}

/// A name that leads to an inode.
struct Name {
    nid: usize,
    kind: u8,
    parent: usize,
    depth: usize,
}

/// What is known while going through.
struct Walk<'s, S: Source + ?Sized> {
    source: &'s S,
    /// Where the inodes read so far end, in bytes.
    end: usize,
    /// Inodes by number: their kind, links said, links found.
    seen: BTreeMap<usize, (u16, u16, u32)>,
    /// Whole blocks in order: first block said, how many.
    blocks: Vec<(usize, usize, usize)>,
}

/// Checks the image that `source` begins with and returns how many blocks it has.
///
/// * `blocks` — how many it should have (they are signed).
///
/// # Errors
/// [`Fault`] says what is wrong.
pub fn check<S: Source + ?Sized>(source: &S, blocks: u32) -> Result<u32, Fault> {
    let bytes = u64::from(blocks) * u64::try_from(BLOCK_BYTES).unwrap_or(0);
    if bytes > IMAGE_BYTES_MAX {
        return Err(Fault::Large(bytes));
    }
    let mut first = vec![0; BLOCK_BYTES];
    read(source, 0, &mut first)?;
    let (before, rest) = first.split_at_mut_checked(SUPER_AT).ok_or(Fault::Super)?;
    let inodes = word(rest, 16);
    let mut said = superblock(inodes, blocks);
    let sum = rest.get(4..8).map(<[u8]>::to_vec).unwrap_or_default();
    said.iter_mut().skip(4).zip(&sum).for_each(|(to, from)| *to = *from);
    if before.iter().any(|byte| *byte != 0) || rest.get(..SUPER_BYTES) != Some(&said[..]) {
        return Err(Fault::Super);
    }
    rest.iter_mut().skip(4).take(4).for_each(|byte| *byte = 0);
    if crc32c(rest).to_le_bytes() != *sum {
        return Err(Fault::Checksum);
    }
    let mut walk = Walk { source, end: ROOT_AT, seen: BTreeMap::new(), blocks: Vec::new() };
    walk.all()?;
    if u32::try_from(walk.seen.len()) != Ok(inodes) {
        return Err(Fault::Super);
    }
    walk.blocks(blocks)
}

fn read<S: Source + ?Sized>(source: &S, at: usize, buffer: &mut [u8]) -> Result<(), Fault> {
    source.read(u64::try_from(at).unwrap_or(u64::MAX), buffer).map_err(|error| Fault::Read(error.kind()))
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u16::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_le_bytes)
}

fn place_of(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}

impl<S: Source + ?Sized> Walk<'_, S> {
    /// Goes through everything that the root leads to.
    fn all(&mut self) -> Result<(), Fault> {
        let root = ROOT_AT / INODE_BYTES;
        let mut queue = VecDeque::from([Name { nid: root, kind: 2, parent: root, depth: 0 }]);
        while let Some(name) = queue.pop_front() {
            if let Some((kind, _, found)) = self.seen.get_mut(&name.nid) {
                // Another name of the same file. A folder has one name only.
                let at = place_of(name.nid * INODE_BYTES);
                if *kind == FOLDER || entry_kind(*kind) != Some(name.kind) {
                    return Err(Fault::Inode(at, "a second name that is none of a file"));
                }
                *found += 1;
                continue;
            }
            let inode = self.inode(&name)?;
            let at = place_of(inode.at);
            let mut found = 1;
            if inode.kind == FOLDER {
                if name.depth > DEPTH_MAX {
                    return Err(Fault::Folder(at, "too many folders deep"));
                }
                let names = self.folder(&inode, &name)?;
                found = 2 + u32::try_from(names.iter().filter(|name| name.kind == 2).count()).unwrap_or(0);
                queue.extend(names);
            } else if inode.kind == LINK {
                self.link(&inode)?;
            }
            self.seen.insert(name.nid, (inode.kind, inode.links, found));
            if self.seen.len() > INODES_MAX || queue.len() > INODES_MAX * 2 {
                return Err(Fault::Inode(at, "more files than an image may have"));
            }
        }
        for (nid, (_, said, found)) in &self.seen {
            if u32::from(*said) != *found {
                return Err(Fault::Inode(place_of(nid * INODE_BYTES), "another number of links than names"));
            }
        }
        Ok(())
    }

    /// Reads the inode that `name` leads to, which has to be the next.
    fn inode(&mut self, name: &Name) -> Result<Inode, Fault> {
        let at = name.nid.saturating_mul(INODE_BYTES);
        let fault = |why| Fault::Inode(place_of(at), why);
        // Where it has to be depends on what stands behind it, which it says itself: so it is read first, if it may be the next at all.
        if at < self.end || at - self.end > BLOCK_BYTES + INODE_BYTES {
            return Err(fault("not where the next has to be"));
        }
        let mut bytes = [0; INODE_BYTES];
        read(self.source, at, &mut bytes)?;
        let mode = half(&bytes, 4);
        let size = usize::try_from(word(&bytes, 8)).unwrap_or(usize::MAX);
        let (whole, tail) = shape(size);
        let index = u32::try_from(self.seen.len() + 1).unwrap_or(0);
        let kind = mode & KIND;
        let Some(entry) = entry_kind(kind) else { return Err(Fault::Device(place_of(at))) };
        if mode & !KIND & !MODE_MASK != 0 {
            return Err(Fault::SetId(place_of(at)));
        }
        let rules = [
            (half(&bytes, 0) == if tail > 0 { INLINE } else { PLAIN }, "a layout that is not taken"),
            (half(&bytes, 2) == 0, "extended attributes"),
            (word(&bytes, 12) == 0 && word(&bytes, 28) == 0, "reserved bytes are used"),
            (word(&bytes, 20) == index, "out of order"),
            (entry == name.kind, "of another kind than its name says"),
            (place_of(size) <= IMAGE_BYTES_MAX, "larger than an image may be"),
            (at == place(self.end, tail), "not where it has to be"),
        ];
        if let Some((_, why)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(fault(why));
        }
        self.zeros(self.end, at)?;
        let block = usize::try_from(word(&bytes, 16)).unwrap_or(usize::MAX);
        self.blocks.push((at, block, whole));
        self.end = at + INODE_BYTES + tail;
        Ok(Inode { at, kind, links: half(&bytes, 6), size, block })
    }

    /// Between the parts there is nothing.
    fn zeros(&self, from: usize, to: usize) -> Result<(), Fault> {
        let mut gap = vec![0; to.saturating_sub(from).min(2 * BLOCK_BYTES)];
        read(self.source, from, &mut gap)?;
        let empty = gap.iter().all(|byte| *byte == 0);
        if empty { Ok(()) } else { Err(Fault::Inode(place_of(to), "something is hidden before it")) }
    }

    /// A symbolic link says something, and all of it.
    fn link(&self, inode: &Inode) -> Result<(), Fault> {
        let fault = Fault::Inode(place_of(inode.at), "a symbolic link that says nothing, or too much");
        if !(1..=PATH_BYTES_MAX).contains(&inode.size) {
            return Err(fault);
        }
        let (whole, _) = shape(inode.size);
        let mut says = vec![0; inode.size];
        let at = if whole > 0 { inode.block.saturating_mul(BLOCK_BYTES) } else { inode.at + INODE_BYTES };
        read(self.source, at, &mut says)?;
        if says.contains(&0) { Err(fault) } else { Ok(()) }
    }

    /// Reads the names of a folder; `.` and `..` are checked and left out.
    fn folder(&self, inode: &Inode, name: &Name) -> Result<Vec<Name>, Fault> {
        let fault = |why| Fault::Folder(place_of(inode.at), why);
        let (whole, tail) = shape(inode.size);
        // A name has thirteen bytes at least, so this many names are more than there may be.
        if inode.size > INODES_MAX * (ENTRY_BYTES + NAME_BYTES_MAX + 1) {
            return Err(fault("too large"));
        }
        let mut names = Vec::new();
        let mut before: Vec<u8> = Vec::new();
        let mut dots = 0;
        for index in 0..inode.size.div_ceil(BLOCK_BYTES) {
            let last = index + 1 == inode.size.div_ceil(BLOCK_BYTES);
            let inline = last && tail > 0;
            let bytes = if last { inode.size - index * BLOCK_BYTES } else { BLOCK_BYTES };
            let mut block = vec![0; bytes];
            let start = inode.block.saturating_add(index).saturating_mul(BLOCK_BYTES);
            read(self.source, if inline { inode.at + INODE_BYTES } else { start }, &mut block)?;
            if inline && index != whole {
                return Err(fault("a block is missing"));
            }
            for (nid, kind, text) in entries(&block, last).ok_or_else(|| fault("its names do not fit"))? {
                if text <= before.as_slice() {
                    return Err(fault("its names are out of order"));
                }
                before = text.to_vec();
                match text {
                    b"." | b".." => {
                        let want = if text == b"." { name.nid } else { name.parent };
                        if (nid, kind) != (want, 2) {
                            return Err(fault("`.` or `..` leads elsewhere"));
                        }
                        dots += 1;
                    }
                    _ if text.contains(&b'/') || text.contains(&0) => {
                        return Err(fault("a name with / or NUL"));
                    }
                    _ => names.push(Name { nid, kind, parent: name.nid, depth: name.depth + 1 }),
                }
            }
        }
        if dots == 2 { Ok(names) } else { Err(fault("no `.` or no `..`")) }
    }

    /// The whole blocks lie behind the inodes, in the same order, and are all that there is.
    fn blocks(&self, said: u32) -> Result<u32, Fault> {
        let mut next = self.end.div_ceil(BLOCK_BYTES);
        self.zeros(self.end, next * BLOCK_BYTES)?;
        for (at, block, whole) in &self.blocks {
            if *block != if *whole > 0 { next } else { 0 } {
                return Err(Fault::Inode(place_of(*at), "its blocks are not where they have to be"));
            }
            next += whole;
        }
        let used = u32::try_from(next).unwrap_or(u32::MAX);
        if used == said { Ok(used) } else { Err(Fault::Blocks(said, used)) }
    }
}

/// The entries of one block of a folder: inode number, kind, name. `None`: they do not fit into each other.
fn entries(block: &[u8], last: bool) -> Option<Vec<(usize, u8, &[u8])>> {
    let names_at = usize::from(half(block, 8));
    let count = names_at / ENTRY_BYTES;
    if count == 0 || names_at % ENTRY_BYTES != 0 || names_at > block.len() {
        return None;
    }
    let heads = block.get(..names_at)?.chunks_exact(ENTRY_BYTES);
    let mut found = Vec::with_capacity(count);
    let mut at = names_at;
    for (index, head) in heads.enumerate() {
        let nid = head.first_chunk().copied().map(u64::from_le_bytes)?;
        if usize::from(half(head, 8)) != at || head.get(11) != Some(&0) {
            return None;
        }
        let end = if index + 1 < count {
            usize::from(half(block, (index + 1) * ENTRY_BYTES + 8))
        } else if last {
            block.len()
        } else {
            // The last name of a block that is not the last one: zeros follow.
            at + block.get(at..)?.iter().position(|byte| *byte == 0).unwrap_or(block.len() - at)
        };
        let name = block.get(at..end).filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()))?;
        found.push((usize::try_from(nid).ok()?, *head.get(10)?, name));
        at = end;
    }
    block.get(at..)?.iter().all(|byte| *byte == 0).then_some(found)
}
