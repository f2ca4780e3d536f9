//! What is taken for a sealed image, and what is not: names that lead elsewhere, files that are something else.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use storage::{IMAGE_BYTES_MAX, erofs, image};

#[test]
fn only_a_plain_whole_image_is_opened() {
    let folder = std::env::temp_dir().join(format!("shg-storage-images-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("inner/folder.erofs")).unwrap();
    let inner = folder.join("inner");
    let zeroes = vec![0; usize::try_from(erofs::OFFSET).unwrap()];
    let whole = [&zeroes, include_bytes!("data/hello.erofs").as_slice(), &[0; 2048]].concat();
    fs::write(inner.join("good.erofs"), &whole).unwrap();
    fs::write(folder.join("outside.erofs"), &whole).unwrap();
    fs::write(inner.join("cut.erofs"), &whole[..4095]).unwrap();
    fs::write(inner.join("text.erofs"), "text").unwrap();
    fs::write(inner.join("empty.erofs"), "").unwrap();
    fs::write(inner.join("large.erofs"), &whole).unwrap();
    fs::File::options()
        .write(true)
        .open(inner.join("large.erofs"))
        .unwrap()
        .set_len(IMAGE_BYTES_MAX + 1)
        .unwrap();
    symlink("good.erofs", inner.join("link.erofs")).unwrap();
    nix::unistd::mkfifo(&inner.join("pipe.erofs"), Mode::S_IRWXU).unwrap();

    image::open(&inner, "good.erofs").unwrap();
    let table = [
        ("../outside.erofs", "not the name of a plain file"),
        ("/etc/passwd", "not the name of a plain file"),
        ("folder.erofs/x", "not the name of a plain file"),
        (".hidden", "not the name of a plain file"),
        ("", "not the name of a plain file"),
        ("a\0b", "not the name of a plain file"),
        ("none.erofs", "No such file"),
        ("link.erofs", "symbolic links"),
        ("folder.erofs", "not a regular file"),
        ("pipe.erofs", "not a regular file"),
        ("cut.erofs", "cut short: it should have 4096 bytes"),
        ("text.erofs", "not an EROFS image"),
        ("empty.erofs", "not an EROFS image"),
        ("large.erofs", "limit"),
    ];
    for (name, why) in table {
        let refused = image::open(&inner, name).unwrap_err().to_string();
        assert!(refused.starts_with("image ") && refused.contains(why), "{name:?}: {refused}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
