//! The kernel's random numbers, and its pool of entropy.
//!
//! Source: getrandom(2), `GRND_INSECURE` since Linux 5.6; random(4), `RNDADDENTROPY`.

use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// What a seed has: as many bytes as the kernel's generator has of a key.
pub const SEED_BYTES: usize = 32;

/// `struct rand_pool_info` with that many bytes behind it.
#[repr(C)]
struct Addition {
    entropy_bits: libc::c_int,
    size_bytes: libc::c_int,
    bytes: [u8; SEED_BYTES],
}

/// Fills `bytes`. Were they good, that is: has the kernel gathered enough entropy since boot? Does not wait for it.
///
/// # Errors
/// `EINVAL`: Linux before 5.6. `EIO`: fewer than asked for, which does not happen up to 256 bytes.
pub fn random(bytes: &mut [u8]) -> Result<bool, Errno> {
    const GRND_INSECURE: libc::c_uint = 4;
    match get(bytes, libc::GRND_NONBLOCK) {
        Err(Errno::EAGAIN) => get(bytes, GRND_INSECURE).map(|()| false),
        other => other.map(|()| true),
    }
}

fn get(bytes: &mut [u8], flags: libc::c_uint) -> Result<(), Errno> {
    let (pointer, size) = (bytes.as_mut_ptr(), bytes.len());
    // By its number: the standard library names libc's function weakly, and what is linked as a whole then takes that for all who name
    // it, so the static program has none of it and a call goes to address 0.
    // SAFETY: pointer and length are those of a slice that is ours to write to until the call returns.
    let length = unsafe { libc::syscall(libc::SYS_getrandom, pointer, size, flags) };
    let length = usize::try_from(Errno::result(length)?).map_err(|_| Errno::EIO)?;
    if length == bytes.len() { Ok(()) } else { Err(Errno::EIO) }
}

/// Mixes `seed` into the pool, and counts it as `entropy_bits` of entropy (0: as none).
///
/// # Errors
/// `ENOENT`: no `/dev/urandom`. `EPERM`: we lack `CAP_SYS_ADMIN`.
pub fn add(seed: &[u8; SEED_BYTES], entropy_bits: u8) -> Result<(), Errno> {
    const RNDADDENTROPY: libc::c_ulong = 0x4008_5203; // linux/random.h: _IOW('R', 0x03, int [2])
    const SIZE: libc::c_int = 32;
    const { assert!(SIZE.unsigned_abs() as usize == SEED_BYTES) };
    let pool = OpenOptions::new().write(true).open("/dev/urandom");
    let pool = pool.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let addition = Addition { entropy_bits: entropy_bits.into(), size_bytes: SIZE, bytes: *seed };
    #[allow(clippy::useless_conversion, reason = "musl's ioctl takes an int, glibc's a long")]
    let request = RNDADDENTROPY.try_into().map_err(|_| Errno::EINVAL)?;
    // SAFETY: the struct is what this request reads, says its own size, and lives until the call returns.
    let answer = unsafe { libc::ioctl(pool.as_raw_fd(), request, &raw const addition) };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{SEED_BYTES, add, random};
    use nix::errno::Errno;

    #[test]
    fn numbers_come_and_differ() {
        let (mut one, mut other) = ([0; SEED_BYTES], [0; SEED_BYTES]);
        random(&mut one).unwrap();
        random(&mut other).unwrap();
        assert_ne!(one, other);
    }

    #[test]
    fn a_seed_is_mixed_in() {
        // Counted as nothing, for it is not secret.
        match add(&[7; SEED_BYTES], 0) {
            Ok(()) => {}
            Err(Errno::EPERM | Errno::EACCES) => println!("skipped: needs CAP_SYS_ADMIN"),
            Err(errno) => panic!("{errno}"),
        }
    }
}
