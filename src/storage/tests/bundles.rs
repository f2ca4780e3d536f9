//! Which bundles are believed, and why the others are not: everything that is decided before the kernel is asked.
//!
//! In:  a folder as a data disk has it, keys. Out: passed or failed. What the kernel does is in `tests/tests/guest_bundles.rs`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use bundle::digest::Digest;
use bundle::key::Secret;
use bundle::keyring::{self, Entry};
use bundle::make::{self, Bundle};
use bundle::record::Record;
use bundle::tree::{Content, Owner, Tree};
use contract::Name;
use storage::Error;
use storage::installed::{Installed, Sealed};
use storage::keys::Keys;

const SERVICE: &str = include_str!("../../services/hello/manifest.toml");

fn secret(byte: u8) -> Secret {
    Secret::of_seeds([byte; 32], [byte; 32])
}

fn hello() -> Name {
    Name::new("hello").unwrap()
}

/// A bundle of the service `hello` of the provider `demo`, or of another service.
fn bundle(service: &str) -> Bundle {
    let mut program = vec![7; 20_000];
    program[..20].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0]);
    let mut tree = Tree::default();
    tree.put(b"hello", Owner::root(0o755), Content::File(program)).unwrap();
    make::make(tree, &SERVICE.replace("\"hello\"", &format!("\"{service}\"")), 1, None).unwrap()
}

/// A list that the root `root` signed: the key `key` is the provider demo's.
fn list(root: u8, serial: u64, key: u8) -> Vec<u8> {
    let entry = Entry { provider: Name::new("demo").unwrap(), key: secret(key).public().unwrap() };
    keyring::seal(&secret(root), serial, None, &[entry]).unwrap()
}

/// A data disk, and the image's keys: a root (9) and a list (serial 5) with the key 1.
struct House {
    top: PathBuf,
    digest: Digest,
}

impl House {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("shg-storage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        for folder in ["keys", "bundles/records", "bundles/images", "state/package"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        let bundle = bundle("hello");
        let house = Self { top, digest: Digest::of(&bundle.layer) };
        fs::write(house.top.join("keys/root.public"), secret(9).public().unwrap().text()).unwrap();
        fs::write(house.top.join("keys/keyring"), list(9, 5, 1)).unwrap();
        fs::write(house.image(), &bundle.layer).unwrap();
        house.record(&bundle, 1);
        house
    }

    fn image(&self) -> PathBuf {
        self.top.join("bundles/images").join(self.digest.hex())
    }

    /// Puts the record of `bundle`, signed with `key`, where that of hello lies.
    fn record(&self, bundle: &Bundle, key: u8) {
        let signature = bundle.check().unwrap().0.seal(&secret(key)).unwrap();
        let record = Record { manifest: bundle.manifest.clone(), config: bundle.config.clone(), signature };
        fs::write(self.top.join("bundles/records/hello"), record.bytes()).unwrap();
    }

    fn kept(&self) -> state::File {
        state::Folder::at(&self.top.join("state/package")).file("keyring", bundle::envelope::BYTES_MAX)
    }

    fn find(&self) -> Result<Sealed, Error> {
        let package = state::Folder::at(&self.top.join("state/package"));
        Installed::new(&self.top, Keys::new(&self.top.join("keys"), &package)).find(&hello(), &self.digest)
    }

