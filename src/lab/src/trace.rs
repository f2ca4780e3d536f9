//! `lab trace`: writes a policy from what a program does, for who makes a service.
//!
//! In:  a program of this machine's ABI or of i386, and its words. Out: its calls as a policy, on standard output; what the profile
//! *strict* refuses is told apart, by name or by argument. The program runs as whoever calls, outside of any sandbox.
//!
//! What a run did not do is not in it: run the service's tests, not only its start.
//!
//! Not here: what a policy means (docs/policies.md), and enforcing one.
//!
//! Source: ptrace(2); syscall(2) for the registers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command::Words;
use crate::error::Error;
use crate::{house, wait};

/// Calls whose arguments policies look at, and which argument.
const ARGUMENTS: [(&str, usize); 6] =
    [("socket", 0), ("socketpair", 0), ("socketcall", 0), ("ioctl", 1), ("prctl", 0), ("personality", 0)];
/// It stops until it is traced, and becomes the program.
const STOPPED: &str = "kill -STOP $$ && exec \"$@\"";
/// Values of one argument that are written; more than that are no list.
const VALUES_MAX: usize = 64;

/// An ABI, by its column in the table of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Abi {
    I386,
    X86_64,
}

/// Calls that were made: ABI and number, and the values of the argument that matters.
type Calls = BTreeMap<(Abi, u64), BTreeSet<u32>>;

/// Traces a program.
///
/// # Errors
/// [`Error::Usage`]: no program. [`Error::Tool`]: it cannot be started or traced. [`Error::Io`]: the table of calls, the output.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    if words.rest.is_empty() {
        return Err(Error::Usage("lab trace PROGRAM [WORD]…".to_owned()));
    }
    let folder = house::top().join("src/sandbox/policy");
    let read = |file: &str| fs::read_to_string(folder.join(file)).map_err(Error::path(&folder.join(file)));
    let names = names(&read("calls.tbl")?);
    let calls = follow(&words.rest, &names)?;
    let strict = read("all.policy")? + &read("strict.policy")?;
    write!(out, "{}", policy(&calls, &names, &strict)).map_err(Error::io("output"))
}

type Names = BTreeMap<(Abi, u64), String>;

fn names(table: &str) -> Names {
    let mut names = BTreeMap::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, i386, x86_64] = words.as_slice() {
            for (abi, number) in [(Abi::I386, i386), (Abi::X86_64, x86_64)] {
                if let Ok(number) = number.parse() {
                    names.insert((abi, number), (*name).to_owned());
                }
            }
        }
    }
    names
}

fn follow(words: &[String], names: &Names) -> Result<Calls, Error> {
    let program = words.first().cloned().unwrap_or_default();
    let failed = |why: &dyn std::fmt::Display| Error::Tool { program: program.clone(), why: why.to_string() };
    let mut shell = Command::new("sh");
    shell.args(["-c", STOPPED, "sh"]).args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let child = shell.spawn().map_err(|error| failed(&error))?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|error| failed(&error))?);
    let stopped = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        Ok(stat.contains(") T ").then_some(()))
    };
    wait::until("a program to be traced", Duration::from_secs(10), stopped)?;
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE;
    ptrace::seize(pid, options).map_err(|errno| failed(&errno))?;
    kill(pid, Signal::SIGCONT).map_err(|errno| failed(&errno))?;
    let mut calls = Calls::new();
    let mut begun = false;
    loop {
        // Whoever this thread has made or traces: other threads wait for their own children.
        let stop = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            Err(Errno::ECHILD) => return Ok(calls), // Everybody has ended.
            Err(Errno::EINTR) => continue,
            stop => stop.map_err(|errno| failed(&errno))?,
        };
        let (pid, signal) = match stop {
            WaitStatus::PtraceSyscall(pid) => {
                if begun {
                    note(pid, names, &mut calls);
                }
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                begun |= event == nix::libc::PTRACE_EVENT_EXEC; // The shell's own calls before are not the program's.
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => {
                let group = matches!(signal, Signal::SIGTRAP | Signal::SIGSTOP | Signal::SIGCONT);
                (pid, (!group).then_some(signal))
            }
            WaitStatus::Exited(..)
            | WaitStatus::Signaled(..)
            | WaitStatus::Continued(..)
            | WaitStatus::StillAlive => continue,
        };
        let _ = ptrace::syscall(pid, signal); // It may have been killed meanwhile.
    }
}

