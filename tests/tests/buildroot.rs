//! The tree for Buildroot, read without a checkout of Buildroot: what it names is there, and the root that it makes is the one that is tested
//! in the emulator.
//!
//! In:  `buildroot/`, `board/`, the `Makefile`, the lab's tables. Out: a failure that names the file.
//!
//! Not here: what only a checkout can tell (`make check-buildroot`, which also makes `buildroot/symbols`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use contract::manifest::FOLDERS;
use lab::house::Scratch;
use lab::kernel::Kernel;
use lab::root::{PROGRAMS, Variant};
use lab::seal;
use tests::{Source, root, sources};

/// Symbols of our own; `BR2_CONFIG` is a path that Buildroot gives to scripts.
const OWN: [&str; 3] = ["BR2_EXTERNAL_SHG_PATH", "BR2_PACKAGE_SHG", "BR2_CONFIG"];
/// The defconfigs, the board's first.
const DEFCONFIGS: [&str; 2] =
    ["buildroot/configs/shg_ce4200_defconfig", "buildroot/configs/shg_qemu_defconfig"];
/// How a path of ours begins in a defconfig.
const EXTERNAL: &str = "$(BR2_EXTERNAL_SHG_PATH)";
/// What the supported Buildroot (2026.02) has.
const RUST_MINOR_MAX: u32 = 88;

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| format!("{path}: {error}"))
}

/// The words of a Makefile's variable, over as many lines as it has.
fn variable(makefile: &str, name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in makefile.lines() {
        let value = match line.split_once('=') {
            Some((before, value)) if before.trim_end_matches([':', ' ']) == name => value,
            _ if inside => line,
            _ => continue,
        };
        words.extend(value.trim_end_matches('\\').split_whitespace().map(str::to_owned));
        inside = value.ends_with('\\');
    }
    words
}

/// Everything in `text` that looks like a symbol of Buildroot's.
fn symbols(text: &str) -> BTreeSet<&str> {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(|letter| !word(letter)).filter(|word| word.starts_with("BR2_") && word.len() > 4).collect()
}

/// Services that go to every gateway: folder and manifest.
fn services() -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(root().join("src/services")).unwrap().flatten();
    let mut found: Vec<_> = folders
        .map(|folder| {
            (folder.file_name().to_string_lossy().into_owned(), folder.path().join("manifest.toml"))
        })
        .filter(|(_, manifest)| manifest.exists())
        .collect();
    found.sort();
    found
}

fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_symbol_was_seen_in_a_real_buildroot() {
    let mut files = sources(&["buildroot/configs", "buildroot/fragments", "buildroot/package"], &[""]);
    files.extend(sources(&["board/ce4200"], &[".sh"]));
    let all: String = files.into_iter().map(|source| source.text + "\n").collect();
    let used: BTreeSet<&str> = symbols(&all).into_iter().filter(|symbol| !OWN.contains(symbol)).collect();
    let list = text("buildroot/symbols");
    let seen: BTreeSet<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(used.len() > 20, "the search finds them");
    assert_eq!(used, seen, "buildroot/symbols; `make check-buildroot` makes it anew");
}

#[test]
fn what_the_defconfigs_name_is_there() {
    let mut faults = Vec::new();
    for defconfig in DEFCONFIGS {
        for line in text(defconfig).lines().filter(|line| line.contains(EXTERNAL)) {
            let (symbol, value) = line.split_once('=').unwrap();
            let relative = value.trim_matches('"').replace(EXTERNAL, "buildroot");
            let path = root().join(&relative);
            if !path.exists() {
                faults.push(format!("{defconfig}: {relative} is missing"));
            } else if symbol.ends_with("_SCRIPT")
                && fs::metadata(&path).unwrap().permissions().mode() & 0o111 == 0
            {
                faults.push(format!("{defconfig}: {relative} cannot be run"));
            }
        }
    }
    none("paths of the defconfigs", &faults);
}

#[test]
fn the_boards_differ_in_their_kernels_options_only() {
    let [board, qemu] = DEFCONFIGS.map(text);
    let (board, qemu): (BTreeSet<&str>, BTreeSet<&str>) = (board.lines().collect(), qemu.lines().collect());
    let more: Vec<&&str> = qemu.difference(&board).collect();
    assert!(board.is_subset(&qemu), "{:?}", board.difference(&qemu));
    assert_eq!(more.len(), 1, "{more:?}");
    assert!(more[0].starts_with("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES="), "{more:?}");
}

#[test]
fn the_kernels_hash_is_that_of_the_kernel() {
    let hash = text("buildroot/patches/linux/linux.hash");
    for defconfig in DEFCONFIGS {
        let text = text(defconfig);
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="))
            .unwrap();
        let version = version.trim_matches('"');
        assert!(version.starts_with("6.12."), "{defconfig}: {version}");
        assert!(hash.contains(&format!("  linux-{version}.tar.xz\n")), "{defconfig}: no hash for {version}");
    }
}

