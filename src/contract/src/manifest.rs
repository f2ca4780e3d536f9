//! The manifest: what a service is, what it needs and what it may do. Version 1.
//!
//! In:  TOML (feature `text`). Out: a `Manifest`, every part bounded and checked, so that no later room parses or doubts it.
//!
//! Unknown keys and contradictions are refused with the line and the reason. Floors, volumes and health probes come with
//! version 2.
//!
//! Source: docs/manifest.md.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{ARGUMENT_BYTES, ARGUMENTS, PATH_BYTES, SERVES, VARIABLES};
use crate::name::{Name, Text};

mod reaches;

pub use reaches::{Port, Reaches};

/// What a service is, needs and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The service's name, unique on a gateway.
    pub name: Name,
    /// Who rents the slice that it runs in.
    pub provider: Name,
    /// One line for a person.
    pub summary: Text<96>,
    /// The sealed image: its file name under `/usr/lib/shg/services`.
    pub image: Text<PATH_BYTES>,
    /// The program and its arguments, as seen from inside.
    pub command: Vec<Text<ARGUMENT_BYTES>, ARGUMENTS>,
    /// `NAME=value`, each.
    #[serde(default)]
    pub environment: Vec<Text<ARGUMENT_BYTES>, VARIABLES>,
    /// Which system calls it may use.
    #[serde(default)]
    pub profile: Profile,
    /// It reaps its own children and handles SIGTERM as PID 1; else a reaper is PID 1 for it.
    #[serde(default)]
    pub reaps: bool,
    /// Start it when the gateway boots.
    #[serde(default)]
    pub autostart: bool,
    /// What happens when it ends by itself.
    #[serde(default)]
    pub restart: Restart,
    /// How it says that it is ready.
    #[serde(default)]
    pub ready: Ready,
    /// From start to ready, in milliseconds, at most.
    #[serde(default = "start_deadline_ms")]
    pub start_deadline_ms: u32,
    /// From SIGTERM to the end of its cgroup, in milliseconds.
    #[serde(default = "stop_grace_ms")]
    pub stop_grace_ms: u32,
    /// Its ceilings.
    pub limits: Limits,
    /// What it offers.
    #[serde(default)]
    pub serves: Vec<Serve, SERVES>,
    /// What it may talk to.
    #[serde(default)]
    pub reaches: Reaches,
}

const fn start_deadline_ms() -> u32 {
    20_000
}

const fn stop_grace_ms() -> u32 {
    5_000
}

/// Ceilings. Each becomes one file of its cgroup, or one resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `memory.max`, in MiB.
    pub memory_mib: u32,
    /// `pids.max`.
    pub pids: u32,
    /// `cpu.max`, in thousandths of one hardware thread.
    pub cpu_permille: u32,
    /// `cpu.weight`, 1 to 10 000.
    #[serde(default = "cpu_weight")]
    pub cpu_weight: u32,
    /// `RLIMIT_NOFILE`.
    #[serde(default = "descriptors")]
    pub descriptors: u32,
    /// `/tmp`, in KiB; it counts as memory. 0: none.
    #[serde(default)]
    pub tmp_kib: u32,
}

const fn cpu_weight() -> u32 {
    100
}

const fn descriptors() -> u32 {
    256
}

/// Which system calls a service may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// For static musl and Rust programs: no `socketcall`.
    #[default]
    Strict,
    /// For programs with i386 glibc, which knows only `socketcall`: filtered by sub-call.
    Glibc,
}

/// What happens when a service ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// It is started again.
    #[default]
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays down.
    Never,
}

/// How a service says that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// It writes a line to the descriptor that `NOTIFY_FD` names.
    #[default]
    Notify,
    /// It is ready once it runs.
    Running,
}

/// One port that a service offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// A word for it.
    pub name: Name,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Protocol,
    /// The port inside.
    pub port: u16,
    /// To whom.
    pub to: Audience,
    /// The port on the gateway's LAN address that leads to it; 0: none, it is reached by its own address.
    #[serde(default)]
    pub at: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 9293.
    #[default]
    Tcp,
    /// RFC 768.
    Udp,
}

/// To whom a service offers a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// The devices of the home LAN.
    Home,
    /// The services of the same slice.
    Slice,
    /// The Internet.
    Internet,
    /// The end user's page only.
    Portal,
}

