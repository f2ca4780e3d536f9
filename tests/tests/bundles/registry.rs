//! A bundle goes through docker-registry, carried by `shg` and by skopeo, and comes out as it was.

use std::fs;
use std::time::Duration;

use lab::tool::Bound;
use lab::{namespace, tool, wait};

use crate::desk::{Desk, contents};
use crate::has;

const PORT: u16 = 5000;

/// docker-registry on the loopback of this namespace.
fn registry(desk: &Desk) -> Bound {
    tool::run("ip", &["link", "set", "lo", "up"]).unwrap();
    let configuration = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{PORT}'}}\n",
        desk.path("registry").display()
    );
    fs::write(desk.path("registry.yml"), configuration).unwrap();
    let mut command = tool::bound("docker-registry");
    command.arg("serve").arg(desk.path("registry.yml")).stderr(std::process::Stdio::null()); // it logs each "not there (yet)" as an error
    let child = Bound(command.spawn().unwrap());
    let up = || Ok(std::net::TcpStream::connect(("127.0.0.1", PORT)).ok());
    wait::until("docker-registry", Duration::from_secs(20), up).unwrap();
    child
}

#[test]
fn a_bundle_goes_through_a_registry_unchanged() {
    if !has("docker-registry", "docker-registry") || !has("skopeo", "skopeo") {
        return;
    }
    if namespace::enter("registry::a_bundle_goes_through_a_registry_unchanged").unwrap().is_none() {
        return;
    }
    let desk = Desk::new();
    let _registry = registry(&desk);
    let here = format!("127.0.0.1:{PORT}/demo/hello");
    desk.bundle("@files", "bundle", 1);
    let said = desk.shg(&format!("push @bundle {here}:1 --plain-http --json")).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let digest = said["digest"].as_str().unwrap().to_owned();
    desk.shg(&format!("pull {here}:1 @pulled --plain-http")).unwrap();
    assert!(contents(&desk.path("bundle")) == contents(&desk.path("pulled")), "the same bytes");
    desk.shg(&format!("verify {here}@{digest} --plain-http --keyring @keys --root @root-key.public"))
        .unwrap();

    // skopeo carries it, and its signature, to another repository.
    let tag = digest.replace(':', "-");
    for tag in ["1".to_owned(), format!("{tag}.sig")] {
        let (from, to) =
            (format!("docker://{here}:{tag}"), format!("docker://127.0.0.1:{PORT}/other/place:{tag}"));
        let words =
            ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to];
        tool::run("skopeo", &words).unwrap();
    }
    desk.shg(&format!("pull 127.0.0.1:{PORT}/other/place:1 @carried --plain-http")).unwrap();
    assert!(contents(&desk.path("bundle")) == contents(&desk.path("carried")), "skopeo changed nothing");
    let options = "--plain-http --keyring @keys --root @root-key.public";
    let said = desk.shg(&format!("verify 127.0.0.1:{PORT}/other/place:1 {options}")).unwrap();
    assert!(said.contains("good") && said.contains(&digest), "{said}");

    // An ordinary image of a registry becomes a bundle, too.
    let image = format!("docker://127.0.0.1:{PORT}/image:1");
    let folder = desk.path("x").parent().unwrap().display().to_string();
    if has("umoci", "umoci") {
        let run = |words: &[&str]| tool::run("umoci", words).unwrap();
        let name = format!("{folder}/oci:1");
        run(&["init", "--layout", &format!("{folder}/oci")]);
        run(&["new", "--image", &name]);
        run(&["config", "--image", &name, "--architecture", "386"]);
        run(&["insert", "--rootless", "--image", &name, &format!("{folder}/files/hello"), "/hello"]);
        let words = ["--insecure-policy", "copy", "--dest-tls-verify=false", &format!("oci:{name}"), &image];
        tool::run("skopeo", &words).unwrap();
        let line = format!("build 127.0.0.1:{PORT}/image:1 --plain-http --manifest @service.toml");
        desk.shg(&format!("{line} --version 3 --output @of-registry")).unwrap();
    }
    // What is not there is said to be not there.
    let said = desk.shg(&format!("pull {here}:2 @no --plain-http")).unwrap_err().to_string();
    assert!(said.contains("not there"), "{said}");
    let said = desk.shg(&format!("pull {here}:1 @no")).unwrap_err().to_string();
    assert!(said.contains("--plain-http"), "{said}");
    assert!(!desk.path("no").exists(), "nothing stays");
}
