//! Bundles, keys and registries that lie: each is refused, with the reason, and nothing of it stays.
//!
//! What strangers' layers may not hold is in `src/bundle/src/make_tests.rs`, what an image may not be in `src/bundle/src/erofs/tests.rs`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bundle::digest::Digest;
use bundle::key::Secret;
use bundle::make::Bundle;
use bundle::tree::{Content, Owner, Tree};
use bundle::{erofs, form, layout, make, verity};
use serde_json::Value;

use crate::desk::{Desk, SERVICE, program};

fn read(desk: &Desk, name: &str) -> (Bundle, Vec<u8>) {
    let (bundle, signature) = layout::read(&desk.path(name)).unwrap();
    (bundle, signature.unwrap())
}

/// A bundle that its own provider bent before he signed it: `bend` gets the image.
fn signed_badly(desk: &Desk, name: &str, bend: fn(&mut [u8])) {
    let mut tree = Tree::default();
    tree.put(b"hello", Owner::root(0o755), Content::File(program())).unwrap();
    let mut image = erofs::write(&tree).unwrap();
    bend(&mut image);
    erofs::mend(&mut image);
    let made = make::make(tree, SERVICE, 9, None).unwrap();
    let parts = form::parse(&made.manifest).unwrap();
    let blocks = u32::try_from(image.len() / bundle::BLOCK_BYTES).unwrap();
    let verity = verity::make(&mut image.as_slice(), blocks).unwrap();
    let layer = [image, verity.tree].concat();
    let descriptor = form::Descriptor::of(form::LAYER_TYPE, &layer);
    let parts = form::Parts { layer: descriptor, image_blocks: blocks, root: verity.root, ..parts };
    let manifest = form::write(&parts, "hello", "demo", "x").unwrap();
    let parts = form::parse(&manifest).unwrap();
    let (statement, _) = parts.statement(SERVICE.as_bytes()).unwrap();
    let secret = Secret::parse(&fs::read_to_string(desk.path("demo.secret")).unwrap()).unwrap();
    let signature = statement.seal(&secret).unwrap();
    let bundle = Bundle { manifest, config: SERVICE.as_bytes().to_vec(), layer };
    layout::write(&desk.path(name), &bundle, Some(&signature)).unwrap();
}

/// The file of a blob of the bundle `name`.
fn blob(desk: &Desk, name: &str, bytes: &[u8]) -> PathBuf {
    desk.path(name).join("blobs/sha256").join(Digest::of(bytes).hex())
}

type Attack = fn(&Desk, &str, &Bundle, &[u8]);

/// What is done to a bundle on its way, and what is said of it then.
const ATTACKS: &[(&str, Attack, &str)] = &[
    (
        "a bit flipped in the image",
        |desk, name, bundle, _| {
            let mut bent = bundle.layer.clone();
            bent[9000] ^= 1;
            fs::write(blob(desk, name, &bundle.layer), bent).unwrap();
        },
        "image: its digest",
    ),
    (
        "an image cut short",
        |desk, name, bundle, _| {
            fs::write(blob(desk, name, &bundle.layer), &bundle.layer[..5000]).unwrap();
        },
        "image: its digest",
    ),
    (
        "an image that goes on",
        |desk, name, bundle, _| {
            fs::write(blob(desk, name, &bundle.layer), [&bundle.layer[..], b"more"].concat()).unwrap();
        },
        "more than",
    ),
    (
        "another service manifest",
        |desk, name, bundle, _| {
            let other = SERVICE.replace("hello", "hallo");
            fs::write(blob(desk, name, &bundle.config), other).unwrap();
        },
        "service manifest",
    ),
    (
        "a bit flipped in the signature",
        |desk, name, bundle, signature| {
            let mut bent = signature.to_vec();
            *bent.last_mut().unwrap() ^= 1;
            layout::write(&desk.path(name), bundle, Some(&bent)).unwrap();
        },
        "ML-DSA-65 signature does not verify",
    ),
    (
        "a bit flipped in what is signed",
        |desk, name, bundle, signature| {
            let mut bent = signature.to_vec();
            bent[40] ^= 1;
            layout::write(&desk.path(name), bundle, Some(&bent)).unwrap();
        },
        "Ed25519 signature does not verify",
    ),
    (
        "no signature",
        |desk, name, bundle, _| {
            fs::remove_dir_all(desk.path(name)).unwrap();
            layout::write(&desk.path(name), bundle, None).unwrap();
        },
        "not signed",
    ),
    (
        "a stranger's signature",
        |desk, name, bundle, _| {
            let (statement, _) = bundle.check().unwrap();
            let signature = statement.seal(&Secret::of_seeds([1; 32], [1; 32])).unwrap();
            layout::write(&desk.path(name), bundle, Some(&signature)).unwrap();
        },
        "is not trusted",
    ),
    (
        "the root's key in place of a provider's",
        |desk, name, bundle, _| {
            let root = Secret::parse(&fs::read_to_string(desk.path("root-key.secret")).unwrap()).unwrap();
            let signature = bundle.check().unwrap().0.seal(&root).unwrap();
            layout::write(&desk.path(name), bundle, Some(&signature)).unwrap();
        },
        "is not trusted",
    ),
    (
        "the signature of another release",
        |desk, name, bundle, _| {
            desk.bundle("@files", "other", 2);
            let (_, signature) = read(desk, "other");
            layout::write(&desk.path(name), bundle, Some(&signature)).unwrap();
        },
        "another bundle",
    ),
    (
        "a hostile manifest",
        |desk, name, bundle, _| {
            let index = desk.path(name).join("index.json");
            let text = fs::read_to_string(&index).unwrap();
            let bent = "[".repeat(9000);
            let (old, new) =
                (Digest::of(&bundle.manifest).to_string(), Digest::of(bent.as_bytes()).to_string());
            fs::write(blob(desk, name, bent.as_bytes()), &bent).unwrap();
            fs::write(index, text.replace(&old, &new)).unwrap();
        },
        "manifest",
    ),
];

