//! A gateway that is new makes itself a key, is enrolled by the operator's desk, and comes with that certificate from then on, after a boot, too.
//!
//! In:  the test root with an operator's word, mosquitto by TLS, chronyd, an authority that `shg` makes. Out: passed, failed, or `skipped: ` and
//! why.
//!
//! Not here: a fleet, requests in files (`agent/tests/enrol.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use lab::guest::{BOOT_LIMIT, Guest, Options, UP_LIMIT};
use lab::house::Scratch;
use lab::operator::DESK;
use lab::tool::{self, Bound};
use lab::{facts, namespace, wait};

const NETWORK: &str = include_str!("../../rootfs/etc/shg/network.toml");
/// Who is spoken with, and who lets in only those who have a certificate of the authority's.
const NEW: &str = "self::desk";
const KNOWN: &str = "self::known";
/// What has to be there.
const PROGRAMS: [(&str, &str); 4] =
    [("mosquitto", "mosquitto"), ("chronyd", "chrony"), ("openssl", "openssl"), ("ip", "iproute2")];
const START_LIMIT: Duration = Duration::from_secs(30);

fn shg(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut out = Vec::new();
    shg::progress::hush();
    let outcome = shg::command::run(&words, &mut out);
    let said = String::from_utf8(out).unwrap();
    assert!(outcome.is_ok(), "shg {line}: {said} {outcome:?}");
    said
}

fn openssl(line: &str) {
    tool::run("openssl", &line.split(' ').collect::<Vec<_>>()).unwrap();
}

/// The certificate of the broker, and whose it is.
fn certificate(folder: &Path) {
    let at = |name: &str| folder.join(name).display().to_string();
    let sections = "[req]\ndistinguished_name=name\nx509_extensions=authority\n[name]\n[authority]\nbasicConstraints=critical,CA:TRUE\n";
    fs::write(folder.join("openssl.cnf"), sections).unwrap();
    fs::write(folder.join("extension"), format!("subjectAltName=IP:{DESK}")).unwrap();
    let new = format!("req -config {} -newkey ed25519 -nodes", at("openssl.cnf"));
    openssl(&format!("{new} -x509 -subj /CN=root -days 30 -keyout {} -out {}", at("ca.key"), at("ca.pem")));
    openssl(&format!("{new} -subj /CN=broker -keyout {} -out {}", at("server.key"), at("server.csr")));
    openssl(&format!(
        "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 30 -extfile {} -out {}",
        at("server.csr"),
        at("ca.pem"),
        at("ca.key"),
        at("extension"),
        at("server.pem")
    ));
}

/// The operator's side of the line, on the loopback of our own namespace: the time, and a broker with a door for whoever is new, one for those
/// who were enrolled, and the desk's own. Where the broker's log is.
fn operator(folder: &Path) -> ([Bound; 2], std::path::PathBuf) {
    let at = |name: &str| folder.join(name).display().to_string();
    let (time, log) = (folder.join("chrony.conf"), folder.join("broker.log"));
    fs::write(
        &time,
        format!("allow all\nlocal stratum 2\ncmdport 0\nbindcmdaddress /\npidfile {}\n", at("chrony.pid")),
    )
    .unwrap();
    let tls = format!("certfile {}\nkeyfile {}\n", at("server.pem"), at("server.key"));
    let broker = format!(
        "allow_anonymous true\nuser root\nset_tcp_nodelay true\nlog_dest file {}\nlistener 1883 127.0.0.1\n\
         listener 8884 127.0.0.1\n{tls}\
         listener 8883 127.0.0.1\n{tls}cafile {}\nrequire_certificate true\nuse_identity_as_username true\n",
        log.display(),
        at("isp/authority.pem")
    );
    fs::write(folder.join("broker.conf"), broker).unwrap();
    let start = |words: &[&str]| {
        let mut command = tool::bound(words.first().unwrap());
        Bound::start(command.args(words.iter().skip(1))).unwrap()
    };
    let programs = [
        start(&["chronyd", "-d", "-x", "-u", "root", "-F", "0", "-f", &time.display().to_string()]),
        start(&["mosquitto", "-c", &at("broker.conf")]),
    ];
    wait::until("the broker listens", START_LIMIT, || Ok(TcpStream::connect("127.0.0.1:8883").ok())).unwrap();
    (programs, log)
}

