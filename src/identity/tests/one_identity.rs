//! There is one identity, whenever the disk comes and whenever the power goes. OpenSSL reads the certificate.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::identify::Who;
use identity::Error;
use identity::keeper::Keeper;
use state::Folder;
use x509::issue::ALWAYS_S;
use x509::{Authority, Key, Request};

/// A machine: its files, and a folder on a data disk that may be absent.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("shg-identity-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("etc/shg")).unwrap();
        Self(top)
    }

    fn disk(&self) -> PathBuf {
        self.0.join("disk")
    }

    fn plug(&self) {
        fs::create_dir_all(self.disk()).unwrap();
    }

    /// A new life of the daemon.
    fn boot(&self) -> Keeper {
        let mut keeper = Keeper::new(&Folder::at(&self.disk()), &self.0);
        keeper.attend().unwrap();
        keeper
    }

    fn who(&self) -> Who {
        self.boot().who().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_is_made_once_and_stays() {
    let machine = Machine::new("once");
    machine.plug();
    let first = machine.who();
    assert!(first.kept && first.reason.is_empty(), "{first:?}");
    for _ in 0..3 {
        assert_eq!(machine.who(), first);
    }
    // A bad sector: the generation before is the same.
    fs::write(machine.disk().join("identity"), "").unwrap();
    assert_eq!(machine.who(), first);
    // The operator gives it another number: another name and certificate, the same key.
    fs::write(machine.0.join("etc/shg/device.toml"), "oui = \"0019cb\"\nserial = \"0042\"\n").unwrap();
    let named = machine.who();
    assert_eq!(named.endpoint.as_str(), "os::0019CB-0042");
    assert_eq!(named.public_key, first.public_key);
    assert_ne!(named.certificates, first.certificates);
    assert_eq!(machine.who(), named);
}

#[test]
fn a_disk_that_comes_late_gets_the_one_of_this_boot_or_gives_its_own() {
    let machine = Machine::new("late");
    let mut boot = machine.boot();
    let passing = boot.who().unwrap();
    assert!(!passing.kept && passing.reason.contains("no data disk"), "{passing:?}");
    assert_eq!(boot.who().unwrap(), passing, "the same for all of this boot");
    assert_ne!(machine.who().public_key, passing.public_key, "and for no other");
    machine.plug();
    boot.attend().unwrap();
    let kept = boot.who().unwrap();
    assert!(kept.kept);
    assert_eq!(kept.public_key, passing.public_key, "an empty disk keeps the one that was shown");
    // A boot without the disk, and then it comes: the kept one comes back.
    fs::rename(machine.disk(), machine.0.join("pulled")).unwrap();
    let mut boot = machine.boot();
    assert_ne!(boot.who().unwrap().public_key, kept.public_key);
    fs::rename(machine.0.join("pulled"), machine.disk()).unwrap();
    boot.attend().unwrap();
    assert_eq!(boot.who().unwrap(), kept);
    // Pulled out again, it is still the one that we know.
    fs::remove_dir_all(machine.disk()).unwrap();
    boot.attend().unwrap();
    assert_eq!(boot.who().unwrap(), kept);
}

#[test]
fn whenever_the_power_goes_there_is_one_or_none() {
    let machine = Machine::new("cuts");
    machine.plug();
    let first = machine.who();
    let whole = fs::read(machine.disk().join("identity")).unwrap();
    // Each state that a cut in the first writing can leave: a part beside, all of it beside, in its place, a second part beside.
    for cut in [0, 1, 23, 24, 100, whole.len() - 1] {
        fs::remove_dir_all(machine.disk()).unwrap();
        machine.plug();
        fs::write(machine.disk().join("identity.new"), &whole[..cut]).unwrap();
        let made = machine.who();
        assert!(made.kept, "{cut}: none was shown to anybody, so another may be made");
        assert_eq!(machine.who(), made, "{cut}");
    }
    for (place, part) in [("identity.new", "identity"), ("identity", "identity.new")] {
        fs::remove_dir_all(machine.disk()).unwrap();
        machine.plug();
        fs::write(machine.disk().join(place), &whole).unwrap();
        assert_eq!(machine.who(), first, "{place}");
        fs::write(machine.disk().join(part), &whole[..40]).unwrap();
        fs::write(machine.disk().join("identity.old"), &whole).unwrap();
        assert_eq!(machine.who(), first, "{place}, and a part of {part}");
    }
}

#[test]
fn what_is_broken_is_left_for_a_person_to_look_at() {
    let machine = Machine::new("broken");
    machine.plug();
    machine.who();
    for name in ["identity", "identity.old"] {
        fs::write(machine.disk().join(name), "cut").unwrap();
    }
    let mut boot = machine.boot();
    let passing = boot.who().unwrap();
    assert!(!passing.kept && passing.reason.contains("left alone"), "{passing:?}");
    boot.attend().unwrap();
    assert_eq!(fs::read(machine.disk().join("identity")).unwrap(), b"cut");
    // Of a version that is not known here, and a file that is whole and no identity: the same.
    for version in [1, 9] {
        Folder::at(&machine.disk()).file("identity", 9).save(version, b"what").unwrap();
        let before = fs::read(machine.disk().join("identity")).unwrap();
        assert!(!machine.who().kept);
        assert_eq!(fs::read(machine.disk().join("identity")).unwrap(), before);
    }
}

/// Shows R-SEC.0a, R-SEC.5, R-SEC.10.
#[test]
fn somebody_else_reads_the_certificate_and_verifies_signatures() {
    let machine = Machine::new("openssl");
    machine.plug();
    let mut boot = machine.boot();
    let who = boot.who().unwrap();
    let at = |name: &str| machine.0.join(name).display().to_string();
    let put = |name: &str, bytes: &[u8]| fs::write(machine.0.join(name), bytes).unwrap();
    put("certificate", &who.certificates);
    put("public", &who.public_key);
    put("message", b"message");
    put("signature", &boot.sign(b"message").unwrap());
    let openssl = |words: &[&str]| Command::new("openssl").args(words).output();
    let Ok(read) = openssl(&["x509", "-inform", "DER", "-in", &at("certificate"), "-noout", "-text"]) else {
        return println!("skipped: openssl is not here");
    };
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    let urn = format!("URI:urn:bbf:usp:id:{}", who.endpoint);
    for words in [&urn, "Dec 31 23:59:59 9999", "NIST CURVE: P-256", &format!("CN = {}", who.endpoint)] {
        assert!(text.contains(words), "{words}: {text}{}", String::from_utf8_lossy(&read.stderr));
    }
    let pem = openssl(&["x509", "-inform", "DER", "-in", &at("certificate"), "-out", &at("pem")]).unwrap();
    assert!(pem.status.success());
    let verified = openssl(&["verify", "-CAfile", &at("pem"), "-check_ss_sig", &at("pem")]).unwrap();
    assert!(verified.status.success(), "{verified:?}");
    let public = at("public");
    let words = ["dgst", "-sha256", "-verify", &public, "-keyform", "DER", "-signature"];
    let verified = openssl(&[&words[..], &[&at("signature"), &at("message")]].concat()).unwrap();
    assert!(verified.status.success(), "{verified:?}");
    assert!(Path::new(&public).exists());
}

#[test]
fn what_an_authority_has_signed_is_shown_from_then_on() {
    let machine = Machine::new("enrol");
    let authority = Authority::make("isp", ALWAYS_S).unwrap();
    let certify = |request: &[u8]| {
        let own = authority.sign(&Request::read(request).unwrap(), ALWAYS_S).unwrap();
        [&own[..], authority.certificate()].concat()
    };
    let mut boot = machine.boot();
    let certificates = certify(&boot.request().unwrap());
    assert_eq!(boot.enrol(&certificates), Err(Error::Passing), "the key is gone with this boot");
    machine.plug();
    boot.attend().unwrap();
    let before = boot.who().unwrap();
    let own = Key::make().unwrap();
    let foreign_key = certify(&Request::write(&own, &before.endpoint).unwrap());
    let request = boot.request().unwrap();
    let certificates = certify(&request);
    let wrong: [(&str, Vec<u8>, Error); 4] = [
        ("nothing", Vec::new(), Error::Chain),
        ("the other way round", [authority.certificate(), &certificates].concat(), Error::Chain),
        ("the authority's own", authority.certificate().to_vec(), Error::ForeignKey),
        ("another key", foreign_key, Error::ForeignKey),
    ];
    for (what, bytes, why) in wrong {
        assert_eq!(boot.enrol(&bytes), Err(why), "{what}");
        assert_eq!(boot.who().unwrap(), before, "{what}: nothing is lost");
    }
    boot.enrol(&certificates).unwrap();
    let enrolled = boot.who().unwrap();
    assert_eq!((&enrolled.certificates[..], &enrolled.public_key), (&certificates[..], &before.public_key));
    assert_eq!(machine.who(), enrolled, "the next boot knows it");
    // A bad sector: the generation before is the same key, under its own certificate.
    fs::write(machine.disk().join("identity"), "").unwrap();
    assert_eq!(machine.who(), before);
    // Another name: what was signed is for the one before.
    boot.enrol(&certificates).unwrap();
    fs::write(machine.0.join("etc/shg/device.toml"), "oui = \"0019cb\"\nserial = \"0042\"\n").unwrap();
    let mut named = machine.boot();
    assert_eq!(named.enrol(&certificates), Err(Error::ForeignName));
    let request = named.request().unwrap();
    named.enrol(&certify(&request)).unwrap();
}
