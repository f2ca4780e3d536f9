//! An image that somebody else made, of programs that somebody else built, runs: umoci's image of Debian's i386 programs for glibc becomes a
//! bundle, comes from a registry, is up and answers.
//!
//! In:  umoci; busybox and ip of Debian, as `src/lab/setup/provider.sh` fetched them for the provider's guest. Out: passed, failed, or `skipped: ` and why.
//!
//! The page is served by the one, which is static, and made by the other, which glibc's own loader brings in with its libraries: both sides of
//! the profile `glibc`.
//!
//! Not here: other makers' images as bundles, byte for byte (`bundles/makers.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lab::error::Error;
use lab::guest::{Guest, Options, UP_LIMIT};
use lab::house::{self, Scratch};
use lab::operator::{DESK, Operator, PROVIDER, Release};
use lab::{facts, tool};

const NAME: &str = "foreign";
const PORT: u16 = 8090;
/// Who makes the page.
const SCRIPT: &str = "#!/bin/busybox sh\necho 'Content-Type: text/plain'\necho\nexec /bin/ip -V\n";
/// glibc's loader, where its programs look for it.
const LOADER: &str = "lib/ld-linux.so.2";
const LIBRARIES: &str = "lib/i386-linux-gnu";

fn manifest() -> String {
    let hello = include_str!("../../src/services/hello/manifest.toml");
    let text = hello.replace("name = \"hello\"", &format!("name = \"{NAME}\""));
    let text = text
        .replace("[\"/hello\"]", "[\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]");
    let text = text.replace("profile = \"strict\"", "profile = \"glibc\"");
    let text = text.replace("ready = \"notify\"", "ready = \"running\"");
    text.replace("at = 80", &format!("at = {PORT}"))
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Copies a program, or a library, with the libraries that it needs.
fn bring(debian: &Path, root: &Path, path: &str) {
    if root.join(path).exists() {
        return;
    }
    put(root, path, &fs::read(debian.join(path)).unwrap());
    let said = tool::run("readelf", &["-d".as_ref(), debian.join(path).as_os_str()]).unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for line in said.lines().filter(|line| line.contains("(NEEDED)")) {
        let name = line.split(['[', ']']).nth(1).unwrap();
        let found = if LOADER.ends_with(name) { LOADER.to_owned() } else { format!("{LIBRARIES}/{name}") };
        bring(debian, root, &found);
    }
}

/// umoci's image of them: where it is, and its tag.
fn image(scratch: &Scratch, debian: &Path) -> String {
    let (image, unpacked) = (scratch.file("image"), scratch.file("unpacked"));
    let (layout, tagged) = (image.display().to_string(), format!("{}:1", image.display()));
    let umoci = |words: &[&str]| tool::run("umoci", words).unwrap();
    umoci(&["init", "--layout", &layout]);
    umoci(&["new", "--image", &tagged]);
    umoci(&["config", "--image", &tagged, "--architecture", "386"]);
    let place = unpacked.display().to_string();
    umoci(&["unpack", "--rootless", "--image", &tagged, &place]);
    let root = unpacked.join("rootfs");
    for program in ["bin/busybox", "bin/ip", LOADER] {
        bring(debian, &root, program);
    }
    put(&root, "www/cgi-bin/who", SCRIPT.as_bytes());
    umoci(&["repack", "--image", &tagged, &place]);
    tagged
}

#[test]
fn an_image_that_umoci_made_of_glibc_programs_runs() {
    let debian = house::cache().join("provider/tree");
    if !debian.join(LOADER).exists() {
        return println!("skipped: no i386 programs of Debian's; src/lab/setup/provider.sh brings them");
    }
    if let Err(why) = tool::need("umoci", "umoci") {
        return println!("skipped: {why}");
    }
    let scratch = Scratch::new().unwrap();
    let operator = match Operator::start(&scratch.file("operator")) {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        started => started.unwrap(),
    };
    let (manifest, image) = (manifest(), image(&scratch, &debian));
    let release = Release {
        provider: PROVIDER,
        name: NAME,
        version: 1,
        manifest: &manifest,
        program: Path::new(&image),
    };
    let source = operator.publish_image(release, DESK).unwrap();
    let files = operator.texts(DESK).unwrap().into_iter().map(|(path, bytes)| (path.to_owned(), bytes));
    let options = Options { page_at: PORT, files: files.collect(), ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    let serves = |guest: &mut Guest| Ok(guest.ask("packages").is_ok_and(|said| said.exit == 0).then_some(()));
    guest.until("package serves", UP_LIMIT, serves).unwrap();
    guest.door(&format!("install {source} --tag {NAME} --slice {PROVIDER}")).unwrap();
    let up = |guest: &mut Guest| {
        let its = facts::process(guest, NAME);
        Ok(its.is_ok_and(|process| process.state == "up").then_some(()))
    };
    let told = guest.until("it is up", UP_LIMIT, up);
    assert!(told.is_ok(), "{:?}\n{:?}", facts::process(&mut guest, NAME), facts::log(&mut guest, NAME));

    let url = format!("{}cgi-bin/who", guest.page().unwrap());
    let words = ["-sS", "--fail", "--noproxy", "*", "--max-time", "20", &url];
    let page = |_: &mut Guest| Ok(tool::run("curl", &words).ok().map(|output| output.stdout));
    let page = guest.until("its page", UP_LIMIT, page);
    assert!(page.is_ok(), "{page:?}: {:?}", facts::log(&mut guest, NAME));
    let page = String::from_utf8(page.unwrap()).unwrap();
    println!("{NAME}: {}", page.trim_end());
    assert!(page.starts_with("ip utility, iproute2-"), "{page}");
    // In a sandbox like any other's, with every layer, and never started again.
    let layers = guest.door(&format!("verify {NAME}")).unwrap();
    assert!(!layers.contains("MISSING") && layers.lines().count() > 20, "{layers}");
    let process = facts::process(&mut guest, NAME).unwrap();
    assert_eq!((process.state.as_str(), process.restarts), ("up", 0), "{process:?}");
}
