//! The entropy seed: what makes random numbers good right after a boot, on a machine that has nothing else to make them of.
//!
//! In:  the file `seed` in the data disk's `state`, the kernel's pool. Out: a pool that is ready, and another seed for the next boot.
//!
//! A seed counts as entropy once. So it is replaced on the disk before it is counted: if the power goes in between, the next boot has the
//! one that took its place. The new one is a hash of the old one and of the kernel's random numbers; it is written a second time once
//! these are good, so that who has seen one seed cannot tell the next, and a last time when the machine ends in order.
//!
//! On a disk that cannot be written to, the seed is mixed in and not counted.
//!
//! Source: random(4); the order is that of seedrng(8), by J. A. Donenfeld.

use std::path::Path;

use log::{info, warn};
use ring::digest::{Context, SHA256};
use state::{File, Folder};
use sys::entropy::{self, SEED_BYTES};
use sys::{Errno, clock};

use crate::folders;

/// A seed.
pub type Seed = [u8; SEED_BYTES];

/// The form of the file: a byte that is 1 where the seed may be counted, and the seed.
const VERSION: u16 = 1;
const BYTES: usize = SEED_BYTES + 1;
/// What a seed that counts is counted as: all its bits.
const BITS: u8 = 255;

/// The kernel's pool of entropy.
pub trait Pool {
    /// Fills `bytes`. Are they good?
    fn random(&self, bytes: &mut Seed) -> bool;
    /// Mixes `seed` in, counted as so many bits.
    ///
    /// # Errors
    /// We may not.
    fn add(&self, seed: &Seed, bits: u8) -> Result<(), Errno>;
}

/// The kernel's own.
#[derive(Debug)]
pub struct Kernel;

impl Pool for Kernel {
    fn random(&self, bytes: &mut Seed) -> bool {
        // Without random numbers the new seed is a hash of the old one.
        entropy::random(bytes).unwrap_or(false)
    }
    fn add(&self, seed: &Seed, bits: u8) -> Result<(), Errno> {
        entropy::add(seed, bits)
    }
}

/// A seed as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    seed: Seed,
    /// It holds entropy that nobody has counted yet.
    counts: bool,
}

/// The file below the `top` of a data disk.
fn file(top: &Path) -> File {
    Folder::at(&top.join(folders::STATE)).file("seed", BYTES).without_old()
}

/// A data disk has come: its seed goes into `pool`, and another takes its place.
pub fn take(top: &Path, pool: &impl Pool) {
    let file = file(top);
    let found = load(&file);
    let replaced = replace(&file, found, pool);
    let Some(found) = found else { return info!("entropy: a first seed for the next boot") };
    let bits = if found.counts && replaced { BITS } else { 0 };
    match pool.add(&found.seed, bits) {
        Ok(()) if bits > 0 => info!("entropy: the last boot's seed is counted"),
        Ok(()) => info!("entropy: the last boot's seed is mixed in, and not counted"),
        Err(errno) => return warn!("entropy: the seed cannot be added: {}", errno.desc()),
    }
    if pool.random(&mut [0; SEED_BYTES]) {
        info!("entropy: random numbers are good, {} ms after boot", clock::boot_ms());
    }
    if replaced {
        leave(top, pool);
    }
}

/// Leaves a fresh seed for the next boot.
pub fn leave(top: &Path, pool: &impl Pool) {
    let file = file(top);
    replace(&file, load(&file), pool);
}

fn load(file: &File) -> Option<Kept> {
    let kept = match file.load() {
        Ok(kept) => kept?,
        Err(error) => {
            warn!("entropy: {error}");
            return None;
        }
    };
    let (counts, seed) = kept.bytes.split_first()?;
    let seed = Seed::try_from(seed).ok().filter(|_| kept.version == VERSION)?;
    Some(Kept { seed, counts: *counts == 1 })
}

