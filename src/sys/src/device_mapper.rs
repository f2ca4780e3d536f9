//! Device-mapper: block devices that are made of others. Only what a read-only device with one target needs.
//!
//! In:  names, one target. Out: device numbers, names.
//!
//! A request and its answer share one buffer: a head of 312 bytes, and behind it what the command takes or gives. The head is written byte
//! by byte: it has the same form for 32 and 64 bits.
//!
//! Source: linux/dm-ioctl.h, `struct dm_ioctl`, `struct dm_target_spec`, `struct dm_name_list`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `struct dm_ioctl`, in bytes, and where its fields are.
const HEAD: usize = 312;
const VERSION_AT: usize = 0;
const SIZE_AT: usize = 12;
const START_AT: usize = 16;
const TARGETS_AT: usize = 20;
const FLAGS_AT: usize = 28;
const DEVICE_AT: usize = 40;
const NAME_AT: usize = 48;
/// A name, in bytes, with the zero behind it: `DM_NAME_LEN`.
const NAME_BYTES: usize = 128;
/// The head of a target: `struct dm_target_spec`. Its parameters follow, closed by a zero.
const TARGET: usize = 40;
const KIND_AT: usize = 24;
/// The name of a kind, with the zero behind it: `DM_MAX_TYPE_NAME`.
const KIND_BYTES: usize = 16;
/// A request and its answer, in bytes: a list of all devices that a gateway can have is a fraction of it.
const BUFFER: usize = 64 * 1024;
/// The interface that is spoken: 4.27 knows deferred removal. The kernel takes what is not newer than itself. Linux 3.13.
const VERSION: [u32; 3] = [4, 27, 0];

/// Flags: `DM_*_FLAG`.
const READ_ONLY: u32 = 1;
const BUFFER_FULL: u32 = 1 << 8;
const DEFERRED: u32 = 1 << 17;

/// Commands: `DM_*_CMD`.
#[derive(Debug, Clone, Copy)]
enum Command {
    List = 2,
    Create = 3,
    Remove = 4,
    /// Without the flag that asks for the opposite: resume.
    Suspend = 6,
    Load = 9,
    /// What each target says of itself.
    Status = 12,
}

/// The way to the device-mapper.
#[derive(Debug)]
pub struct Control(File);

/// What a device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'t> {
    /// Its kind, such as `verity`.
    pub kind: &'t str,
    /// Its size, in sectors of 512 bytes.
    pub sectors: u64,
    /// What the kind is told.
    pub parameters: &'t str,
}

/// Writes `bytes` at `at`; what has no room is left out, and callers have made sure that there is.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in frame.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

fn word(frame: &[u8], at: usize) -> u32 {
    frame.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_ne_bytes)
}

