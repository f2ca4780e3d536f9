//! Tests of the file system: what is written is taken, what was bent is not. The peers (fsck.erofs, the kernel) are in `tests/`.

use std::collections::BTreeMap;

use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

use super::{Fault, INODE_BYTES, ROOT_AT, SUPER_AT, check, mend, write};
use crate::BLOCK_BYTES;
use crate::tree::{Content, Owner, Tree};

fn blocks(image: &[u8]) -> u32 {
    u32::try_from(image.len() / BLOCK_BYTES).unwrap()
}

fn tree(entries: &[(&str, Content)]) -> Tree {
    let mut tree = Tree::default();
    for (path, content) in entries {
        tree.put(path.as_bytes(), Owner::root(0o755), content.clone()).unwrap();
    }
    tree
}

fn sample() -> Tree {
    let mut sample = tree(&[
        ("bin/hello", Content::File(vec![0x7f; 9000])),
        ("etc/motd", Content::File(b"hello\n".to_vec())),
        ("etc/empty", Content::File(Vec::new())),
        ("etc/nearly", Content::File(vec![1; BLOCK_BYTES - 1])),
        ("lib", Content::Link(b"usr/lib".to_vec())),
        ("tmp", Content::Folder(BTreeMap::new())),
    ]);
    sample.link(b"etc/again", b"etc/motd").unwrap();
    for number in 0..400 {
        sample
            .put(format!("many/{number:04}-name").as_bytes(), Owner::root(0o600), Content::File(Vec::new()))
            .unwrap();
    }
    sample
}

#[test]
fn what_is_written_is_taken_and_the_same_again() {
    let image = write(&sample()).unwrap();
    assert_eq!(check(image.as_slice(), blocks(&image)), Ok(blocks(&image)));
    assert_eq!(image, write(&sample()).unwrap());
}

#[test]
fn every_bent_byte_of_the_metadata_is_refused() {
    let image = write(&tree(&[
        ("bin/x", Content::File(vec![7; BLOCK_BYTES])),
        ("l", Content::Link(b"bin".to_vec())),
    ]))
    .unwrap();
    let mut taken = Vec::new();
    let end = inode_at(&image, 3) + INODE_BYTES + 3;
    for at in (0..BLOCK_BYTES).filter(|at| (SUPER_AT..end + 64).contains(at) || at % 61 == 0) {
        for bit in 0..8 {
            let mut bent = image.clone();
            bent[at] ^= 1 << bit;
            mend(&mut bent);
            if bent != image && check(bent.as_slice(), blocks(&image)).is_ok() {
                taken.push((at, bit));
            }
        }
    }
    // What may differ: permissions (9 bits and the sticky one), owners, a letter of a name that stays in order, what a link says, and where
    // the name `bin` ends and the next one, `l`, begins.
    let inodes: Vec<usize> = (0..4).map(|index| inode_at(&image, index)).collect();
    for (at, bit) in &taken {
        let owner = inodes.iter().any(|inode| {
            (inode + 24..inode + 28).contains(at) || *at == inode + 4 || (*at == inode + 5 && *bit < 2)
        });
        let text = image[*at].is_ascii_alphabetic();
        let end_of_name = *at == ROOT_AT + INODE_BYTES + 3 * 12 + 8;
        assert!(owner || text || end_of_name, "byte {at} bit {bit} was taken");
    }
    assert!(taken.len() <= 4 * 42 + 8 * 8 + 2, "{} bent bits were taken", taken.len());
}

/// Where the inode with this number in order is: by its serial number.
fn inode_at(image: &[u8], index: u32) -> usize {
    let mut places = (ROOT_AT..BLOCK_BYTES).step_by(INODE_BYTES);
    places.find(|at| image[at + 20..at + 24] == (index + 1).to_le_bytes() && image[at + 6] != 0).unwrap()
}

#[test]
fn what_a_provider_may_not_sign_is_named() {
    let image = write(&tree(&[("x", Content::File(b"x".to_vec()))])).unwrap();
    let x = inode_at(&image, 1);
    type Bend = fn(&mut [u8], usize);
    let table: &[(&str, Bend, &str)] = &[
        ("a device", |image, x| image[x + 5] = 0x61, "device"),
        ("a set-user-id bit", |image, x| image[x + 5] |= 0x08, "set-user-id"),
        ("a set-group-id bit", |image, x| image[x + 5] |= 0x04, "set-user-id"),
        ("extended attributes", |image, x| image[x + 2] = 1, "extended attributes"),
        ("compression", |image, x| image[x] = 3 << 1, "layout"),
        ("huge", |image, x| image[x + 11] = 0xff, "larger"),
        ("too many links", |image, x| image[x + 6] = 9, "links"),
        ("a newer feature", |image, _| image[SUPER_AT + 80] = 1, "form"),
        ("something hidden", |image, _| image[BLOCK_BYTES - 1] = 1, "hidden"),
        ("before it all", |image, _| image[0] = 1, "form"),
    ];
    for (name, bend, word) in table {
        let mut bent = image.clone();
        bend(&mut bent, x);
        mend(&mut bent);
        let said = check(bent.as_slice(), blocks(&image)).unwrap_err().to_string();
        assert!(said.contains(word), "{name}: {said}");
    }
    let mut flipped = image.clone();
    flipped[SUPER_AT + 4] ^= 1;
    assert_eq!(check(flipped.as_slice(), blocks(&image)), Err(Fault::Checksum));
    assert!(matches!(check(&image[..100], 1), Err(Fault::Read(_))), "cut");
    assert!(matches!(check(image.as_slice(), u32::MAX), Err(Fault::Large(_))), "huge");
    assert_eq!(check(image.as_slice(), 2), Err(Fault::Super), "another number of blocks is signed");
}

fn content() -> impl Strategy<Value = Content> {
    let size = prop::sample::select(vec![0, 1, 31, 2048, 4064, 4065, 4095, 4096, 4097, 8160, 8192]);
    (any::<u8>(), size, any::<bool>()).prop_map(|(byte, size, link)| {
        let bytes = vec![byte.max(1); size];
        if link && (1..=4095).contains(&size) { Content::Link(bytes) } else { Content::File(bytes) }
    })
}

proptest! {
    #[test]
    fn any_tree_is_taken(entries in prop::collection::btree_map("[!-.0-~]{1,40}(/[a-z]{1,200}){0,3}", content(), 0..60)) {
        let mut any = Tree::default();
        for (path, content) in &entries {
            // A path may go through a file that was put before: that is refused, and the rest still has to hold.
            let _ = any.put(path.as_bytes(), Owner::root(0o750), content.clone());
        }
        let image = write(&any).unwrap();
        prop_assert_eq!(check(image.as_slice(), blocks(&image)), Ok(blocks(&image)));
    }
}
