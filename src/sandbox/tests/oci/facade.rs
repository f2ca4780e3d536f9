//! A command line for containers in front of the sandbox, so that what was written for others' runtimes can be tried on it.
//!
//! In:  `create ID --bundle FOLDER`, `start`, `state`, `kill ID [SIGNAL]`, `delete [--force] ID`, `run ID --bundle FOLDER`; before the verb
//! `--root FOLDER`. Out: what the specification says of each; code 1 and one line where it is refused.
//!
//! The sandbox is no general runtime: it has all of its layers or none. A `config.json` that asks for less (rights, a writable root, other
//! mounts, hooks) is refused with the key; what it leaves open is as strict as for every service.
//!
//! A process stays beside each container, for a sandbox ends with whoever has its last word. Not in the firmware.
//!
//! Source: Open Container Initiative, runtime specification 1.0.2: runtime.md (operations, lifecycle), config.md, config-linux.md.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests; the stage panics, too")]

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use contract::layer::Layers;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, setsid};
use sandbox::{Report, cgroup};
use serde_json::{Value, json};

#[path = "config.rs"]
mod config;
#[path = "../stage/mod.rs"]
mod stage;

use config::{Container, called};
use stage::Stage;

/// Where containers are known if nobody says otherwise.
const ROOT: &str = "/run/shg-oci";
/// How long a step of a container may take.
const LIMIT: Duration = Duration::from_secs(30);
const STEP_MS: u16 = 5;
const STEP: Duration = Duration::from_millis(STEP_MS as u64);

type Told<T> = Result<T, String>;

/// One container's folder.
struct Known(PathBuf);

impl Known {
    fn put(&self, state: &Value) -> Told<()> {
        let new = self.0.join("state.new");
        fs::write(&new, state.to_string()).and_then(|()| fs::rename(new, self.0.join("state"))).map_err(words)
    }

    /// What is known; whose process has gone without a word is stopped, too.
    fn state(&self) -> Told<Value> {
        let text = fs::read_to_string(self.0.join("state")).map_err(|_| "no such container".to_owned())?;
        let mut state: Value = serde_json::from_str(&text).map_err(words)?;
        let gone = pid(&state).is_none_or(|pid| kill(pid, None).is_err());
        if state["status"] != "stopped" && gone {
            state["status"] = "stopped".into();
            state["pid"] = Value::Null;
        }
        Ok(state)
    }