#[cfg(feature = "text")]
pub use crate::text::Error;

/// Reads a manifest.
///
/// # Errors
/// See [`Error`]; nothing is taken from a text that has one.
#[cfg(feature = "text")]
pub fn parse(text: &str) -> Result<Manifest, Error> {
    crate::text::parse("manifest", crate::limit::MANIFEST_BYTES, text, check)
}

/// The first rule that `manifest` breaks.
#[cfg(feature = "text")]
fn check(manifest: &Manifest) -> Option<&'static str> {
    let limits = &manifest.limits;
    let image = manifest.image.as_str();
    let program = manifest.command.first().map(|program| program.as_str());
    let mut ports = manifest.serves.iter().enumerate();
    let twice = |(index, serve): (usize, &Serve)| {
        let rest = manifest.serves.iter().skip(index + 1);
        rest.clone().any(|other| other.name == serve.name)
            || (serve.at != 0
                && rest.clone().any(|other| other.at == serve.at && other.protocol == serve.protocol))
    };
    let rules = [
        (image.is_empty() || image.contains('/') || image.starts_with('.'), "image: a file name, no path"),
        (!program.is_some_and(|program| program.starts_with('/')), "command: an absolute path comes first"),
        (manifest.command.iter().any(|word| word.contains('\0')), "command: no NUL"),
        (
            !manifest.environment.iter().all(|pair| pair.contains('=') && !pair.contains('\0')),
            "environment: each is NAME=value",
        ),
        (limits.memory_mib == 0 || limits.memory_mib > 1024, "limits.memory_mib: 1 to 1024"),
        (limits.pids < 2 || limits.pids > 4096, "limits.pids: 2 to 4096"),
        (limits.cpu_permille < 10 || limits.cpu_permille > 2000, "limits.cpu_permille: 10 to 2000"),
        (limits.cpu_weight == 0 || limits.cpu_weight > 10_000, "limits.cpu_weight: 1 to 10000"),
        (limits.descriptors < 8 || limits.descriptors > 65_536, "limits.descriptors: 8 to 65536"),
        (limits.tmp_kib / 1024 >= limits.memory_mib, "limits.tmp_kib: less than memory_mib"),
        (manifest.start_deadline_ms > 600_000, "start_deadline_ms: at most 600000"),
        (manifest.stop_grace_ms > 60_000, "stop_grace_ms: at most 60000"),
        (manifest.serves.iter().any(|serve| serve.port == 0), "serves.port: 1 to 65535"),
        (ports.any(twice), "serves: two of one name, or two at one port"),
    ];
    rules.into_iter().find_map(|(broken, why)| broken.then_some(why))
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    const PLAIN: &str = r#"
name = "hello"
provider = "demo"
summary = "A page that tells what it can see"
image = "hello.erofs"
command = ["/hello"]
[limits]
memory_mib = 16
pids = 16
cpu_permille = 500
"#;

    #[test]
    fn a_plain_manifest_has_sane_defaults() {
        let manifest = parse(PLAIN).unwrap();
        assert_eq!(manifest.profile, Profile::Strict);
        assert_eq!(manifest.restart, Restart::Always);
        assert_eq!(manifest.limits.cpu_weight, 100);
        assert_eq!(manifest.stop_grace_ms, 5_000);
        assert!(manifest.reaches.internet && manifest.reaches.home.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("unknown key", PLAIN.replace("pids = 16", "pids = 16\ncolour = 1"), "colour"),
            ("line", PLAIN.replace("pids = 16", "pids = \"x\""), "line 9"),
            ("bad name", PLAIN.replace("\"hello\"", "\"Hello\""), "name"),
            ("no memory", PLAIN.replace("memory_mib = 16", "memory_mib = 0"), "memory_mib"),
            ("image path", PLAIN.replace("hello.erofs", "../x"), "image"),
            ("no port", format!("{PLAIN}\n[reaches]\nhome = [\"tcp/0\"]\n"), "no port"),
            ("no prefix", format!("{PLAIN}\n[reaches]\nprovider = [\"192.0.2.1/24\"]\n"), "no prefix"),
            ("relative command", PLAIN.replace("/hello\"]", "hello\"]"), "command"),
        ];
        for (what, text, word) in table {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{what}: {error}");
        }
    }
}
