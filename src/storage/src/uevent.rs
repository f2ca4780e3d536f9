//! Hears from the kernel that a block device came, changed or went.
//!
//! In:  datagrams of `NETLINK_KOBJECT_UEVENT`. Out: [`Event`]s about block devices; everything else is dropped here.
//!
//! Source: netlink(7); drivers/md/dm-verity-target.c, `verity_handle_err` (100 of them for one device, at most); lib/kobject_uevent.c: `ACTION@DEVPATH`, then `KEY=value` texts, each closed by a zero.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::Text;
use contract::mount::Damage;
use sys::{Errno, uevent};

/// The longest event, in bytes: the kernel's `UEVENT_BUFFER_SIZE` and the header line.
const EVENT_BYTES_MAX: usize = 4096;
/// A block device's name as `/dev` has it: `sda1`, `mmcblk0p1`.
pub type Device = Text<32>;

/// The device `/dev/dm-<number>` of one time: another one has that number as soon as it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped {
    /// Its number.
    pub number: u32,
    /// `diskseq`, which no other device of this boot has. Linux 5.15.
    pub sequence: u64,
}

/// What happened to a block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It came, or what is in it changed.
    Came(Device),
    /// It went.
    Went(Device),
    /// Something was read that was not signed.
    Damaged(Mapped, Damage),
    /// Events were lost: look at all of them again.
    Lost,
}

/// The kernel's events.
#[derive(Debug)]
pub struct Events(OwnedFd);

impl Events {
    /// Begins to listen. What happens from now on will be heard.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT`: a kernel without them. `EMFILE`, `ENFILE`: a table of descriptors is full.
    pub fn listen() -> Result<Self, Errno> {
        uevent::open().map(Self)
    }

