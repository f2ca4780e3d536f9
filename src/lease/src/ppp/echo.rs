//! Is the peer still there: echo requests, and how long we wait for their replies.
//!
//! In:  time, replies. Out: when to ask, and that nobody answers.
//!
//! Pure. Source: RFC 1661 §5.8; the times are ours (the RFC leaves them open).

/// From one request to the next, in milliseconds.
const EVERY_MS: u64 = 10_000;
/// The same while there is doubt: after the cable came back, or a session was adopted.
const QUICK_MS: u64 = 1_000;
/// Requests in a row without a reply: then the peer is gone. So its end is seen within 40 to 50 s, in doubt within 4 s.
const UNANSWERED_MAX: u8 = 4;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Send a request with this identifier.
    Ask(u8),
    /// The peer is gone.
    Gone,
}

/// The state of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// When to ask next, in milliseconds after boot.
    pub due_ms: u64,
    id: u8,
    unanswered: u8,
    quick: bool,
}

impl Echo {
    /// The first request is sent after one period.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { due_ms: now_ms.saturating_add(EVERY_MS), id: 0, unanswered: 0, quick: false }
    }

    /// There is doubt: ask at once.
    pub fn doubt(&mut self, now_ms: u64) {
        (self.due_ms, self.unanswered, self.quick) = (now_ms, 0, true);
    }

    /// What is due now?
    pub fn time(&mut self, now_ms: u64) -> Due {
        if self.due_ms > now_ms {
            return Due::Nothing;
        }
        if self.unanswered >= UNANSWERED_MAX {
            return Due::Gone;
        }
        self.unanswered += 1;
        self.id = self.id.wrapping_add(1);
        self.due_ms = now_ms.saturating_add(if self.quick { QUICK_MS } else { EVERY_MS });
        Due::Ask(self.id)
    }

    /// The peer has answered. A late answer is one, too.
    pub fn heard(&mut self, now_ms: u64) {
        self.unanswered = 0;
        if std::mem::take(&mut self.quick) {
            self.due_ms = now_ms.saturating_add(EVERY_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Echo};

    #[test]
    fn a_silent_peer_is_gone_after_four() {
        let mut echo = Echo::new(0);
        let mut asked = 0;
        loop {
            let now_ms = echo.due_ms;
            match echo.time(now_ms) {
                Due::Ask(_) => asked += 1,
                Due::Gone => break assert_eq!((asked, now_ms), (4, 50_000)),
                Due::Nothing => panic!("it is due"),
            }
        }
    }

    #[test]
    fn doubt_is_settled_quickly() {
        let mut echo = Echo::new(0);
        assert_eq!(echo.time(5_000), Due::Nothing);
        echo.doubt(5_000);
        for second in 5..9 {
            assert!(matches!(echo.time(second * 1_000), Due::Ask(_)));
        }
        let mut answered = echo;
        assert_eq!(echo.time(9_000), Due::Gone);
        answered.heard(8_500);
        assert_eq!((answered.time(9_000), answered.due_ms), (Due::Nothing, 18_500));
    }
}
