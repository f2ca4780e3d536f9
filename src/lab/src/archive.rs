//! Writes a cpio archive, the form in which the kernel takes its first root.
//!
//! In:  paths, modes, bytes. Out: the archive's bytes; the same again for the same input: no clock, no inode of this machine.
//!
//! This module is pure. Not here: what goes into the root (`root.rs`), compression.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel ("newc"); cpio(5).

use crate::error::Error;

/// Kinds of file, as `st_mode` has them. Source: inode(7).
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;
const SYMBOLIC_LINK: u32 = 0o120_000;

/// Names and contents begin at multiples of this, in bytes.
const ALIGNMENT: usize = 4;
/// The name of the entry that closes an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive that grows.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

/// What the header of an entry says beside its name.
struct Header {
    mode: u32,
    links: u32,
    device: (u32, u32),
}

impl Archive {
    /// Adds a folder. `path` has no leading slash; what it lies in was added before.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn directory(&mut self, path: &str, permissions: u32) -> Result<(), Error> {
        self.entry(path, &Header { mode: DIRECTORY | permissions, links: 2, device: (0, 0) }, &[])
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`Error::Answer`]: the file is larger than the format can say (4 GiB).
    pub fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) -> Result<(), Error> {
        self.entry(path, &Header { mode: REGULAR | permissions, links: 1, device: (0, 0) }, contents)
    }

    /// Adds a character device. No right is needed for that: it is only written down.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn device(&mut self, path: &str, permissions: u32, number: (u32, u32)) -> Result<(), Error> {
        self.entry(path, &Header { mode: CHARACTER | permissions, links: 1, device: number }, &[])
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), Error> {
        self.entry(path, &Header { mode: SYMBOLIC_LINK | 0o777, links: 1, device: (0, 0) }, target.as_bytes())
    }

    /// Closes the archive.
    ///
    /// # Errors
    /// None that happens; the trailer is an entry as others.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.inode = 0;
        self.entry(TRAILER, &Header { mode: 0, links: 1, device: (0, 0) }, &[])?;
        Ok(self.bytes)
    }

    fn entry(&mut self, path: &str, header: &Header, contents: &[u8]) -> Result<(), Error> {
        let large =
            |_| Error::Answer { who: path.to_owned(), why: "too large for a cpio archive".to_owned() };
        let inode = if path == TRAILER { 0 } else { self.inode + 1 };
        self.inode = inode;
        let fields = [
            inode,
            header.mode,
            0, // owner: root
            0, // group: root
            header.links,
            0, // time of change: the epoch
            u32::try_from(contents.len()).map_err(large)?,
            0, // the device that it lies on
            0,
            header.device.0,
            header.device.1,
            u32::try_from(path.len() + 1).map_err(large)?, // the closing zero included
            0,                                             // checksum: only "newcrc" has one
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(contents);
        self.align();
        Ok(())
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn small() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.directory("dev", 0o755).unwrap();
        archive.device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("hello", 0o644, b"hello\n").unwrap();
        archive.link("again", "hello").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn an_empty_archive_is_its_trailer() {
        let bytes = Archive::default().finish().unwrap();
        let wanted = format!("070701{}{}{}\0\0\0\0", "00000000".repeat(4), "00000001", {
            let rest = ["00000000"; 6].concat();
            format!("{rest}0000000b00000000TRAILER!!!")
        });
        assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
    }

    #[test]
    fn twice_the_same_is_the_same() {
        assert_eq!(small(), small());
        assert_eq!(small().len() % ALIGNMENT, 0);
    }

    /// The oracle: a cpio that we did not write reads what we wrote.
    #[test]
    fn another_cpio_reads_it() {
        let mut busybox = Command::new("busybox");
        busybox.args(["cpio", "-tv"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = busybox.spawn() else {
            return println!("skipped: busybox is not there");
        };
        child.stdin.take().unwrap().write_all(&small()).unwrap();
        let output = child.wait_with_output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = listing.lines().collect();
        assert!(output.status.success(), "{listing}");
        assert!(lines[0].starts_with("drwxr-xr-x") && lines[0].ends_with("dev"), "{listing}");
        assert!(lines[1].starts_with("crw-------") && lines[1].ends_with("dev/console"), "{listing}");
        assert!(lines[2].starts_with("-rw-r--r--") && lines[2].contains(" 6 "), "{listing}");
        assert!(lines[3].starts_with("lrwxrwxrwx") && lines[3].contains("again"), "{listing}");
    }
}
