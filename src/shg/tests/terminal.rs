//! What `shg` draws while something takes long: on a terminal, and nowhere else.
//!
//! In:  a command line, with a terminal (script(1)) and without one. Out: what is on it in the end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = include_str!("../../services/hello/manifest.toml");

/// An image of one layer, as `docker save` writes it; and its manifest.
fn image(folder: &Path) {
    let tar = |name: &str, of: &[&str]| {
        let done = Command::new("tar").current_dir(folder).args(["-cf", name]).args(of).status().unwrap();
        assert!(done.success());
    };
    // The head of a program of 32 bits for i386, and no more: ET_EXEC, EM_386 (elf.h).
    let head = [&b"\x7fELF\x01\x01\x01"[..], &[0; 9], &[2, 0, 3, 0], &[0; 32]].concat();
    fs::write(folder.join("hello"), head).unwrap();
    fs::set_permissions(folder.join("hello"), Permissions::from_mode(0o755)).unwrap();
    tar("layer.tar", &["hello"]);
    fs::write(folder.join("config.json"), r#"{"os": "linux", "architecture": "386"}"#).unwrap();
    fs::write(folder.join("manifest.json"), r#"[{"Config": "config.json", "Layers": ["layer.tar"]}]"#)
        .unwrap();
    tar("image.tar", &["manifest.json", "config.json", "layer.tar"]);
    fs::write(folder.join("manifest.toml"), MANIFEST).unwrap();
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("shg-terminal-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_bar_is_drawn_on_a_terminal_and_nowhere_else() {
    if Command::new("script").arg("--version").output().is_err() {
        println!("skipped: a_bar_is_drawn_on_a_terminal_and_nowhere_else: no script(1)");
        return;
    }
    let folder = folder();
    image(&folder);
    let line = |output: &str| {
        let shg = env!("CARGO_BIN_EXE_shg");
        format!("{shg} bundle build image.tar --manifest manifest.toml --version 1 --output {output}")
    };
    let words = ["-qec", &line("with"), "/dev/null"];
    let drawn = Command::new("script").current_dir(&folder).args(words).output().unwrap();
    let drawn = String::from_utf8(drawn.stdout).unwrap();
    assert!(folder.join("with").is_dir(), "{drawn}");
    let (bar, rest) = drawn.split_once("\x1b[K").unwrap();
    assert!(bar.starts_with("\rreading layers [-") && bar.ends_with("] 0 %"), "{drawn:?}");
    // It is wiped, and what is said then stands on an empty line.
    let (last, said) = rest.rsplit_once("\r\x1b[K").unwrap();
    assert!(
        !said.contains("reading layers") && said.starts_with("with: version 1 for i386"),
        "{last:?} {said:?}"
    );

    let plain = Command::new("sh").current_dir(&folder).args(["-c", &line("without")]).output().unwrap();
    assert!(plain.status.success() && plain.stderr.is_empty(), "{plain:?}");
    assert!(plain.stdout.starts_with(b"without: version 1 for i386"), "{plain:?}");
    fs::remove_dir_all(&folder).unwrap();
}