/// Our patches of the kernel lie where Buildroot looks for them, and the emulated board's kernel is made with the same.
#[test]
fn the_kernels_patches_are_formed_as_buildroot_wants_them() {
    let patches = sources(&["buildroot/patches/linux"], &[".patch"]);
    assert!(!patches.is_empty());
    let mut faults = Vec::new();
    for (index, Source { path, text }) in patches.iter().enumerate() {
        let name = path.rsplit('/').next().unwrap();
        if !name.starts_with(&format!("{:04}-", index + 1)) {
            faults.push(format!("{path}: not the next number"));
        }
        let (words, rest) = text.split_once("\n---\n").unwrap_or((text, ""));
        for line in ["Subject: [PATCH] ", "Upstream: ", "Signed-off-by: "] {
            if !words.lines().any(|its| its.starts_with(line)) {
                faults.push(format!("{path}: no line {line}"));
            }
        }
        if !words.contains("GPL-2.0") || !rest.contains("\n+++ b/") {
            faults.push(format!("{path}: no licence, or no change"));
        }
    }
    none("patches", &faults);
    for defconfig in DEFCONFIGS {
        let line = format!("BR2_GLOBAL_PATCH_DIR=\"{EXTERNAL}/patches\"");
        assert!(text(defconfig).lines().any(|its| its == line), "{defconfig}");
    }
    assert!(text("src/lab/setup/kernel.sh").contains("\nPATCHES=$TOP/buildroot/patches/linux\n"));
}

#[test]
fn the_tree_builds_the_programs_of_the_firmware_into_their_places() {
    let package = text("buildroot/package/shg/shg.mk");
    let programs = variable(&package, "SHG_PROGRAMS");
    let wanted: Vec<String> = PROGRAMS.iter().map(|(program, place)| format!("{program}:/{place}")).collect();
    assert_eq!(programs, wanted, "SHG_PROGRAMS and src/lab/src/root.rs");
    let folders: Vec<String> = services().into_iter().map(|(folder, _)| folder).collect();
    assert_eq!(variable(&package, "SHG_SERVICES"), folders, "SHG_SERVICES and src/services/*/manifest.toml");
    let mut all: Vec<String> = PROGRAMS.iter().map(|(program, _)| (*program).to_owned()).collect();
    all.extend(folders);
    assert_eq!(variable(&text("Makefile"), "FIRMWARE"), all, "FIRMWARE of the Makefile");
}

#[test]
fn the_package_is_formed_as_buildroot_wants_it() {
    let rule = "#".repeat(80);
    let package = text("buildroot/package/shg/shg.mk");
    assert_eq!(package.lines().take(5).collect::<Vec<_>>(), [rule.as_str(), "#", "# shg", "#", &rule]);
    let mut faults = Vec::new();
    for Source { path, text } in sources(&["buildroot"], &[".mk", "Config.in"]) {
        for (index, line) in text.lines().enumerate() {
            if line.starts_with(' ') || line.ends_with([' ', '\t']) {
                faults.push(format!("{path}:{}: a space where a tab belongs, or nothing", index + 1));
            }
        }
    }
    none("white space", &faults);
    for file in variable(&package, "SHG_LICENSE_FILES") {
        assert!(root().join(&file).exists(), "{file}");
    }
    let description = text("buildroot/external.desc");
    assert!(description.starts_with("name: SHG\ndesc: "), "{description}");
}

#[test]
fn buildroots_rust_is_new_enough() {
    let manifest = text("Cargo.toml");
    let wanted = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"1.")).unwrap();
    let minor: u32 = wanted.split('"').next().unwrap().parse().unwrap();
    assert!(minor <= RUST_MINOR_MAX, "1.{minor}");
}

#[test]
fn scripts_are_sound() {
    let mut scripts = sources(&["buildroot", "board", "src/lab/setup"], &[".sh"]);
    scripts.extend(sources(&[".ci"], &["run"]));
    assert!(scripts.len() >= 10);
    for Source { path, text } in &scripts {
        let shell = if text.starts_with("#!/usr/bin/env bash") { "bash" } else { "sh" };
        let output = Command::new(shell).args(["-n", path]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let is_sourced = text.starts_with("# shellcheck shell=sh\n");
        let can_be_run = fs::metadata(root().join(path)).unwrap().permissions().mode() & 0o111 != 0;
        assert!(is_sourced != can_be_run, "{path}: either it is sourced, and says so, or it can be run");
    }
    let paths = scripts.iter().map(|script| &script.path);
    match Command::new("shellcheck").arg("-x").args(paths).current_dir(root()).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("skipped in part: shellcheck: {error}"),
    }
}

fn run(script: &str, argument: &Path) -> Output {
    Command::new(root().join(script)).arg(argument).output().unwrap()
}

