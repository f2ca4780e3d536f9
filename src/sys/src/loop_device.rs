//! Loop devices: a file as a block device.
//!
//! Source: loop(4); linux/loop.h, `LOOP_CONFIGURE` since Linux 5.8.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config`.
#[repr(C)]
struct Config {
    descriptor: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A loop device on a file. It lets go of the file when the last one who uses it (this, or a mount) is gone.
#[derive(Debug)]
pub struct Loop {
    /// Its number: `/dev/loop<number>`.
    pub number: u32,
    /// It, open for reading.
    pub device: File,
}

/// How often a free device may be taken by another before we have it.
const TRIES: usize = 8;

/// Puts `file` behind a free loop device, read-only.
///
/// # Errors
/// `ENOENT`: no `/dev/loop-control`. `EBUSY`: others were always quicker. What the kernel says of the file.
pub fn attach(file: &File) -> io::Result<Loop> {
    const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
    const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
    const READ_ONLY_AND_AUTOCLEAR: u32 = 1 | 4; // LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: READ_ONLY_AND_AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let config =
        Config { descriptor: file.as_fd().as_raw_fd().unsigned_abs(), block_size: 0, info, reserved: [0; 8] };
    for _ in 0..TRIES {
        // SAFETY: it takes no argument and answers a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        let number = Errno::result(number)?.unsigned_abs();
        let device = OpenOptions::new().read(true).open(format!("/dev/loop{number}"))?;
        // SAFETY: the argument is a `struct loop_config`, as the request asks, alive until the call returns.
        let answer = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) };
        match Errno::result(answer) {
            Ok(_) => return Ok(Loop { number, device }),
            Err(Errno::EBUSY) => {} // Another was quicker.
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::EBUSY.into())
}

const _: () = assert!(size_of::<Info>() == 232);
const _: () = assert!(size_of::<Config>() == 304);
