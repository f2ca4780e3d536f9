//! Judging what was seen of a sandbox: each layer, what was wanted and what was found.
//!
//! In:  what `seen.rs` saw, and the plan. Out: a row for each layer; the set of those that hold.
//!
//! Pure, and it doubts everything: a layer that cannot be seen is not there.
//!
//! Source: see `seen.rs`.

use contract::layer::{Layer, Layers};
use contract::manifest::Device as Class;

use crate::devices::Number;
use crate::mountinfo::{Mount, mounts};
use crate::seen::{Moment, NAMESPACES, Open, Seen};
use crate::{Plan, Volume, host, limits};

/// Descriptors above the standard ones that the service gets: the one for readiness.
pub(crate) const OPEN_MAX: u32 = 3;
/// What a service finds in `/dev`, each a mount of its own.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// And what it may find there: the gateway's sockets for services, which read-only mounts bring in.
const SOCKETS: [&str; 2] = [contract::tenant::INSIDE, contract::local::INSIDE];

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The layer.
    pub layer: Layer,
    /// What was wanted.
    pub wanted: String,
    /// What was found; empty where nothing can be seen.
    pub found: String,
    /// Is it there?
    pub holds: bool,
}

/// Which layers that amounts to.
#[must_use]
pub fn layers(seen: &Seen, plan: &Plan) -> Layers {
    rows(seen, plan).into_iter().filter(|row| row.holds).fold(Layers::NONE, |set, row| set.with(row.layer))
}

/// Each layer, in the order of [`Layer::ALL`].
#[must_use]
pub fn rows(seen: &Seen, plan: &Plan) -> Vec<Row> {
    Layer::ALL.into_iter().map(|layer| row(layer, seen, plan)).collect()
}

fn row(layer: Layer, seen: &Seen, plan: &Plan) -> Row {
    let (wanted, found, holds) = match layer {
        Layer::UserNamespace => user_namespace(seen, plan),
        Layer::NetworkNamespace => {
            let (_, found, apart) = apart(layer, seen);
            (seen.network.clone(), found.clone(), apart && found == seen.network)
        }
        Layer::PidNamespace
        | Layer::MountNamespace
        | Layer::UtsNamespace
        | Layer::IpcNamespace
        | Layer::CgroupNamespace => apart(layer, seen),
        Layer::Cgroup => {
            // Hierarchy 0 is cgroup2; a kernel that has others lists them too.
            let found = seen.cgroup.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
            let wanted = crate::cgroup::life_of(&plan.cgroup);
            let is_there = found == wanted;
            (wanted, found.to_owned(), is_there)
        }
        Layer::MemoryMax | Layer::PidsMax | Layer::Cpu => files(layer, seen, plan),
        Layer::Disk => disk(seen, plan),
        Layer::ReadOnlyRoot => mounted(seen, "/", None, &["ro", "nosuid", "nodev"], &[]),
        Layer::PrivateProc => private_proc(seen, plan),
        Layer::MinimalDev => minimal_dev(seen, plan),
        Layer::Mounts => all_mounts(seen, plan),
        Layer::NoCapabilities => capabilities(seen),
        Layer::NoNewPrivileges => field(seen, "NoNewPrivs", "1"),
        Layer::Seccomp => field(seen, "Seccomp", "2"), // SECCOMP_MODE_FILTER
        Layer::Descriptors => descriptors(seen),
        Layer::ResourceLimits => resource_limits(seen, plan),
        Layer::Devices => devices(seen, plan),
        Layer::NoNesting | Layer::Landlock => {
            let holds = seen.told.has(layer);
            let found = if holds { "tried inside, before it began" } else { "" };
            ("tried inside, before it began".to_owned(), found.to_owned(), holds)
        }
    };
    Row { layer, wanted, found, holds }
}

/// Wanted, found, and whether that is enough.
type Judged = (String, String, bool);

/// Is its namespace another one than ours?
fn apart(layer: Layer, seen: &Seen) -> Judged {
    let place = NAMESPACES.iter().position(|(_, of)| *of == layer);
    let Some((its, ours)) = place.and_then(|place| seen.namespaces.get(place)) else {
        return (String::new(), String::new(), false);
    };
    let apart = !its.is_empty() && !ours.is_empty() && its != ours;
    (format!("not {ours}"), its.clone(), apart)
}

fn user_namespace(seen: &Seen, plan: &Plan) -> Judged {
    let (_, its, apart) = apart(Layer::UserNamespace, seen);
    let [inside, outside, count] = plan.id_map();
    let map = format!("{inside} {outside} {count}");
    let found = seen.maps.each_ref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let [uids, gids] = &found;
    let holds = apart && *uids == map && *gids == map;
    (format!("its own, uids and gids {map}"), format!("{its}, uids {uids}, gids {gids}"), holds)
}

