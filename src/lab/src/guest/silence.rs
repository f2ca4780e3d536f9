//! What a guest does that no longer answers: said with the failure, for it cannot be asked later.
//!
//! In:  the emulator's monitor, the console. Out: text.
//!
//! A processor that stands at the same address with `HLT=1` twice waits for an interrupt that does not come; one at ever other addresses
//! with `HLT=0` has work or spins. Both look the same from outside.
//!
//! Source: QEMU's `info registers -a` (`target/i386/cpu-dump.c`) and `info pic` (`hw/intc/i8259.c`, `ioapic.c`).

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Guest;
use crate::error::Error;

/// Between two looks at the processors.
const BETWEEN: Duration = Duration::from_secs(1);
/// How often they are looked at.
const LOOKS: usize = 3;

impl Guest {
    /// The same error with what the guest was seen to do, if it says that the guest is late.
    pub(super) fn seen(&mut self, error: Error) -> Error {
        let Error::Late { .. } = error else { return error };
        let mut why = vec![self.last_lines()];
        for look in 0..LOOKS {
            if look > 0 {
                thread::sleep(BETWEEN);
            }
            why.push(self.processors());
        }
        why.push(self.monitor_says("info pic"));
        Error::Answer { who: error.to_string(), why: why.join("\n") }
    }

    /// Where the processors stand, in one line.
    pub fn processors(&mut self) -> String {
        let all = self.monitor_says("info registers -a");
        let of_interest = |line: &&str| line.starts_with("CPU#") || line.starts_with("EIP=");
        all.lines().filter(of_interest).collect::<Vec<_>>().join(" ")
    }

    fn monitor_says(&mut self, command: &str) -> String {
        let answer = self.monitor.execute("human-monitor-command", json!({ "command-line": command }));
        match answer {
            Ok(text) => text.as_str().unwrap_or_default().replace('\r', ""),
            Err(error) => error.to_string(),
        }
    }
}
