//! `docs/usp-conformance.md` names tests: each is there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

#[test]
fn every_test_of_the_page_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(top.join("docs/usp-conformance.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| R-"));
    let (mut tests, mut faults) = (0, Vec::new());
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (test, result) = (cells[3].trim_matches('`'), cells[4]);
        let Some((file, name)) = test.split_once(' ') else {
            if result.starts_with("passes") {
                faults.push(format!("{}: passes without a test", cells[1]));
            }
            continue;
        };
        let text = fs::read_to_string(top.join("src").join(file)).unwrap_or_default();
        if !text.contains(&format!("fn {name}()")) {
            faults.push(format!("{}: no test {name} in src/{file}", cells[1]));
        }
        tests += 1;
    }
    assert!(faults.is_empty(), "{faults:?}");
    assert!(tests > 20, "the table is read");
}