    /// The next event about a block device. `None`: none waits.
    pub fn next(&self) -> Option<Event> {
        let mut buffer = [0; EVENT_BYTES_MAX];
        loop {
            match uevent::receive(&self.0, &mut buffer) {
                Ok(length) => {
                    if let Some(event) = buffer.get(..length).and_then(parse) {
                        return Some(event);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => return Some(Event::Lost),
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The event in `bytes`, if it is about a block device that could be a disk.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Event> {
    let mut words = bytes.split(|byte| *byte == 0);
    // The header says the same as the keys do; udev's own messages begin otherwise.
    if !words.next()?.contains(&b'@') {
        return None;
    }
    let (mut action, mut subsystem, mut name): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let (mut error, mut sequence): (Option<&[u8]>, &[u8]) = (None, &[]);
    for word in words {
        if let Some(value) = word.strip_prefix(b"ACTION=") {
            action = value;
        } else if let Some(value) = word.strip_prefix(b"SUBSYSTEM=") {
            subsystem = value;
        } else if let Some(value) = word.strip_prefix(b"DEVNAME=") {
            name = value;
        } else if let Some(value) = word.strip_prefix(b"DM_VERITY_ERR_BLOCK_NR=") {
            error = Some(value);
        } else if let Some(value) = word.strip_prefix(b"DISKSEQ=") {
            sequence = value;
        }
    }
    let name = std::str::from_utf8(name).ok().filter(|_| subsystem == b"block")?;
    if let Some(error) = error {
        let sequence = std::str::from_utf8(sequence).ok()?.parse().ok()?;
        let number = name.strip_prefix("dm-")?.parse().ok()?;
        return damage(std::str::from_utf8(error).ok()?)
            .map(|damage| Event::Damaged(Mapped { number, sequence }, damage));
    }
    let device = device(name)?;
    match action {
        b"add" | b"change" => Some(Event::Came(device)),
        b"remove" => Some(Event::Went(device)),
        _ => None,
    }
}

/// What `error` says: a kind (0: data, 1: hashes) and a block.
fn damage(error: &str) -> Option<Damage> {
    let (kind, block) = error.split_once(',')?;
    let block = block.parse().ok()?;
    Some(match kind {
        "0" => Damage::Data(block),
        "1" => Damage::Tree(block),
        _ => Damage::Somewhere,
    })
}

/// `name` as a device that could be a disk: plain letters and digits, and not one that is made of a file or of memory: the file behind
/// a loop device may be a service's, which must not pass for the data disk.
#[must_use]
pub fn device(name: &str) -> Option<Device> {
    const NO_DISKS: [&str; 6] = ["loop", "ram", "zram", "nbd", "fd", "sr"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let kind = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let could_be = (1..=32).contains(&name.len())
        && name.bytes().all(plain)
        && !NO_DISKS.contains(&kind)
        // And a partition of one.
        && !["loop", "nbd"].iter().any(|kind| name.starts_with(kind));
    could_be.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::{Damage, Event, Mapped, device, parse};

    /// As a 6.12 kernel sends them when a stick is put in (a monitor on the same socket).
    const ADDED: &[u8] = b"add@/devices/pci0000:00/0000:00:06.0/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:0/block/sda/sda1\0\
        ACTION=add\0DEVPATH=/devices/pci0000:00/0000:00:06.0/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:0/block/sda/sda1\0\
        SUBSYSTEM=block\0MAJOR=8\0MINOR=1\0DEVNAME=sda1\0DEVTYPE=partition\0DISKSEQ=9\0PARTN=1\0SEQNUM=1203\0";

    #[test]
    fn events_about_disks_are_heard_and_others_are_not() {
        let table: &[(&str, &[u8], Option<Event>)] = &[
            ("added", ADDED, Some(Event::Came("sda1".into()))),
            (
                "medium changed",
                b"change@/x\0ACTION=change\0SUBSYSTEM=block\0DEVNAME=mmcblk0\0",
                Some(Event::Came("mmcblk0".into())),
            ),
            (
                "removed",
                b"remove@/x\0SUBSYSTEM=block\0DEVNAME=sda\0ACTION=remove\0",
                Some(Event::Went("sda".into())),
            ),
            ("moved", b"move@/x\0ACTION=move\0SUBSYSTEM=block\0DEVNAME=sda\0", None),
            ("a port", b"add@/x\0ACTION=add\0SUBSYSTEM=usb\0DEVNAME=bus/usb/001/002\0", None),
            ("no name", b"add@/x\0ACTION=add\0SUBSYSTEM=block\0", None),
            ("a loop", b"change@/x\0ACTION=change\0SUBSYSTEM=block\0DEVNAME=loop3\0", None),
            ("a path", b"add@/x\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=../sda\0", None),
            ("udev's", b"libudev\0\xfe\xed\xca\xfe\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0", None),
            ("empty", b"", None),
            ("no text", b"add@\xff\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=\xff\0", None),
        ];
        for (name, bytes, want) in table {
            assert_eq!(parse(bytes), *want, "{name}");
        }
        for cut in 0..ADDED.len() {
            let _ = parse(&ADDED[..cut]);
        }
    }

    #[test]
    fn what_was_not_signed_is_heard() {
        // As drivers/md/dm-verity-target.c of 6.1 and 6.12 says it.
        let said = |name: &str, error: &str| {
            let text = format!(
                "change@/devices/virtual/block/{name}\0ACTION=change\0DEVPATH=/devices/virtual/block/{name}\0SUBSYSTEM=block\0\
                 DM_VERITY_ERR_BLOCK_NR={error}\0MAJOR=254\0MINOR=7\0DEVNAME={name}\0DEVTYPE=disk\0DISKSEQ=9\0SEQNUM=1300\0"
            );
            parse(text.as_bytes())
        };
        let seventh = Mapped { number: 7, sequence: 9 };
        let table = [
            ("dm-7", "0,203", Some(Event::Damaged(seventh, Damage::Data(203)))),
            ("dm-7", "1,302", Some(Event::Damaged(seventh, Damage::Tree(302)))),
            ("dm-7", "9,1", Some(Event::Damaged(seventh, Damage::Somewhere))),
            ("dm-7", "0", None),
            ("dm-7", "0,-1", None),
            ("dm-", "0,1", None),
            ("sda", "0,1", None),
            ("dm-7/../..", "0,1", None),
        ];
        for (name, error, want) in table {
            assert_eq!(said(name, error), want, "{name} {error}");
        }
        let without =
            b"change@/x\0ACTION=change\0SUBSYSTEM=block\0DM_VERITY_ERR_BLOCK_NR=0,1\0DEVNAME=dm-7\0";
        assert_eq!(parse(without), None, "nobody knows which device it was");
    }

    #[test]
    fn a_device_is_a_plain_name_and_no_file_in_disguise() {
        let table = [
            ("sda", true),
            ("sda1", true),
            ("mmcblk0p2", true),
            ("nvme0n1p1", true),
            ("vda", true),
            ("hda1", true),
        ];
        let others =
            ["", ".", "..", "a/b", "loop0", "loop0p1", "ram1", "zram0", "sr0", "fd0", "nbd0p1", "Sda"];
        for (name, want) in table.into_iter().chain(others.map(|name| (name, false))) {
            assert_eq!(device(name).is_some(), want, "{name}");
        }
        assert_eq!(device(&"a".repeat(33)), None);
    }
}