/// Puts another in the place of `old`. Is it on the disk?
fn replace(file: &File, old: Option<Kept>, pool: &impl Pool) -> bool {
    let mut fresh = [0; SEED_BYTES];
    let good = pool.random(&mut fresh);
    let mut hash = Context::new(&SHA256);
    hash.update(b"Service Hosting Gateway, entropy seed 1");
    hash.update(&old.map(|old| old.seed).unwrap_or_default());
    hash.update(&fresh);
    // What the old one has not given to the pool yet is in the new one.
    let counts = good || old.is_some_and(|old| old.counts);
    let bytes = [&[u8::from(counts)], hash.finish().as_ref()].concat();
    match file.save(VERSION, &bytes) {
        Ok(()) => true,
        Err(error) => {
            warn!("entropy: no seed for the next boot: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BITS, Pool, SEED_BYTES, Seed, file, leave, take};
    use std::cell::{Cell, RefCell};
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};
    use sys::Errno;

    /// A kernel whose power goes after so many calls.
    struct Boot {
        top: PathBuf,
        number: u8,
        good: Cell<bool>,
        calls_left: Cell<usize>,
        counted: RefCell<Vec<Seed>>,
    }

    impl Boot {
        fn new(top: &Path, number: u8) -> Self {
            let (good, calls_left, counted) = (Cell::new(false), Cell::new(usize::MAX), RefCell::default());
            Self { top: top.to_owned(), number, good, calls_left, counted }
        }

        fn call(&self) {
            let left = self.calls_left.get().checked_sub(1);
            self.calls_left.set(left.expect("the power goes"));
        }
    }

    impl Pool for Boot {
        fn random(&self, bytes: &mut Seed) -> bool {
            self.call();
            *bytes = [self.number; SEED_BYTES];
            self.good.get()
        }
        fn add(&self, seed: &Seed, bits: u8) -> Result<(), Errno> {
            self.call();
            let on_disk = file(&self.top).load().unwrap().unwrap();
            if bits > 0 {
                assert_eq!(bits, BITS);
                assert_ne!(&on_disk.bytes[1..], seed, "it is on the disk still, for the next boot");
                self.counted.borrow_mut().push(*seed);
                self.good.set(true);
            }
            self.call();
            Ok(())
        }
    }

    fn disk(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("shg-storage-seed-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("state")).unwrap();
        top
    }

    #[test]
    fn a_seed_is_counted_once_and_only_if_it_is_one() {
        let top = disk("once");
        let boot = Boot::new(&top, 1);
        take(&top, &boot);
        let boot = Boot::new(&top, 2);
        take(&top, &boot);
        assert!(boot.counted.take().is_empty(), "made of nothing, it counts as nothing");
        boot.good.set(true);
        leave(&top, &boot);
        let mut counted = Vec::new();
        for number in 3..9 {
            let boot = Boot::new(&top, number);
            take(&top, &boot);
            counted.extend(boot.counted.take());
        }
        assert_eq!(counted.len(), 6);
        counted.sort_unstable();
        counted.dedup();
        assert_eq!(counted.len(), 6, "each another");
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn whenever_the_power_goes_no_seed_is_counted_twice() {
        let top = disk("cuts");
        let boot = Boot::new(&top, 0);
        boot.good.set(true);
        leave(&top, &boot);
        let mut counted: Vec<Seed> = Vec::new();
        // Calls of the kernel: random, add (begun), add (done), random twice. A cut before each, and in the writing of the file.
        for (number, calls) in [0, 1, 2, 3, 4, 5, 1, 2, 0, 3].into_iter().enumerate() {
            let boot = Boot::new(&top, u8::try_from(number).unwrap() + 1);
            boot.calls_left.set(calls);
            let _ = catch_unwind(AssertUnwindSafe(|| take(&boot.top, &boot)));
            counted.extend(boot.counted.take());
            let state = top.join("state");
            match number {
                // Cut while the next was written: half of it lies beside.
                1 | 4 => {
                    let whole = fs::read(state.join("seed")).unwrap();
                    fs::write(state.join("seed.new"), &whole[..number * 8]).unwrap();
                }
                // It lies beside whole, and what it was to replace is still in its place.
                2 | 5 => {
                    let before = fs::read(state.join("seed")).unwrap();
                    let cut = Boot::new(&top, 99);
                    leave(&top, &cut);
                    fs::rename(state.join("seed"), state.join("seed.new")).unwrap();
                    fs::write(state.join("seed"), before).unwrap();
                }
                _ => {}
            }
        }
        let count = counted.len();
        assert!(count >= 4, "{count}");
        counted.sort_unstable();
        counted.dedup();
        assert_eq!(counted.len(), count);
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn without_a_folder_or_with_a_broken_file_it_goes_on() {
        let top = disk("odd");
        fs::write(top.join("state/seed"), "nonsense").unwrap();
        let boot = Boot::new(&top, 1);
        boot.good.set(true);
        take(&top, &boot);
        assert!(boot.counted.take().is_empty());
        take(&top, &boot);
        assert_eq!(boot.counted.take().len(), 1, "the one that took the broken one's place");
        fs::remove_dir_all(&top).unwrap();
        take(&top, &boot);
        leave(&top, &boot);
        assert!(boot.counted.take().is_empty());
    }
}
