//! A bundle goes through docker-registry, carried by `shg` and by skopeo, and comes out as it was; by TLS and with a password, too.

use std::fs;
use std::time::Duration;

use lab::tool::Bound;
use lab::{namespace, tool, wait};

use crate::desk::{Desk, contents, placed};
use crate::has;

pub(crate) const PORT: u16 = 5000;

/// `user`, and a password whose hash is in Wikipedia's article on bcrypt.
const HTPASSWD: &str = "user:$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\n";
const PASSWORD: &str = "abc123xyz";

/// docker-registry on the loopback of this namespace, with more words for `http`, and more lines.
pub(crate) fn registry(desk: &Desk, http: &str, more: &str) -> Bound {
    tool::run("ip", &["link", "set", "lo", "up"]).unwrap();
    let configuration = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{PORT}'{http}}}\n{more}",
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
    let _registry = registry(&desk, "", "");
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

/// A registry that speaks TLS, with an authority of its own (`@ca.pem`), and wants a name and a password.
fn secured(desk: &Desk) -> Bound {
    let text = |name: &str, text: &str| fs::write(desk.path(name), text).unwrap();
    text(
        "openssl.cnf",
        "[req]\ndistinguished_name=n\nx509_extensions=a\n[n]\n[a]\nbasicConstraints=critical,CA:TRUE\n",
    );
    text("extension", "subjectAltName=IP:127.0.0.1");
    text("htpasswd", HTPASSWD);
    let openssl = |line: &str| {
        let folder = format!("{}/", desk.path("x").parent().unwrap().display());
        tool::run("openssl", &placed(line, &folder).split_whitespace().collect::<Vec<_>>()).unwrap();
    };
    let new = "req -config @openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("{new} -x509 -subj /CN=authority -days 30 -keyout @ca.key -out @ca.pem"));
    openssl(&format!("{new} -subj /CN=registry -keyout @server.key -out @server.csr"));
    let sign = "x509 -req -in @server.csr -CA @ca.pem -CAkey @ca.key -CAcreateserial -days 30";
    openssl(&format!("{sign} -extfile @extension -out @server.pem"));
    let path = |name: &str| desk.path(name).display().to_string();
    let tls = format!(", tls: {{certificate: '{}', key: '{}'}}", path("server.pem"), path("server.key"));
    let asks = format!("auth: {{htpasswd: {{realm: here, path: '{}'}}}}\n", path("htpasswd"));
    registry(desk, &tls, &asks)
}

/// The desk of a test that stands in the namespace, with a signed bundle and a secured registry; `None`: not here.
fn asked(name: &str, variables: &[(&str, &str)]) -> Option<(Desk, Bound)> {
    if !has("docker-registry", "docker-registry") || !has("openssl", "openssl") {
        return None;
    }
    namespace::enter_with(name, variables).unwrap()?;
    let desk = Desk::new();
    desk.bundle("@files", "bundle", 1);
    let registry = secured(&desk);
    Some((desk, registry))
}

#[test]
fn a_registry_by_tls_that_knows_us_is_used() {
    let who = [("SHG_REGISTRY_USER", "user"), ("SHG_REGISTRY_PASSWORD", PASSWORD)];
    let name = "registry::a_registry_by_tls_that_knows_us_is_used";
    let Some((desk, _registry)) = asked(name, &who) else { return };
    let here = format!("127.0.0.1:{PORT}/demo/hello:1");
    // Without its authority it could be anybody.
    let said = desk.shg(&format!("push @bundle {here}")).unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
    desk.shg(&format!("push @bundle {here} --roots @ca.pem")).unwrap();
    desk.shg(&format!("pull {here} @pulled --roots @ca.pem")).unwrap();
    assert!(contents(&desk.path("bundle")) == contents(&desk.path("pulled")), "the same bytes");
}

#[test]
fn a_registry_that_does_not_know_us_is_told_nothing() {
    let who = [("SHG_REGISTRY_USER", "user"), ("SHG_REGISTRY_PASSWORD", "another")];
    let name = "registry::a_registry_that_does_not_know_us_is_told_nothing";
    let Some((desk, _registry)) = asked(name, &who) else { return };
    let push = format!("push @bundle 127.0.0.1:{PORT}/demo/hello:1 --roots @ca.pem");
    let said = desk.shg(&push).unwrap_err().to_string();
    assert!(said.contains("401"), "{said}");
}

#[test]
fn who_gives_no_name_is_told_how() {
    let Some((desk, _registry)) = asked("registry::who_gives_no_name_is_told_how", &[]) else { return };
    let push = format!("push @bundle 127.0.0.1:{PORT}/demo/hello:1 --roots @ca.pem");
    let said = desk.shg(&push).unwrap_err().to_string();
    assert!(said.contains("SHG_REGISTRY_USER"), "{said}");
}