/// A request: its head with `name` and `flags`, and nothing behind it.
fn request(name: &str, flags: u32) -> Result<Vec<u8>, Errno> {
    if name.len() >= NAME_BYTES || name.contains('\0') {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut frame = vec![0; BUFFER];
    for (part, at) in VERSION.into_iter().zip((VERSION_AT..).step_by(4)) {
        put(&mut frame, at, &part.to_ne_bytes());
    }
    put(&mut frame, SIZE_AT, &u32::try_from(BUFFER).unwrap_or(0).to_ne_bytes());
    put(&mut frame, START_AT, &u32::try_from(HEAD).unwrap_or(0).to_ne_bytes());
    put(&mut frame, FLAGS_AT, &flags.to_ne_bytes());
    put(&mut frame, NAME_AT, name.as_bytes());
    Ok(frame)
}

/// Writes `target` behind the head.
fn add_target(frame: &mut [u8], target: &Target<'_>) -> Result<(), Errno> {
    let all = HEAD + TARGET + target.parameters.len() + 1;
    if target.kind.len() >= KIND_BYTES || all > BUFFER || target.parameters.contains('\0') {
        return Err(Errno::EINVAL);
    }
    put(frame, TARGETS_AT, &1_u32.to_ne_bytes());
    put(frame, HEAD + 8, &target.sectors.to_ne_bytes());
    put(frame, HEAD + KIND_AT, target.kind.as_bytes());
    put(frame, HEAD + TARGET, target.parameters.as_bytes());
    Ok(())
}

/// The names in the answer to [`Command::List`].
fn names(frame: &[u8]) -> Vec<String> {
    /// A row: the device's number (8 bytes), how far it is to the next row (4; 0: none), the name, a zero.
    const NEXT_AT: usize = 8;
    const NAME_AT: usize = 12;
    let mut names = Vec::new();
    let mut rest = usize::try_from(word(frame, START_AT)).ok().and_then(|start| frame.get(start..));
    while let Some(row) = rest {
        // Without any device there is one row without a number.
        let name = row.get(NAME_AT..).and_then(|name| name.split(|byte| *byte == 0).next());
        if let (true, Some(name)) = (row.iter().take(NEXT_AT).any(|byte| *byte != 0), name) {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        rest = usize::try_from(word(row, NEXT_AT))
            .ok()
            .filter(|next| *next >= NAME_AT)
            .and_then(|next| row.get(next..));
    }
    names
}

/// What the one target in the answer to [`Command::Status`] says of itself.
fn status(frame: &[u8]) -> Option<String> {
    let start = usize::try_from(word(frame, START_AT)).ok().filter(|_| word(frame, TARGETS_AT) == 1)?;
    let text = frame.get(start.checked_add(TARGET)?..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

impl Control {
    /// Opens it.
    ///
    /// # Errors
    /// `ENOENT`: the kernel has no device-mapper. `EACCES`.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open("/dev/mapper/control").map(Self)
    }

    fn ask(&self, command: Command, frame: &mut [u8]) -> Result<(), Errno> {
        /// `_IOWR(0xfd, 0, struct dm_ioctl)`.
        const REQUEST: u32 = 3 << 30 | 312 << 16 | 0xfd << 8;
        const _: () = assert!(HEAD == 312);
        let request = REQUEST | command as u32;
        // SAFETY: the kernel reads and writes as many bytes as the head says, which is the size that `request` gave the buffer; it lives
        // until the call returns.
        let answer = unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, frame.as_mut_ptr()) };
        Errno::result(answer).map(drop)
    }

    /// Makes the device `name`, which does nothing yet, and returns its minor number: with a table it is `/dev/dm-<number>`.
    ///
    /// # Errors
    /// `EBUSY`: there is one of that name. `EPERM`. `ENAMETOOLONG`.
    pub fn create(&self, name: &str) -> Result<u32, Errno> {
        let mut frame = request(name, 0)?;
        self.ask(Command::Create, &mut frame)?;
        // Source: linux/kdev_t.h, `new_decode_dev`.
        let device = word(&frame, DEVICE_AT);
        Ok(device & 0xff | (device >> 12) & 0xf_ff00)
    }

    /// Gives the device `name` its one target, read-only. It counts once it is resumed.
    ///
    /// # Errors
    /// What the target says of its parameters: `EINVAL`, `ENOENT`: no such kind of target or hash. `ENXIO`: no such device.
    pub fn load(&self, name: &str, target: &Target<'_>) -> Result<(), Errno> {
        let mut frame = request(name, READ_ONLY)?;
        add_target(&mut frame, target)?;
        self.ask(Command::Load, &mut frame)
    }

    /// Lets the device `name` work.
    ///
    /// # Errors
    /// `ENXIO`: no such device.
    pub fn resume(&self, name: &str) -> Result<(), Errno> {
        self.ask(Command::Suspend, &mut request(name, READ_ONLY)?)
    }

    /// Removes the device `name` as soon as nobody has it open.
    ///
    /// # Errors
    /// `ENXIO`: no such device.
    pub fn remove(&self, name: &str) -> Result<(), Errno> {
        self.ask(Command::Remove, &mut request(name, DEFERRED)?)
    }

    /// What the one target of the device `name` says of itself: of verity `V`, or `C` once it has met what is not as its root says.
    ///
    /// # Errors
    /// `ENXIO`: no such device. `EINVAL`: it has not one target.
    ///
    /// Source: Documentation/admin-guide/device-mapper/verity.rst, "Status".
    pub fn status(&self, name: &str) -> Result<String, Errno> {
        let mut frame = request(name, 0)?;
        self.ask(Command::Status, &mut frame)?;
        status(&frame).ok_or(Errno::EINVAL)
    }

    /// The names of all devices.
    ///
    /// # Errors
    /// `ENOBUFS`: there are more than a gateway can have.
    pub fn names(&self) -> Result<Vec<String>, Errno> {
        let mut frame = request("", 0)?;
        self.ask(Command::List, &mut frame)?;
        if word(&frame, FLAGS_AT) & BUFFER_FULL != 0 {
            return Err(Errno::ENOBUFS);
        }
        Ok(names(&frame))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Control, DEFERRED, HEAD, START_AT, TARGET, Target, add_target, names, put, request, status, word,
    };
    use nix::errno::Errno;

    #[test]
    fn a_request_is_what_dmsetup_sends() {
        // The fields of linux/dm-ioctl.h, each where a C compiler puts it, for 32 and 64 bits alike.
        let mut frame = request("shg-loop0", DEFERRED).unwrap();
        add_target(&mut frame, &Target { kind: "verity", sectors: 80, parameters: "1 7:0" }).unwrap();
        let words: Vec<u32> = (0..10).map(|at| word(&frame, at * 4)).collect();
        assert_eq!(words, [4, 27, 0, 65536, 312, 1, 0, 1 << 17, 0, 0], "version, sizes, targets, flags");
        assert_eq!(frame[48..58], *b"shg-loop0\0");
        assert_eq!(frame[HEAD..HEAD + 16], [[0; 8], 80_u64.to_ne_bytes()].concat());
        assert_eq!(frame[HEAD + 16..HEAD + 24], [0; 8], "status, next");
        assert_eq!(frame[HEAD + 24..HEAD + TARGET], *b"verity\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(frame[HEAD + TARGET..HEAD + TARGET + 6], *b"1 7:0\0");
    }

    #[test]
    fn what_has_no_room_is_refused() {
        assert_eq!(request(&"n".repeat(127), 0).map(drop), Ok(()));
        assert_eq!(request(&"n".repeat(128), 0), Err(Errno::ENAMETOOLONG));
        assert_eq!(request("a\0b", 0), Err(Errno::ENAMETOOLONG));
        let mut frame = request("n", 0).unwrap();
        let mut add =
            |kind: &str, parameters: &str| add_target(&mut frame, &Target { kind, sectors: 1, parameters });
        assert_eq!(add("a-kind-of-target", ""), Err(Errno::EINVAL));
        assert_eq!(add("verity", &"p".repeat(65536)), Err(Errno::EINVAL));
        assert_eq!(add("verity", "a\0b"), Err(Errno::EINVAL));
    }

    #[test]
    fn a_list_is_read_to_its_end_and_no_further() {
        let row = |device: u64, next: u32, name: &str| {
            [&device.to_ne_bytes()[..], &next.to_ne_bytes(), name.as_bytes(), b"\0"].concat()
        };
        let list = |rows: &[u8]| {
            let mut frame = vec![0; 512];
            put(&mut frame, START_AT, &312_u32.to_ne_bytes());
            put(&mut frame, HEAD, rows);
            names(&frame)
        };
        assert!(list(&row(0, 0, "")).is_empty(), "no device");
        assert_eq!(
            list(&[row(0xfd00, 24, "shg-loop0"), vec![0; 2], row(0xfd01, 0, "other")].concat()),
            ["shg-loop0", "other"]
        );
        assert_eq!(list(&row(1, 4, "back")), ["back"], "no row begins within another");
        assert_eq!(list(&row(1, 4000, "far")), ["far"]);
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn a_status_is_what_the_target_says() {
        let answer = |targets: u32, text: &[u8]| {
            let mut frame = vec![0; HEAD];
            put(&mut frame, START_AT, &312_u32.to_ne_bytes());
            put(&mut frame, super::TARGETS_AT, &targets.to_ne_bytes());
            frame.extend([0; TARGET]);
            frame.extend(text);
            status(&frame)
        };
        assert_eq!(answer(1, b"C\0rest").as_deref(), Some("C"));
        assert_eq!(answer(1, b"V").as_deref(), Some("V"));
        assert_eq!(answer(0, b"C\0"), None, "a device without a table");
        assert_eq!(status(&[]), None);
        let mut far = vec![0; HEAD];
        put(&mut far, START_AT, &u32::MAX.to_ne_bytes());
        put(&mut far, super::TARGETS_AT, &1_u32.to_ne_bytes());
        assert_eq!(status(&far), None);
    }

    #[test]
    fn a_device_comes_and_goes() {
        let control = match Control::open() {
            Ok(control) => control,
            Err(error) => return println!("skipped: no device-mapper: {error}"),
        };
        let name = format!("shg-test-{}", std::process::id());
        if let Err(error) = control.create(&name) {
            return println!("skipped: no right to make devices: {error}");
        }
        let there = || control.names().unwrap().contains(&name);
        assert!(there());
        assert_eq!(control.create(&name), Err(Errno::EBUSY));
        control.load(&name, &Target { kind: "error", sectors: 8, parameters: "" }).unwrap();
        control.resume(&name).unwrap();
        control.remove(&name).unwrap();
        assert!(!there());
        assert_eq!(control.remove(&name), Err(Errno::ENXIO));
    }
}