/// The operator's word.
fn word() -> String {
    let controller = |(endpoint, port, topic): (&str, u16, &str)| {
        format!(
            "[[controller]]\nendpoint = '{endpoint}'\nbroker = '{DESK}'\nport = {port}\ntopic = '/usp/{topic}'\n\
             agent_topic = '/usp/agent/{topic}'\n"
        )
    };
    [(NEW, 8884, "desk"), (KNOWN, 8883, "known")].map(controller).concat()
}

/// Waits until the agent has said this in this life.
fn says(guest: &mut Guest, words: &str) {
    let told = guest.until(words, UP_LIMIT, |guest| {
        let log = facts::log(guest, "agent")?;
        Ok(log.iter().any(|line| line.contains(words)).then_some(()))
    });
    assert!(told.is_ok(), "{words}: {:#?}\n{}", facts::log(guest, "agent"), guest.door("time").unwrap());
}

/// Who it is, once that is kept: its endpoint id, its public key, who has signed for it.
fn identity(guest: &mut Guest) -> [String; 3] {
    let kept = guest.until("an identity that is kept", UP_LIMIT, |guest| {
        let identity = guest.json("identity --json")?;
        Ok((identity["kept"] == "disk").then_some(identity))
    });
    let kept = kept.unwrap();
    ["endpoint", "public_key", "issuer"].map(|key| kept[key].as_str().unwrap().to_owned())
}

/// Shows R-SEC.9, R-SEC.10.
#[test]
fn a_new_gateway_is_enrolled() {
    const NAME: &str = "a_new_gateway_is_enrolled";
    if let Some(why) = PROGRAMS.iter().find_map(|(program, package)| tool::need(program, package).err()) {
        return println!("skipped: {why}");
    }
    let Some(()) = namespace::enter(NAME).unwrap() else { return };
    tool::run("ip", &["link", "set", "lo", "up"]).unwrap();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.file("operator");
    fs::create_dir_all(&folder).unwrap();
    certificate(&folder);
    let authority = folder.join("isp").display().to_string();
    shg(&format!("identity authority isp {authority}"));
    let (_programs, log) = operator(&folder);
    let options = Options {
        network: Some(format!("{NETWORK}\n[time]\nserver = [\"{DESK}\"]\n")),
        agent: Some(word()),
        files: vec![("etc/shg/trust.pem".to_owned(), fs::read(folder.join("ca.pem")).unwrap())],
        ..Options::usual().unwrap()
    };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    let [endpoint, key, issuer] = identity(&mut guest);
    assert_eq!(issuer, endpoint, "nobody else has signed for it");
    says(&mut guest, &format!("{NEW}: connected"));
    // The other door is shut to it: the broker ends TLS.
    says(&mut guest, &format!("{KNOWN}: "));
    let connected = |guest: &mut Guest| {
        facts::log(guest, "agent").unwrap().iter().any(|line| line.contains(&format!("{KNOWN}: connected")))
    };
    assert!(!connected(&mut guest));

    let configuration = folder.join("controller.toml");
    let text = format!(
        "endpoint = '{NEW}'\ntopic = '/usp/desk'\n[[broker]]\nhost = '127.0.0.1'\nport = 1883\ntls = false\n\
         [[gateway]]\nendpoint = '{endpoint}'\ntopic = '/usp/agent/desk'\n"
    );
    fs::write(&configuration, text).unwrap();
    let at = configuration.display().to_string();
    let said = shg(&format!("gateway enrol --all --authority {authority} --days 30 --config {at}"));
    assert!(said.contains("enrol: done"), "{said}");
    assert_eq!(identity(&mut guest), [endpoint.clone(), key.clone(), "isp".to_owned()], "the same key");
    says(&mut guest, &format!("{KNOWN}: connected"));
    let came = || {
        let log = fs::read_to_string(&log).unwrap();
        let name = format!("u'{endpoint}'");
        log.lines().filter(|line| line.contains("New client connected") && line.contains(&name)).count()
    };
    let before = came();
    assert!(before > 0, "by the name that stands in the certificate: {}", fs::read_to_string(&log).unwrap());

    // A boot later it is the same one, and it comes at once.
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    facts::wait_all_up(&mut guest).unwrap();
    assert_eq!(identity(&mut guest), [endpoint.clone(), key, "isp".to_owned()]);
    says(&mut guest, &format!("{KNOWN}: connected"));
    assert!(came() > before, "{}", fs::read_to_string(&log).unwrap());
}
