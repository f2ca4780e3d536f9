//! A file tree in memory, as it is going to be sealed.
//!
//! In:  entries, by path, layer upon layer. Out: folders, files, symbolic links; names in order; nothing else fits into the type.
//!
//! No path of it goes through a symbolic link or upward, so there is nothing to escape from. What a sealed image may not hold (devices,
//! set-id bits, owners outside of a tenant's range, too much of anything) is refused here, with the path.
//!
//! Source: docs/bundles.md; OCI image-spec, layer.md (changesets, whiteouts).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::{DEPTH_MAX, IMAGE_BYTES_MAX, INODES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Bits of a mode that stay: permissions and the sticky bit.
pub const MODE_MASK: u16 = 0o1777;
/// Set-user-id and set-group-id.
pub const SET_ID: u32 = 0o6000;

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A path is none that an image may have.
    Path(&'static str),
    /// What it is may not be in an image.
    Kind(&'static str),
    /// It has a set-user-id or set-group-id bit.
    SetId,
    /// Its owner is outside of the range that a service has.
    Owner(u64),
    /// A hard link to what is not there, or no file.
    Target,
    /// More than an image may have, in bytes.
    Bytes,
    /// More files, folders and links than an image may have.
    Inodes,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(why) => write!(f, "path refused: {why}"),
            Self::Kind(what) => write!(f, "{what} may not be in an image"),
            Self::SetId => write!(f, "set-user-id or set-group-id bit: a service cannot use it"),
            Self::Owner(owner) => write!(f, "owner {owner}: a service has 0 to 65535"),
            Self::Target => write!(f, "a hard link to what is no file of the image"),
            Self::Bytes => write!(f, "the image would have more than {IMAGE_BYTES_MAX} bytes"),
            Self::Inodes => write!(f, "more than {INODES_MAX} files, folders and links"),
        }
    }
}

impl std::error::Error for Fault {}

/// Who owns it, and who may do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Permissions and the sticky bit.
    pub mode: u16,
    /// As seen from inside.
    pub uid: u16,
    /// As seen from inside.
    pub gid: u16,
}

impl Owner {
    /// Root's.
    #[must_use]
    pub fn root(mode: u16) -> Self {
        Self { mode: mode & MODE_MASK, uid: 0, gid: 0 }
    }

    /// Takes what a tar or a file system says.
    ///
    /// # Errors
    /// [`Fault::SetId`], [`Fault::Owner`].
    pub fn new(mode: u32, uid: u64, gid: u64) -> Result<Self, Fault> {
        if mode & SET_ID != 0 {
            return Err(Fault::SetId);
        }
        let owner = |id: u64| u16::try_from(id).map_err(|_| Fault::Owner(id));
        let mode = u16::try_from(mode & u32::from(MODE_MASK)).unwrap_or(0);
        Ok(Self { mode, uid: owner(uid)?, gid: owner(gid)? })
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Names, and the number of the node that each leads to.
    Folder(BTreeMap<Vec<u8>, usize>),
    /// Bytes.
    File(Vec<u8>),
    /// What a symbolic link says.
    Link(Vec<u8>),
}

/// One file, folder or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Whose.
    pub owner: Owner,
    /// What.
    pub content: Content,
    /// The layer that brought it.
    layer: usize,
}

/// All of it. Node 0 is the root, a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
    layer: usize,
    bytes: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { owner: Owner::root(0o755), content: Content::Folder(BTreeMap::new()), layer: 0 };
        Self { nodes: vec![root], layer: 0, bytes: 0 }
    }
}

/// The names that `path` has. `.` and a leading `./` are nothing; the root has none.
///
/// # Errors
/// [`Fault::Path`]: it is absolute, goes upward, or is too long.
pub fn names(path: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Fault::Path("longer than 4095 bytes"));
    }
    if path.first() == Some(&b'/') {
        return Err(Fault::Path("it is absolute"));
    }
    if path.contains(&0) {
        return Err(Fault::Path("a NUL in it"));
    }
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&&b".."[..]) {
        return Err(Fault::Path("it goes upward"));
    }
    if names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(Fault::Path("a name longer than 255 bytes"));
    }
    if names.len() > DEPTH_MAX {
        return Err(Fault::Path("more than 64 folders deep"));
    }
    Ok(names)
}

