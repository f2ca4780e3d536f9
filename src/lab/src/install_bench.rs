//! A bundle of 20 MB on the emulated gateway: from the order to its end.
//!
//! In:  a kernel. Out: one figure, against a limit of 10 s: there is no peer on the board.
//!
//! The registry is at the desk, seen by the WAN; the store is on the USB stick. The end is that the supervisor has taken the service.

use std::fs;
use std::time::{Duration, Instant};

use crate::bench::{Figure, Goal};
use crate::error::Error;
use crate::facts;
use crate::guest::{Guest, Options, UP_LIMIT};
use crate::house::{self, Scratch};
use crate::kernel::Kernel;
use crate::operator::{DESK, Operator, PROVIDER, Release};

/// What the image has, in bytes: the program, and behind it what no packer makes smaller.
const SIZE: usize = 20_000_000;
/// What an installation may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The best of so many.
const ROUNDS: u64 = 3;

const MANIFEST: &str = include_str!("../../services/hello/manifest.toml");

/// Measures it.
///
/// # Errors
/// [`Error::Missing`]: something is not built or installed. Others as [`Guest::boot_or_say`].
pub fn measure(kernel: Kernel) -> Result<Vec<Figure>, Error> {
    let scratch = Scratch::new()?;
    let operator = Operator::start(&scratch.file("operator"))?;
    let program = scratch.file("hello");
    fs::copy(house::firmware().join("hello"), &program).map_err(Error::path(&program))?;
    grow(&program)?;
    let (head, _) = MANIFEST.split_once("[[serves]]").unwrap_or((MANIFEST, ""));
    let manifest = head.replace("name = \"hello\"", "name = \"large\"");
    let files = operator.texts(DESK)?.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect();
    let mut guest = Guest::boot_or_say(&Options { files, ..Options::new(kernel) })?;
    guest.until("package serves", UP_LIMIT, |guest| Ok((guest.ask("packages")?.exit == 0).then_some(())))?;
    guest.until("a WAN", UP_LIMIT, |guest| Ok(facts::wan(guest)?.map(drop)))?;
    let mut best = Duration::MAX;
    for version in 1..=ROUNDS {
        let release =
            Release { provider: PROVIDER, name: "large", version, manifest: &manifest, program: &program };
        let source = operator.publish(release, DESK)?;
        let begun = Instant::now();
        guest.door(&format!("install {source}"))?;
        best = best.min(begun.elapsed());
        guest.door("remove large")?;
    }
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let name = "install_20mb_guest_ms".to_owned();
    Ok(vec![Figure { name, ours: ms(best), peer: ms(LIMIT), goal: Goal::AtMost(1000) }])
}

/// Makes the file as long as [`SIZE`] says.
fn grow(path: &std::path::Path) -> Result<(), Error> {
    let mut bytes = fs::read(path).map_err(Error::path(path))?;
    let mut noise = fs::File::open("/dev/urandom").map_err(Error::io("/dev/urandom"))?;
    let mut rest = vec![0; SIZE.saturating_sub(bytes.len())];
    std::io::Read::read_exact(&mut noise, &mut rest).map_err(Error::io("/dev/urandom"))?;
    bytes.append(&mut rest);
    fs::write(path, bytes).map_err(Error::path(path))
}
