//! For which processors the programs of a tree are, and whether its command can start at all.
//!
//! In:  a tree, the service's command. Out: an architecture, or what is missing.
//!
//! Source: elf(5); System V ABI, "Program Header"; execve(2), "Interpreter scripts".

use std::fmt;

use crate::sign::Architecture;
use crate::tree::{Content, Node, Tree};

/// Symbolic links that are followed. Source: path_resolution(7).
const LINKS_MAX: usize = 40;
/// `EM_386`, `EM_X86_64`. Source: elf.h.
const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
/// `ET_EXEC`, `ET_DYN`: what a process is made of.
const PROCESS_TYPES: [u16; 2] = [2, 3];
/// `PT_INTERP`.
const PT_INTERP: u32 = 3;
/// Program headers that are looked at: linkers write about ten.
const HEADERS_MAX: usize = 64;

/// Why a tree's programs are refused. Paths are as seen from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such file in the tree.
    Absent(String),
    /// Nobody may execute it.
    Mode(String),
    /// Neither a program nor a script.
    Kind(String),
    /// A program for other processors: its path, and for which it should be.
    Foreign(String, Architecture),
    /// A program for processors that we do not know.
    Unknown(String),
    /// The image says that it is for the first, its command is for the second.
    Says(Architecture, Architecture),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(path) => write!(
                f,
                "{path}: not in the image; a `command` of the manifest names it, or what it starts with"
            ),
            Self::Mode(path) => write!(f, "{path}: nobody may execute it; chmod +x"),
            Self::Kind(path) => write!(f, "{path}: neither an ELF program nor a script that begins with #!"),
            Self::Foreign(path, wanted) => write!(f, "{path}: a program for other processors than {wanted}"),
            Self::Unknown(path) => write!(f, "{path}: a program for processors other than i386 and amd64"),
            Self::Says(image, command) => {
                write!(f, "the image says that it is for {image}, its command is for {command}")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// What an ELF file says of itself.
struct Elf<'b> {
    machine: u16,
    /// It is something that a process is made of, not an object file.
    process: bool,
    /// The program that loads it.
    loader: Option<&'b [u8]>,
}

fn at<const N: usize>(bytes: &[u8], at: u64) -> Option<[u8; N]> {
    bytes.get(usize::try_from(at).ok()?..)?.first_chunk().copied()
}

fn elf(bytes: &[u8]) -> Option<Elf<'_>> {
    let rest = bytes.strip_prefix(b"\x7fELF")?;
    let wide = match rest.first()? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let half = |place: u64| at(bytes, place).map(u16::from_le_bytes);
    let word = |place: u64| at(bytes, place).map(u32::from_le_bytes);
    let address =
        |place: u64| if wide { at(bytes, place).map(u64::from_le_bytes) } else { word(place).map(u64::from) };
    let (kind, machine) = (half(16)?, half(18)?);
    let (headers, size, count) =
        if wide { (address(32)?, half(54)?, half(56)?) } else { (address(28)?, half(42)?, half(44)?) };
    let mut loader = None;
    for index in 0..u64::from(count).min(64) {
        let Some(place) = headers.checked_add(index * u64::from(size)) else { break };
        if word(place) == Some(PT_INTERP) {
            let (offset, length) = if wide { (8, 32) } else { (4, 16) };
            let (offset, length) = (address(place + offset)?, address(place + length)?);
            let end = offset.checked_add(length)?;
            let text = bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)?;
            loader = text.split(|byte| *byte == 0).next();
        }
    }
    Some(Elf { machine, process: PROCESS_TYPES.contains(&kind), loader })
}

const _: () = assert!(HEADERS_MAX == 64);

/// The file that `path` leads to, symbolic links followed inside of the tree.
fn resolve<'t>(tree: &'t Tree, path: &[u8]) -> Option<&'t Node> {
    let mut todo: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect();
    let mut way = vec![0];
    let mut links = 0;
    while let Some(name) = todo.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            _ => {}
        }
        let Content::Folder(entries) = &tree.node(*way.last()?)?.content else { return None };
        let number = *entries.get(&name)?;
        let Content::Link(says) = &tree.node(number)?.content else {
            way.push(number);
            continue;
        };
        links += 1;
        if links > LINKS_MAX {
            return None;
        }
        if says.first() == Some(&b'/') {
            way.truncate(1);
        }
        todo.extend(says.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
    }
    tree.node(*way.last()?)
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// For which processors the program at `path` is; it and its loader are there.
fn command(tree: &Tree, path: &[u8], may_be_script: bool) -> Result<Architecture, Fault> {
    let node = resolve(tree, path).ok_or_else(|| Fault::Absent(lossy(path)))?;
    let Content::File(bytes) = &node.content else { return Err(Fault::Kind(lossy(path))) };
    if node.owner.mode & 0o111 == 0 {
        return Err(Fault::Mode(lossy(path)));
    }
    if let Some(line) = bytes.strip_prefix(b"#!").filter(|_| may_be_script) {
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let interpreter = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
        return command(tree, interpreter, false);
    }
    let elf = elf(bytes).filter(|elf| elf.process).ok_or_else(|| Fault::Kind(lossy(path)))?;
    if let Some(loader) = elf.loader {
        resolve(tree, loader).ok_or_else(|| Fault::Absent(lossy(loader)))?;
    }
    match elf.machine {
        EM_386 => Ok(Architecture::I386),
        EM_X86_64 => Ok(Architecture::Amd64),
        _ => Err(Fault::Unknown(lossy(path))),
    }
}

/// Checks that `path` can start and that every program and library of `tree` is for the same processors.
///
/// * `said` — for which the image says that it is.
///
/// # Errors
/// [`Fault`] with the path.
pub fn check(tree: &Tree, path: &str, said: Option<Architecture>) -> Result<Architecture, Fault> {
    let found = command(tree, path.as_bytes(), true)?;
    if let Some(said) = said.filter(|said| *said != found) {
        return Err(Fault::Says(said, found));
    }
    let machine = match found {
        Architecture::I386 => EM_386,
        Architecture::Amd64 => EM_X86_64,
    };
    for (number, path) in tree.walk() {
        let Some(Node { content: Content::File(bytes), .. }) = tree.node(number) else { continue };
        if elf(bytes).is_some_and(|elf| elf.process && elf.machine != machine) {
            return Err(Fault::Foreign(lossy(&path), found));
        }
    }
    Ok(found)
}
