//! A data disk with bundles on it, made at the desk: sound ones, and each kind of damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bundle::BLOCK_BYTES;
use bundle::digest::Digest;
use bundle::key::Secret;
use bundle::keyring::{self, Entry, Keyring};
use bundle::make::{self, Bundle};
use bundle::record::Record;
use bundle::sign::Architecture;
use bundle::tree::{Content, Owner, Tree};
use contract::Name;
use lab::house::Scratch;
use package::disk::Folder;
use package::store::{Offer, Store};

const SERVICE: &str = include_str!("../../../src/services/hello/manifest.toml");
/// Blocks of the file that is damaged, and the one that is.
const BLOCKS: usize = 300;
/// See [`BLOCKS`]: behind the first row of hashes, so that more than one block of the tree is read.
pub(crate) const DAMAGED: usize = 200;
/// What the program says.
pub(crate) const WORD: &str = "it runs\n";

/// Bytes of the program's heads: of the file, and of its one segment.
const HEADS: usize = 52 + 32;

/// The folder of a data disk, and keys.
pub(crate) struct Desk {
    scratch: Scratch,
    digests: BTreeMap<&'static str, Digest>,
}

fn secret(byte: u8) -> Secret {
    Secret::of_seeds([byte; 32], [byte; 32])
}

/// A static program for i386 that writes [`WORD`] and ends. Source: elf(5); syscalls `write` (4) and `exit` (1).
fn program() -> Vec<u8> {
    const AT: u32 = 0x0804_8000;
    const CODE: u32 = 31;
    let (heads, length) = (u32::try_from(HEADS).unwrap(), u32::try_from(WORD.len()).unwrap());
    let all = heads + CODE + length;
    let head: [u32; 9] = [0x464c_457f, 0x0001_0101, 0, 0, 0x0003_0002, 1, AT + heads, 52, 0];
    // No flags behind; sizes of the heads: 52, 32, and one of these.
    let rest: [u32; 4] = [0, 52 | 32 << 16, 1, 0];
    // PT_LOAD, readable and executable.
    let segment: [u32; 8] = [1, 0, AT, AT, all, all, 5, 0x1000];
    let mut bytes: Vec<u8> =
        head.iter().chain(&rest).chain(&segment).flat_map(|word| word.to_le_bytes()).collect();
    let mut load = |register: u8, value: u32| {
        bytes.push(register);
        bytes.extend(value.to_le_bytes());
    };
    load(0xb8, 4);
    load(0xbb, 1);
    load(0xb9, AT + heads + CODE);
    load(0xba, length);
    bytes.extend([0xcd, 0x80, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80]);
    bytes.extend(WORD.bytes());
    bytes
}

/// The file `data` of the service `name`: no two blocks are the same.
pub(crate) fn data(name: &str) -> Vec<u8> {
    let seed = Digest::of(name.as_bytes());
    let block = |number: usize| {
        let hash = Digest::of(&[&seed.0[..], &number.to_le_bytes()].concat());
        hash.0.iter().copied().cycle().take(BLOCK_BYTES).collect::<Vec<u8>>()
    };
    (0..BLOCKS).flat_map(block).collect()
}

