//! Images that umoci, buildah and skopeo made become bundles, and the same bundle whichever way they come.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lab::{namespace, tool};

use crate::desk::{Desk, contents, placed, program};
use crate::has;

/// How a frame begins. Source: RFC 8878 §3.1.1.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Runs a line of words, `@` as in [`Desk::shg`]; what it prints.
fn say(desk: &Desk, line: &str) -> String {
    let folder = format!("{}/", desk.path("x").parent().unwrap().display());
    let line = placed(line, &folder);
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let output = tool::run(program, &words.collect::<Vec<_>>()).unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// umoci, in two layers, the second of which takes a file away again.
fn umoci(desk: &Desk) {
    say(desk, "umoci init --layout @image");
    say(desk, "umoci new --image @image:1");
    say(desk, "umoci config --image @image:1 --architecture 386");
    say(desk, "umoci unpack --rootless --image @image:1 @first");
    let put = |name: &str, bytes: &[u8], mode: u32| {
        let path = desk.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    put("first/rootfs/hello", &program(), 0o755);
    put("first/rootfs/etc/motd", b"hello\n", 0o644);
    put("first/rootfs/etc/old", b"old\n", 0o644);
    fs::hard_link(desk.path("first/rootfs/etc/motd"), desk.path("first/rootfs/etc/issue")).unwrap();
    say(desk, "umoci repack --image @image:1 @first");
    say(desk, "umoci unpack --rootless --image @image:1 @second");
    fs::remove_file(desk.path("second/rootfs/etc/old")).unwrap();
    say(desk, "umoci repack --image @image:1 @second");
}

#[test]
fn images_of_other_makers_become_bundles() {
    if !has("umoci", "umoci") || !has("buildah", "buildah") || !has("skopeo", "skopeo") {
        return;
    }
    if namespace::enter("makers::images_of_other_makers_become_bundles").unwrap().is_none() {
        return;
    }
    let desk = Desk::new();
    umoci(&desk);
    let folder = desk.path("x").parent().unwrap().display().to_string();
    desk.bundle(&format!("{folder}/image:1"), "of-umoci", 1);
    assert!(desk.verify("@of-umoci").unwrap().contains("good: hello of demo, version 1, i386"));
    // The same image on its way through docker's format and back is the same bundle, byte for byte.
    say(&desk, "skopeo --insecure-policy copy oci:@image:1 docker-archive:@image.tar");
    desk.bundle("@image.tar", "of-docker-save", 1);
    assert!(contents(&desk.path("of-umoci")) == contents(&desk.path("of-docker-save")), "the same bytes");
    // So is it with layers that are packed with zstd.
    say(&desk, "skopeo --insecure-policy copy --dest-compress-format zstd oci:@image:1 oci:@packed:1");
    let zstd = contents(&desk.path("packed")).iter().filter(|(_, bytes)| bytes.starts_with(ZSTD)).count();
    assert_eq!(zstd, 2, "skopeo packs both layers with zstd");
    desk.bundle(&format!("{folder}/packed:1"), "of-zstd", 1);
    assert!(contents(&desk.path("of-umoci")) == contents(&desk.path("of-zstd")), "the same bytes");
    // What is in it: taken apart by somebody else's program.
    let manifest = fs::read(desk.path("of-umoci/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let manifest = fs::read(desk.path("of-umoci/blobs/sha256").join(digest)).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    say(&desk, &format!("fsck.erofs --extract=@out @of-umoci/blobs/sha256/{layer}"));
    assert_eq!(fs::read(desk.path("out/hello")).unwrap(), program());
    assert_eq!(fs::read(desk.path("out/etc/issue")).unwrap(), b"hello\n");
    assert!(!desk.path("out/etc/old").exists(), "a later layer took it away");

    let buildah = "buildah --root @store --runroot @run --storage-driver vfs";
    let container = say(&desk, &format!("{buildah} from scratch"));
    say(&desk, &format!("{buildah} add {container} @files/hello /hello"));
    say(&desk, &format!("{buildah} config --arch 386 {container}"));
    say(&desk, &format!("{buildah} commit --quiet {container} oci:@built:2"));
    desk.bundle(&format!("{folder}/built:2"), "of-buildah", 2);
    assert!(desk.verify("@of-buildah").unwrap().contains("version 2"));
    // An image that says it is for amd64, with a program for i386.
    say(&desk, &format!("{buildah} config --arch amd64 {container}"));
    say(&desk, &format!("{buildah} commit --quiet {container} oci:@wrong:2"));
    let line = format!("build {folder}/wrong:2 --manifest @service.toml --version 2 --output @no");
    let said = desk.shg(&line).unwrap_err().to_string();
    assert!(said.contains("amd64") && said.contains("i386"), "{said}");
    assert!(!desk.path("no").exists(), "nothing stays");
}
