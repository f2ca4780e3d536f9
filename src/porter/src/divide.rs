//! How the machine is divided between the gateway and its tenants: as the product does it, or worse, so that a test can show what the
//! product is good for.
//!
//! In:  `none | ceilings | floors`. Out: every cgroup as that says.
//!
//! * `floors`: what the supervisor wrote; the first call of any word remembers it.
//! * `ceilings`: the same services and their ceilings, as runtimes have them that know no floors and no slices: each slice and `/gateway` counts
//!   alike, nobody's memory is protected, nobody is nearer to the end than others, and what services of a slice may write together is not held.
//! * `none`: besides, everybody is in one group, the machine's own, as on a host that nobody has divided.
//!
//! What neighbours do there that have never heard of a sandbox is `wild.rs`.
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst; proc_pid_oom_score_adj(5).

use std::fs;
use std::path::Path;

use ctl::Error;
use ctl::command::Out;

use crate::live::usage;

/// The group of everybody.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";
/// Whose groups are looked at, with all below them.
const PARTS: [&str; 2] = ["gateway", "slices"];
/// Where it is remembered what was there: a file and what it said; a process by `cgroup.procs` of its group.
const KEPT: &str = "/run/divided";
/// Groups within groups: more than there are.
const DEPTH: usize = 8;

/// Writes a file of a group: `gateway/names/memory.max`.
pub(crate) fn write(file: &str, value: &str) -> Result<(), Error> {
    if file.split('/').any(|part| part == "..") {
        return Err(usage("cgroup FILE VALUE, below the root of all cgroups"));
    }
    fs::write(format!("{ROOT}/{file}"), value).map_err(|error| Error::Refused(format!("{file}: {error}")))
}

/// What a file that said `kept` says when nobody has floors.
fn levelled(path: &str, kept: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    match file {
        "cpu.weight" => Some("100".to_owned()),
        "io.weight" | "io.bfq.weight" => Some("default 100".to_owned()),
        "memory.min" | "oom_score_adj" => Some("0".to_owned()),
        "io.max" if is_of_slice(path) => {
            kept.split_once(' ').map(|(disk, _)| format!("{disk} rbps=max wbps=max riops=max wiops=max"))
        }
        _ => None,
    }
}

/// Is it a file of a whole slice's group?
fn is_of_slice(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .and_then(|path| path.strip_prefix("/slices/"))
        .is_some_and(|path| path.matches('/').count() == 1)
}

/// Every group below `folder`, and itself.
fn groups(folder: &Path, depth: usize, found: &mut Vec<String>) {
    found.push(folder.display().to_string());
    let below = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in below.filter(|entry| depth > 0 && entry.path().is_dir()) {
        groups(&entry.path(), depth - 1, found);
    }
}

/// What is to be remembered: lines `FILE\tVALUE`.
fn look() -> String {
    let mut all = Vec::new();
    PARTS.iter().for_each(|part| groups(&Path::new(ROOT).join(part), DEPTH, &mut all));
    let mut text = String::new();
    let mut keep = |file: String, value: &str| text.push_str(&format!("{file}\t{}\n", value.trim()));
    for group in &all {
        for file in ["cpu.weight", "memory.min", "io.weight", "io.bfq.weight", "io.max"] {
            if let Ok(value) = fs::read_to_string(format!("{group}/{file}")) {
                // What stands below the first line of a weight is of single disks, and nobody writes that; with ceilings there is one disk.
                keep(format!("{group}/{file}"), value.lines().next().unwrap_or_default());
            }
        }
        for pid in fs::read_to_string(format!("{group}/cgroup.procs")).unwrap_or_default().lines() {
            keep(format!("{group}/cgroup.procs"), pid);
            // Daemons stay as they are: what ends them ends the door, and there is nobody to ask.
            if group.contains("/slices/") {
                let file = format!("/proc/{pid}/oom_score_adj");
                keep(file.clone(), &fs::read_to_string(&file).unwrap_or_default());
            }
        }
    }
    text
}

/// Divides it, and says how many files were written. Whoever has ended meanwhile, with group and process, is passed over.
pub(crate) fn divide(how: &str, out: Out<'_>) -> Result<(), Error> {
    let (level, together) = match how {
        "floors" => (false, false),
        "ceilings" => (true, false),
        "none" => (true, true),
        _ => return Err(usage("divide none|ceilings|floors")),
    };
    if !Path::new(KEPT).exists() {
        fs::write(KEPT, look())?;
    }
    let mut written = 0;
    for line in fs::read_to_string(KEPT)?.lines() {
        let Some((path, kept)) = line.split_once('\t') else { continue };
        let file = path.rsplit('/').next().unwrap_or_default();
        let (path, value) = match file {
            "cgroup.procs" if together => (format!("{ROOT}/cgroup.procs"), kept.to_owned()),
            _ => (path.to_owned(), level.then(|| levelled(path, kept)).flatten().unwrap_or(kept.to_owned())),
        };
        written += usize::from(fs::write(path, value).is_ok());
    }
    if !level {
        fs::remove_file(KEPT)?;
    }
    Ok(writeln!(out, "divided {how}: {written}")?)
}