    fn expect(&self, wanted: &[&str]) -> Told<Value> {
        let state = self.state()?;
        let status = state["status"].as_str().unwrap_or_default();
        if wanted.contains(&status) { Ok(state) } else { Err(format!("it is {status}")) }
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn pid(state: &Value) -> Option<Pid> {
    state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut root = ROOT;
    if let ["--root", folder, ..] = words[..] {
        root = folder;
        words.drain(..2);
    }
    match run(Path::new(root), &words) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("oci: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, words: &[&str]) -> Told<u8> {
    let known = |id: &str| Known(root.join(id));
    match *words {
        ["create", id, "--bundle", bundle] | ["create", "--bundle", bundle, id] => create(root, id, bundle),
        ["run", id, "--bundle", bundle] | ["run", "--bundle", bundle, id] => {
            create(root, id, bundle)?;
            start(&known(id))?;
            // Its process has gone a moment before its code is written down.
            let code = wait(|| known(id).state().ok()?["annotations"]["code"].as_str()?.parse().ok());
            let code = code.ok_or("it does not end")?;
            delete(&known(id), false)?;
            return Ok(code);
        }
        ["start", id] => start(&known(id)),
        ["state", id] => known(id).state().map(|state| println!("{state}")),
        ["kill", id] => signal(&known(id), "TERM"),
        ["kill", id, signal_name] => signal(&known(id), signal_name),
        ["delete", id] => delete(&known(id), false),
        ["delete", "--force", id] => delete(&known(id), true),
        ["beside", id, bundle] => beside(&known(id), id, Path::new(bundle)),
        _ => Err("create, start, state, kill, delete, run: ID, and --bundle FOLDER to create".to_owned()),
    }?;
    Ok(0)
}

/// Asks until there is an answer, or the time is over.
fn wait<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::park_timeout(STEP); // Nobody wakes it: a state is a file, and is asked for again.
    }
    None
}

fn create(root: &Path, id: &str, bundle: &str) -> Told<()> {
    let known = Known(root.join(id));
    fs::create_dir_all(root).map_err(words)?;
    fs::create_dir(&known.0).map_err(|_| format!("{id}: there is one, or it is no name"))?;
    let mut beside = Command::new(std::env::current_exe().map_err(words)?)
        .args(["--root", &root.display().to_string(), "beside", id, bundle])
        .stdin(Stdio::null())
        .spawn()
        .map_err(words)?;
    let made = wait(|| match beside.try_wait() {
        Ok(None) => known.state().ok().map(|_| true),
        Ok(Some(_)) | Err(_) => Some(false),
    });
    if made == Some(true) {
        return Ok(());
    }
    let _ = beside.kill();
    fs::remove_dir_all(&known.0).map_err(words)?;
    Err(format!("{id}: not created"))
}

/// What stays beside a container: makes it, waits for the word to start, and for its end.
fn beside(known: &Known, id: &str, bundle: &Path) -> Told<()> {
    setsid().map_err(words)?;
    let container = Container::read(id, bundle)?;
    let mut stage = Stage::new(&container.manifest).with_root(
        sys::mount::copy(&container.root).map_err(|errno| format!("root.path: {}", errno.desc()))?,
    );
    (stage.plan.arguments, stage.plan.environment) = (container.arguments, container.environment);
    let unseen = stage::unseen();
    let (entered, report) = stage.enter(Layers::NONE);
    let Report::Applied(_) = report else { return Err(format!("{report:?}")) };
    let seen = stage.seen(&entered, report);
    if let Some(layer) = Layers::all().iter().find(|layer| !seen.has(*layer) && !unseen.has(*layer)) {
        return Err(format!("the layer {} is not there", layer.word()));
    }
    let state = |status: &str, code: Option<u8>| {
        let mut state = json!({ "ociVersion": "1.0.2", "id": id, "status": status, "bundle": bundle });
        match code {
            None => state["pid"] = entered.pid.into(),
            // Annotations are words.
            Some(code) => state["annotations"] = json!({ "code": code.to_string() }),
        }
        state
    };
    let starts = UnixListener::bind(known.0.join("start")).map_err(words)?;
    known.put(&state("created", None))?;
    // Either it is started, or it was killed before.
    starts.set_nonblocking(true).map_err(words)?;
    let starter = loop {
        if let Ok((stream, _)) = starts.accept() {
            break Some(stream);
        }
        if sys::descriptor::wait_readable(entered.pidfd.as_fd(), STEP_MS) == Ok(true) {
            break None;
        }
    };
    if let Some(mut starter) = starter {
        entered.go().map_err(words)?;
        known.put(&state("running", None))?;
        starter.write_all(b"g").map_err(words)?;
    }
    let end = stage::last(&entered);
    let code = if let WaitStatus::Signaled(_, signal, _) = end {
        128 + u8::try_from(signal as i32).unwrap_or(0)
    } else if let WaitStatus::Exited(_, code) = end {
        u8::try_from(code).unwrap_or(u8::MAX)
    } else {
        return Err(format!("{end:?}"));
    };
    print!("{}", stage.written());
    std::io::stdout().flush().map_err(words)?;
    known.put(&state("stopped", Some(code)))
}

fn start(known: &Known) -> Told<()> {
    known.expect(&["created"])?;
    let mut stream = UnixStream::connect(known.0.join("start")).map_err(words)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(words)?;
    std::io::Read::read_exact(&mut stream, &mut [0]).map_err(|_| "it has ended before".to_owned())
}

fn signal(known: &Known, name: &str) -> Told<()> {
    let state = known.expect(&["created", "running"])?;
    let plain = name.trim_start_matches("SIG");
    let numbered = plain.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let signal =
        numbered.or_else(|| format!("SIG{plain}").parse().ok()).ok_or(format!("{name}: no signal"))?;
    kill(pid(&state).ok_or("no process")?, signal).map_err(words)
}

fn delete(known: &Known, force: bool) -> Told<()> {
    if force && known.expect(&["created", "running"]).is_ok() {
        signal(known, "KILL")?;
    }
    if force {
        wait(|| known.expect(&["stopped"]).ok());
    }
    known.expect(&["stopped"])?;
    let id = known.0.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Its processes are reaped a moment after its end; nobody else makes a group there.
    wait(|| cgroup::remove(&format!("/slices/oci/{}", called(id))).ok());
    fs::remove_dir_all(&known.0).map_err(words)
}
