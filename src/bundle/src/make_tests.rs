//! Tests of making: from a tree, from layers; what must not get in.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::{any, prop, proptest};

use super::{Broken, Error, make};
use crate::import::{Rules, layer};
use crate::program;
use crate::sign::Architecture;
use crate::tree::{Content, Fault, Owner, Tree};

const SERVICE: &str = include_str!("../../services/hello/manifest.toml");

/// The head of an ELF program, without program headers. Source: elf(5).
fn elf(class: u8, machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
    bytes[16] = 2;
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

fn tree(program: Vec<u8>) -> Tree {
    let mut tree = Tree::default();
    tree.put(b"hello", Owner::root(0o755), Content::File(program)).unwrap();
    tree
}

/// A tar entry: path, type, mode, target, bytes.
type Member<'m> = (&'m str, u8, u32, &'m str, &'m [u8]);

fn header((path, kind, mode, target, bytes): &Member<'_>, uid: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut set = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    set(0, path.as_bytes());
    set(100, format!("{mode:07o}").as_bytes());
    set(108, format!("{uid:07o}").as_bytes());
    set(116, b"0000000");
    set(124, format!("{:011o}", bytes.len()).as_bytes());
    set(148, b"        ");
    set(156, &[*kind]);
    set(157, target.as_bytes());
    set(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    block[154] = 0;
    block
}

fn tar(members: &[Member<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        bytes.extend(header(member, 1000));
        bytes.extend(member.4);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let one = make(tree(elf(1, 3)), SERVICE, 1, None).unwrap();
    assert_eq!(one, make(tree(elf(1, 3)), SERVICE, 1, Some(Architecture::I386)).unwrap());
    let (statement, _) = one.check().unwrap();
    assert_eq!((statement.version, statement.architecture), (1, Architecture::I386));
    for at in [0, one.layer.len() / 2, one.layer.len() - 1] {
        let mut bent = one.clone();
        bent.layer[at] ^= 1;
        assert!(matches!(bent.check(), Err(Broken::Form(_))), "byte {at}: another digest");
    }
}

#[test]
fn processors_are_told_apart() {
    let amd64 = make(tree(elf(2, 62)), SERVICE, 1, None).unwrap();
    assert_eq!(amd64.check().unwrap().0.architecture, Architecture::Amd64);
    let fault = |tree: Tree, said| match make(tree, SERVICE, 1, said) {
        Err(Error::Program(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let says = program::Fault::Says(Architecture::Amd64, Architecture::I386);
    assert_eq!(fault(tree(elf(1, 3)), Some(Architecture::Amd64)), says);
    assert_eq!(fault(tree(elf(2, 183)), None), program::Fault::Unknown("/hello".into()));
    assert_eq!(fault(tree(b"text".to_vec()), None), program::Fault::Kind("/hello".into()));
    assert_eq!(fault(Tree::default(), None), program::Fault::Absent("/hello".into()));
    assert_eq!(fault(tree(b"#! /bin/sh -e\n".to_vec()), None), program::Fault::Absent("/bin/sh".into()));
    let mut mixed = tree(elf(1, 3));
    mixed.put(b"lib/x.so", Owner::root(0o644), Content::File(elf(2, 62))).unwrap();
    assert_eq!(fault(mixed, None), program::Fault::Foreign("/lib/x.so".into(), Architecture::I386));
    let mut closed = Tree::default();
    closed.put(b"hello", Owner::root(0o644), Content::File(elf(1, 3))).unwrap();
    assert_eq!(fault(closed, None), program::Fault::Mode("/hello".into()));
    let mut linked = Tree::default();
    linked.put(b"hello", Owner::root(0o777), Content::Link(b"../usr/./bin/x".to_vec())).unwrap();
    linked.put(b"usr/bin/x", Owner::root(0o755), Content::File(elf(1, 3))).unwrap();
    assert!(make(linked, SERVICE, 1, None).is_ok(), "links are followed inside");
    let mut circle = Tree::default();
    circle.put(b"hello", Owner::root(0o777), Content::Link(b"hello".to_vec())).unwrap();
    assert_eq!(fault(circle, None), program::Fault::Absent("/hello".into()));
}

#[test]
fn a_probes_program_is_there_too() {
    let with = |program: &str| format!("{SERVICE}\n[health]\nprobe = \"exec\"\ncommand = [\"{program}\"]\n");
    assert!(make(tree(elf(1, 3)), &with("/hello"), 1, None).is_ok());
    let absent = make(tree(elf(1, 3)), &with("/well"), 1, None);
    assert!(
        matches!(&absent, Err(Error::Program(program::Fault::Absent(path))) if path == "/well"),
        "{absent:?}"
    );
}

#[test]
fn layers_are_put_upon_each_other() {
    let mut tree = Tree::default();
    let first = tar(&[
        ("./", b'5', 0o755, "", b""),
        ("./bin/", b'5', 0o755, "", b""),
        ("./bin/a", b'0', 0o755, "", b"first"),
        ("./bin/b", b'1', 0o755, "bin/a", b""),
        ("old", b'0', 0o644, "", b"old"),
        ("link", b'2', 0o777, "bin/a", b""),
    ]);
    layer::apply(&mut tree, first.as_slice(), Rules::default()).unwrap();
    let second = gzip(&tar(&[(".wh.old", b'0', 0, "", b""), ("bin/a", b'0', 0o700, "", b"second")]));
    layer::apply(&mut tree, second.as_slice(), Rules::default()).unwrap();
    let found = |path: &str| tree.find(path.as_bytes()).and_then(|number| tree.node(number)).cloned();
    assert_eq!(found("old"), None);
    assert_eq!(
        found("bin/b").unwrap().content,
        Content::File(b"first".to_vec()),
        "a hard link keeps its file"
    );
    let a = found("bin/a").unwrap();
    assert_eq!((a.content, a.owner.uid, a.owner.mode), (Content::File(b"second".to_vec()), 1000, 0o700));
}

#[test]
fn what_a_layer_may_not_have_is_named() {
    let zeros = vec![0; 64 << 20];
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("a device", tar(&[("dev/sda", b'4', 0o600, "", b"")]), "a block device"),
        ("a tty", tar(&[("dev/tty", b'3', 0o600, "", b"")]), "a character device"),
        ("a pipe", tar(&[("p", b'6', 0o600, "", b"")]), "a named pipe"),
        ("a set-id bit", tar(&[("bin/su", b'0', 0o4755, "", b"")]), "set-user-id"),
        ("an absolute path", tar(&[("/etc/x", b'0', 0o644, "", b"")]), "absolute"),
        ("upward", tar(&[("a/../../x", b'0', 0o644, "", b"")]), "upward"),
        (
            "through a link",
            tar(&[("l", b'2', 0, "/etc", b""), ("l/x", b'0', 0, "", b"")]),
            "through a symbolic link",
        ),
        ("a hard link upward", tar(&[("x", b'1', 0, "../../etc/shadow", b"")]), "upward"),
        ("a hard link to nothing", tar(&[("x", b'1', 0, "etc/shadow", b"")]), "hard link"),
        (
            "a hard link to a folder",
            tar(&[("d", b'5', 0o755, "", b""), ("x", b'1', 0, "d", b"")]),
            "hard link",
        ),
        ("a hidden whiteout", tar(&[(".wh...", b'0', 0, "", b"")]), "whiteout"),
        ("cut", tar(&[("x", b'0', 0o644, "", &[1; 600])])[..700].to_vec(), "unexpected end"),
        (
            "bent",
            {
                let mut bent = tar(&[("x", b'0', 0o644, "", b"")]);
                bent[0] = b'y';
                bent
            },
            "checksum",
        ),
        ("no archive", b"hello".repeat(200), "checksum"),
        ("a bomb", gzip(&tar(&[("x", b'0', 0o644, "", &zeros)])), "times its size"),
        (
            "a damaged stream",
            {
                let mut bent = gzip(&tar(&[("x", b'0', 0o644, "", &[7; 3000])]));
                let half = bent.len() / 2;
                bent.truncate(half);
                bent
            },
            "damaged",
        ),
    ];
    for (name, bytes, word) in table {
        let said =
            layer::apply(&mut Tree::default(), bytes.as_slice(), Rules::default()).unwrap_err().to_string();
        assert!(said.contains(word), "{name}: {said}");
    }
    let su = tar(&[("bin/su", b'0', 0o4755, "", b"")]);
    let mut tree = Tree::default();
    layer::apply(&mut tree, su.as_slice(), Rules { drop_set_id: true }).unwrap();
    assert_eq!(tree.node(tree.find(b"bin/su").unwrap()).unwrap().owner.mode, 0o755);
    let mut strangers = tar(&[("x", b'0', 0o644, "", b"")]);
    strangers[..512].copy_from_slice(&header(&("x", b'0', 0o644, "", b""), 70_000));
    let said =
        layer::apply(&mut Tree::default(), strangers.as_slice(), Rules::default()).unwrap_err().to_string();
    assert!(said.contains("owner 70000"), "{said}");
}

/// A record of an extended header: its length counts itself.
fn record(pair: &str) -> Vec<u8> {
    let length = (pair.len()..).find(|length| format!("{length} {pair}\n").len() == *length).unwrap();
    format!("{length} {pair}\n").into_bytes()
}

#[test]
fn an_extended_header_says_more() {
    let long = format!("{}/x", "d".repeat(200));
    let (path, caps) = (record(&format!("path={long}")), record("SCHILY.xattr.security.capability=x"));
    let (huge, sparse) = (record("size=99999999999999999999"), record("GNU.sparse.major=1"));
    let larger = record("size=99999999");
    let mut tree = Tree::default();
    let good = tar(&[("pax", b'x', 0, "", &path), ("short", b'0', 0o644, "", b"x")]);
    layer::apply(&mut tree, good.as_slice(), Rules::default()).unwrap();
    assert!(tree.find(long.as_bytes()).is_some() && tree.find(b"short").is_none());
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("capabilities", tar(&[("pax", b'x', 0, "", &caps), ("x", b'0', 0, "", b"")]), "capabilities"),
        ("no record", tar(&[("pax", b'x', 0, "", b"9999 path=x\n"), ("x", b'0', 0, "", b"")]), "record"),
        ("a huge size", tar(&[("pax", b'x', 0, "", &huge), ("x", b'0', 0, "", b"")]), "number"),
        ("a larger size", tar(&[("pax", b'x', 0, "", &larger), ("x", b'0', 0, "", b"")]), "unexpected end"),
        ("sparse", tar(&[("pax", b'x', 0, "", &sparse), ("x", b'0', 0, "", b"")]), "sparse"),
        ("too long", tar(&[("pax", b'x', 0, "", &[b'x'; 300_000])]), "too long"),
    ];
    for (name, bytes, word) in table {
        let said =
            layer::apply(&mut Tree::default(), bytes.as_slice(), Rules::default()).unwrap_err().to_string();
        assert!(said.contains(word), "{name}: {said}");
    }
}

#[test]
fn the_tree_is_still_the_limit() {
    let folder = || Content::Folder(BTreeMap::new());
    assert_eq!(
        Tree::default().put(b"../x", Owner::root(0o755), folder()),
        Err(Fault::Path("it goes upward"))
    );
}

proptest! {
    #[test]
    fn a_bent_layer_is_taken_or_refused(at in 0_usize..4096, byte in any::<u8>(), cut in prop::option::of(0_usize..4096)) {
        let mut bytes = tar(&[
            ("bin/", b'5', 0o755, "", b""),
            ("bin/a", b'0', 0o755, "", &[7; 700]),
            ("x", b'x', 0, "", b"20 path=some/where\n\n"),
            ("b", b'1', 0, "bin/a", b""),
        ]);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let _ = layer::apply(&mut Tree::default(), bytes.as_slice(), Rules::default());
    }
}
