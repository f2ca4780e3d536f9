//! Bundles against programs that we did not write, and against strangers' bytes: `make test T=bundles`.
//!
//! In:  Debian's erofs-utils, cryptsetup, umoci, buildah, skopeo, docker-registry, and oras-py. Out: passed, failed, or `skipped: ` and why.
//!
//! Here: the file system and its tree of hashes. In the folder: images of other makers, a registry in a namespace of our own, attacks.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "bundles/attacks.rs"]
mod attacks;
#[path = "bundles/desk.rs"]
mod desk;
#[path = "bundles/makers.rs"]
mod makers;
#[path = "bundles/oras.rs"]
mod oras;
#[path = "bundles/registry.rs"]
mod registry;
#[path = "bundles/verbs.rs"]
mod verbs;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bundle::tree::{Content, Owner, Tree};
use bundle::{BLOCK_BYTES, erofs, verity};
use lab::house::Scratch;
use lab::tool;

/// Is the program there? Says `skipped` if not.
fn has(program: &str, package: &str) -> bool {
    tool::need(program, package).inspect_err(|why| println!("skipped: {why}")).is_ok()
}

/// A tree with everything in it that a sealed image may have, at sizes around the edges of blocks.
fn sample() -> Tree {
    let mut tree = Tree::default();
    let put = |tree: &mut Tree, path: &str, content| {
        tree.put(path.as_bytes(), Owner::new(0o640, 1000, 7).unwrap(), content).unwrap();
    };
    for size in [0, 1, 100, 4063, 4064, 4065, 4095, 4096, 4097, 8160, 8161, 100_000, 3_000_000] {
        let bytes = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        put(&mut tree, &format!("sizes/{size}"), Content::File(bytes));
    }
    for number in 0..700 {
        put(
            &mut tree,
            &format!("many/{number:03}-{}", "n".repeat(number % 200)),
            Content::File(vec![9; number]),
        );
    }
    put(&mut tree, "links/short", Content::Link(b"../sizes/100".to_vec()));
    put(&mut tree, "links/long", Content::Link(vec![b'x'; 4000]));
    put(&mut tree, "empty", Content::Folder(BTreeMap::new()));
    put(&mut tree, "!before the dots", Content::File(b"!".to_vec()));
    tree.link(b"many/again", b"sizes/100000").unwrap();
    tree
}

/// What is below `folder`, as text: kind, mode, size, path, where a link leads.
fn listing(folder: &Path) -> String {
    let words = ["-printf", "%y %m %s %P %l\n"];
    let output = tool::command("find").arg(folder).args(["-mindepth", "1"]).args(words).output().unwrap();
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("d "));
    lines.sort();
    lines.join("\n")
}

/// The same, of a tree.
fn listing_of(tree: &Tree, folder: &Path) {
    for (number, path) in tree.walk() {
        let place = folder.join(String::from_utf8(path).unwrap().trim_start_matches('/'));
        match &tree.node(number).unwrap().content {
            Content::Folder(_) => fs::create_dir_all(place).unwrap(),
            Content::File(bytes) => fs::write(place, bytes).unwrap(),
            Content::Link(says) => {
                std::os::unix::fs::symlink(std::str::from_utf8(says).unwrap(), place).unwrap()
            }
        }
    }
    let file = |name: &str| folder.join(name);
    fs::hard_link(file("many/again"), file("sizes/100000")).unwrap(); // the walk names it once
    tool::run("chmod", &["-R", "u=rwX,g=rX,o=", folder.to_str().unwrap()]).unwrap();
    tool::run("find", &[folder.to_str().unwrap(), "-type", "f", "-exec", "chmod", "640", "{}", "+"]).unwrap();
}

