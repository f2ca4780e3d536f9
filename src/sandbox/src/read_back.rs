//! Reading a sandbox back from outside: what the kernel says of a process, and which layers that amounts to.
//!
//! In:  a process id and a plan. Out: the layers that are there.
//!
//! `look` reads, `layers` judges; the judge is pure and doubts everything: a layer that cannot be seen is not there.
//!
//! Source: proc_pid_status(5), proc_pid_ns(5), proc_pid_mountinfo(5), proc_pid_fd(5), proc_pid_cgroup(5).

use std::fs::{self, File};
use std::io::Read;

use contract::layer::{Layer, Layers};

use crate::{Plan, cgroup, namespace};

/// Kinds of namespaces, as they are called under `/proc/<pid>/ns`, each with its layer.
const NAMESPACES: [(&str, Layer); 7] = [
    ("user", Layer::UserNamespace),
    ("pid", Layer::PidNamespace),
    ("mnt", Layer::MountNamespace),
    ("net", Layer::NetworkNamespace),
    ("uts", Layer::UtsNamespace),
    ("ipc", Layer::IpcNamespace),
    ("cgroup", Layer::CgroupNamespace),
];

/// Descriptors above the standard ones that the service gets: the one for readiness.
const OPEN_MAX: u32 = 3;

/// What was seen of a process. Every text is as the kernel gave it; empty where it gave none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its namespaces and ours, in the order of the kinds.
    pub namespaces: [(String, String); 7],
    /// The name of the network namespace that it should be in.
    pub network: String,
    /// `uid_map` and `gid_map`.
    pub maps: [String; 2],
    /// `status`.
    pub status: String,
    /// `mountinfo`.
    pub mounts: String,
    /// `cgroup`.
    pub cgroup: String,
    /// Layers of its cgroup of which a file does not say what it should.
    pub unset: Layers,
    /// Its descriptors: number, and whether exec closes it.
    pub descriptors: Option<Vec<(u32, bool)>>,
}

/// Looks at the process `pid` outside, which should be as `plan` says, in the network namespace `network`.
#[must_use]
pub fn look<D: std::os::fd::AsFd>(pid: i32, plan: &Plan, network: &D) -> Seen {
    let read = |file: &str| text(&format!("/proc/{pid}/{file}")).unwrap_or_default();
    let link = |who: &str, kind: &str| {
        let link = fs::read_link(format!("/proc/{who}/ns/{kind}"));
        link.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let its = pid.to_string();
    let unset = plan.cgroup_files.iter().filter(|setting| !cgroup::holds(&plan.cgroup, setting));
    Seen {
        namespaces: NAMESPACES.map(|(kind, _)| (link(&its, kind), link("self", kind))),
        network: namespace::inode(network).map(|inode| format!("net:[{inode}]")).unwrap_or_default(),
        maps: ["uid_map", "gid_map"].map(read),
        status: read("status"),
        mounts: read("mountinfo"),
        cgroup: read("cgroup"),
        unset: unset.filter_map(|setting| setting.layer).fold(Layers::NONE, Layers::with),
        descriptors: descriptors(pid),
    }
}

/// A file of the kernel's, whole. In pieces of a page: the kernel makes the text anew for each read, and a start waits for it.
fn text(path: &str) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match file.read(&mut piece).ok()? {
            0 => return String::from_utf8(bytes).ok(),
            length => bytes.extend_from_slice(piece.get(..length)?),
        }
    }
}

fn descriptors(pid: i32) -> Option<Vec<(u32, bool)>> {
    const O_CLOEXEC: u32 = 0o2_000_000; // asm-generic/fcntl.h
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()? {
        let number = entry.ok()?.file_name().to_string_lossy().parse().ok()?;
        let text = text(&format!("/proc/{pid}/fdinfo/{number}"))?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        found.push((number, u32::from_str_radix(flags.trim(), 8).ok()? & O_CLOEXEC != 0));
    }
    Some(found)
}

/// Which layers that amounts to.
#[must_use]
pub fn layers(seen: &Seen, plan: &Plan) -> Layers {
    Layer::ALL.into_iter().filter(|layer| is_on(*layer, seen, plan)).fold(Layers::NONE, Layers::with)
}

