//! Tests of `form.rs`: what a registry may send, and what is refused.

use super::{
    CONFIG_TYPE, Descriptor, Fault, LAYER_TYPE, Parts, parse, parse_signature, write, write_signature,
};
use crate::digest::Digest;
use crate::sign::Architecture;

const SERVICE: &[u8] = include_bytes!("../../services/hello/manifest.toml");

fn parts() -> Parts {
    let mut layer = Descriptor::of(LAYER_TYPE, b"");
    layer.size = 4096 * (300 + 4);
    Parts {
        config: Descriptor::of(CONFIG_TYPE, SERVICE),
        layer,
        image_blocks: 300,
        root: Digest::of(b"root"),
        version: 7,
        architecture: Architecture::I386,
        manifest: Digest::of(b""),
    }
}

fn text() -> String {
    String::from_utf8(write(&parts(), "hello", "demo", "a page").unwrap()).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let text = text();
    let read = parse(text.as_bytes()).unwrap();
    assert_eq!(read, Parts { manifest: Digest::of(text.as_bytes()), ..parts() });
    let (statement, service) = read.statement(SERVICE).unwrap();
    assert_eq!((statement.name.as_str(), statement.version), (service.name.as_str(), 7));
    assert!(matches!(read.statement(b"other"), Err(Fault::Digest(..))));
    let signature = write_signature(text.as_bytes(), b"signature").unwrap();
    assert_eq!(parse_signature(&signature, &read.manifest).unwrap().digest, Digest::of(b"signature"));
    assert_eq!(parse_signature(&signature, &Digest::of(b"x")), Err(Fault::Statement("bundle")));
    assert_eq!(parse_signature(text.as_bytes(), &read.manifest), Err(Fault::Kind("artifact type")));
}

#[test]
fn what_a_registry_may_not_send_is_named() {
    let good = text();
    let deep = good.replacen("\"size\":", &format!("\"size\":{}", "[".repeat(10_000)), 1);
    let long = format!("{good}{}", " ".repeat(20_000));
    let table: &[(&str, String, &str)] = &[
        ("nothing", String::new(), "EOF"),
        ("deep", deep, "expected u64"),
        ("long", long, "limit"),
        ("unknown key", good.replacen('{', "{\"urls\":[],", 1), "unknown field"),
        ("twice", good.replacen('{', "{\"schemaVersion\":2,", 1), "duplicate"),
        ("an index", good.replace("image.manifest", "image.index"), "media type"),
        ("an ordinary image", good.replace("shg.bundle.v1", "oci.other"), "artifact type"),
        ("another layer", good.replace("vnd.shg.sealed", "vnd.oci.image.layer"), "layer's type"),
        ("another configuration", good.replace("vnd.shg.service", "vnd.oci.image"), "configuration's type"),
        ("no digest", good.replacen("sha256:", "sha512:", 1), "digest"),
        ("a version below zero", good.replace("version\":\"7\"", "version\":\"-7\""), "version"),
        ("a version with a zero", good.replace("version\":\"7\"", "version\":\"07\""), "version"),
        ("a huge image", good.replace("\"300\"", "\"4294967295\""), "larger"),
        ("no image", good.replace("\"300\"", "\"0\""), "empty"),
        ("a shorter image", good.replace("\"300\"", "\"299\""), "another size"),
        ("another processor", good.replace("\"386\"", "\"arm64\""), "architecture"),
        ("a short root", good.replace("root-hash\":\"", "root-hash\":\"x"), "root-hash"),
        ("a long service manifest", good.replacen("\"size\":", "\"size\":99", 1), "too long"),
    ];
    for (name, text, word) in table {
        assert_ne!(*text, good, "{name}");
        let said = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(said.contains(word), "{name}: {said}");
    }
}
