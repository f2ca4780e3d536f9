//! What comes to PID 1 from outside: signals and the power button.
//!
//! In:  a signalfd and the event devices. Out: one `News` after the other.
//!
//! Source: signalfd(2); reboot(2) `RB_DISABLE_CAD`; linux/input.h, linux/input-event-codes.h.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use heapless::Vec;
use log::info;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::reboot::set_cad_enabled;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Event devices that are looked at: a power button, a sleep button, a keyboard and a spare.
pub const BUTTONS: usize = 4;

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A child ended: reap.
    Child,
    /// Somebody wants the machine to be started anew (SIGINT: Ctrl-Alt-Del; SIGTERM).
    Reboot,
    /// Somebody wants it to be switched off (the power button; SIGUSR2, the classic one for it).
    PowerOff,
}

/// Where it comes in.
#[derive(Debug)]
pub struct Inbox {
    signals: SignalFd,
    buttons: Vec<File, BUTTONS>,
}

impl Inbox {
    /// Opens it. From here on no signal is handled in any other way.
    ///
    /// # Errors
    /// `EMFILE`, `ENOMEM`.
    pub fn open() -> Result<Self, Errno> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR2] {
            set.add(signal);
        }
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // In a namespace of a test it may not be ours to ask.
        let _ = set_cad_enabled(false);
        Ok(Self { signals, buttons: find_buttons() })
    }

    /// The next thing, if there is one.
    pub fn take(&mut self) -> Option<News> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGCHLD)) => return Some(News::Child),
                Ok(Ok(Signal::SIGINT | Signal::SIGTERM)) => return Some(News::Reboot),
                Ok(Ok(Signal::SIGUSR2)) => return Some(News::PowerOff),
                Ok(_) | Err(_) => {}
            }
        }
        pressed(&mut self.buttons).then_some(News::PowerOff)
    }

    /// What to poll.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        core::iter::once(self.signals.as_fd()).chain(self.buttons.iter().map(AsFd::as_fd))
    }
}

fn find_buttons() -> Vec<File, BUTTONS> {
    let mut buttons = Vec::new();
    for number in 0..BUTTONS {
        let path = format!("/dev/input/event{number}");
        let open = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        if let Ok(button) = open {
            // As many as the table holds are looked for.
            let _ = buttons.push(button);
        }
    }
    info!("event devices: {}", buttons.len());
    buttons
}

/// Was the power button among what `buttons` have to say? One that is gone (a keyboard, pulled out) is forgotten: it would wake us for
/// ever.
fn pressed(buttons: &mut Vec<File, BUTTONS>) -> bool {
    let mut yes = false;
    buttons.retain_mut(|button| {
        let mut bytes = [0; EVENT_BYTES * 16];
        loop {
            match button.read(&mut bytes) {
                Ok(length @ 1..) => {
                    let mut events = bytes.get(..length).unwrap_or_default().chunks_exact(EVENT_BYTES);
                    yes |= events.any(is_power);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return false,
            }
        }
    });
    yes
}

/// `struct input_event`: a `timeval` of two words, type, code, value.
const EVENT_BYTES: usize = 2 * size_of::<usize>() + 8;

/// Is this event a press of the power button?
fn is_power(event: &[u8]) -> bool {
    const EV_KEY: [u8; 2] = 1_u16.to_ne_bytes();
    const KEY_POWER: [u8; 2] = 116_u16.to_ne_bytes();
    const PRESS: [u8; 4] = 1_i32.to_ne_bytes();
    let Some((_, [t0, t1, c0, c1, value @ ..])) = event.split_last_chunk::<8>() else { return false };
    [*t0, *t1] == EV_KEY && [*c0, *c1] == KEY_POWER && *value == PRESS
}

#[cfg(test)]
mod tests {
    use super::{BUTTONS, EVENT_BYTES, is_power, pressed};
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn a_button_that_is_gone_is_forgotten_after_its_last_word() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        sys::descriptor::set_nonblocking(reader.as_fd()).unwrap();
        let mut buttons = heapless::Vec::<File, BUTTONS>::new();
        buttons.push(reader.into()).unwrap();
        assert!(!pressed(&mut buttons) && buttons.len() == 1, "it is silent");
        let mut writer = File::from(writer);
        let words = [1_u16.to_ne_bytes(), 116_u16.to_ne_bytes(), [1, 0], [0, 0]].concat(); // Little end first.
        writer.write_all(&[vec![0; EVENT_BYTES - 8], words].concat()).unwrap();
        drop(writer);
        assert!(pressed(&mut buttons) && buttons.is_empty());
    }

    #[test]
    fn only_a_press_of_the_power_button_counts() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut bytes = vec![0; EVENT_BYTES - 8];
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(code.to_ne_bytes());
            bytes.extend(value.to_ne_bytes());
            bytes
        };
        assert!(is_power(&event(1, 116, 1)), "press");
        assert!(!is_power(&event(1, 116, 0)), "release");
        assert!(!is_power(&event(1, 30, 1)), "the letter a");
        assert!(!is_power(&event(0, 0, 0)), "SYN_REPORT");
        assert!(!is_power(&[1, 2, 3]), "too short");
    }
}
