//! A registry that we did not write (docker-registry), by TLS with an authority of the test's own, with and without a password.
//!
//! In:  docker-registry, openssl. Out: bundles come, or the reason why whoever answers is not believed.
//!
//! Source: Debian's package docker-registry; OCI distribution-spec 1.1, "Pushing".
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use bundle::digest::Digest;
use bundle::form::MANIFEST_TYPE;
use contract::packages::{Ask, Fault, Install};
use stage::{Made, Program, Stage, enter, install, order, remove, run, until, update};

const PLAIN: u16 = 5000;
const TLS: u16 = 5443;
/// `user`, and a password whose hash is in Wikipedia's article on bcrypt.
const HTPASSWD: &str = "user:$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW\n";
const PASSWORD: &str = "abc123xyz";

fn openssl(line: &str) {
    run(&["openssl"].into_iter().chain(line.split(' ')).collect::<Vec<_>>());
}

/// An authority, and a certificate of it that bears `registry.example`.
fn certificates() {
    let sections = "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n\
        [authority]\nbasicConstraints=critical,CA:TRUE\n";
    fs::write("/etc/openssl.cnf", sections).unwrap();
    fs::write("/run/extension", "subjectAltName=DNS:registry.example").unwrap();
    let new = "req -config /etc/openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("{new} -x509 -subj /CN=authority -days 30 -keyout /run/ca.key -out /run/ca.pem"));
    openssl(&format!("{new} -subj /CN=registry -keyout /run/server.key -out /run/server.csr"));
    openssl(
        "x509 -req -in /run/server.csr -CA /run/ca.pem -CAkey /run/ca.key -CAcreateserial -days 30 \
         -extfile /run/extension -out /run/server.pem",
    );
}

/// docker-registry at a port, with more words in its configuration.
fn registry(port: u16, http: &str, more: &str) -> Program {
    let file = format!("/run/registry-{port}.yml");
    let log = format!("/run/registry-{port}.log");
    let text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: /run/registry}}}}\nhttp: {{addr: '127.0.0.1:{port}'{http}}}\n{more}"
    );
    fs::write(&file, text).unwrap();
    let program = Program::start("", &["docker-registry", "serve", &file], Some(Path::new(&log)));
    until("docker-registry", 20, || TcpStream::connect(("127.0.0.1", port)).ok());
    program
}

/// Says one request, and returns the answer's head in lower case.
fn say(method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", PLAIN)).unwrap();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{PLAIN}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let lower = answer.to_ascii_lowercase();
    assert!(
        ["201", "202"].iter().any(|good| lower.starts_with(&format!("http/1.1 {good}"))),
        "{target}: {answer}"
    );
    answer
}

fn push(tag: &str, made: &Made) {
    for blob in made.blobs() {
        let begun = say("POST", "/v2/demo/hello/blobs/uploads/", "application/octet-stream", b"");
        let place = begun.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
        let place = place.strip_prefix(&format!("http://127.0.0.1:{PLAIN}")).unwrap_or(place);
        let mark = if place.contains('?') { '&' } else { '?' };
        let target = format!("{place}{mark}digest={}", Digest::of(blob));
        say("PUT", &target, "application/octet-stream", blob);
    }
    for (which, manifest) in [
        (made.digest().to_string(), &made.bundle.manifest),
        (made.signature_tag(), &made.signature_manifest),
        (tag.to_owned(), &made.bundle.manifest),
    ] {
        say("PUT", &format!("/v2/demo/hello/manifests/{which}"), MANIFEST_TYPE, manifest);
    }
}

#[test]
fn a_registry_that_we_did_not_write_is_spoken_with_by_tls() {
    let programs = ["docker-registry", "openssl"];
    if !enter("a_registry_that_we_did_not_write_is_spoken_with_by_tls", &programs) {
        return;
    }
    certificates();
    let plain = registry(PLAIN, "", "");
    let made: Vec<Made> = (1..=3).map(|version| Made::new("hello", "demo", version, 1)).collect();
    made.iter().zip(1..).for_each(|(made, tag)| push(&format!("{tag}"), made));
    let tls = ", tls: {certificate: /run/server.pem, key: /run/server.key}";
    let open = registry(TLS, tls, "");
    let stage = Stage::new("silence_s = 2\n", 64);
    let source = |host: &str, which: &str| format!("https://{host}:{TLS}/demo/hello{which}");
    let first = source("registry.example", ":1");

    // Before the clock is believed no certificate is; nor without its authority, nor under another name.
    let (fault, words) = stage.refuses(&install(&first));
    assert!(fault == Fault::Unreachable && words.contains("time is not known"), "{words}");
    fs::write("/run/time/synchronized", "").unwrap();
    let (fault, words) = stage.refuses(&install(&first));
    assert!(fault == Fault::Unreachable && words.contains("no certificate in"), "{words}");
    fs::copy("/run/ca.pem", "/etc/shg/trust.pem").unwrap();
    let (fault, words) = stage.refuses(&install(&source("localhost", ":1")));
    assert!(fault == Fault::Unreachable && words.contains("invalid peer certificate"), "{words}");
    fs::write("/etc/shg/revoked.pem", "words").unwrap();
    let (fault, words) = stage.refuses(&install(&first));
    assert!(fault == Fault::Unreachable && words.contains("revoked.pem: no list"), "{words}");
    fs::remove_file("/etc/shg/revoked.pem").unwrap();
    // By HTTP, which nobody has allowed; by HTTPS, which nobody speaks there.
    assert_eq!(stage.refuses(&install(&first.replace("https", "http"))).0, Fault::Ask);
    let (fault, words) = stage.refuses(&install(&first.replace(&TLS.to_string(), &PLAIN.to_string())));
    assert_eq!(fault, Fault::Unreachable, "{words}");

    stage.does(&install(&first));
    let digest = format!("@{}", made[1].digest());
    stage.does(&update("hello", &source("registry.example", &digest)));
    assert_eq!(stage.list(), ["hello 2"]);
    let (fault, words) = stage.refuses(&update("hello", &source("registry.example", ":9")));
    assert!(fault == Fault::Missing && words.contains("manifest 9"), "{words}");
    stage.does(&remove("hello"));

    drop((plain, open));
    fs::write("/run/htpasswd", HTPASSWD).unwrap();
    let _shut = registry(TLS, tls, "auth: {htpasswd: {realm: demo, path: /run/htpasswd}}\n");
    let as_user = |password: &str| {
        let order = order(&source("registry.example", ":3"));
        Ask::Install(Install { username: "user".into(), password: password.into(), ..order })
    };
    let (fault, words) = stage.refuses(&install(&source("registry.example", ":3")));
    assert!(fault == Fault::Forbidden && words.contains("none was given"), "{words}");
    assert_eq!(stage.refuses(&as_user("other")).0, Fault::Forbidden);
    stage.does(&as_user(PASSWORD));
    assert_eq!(stage.list(), ["hello 3"]);
    let kept = fs::read(stage.disk.join("state/package/book")).unwrap();
    assert!(
        !kept.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()),
        "a password is kept nowhere"
    );
}
