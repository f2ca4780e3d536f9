//! A stick after a cut, and what `package` finds on it.
//!
//! In:  a stick's image. Out: which version of the service `greeter` is there; all of it whole, and nothing besides.
//!
//! The image is put in order by programs that we did not write: e2fsck(8), debugfs(8).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use lab::error::Error;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::house::{Scratch, firmware};
use lab::operator::{DESK, Operator, PROVIDER, Release};
use lab::root::Variant;
use lab::{facts, tool};
use package::keep::{Keep, Places};

const MANIFEST: &str = include_str!("../../../src/services/hello/manifest.toml");

/// The service, which does not start: only what `package` does is written.
fn service(version: u64) -> String {
    let (head, _) = MANIFEST.split_once("[[serves]]").unwrap();
    let head = head.replace("name = \"hello\"", "name = \"greeter\"");
    head.replace("Shows", &format!("{version} shows")).replace("autostart = true", "autostart = false")
}

/// An operator with two releases of the service, and where they are. `None`: a program is missing; it was said.
pub(crate) fn operator(scratch: &Scratch) -> Option<(Operator, [String; 2])> {
    for program in ["e2fsck", "debugfs"] {
        if let Err(why) = tool::need(program, "e2fsprogs") {
            println!("skipped: {why}");
            return None;
        }
    }
    let publish = |operator: &Operator, version| {
        let (manifest, program) = (service(version), firmware().join("hello"));
        operator.publish(
            Release { provider: PROVIDER, name: "greeter", version, manifest: &manifest, program: &program },
            DESK,
        )
    };
    let started = Operator::start(&scratch.file("operator"));
    match started.and_then(|operator| Ok(([publish(&operator, 1)?, publish(&operator, 2)?], operator))) {
        Ok((sources, operator)) => Some((operator, sources)),
        Err(why @ Error::Missing { .. }) => {
            println!("skipped: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A gateway that believes this operator; what is written to its stick is recorded.
pub(crate) fn options(operator: &Operator) -> Options {
    let files = operator.texts(DESK).unwrap().into_iter().map(|(path, bytes)| (path.to_owned(), bytes));
    Options {
        variant: Variant::Test,
        around: Around::Emulated,
        records: true,
        files: files.collect(),
        ..Options::usual().unwrap()
    }
}

/// Waits until `package` has read the disk, and the registry can be reached.
pub(crate) fn wait_served(guest: &mut Guest) {
    let served =
        |guest: &mut Guest| Ok(guest.ask("packages").is_ok_and(|answer| answer.exit == 0).then_some(()));
    let seen = guest.until("package serves", UP_LIMIT, served);
    assert!(seen.is_ok(), "{:#?}", facts::log(guest, "package"));
    wait_wan(guest);
}

/// Waits until the registry can be reached.
pub(crate) fn wait_wan(guest: &mut Guest) {
    guest.until("a WAN", UP_LIMIT, |guest| Ok(facts::wan(guest)?.map(drop))).unwrap();
}

/// The order that comes next where `version` is installed, and the version that it leads to. 0 is none.
pub(crate) fn order(version: u64, sources: &[String; 2]) -> (String, u64) {
    match version {
        0 => (format!("install {}", sources[0]), 1),
        1 => (format!("update greeter {}", sources[1]), 2),
        _ => ("remove greeter".to_owned(), 0),
    }
}

/// Looks at sticks.
pub(crate) struct Sticks {
    _scratch: Scratch,
    places: Places,
    pub(crate) looked: usize,
    /// Those with a journal to replay.
    pub(crate) replayed: usize,
}

impl Sticks {
    /// With the keys that this operator gave its gateways.
    pub(crate) fn of(operator: &Operator) -> Self {
        let scratch = Scratch::new().unwrap();
        let keys = scratch.file("keys");
        fs::create_dir(&keys).unwrap();
        for file in [package::keep::ROOT, package::keep::LIST] {
            fs::copy(operator.file(file), keys.join(file)).unwrap();
        }
        let places = Places { keys, word: Vec::new(), ..Places::on(&scratch.file("disk")) };
        Self { _scratch: scratch, places, looked: 0, replayed: 0 }
    }

    /// Which version is there, 0 for none. `image` is changed.
    pub(crate) fn version(&mut self, image: &Path, what: &str) -> u64 {
        self.looked += 1;
        self.repair(image, what);
        let disk = self.places.bundles.parent().unwrap().to_path_buf();
        if disk.exists() {
            fs::remove_dir_all(&disk).unwrap();
        }
        fs::create_dir(&disk).unwrap();
        for folder in ["bundles", "state"] {
            let order = format!("rdump /{folder} {}", disk.display());
            tool::run("debugfs", &["-R", &order, image.to_str().unwrap()]).unwrap();
        }
        let keep = Keep::open(&self.places);
        assert!(keep.is_ok(), "{what}: {keep:?}");
        let keep = keep.unwrap();
        let store = package::fetch::lock(keep.store());
        let images: BTreeMap<_, _> =
            store.installed().iter().map(|one| (one.image.hex(), one.image)).collect();
        let records: BTreeSet<_> =
            store.installed().iter().map(|one| one.statement.name.to_string()).collect();
        assert_eq!(names(&disk.join("bundles/records")), records, "{what}: a record nobody has");
        for (name, digest) in &images {
            let bytes = fs::read(disk.join("bundles/images").join(name)).unwrap();
            assert!(bundle::digest::Digest::of(&bytes) == *digest, "{what}: an image that is not whole");
        }
        let besides: Vec<_> = names(&disk.join("bundles/images"))
            .into_iter()
            .filter(|name| !images.contains_key(name))
            .collect();
        assert!(
            besides.len() <= 1 && besides.iter().all(|name| name.ends_with(".part")),
            "{what}: {besides:?}"
        );
        store.installed().first().map_or(0, |one| one.statement.version)
    }

    /// What the kernel does when it mounts: the journal is replayed, files that nobody has are given up, the totals of what is free are counted
    /// anew. Nothing else may be to do.
    fn repair(&mut self, image: &Path, what: &str) {
        const TOTALS: [&str; 2] = ["Free blocks count wrong (", "Free inodes count wrong ("];
        let said = Command::new("e2fsck").arg("-fy").arg(image).output().unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(matches!(said.status.code(), Some(0 | 1)), "{what}: {:?}: {text}", said.status);
        self.replayed += usize::from(text.contains("recovering journal"));
        let lines: Vec<&str> = text.lines().collect();
        let mended = lines.windows(2).filter(|pair| pair[1].contains("? yes"));
        let mut worse = mended.filter(|pair| !TOTALS.iter().any(|total| pair[0].starts_with(total)));
        assert!(worse.next().is_none() && !text.contains("WARNING"), "{what}: {text}");
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let found = fs::read_dir(folder).into_iter().flatten();
    found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
