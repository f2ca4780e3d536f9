//! The wire between PID 1 and the supervisor: keep a descriptor, give it back, a corpse, alive, the end.
//!
//! In:  a `Keep`. Out: [`FRAME`] bytes, always as many. No serde, no allocation: PID 1 reads this.
//!
//! The wire is one `SOCK_SEQPACKET` pair that PID 1 makes for each life of the supervisor, which finds its end at descriptor
//! [`SUPERVISOR_FD`]. A new life begins with PID 1's [`Keep::Back`] for each slot (with its descriptor) and one [`Keep::Done`].
//! Frames of the life before have been read by then, so what was said before a death counts.
//!
//! Its arguments are `supervisor INIT_MS LIFE`: PID 1's first line in milliseconds after boot, and the number of this life from 1 on.

use crate::limit::LABEL_BYTES;

/// Bytes of a frame: verb, three of padding, pid, status, label.
pub const FRAME: usize = 12 + LABEL_BYTES;
/// Where the supervisor finds its end.
pub const SUPERVISOR_FD: i32 = 3;
/// The supervisor says [`Keep::Alive`] at least this often, in milliseconds.
pub const ALIVE_EVERY_MS: u64 = 2_000;
/// PID 1 takes the supervisor for hung after this long without a word, in milliseconds, and kills it.
pub const ALIVE_LIMIT_MS: u64 = 15_000;

/// A label: a prefix, a point and a name, such as `pid.hello`; at most [`LABEL_BYTES`] bytes, no NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label([u8; LABEL_BYTES]);

impl Label {
    /// `kind` and `name` with a point between them. `None` where they do not fit or hold a NUL.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Option<Self> {
        let mut label = [0; LABEL_BYTES];
        let text = kind.bytes().chain(*b".").chain(name.bytes());
        let length = kind.len() + 1 + name.len();
        if length > LABEL_BYTES || text.clone().any(|byte| byte == 0) {
            return None;
        }
        for (place, byte) in label.iter_mut().zip(text) {
            *place = byte;
        }
        Some(Self(label))
    }

    /// The text without its padding. Empty where it is not UTF-8, which no label made by [`Label::new`] is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The part before and the part after the first point.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.as_str().split_once('.').unwrap_or((self.as_str(), ""))
    }
}

/// What PID 1 and the supervisor say to each other. `*` marks a frame that carries one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// supervisor → init `*`: keep this under `label`; a slot of the same label is replaced. `pid` is 0, or that of the process
    /// whose descriptor this is: then PID 1 keeps its exit status in the slot too.
    Store {
        /// Where to keep it.
        label: Label,
        /// The process, or 0.
        pid: i32,
    },
    /// supervisor → init: forget this slot.
    Drop {
        /// Which.
        label: Label,
    },
    /// init → supervisor `*`: what was stored in a former life. `status` is −1 while `pid` lives, else its wait status.
    Back {
        /// Where it was kept.
        label: Label,
        /// The process, or 0.
        pid: i32,
        /// −1, or the wait status as wait(2) gives it.
        status: i32,
    },
    /// init → supervisor: all slots are given back.
    Done,
    /// init → supervisor: a process that was re-parented to PID 1 has ended, and a slot holds its pid.
    Corpse {
        /// The process.
        pid: i32,
        /// Its wait status.
        status: i32,
    },
    /// supervisor → init: I am well.
    Alive,
    /// init → supervisor: stop everything, in order; then say [`Keep::Stopped`].
    Stop,
    /// supervisor → init: everything has stopped and every disk is let go.
    Stopped,
    /// supervisor → init: end the machine: it answers with [`Keep::Stop`].
    Reboot,
    /// supervisor → init: as [`Keep::Reboot`], but the power goes off.
    PowerOff,
}

impl Keep {
    /// The frame.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME] {
        const NO_LABEL: Label = Label([0; LABEL_BYTES]);
        let (verb, pid, status, label) = match *self {
            Self::Store { label, pid } => (1, pid, 0, label),
            Self::Drop { label } => (2, 0, 0, label),
            Self::Back { label, pid, status } => (3, pid, status, label),
            Self::Done => (4, 0, 0, NO_LABEL),
            Self::Corpse { pid, status } => (5, pid, status, NO_LABEL),
            Self::Alive => (6, 0, 0, NO_LABEL),
            Self::Stop => (7, 0, 0, NO_LABEL),
            Self::Stopped => (8, 0, 0, NO_LABEL),
            Self::Reboot => (9, 0, 0, NO_LABEL),
            Self::PowerOff => (10, 0, 0, NO_LABEL),
        };
        let mut frame = [0; FRAME];
        let words =
            [u32::from_ne_bytes([verb, 0, 0, 0]).to_ne_bytes(), pid.to_ne_bytes(), status.to_ne_bytes()];
        let bytes = words.iter().flatten().chain(label.0.iter());
        for (place, byte) in frame.iter_mut().zip(bytes) {
            *place = *byte;
        }
        frame
    }

    /// What `frame` says. `None` where it says nothing that we know, or is not of [`FRAME`] bytes.
    #[must_use]
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let frame: &[u8; FRAME] = frame.try_into().ok()?;
        let (verb, rest) = frame.split_first_chunk::<4>()?;
        let (pid, rest) = rest.split_first_chunk::<4>()?;
        let (status, label) = rest.split_first_chunk::<4>()?;
        let (pid, status) = (i32::from_ne_bytes(*pid), i32::from_ne_bytes(*status));
        let label = Label(label.try_into().ok()?);
        Some(match verb {
            [1, 0, 0, 0] => Self::Store { label, pid },
            [2, 0, 0, 0] => Self::Drop { label },
            [3, 0, 0, 0] => Self::Back { label, pid, status },
            [4, 0, 0, 0] => Self::Done,
            [5, 0, 0, 0] => Self::Corpse { pid, status },
            [6, 0, 0, 0] => Self::Alive,
            [7, 0, 0, 0] => Self::Stop,
            [8, 0, 0, 0] => Self::Stopped,
            [9, 0, 0, 0] => Self::Reboot,
            [10, 0, 0, 0] => Self::PowerOff,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_it_was_said() {
        let label = Label::new("pid", "hello").unwrap();
        assert_eq!(label.parts(), ("pid", "hello"));
        let words = [
            Keep::Store { label, pid: 77 },
            Keep::Drop { label },
            Keep::Back { label, pid: 77, status: -1 },
            Keep::Done,
            Keep::Corpse { pid: 77, status: 256 },
            Keep::Alive,
            Keep::Stop,
            Keep::Stopped,
            Keep::Reboot,
            Keep::PowerOff,
        ];
        for word in words {
            assert_eq!(Keep::decode(&word.encode()), Some(word));
        }
        assert_eq!(Keep::decode(&[0; FRAME]), None);
        assert_eq!(Keep::decode(&[6; 3]), None);
    }

    #[test]
    fn a_label_fits_or_is_refused() {
        assert!(Label::new("record", "abcdefghijklmnopqrstuvwx").is_some());
        assert!(Label::new("seventeen-letters", "abcdefghijklmnopqrstuvwx").is_none());
        assert!(Label::new("a\0", "b").is_none());
    }
}
