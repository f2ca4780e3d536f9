//! The bare peer: an init that only loads the same modules, booted on the same board, measured.
//!
//! In:  a kernel. Out: milliseconds.
//!
//! The program is `src/bin/bare.rs`; it is built here, when it is needed, with the firmware's profile.

use std::path::PathBuf;

use crate::error::Error;
use crate::guest::{Around, BOOT_LIMIT, Guest, Options};
use crate::kernel::Kernel;
use crate::root::{self, Variant};
use crate::{house, tool};

/// What a bare init took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare {
    /// Its first line, in milliseconds after the kernel began.
    pub init_ms: u64,
    /// From there until the modules were loaded, in milliseconds.
    pub loaded_ms: u64,
}

/// Builds it.
fn build() -> Result<PathBuf, Error> {
    let environment = house::cache().join("firmware.env");
    if !environment.exists() {
        let remedy = "make firmware makes the cross target usable".to_owned();
        return Err(Error::Missing { what: environment.display().to_string(), remedy });
    }
    // The same folder as the firmware's, so that what both need is built once.
    let script = format!(
        ". \"$1/host.env\" && . \"$1/firmware.env\" && cd \"$2\" && exec cargo build -q --locked --profile firmware \
         --target {} --target-dir target/firmware -p lab --bin bare",
        house::TARGET
    );
    let (cache, top) = (house::cache().display().to_string(), house::top().display().to_string());
    tool::run("sh", &["-c", &script, "sh", &cache, &top])?;
    Ok(house::firmware().join("bare"))
}

/// Boots it and reads what it says.
///
/// # Errors
/// [`Error::Missing`]: kernel, emulator or cross target. [`Error::Answer`]: it said nothing.
pub fn measure(kernel: Kernel) -> Result<Bare, Error> {
    let root = root::bare(kernel, &build()?)?;
    let options = Options {
        kernel,
        variant: Variant::Shipped,
        around: Around::Nothing,
        stick: true,
        append: String::new(),
    };
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