fn is_on(layer: Layer, seen: &Seen, plan: &Plan) -> bool {
    match layer {
        Layer::UserNamespace => {
            is_apart(layer, seen) && seen.maps.iter().all(|map| is_map(map, plan.id_map()))
        }
        Layer::NetworkNamespace => {
            is_apart(layer, seen) && pair(layer, seen).is_some_and(|(its, _)| *its == seen.network)
        }
        Layer::PidNamespace
        | Layer::MountNamespace
        | Layer::UtsNamespace
        | Layer::IpcNamespace
        | Layer::CgroupNamespace => is_apart(layer, seen),
        // Hierarchy 0 is cgroup2; a kernel that has others lists them too.
        Layer::Cgroup => {
            seen.cgroup.lines().any(|line| line.strip_prefix("0::") == Some(plan.cgroup.as_str()))
        }
        Layer::MemoryMax | Layer::PidsMax | Layer::Cpu => !seen.unset.has(layer),
        Layer::ReadOnlyRoot => mounts(seen)
            .find(|mount| mount.place == "/")
            .is_some_and(|root| root.has(&["ro", "nosuid", "nodev"])),
        Layer::PrivateProc => {
            let mut procs = mounts(seen).filter(|mount| mount.kind == "proc");
            let flags = ["ro", "nosuid", "nodev", "noexec"];
            let private = |mount: &Mount<'_>| {
                mount.place == "/proc"
                    && mount.has(&flags)
                    && mount.is_made_with(&["hidepid=invisible", "subset=pid"])
            };
            procs.next().is_some_and(|mount| private(&mount)) && procs.next().is_none()
        }
        Layer::MinimalDev => has_minimal_dev(seen),
        Layer::NoCapabilities => ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
            .iter()
            .all(|set| status(seen, set).is_some_and(|bits| bits.bytes().all(|digit| digit == b'0'))),
        Layer::NoNewPrivileges => status(seen, "NoNewPrivs") == Some("1"),
        Layer::Seccomp => status(seen, "Seccomp") == Some("2"), // SECCOMP_MODE_FILTER
        Layer::Descriptors => seen
            .descriptors
            .as_ref()
            .is_some_and(|found| found.iter().all(|(number, closes)| *number <= OPEN_MAX || *closes)),
    }
}

fn pair(layer: Layer, seen: &Seen) -> Option<&(String, String)> {
    let place = NAMESPACES.iter().position(|(_, of)| *of == layer)?;
    seen.namespaces.get(place)
}

/// Is its namespace another one than ours?
fn is_apart(layer: Layer, seen: &Seen) -> bool {
    pair(layer, seen).is_some_and(|(its, ours)| !its.is_empty() && !ours.is_empty() && its != ours)
}

fn is_map(map: &str, want: [u32; 3]) -> bool {
    let mut lines =
        map.lines().map(|line| line.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>());
    lines.next() == Some(Ok(want.to_vec())) && lines.next().is_none()
}

fn status<'s>(seen: &'s Seen, key: &str) -> Option<&'s str> {
    let line = seen.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim()).filter(|value| !value.is_empty())
}

/// One line of `mountinfo`.
struct Mount<'m> {
    place: &'m str,
    options: &'m str,
    kind: &'m str,
    made_with: &'m str,
}

impl Mount<'_> {
    fn has(&self, wanted: &[&str]) -> bool {
        wanted.iter().all(|option| self.options.split(',').any(|has| has == *option))
    }

    fn is_made_with(&self, wanted: &[&str]) -> bool {
        wanted.iter().all(|option| self.made_with.split(',').any(|has| has == *option))
    }
}

fn mounts(seen: &Seen) -> impl Iterator<Item = Mount<'_>> {
    seen.mounts.lines().filter_map(|line| {
        // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(4);
        let (place, options) = (fields.next()?, fields.next()?);
        let mut fields = file_system.split(' ');
        let (kind, made_with) = (fields.next()?, fields.nth(1)?);
        Some(Mount { place, options, kind, made_with })
    })
}

