//! The wall clock with 64 bits on every machine: `libc` keeps 32 of them on i686, which end in 2038 (docs/decisions/0005-musl.md).
//!
//! Source: clock_gettime(2), clock_settime(2), `clock_adjtime`(2), by their numbers; linux/time_types.h, linux/timex.h.

use nix::errno::Errno;

/// The calls that take 64 bits. Source: arch/x86/entry/syscalls; those of x86-64 always did.
#[cfg(target_arch = "x86")]
mod number {
    pub(super) const GET: libc::c_long = 403;
    pub(super) const SET: libc::c_long = 404;
    pub(super) const ADJUST: libc::c_long = 405;
}
#[cfg(not(target_arch = "x86"))]
mod number {
    pub(super) const GET: libc::c_long = libc::SYS_clock_gettime;
    pub(super) const SET: libc::c_long = libc::SYS_clock_settime;
    pub(super) const ADJUST: libc::c_long = libc::SYS_clock_adjtime;
}

/// `struct __kernel_timespec`.
#[repr(C)]
#[derive(Default)]
struct Spec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct __kernel_timex`.
#[repr(C)]
#[derive(Default)]
struct Timex {
    modes: u32,
    pad: i32,
    offset: i64,
    frequency: i64,
    max_error: i64,
    estimated_error: i64,
    status: i32,
    pad_2: i32,
    constant: i64,
    precision: i64,
    tolerance: i64,
    seconds: i64,
    nanoseconds: i64,
    tick: i64,
    pps: [i64; 2],
    shift: i32,
    pad_3: i32,
    counts: [i64; 5],
    tai: i32,
    pad_4: [i32; 11],
}
const _: () = assert!(size_of::<Timex>() == 208);

const NANOSECONDS: i64 = 1_000_000_000;
/// A frequency has 16 bits behind the point, in millionths.
const FREQUENCY_SHIFT: u32 = 16;

/// linux/timex.h
mod mode {
    pub(super) const OFFSET: u32 = 0x0001;
    pub(super) const FREQUENCY: u32 = 0x0002;
    pub(super) const MAX_ERROR: u32 = 0x0004;
    pub(super) const ESTIMATED_ERROR: u32 = 0x0008;
    pub(super) const STATUS: u32 = 0x0010;
    pub(super) const CONSTANT: u32 = 0x0020;
    pub(super) const NANO: u32 = 0x2000;
}
const STA_PLL: i32 = 0x0001;
const STA_UNSYNC: i32 = 0x0040;

/// What the clock says, in nanoseconds since 1970. 64 bits of them end in 2262.
///
/// # Errors
/// `ENOSYS`: Linux before 5.1 on i686. `EOVERFLOW`: it says a time after 2262.
pub fn now_ns() -> Result<i64, Errno> {
    let mut now = Spec::default();
    // SAFETY: the struct is what this call writes, and lives until it returns.
    let answer = unsafe { libc::syscall(number::GET, libc::CLOCK_REALTIME, &raw mut now) };
    Errno::result(answer)?;
    let seconds = now.seconds.checked_mul(NANOSECONDS).ok_or(Errno::EOVERFLOW)?;
    seconds.checked_add(now.nanoseconds).ok_or(Errno::EOVERFLOW)
}

/// Sets the clock, in nanoseconds since 1970.
///
/// # Errors
/// `EPERM`: we lack `CAP_SYS_TIME`. `EINVAL`: before 1970, or before the machine was started.
pub fn set(now_ns: i64) -> Result<(), Errno> {
    let now = Spec { seconds: now_ns.div_euclid(NANOSECONDS), nanoseconds: now_ns.rem_euclid(NANOSECONDS) };
    // SAFETY: the struct is what this call reads, and lives until it returns.
    let answer = unsafe { libc::syscall(number::SET, libc::CLOCK_REALTIME, &raw const now) };
    Errno::result(answer).map(drop)
}

/// What the kernel is to make of a measured offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slew {
    /// How far the clock is behind, in nanoseconds; the kernel takes half a second at most.
    pub offset_ns: i64,
    /// The time constant of its loop: log2 of seconds, less four; 0 to 10.
    pub constant: u8,
    /// How far the clock may be off, in microseconds.
    pub max_error_us: u32,
    /// How far it is off, probably, in microseconds.
    pub estimated_error_us: u32,
}

fn adjust(wanted: &mut Timex) -> Result<(), Errno> {
    // SAFETY: the struct is what this call reads and writes, and lives until it returns.
    let answer = unsafe { libc::syscall(number::ADJUST, libc::CLOCK_REALTIME, &raw mut *wanted) };
    Errno::result(answer).map(drop)
}

/// Lets the kernel take `slew` back bit by bit, and learn the oscillator's error from it.
///
/// # Errors
/// `EPERM`: we lack `CAP_SYS_TIME`.
pub fn slew(slew: &Slew) -> Result<(), Errno> {
    adjust(&mut Timex {
        modes: mode::OFFSET
            | mode::STATUS
            | mode::CONSTANT
            | mode::MAX_ERROR
            | mode::ESTIMATED_ERROR
            | mode::NANO,
        offset: slew.offset_ns,
        constant: slew.constant.into(),
        status: STA_PLL,
        max_error: slew.max_error_us.into(),
        estimated_error: slew.estimated_error_us.into(),
        ..Timex::default()
    })
}

/// Sets how much the oscillator is corrected, in billionths (at most 500 000 either way), and forgets what of an offset is left.
/// Nobody has set the clock yet, as far as the kernel is concerned.
///
/// # Errors
/// `EPERM`: we lack `CAP_SYS_TIME`.
pub fn set_frequency(ppb: i64) -> Result<(), Errno> {
    adjust(&mut Timex {
        modes: mode::OFFSET | mode::FREQUENCY | mode::STATUS | mode::NANO,
        frequency: ppb.saturating_mul(1 << FREQUENCY_SHIFT) / 1_000,
        status: STA_PLL | STA_UNSYNC,
        ..Timex::default()
    })
}

/// How much the oscillator is corrected, in billionths.
///
/// # Errors
/// `ENOSYS`: Linux before 5.1 on i686.
pub fn frequency_ppb() -> Result<i64, Errno> {
    let mut found = Timex::default();
    adjust(&mut found)?;
    Ok(found.frequency.saturating_mul(1_000) >> FREQUENCY_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::{frequency_ppb, now_ns, set};
    use nix::errno::Errno;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_clock_is_the_same_as_the_standard_librarys() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let now = u128::try_from(now_ns().unwrap()).unwrap();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        assert!(before <= now && now <= after, "{before} {now} {after}");
        assert!(frequency_ppb().unwrap().abs() <= 500_000);
    }

    // Slewing is tested in the guest, which has a clock of its own.
    #[test]
    fn a_time_that_is_none_is_refused() {
        // Never changes the machine's clock: where we may, the kernel refuses the value; where we may not, it says so.
        let refused = set(-1);
        assert!(matches!(refused, Err(Errno::EINVAL | Errno::EPERM)), "{refused:?}");
    }
}