/// FNV-1a over all blocks but `without`. Source: draft-eastlake-fnv.
pub(crate) fn sum(bytes: &[u8], without: Option<usize>) -> String {
    let blocks = bytes.chunks(BLOCK_BYTES).enumerate().filter(|(number, _)| Some(*number) != without);
    let hash = blocks
        .flat_map(|(_, block)| block)
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// A static program for i386 that waits until it is killed. Source: syscall `pause` (29).
fn waits() -> Vec<u8> {
    let mut bytes = program();
    let code = [0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7]; // mov $29, %eax; int $0x80; jmp to the begin
    bytes.splice(HEADS..HEADS + code.len(), code);
    bytes
}

/// What `hello` is, under another name. It offers nothing, and does not start by itself.
pub(crate) fn manifest(name: &str) -> String {
    let (all, _) = SERVICE.split_once("[[serves]]").unwrap();
    all.replace("\"hello\"", &format!("\"{name}\"")).replace("autostart = true", "autostart = false")
}

fn made(name: &str) -> Bundle {
    of(name, &manifest(name), program())
}

fn of(name: &str, manifest: &str, program: Vec<u8>) -> Bundle {
    let mut tree = Tree::default();
    tree.put(b"hello", Owner::root(0o755), Content::File(program)).unwrap();
    tree.put(b"data", Owner::new(0o644, 1000, 7).unwrap(), Content::File(data(name))).unwrap();
    for folder in ["proc", "dev", "tmp"] {
        tree.put(folder.as_bytes(), Owner::root(0o755), Content::Folder(BTreeMap::new())).unwrap();
    }
    make::make(tree, manifest, 1, None).unwrap()
}

fn record(bundle: &Bundle, key: u8) -> Record {
    let signature = bundle.check().unwrap().0.seal(&secret(key)).unwrap();
    Record { manifest: bundle.manifest.clone(), config: bundle.config.clone(), signature }
}

impl Desk {
    /// With the keys of a root, of the provider `demo`, and nothing installed.
    pub(crate) fn new() -> Self {
        let desk = Self { scratch: Scratch::new().unwrap(), digests: BTreeMap::new() };
        fs::create_dir_all(desk.keys()).unwrap();
        fs::create_dir_all(desk.data().join("bundles")).unwrap();
        fs::write(desk.keys().join("root.public"), secret(9).public().unwrap().text()).unwrap();
        fs::write(desk.keys().join("keyring"), keyring::seal(&secret(9), 1, None, &[Self::entry()]).unwrap())
            .unwrap();
        desk
    }

    fn entry() -> Entry {
        Entry { provider: Name::new("demo").unwrap(), key: secret(1).public().unwrap() }
    }

    /// These keys, for a guest's root: without any a gateway keeps nothing on its data disk, not even a slice.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = lab::root::keys(&self.keys()).unwrap();
        files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect()
    }

    /// The image's folder of keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.scratch.file("keys")
    }

    /// What is on the data disk.
    pub(crate) fn data(&self) -> PathBuf {
        self.scratch.file("data")
    }

    /// The image's digest, in digits.
    pub(crate) fn hex(&self, name: &str) -> String {
        self.digests[name].hex()
    }

    /// Installs the service `name`, as the gateway does.
    pub(crate) fn install(&mut self, name: &'static str) {
        self.install_bundle(name, &made(name));
    }

    /// Installs the service `name`, which waits until it is killed, with this manifest.
    pub(crate) fn install_waiting(&mut self, name: &'static str, manifest: &str) {
        self.install_bundle(name, &of(name, manifest, waits()));
    }

    /// Installs the service `name`, whose program is this one, with this manifest.
    pub(crate) fn install_program(&mut self, name: &'static str, manifest: &str, program: Vec<u8>) {
        self.install_bundle(name, &of(name, manifest, program));
    }

    fn install_bundle(&mut self, name: &'static str, bundle: &Bundle) {
        let record = record(bundle, 1);
        let folder = Folder::new(&self.data().join("bundles")).unwrap();
        let keyring = Keyring { entries: vec![Self::entry()], ..Keyring::new(secret(9).public().unwrap()) };
        let mut store = Store::open(folder, keyring, Architecture::I386).unwrap();
        assert_eq!(store.offer(&record).unwrap(), Offer::Fetch(0), "{name}");
        store.take(&record, &bundle.layer).unwrap();
        store.install(record).unwrap();
        self.digests.insert(name, Digest::of(&bundle.layer));
    }

    /// How many blocks the image of `name` has without its tree.
    pub(crate) fn blocks(&self, name: &str) -> usize {
        usize::try_from(made(name).check().unwrap().0.image_blocks).unwrap()
    }

    /// Which block of the image of `name` the block `number` of its file `data` is.
    pub(crate) fn block(&self, name: &str, number: usize) -> u64 {
        let sound = made(name).layer;
        u64::try_from(place(&sound, name, number) / BLOCK_BYTES).unwrap()
    }

    /// Which block of the image's file speaks of that block: the tree has two rows, the topmost block and those of which each speaks of 128.
    pub(crate) fn block_of_tree(&self, name: &str, number: usize) -> u64 {
        let hashes = u64::try_from(BLOCK_BYTES / 32).unwrap();
        u64::try_from(self.blocks(name)).unwrap() + 1 + self.block(name, number) / hashes
    }

    fn record_of(&self, name: &str) -> PathBuf {
        self.data().join("bundles/records").join(name)
    }

    /// Puts what the key `key` signed of `name` in the place of its record.
    pub(crate) fn sign(&self, name: &str, key: u8) {
        fs::write(self.record_of(name), record(&made(name), key).bytes()).unwrap();
    }

    /// Puts the record of `from` in the place of the record of `name`.
    pub(crate) fn rename(&self, from: &str, name: &str) {
        fs::copy(self.record_of(from), self.record_of(name)).unwrap();
    }

    /// Changes the image of `name`.
    pub(crate) fn bend(&self, name: &str, bend: impl FnOnce(&mut Vec<u8>)) {
        let path = self.data().join("bundles/images").join(self.hex(name));
        let mut bytes = fs::read(&path).unwrap();
        bend(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

/// Where the block `number` of the file `data` of `name` lies in its image.
pub(crate) fn place(image: &[u8], name: &str, number: usize) -> usize {
    let data = data(name);
    let wanted = &data[number * BLOCK_BYTES..][..BLOCK_BYTES];
    image.chunks(BLOCK_BYTES).position(|block| block == wanted).unwrap() * BLOCK_BYTES
}
