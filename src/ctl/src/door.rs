//! The door: `ctl` at the second serial port, in roots that are made for tests. The shipped root has no such program.
//!
//! In:  one request a line: the words behind `ctl`. Out: what the command printed, each line that begins with `#` with another `#` in
//! front, and `#exit CODE`. `#ready` when the port is open. `rehearse LINE` is the door's own: it writes the line that the supervisor of
//! rehearsals reads (`src/supervisor/src/rehearsal.rs`).
//!
//! The other end is `src/lab/src/door.rs`, which specifies it.
//!
//! It has three words more than `ctl`: `burn THREADS SECONDS` keeps the processor busy on behalf of the gateway, `cgroup PATH` shows a file
//! below the root of all cgroups behind a line `at_ms`, the time since boot, `rights PID` what the kernel says of a process's user and rights.
//!
//! Source: termios(3), raw mode; proc_pid_status(5).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::Error;
use crate::command::Out;

/// The second serial port.
const PORT: &str = "/dev/ttyS1";
/// Where the supervisor of rehearsals looks.
const REHEARSAL: &str = "/run/rehearsal";
/// Lines of `/proc/PID/status`.
const RIGHTS: [&str; 10] =
    ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
/// The longest request, in bytes.
const REQUEST_BYTES: u64 = 1024;

/// Serves until the port is closed, which a serial port is not; `run` carries out a request ([`crate::command::run`], or what knows more).
///
/// # Errors
/// The port cannot be opened, or does not take what is written.
pub fn serve(run: impl Fn(&[String], Out<'_>) -> Result<(), Error>) -> io::Result<()> {
    // Not as our terminal: the kernel would write of quotas that are reached into what we say.
    let flags = OFlag::O_NOCTTY.bits();
    let port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(PORT)?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    let mut reader = BufReader::new(port.try_clone()?);
    let mut port: File = port;
    wire::notify_ready();
    port.write_all(b"#ready\n")?;
    loop {
        let mut request = Vec::new();
        if reader.by_ref().take(REQUEST_BYTES).read_until(b'\n', &mut request)? == 0 {
            return Ok(());
        }
        let request = String::from_utf8_lossy(&request);
        if !request.trim().is_empty() {
            port.write_all(&answer(&run, request.trim()))?;
        }
    }
}

/// The whole answer to one request.
fn answer(run: &impl Fn(&[String], Out<'_>) -> Result<(), Error>, request: &str) -> Vec<u8> {
    let words: Vec<String> = request.split_whitespace().map(str::to_owned).collect();
    let mut text = Vec::new();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["burn", threads, seconds] => burn(threads, seconds),
        ["cgroup", path] => cgroup(path, &mut text),
        ["rights", pid] => rights(pid, &mut text),
        ["rehearse", line @ ..] => std::fs::write(REHEARSAL, line.join(" ")).map_err(crate::Error::from),
        _ => run(&words, &mut text),
    };
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            text.extend(format!("ctl: {error}\n").bytes());
            error.code()
        }
    };
    let mut answer = Vec::with_capacity(text.len() + 16);
    for line in text.strip_suffix(b"\n").unwrap_or(&text).split(|byte| *byte == b'\n') {
        if line.first() == Some(&b'#') {
            answer.push(b'#');
        }
        answer.extend_from_slice(line);
        answer.push(b'\n');
    }
    if text.is_empty() {
        answer.clear();
    }
    answer.extend(format!("#exit {code}\n").bytes());
    answer
}

/// Keeps so many threads busy for so many seconds; returns at once.
fn burn(threads: &str, seconds: &str) -> Result<(), Error> {
    let number = |word: &str| word.parse::<u64>().ok().filter(|number| *number <= 120);
    let (Some(threads), Some(seconds)) = (number(threads), number(seconds)) else {
        return Err(Error::Usage("burn THREADS SECONDS, 120 at most".to_owned()));
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    for _ in 0..threads {
        thread::spawn(move || while Instant::now() < end {});
    }
    Ok(())
}

/// Shows a file below the root of all cgroups.
fn cgroup(path: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    if path.split('/').any(|part| part == "..") {
        return Err(Error::Usage("cgroup PATH, below the root of all cgroups".to_owned()));
    }
    let text = fs::read(format!("/sys/fs/cgroup/{path}"))?;
    writeln!(out, "at_ms {}", sys::clock::boot_ms())?;
    Ok(out.write_all(&text)?)
}

/// Shows who a process is and what it may do, as `/proc` has it.
fn rights(pid: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let pid: u32 = pid.parse().map_err(|_| Error::Usage("rights PID".to_owned()))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    for line in status.lines() {
        if line.split_once(':').is_some_and(|(key, _)| RIGHTS.contains(&key)) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::command::run;

    #[test]
    fn an_answer_ends_with_its_code() {
        let text = String::from_utf8(answer(&run, "frobnicate")).unwrap();
        assert!(text.starts_with("ctl: usage:") && text.ends_with("\n#exit 2\n"), "{text}");
        let text = String::from_utf8(answer(&run, "cgroup ../x")).unwrap();
        assert!(text.ends_with("\n#exit 2\n"), "{text}");
        let text = String::from_utf8(answer(&run, "rights self")).unwrap();
        assert!(text.ends_with("\n#exit 2\n"), "{text}");
        let text = String::from_utf8(answer(&run, "rights 1")).unwrap();
        assert!(text.contains("CapBnd:\t") && text.ends_with("\n#exit 0\n"), "{text}");
        assert!(answer(&run, "help").ends_with(b"\n#exit 0\n"));
    }
}