    fn refused(&self) -> String {
        self.find().unwrap_err().to_string()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

#[test]
fn what_its_provider_signed_is_found() {
    let house = House::new("good");
    let sealed = house.find().unwrap();
    assert_eq!(sealed.statement, bundle("hello").check().unwrap().0);
    assert_eq!(sealed.image.metadata().unwrap().len(), fs::metadata(house.image()).unwrap().len());
    // Where there is no disk, or nothing on it.
    let package = state::Folder::at(&house.top.join("state/package"));
    let nowhere = Installed::new(&house.top.join("state"), Keys::new(&house.top.join("keys"), &package));
    let refused = nowhere.find(&hello(), &house.digest).unwrap_err().to_string();
    assert_eq!(refused, "bundle hello: not installed on a data disk");
}

/// What is done to a house, and what is said of it then.
type Row = (&'static str, fn(&House), &'static str);

const TABLE: &[Row] = &[
    ("another key", |house| house.record(&bundle("hello"), 2), "is not trusted"),
    (
        "another service",
        |house| house.record(&bundle("world"), 1),
        "bundle hello: its signature is over service world",
    ),
    (
        "another provider",
        |house| {
            let entry = Entry { provider: Name::new("other").unwrap(), key: secret(1).public().unwrap() };
            let list = keyring::seal(&secret(9), 6, None, &[entry]).unwrap();
            fs::write(house.top.join("keys/keyring"), list).unwrap();
        },
        "a key of provider other on a bundle of provider demo",
    ),
    (
        "a signature that was bent",
        |house| {
            let bundle = bundle("hello");
            let mut signature = bundle.check().unwrap().0.seal(&secret(1)).unwrap();
            signature[40] ^= 1;
            let record = Record { manifest: bundle.manifest, config: bundle.config, signature };
            fs::write(house.top.join("bundles/records/hello"), record.bytes()).unwrap();
        },
        "the Ed25519 signature does not verify",
    ),
    (
        "a record that is not whole",
        |house| {
            let path = house.top.join("bundles/records/hello");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
        "its record is not whole",
    ),
    (
        "a record that is too long",
        |house| {
            let path = house.top.join("bundles/records/hello");
            fs::write(path, vec![0; bundle::record::BYTES_MAX + 1]).unwrap();
        },
        "its record is not whole",
    ),
    (
        "a link in the record's place",
        |house| {
            let path = house.top.join("bundles/records/hello");
            fs::rename(&path, house.top.join("elsewhere")).unwrap();
            symlink("../../elsewhere", path).unwrap();
        },
        "its record is not whole",
    ),
    (
        "a link in the folder's place",
        |house| {
            fs::rename(house.top.join("bundles/records"), house.top.join("elsewhere")).unwrap();
            symlink("../elsewhere", house.top.join("bundles/records")).unwrap();
        },
        "its record is not whole",
    ),
    ("no record", |house| fs::remove_file(house.top.join("bundles/records/hello")).unwrap(), "not installed"),
    ("no image", |house| fs::remove_file(house.image()).unwrap(), "is not there"),
    (
        "an image that is cut",
        |house| {
            let file = fs::File::options().write(true).open(house.image()).unwrap();
            file.set_len(8192).unwrap();
        },
        "its image has 8192 bytes, ",
    ),
    (
        "an image that is longer",
        |house| {
            let file = fs::File::options().write(true).open(house.image()).unwrap();
            file.set_len(1 << 30).unwrap();
        },
        "its image has 1073741824 bytes, ",
    ),
    (
        "a folder in the image's place",
        |house| {
            fs::remove_file(house.image()).unwrap();
            fs::create_dir(house.image()).unwrap();
        },
        "not a regular file",
    ),
    (
        "a link in the image's place",
        |house| {
            fs::rename(house.image(), house.top.join("elsewhere")).unwrap();
            symlink(house.top.join("elsewhere"), house.image()).unwrap();
        },
        "not a regular file",
    ),
    (
        "no root key",
        |house| fs::remove_file(house.top.join("keys/root.public")).unwrap(),
        "no key is trusted: /etc/shg/keys/root.public is not there",
    ),
    (
        "no list",
        |house| fs::remove_file(house.top.join("keys/keyring")).unwrap(),
        "no key is trusted: /etc/shg/keys/keyring is not there",
    ),
    (
        "a root key that is none",
        |house| fs::write(house.top.join("keys/root.public"), "shg public key 1\n").unwrap(),
        "/etc/shg/keys/root.public: not a key's file",
    ),
    (
        "a root key that is no text",
        |house| fs::write(house.top.join("keys/root.public"), [0xff; 9]).unwrap(),
        "/etc/shg/keys/root.public: not a file of keys",
    ),
    (
        "a list of another root",
        |house| fs::write(house.top.join("keys/keyring"), list(8, 6, 1)).unwrap(),
        "not signed by the root",
    ),
];

#[test]
fn what_is_not_believed_is_refused_with_its_reason() {
    for (number, (name, act, why)) in TABLE.iter().enumerate() {
        let house = House::new(&format!("bad-{number}"));
        act(&house);
        let refused = house.refused();
        assert!(refused.starts_with("bundle hello: ") && refused.contains(why), "{name}: {refused}");
        assert!(refused.len() <= contract::limit::REASON_BYTES, "{name}: cut on the wire: {refused}");
    }
}

#[test]
fn a_newer_list_on_the_disk_counts_and_an_older_one_does_not() {
    // Of the list on the disk: who signed it, its serial, whose key is in it; is the bundle, signed with the key 1, believed?
    let table = [
        ("a newer one without the key", 9, 6, 2, false),
        ("a newer one with the key", 9, 6, 1, true),
        ("the same number", 9, 5, 2, true),
        ("an older one", 9, 4, 2, true),
        ("another root's", 8, 6, 2, true),
    ];
    for (number, (name, root, serial, key, believed)) in table.into_iter().enumerate() {
        let house = House::new(&format!("list-{number}"));
        house.kept().save(1, &list(root, serial, key)).unwrap();
        assert_eq!(house.find().is_ok(), believed, "{name}");
    }
    // A key that came with the newer list is believed; where that list is broken, the image's counts.
    let house = House::new("list-new");
    house.record(&bundle("hello"), 2);
    assert!(house.refused().contains("is not trusted"));
    house.kept().save(1, &list(9, 6, 2)).unwrap();
    house.find().unwrap();
    fs::write(house.top.join("state/package/keyring"), "nonsense").unwrap();
    assert!(house.refused().contains("is not trusted"));
    house.kept().save(2, &list(9, 6, 2)).unwrap();
    assert!(house.refused().contains("is not trusted"), "of a form that is not known");
}
