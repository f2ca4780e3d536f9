//! Tests of `tree.rs`: paths, layers, whiteouts.

use std::collections::BTreeMap;

use super::{Content, Fault, Owner, Tree, names};

fn folder() -> Content {
    Content::Folder(BTreeMap::new())
}

fn file(bytes: &[u8]) -> Content {
    Content::File(bytes.to_vec())
}

fn put(tree: &mut Tree, path: &str, content: Content) -> Result<(), Fault> {
    tree.put(path.as_bytes(), Owner::root(0o644), content)
}

fn paths(tree: &Tree) -> Vec<String> {
    let mut paths: Vec<String> =
        tree.walk().into_iter().skip(1).map(|(_, path)| String::from_utf8(path).unwrap()).collect();
    paths.sort();
    paths
}

#[test]
fn paths_lead_down_only() {
    let long = "x".repeat(256);
    let deep = "a/".repeat(65);
    let table: &[(&str, Option<usize>)] = &[
        ("a", Some(1)),
        ("./a//b/.", Some(2)),
        ("", Some(0)),
        ("..a/b", Some(2)),
        ("/etc/passwd", None),
        ("../a", None),
        ("a/../../b", None),
        ("a/..", None),
        ("a\0b", None),
        (&long, None),
        (&deep, None),
    ];
    for (path, want) in table {
        assert_eq!(names(path.as_bytes()).ok().map(|names| names.len()), *want, "{path:?}");
    }
}

#[test]
fn nothing_goes_through_a_link() {
    let mut tree = Tree::default();
    put(&mut tree, "out", Content::Link(b"/etc".to_vec())).unwrap();
    let through = Fault::Path("it goes through a symbolic link");
    assert_eq!(put(&mut tree, "out/passwd", file(b"x")), Err(through.clone()));
    assert_eq!(tree.link(b"other", b"out/passwd"), Err(Fault::Target));
    assert_eq!(tree.remove(b"out/passwd"), Err(through.clone()));
    assert_eq!(tree.clear(b"out"), Err(through));
    assert_eq!(tree.link(b"up", b"../x"), Err(Fault::Path("it goes upward")));
    assert_eq!(tree.link(b"root", b"."), Err(Fault::Target));
    put(&mut tree, "file", file(b"x")).unwrap();
    assert_eq!(put(&mut tree, "file/below", file(b"x")), Err(Fault::Path("it goes through a file")));
}

#[test]
fn a_whiteout_means_earlier_layers() {
    let mut tree = Tree::default();
    for path in ["a/one", "a/two", "b/one", "c"] {
        put(&mut tree, path, file(path.as_bytes())).unwrap();
    }
    tree.next_layer();
    // In this layer first put, then hidden: what is new stays, wherever the whiteout stands.
    put(&mut tree, "a/three", file(b"new")).unwrap();
    tree.clear(b"a").unwrap();
    put(&mut tree, "b", folder()).unwrap();
    tree.remove(b"b/one").unwrap();
    tree.remove(b"c").unwrap();
    tree.remove(b"not-there").unwrap();
    assert_eq!(paths(&tree), ["/a", "/a/three", "/b"]);
    tree.next_layer();
    put(&mut tree, "b", file(b"a file now")).unwrap();
    put(&mut tree, "a", folder()).unwrap();
    assert_eq!(paths(&tree), ["/a", "/a/three", "/b"]);
}

#[test]
fn a_hard_link_outlives_the_name_it_was_made_of() {
    let mut tree = Tree::default();
    put(&mut tree, "one", file(b"same")).unwrap();
    tree.link(b"d/two", b"one").unwrap();
    assert_eq!(tree.find(b"one"), tree.find(b"d/two"));
    put(&mut tree, "one", file(b"other")).unwrap();
    let two = tree.node(tree.find(b"d/two").unwrap()).unwrap();
    assert_eq!(two.content, file(b"same"));
}

#[test]
fn what_an_image_may_not_have_is_refused() {
    assert_eq!(Owner::new(0o4755, 0, 0), Err(Fault::SetId));
    assert_eq!(Owner::new(0o2755, 0, 0), Err(Fault::SetId));
    assert_eq!(Owner::new(0o755, 65_536, 0), Err(Fault::Owner(65_536)));
    assert_eq!(Owner::new(0o755, 0, u64::MAX), Err(Fault::Owner(u64::MAX)));
    assert!(Owner::new(0o41777, 65_535, 1).is_ok(), "the sticky bit and the kind's bits do no harm");
    let mut tree = Tree::default();
    let mut outcome = Ok(());
    for number in 0..crate::INODES_MAX {
        outcome = put(&mut tree, &format!("{number}"), file(b""));
    }
    assert_eq!(outcome, Err(Fault::Inodes));
}
