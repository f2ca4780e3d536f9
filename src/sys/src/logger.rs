//! The way out for `log`: a line on standard error, with the kernel's priority in front.
//!
//! The supervisor reads the other end into the process's ring; PID 1 and the supervisor point theirs at `/dev/kmsg`.
//!
//! Source: `<N>` as in syslog(2) and sd-daemon(3).

use std::io::Write;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The longest line, in bytes; `/dev/kmsg` takes about 900.
const LINE_BYTES: usize = 800;

struct Stderr {
    tag: &'static str,
}

static LOGGER: std::sync::OnceLock<Stderr> = std::sync::OnceLock::new();

/// Sends everything from `Info` up to standard error, each line tagged with the room's name. Only the first call counts.
pub fn to_stderr(tag: &'static str) {
    let logger = LOGGER.get_or_init(|| Stderr { tag });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let priority = match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            // A notice: the kernel's own news (6) can be kept off the console without ours.
            Level::Info => 5,
            Level::Debug | Level::Trace => 7,
        };
        // One write a line, from the stack: no allocation, so PID 1 may log after its heap is locked.
        let mut line = [0_u8; LINE_BYTES];
        let mut rest = line.as_mut_slice();
        // What does not fit is left off.
        let _ = write!(rest, "<{priority}>{}: {}", self.tag, record.args());
        let free = rest.len().max(1);
        let used = LINE_BYTES - free;
        if let Some(end) = line.get_mut(used) {
            *end = b'\n';
        }
        // Where nobody reads, nobody misses it.
        let _ = nix::unistd::write(std::io::stderr(), line.get(..=used).unwrap_or_default());
    }

    fn flush(&self) {}
}
