//! The manifest: what a service is, what it needs and what it may do. Version 2.
//!
//! In:  TOML (feature `text`). Out: a `Manifest`, every part bounded and checked, so that no later room parses or doubts it.
//!
//! Unknown keys and contradictions are refused with the line and the reason, and so is version 1, with what became of its keys. Every key
//! is one that something enforces.
//!
//! Source: docs/manifest.md.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::limit::{
    AFTER, ARGUMENT_BYTES, ARGUMENTS, DEVICE_CLASSES, PATH_BYTES, SERVES, START_TIMES, VARIABLES,
};
use crate::name::{Name, Text};

mod device;
mod life;
mod needs;
mod reaches;
mod time_of_day;
mod volume;

pub use device::Device;
pub use life::{Health, Probe, Update};
pub use needs::{Cpu, Disk, Limits, Memory, Rate};
pub(crate) use needs::{cpu_rules, disk_rules, memory_rules, rate_rules};
pub use reaches::{AtHome, Kind, Port, Reaches};
pub use time_of_day::TimeOfDay;
pub use volume::{FOLDERS, Volume};

/// The version of manifests that this reads.
pub const VERSION: u32 = 2;

/// What a service is, needs and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
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
    /// What of `/proc` it sees.
    #[serde(default)]
    pub proc: Proc,
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
    /// Other services of its provider that are up before it starts.
    #[serde(default)]
    pub after: Vec<Name, AFTER>,
    /// Devices of the gateway's that it uses: all of these classes, and one of each at least.
    #[serde(default)]
    pub devices: Vec<Device, DEVICE_CLASSES>,
    /// For a service that does its work and ends: it is started again so many seconds after its end; 0: it is not.
    #[serde(default)]
    pub again_s: u32,
    /// For a service that does its work and ends: it is started at these times of the day, in UTC, and at no other; empty: it has none.
    #[serde(default)]
    pub start_at: Vec<TimeOfDay, START_TIMES>,
    /// How another version takes its place.
    #[serde(default)]
    pub update: Update,
    /// How one sees that it is well, while it is up; left out: as long as it runs.
    #[serde(default)]
    pub health: Option<Health>,
    /// Processor time.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Its part of the data disk.
    #[serde(default)]
    pub disk: Disk,
    /// What it keeps on the data disk; left out: nothing.
    #[serde(default)]
    pub volume: Option<Volume>,
    /// What it sends.
    #[serde(default)]
    pub uplink: Rate,
    /// What it is sent.
    #[serde(default)]
    pub downlink: Rate,
    /// Ceilings of what is counted.
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

/// What of `/proc` a service sees. It is read-only, and its own processes are all that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proc {
    /// Its processes (`subset=pid`).
    #[default]
    Own,
    /// The machine's numbers, too, such as `meminfo` and `cpuinfo`: for programs that do not run without.
    Full,
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
    crate::text::is_version("manifest", text, VERSION, WAS_VERSION_1)?;
    crate::text::parse("manifest", crate::limit::MANIFEST_BYTES, text, check)
}

/// What to do about a manifest of version 1, which did not say its version.
#[cfg(feature = "text")]
const WAS_VERSION_1: &str = "this reads version 2: write `version = 2`; `limits.cpu_permille` is now `cpu.ceiling_permille` beside \
     `cpu.floor_permille`, `limits.memory_mib` is `memory.ceiling_mib`, and `limits.cpu_weight` follows from the floor (docs/manifest.md)";

/// The first rule that `manifest` breaks.
#[cfg(feature = "text")]
fn check(manifest: &Manifest) -> Option<&'static str> {
    let limits = &manifest.limits;
    let needs = cpu_rules(manifest.cpu)
        .into_iter()
        .chain(memory_rules(manifest.memory))
        .chain(disk_rules(manifest.disk))
        .chain(rate_rules(manifest.uplink, manifest.downlink))
        .chain(life::health_rules(manifest.health.as_ref(), manifest.reaps))
        .chain(volume::volume_rules(manifest.volume.as_ref()))
        .chain(life::update_rules(manifest))
        .chain(time_of_day::start_rules(manifest));
    let after_twice =
        |(index, name): (usize, &Name)| manifest.after.iter().skip(index + 1).any(|other| other == name);
    let device_twice = |(index, class)| manifest.devices.iter().skip(index + 1).any(|other| other == class);
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
        (limits.pids < 2 || limits.pids > 4096, "limits.pids: 2 to 4096"),
        (limits.descriptors < 8 || limits.descriptors > 65_536, "limits.descriptors: 8 to 65536"),
        (
            limits.tmp_kib / 1024 >= manifest.memory.ceiling_mib,
            "limits.tmp_kib: less than memory.ceiling_mib",
        ),
        (manifest.start_deadline_ms > 600_000, "start_deadline_ms: at most 600000"),
        (manifest.after.contains(&manifest.name), "after: not itself"),
        (manifest.after.iter().enumerate().any(after_twice), "after: one twice"),
        (manifest.devices.iter().enumerate().any(device_twice), "devices: one twice"),
        (manifest.again_s > 31_536_000, "again_s: at most a year, 31536000"),
        (
            manifest.again_s != 0 && manifest.restart == Restart::Always,
            "again_s: for services that end; `restart` is on-failure or never",
        ),
        (manifest.stop_grace_ms > 60_000, "stop_grace_ms: at most 60000"),
        (manifest.serves.iter().any(|serve| serve.port == 0), "serves.port: 1 to 65535"),
        (ports.any(twice), "serves: two of one name, or two at one port"),
    ];
    needs.chain(rules).find_map(|(broken, why)| broken.then_some(why))
}