#[test]
fn what_was_changed_on_its_way_is_refused() {
    let desk = Desk::new();
    for (number, (what, attack, word)) in ATTACKS.iter().enumerate() {
        let name = format!("bundle-{number}");
        desk.bundle("@files", &name, 1);
        desk.verify(&format!("@{name}")).unwrap();
        let (bundle, signature) = read(&desk, &name);
        attack(&desk, &name, &bundle, &signature);
        let said = desk.verify(&format!("@{name}")).unwrap_err().to_string();
        assert!(said.contains(word), "{what}: {said}");
        let _ = fs::remove_dir_all(desk.path("other"));
    }
}

#[test]
fn what_its_own_provider_bent_is_refused() {
    let desk = Desk::new();
    // Where the inode of /hello is: the first one whose serial number is 2.
    fn hello(image: &[u8]) -> usize {
        (1152..4096)
            .step_by(32)
            .find(|at| image[at + 20..at + 24] == [2, 0, 0, 0] && image[at + 6] != 0)
            .unwrap()
    }
    type Bend = fn(&mut [u8]);
    let table: &[(&str, Bend, &str)] = &[
        ("a set-user-id bit", |image| image[hello(image) + 5] |= 8, "set-user-id"),
        ("a device node", |image| image[hello(image) + 5] = 0x61, "a device"),
        ("a huge size", |image| image[hello(image) + 11] = 0x7f, "larger"),
        ("compression", |image| image[hello(image)] = 2, "layout"),
        (
            "a name with a slash",
            |image| {
                let at = image.windows(5).position(|part| part == b"hello").unwrap();
                image[at] = b'/';
            },
            "folder",
        ),
        ("another file system's feature", |image| image[1024 + 80] = 0xff, "form"),
    ];
    for (number, (what, bend, word)) in table.iter().enumerate() {
        let name = format!("bent-{number}");
        signed_badly(&desk, &name, *bend);
        let said = desk.verify(&format!("@{name}")).unwrap_err().to_string();
        assert!(said.contains(word), "{what}: {said}");
        let said = desk.shg(&format!("sign @{name} --key @demo.secret")).unwrap_err().to_string();
        assert!(said.contains(word), "{what}: it is not signed either: {said}");
    }
    signed_badly(&desk, "good", |_| {});
    desk.verify("@good").unwrap();
}

