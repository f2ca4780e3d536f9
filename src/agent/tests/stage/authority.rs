//! Authorities of an operator's, by openssl(1): they sign, and revoke.
//!
//! In:  names. Out: certificates, keys and lists of revoked certificates in `/run`.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::{Program, folder, openssl, run, until};

/// Dates of a certificate.
pub(crate) const NOW: (&str, &str) = ("20200101000000Z", "20991231000000Z");
/// Those of one that has expired.
pub(crate) const YESTERDAY: (&str, &str) = ("20200101000000Z", "20200201000000Z");

/// The operator's authority, and others.
pub(crate) fn authorities() {
    let sections = "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n[authority]\n\
        basicConstraints=critical,CA:TRUE\n[ca]\ndefault_ca=it\n[it]\ndatabase=/run/index\nnew_certs_dir=/run\n\
        rand_serial=yes\ncrlnumber=/run/number\ndefault_md=default\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n";
    fs::write("/etc/openssl.cnf", sections).unwrap();
    fs::write("/run/index", "").unwrap();
    fs::write("/run/number", "01").unwrap();
    for name in ["isp", "other", "third"] {
        openssl(&format!(
            "req -config /etc/openssl.cnf -newkey ed25519 -nodes -x509 -subj /CN={name} -days 30 \
             -keyout /run/{name}.key -out /run/{name}.pem"
        ));
    }
}

/// A certificate `/run/<name>.pem` for broker.example, and its key.
pub(crate) fn certificate(authority: &str, name: &str, endpoint: Option<&str>, (first, last): (&str, &str)) {
    let uri = endpoint.map(|endpoint| format!(",URI:urn:bbf:usp:id:{endpoint}")).unwrap_or_default();
    fs::write("/run/extension", format!("subjectAltName=DNS:broker.example{uri}")).unwrap();
    let (request, key) = (format!("/run/{name}.csr"), format!("/run/{name}.key"));
    let new = "req -config /etc/openssl.cnf -newkey ed25519 -nodes";
    openssl(&format!("{new} -subj /CN={name} -keyout {key} -out {request}"));
    openssl(&format!(
        "ca -config /etc/openssl.cnf -batch -notext -cert /run/{authority}.pem -keyfile /run/{authority}.key \
         -startdate {first} -enddate {last} -extfile /run/extension -in {request} -out /run/{name}.pem"
    ));
}

/// The operator's word on an authority's signature.
pub(crate) fn credential(authority: &str, signs: &str) -> String {
    let certificate = fs::read_to_string(format!("/run/{authority}.pem")).unwrap();
    format!("[[credential]]\ncertificate = '''\n{certificate}'''\nsigns = '{signs}'\nrole = 'operate'\n")
}

/// From now on the certificate `/run/<name>.pem` does not count: that goes into the next list.
pub(crate) fn revoke(authority: &str, name: &str) {
    openssl(&format!("{} -revoke /run/{name}.pem", by(authority)));
}

/// The authority's list as it is now, in PEM, to be replaced at `next`.
pub(crate) fn list(authority: &str, next: &str) -> String {
    openssl(&format!(
        "{} -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate {next} -out /run/list.pem",
        by(authority)
    ));
    fs::read_to_string("/run/list.pem").unwrap()
}

fn by(authority: &str) -> String {
    format!("ca -config /etc/openssl.cnf -cert /run/{authority}.pem -keyfile /run/{authority}.key")
}

/// Somebody at this port who shows `/run/<name>.pem` and says nothing; what he hears is in the file.
pub(crate) fn listener(port: u16, name: &str) -> (Program, PathBuf) {
    // He ends a connection where there is no more for him to read: of this there is never an end.
    if !Path::new("/run/never").exists() {
        run(&["mkfifo", "/run/never"]);
    }
    let log = folder(name).join("log");
    let line = format!(
        "exec openssl s_server -quiet -accept {port} -cert /run/{name}.pem -key /run/{name}.key <>/run/never"
    );
    let server = Program::start("", &["sh", "-c", &line], Some(&log));
    until("it listens", 5, || TcpStream::connect(("127.0.0.1", port)).ok());
    (server, log)
}