impl Tree {
    /// What follows is another layer: whiteouts in it mean what was there before.
    pub fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// The node with this number.
    #[must_use]
    pub fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number)
    }

    /// The folder with this number.
    fn folder(&mut self, number: usize) -> Result<&mut BTreeMap<Vec<u8>, usize>, Fault> {
        match self.nodes.get_mut(number).map(|node| &mut node.content) {
            Some(Content::Folder(entries)) => Ok(entries),
            Some(Content::Link(_)) => Err(Fault::Path("it goes through a symbolic link")),
            Some(Content::File(_)) | None => Err(Fault::Path("it goes through a file")),
        }
    }

    fn add(&mut self, owner: Owner, content: Content) -> Result<usize, Fault> {
        if self.nodes.len() >= INODES_MAX {
            return Err(Fault::Inodes);
        }
        if let Content::File(bytes) | Content::Link(bytes) = &content {
            self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if self.bytes > IMAGE_BYTES_MAX {
                return Err(Fault::Bytes);
            }
        }
        self.nodes.push(Node { owner, content, layer: self.layer });
        Ok(self.nodes.len() - 1)
    }

    /// The folder that `names` leads to, made where it is not there (0755, root's).
    fn parent(&mut self, names: &[&[u8]]) -> Result<usize, Fault> {
        let mut at = 0;
        for name in names {
            at = match self.folder(at)?.get(*name).copied() {
                Some(number) => number,
                None => {
                    let made = self.add(Owner::root(0o755), Content::Folder(BTreeMap::new()))?;
                    self.folder(at)?.insert(name.to_vec(), made);
                    made
                }
            };
        }
        self.folder(at)?;
        Ok(at)
    }

    /// Puts an entry at `path`. What was there goes, but a folder keeps what is in it when it is put again.
    ///
    /// # Errors
    /// [`Fault`]: the path or the size is refused.
    pub fn put(&mut self, path: &[u8], owner: Owner, content: Content) -> Result<(), Fault> {
        let names = names(path)?;
        let layer = self.layer;
        let Some((last, before)) = names.split_last() else {
            let (Content::Folder(_), Some(root)) = (&content, self.nodes.first_mut()) else {
                return Err(Fault::Path("the root is a folder"));
            };
            root.owner = owner;
            return Ok(());
        };
        if let Content::Link(says) = &content
            && (says.is_empty() || says.len() > PATH_BYTES_MAX || says.contains(&0))
        {
            return Err(Fault::Path("a symbolic link that says nothing, or too much"));
        }
        let parent = self.parent(before)?;
        let old = self.folder(parent)?.get(*last).copied();
        if let (Some(node), Content::Folder(_)) = (old.and_then(|old| self.nodes.get_mut(old)), &content)
            && matches!(node.content, Content::Folder(_))
        {
            node.owner = owner;
            node.layer = layer;
            return Ok(());
        }
        let made = self.add(owner, content)?;
        self.folder(parent)?.insert(last.to_vec(), made);
        Ok(())
    }

    /// The node at `path`, which goes through no symbolic link.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let mut at = 0;
        for name in names(path).ok()? {
            let Content::Folder(entries) = &self.nodes.get(at)?.content else { return None };
            at = *entries.get(name)?;
        }
        Some(at)
    }

    /// Makes `path` another name of the file at `target`.
    ///
    /// # Errors
    /// [`Fault::Target`]: that is no file or symbolic link. [`Fault::Path`].
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault> {
        names(target)?;
        let found = self.find(target).ok_or(Fault::Target)?;
        if matches!(self.nodes.get(found).map(|node| &node.content), Some(Content::Folder(_)) | None) {
            return Err(Fault::Target);
        }
        let names = names(path)?;
        let (last, before) = names.split_last().ok_or(Fault::Path("the root is a folder"))?;
        let parent = self.parent(before)?;
        self.folder(parent)?.insert(last.to_vec(), found);
        Ok(())
    }

    /// Takes away what earlier layers put at `path`.
    ///
    /// # Errors
    /// [`Fault::Path`].
    pub fn remove(&mut self, path: &[u8]) -> Result<(), Fault> {
        let names = names(path)?;
        let (last, before) = names.split_last().ok_or(Fault::Path("a whiteout of the root"))?;
        let parent = self.parent(before)?;
        let Some(number) = self.folder(parent)?.get(*last).copied() else { return Ok(()) };
        if self.prune(number)? {
            self.folder(parent)?.remove(*last);
        }
        Ok(())
    }

    /// Takes away what earlier layers put into the folder at `path`.
    ///
    /// # Errors
    /// [`Fault::Path`].
    pub fn clear(&mut self, path: &[u8]) -> Result<(), Fault> {
        let names = names(path)?;
        let number = self.parent(&names)?;
        self.prune(number).map(drop)
    }

    /// Takes away what is older than this layer, at `number` and below. Is nothing left of it?
    fn prune(&mut self, number: usize) -> Result<bool, Fault> {
        let layer = self.layer;
        let old = self.nodes.get(number).is_some_and(|node| node.layer < layer);
        if !matches!(self.nodes.get(number).map(|node| &node.content), Some(Content::Folder(_))) {
            return Ok(old);
        }
        let entries = std::mem::take(self.folder(number)?);
        let mut left = BTreeMap::new();
        for (name, child) in entries {
            if !self.prune(child)? {
                left.insert(name, child);
            }
        }
        let empty = left.is_empty();
        *self.folder(number)? = left;
        Ok(old && empty)
    }

    /// Every node that can be reached, once, with its path: folder by folder, names in order. It is the order of an image.
    #[must_use]
    pub fn walk(&self) -> Vec<(usize, Vec<u8>)> {
        let mut seen = vec![false; self.nodes.len()];
        let mut queue = VecDeque::from([(0, Vec::new())]);
        let mut found: Vec<(usize, Vec<u8>)> = vec![(0, Vec::new())];
        while let Some((number, path)) = queue.pop_front() {
            let Some(Node { content: Content::Folder(entries), .. }) = self.nodes.get(number) else {
                continue;
            };
            for (name, child) in entries {
                let Some(seen) = seen.get_mut(*child).filter(|seen| !**seen) else { continue };
                *seen = true;
                let mut longer: Vec<u8> = path.clone();
                longer.push(b'/');
                longer.extend(name);
                found.push((*child, longer.clone()));
                queue.push_back((*child, longer));
            }
        }
        found
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
