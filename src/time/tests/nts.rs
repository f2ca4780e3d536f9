//! NTS with a server that we did not write (chronyd), under a certificate that the test makes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::{Path, PathBuf};

use stage::{Stage, answer, enter, listens, run, server, true_ns};
use time::servers::Servers;
use trust::anchors::Anchors;

const PROGRAMS: [&str; 4] = ["ip", "chronyd", "dnsmasq", "openssl"];

/// An anchor, and a key with a certificate of it for `nts.example`.
fn certificates(folder: &Path) -> (Anchors, String) {
    fs::create_dir_all(folder).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let anchor = ["req", "-x509", "-days", "3650", "-subj", "/CN=anchor", "-keyout"];
    run(&[&["openssl"], &anchor[..], &[&at("anchor.key"), "-out", &at("anchor.pem")], &curve].concat());
    let request = ["req", "-subj", "/CN=nts.example", "-addext", "subjectAltName=DNS:nts.example", "-keyout"];
    run(&[&["openssl"], &request[..], &[&at("nts.key"), "-out", &at("nts.csr")], &curve].concat());
    run(&[
        "openssl",
        "x509",
        "-req",
        "-days",
        "3650",
        "-copy_extensions",
        "copy",
        "-in",
        &at("nts.csr"),
        "-CA",
        &at("anchor.pem"),
        "-CAkey",
        &at("anchor.key"),
        "-CAcreateserial",
        "-out",
        &at("nts.pem"),
    ]);
    let mut anchors = Anchors::default();
    anchors.take(&fs::read(folder.join("anchor.pem")).unwrap());
    assert_eq!(anchors.count(), 1);
    (anchors, format!("ntsserverkey {}\nntsservercert {}\nntsprocesses 0", at("nts.key"), at("nts.pem")))
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("shg-time-certificates-{name}-{}", std::process::id()))
}

#[test]
fn a_sealed_time_is_believed_before_all_others() {
    if !enter("a_sealed_time_is_believed_before_all_others", &PROGRAMS) {
        return;
    }
    let folder = folder("sealed");
    let (anchors, lines) = certificates(&folder);
    let mut stage = Stage::new("sealed", Servers::trusting(anchors));
    // Three that lie alike are a majority, but for the seal.
    for number in [2, 3, 4] {
        server(number, |question, _| Some(answer(question, 1, b"GPS\0", true_ns() + 3_600_000_000_000)));
    }
    stage.names(&[("nts.example", "192.0.2.1")]);
    stage.chrony(1, &lines);
    listens("192.0.2.1:4460");
    stage.tell(&["192.0.2.2", "192.0.2.3", "192.0.2.4"], &["nts.example"]);
    stage.until("a clock that is right", Stage::is_synchronized);
    let (said, _) = stage.said();
    assert!(said.sealed && said.source.as_str() == "nts.example", "{said:?}");
    assert!(stage.wrong_ms().abs() < 100, "{} ms", stage.wrong_ms());
    // The server starts anew and knows our keys no more: new ones are agreed on.
    let since_s = said.since_s;
    stage.end_last();
    stage.chrony(1, &lines);
    listens("192.0.2.1:4460");
    stage.until("its word that it has forgotten us", |stage| {
        !stage.said().1.iter().any(|source| source.sealed)
    });
    stage.until("another sealed word", |stage| {
        let (_, sources) = stage.said();
        sources.iter().any(|source| source.sealed && source.reach.count_ones() >= 3)
    });
    assert!(stage.wrong_ms().abs() < 100, "{} ms, {since_s}", stage.wrong_ms());
    let _ = fs::remove_dir_all(folder);
}

#[test]
fn a_certificate_of_somebody_else_seals_nothing() {
    if !enter("a_certificate_of_somebody_else_seals_nothing", &PROGRAMS) {
        return;
    }
    let (folder, others) = (folder("ours"), folder("others"));
    let (anchors, _) = certificates(&folder);
    let (_, lines) = certificates(&others);
    let mut stage = Stage::new("foreign", Servers::trusting(anchors));
    stage.names(&[("nts.example", "192.0.2.1")]);
    stage.chrony(1, &lines);
    listens("192.0.2.1:4460");
    let plain = server(2, |question, _| Some(answer(question, 1, b"GPS\0", true_ns())));
    stage.tell(&["192.0.2.2"], &["nts.example"]);
    // There is no sealed word, so after a while the other counts.
    stage.until("a clock that is right", Stage::is_synchronized);
    let (said, sources) = stage.said();
    assert!(!said.sealed && !sources.iter().any(|source| source.sealed), "{said:?}");
    assert!(*plain.lock().unwrap() >= 3);
    for folder in [folder, others] {
        let _ = fs::remove_dir_all(folder);
    }
}