#[test]
fn erofs_utils_read_what_we_write() {
    if !has("fsck.erofs", "erofs-utils") {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (image, out, plain) = (scratch.file("image"), scratch.file("out"), scratch.file("plain"));
    let bytes = erofs::write(&sample()).unwrap();
    fs::write(&image, &bytes).unwrap();
    let word = image.to_str().unwrap();
    tool::run("fsck.erofs", &[&format!("--extract={}", out.display()), word]).unwrap();
    let said = tool::run("dump.erofs", &["-s", "--path=/sizes/100000", word]).unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("Links: 2") && said.contains("Uid: 1000") && said.contains("Gid: 7"), "{said}");
    listing_of(&sample(), &plain);
    assert_eq!(listing(&out), listing(&plain));
    tool::run("diff", &["-r", "--no-dereference", out.to_str().unwrap(), plain.to_str().unwrap()]).unwrap();
}

#[test]
fn the_kernel_reads_what_we_write() {
    // A mount of its own that ends with the program; only the machine's root may mount this kind, and only a kernel that can takes a file.
    let scratch = Scratch::new().unwrap();
    let (image, place, plain) = (scratch.file("image"), scratch.file("place"), scratch.file("plain"));
    fs::write(&image, erofs::write(&sample()).unwrap()).unwrap();
    fs::create_dir(&place).unwrap();
    listing_of(&sample(), &plain);
    let script = "mount -t erofs -o ro \"$1\" \"$2\" && stat -c '%u %g %a %h' \"$2/sizes/100000\" && exec diff -r --no-dereference \"$2\" \"$3\"";
    let mut command = tool::command("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([&image, &place, &plain]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && (said.contains("unshare") || said.contains("mount:")) {
        return println!("skipped: no mount of a file as EROFS here: {}", said.trim());
    }
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1000 7 640 2");
}

#[test]
fn what_mkfs_erofs_makes_is_not_of_the_one_form() {
    if !has("mkfs.erofs", "erofs-utils") {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (folder, image) = (scratch.file("folder"), scratch.file("image"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "x").unwrap();
    tool::run("mkfs.erofs", &["-zlz4", image.to_str().unwrap(), folder.to_str().unwrap()]).unwrap();
    let bytes = fs::read(&image).unwrap();
    let blocks = u32::try_from(bytes.len() / BLOCK_BYTES).unwrap();
    assert_eq!(erofs::check(bytes.as_slice(), blocks), Err(erofs::Fault::Super));
}

#[test]
fn veritysetup_makes_and_takes_the_same_tree() {
    if !has("veritysetup", "cryptsetup-bin") {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let (data, hashes, sealed) = (scratch.file("data"), scratch.file("hashes"), scratch.file("sealed"));
    let words =
        ["--no-superblock", "--salt=-", "--hash=sha256", "--data-block-size=4096", "--hash-block-size=4096"];
    for blocks in [2_u32, 127, 128, 129, 1000, 16_384, 16_385] {
        let bytes = usize::try_from(blocks).unwrap() * BLOCK_BYTES;
        let mut image: Vec<u8> = (0..bytes).map(|at| u8::try_from(at * at % 253).unwrap()).collect();
        let made = verity::make(&mut image.as_slice(), blocks).unwrap();
        fs::write(&data, &image).unwrap();
        let (data, hashes, sealed) =
            (data.to_str().unwrap(), hashes.to_str().unwrap(), sealed.to_str().unwrap());
        let said = tool::run("veritysetup", &[&["format", data, hashes][..], &words[..]].concat()).unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&made.root.hex()), "{blocks} blocks: {said}");
        assert!(fs::read(hashes).unwrap() == made.tree, "{blocks} blocks: another tree");
        // As it lies in a bundle: the tree behind the image.
        let offset = format!("--hash-offset={bytes}");
        let numbers = format!("--data-blocks={blocks}");
        let verify = |image: &[u8]| {
            fs::write(sealed, [image, &made.tree].concat()).unwrap();
            let root = made.root.hex();
            let places = ["verify", sealed, sealed, &root, &offset, &numbers];
            tool::run("veritysetup", &[&places[..], &words[..]].concat())
        };
        verify(&image).unwrap();
        *image.last_mut().unwrap() ^= 1;
        assert!(verify(&image).is_err(), "{blocks} blocks: a bit flipped is seen");
    }
}