#[test]
fn keys_are_for_one_provider_and_can_be_withdrawn() {
    let desk = Desk::new();
    desk.bundle("@files", "bundle", 1);
    let line = |list: &str| format!("verify @bundle --keyring @{list} --root @root-key.public");
    desk.shg("keyring @others other=@demo.public --root @root-key.secret --serial 2").unwrap();
    let said = desk.shg(&line("others")).unwrap_err().to_string();
    assert!(said.contains("a key of provider other on a bundle of provider demo"), "{said}");
    desk.shg("keygen @next").unwrap();
    desk.shg("keyring @withdrawn demo=@next.public --root @root-key.secret --serial 3").unwrap();
    let said = desk.shg(&line("withdrawn")).unwrap_err().to_string();
    assert!(said.contains("is not trusted"), "{said}");
    desk.shg("keyring @forged demo=@demo.public --root @next.secret --serial 4").unwrap();
    let said = desk.shg(&line("forged")).unwrap_err().to_string();
    assert!(said.contains("not signed by the root"), "{said}");
    let said = desk.shg("verify @bundle --key @demo.secret").unwrap_err().to_string();
    assert!(said.contains("a public key was wanted"), "{said}");
    let said = desk.shg("keygen @demo").unwrap_err().to_string();
    assert!(said.contains("it is there already"), "a key is not written over: {said}");
}

/// What a registry answers to one path.
type Lie = (&'static str, Vec<u8>);

/// A registry that gives `answers` in order, one a connection, whatever is asked.
fn liar(answers: Vec<Lie>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (head, body) in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let mut asked: Vec<u8> = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.windows(4).any(|part| part == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => asked.extend(&buffer[..count]),
                    _ => break,
                }
            }
            let head = head.replace("LENGTH", &body.len().to_string()).replace("PORT", &port.to_string());
            let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    port
}

#[test]
fn a_registry_that_lies_is_refused() {
    const GOOD: &str = "200 OK\r\nContent-Length: LENGTH";
    let desk = Desk::new();
    desk.bundle("@files", "bundle", 1);
    let (bundle, _) = read(&desk, "bundle");
    let manifest = || bundle.manifest.clone();
    let config = || bundle.config.clone();
    let none: Lie = ("404 Not Found\r\nContent-Length: 0", Vec::new());
    let mut bent = bundle.layer.clone();
    bent[0] ^= 1;
    let longer = [&bundle.layer[..], b"x"].concat();
    let mut index: Value = serde_json::from_slice(&bundle.manifest).unwrap();
    index["layers"][0]["size"] = Value::from(1_u64 << 40);
    let huge = serde_json::to_vec(&index).unwrap();
    let redirect = "302 Found\r\nLocation: http://127.0.0.1:PORT/elsewhere\r\nContent-Length: 0";
    let table: Vec<(&str, Vec<Lie>, &str)> = vec![
        ("no manifest", vec![(GOOD, b"<html>".to_vec())], "manifest"),
        ("a manifest without end", vec![("200 OK", vec![b' '; 1 << 20])], "more than"),
        ("a layer of a terabyte", vec![(GOOD, huge)], "another size"),
        (
            "another configuration",
            vec![(GOOD, manifest()), (GOOD, b"x".repeat(config().len()))],
            "other bytes",
        ),
        (
            "a configuration of another length",
            vec![(GOOD, manifest()), (GOOD, b"x".to_vec())],
            "another length",
        ),
        (
            "another layer",
            vec![(GOOD, manifest()), (GOOD, config()), none.clone(), (GOOD, bent)],
            "other bytes",
        ),
        (
            "a longer layer",
            vec![(GOOD, manifest()), (GOOD, config()), none.clone(), (GOOD, longer.clone())],
            "another length",
        ),
        (
            "a layer without end",
            vec![(GOOD, manifest()), (GOOD, config()), none.clone(), ("200 OK", longer)],
            "another length",
        ),
        (
            "a layer cut short",
            vec![(GOOD, manifest()), (GOOD, config()), none, ("200 OK", bundle.layer[..5000].to_vec())],
            "another length",
        ),
        ("a circle of redirects", vec![(redirect, Vec::new()); 6], "redirect"),
        ("garbage", vec![("what?", b"\0\0\0".to_vec())], "registry"),
        ("a refusal", vec![("403 Forbidden\r\nContent-Length: LENGTH", b"go away".to_vec())], "go away"),
    ];
    for (what, answers, word) in table {
        let port = liar(answers);
        let said = desk.shg(&format!("pull 127.0.0.1:{port}/demo/hello:1 @pulled --plain-http"));
        let said = said.unwrap_err().to_string();
        assert!(said.contains(word), "{what}: {said}");
        assert!(!desk.path("pulled").exists(), "{what}: nothing stays");
    }
}
