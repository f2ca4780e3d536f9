//! A bundle and its signature come out of oras-py as they went in, by way of a layout on its disk.
//!
//! Source: oras-py 0.2.43, which src/lab/setup/oras.sh puts into the cache.

use lab::{house, namespace, tool};

use crate::desk::{Desk, contents};
use crate::has;
use crate::registry::{PORT, registry};

/// oras-py copies what `from` names to `to`, by the folder `layout` of the desk.
fn carry(desk: &Desk, from: &str, to: &str, layout: &str) {
    let packages = format!("PYTHONPATH={}", house::cache().join("oras/lib").display());
    let script = house::top().join("tests/tests/bundles/oras/carry.py").display().to_string();
    let layout = desk.path(layout).display().to_string();
    // -B: nothing is written beside what the cache holds.
    tool::run("env", &["NO_PROXY=*", &packages, "python3", "-B", &script, from, to, &layout]).unwrap();
}

#[test]
fn oras_carries_a_bundle_unchanged() {
    if !has("docker-registry", "docker-registry") || !has("python3", "python3") {
        return;
    }
    if !house::cache().join("oras/lib/oras/layout").is_dir() {
        return println!("skipped: no oras-py; src/lab/setup/oras.sh brings it");
    }
    if namespace::enter("oras::oras_carries_a_bundle_unchanged").unwrap().is_none() {
        return;
    }
    let desk = Desk::new();
    let _registry = registry(&desk, "", "");
    let [here, there] = ["demo/hello", "other/place"].map(|name| format!("127.0.0.1:{PORT}/{name}"));
    desk.bundle("@files", "bundle", 1);
    let said = desk.shg(&format!("push @bundle {here}:1 --plain-http --json")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let digest = said["digest"].as_str().unwrap();

    carry(&desk, &format!("{here}:1"), &format!("{there}:1"), "carried-bundle");
    // A bundle alone is nobody's yet.
    let verify = format!("verify {there}:1 --plain-http --keyring @keys --root @root-key.public");
    let said = desk.shg(&verify).unwrap_err().to_string();
    assert!(said.contains("not signed"), "{said}");
    let tag = format!("{}.sig", digest.replace(':', "-"));
    carry(&desk, &format!("{here}:{tag}"), &format!("{there}:{tag}"), "carried-signature");
    let said = desk.shg(&verify).unwrap();
    assert!(said.contains("good") && said.contains(digest), "{said}");

    desk.shg(&format!("pull {there}:1 @pulled --plain-http")).unwrap();
    assert!(contents(&desk.path("bundle")) == contents(&desk.path("pulled")), "oras changed nothing");
    // What oras keeps on its disk are the bundle's own parts, byte for byte.
    let (bundle, carried) =
        (contents(&desk.path("bundle/blobs")), contents(&desk.path("carried-bundle/blobs")));
    assert!(carried.len() >= 3, "a manifest, a configuration, a layer");
    assert!(carried.iter().all(|blob| bundle.contains(blob)), "each is one of ours");
}