fn files(layer: Layer, seen: &Seen, plan: &Plan) -> Judged {
    let of_layer = plan.cgroup_files.iter().enumerate().filter(|(_, setting)| setting.layer == Some(layer));
    let (mut wanted, mut found, mut holds) = (Vec::new(), Vec::new(), true);
    for (place, setting) in of_layer {
        let says = seen.cgroup_files.get(place).map(String::as_str).unwrap_or_default();
        holds &= setting.is_kept_by(says);
        wanted.push(format!("{} {}", setting.file, setting.value));
        found.push(format!("{} {says}", setting.file));
    }
    (wanted.join(", "), found.join(", "), holds && !wanted.is_empty())
}

/// Who is promised nothing of the disk, and forbidden nothing, needs nothing of the kernel there. A ceiling that this one cannot keep is said.
fn disk(seen: &Seen, plan: &Plan) -> Judged {
    const NOTHING: &str = "no floor, no ceiling";
    let (mut wanted, mut found, mut holds) = files(Layer::Disk, seen, plan);
    if wanted.is_empty() {
        (wanted, found, holds) = (NOTHING.to_owned(), NOTHING.to_owned(), true);
    }
    if plan.lacks_ceiling {
        found.push_str("; this kernel keeps no ceiling");
    }
    (wanted, found, holds)
}

/// The first mount at `place`, and no other there.
fn mounted(seen: &Seen, place: &str, kind: Option<&str>, options: &[&str], made_with: &[&str]) -> Judged {
    let mut there = mounts(&seen.mounts).filter(|mount| mount.place == place);
    let (first, second) = (there.next(), there.next());
    let of_kind = |mount: &Mount<'_>| kind.is_none_or(|kind| mount.kind == kind);
    let holds = second.is_none()
        && first.is_some_and(|mount| of_kind(&mount) && mount.has(options) && mount.is_made_with(made_with));
    let found = first.map(|mount| [mount.kind, mount.options, mount.made_with].join(" "));
    let wanted = [kind.unwrap_or_default(), &options.join(","), &made_with.join(",")].join(" ");
    (wanted.trim().to_owned(), found.unwrap_or_default(), holds)
}

fn private_proc(seen: &Seen, plan: &Plan) -> Judged {
    let made_with: &[&str] =
        if plan.full_proc { &["hidepid=invisible"] } else { &["hidepid=invisible", "subset=pid"] };
    let options = ["ro", "nosuid", "nodev", "noexec"];
    let (wanted, found, holds) = mounted(seen, "/proc", Some("proc"), &options, made_with);
    (wanted, found, holds && mounts(&seen.mounts).filter(|mount| mount.kind == "proc").count() == 1)
}

/// Its cgroup's program lets pass what it has, and that is of the classes that it was granted.
fn devices(seen: &Seen, plan: &Plan) -> Judged {
    let is_granted = |(name, number): &(String, Option<Number>)| {
        let of = |class: &Class| number.is_some_and(|(major, _)| host::is_of(*class, name.as_bytes(), major));
        plan.devices.iter().any(of)
    };
    let its = if plan.devices.is_empty() {
        seen.host.is_empty()
    } else {
        !seen.host.is_empty() && seen.host.iter().all(is_granted)
    };
    let classes: Vec<&str> = plan.devices.iter().map(|class| class.word()).collect();
    let names: Vec<&str> = seen.host.iter().map(|(name, _)| name.as_str()).collect();
    let words = |guarded, more: &[&str]| {
        let word = if guarded { "its program is attached" } else { "nothing" };
        [&[word], more].concat().join(", ")
    };
    (words(true, &classes), words(seen.guarded, &names), seen.guarded && its)
}

/// A read-only tmpfs at `/dev`, and in it the five harmless devices and nothing else but what is the gateway's: sockets, devices that were granted.
fn minimal_dev(seen: &Seen, plan: &Plan) -> Judged {
    let (wanted, found, holds) = mounted(seen, "/dev", Some("tmpfs"), &["ro", "nosuid", "noexec"], &[]);
    let below: Vec<_> =
        mounts(&seen.mounts).map(|mount| mount.place).filter(|place| place.starts_with("/dev/")).collect();
    let granted = |place: &str| place == host::INSIDE && !plan.devices.is_empty();
    let devices: Vec<_> = below.iter().filter(|place| !SOCKETS.contains(place) && !granted(place)).collect();
    let same = devices.len() == DEVICES.len() && DEVICES.iter().all(|device| below.contains(device));
    let names = |list: &[&str]| {
        list.iter().map(|name| name.trim_start_matches("/dev/")).collect::<Vec<_>>().join(" ")
    };
    (format!("{wanted}: {}", names(&DEVICES)), format!("{found}: {}", names(&below)), holds && same)
}

