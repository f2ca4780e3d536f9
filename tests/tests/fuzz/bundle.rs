//! Bundles: manifests of registries, signatures, lists of keys, sealed images. Whatever a registry or a provider sends, it is taken or refused.

use std::collections::BTreeMap;

use bundle::digest::Digest;
use bundle::form::{self, CONFIG_TYPE, Descriptor, LAYER_TYPE, Parts};
use bundle::key::{Public, Secret};
use bundle::keyring::{self, Entry, Keyring};
use bundle::sign::{Architecture, Statement};
use bundle::tree::{Content, Owner, Tree};
use bundle::{BLOCK_BYTES, erofs};
use tests::fuzz::run;

const SERVICE: &[u8] = include_bytes!("../../../src/services/hello/manifest.toml");

fn secret() -> Secret {
    Secret::of_seeds([1; 32], [2; 32])
}

fn statement() -> Statement {
    Statement {
        manifest: Digest::of(b"manifest"),
        root: Digest::of(b"root"),
        image_blocks: 3,
        version: 1,
        architecture: Architecture::I386,
        name: contract::Name::new("hello").unwrap(),
        provider: contract::Name::new("demo").unwrap(),
    }
}

#[test]
fn bundle_manifest() {
    let mut layer = Descriptor::of(LAYER_TYPE, b"");
    layer.size = 4096 * (300 + 4);
    let parts = Parts {
        config: Descriptor::of(CONFIG_TYPE, SERVICE),
        layer,
        image_blocks: 300,
        root: Digest::of(b"root"),
        version: 7,
        architecture: Architecture::I386,
        manifest: Digest::of(b""),
    };
    let manifest = form::write(&parts, "hello", "demo", "a page").unwrap();
    let signature = form::write_signature(&manifest, b"signature").unwrap();
    run("bundle manifest", &[&manifest, &signature], |bytes| {
        if let Ok(parts) = form::parse(bytes) {
            assert!(parts.layer.size <= bundle::IMAGE_BYTES_MAX * 2, "what is fetched has a limit");
        }
        let _ = form::parse_signature(bytes, &Digest::of(bytes));
    });
}

#[test]
fn bundle_signature() {
    let signature = statement().seal(&secret()).unwrap();
    let entry = Entry { provider: contract::Name::new("demo").unwrap(), key: secret().public().unwrap() };
    let list = keyring::seal(&secret(), 1, None, &[entry]).unwrap();
    let samples = [signature, list, statement().bytes(), secret().public().unwrap().text().into_bytes()];
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    run("bundle signature", &samples, |bytes| {
        let ring = Keyring::new(secret().public().unwrap());
        if let Ok(ring) = ring.update(bytes) {
            // Bent bytes do not verify: it is the sample itself.
            assert_eq!((ring.serial, ring.entries.len()), (1, 1));
        }
        assert!(ring.open(bytes).is_err(), "no key is known");
        if let Some(statement) = Statement::parse(bytes) {
            assert_eq!(statement.bytes(), bytes, "it has one form");
        }
        if let Ok(Ok(key)) = std::str::from_utf8(bytes).map(Public::parse) {
            let _ = key.verify(bundle::key::Purpose::Bundle, b"", &[0; bundle::key::SIGNATURE_BYTES]);
        }
    });
}

#[test]
fn bundle_image() {
    let mut tree = Tree::default();
    let entries = [
        ("bin/hello", Content::File(vec![7; 5000])),
        ("lib", Content::Link(b"bin".to_vec())),
        ("tmp", Content::Folder(BTreeMap::new())),
    ];
    for (path, content) in entries {
        tree.put(path.as_bytes(), Owner::root(0o755), content).unwrap();
    }
    let image = erofs::write(&tree).unwrap();
    run("bundle image", &[&image], |bytes| {
        let blocks = u32::try_from(bytes.len() / BLOCK_BYTES).unwrap();
        let _ = erofs::check(bytes, blocks);
        // As its provider would sign it.
        let mut mended = bytes.to_vec();
        erofs::mend(&mut mended);
        let _ = erofs::check(mended.as_slice(), blocks);
    });
}

#[test]
fn bundle_layer() {
    // `printf x >f; ln f g; ln -s f l; tar --format=pax -cf layer.tar f g l`
    let sample = include_bytes!("../data/layer.tar");
    run("bundle layer", &[sample], |bytes| {
        let rules = bundle::import::Rules::default();
        let mut tree = Tree::default();
        if bundle::import::layer::apply(&mut tree, bytes, rules).is_ok() {
            let image = erofs::write(&tree).unwrap();
            let blocks = u32::try_from(image.len() / BLOCK_BYTES).unwrap();
            assert_eq!(erofs::check(image.as_slice(), blocks), Ok(blocks), "what is made is taken");
        }
    });
}