#[cfg(all(test, feature = "text"))]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    const PLAIN: &str = r#"
version = 2
name = "hello"
provider = "demo"
summary = "A page that tells what it can see"
image = "hello.erofs"
command = ["/hello"]
[cpu]
floor_permille = 50
ceiling_permille = 500
[memory]
floor_mib = 8
high_mib = 12
ceiling_mib = 16
[limits]
pids = 16
"#;

    #[test]
    fn a_plain_manifest_has_sane_defaults() {
        let manifest = parse(PLAIN).unwrap();
        assert_eq!(manifest.profile, Profile::Strict);
        assert_eq!(manifest.restart, Restart::Always);
        assert_eq!(manifest.uplink, Rate::default());
        assert_eq!(manifest.disk, Disk::default());
        assert_eq!(manifest.stop_grace_ms, 5_000);
        assert!(manifest.reaches.internet && manifest.reaches.home.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("unknown key", PLAIN.replace("pids = 16", "pids = 16\ncolour = 1"), "colour"),
            ("line", PLAIN.replace("pids = 16", "pids = \"x\""), "line 16"),
            ("bad name", PLAIN.replace("\"hello\"", "\"Hello\""), "name"),
            (
                "no memory",
                PLAIN.replace("ceiling_mib = 16", "ceiling_mib = 0"),
                "line 14: memory.ceiling_mib",
            ),
            (
                "floor",
                PLAIN.replace("floor_mib = 8", "floor_mib = 17"),
                "line 12: memory.floor_mib: it is above",
            ),
            ("high", PLAIN.replace("high_mib = 12", "high_mib = 7"), "line 13: memory.high_mib: it is below"),
            (
                "cpu",
                PLAIN.replace("floor_permille = 50", "floor_permille = 501"),
                "line 9: cpu.floor_permille",
            ),
            (
                "line",
                format!("{PLAIN}[uplink]\nfloor_kbit_s = 2\nceiling_kbit_s = 1\n"),
                "line 18: uplink.floor",
            ),
            (
                "ceiling of the disk",
                format!("{PLAIN}[disk]\nread_ceiling_kib_s = 1023\n"),
                "line 18: disk.read_ceiling_kib_s: 1024 to",
            ),
            (
                "one that holds no disk",
                format!("{PLAIN}[disk]\nfloor_permille = 9\nread_ceiling_kib_s = 1048577\n"),
                "line 19: disk.read_ceiling_kib_s",
            ),
            (
                "ceiling of writes",
                format!("{PLAIN}[disk]\nread_ceiling_kib_s = 1024\nwrite_ceiling_kib_s = 63\n"),
                "line 19: disk.write_ceiling_kib_s: 64 to",
            ),
            ("itself", PLAIN.replace("[cpu]", "after = [\"hello\"]\n[cpu]"), "line 8: after: not itself"),
            ("again", PLAIN.replace("[cpu]", "again_s = 60\n[cpu]"), "line 8: again_s: for services"),
            ("update", PLAIN.replace("[cpu]", "update = \"both\"\n[cpu]"), "update"),
            ("weight", PLAIN.replace("pids = 16", "cpu_weight = 16"), "cpu_weight"),
            ("version 1", PLAIN.replace("version = 2\n", ""), "write `version = 2`"),
            ("version 3", PLAIN.replace("version = 2", "version = 3"), "this reads version 2"),
            ("image path", PLAIN.replace("hello.erofs", "../x"), "image"),
            ("no port", format!("{PLAIN}\n[reaches]\nhome = [\"tcp/0\"]\n"), "no port"),
            ("no prefix", format!("{PLAIN}\n[reaches]\nprovider = [\"192.0.2.1/24\"]\n"), "no prefix"),
            ("relative command", PLAIN.replace("/hello\"]", "hello\"]"), "command"),
        ];
        is_named(&table);
    }

    fn is_named(table: &[(&str, std::string::String, &str)]) {
        for (what, text, word) in table {
            let error = parse(text).map_or_else(|error| error.to_string(), |_| "nothing".to_string());
            assert!(error.contains(word), "{what}: {error}");
        }
    }

    #[test]
    fn two_versions_at_once_need_nothing_that_there_is_once() {
        let overlap = PLAIN.replace("[cpu]", "update = \"overlap\"\n[cpu]");
        assert_eq!(parse(&overlap).unwrap().update, Update::Overlap);
        assert_eq!(parse(PLAIN).unwrap().update, Update::Replace);
        let ends = "restart = \"never\"\nagain_s = 60\nupdate";
        is_named(&[
            ("volume", format!("{overlap}[volume]\nsize_mib = 1\n"), "line 8: update: overlap: two"),
            (
                "device",
                overlap.replace("update", "devices = [\"serial\"]\nupdate"),
                "line 9: update: overlap: a device",
            ),
            ("again", overlap.replace("update", ends), "line 10: update: overlap: for services"),
        ]);
    }

    #[test]
    fn a_service_that_ends_is_started_at_times_of_the_day() {
        let with = |lines: &str| PLAIN.replace("[cpu]", &format!("{lines}\n[cpu]"));
        let good = parse(&with("restart = \"never\"\nstart_at = [\"03:30\", \"15:30\"]")).unwrap();
        assert!(good.start_at.iter().map(|time| time.seconds()).eq([12_600, 55_800]));
        assert!(parse(PLAIN).unwrap().start_at.is_empty());
        let times = "start_at = [\"03:30\"]";
        is_named(&[
            ("always", with(times), "line 8: start_at: for services that end"),
            (
                "again",
                with(&format!("restart = \"never\"\nagain_s = 60\n{times}")),
                "line 10: start_at: not with",
            ),
            (
                "twice",
                with("restart = \"never\"\nstart_at = [\"03:30\", \"03:30\"]"),
                "line 9: start_at: one",
            ),
            (
                "overlap",
                with(&format!("restart = \"never\"\n{times}\nupdate = \"overlap\"")),
                "line 10: update: overlap",
            ),
            ("no time", with("restart = \"never\"\nstart_at = [\"24:00\"]"), "line 9"),
            ("no time", with("restart = \"never\"\nstart_at = [\"24:00\"]"), "no time of day"),
            ("a long one", with("restart = \"never\"\nstart_at = [\"03:30:00\"]"), "no time of day"),
            (
                "five",
                with(
                    "restart = \"never\"\nstart_at = [\"01:00\", \"02:00\", \"03:00\", \"04:00\", \"05:00\"]",
                ),
                "line 9",
            ),
        ]);
    }

    #[test]
    fn what_is_wrong_with_health_devices_and_volume_is_named() {
        is_named(&[
            ("health", format!("{PLAIN}[health]\nprobe = \"tcp\"\n"), "health.port"),
            ("path", format!("{PLAIN}[health]\nprobe = \"http\"\nport = 1\npath = \"x\"\n"), "health.path"),
            ("volume", format!("{PLAIN}[volume]\nsize_mib = 0\n"), "volume.size_mib"),
            ("place", format!("{PLAIN}[volume]\nsize_mib = 1\nat = \"/dev/x\"\n"), "volume.at"),
            ("exec", format!("{PLAIN}[health]\nprobe = \"exec\"\n"), "health.command"),
            (
                "exec by path",
                format!("{PLAIN}[health]\nprobe = \"exec\"\ncommand = [\"x\"]\n"),
                "health.command",
            ),
            (
                "command",
                format!("{PLAIN}[health]\nprobe = \"notify\"\ncommand = [\"/x\"]\n"),
                "health.command",
            ),
            (
                "exec without a reaper",
                format!("{PLAIN}[health]\nprobe = \"exec\"\ncommand = [\"/x\"]\n")
                    .replace("[cpu]", "reaps = true\n[cpu]"),
                "health.probe",
            ),
            ("device", PLAIN.replace("[cpu]", "devices = [\"disk\"]\n[cpu]"), "devices"),
            (
                "devices",
                PLAIN.replace("[cpu]", "devices = [\"serial\", \"serial\"]\n[cpu]"),
                "line 8: devices: one",
            ),
        ]);
    }
}