/// Nothing but what was planned, each as harmless as it can be.
fn all_mounts(seen: &Seen, plan: &Plan) -> Judged {
    let places = ["/", "/proc", "/dev"].into_iter().chain(plan.tmp_size.as_ref().map(|_| "/tmp"));
    let its = plan.volume.iter().filter_map(|volume| volume.at.to_str().ok());
    let host = (!plan.devices.is_empty()).then_some(host::INSIDE);
    let places: Vec<&str> = places.chain(its).chain(DEVICES).chain(SOCKETS).chain(host).collect();
    let harmless = |mount: &Mount<'_>| {
        let flags: &[&str] = match mount.place {
            place if DEVICES.contains(&place) => &["nosuid"],
            host::INSIDE => &["ro", "nosuid", "noexec"],
            place if SOCKETS.contains(&place) => &["ro", "nosuid", "nodev", "noexec"],
            _ => &["nosuid", "nodev"],
        };
        places.contains(&mount.place) && mount.has(flags)
    };
    let all: Vec<Mount<'_>> = mounts(&seen.mounts).collect();
    let bad: Vec<String> = all
        .iter()
        .filter(|mount| !harmless(mount))
        .map(|mount| format!("{} {}", mount.place, mount.options))
        .collect();
    let wanted = format!("at most {} mounts, nosuid, nodev but for devices", places.len());
    let found = if bad.is_empty() { format!("{} mounts, all harmless", all.len()) } else { bad.join("; ") };
    let holds = bad.is_empty() && !all.is_empty();
    let Some(planned) = &plan.volume else { return (wanted, found, holds) };
    let (its_wanted, its_found, its_holds) = volume(seen, planned);
    (format!("{wanted}; {its_wanted}"), format!("{found}; {its_found}"), holds && its_holds)
}

/// Its volume: harmless, and not larger than what is promised.
fn volume(seen: &Seen, volume: &Volume) -> Judged {
    let at = volume.at.to_str().unwrap_or_default();
    let (wanted, found, is_there) = mounted(seen, at, None, &["rw", "nosuid", "nodev", "noexec"], &[]);
    let words = |(bytes, inodes): (u64, u64)| format!("{bytes} bytes and {inodes} files");
    let holds = seen.volume.is_some_and(|room| room.0 <= volume.bytes && room.1 <= volume.inodes);
    let room = seen.volume.map(words).unwrap_or_default();
    let wanted = format!("{at} {wanted} of {}", words((volume.bytes, volume.inodes)));
    (wanted, format!("{at} {found} of {room}"), is_there && holds)
}

fn status<'s>(seen: &'s Seen, key: &str) -> &'s str {
    let line = seen.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.map(str::trim).unwrap_or_default()
}

fn field(seen: &Seen, key: &str, wanted: &str) -> Judged {
    let found = status(seen, key);
    (format!("{key} {wanted}"), format!("{key} {found}"), found == wanted)
}

fn capabilities(seen: &Seen) -> Judged {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let is_empty = |bits: &str| !bits.is_empty() && bits.bytes().all(|digit| digit == b'0');
    let full: Vec<String> = sets
        .into_iter()
        .filter(|set| !is_empty(status(seen, set)))
        .map(|set| format!("{set} {}", status(seen, set)))
        .collect();
    let found = if full.is_empty() { "every set empty".to_owned() } else { full.join(", ") };
    ("every set empty".to_owned(), found, full.is_empty())
}

fn descriptors(seen: &Seen) -> Judged {
    let ids: Vec<u32> = mounts(&seen.mounts).map(|mount| mount.id).collect();
    let of_kernel = |open: &Open| {
        ["pipe:", "socket:", "anon_inode:", "/memfd:"].iter().any(|kind| open.leads_to.starts_with(kind))
    };
    // What a running service opened by itself lies on its own mounts, or nowhere.
    let inside =
        |open: &Open| seen.moment == Moment::Running && (of_kernel(open) || ids.contains(&open.mount));
    let Some(all) = &seen.descriptors else { return ("0 to 3".to_owned(), String::new(), false) };
    let leaks: Vec<String> = all
        .iter()
        .filter(|open| open.number > OPEN_MAX && !open.closes && !inside(open))
        .map(|open| format!("{} {}", open.number, open.leads_to))
        .collect();
    let wanted = match seen.moment {
        Moment::Waiting => "0 to 3, all others closed by exec",
        Moment::Running => "0 to 3, and what it opened inside",
    };
    let found =
        if leaks.is_empty() { format!("{} open, none leads out", all.len()) } else { leaks.join("; ") };
    (wanted.to_owned(), found, leaks.is_empty())
}

fn resource_limits(seen: &Seen, plan: &Plan) -> Judged {
    let (mut wanted, mut found, mut holds) = (Vec::new(), Vec::new(), true);
    for (_, name, limit) in limits::all(plan) {
        let line = seen.limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let mut words = line.split_whitespace();
        let (soft, hard) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = |word: &str| word.parse::<u64>().ok();
        // A service may lower its own, and nobody can raise what is hard.
        holds &=
            number(hard).is_some_and(|hard| hard <= limit) && number(soft).is_some_and(|soft| soft <= limit);
        wanted.push(format!("{} {limit}", name.trim_start_matches("Max ")));
        found.push(hard.to_owned());
    }
    (wanted.join(", "), found.join(", "), holds)
}

#[cfg(test)]
mod tests;
