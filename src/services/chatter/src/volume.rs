//! What it does with its volume: counts its lives there, keeps a diary, fills it, and troubles whoever shares the disk.
//!
//! In:  how much to write at most, or until when. Out: files in the volume; lines of its log that say what was done, and what the kernel said
//! when it was no more.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Files that are made at most.
const FILES_MAX: usize = 1_000;
/// What is written at once, in bytes.
static PIECE: [u8; 64 * 1024] = [7; 64 * 1024];
/// A diary of this many bytes begins anew.
const DIARY_BYTES_MAX: u64 = 1 << 20;
/// A storm's records: how many bytes each, and after how many its file begins anew.
const RECORD: [u8; 512] = [7; 512];
const RECORDS_MAX: usize = 2_048;
/// What is poured before it is forced to the disk, in pieces: a megabyte.
const POURED: usize = 16;
/// What is cut off behind it: less than a block.
const CUT_BYTES: usize = 1_000;
/// A note, in bytes: a block.
const NOTE: [u8; 4_096] = [7; 4_096];
/// How often a full disk is tried before the file is thrown away and written again.
const TRIES_MAX: usize = 1_000;
/// The file that is written over and over: eight fit on a small disk, and few kernels of small machines let as much be dirty.
const CACHED_BYTES: u64 = 16 << 20;

/// `O_DIRECT` of x86, and where its buffers may begin. Source: asm-generic/fcntl.h; open(2).
const O_DIRECT: i32 = 0o40_000;
#[repr(align(4096))]
struct Drawn([u8; 64 * 1024]);

/// Where it is, as its manifest says.
fn place() -> PathBuf {
    std::env::var_os("VOLUME").map_or_else(|| PathBuf::from("/data"), PathBuf::from)
}

/// Says how often it has lived, how much it could write, how many files it could make, and whether one of them runs.
pub(crate) fn keep(mib: usize) {
    let volume = place();
    match lives(&volume.join("lives")) {
        Ok(lives) => println!("life {lives}"),
        Err(error) => println!("no lives: {error}"),
    }
    let (bytes, outcome) = write(&volume.join("fill"), mib << 20);
    println!("wrote {bytes} bytes: {}", said(outcome));
    let (files, outcome) = make(&volume);
    println!("made {files} files: {}", said(outcome));
}

fn said(outcome: io::Result<()>) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "all of it".to_owned())
}

/// How often it has lived, this time included.
fn lives(path: &Path) -> io::Result<u64> {
    let before = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_u64);
    let mut file = File::create(path)?;
    writeln!(file, "{}", before + 1)?;
    file.sync_all().map(|()| before + 1)
}

fn write(path: &Path, bytes: usize) -> (usize, io::Result<()>) {
    let mut written = 0;
    let outcome = File::create(path).and_then(|mut file| {
        while written < bytes {
            written += file.write(&PIECE)?;
        }
        file.sync_all()
    });
    (written, outcome)
}

fn make(folder: &Path) -> (usize, io::Result<()>) {
    for done in 0..FILES_MAX {
        if let Err(error) = File::create(folder.join(done.to_string())) {
            return (done, Err(error));
        }
    }
    (FILES_MAX, Ok(()))
}

/// Adds a record of so many bytes to its diary, and returns when the disk has it.
pub(crate) fn record(bytes: usize) -> io::Result<()> {
    let path = place().join("diary");
    let begins = fs::metadata(&path).map_or(true, |about| about.len() >= DIARY_BYTES_MAX);
    let mut file = File::options().create(true).write(true).append(!begins).truncate(begins).open(path)?;
    file.write_all(&vec![b'.'; bytes])?;
    file.sync_all()
}

/// Writes a megabyte over and over, and forces each to the disk before the next. Returns only where the disk takes no more.
pub(crate) fn pour(number: usize) -> io::Error {
    for_ever(&format!("poured-{number}"), |file| {
        file.rewind()?;
        (0..POURED).try_for_each(|_| file.write_all(&PIECE))?;
        // Of what has its place on the disk no more than that: the journal, which all share, has no part in it.
        file.sync_data()
    })
}

