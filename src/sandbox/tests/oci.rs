//! The command line for containers (`oci/facade.rs`) against what the specification says of operations and lifecycle.
//!
//! Source: Open Container Initiative, runtime specification 1.0.2, runtime.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use stage::enter_stage;

/// The program, which Cargo builds beside this one; with one test chosen by name it may not have been.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().with_file_name("examples").join("oci");
    let words = ["build", "-q", "--locked", "--offline", "-p", "sandbox", "--example", "oci"];
    assert!(Command::new(env!("CARGO")).args(words).status().unwrap().success());
    program
}

struct Desk {
    program: PathBuf,
    folder: PathBuf,
}

/// What makes a configuration one that is refused.
type Change = fn(&mut Value);
/// Code, standard output, standard error.
type Said = (i32, String, String);

impl Desk {
    fn make(program: PathBuf) -> Self {
        let nothing = None::<&str>;
        let folder = PathBuf::from("/mnt");
        nix::mount::mount(Some("tmpfs"), &folder, Some("tmpfs"), nix::mount::MsFlags::empty(), nothing)
            .unwrap();
        Self { program, folder }
    }

    fn say(&self, words: &[&str]) -> Said {
        let root = self.folder.join("known").display().to_string();
        // What it leaves beside a container must not keep our pipes: files, then.
        let (out, err) = (self.folder.join("out"), self.folder.join("err"));
        let file = |path: &Path| fs::File::create(path).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--root", &root]).args(words).stdout(file(&out)).stderr(file(&err));
        let code = command.status().unwrap().code().unwrap();
        (code, fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap())
    }

    /// A bundle that runs a line of shell in this machine's own root, after `change`.
    fn bundle(&self, line: &str, change: impl FnOnce(&mut Value)) -> String {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "/", "readonly": true },
            "process": { "args": ["/bin/sh", "-c", line], "env": ["PATH=/bin:/usr/bin", "KEY=value"], "cwd": "/",
                "user": { "uid": 0, "gid": 0 }, "capabilities": {}, "noNewPrivileges": true },
            "linux": { "namespaces": [{ "type": "pid" }, { "type": "user" }], "resources": { "pids": { "limit": 12 } } }
        });
        change(&mut config);
        let bundle = self.folder.join("bundle");
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        bundle.display().to_string()
    }

    fn status(&self, id: &str) -> String {
        let (code, out, _) = self.say(&["state", id]);
        if code != 0 {
            return "none".to_owned();
        }
        let state: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&state["ociVersion"], &state["id"]), (&json!("1.0.2"), &json!(id)));
        assert_eq!(state["pid"].is_null(), state["status"] == "stopped");
        state["status"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_container_lives_as_the_specification_says() {
    let program = program();
    if !enter_stage("a_container_lives_as_the_specification_says") {
        return;
    }
    let desk = Desk::make(program);
    let bundle = desk.bundle("exec sleep 1000", |_| ());
    let create = ["create", "one", "--bundle", &bundle];
    // Each step: what is said, is it refused, what the container is then.
    let steps: [(&[&str], bool, &str); 12] = [
        (&["start", "one"], true, "none"),
        (&create, false, "created"),
        (&create, true, "created"),
        (&["delete", "one"], true, "created"),
        (&["start", "one"], false, "running"),
        (&["start", "one"], true, "running"),
        (&["delete", "one"], true, "running"),
        (&["kill", "one", "NOSUCH"], true, "running"),
        (&["kill", "one", "KILL"], false, "stopped"),
        (&["kill", "one", "KILL"], true, "stopped"),
        (&["start", "one"], true, "stopped"),
        (&["delete", "one"], false, "none"),
    ];
    for (words, refused, status) in steps {
        let (code, _, why) = desk.say(words);
        assert_eq!(code != 0, refused, "{words:?}: {why}");
        let mut now = desk.status("one");
        for _ in 0..1000 {
            if now == status {
                break;
            }
            now = desk.status("one"); // Its end is told a moment after the signal.
        }
        assert_eq!(now, status, "{words:?}");
    }
    // Deleted before it ever ran, by force.
    let (code, ..) = desk.say(&["create", "two", "--bundle", &bundle]);
    assert_eq!((code, desk.status("two").as_str()), (0, "created"));
    let (code, _, why) = desk.say(&["delete", "--force", "two"]);
    assert_eq!((code, desk.status("two").as_str()), (0, "none"), "{why}");
    let groups = fs::read_dir("/sys/fs/cgroup/slices/oci").unwrap().flatten();
    assert_eq!(groups.filter(|entry| entry.path().is_dir()).count(), 0, "their groups are gone");

    let bundle = desk.bundle("echo $$ $KEY $(id -u); exit 7", |_| ());
    let (code, out, why) = desk.say(&["run", "three", "--bundle", &bundle]);
    assert_eq!((code, out.trim()), (7, "1 value 0"), "{why}");
}

#[test]
fn what_the_sandbox_does_not_do_is_refused_with_its_key() {
    let program = program();
    if !enter_stage("what_the_sandbox_does_not_do_is_refused_with_its_key") {
        return;
    }
    let desk = Desk::make(program);
    let table: [(&str, Change); 11] = [
        ("ociVersion", |config| config["ociVersion"] = "2.0.0".into()),
        ("process.args", |config| config["process"]["args"] = json!([])),
        ("process.cwd", |config| config["process"]["cwd"] = "/tmp".into()),
        ("process.user", |config| config["process"]["user"]["uid"] = 1000.into()),
        ("process.capabilities", |config| {
            config["process"]["capabilities"] = json!({ "bounding": ["CAP_KILL"] });
        }),
        ("root.readonly", |config| config["root"]["readonly"] = false.into()),
        ("mounts", |config| config["mounts"] = json!([{ "destination": "/etc", "source": "/etc" }])),
        ("linux.namespaces", |config| {
            config["linux"]["namespaces"] = json!([{ "type": "network", "path": "/proc/1/ns/net" }]);
        }),
        ("hostname", |config| config["hostname"] = "box".into()),
        ("process.rlimits", |config| config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE" }])),
        ("linux.resources.memory", |config| {
            config["linux"]["resources"]["memory"] = json!({ "limit": 1 << 20 });
        }),
    ];
    for (key, change) in table {
        let bundle = desk.bundle("exit 0", change);
        let (code, _, why) = desk.say(&["create", "bad", "--bundle", &bundle]);
        assert!(code == 1 && why.contains(&format!("config.json: {key}:")), "{key}: {code} {why}");
        assert_eq!(desk.status("bad"), "none", "{key}: nothing is left");
    }
}
