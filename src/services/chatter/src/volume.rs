//! What it does with its volume: counts its lives there, and fills it.
//!
//! In:  how much to write at most. Out: lines of its log that say what was done, and what the kernel said when it was no more.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Files that are made at most.
const FILES_MAX: usize = 1_000;

/// Says how often it has lived, how much it could write, how many files it could make, and whether one of them runs.
pub(crate) fn keep(mib: usize) {
    // Where it is, as its manifest says.
    let place = std::env::var("VOLUME").unwrap_or_else(|_| "/data".to_owned());
    let volume = Path::new(&place);
    match lives(&volume.join("lives")) {
        Ok(lives) => println!("life {lives}"),
        Err(error) => println!("no lives: {error}"),
    }
    let (bytes, outcome) = fill(&volume.join("fill"), mib << 20);
    println!("wrote {bytes} bytes: {}", said(outcome));
    let (files, outcome) = make(volume);
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

fn fill(path: &Path, bytes: usize) -> (usize, io::Result<()>) {
    let mut written = 0;
    let outcome = File::create(path).and_then(|mut file| {
        while written < bytes {
            written += file.write(&[7; 64 * 1024])?;
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