/// Writes a megabyte over and over, forces nothing, and cuts the file in the middle of a block: the next commit of the journal, and whoever
/// waits for it, waits for all of the file. Returns only where the disk takes no more.
pub(crate) fn cut(number: usize) -> io::Error {
    for_ever(&format!("cut-{number}"), |file| {
        file.rewind()?;
        (0..POURED).try_for_each(|_| file.write_all(&PIECE))?;
        file.set_len(u64::try_from(POURED * PIECE.len() - CUT_BYTES).unwrap_or(0))
    })
}

/// Writes a note over and over, and forces each to the disk before the next. Returns only where the disk takes no more.
pub(crate) fn note(number: usize) -> io::Error {
    for_ever(&format!("note-{number}"), |file| {
        file.rewind()?;
        file.write_all(&NOTE)?;
        file.sync_all()
    })
}

/// Makes a file, and does `once` to it until that fails.
fn for_ever(name: &str, once: impl Fn(&mut File) -> io::Result<()>) -> io::Error {
    match File::create(place().join(name)) {
        Ok(mut file) => loop {
            if let Err(error) = once(&mut file) {
                return error;
            }
        },
        Err(error) => error,
    }
}

/// Reads a megabyte over and over, from the disk and not from memory. Returns only where the disk gives no more.
pub(crate) fn draw(number: usize) -> io::Error {
    let path = place().join(format!("drawn-{number}"));
    let mut piece = Box::new(Drawn([0; 64 * 1024]));
    let made = write(&path, POURED * PIECE.len()).1;
    let opened = made.and_then(|()| File::options().read(true).custom_flags(O_DIRECT).open(path));
    let mut once = |file: &mut File| {
        file.rewind()?;
        (0..POURED).try_for_each(|_| file.read_exact(&mut piece.0))
    };
    match opened {
        Ok(mut file) => loop {
            if let Err(error) = once(&mut file) {
                return error;
            }
        },
        Err(error) => error,
    }
}

/// Makes one file anew, again and again, until `until`, and lets `go_on` write to it; what that counts, together.
fn again(name: &str, until: Instant, go_on: fn(&mut File, Instant) -> u64) -> u64 {
    let path = place().join(format!("{name}-{}", std::process::id()));
    let mut count = 0;
    while Instant::now() < until {
        match File::create(&path) {
            Ok(mut file) => count += go_on(&mut file, until),
            Err(_) => thread::sleep(Duration::from_millis(1)), // It may not, or not now; it tries again.
        }
    }
    let _ = fs::remove_file(path);
    count
}

/// A storm: small records, each forced to the disk before the next. How many the disk took.
pub(crate) fn storm(until: Instant) -> u64 {
    again("storm", until, |file, until| {
        let taken = |file: &mut File| file.write_all(&RECORD).and_then(|()| file.sync_all()).is_ok();
        let records = (0..RECORDS_MAX).take_while(|_| Instant::now() < until && taken(file));
        u64::try_from(records.count()).unwrap_or(0)
    })
}

/// Writes until no more is taken, and goes on trying. How many bytes were taken.
pub(crate) fn fill(until: Instant) -> u64 {
    again("full", until, |file, until| {
        let (mut taken, mut refused) = (0, 0);
        while refused < TRIES_MAX && Instant::now() < until {
            match file.write(&PIECE) {
                Ok(bytes) => taken += bytes,
                Err(_) => refused += 1,
            }
        }
        u64::try_from(taken).unwrap_or(0)
    })
}

/// Writes one file over and over, and never waits for the disk: the kernel's memory is full of what the disk has yet to take. How many pieces.
pub(crate) fn cache(until: Instant) -> u64 {
    again("cached", until, |file, until| {
        let mut taken = 0;
        while Instant::now() < until && file.write_all(&PIECE).is_ok() {
            taken += 1;
            if file.stream_position().is_ok_and(|at| at >= CACHED_BYTES) && file.rewind().is_err() {
                break;
            }
        }
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::{cache, fill, storm};
    use std::time::{Duration, Instant};

    #[test]
    fn who_has_no_volume_tries_in_vain_and_ends_in_time() {
        // Nobody has a volume at this place where tests run.
        assert!(!super::place().exists() || std::env::var_os("VOLUME").is_some());
        for antagonist in [storm, fill, cache] {
            let until = Instant::now() + Duration::from_millis(20);
            antagonist(until);
            assert!(Instant::now() >= until);
        }
    }
}