/// Notes the call that `pid` is about to make.
#[cfg(target_arch = "x86_64")]
fn note(pid: Pid, names: &Names, calls: &mut Calls) {
    const CODE_OF_I386: u64 = 0x23; // __USER32_CS
    const BEFORE: u64 = (-38_i64).cast_unsigned(); // ENOSYS: what the answer is until there is one
    let Ok(registers) = ptrace::getregs(pid) else { return };
    if registers.rax != BEFORE {
        return;
    }
    let (abi, arguments) = if registers.cs == CODE_OF_I386 {
        (Abi::I386, [registers.rbx, registers.rcx])
    } else {
        (Abi::X86_64, [registers.rdi, registers.rsi])
    };
    let call = (abi, registers.orig_rax);
    let values = calls.entry(call).or_default();
    let which = names.get(&call).and_then(|name| ARGUMENTS.iter().find(|(known, _)| known == name));
    if let Some(value) = which.and_then(|(_, argument)| arguments.get(*argument)) {
        values.insert(u32::try_from(value & 0xffff_ffff).unwrap_or(0));
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn note(_: Pid, _: &Names, _: &mut Calls) {}

/// The calls as a policy, those first that *strict* has not.
fn policy(calls: &Calls, names: &Names, strict: &str) -> String {
    let lines = || strict.lines().map(|line| line.split('#').next().unwrap_or_default());
    let named = |verb: &str| -> BTreeSet<&str> {
        let lines = lines().filter(|line| line.split_whitespace().any(|word| word == verb));
        lines.flat_map(str::split_whitespace).collect()
    };
    // What is refused on purpose has another way, which libraries take.
    let (known, closed) = (named("allow"), named("refuse"));
    let (mut plain, mut special, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
    for ((abi, number), values) in calls {
        let on = if *abi == Abi::I386 { "on i386 " } else { "on x86_64 " };
        let Some(name) = names.get(&(*abi, *number)) else {
            beyond.push(format!("# {on}call {number}, which has no name here"));
            continue;
        };
        if closed.contains(name.as_str()) {
            continue;
        }
        if !known.contains(name.as_str()) {
            beyond.push(format!("{on}allow {name}"));
        } else if values.is_empty() || values.len() > VALUES_MAX {
            plain.push((on, name.as_str()));
        } else {
            let argument =
                ARGUMENTS.iter().find(|(call, _)| call == name).map_or(0, |(_, argument)| *argument);
            let values: Vec<String> = values.iter().map(|value| format!("{value:#x}")).collect();
            special.push(format!("{on}allow {name} when {argument} in {}", values.join(" ")));
        }
    }
    let mut text =
        String::from("# What a run did, as a policy (docs/policies.md). What it did not do is not here.\n");
    if !beyond.is_empty() {
        text += &format!("\n# Refused by the profile strict:\n{}\n", beyond.join("\n"));
    }
    for on in ["on i386 ", "on x86_64 "] {
        let names: Vec<&str> = plain.iter().filter(|(abi, _)| *abi == on).map(|(_, name)| *name).collect();
        for row in names.chunks(10) {
            text += &format!("{on}allow {}\n", row.join(" "));
        }
    }
    for line in special {
        text += &format!("{line}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Abi, Calls, names, policy};
    use crate::command::Words;
    use crate::kernel::Kernel;

    #[test]
    fn what_strict_refuses_is_told_apart() {
        let names = names("# x\nread 3 0\nmount 21 165\nsocket 359 41\n");
        let mut calls = Calls::new();
        calls.entry((Abi::X86_64, 0)).or_default();
        calls.entry((Abi::X86_64, 165)).or_default();
        calls.entry((Abi::I386, 359)).or_default().extend([1, 16]);
        let text = policy(&calls, &names, "allow read # mount\nallow socket when 0 in 1\n");
        for line in [
            "strict:\non x86_64 allow mount\n",
            "\non x86_64 allow read\n",
            "on i386 allow socket when 0 in 0x1 0x10",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_program_is_followed_through_its_children() {
        let words =
            ["sh", "-c", "read line </proc/self/status; cat /dev/null; true | cat"].map(str::to_owned);
        let words = Words {
            kernel: Kernel::Board,
            test_root: false,
            keys: None,
            rest: words.to_vec(),
            all: Vec::new(),
        };
        let mut out = Vec::new();
        super::run(&words, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for call in [" execve", " read", " close", " exit_group"] {
            assert!(text.contains(call), "{call} is not in:\n{text}");
        }
        assert!(!text.contains("Refused by"), "{text}");
    }
}
