//! Neighbours without a sandbox: programs of the machine's own group, as somebody would start them on a host that nobody has divided.
//!
//! In:  how many, for how long, which antagonist (`src/services/chatter/src/antagonist.rs`). Out: they are started; one that the kernel ends is
//! started again until its time is over.
//!
//! They are of no service's user and have no right: the same program that a sandbox would hold, without the sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chatter::Antagonist;
use ctl::Error;
use ctl::command::Out;
use nix::mount::{MsFlags, mount, umount};

use crate::divide::ROOT;
use crate::live::usage;

/// Source: Debian's base-passwd, `nobody`.
const NOBODY: u32 = 65_534;
/// Where they write: memory, half of all, as everybody's folder for temporary files has it.
const FOLDER: &str = "/run/wild";
/// And what stays: the data disk, without a limit.
const VOLUME: &str = "/data/wild";
/// More would not be worse.
const COUNT_MAX: usize = 64;
const SECONDS_MAX: u64 = 120;
const USAGE: &str = "wild COUNT SECONDS ANTAGONIST";

/// Starts them, and does not wait for them.
pub(crate) fn start(count: &str, seconds: &str, antagonist: &[&str], out: Out<'_>) -> Result<(), Error> {
    let wrong = || usage(USAGE);
    let count = count.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)).ok_or_else(wrong)?;
    let for_s: u64 = seconds.parse().ok().filter(|seconds| *seconds <= SECONDS_MAX).ok_or_else(wrong)?;
    Antagonist::parse(&antagonist.join(" ")).ok_or_else(wrong)?;
    let until = Instant::now() + Duration::from_secs(for_s);
    // Those before them have left theirs, and the first have none before them.
    let _ = umount(FOLDER);
    fs::create_dir_all(FOLDER)?;
    let mounted = mount(Some("tmpfs"), FOLDER, Some("tmpfs"), MsFlags::empty(), Some("mode=1777"));
    mounted.map_err(|errno| Error::Refused(format!("{FOLDER}: {}", errno.desc())))?;
    // Whoever was killed left his files. Without a disk there is nothing to trouble.
    let _ = fs::remove_dir_all(VOLUME);
    if fs::create_dir(VOLUME).is_ok() {
        fs::set_permissions(VOLUME, fs::Permissions::from_mode(0o1777))?;
    }
    for _ in 0..count {
        let words: Vec<String> = antagonist.iter().map(|word| (*word).to_owned()).collect();
        thread::Builder::new().spawn(move || keep(until, &words))?;
    }
    Ok(writeln!(out, "wild: {count} of {}", antagonist.join(" "))?)
}

/// Keeps one going.
fn keep(until: Instant, words: &[String]) {
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| left.as_secs() > 0) {
        let Ok(program) = std::env::current_exe() else { return };
        let mut command = Command::new(program);
        command.env("TMPDIR", FOLDER).env("VOLUME", VOLUME);
        command.arg("rage").arg(left.as_secs().to_string()).args(words);
        // What it has started may outlive it for as long as that sleeps: a second.
        match command.process_group(0).spawn() {
            Ok(mut child) => drop(child.wait()),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// What this program does when it was started by [`keep`], or by such a one. Did it? Else it is the door.
pub(crate) fn other_work(words: &[String]) -> bool {
    match words {
        [rage, seconds, antagonist @ ..] if rage == "rage" => {
            // What it could not do is done by nobody; whoever started it starts it again.
            let _ = rage_on(seconds, antagonist);
            true
        }
        [_, amount] => {
            let work = chatter::other_work(words);
            work.into_iter().for_each(|work| work(amount.parse().unwrap_or_default()));
            work.is_some()
        }
        _ => false,
    }
}

fn rage_on(seconds: &str, antagonist: &[String]) -> Option<u64> {
    let until = Instant::now() + Duration::from_secs(seconds.parse().ok()?);
    let antagonist = Antagonist::parse(&antagonist.join(" "))?;
    // Out of the door's group, and no nearer to life than others; then the rights to do so go.
    fs::write(format!("{ROOT}/cgroup.procs"), "0").ok()?;
    fs::write("/proc/self/oom_score_adj", "0").ok()?;
    nix::unistd::setgroups(&[]).ok()?;
    nix::unistd::setgid(NOBODY.into()).ok()?;
    nix::unistd::setuid(NOBODY.into()).ok()?;
    Some(antagonist.rage(until))
}
