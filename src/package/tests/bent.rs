//! Bundles that lie, over the wire: each is refused for what is wrong with it, and nothing of it stays.
//!
//! In:  bundles that somebody has changed, or that their own provider made so. Out: faults, words, files.
//!
//! The same at the desk is in `tests/tests/bundles/attacks.rs`; registries that lie are in `liars.rs`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use bundle::form;
use bundle::make::Bundle;
use bundle::sign::Statement;
use bundle::{BLOCK_BYTES, erofs, verity};
use contract::packages::Fault;
use stage::{Made, Shop, Stage, enter, install, secret};

fn hello() -> Made {
    Made::new("hello", "demo", 1, 1)
}

/// hello with another signature.
fn signed(bend: impl Fn(&mut Vec<u8>)) -> Made {
    let Made { bundle, mut signature, .. } = hello();
    bend(&mut signature);
    Made::signed(bundle, signature)
}

/// hello with a manifest that says something else, signed by its provider.
fn stated(from: &str, to: &str) -> Made {
    let Made { bundle, .. } = hello();
    let manifest = String::from_utf8(bundle.manifest).unwrap();
    assert!(manifest.contains(from), "{manifest}");
    signed_as_it_is(Bundle { manifest: manifest.replace(from, to).into_bytes(), ..bundle })
}

/// Signs whatever the manifest says, as far as it says something.
fn signed_as_it_is(bundle: Bundle) -> Made {
    let statement: Option<Statement> =
        form::parse(&bundle.manifest).ok().and_then(|parts| Some(parts.statement(&bundle.config).ok()?.0));
    let signature = statement.map_or_else(|| hello().signature, |one| one.seal(&secret(1)).unwrap());
    Made::signed(bundle, signature)
}

/// hello with an image that its own provider bent before he signed it.
fn bent(bend: fn(&mut [u8])) -> Made {
    let Made { bundle, .. } = hello();
    let parts = form::parse(&bundle.manifest).unwrap();
    let blocks = parts.image_blocks;
    let mut image = bundle.layer[..usize::try_from(blocks).unwrap() * BLOCK_BYTES].to_vec();
    bend(&mut image);
    erofs::mend(&mut image);
    let verity = verity::make(&mut image.as_slice(), blocks).unwrap();
    let layer = [image, verity.tree].concat();
    let descriptor = form::Descriptor::of(form::LAYER_TYPE, &layer);
    let parts = form::Parts { layer: descriptor, root: verity.root, ..parts };
    let manifest = form::write(&parts, "hello", "demo", "x").unwrap();
    signed_as_it_is(Bundle { manifest, layer, ..bundle })
}

/// What is wrong, the bundle, and what is said.
type Row = (&'static str, Made, Fault, &'static str);

/// Bundles whose signatures are not.
fn bad_signatures() -> Vec<Row> {
    vec![
        (
            "a bit of the signature",
            signed(|bytes| *bytes.last_mut().unwrap() ^= 1),
            Fault::Signature,
            "ML-DSA-65 signature does not verify",
        ),
        (
            "a bit of what is signed",
            signed(|bytes| bytes[40] ^= 1),
            Fault::Signature,
            "Ed25519 signature does not verify",
        ),
        ("no signature at all", signed(Vec::clear), Fault::Signature, "signature"),
        ("a stranger's signature", Made::new("hello", "demo", 1, 7), Fault::Signature, "is not trusted"),
        ("the root's signature", Made::new("hello", "demo", 1, 9), Fault::Signature, "is not trusted"),
        (
            "another provider's key",
            Made::new("hello", "demo", 1, 2),
            Fault::Signature,
            "a key of provider other",
        ),
        (
            "the signature of another release",
            signed(|bytes| *bytes = Made::new("hello", "demo", 2, 1).signature),
            Fault::Signature,
            "another one",
        ),
    ]
}

/// Bundles whose signatures are good.
fn good_signatures() -> Vec<Row> {
    let hostile =
        |manifest: String| signed_as_it_is(Bundle { manifest: manifest.into_bytes(), ..hello().bundle });
    vec![
        ("a manifest of brackets", hostile("[".repeat(9000)), Fault::Form, "manifest"),
        ("a manifest that is too long", hostile(" ".repeat(17_000)), Fault::Form, "more than 16384 bytes"),
        ("for other processors", stated("\"386\"", "\"amd64\""), Fault::Architecture, "other processors"),
        (
            "a version that is none",
            stated("\"vnd.shg.bundle.version\":\"1\"", "\"vnd.shg.bundle.version\":\"-1\""),
            Fault::Form,
            "version",
        ),
        (
            "a field that is none",
            stated("{\"schemaVersion\"", "{\"more\":1,\"schemaVersion\""),
            Fault::Form,
            "more",
        ),
        (
            "a huge image",
            stated("\"vnd.shg.bundle.image-blocks\":\"", "\"vnd.shg.bundle.image-blocks\":\"9999"),
            Fault::Form,
            "image",
        ),
        ("a form that is not mounted", bent(|image| image[1024 + 80] = 0xff), Fault::Form, "image:"),
        (
            "a set-user-id bit",
            bent(|image| {
                let inode = |at: &usize| image[at + 20..at + 24] == [2, 0, 0, 0] && image[at + 6] != 0;
                let at = (1152..4096).step_by(32).find(inode).unwrap();
                image[at + 5] |= 8;
            }),
            Fault::Form,
            "image:",
        ),
    ]
}

#[test]
fn a_bundle_that_lies_is_refused() {
    if !enter("a_bundle_that_lies_is_refused", &[]) {
        return;
    }
    let shop = Shop::open();
    let stage = Stage::new(&shop.word(), 64);
    for (what, made, fault, word) in bad_signatures().into_iter().chain(good_signatures()) {
        shop.put("1", &made);
        let (had, words) = stage.refuses(&install(&shop.source("1")));
        assert!(had == fault && words.contains(word), "{what}: {had:?}: {words}");
        assert_eq!(stage.files(), [], "{what}");
        // Only what the image itself shows costs its bytes.
        let image = made.image().to_string();
        let was_fetched = shop.paths().iter().any(|path| path.ends_with(&image));
        assert_eq!(was_fetched, word == "image:", "{what}");
        shop.wares.lock().unwrap().clear();
        shop.asked.lock().unwrap().clear();
    }
    // The same service without a signature under its tag, and without a blob.
    let made = hello();
    for (what, missing, fault, word) in [
        ("no signature", made.signature_tag(), Fault::Signature, "it is not signed"),
        (
            "no service manifest",
            bundle::digest::Digest::of(&made.bundle.config).to_string(),
            Fault::Missing,
            "(404)",
        ),
        ("no image", made.image().to_string(), Fault::Missing, "(404)"),
    ] {
        shop.put("1", &made);
        shop.wares.lock().unwrap().retain(|path, _| !path.ends_with(&missing));
        let (had, words) = stage.refuses(&install(&shop.source("1")));
        assert!(had == fault && words.contains(word), "{what}: {had:?}: {words}");
        assert_eq!(stage.files(), [], "{what}");
    }
    shop.put("1", &made);
    stage.does(&install(&shop.source("1")));
}