/// A read-only tmpfs at `/dev`, and in it the five harmless devices and nothing else.
fn has_minimal_dev(seen: &Seen) -> bool {
    const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
    let mut at_dev = mounts(seen).filter(|mount| mount.place == "/dev");
    let is_ours =
        at_dev.next().is_some_and(|dev| dev.kind == "tmpfs" && dev.has(&["ro", "nosuid", "noexec"]));
    let below: Vec<_> =
        mounts(seen).map(|mount| mount.place).filter(|place| place.starts_with("/dev/")).collect();
    is_ours
        && at_dev.next().is_none()
        && below.len() == DEVICES.len()
        && DEVICES.iter().all(|device| below.contains(device))
}

#[cfg(test)]
mod tests {
    use super::{NAMESPACES, Seen, layers};
    use crate::Plan;
    use crate::plan::tests::manifest;
    use contract::layer::{Layer, Layers};

    /// What a whole sandbox looks like; mountinfo and status are from the board kernel.
    fn whole() -> Seen {
        let mut number = 0;
        let namespaces = NAMESPACES.map(|(kind, _)| {
            number += 1;
            (format!("{kind}:[40265321{number}]"), format!("{kind}:[4026531{number}]"))
        });
        Seen {
            network: namespaces[3].0.clone(),
            namespaces,
            maps: ["         0    1048576      65536\n", "         0    1048576      65536\n"]
                .map(str::to_owned),
            status: include_str!("../tests/data/status").to_owned(),
            mounts: include_str!("../tests/data/mountinfo").to_owned(),
            cgroup: "0::/slices/demo/hello\n".to_owned(),
            unset: Layers::NONE,
            descriptors: Some(vec![(0, false), (1, false), (2, false), (3, false), (7, true)]),
        }
    }

    #[test]
    fn a_whole_sandbox_has_every_layer() {
        let plan = Plan::new(&manifest(), 0).unwrap();
        let missing: Vec<_> =
            Layer::ALL.into_iter().filter(|layer| !layers(&whole(), &plan).has(*layer)).collect();
        assert_eq!(missing, []);
        assert_eq!(
            layers(&Seen::default(), &plan)
                .iter()
                .filter(|layer| !matches!(layer, Layer::MemoryMax | Layer::PidsMax | Layer::Cpu))
                .count(),
            0,
            "what cannot be seen is not there"
        );
    }

    #[test]
    fn each_layer_that_is_missing_is_named_and_no_other() {
        let plan = Plan::new(&manifest(), 0).unwrap();
        let same =
            |seen: &mut Seen, place: usize| seen.namespaces[place].0 = seen.namespaces[place].1.clone();
        let swap = |text: &mut String, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            *text = text.replace(from, to);
        };
        for layer in Layer::ALL {
            let mut seen = whole();
            match layer {
                Layer::UserNamespace => same(&mut seen, 0),
                Layer::PidNamespace => same(&mut seen, 1),
                Layer::MountNamespace => same(&mut seen, 2),
                Layer::NetworkNamespace => seen.namespaces[3].0 = "net:[1]".to_owned(),
                Layer::UtsNamespace => same(&mut seen, 4),
                Layer::IpcNamespace => same(&mut seen, 5),
                Layer::CgroupNamespace => same(&mut seen, 6),
                Layer::Cgroup => seen.cgroup = "0::/gateway/supervisor\n".to_owned(),
                Layer::MemoryMax | Layer::PidsMax | Layer::Cpu => seen.unset = Layers::NONE.with(layer),
                Layer::ReadOnlyRoot => swap(&mut seen.mounts, " / / ro,", " / / rw,"),
                Layer::PrivateProc => swap(&mut seen.mounts, "hidepid=invisible,", ""),
                Layer::MinimalDev => swap(&mut seen.mounts, "/dev/full", "/dev/mem"),
                Layer::NoCapabilities => {
                    swap(&mut seen.status, "CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400")
                }
                Layer::NoNewPrivileges => swap(&mut seen.status, "NoNewPrivs:\t1", "NoNewPrivs:\t0"),
                Layer::Seccomp => swap(&mut seen.status, "Seccomp:\t2", "Seccomp:\t0"),
                Layer::Descriptors => seen.descriptors = Some(vec![(0, false), (4, false)]),
            }
            let found = layers(&seen, &plan);
            assert_eq!(found, Layers::all().without(layer), "{}", layer.word());
        }
    }
}
