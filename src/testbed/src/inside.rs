//! Namespaces of the test's own: users, mounts, network, processes. Who is inside may do as root does, and touches nothing of the machine's.
//!
//! In:  the name of a test, and what it needs. Out: the same test again, inside; or why it cannot run here.
//!
//! A process with threads cannot enter a user namespace (setns(2), EINVAL), so the program is started again through unshare(1), which
//! takes every process of the namespace along when it ends.
//!
//! Source: unshare(1), user_namespaces(7).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::program::has;

/// Set inside: a folder of the test's own, which goes when it has ended.
const INSIDE: &str = "SHG_TESTBED_INSIDE";
const UNSHARE: [&str; 8] =
    ["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
/// How lines begin that count outside too: why something was skipped, what a bench measured, what is there to be read.
const RETOLD: [&str; 3] = ["skipped", "figure ", "| "];

/// Are we inside?
#[must_use]
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Is this the process inside? Else runs the test `name` there, and fails where that fails.
///
/// `programs` have to be installed; `trial` is a line of shell that has to succeed inside, for what a kernel may lack. Where one of them
/// is wanting the test says `skipped: ` and why.
#[must_use]
pub fn enter(name: &str, programs: &[&str], trial: &str) -> bool {
    // The harness leaves its line open (`test NAME ... `) where it does not keep what is said. What a test says first stands on a line of its own, or
    // nobody who looks at how lines begin would see it.
    println!();
    if inside() {
        return true;
    }
    if let Some(missing) = programs.iter().find(|program| !has(program)) {
        println!("skipped: {name}: no program {missing}");
        return false;
    }
    let tried = Command::new("unshare").args(UNSHARE).args(["sh", "-c", trial]).output();
    match tried {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            println!(
                "skipped: {name}: this machine lets us make no namespaces, or does not know `{trial}` in them: {why}"
            );
            return false;
        }
        Err(error) => {
            println!("skipped: {name}: unshare: {error}");
            return false;
        }
    }
    let folder = std::env::temp_dir().join(format!("shg-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("--").arg(own).args([name, "--exact", "--nocapture", "--test-threads=1"]);
    let output = command.env(INSIDE, &folder).output();
    let _ = fs::remove_dir_all(&folder);
    let output = output.unwrap();
    // What it says inside is said here only where it matters: a suite's words twice would be counted twice.
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: inside:\n{text}");
    // A test in a module has the module's name before its own.
    assert!(text.contains("running 1 test"), "{name}: there is no such test inside:\n{text}");
    let told = |line: &&str| RETOLD.iter().any(|word| line.starts_with(word));
    text.lines().filter(told).for_each(|line| println!("{line}"));
    false
}

/// A new, empty folder of the test's own.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(std::env::var_os(INSIDE).unwrap()).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
