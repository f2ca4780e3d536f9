//! The bare peer: an init that only loads the same modules, booted on the same board, measured.
//!
//! In:  a kernel. Out: milliseconds.
//!
//! The program is `src/bin/bare.rs`; `make rehearsal` builds it with the firmware's profile.

use crate::error::Error;
use crate::guest::{Around, BOOT_LIMIT, Guest, Options};
use crate::kernel::Kernel;
use crate::root::{self, Variant};

/// What a bare init took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare {
    /// Its first line, in milliseconds after the kernel began.
    pub init_ms: u64,
    /// From there until the modules were loaded, in milliseconds.
    pub loaded_ms: u64,
}

/// Boots it and reads what it says.
///
/// # Errors
/// [`Error::Missing`]: kernel, emulator or cross target. [`Error::Answer`]: it said nothing.
pub fn measure(kernel: Kernel) -> Result<Bare, Error> {
    let root = root::bare(kernel, "bare")?;
    let options = Options { variant: Variant::Shipped, around: Around::Nothing, ..Options::new(kernel) };
    eprintln!("» booting a bare init, to compare with");
    let mut guest = Guest::start(&options, root)?;
    guest.wait_off(BOOT_LIMIT)?;
    parse(&guest.console())
        .ok_or_else(|| Error::Answer { who: "the bare init".to_owned(), why: guest.last_lines() })
}

fn parse(console: &str) -> Option<Bare> {
    let line = console.lines().find_map(|line| line.split_once("bare: "))?.1;
    let (began, loaded) = line.trim_end().split_once(' ')?;
    let (init_ms, loaded): (u64, u64) = (began.parse().ok()?, loaded.parse().ok()?);
    Some(Bare { init_ms, loaded_ms: loaded.checked_sub(init_ms)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_line_is_found_among_the_kernels() {
        let console = "[    2.1] Run /sbin/init\r\n\r\nbare: 2105 2945\r\n[    3.0] reboot: Power down\r\n";
        assert_eq!(parse(console), Some(Bare { init_ms: 2105, loaded_ms: 840 }));
        assert_eq!(parse("bare: 9 8\n"), None);
        assert_eq!(parse(""), None);
    }
}
