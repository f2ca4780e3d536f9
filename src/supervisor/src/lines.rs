//! What the line carries for services, as `network` says: a client of its wire `show` that never waits.
//!
//! In:  rows of traffic. Out: the guaranteed rate of all services together, up and down; what each of them has sent and got.
//!
//! Not here: what is made of it (`slices.rs`).
//!
//! Source: docs/qos.md.

use std::os::fd::{AsFd, BorrowedFd};

use contract::show::{Answer, Ask, Traffic};
use contract::wires::SHOW;
use wire::Client;

/// Between two questions, in milliseconds.
const EVERY_MS: u64 = 10_000;
/// An answer that takes longer is not waited for, in milliseconds.
const PATIENCE_MS: u64 = 5_000;
/// The class of all services, and the link of what comes in.
const SERVICES: &str = "services";
const INWARD: &str = "ifb-wan";
/// What names of services' own links begin with.
const OWN_LINK: &str = "svc-";
/// A class that is promised nothing has this rate, in kbit/s: HTB knows no rate of nothing.
const NOTHING_KBIT_S: u32 = 8;

/// The client.
#[derive(Debug, Default)]
pub struct Lines {
    client: Option<Client>,
    asked_ms: Option<u64>,
    due_ms: u64,
    gathered: [u32; 2],
    /// Guaranteed to all services together, in kbit/s: up, down. `None`: `network` has not said yet.
    pub known: Option<[u32; 2]>,
}

impl Lines {
    /// Asks, where it is time to.
    pub fn ask(&mut self, now_ms: u64) {
        if self.asked_ms.is_some_and(|asked_ms| now_ms.saturating_sub(asked_ms) > PATIENCE_MS) {
            self.forget(now_ms);
        }
        if self.asked_ms.is_some() || now_ms < self.due_ms {
            return;
        }
        self.due_ms = now_ms + EVERY_MS;
        self.gathered = [0; 2];
        let client = self.client.take().map_or_else(|| Client::dial(SHOW), Ok);
        // Who is not there is asked again when it is time.
        self.client = client.ok().filter(|client| client.send(&Ask::Traffic, &[]).is_ok());
        self.asked_ms = self.client.is_some().then_some(now_ms);
    }

    /// Hears what has come; `each` is told of rows of the line: which way (0: up, 1: down), and the row. Has the line changed?
    pub fn hear(&mut self, now_ms: u64, mut each: impl FnMut(usize, &Traffic)) -> bool {
        loop {
            let Some(client) = &self.client else { return false };
            match client.receive::<Answer>() {
                Ok(None) => return false,
                Err(_) => {
                    self.forget(now_ms);
                    return false;
                }
                Ok(Some((Answer::Traffic(rows), _))) => {
                    for row in &rows {
                        self.gather(row);
                        // A service's own link has its name, too.
                        if !row.link.starts_with(OWN_LINK) {
                            each(usize::from(row.link.as_str() == INWARD), row);
                        }
                    }
                }
                Ok(Some((
                    Answer::Row { .. }
                    | Answer::Wan { .. }
                    | Answer::Wanted { .. }
                    | Answer::Link(_)
                    | Answer::Address(_)
                    | Answer::Route(_),
                    _,
                ))) => {}
                Ok(Some((Answer::Refused(_), _))) => self.asked_ms = None,
                Ok(Some((Answer::Done, _))) => {
                    self.asked_ms = None;
                    let changed = self.known != Some(self.gathered);
                    self.known = Some(self.gathered);
                    return changed;
                }
            }
        }
    }

    fn gather(&mut self, row: &Traffic) {
        let [up, down] = &mut self.gathered;
        if row.class.as_str() == SERVICES && row.rate_kbit_s > NOTHING_KBIT_S {
            let place = if row.link.as_str() == INWARD { down } else { up };
            *place = row.rate_kbit_s;
        }
    }

    fn forget(&mut self, now_ms: u64) {
        self.client = None;
        self.asked_ms = None;
        self.due_ms = now_ms + 1_000; // It is away: it will be back soon.
    }

    /// What to poll.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use contract::Text;
    use contract::show::Traffic;

    #[test]
    fn the_class_of_all_services_is_the_lines_capacity() {
        let row = |link: &str, class: &str, rate_kbit_s| Traffic {
            link: Text::from(link),
            class: Text::from(class),
            rate_kbit_s,
            ceil_kbit_s: 0,
            bytes: 0,
            packets: 0,
            drops: 0,
            backlog_bytes: 0,
        };
        let mut lines = Lines::default();
        for row in [
            row("eth0", "services", 5_000),
            row("ifb-wan", "services", 8),
            row("eth0", "hello", 77),
            row("ifb-wan", "line", 9_000),
        ] {
            lines.gather(&row);
        }
        assert_eq!(lines.gathered, [5_000, 0], "8 kbit/s are no promise");
    }
}