#[test]
fn who_has_no_buildroot_or_an_old_one_is_told_so() {
    let scratch = Scratch::new().unwrap();
    let old = scratch.file("old");
    fs::create_dir_all(old.join("package")).unwrap();
    fs::write(old.join("Makefile"), "export BR2_VERSION := 2025.11.2\n").unwrap();
    let table: &[(&str, &Path, &str)] = &[
        ("none", Path::new(""), "BUILDROOT is missing"),
        ("no such folder", &scratch.file("nothing"), "is no checkout of Buildroot"),
        ("an old one", &old, "is Buildroot 2025.11.2, and 2026.02 or later is needed"),
    ];
    for script in ["buildroot/image.sh", "buildroot/check.sh"] {
        for (what, path, says) in table {
            let output = run(script, path);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{script}: {what}: {said}");
            assert!(said.contains(says), "{script}: {what}: {said}");
        }
    }
}

/// Runs a script of the board on a root, as Buildroot does.
fn board_script(script: &str, target: &Path, scratch: &Scratch) -> Output {
    Command::new(root().join("board/ce4200").join(script))
        .arg(target)
        .env("BR2_EXTERNAL_SHG_PATH", root().join("buildroot"))
        .env("BINARIES_DIR", scratch.file("images"))
        .env("BR2_CONFIG", scratch.file("config"))
        .output()
        .unwrap()
}

/// Every path below `folder`, from the slash on.
fn paths_below(folder: &Path, top: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        found.insert(format!("/{}", entry.path().strip_prefix(top).unwrap().display()));
        if entry.file_type().unwrap().is_dir() {
            paths_below(&entry.path(), top, found);
        }
    }
}

/// What Buildroot puts together before our scripts: the skeleton, its own links and files, our package, the overlay, device nodes.
fn root_before_the_scripts(target: &Path, scratch: &Scratch) {
    let folders = ["bin", "lib", "sbin", "usr/bin", "usr/lib", "usr/sbin", "usr/lib/shg", "etc/shg", "dev"];
    for folder in folders {
        fs::create_dir_all(target.join(folder)).unwrap();
    }
    for link in ["lib32", "usr/lib32"] {
        std::os::unix::fs::symlink("lib", target.join(link)).unwrap();
    }
    let programs = PROGRAMS.iter().map(|(_, place)| *place);
    for file in programs.chain(["etc/os-release", "usr/lib/os-release", "dev/console"]) {
        fs::write(target.join(file), "").unwrap();
    }
    // The overlay.
    let (overlay, mut files) = (root().join("rootfs"), BTreeSet::new());
    paths_below(&overlay, &overlay, &mut files);
    for file in files.iter().filter(|file| overlay.join(&file[1..]).is_file()) {
        fs::copy(overlay.join(&file[1..]), target.join(&file[1..])).unwrap();
    }
    fs::create_dir_all(scratch.file("images/services")).unwrap();
    for (folder, _) in services() {
        fs::copy(root().join("Cargo.lock"), scratch.file(&format!("images/services/{folder}"))).unwrap();
    }
    fs::write(scratch.file("config"), "BR2_PACKAGE_SHG=y\n").unwrap();
}

#[test]
fn the_script_seals_services_with_the_folders_that_all_have() {
    let script = text("board/ce4200/post-build.sh");
    assert_eq!(variable(&script, "SERVICE_FOLDERS").join(" "), format!("'{}'", FOLDERS.join(" ")));
}

#[test]
fn the_flashable_root_is_the_one_that_is_tested() {
    if let Err(error) = Command::new("mkfs.erofs").arg("--help").output() {
        return println!("skipped: mkfs.erofs: {error}");
    }
    let scratch = Scratch::new().unwrap();
    let target = scratch.file("target");
    root_before_the_scripts(&target, &scratch);
    for script in ["post-build.sh", "post-build.sh", "post-fakeroot.sh"] {
        let output = board_script(script, &target, &scratch);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    for mut service in seal::services("manifest.toml").unwrap() {
        service.program = root().join("Cargo.lock");
        let place = target.join("usr/lib/shg/services").join(service.manifest.image.as_str());
        assert_eq!(
            fs::read(place).unwrap(),
            seal::image(&service).unwrap(),
            "{}",
            service.manifest.name.as_str()
        );
    }

    let mut made = BTreeSet::new();
    paths_below(&target, &target, &mut made);
    match lab::root::paths(Kernel::Board, Variant::Shipped) {
        Ok(emulated) => assert_eq!(made, emulated.into_iter().collect(), "paths of the two roots"),
        Err(why) => println!("skipped in part: comparing all paths: {why}"),
    }
}

#[test]
fn a_root_with_a_shell_is_left_alone_and_a_missing_service_is_named() {
    let scratch = Scratch::new().unwrap();
    let target = scratch.file("target");
    root_before_the_scripts(&target, &scratch);
    fs::write(scratch.file("config"), "BR2_PACKAGE_BUSYBOX=y\n").unwrap();
    assert!(board_script("post-fakeroot.sh", &target, &scratch).status.success());
    assert!(target.join("etc/os-release").exists());

    fs::remove_dir_all(scratch.file("images")).unwrap();
    let output = board_script("post-build.sh", &target, &scratch);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("SHG_SERVICES"));
}
