//! Says when the image was built: the moment below which its clock never goes.
//!
//! The same source gives the same moment: `SOURCE_DATE_EPOCH` where a build says it, else that of the last commit, else the constant below.
//!
//! Source: <https://reproducible-builds.org/specs/source-date-epoch/>.
#![forbid(unsafe_code)]

use std::process::Command;

/// 1 November 2026: nothing of this was built before.
const FIRST_S: u64 = 1_793_491_200;

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().or_else(|| git(&["log", "-1", "--format=%ct"]));
    let built_s = said.and_then(|said| said.parse().ok()).unwrap_or(FIRST_S).max(FIRST_S);
    println!("cargo:rustc-env=SHG_BUILT_S={built_s}");
}
