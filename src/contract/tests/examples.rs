//! The operator's page: every example is a network file that is taken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(feature = "text")]

use std::fs;
use std::path::Path;

#[test]
fn every_example_of_the_docs_is_taken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let parsed = contract::wanted::parse(&fs::read_to_string(&path).unwrap());
        assert!(parsed.is_ok(), "{}: {}", path.display(), parsed.unwrap_err());
        read += 1;
    }
    assert!(read >= 3, "{read} examples");
}
