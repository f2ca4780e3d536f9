//! The power goes at any step, and what was kept is found again: each state in which a cut can leave the folder is made by hand.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use state::image::{self, Image};
use state::{Error, File, Folder};

/// A folder that stands for a daemon's.
struct Disk(PathBuf);

impl Disk {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shg-state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> File {
        Folder::at(&self.0).file("table", 64)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn put(&self, name: &str, contents: &[u8]) {
        fs::write(self.at(name), contents).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn found(file: &File) -> Result<Option<Vec<u8>>, Error> {
    file.load().map(|kept| kept.map(|kept| kept.bytes))
}

fn written(generation: u64, bytes: &[u8]) -> Vec<u8> {
    image::write(&Image { version: 1, generation, bytes })
}

#[test]
fn the_newest_that_is_whole_is_found_and_nothing_goes_back() {
    let (first, second) = (written(1, b"first"), written(2, b"second"));
    // What a cut left: in its place, put aside, beside. What is found.
    type Left<'l> = (&'l str, [Option<&'l [u8]>; 3], Result<Option<&'l [u8]>, Error>);
    let table: &[Left<'_>] = &[
        ("before the first", [None, None, None], Ok(None)),
        ("in the first", [None, None, Some(&first[..9])], Ok(None)),
        ("before its first rename", [None, None, Some(&first)], Ok(Some(b"first"))),
        ("after the first", [Some(&first), None, None], Ok(Some(b"first"))),
        ("in the second", [Some(&first), None, Some(&second[..29])], Ok(Some(b"first"))),
        ("an empty one", [Some(&first), None, Some(b"")], Ok(Some(b"first"))),
        ("before its renames", [Some(&first), None, Some(&second)], Ok(Some(b"second"))),
        ("between its renames", [None, Some(&first), Some(&second)], Ok(Some(b"second"))),
        ("after the second", [Some(&second), Some(&first), None], Ok(Some(b"second"))),
        ("a bad sector", [Some(&second[..9]), Some(&first), None], Ok(Some(b"first"))),
        ("two bad sectors", [Some(&second[..9]), Some(&first[..9]), None], Err(Error::Broken("table"))),
        ("zeroes", [Some(&[0; 30]), None, None], Err(Error::Broken("table"))),
    ];
    for (number, (name, left, want)) in table.iter().enumerate() {
        let disk = Disk::new(&format!("cut-{number}"));
        for (ending, contents) in ["table", "table.old", "table.new"].iter().zip(left) {
            if let Some(contents) = contents {
                disk.put(ending, contents);
            }
        }
        let file = disk.file();
        assert_eq!(found(&file), want.map(|bytes| bytes.map(<[u8]>::to_vec)), "{name}");
        // It goes on from there; a cut in the middle of the next writing does not bring back what was older than what was found.
        file.save(1, b"next").unwrap();
        assert_eq!(found(&file), Ok(Some(b"next".to_vec())), "{name}");
        if let Ok(Some(before)) = want {
            fs::remove_file(disk.at("table")).unwrap();
            assert_eq!(found(&file), Ok(Some(before.to_vec())), "{name}: the generation before");
        }
    }
}

#[test]
fn what_must_not_come_back_does_not() {
    let disk = Disk::new("once");
    let file = disk.file().without_old();
    file.save(1, b"first").unwrap();
    file.save(1, b"second").unwrap();
    assert_eq!(found(&file), Ok(Some(b"second".to_vec())));
    assert!(!disk.at("table.old").exists());
    // Written and not renamed: it counts, and the one before it is gone for good at the next.
    disk.put("table.new", &written(3, b"third"));
    assert_eq!(found(&file), Ok(Some(b"third".to_vec())));
    file.save(1, b"fourth").unwrap();
    disk.put("table", b"");
    assert_eq!(found(&file), Err(Error::Broken("table")));
}

#[test]
fn a_disk_that_is_absent_full_or_odd_says_so() {
    let disk = Disk::new("odd");
    let file = disk.file();
    assert_eq!(file.save(1, &[0; 65]), Err(Error::Large("table", 65)));
    file.save(7, &[0; 64]).unwrap();
    assert_eq!(file.load().unwrap().unwrap().version, 7);
    let mode = fs::metadata(disk.at("table")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    // Longer than it may be, a link, a folder: none of them is ours, none is followed.
    disk.put("table", &written(9, &[0; 65]));
    assert_eq!(found(&file), Err(Error::Broken("table")));
    fs::remove_file(disk.at("table")).unwrap();
    disk.put("other", &written(9, b"other"));
    symlink("other", disk.at("table")).unwrap();
    assert_eq!(found(&file), Err(Error::Broken("table")));
    file.save(1, b"ours").unwrap();
    assert_eq!(found(&file), Ok(Some(b"ours".to_vec())));
    assert_eq!(fs::read(disk.at("other")).unwrap(), written(9, b"other"), "what the link led to");
    fs::remove_file(disk.at("table")).unwrap();
    fs::create_dir(disk.at("table")).unwrap();
    assert_eq!(found(&file), Err(Error::Broken("table")));
    let nowhere = Folder::at(Path::new("/nowhere/at/all"));
    assert!(!nowhere.is_there());
    assert_eq!(nowhere.file("table", 9).load(), Err(Error::Absent));
    assert_eq!(nowhere.file("table", 9).save(1, b""), Err(Error::Absent));
    fs::remove_dir_all(&disk.0).unwrap();
    symlink("/tmp", &disk.0).unwrap();
    assert_eq!(file.load(), Err(Error::Absent), "a link in the folder's place");
    fs::remove_file(&disk.0).unwrap();
}
