//! The supervisor's lives: starts one, hears what it says, gives back what was kept, buries it.
//!
//! In:  frames of `contract::keep`, deaths. Out: a running supervisor and orders to end the machine.
//!
//! Everything is sent and received without waiting; what does not fit into the socket's queue goes when there is room.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use contract::keep::{FRAME, Keep, SUPERVISOR_FD};
use heapless::{Deque, String, Vec};
use log::{error, info, warn};
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use sys::{clone, descriptor, exec, seqpacket};

use crate::Limits;
use crate::power::Power;
use crate::store::Store;

/// Frames that are read in one turn, so that a chatterer cannot keep PID 1 from reaping.
const FRAMES_A_TURN: usize = 64;
/// Frames that a socket's queue can hold, and more (its buffer has room for some two hundred): what a life may have said last.
const FRAMES_OF_A_LIFE: usize = 4_096;
/// The third death within [`Limits::crowd_ms`] makes the next life wait.
const CROWD: usize = 3;

/// What the supervisor wants of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End the machine.
    End(Power),
    /// Everything has stopped.
    Stopped,
}

/// One life.
#[derive(Debug)]
struct Life {
    pid: i32,
    socket: OwnedFd,
    heard_ms: u64,
    /// How many slots were given back; `None` once all were, and it was told so.
    given: Option<usize>,
    /// It has said that it is well.
    answers: bool,
    /// It has to be told to stop everything.
    stop: bool,
}

/// What was heard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Order(Order),
    /// Something that is done with.
    Word,
    Nothing,
}

impl Life {
    fn new(pid: i32, socket: OwnedFd, now_ms: u64) -> Self {
        Self { pid, socket, heard_ms: now_ms, given: Some(0), answers: false, stop: false }
    }
}

/// The one who keeps it alive.
#[derive(Debug)]
pub struct Keeper {
    limits: Limits,
    began_ms: u64,
    /// What is kept for it.
    pub store: Store,
    life: Option<Life>,
    lives: u32,
    deaths_ms: Deque<u64, CROWD>,
    /// When the next life begins, while there is none.
    next_ms: u64,
}

impl Keeper {
    /// Nobody lives yet. `began_ms`: PID 1's first line.
    #[must_use]
    pub fn new(limits: Limits, began_ms: u64) -> Self {
        Self {
            limits,
            began_ms,
            store: Store::default(),
            life: None,
            lives: 0,
            deaths_ms: Deque::new(),
            next_ms: 0,
        }
    }

    /// Starts it where it does not live, kills it where it hangs. Returns when to come again, in milliseconds after boot.
    pub fn keep(&mut self, now_ms: u64) -> u64 {
        match &self.life {
            None if now_ms < self.next_ms => return self.next_ms,
            None => self.start(now_ms),
            Some(life) if now_ms.saturating_sub(life.heard_ms) > self.limits.alive_ms => {
                error!("the supervisor was silent for {} ms; killing it", self.limits.alive_ms);
                // Its corpse comes by SIGCHLD.
                let _ = kill(Pid::from_raw(life.pid), Signal::SIGKILL);
            }
            Some(_) => {}
        }
        match &self.life {
            Some(life) => life.heard_ms.saturating_add(self.limits.alive_ms).max(now_ms + 100),
            None => self.next_ms,
        }
    }

    fn start(&mut self, now_ms: u64) {
        self.lives += 1;
        self.store.tell_anew();
        match spawn(&self.limits, self.began_ms, self.lives) {
            Ok((pid, socket)) => {
                info!(
                    "supervisor: life {} is process {pid}, {} descriptors kept",
                    self.lives,
                    self.store.len()
                );
                self.life = Some(Life::new(pid, socket, now_ms));
                self.give_back();
            }
            Err(errno) => {
                error!("the supervisor does not start: {}", errno.desc());
                self.next_ms = now_ms + self.limits.pause_ms;
            }
        }
    }

    /// Does `pid` belong to it, and so end this life? What it said before counts.
    pub fn bury(&mut self, pid: i32, now_ms: u64) -> bool {
        if self.life.as_ref().is_none_or(|life| life.pid != pid) {
            return false;
        }
        // Its orders die with it; its descriptors are kept, all of them: it counted on that. More than a queue's does not come.
        for _ in 0..FRAMES_OF_A_LIFE {
            if self.hear_one(now_ms) == Heard::Nothing {
                break;
            }
        }
        self.life = None;
        if self.deaths_ms.is_full() {
            let _ = self.deaths_ms.pop_front();
        }
        let _ = self.deaths_ms.push_back(now_ms); // There is room now.
        let crowded = self.deaths_ms.is_full()
            && self
                .deaths_ms
                .front()
                .is_some_and(|first| now_ms.saturating_sub(*first) < self.limits.crowd_ms);
        self.next_ms = if crowded { now_ms + self.limits.pause_ms } else { now_ms };
        warn!("supervisor: life {} has ended", self.lives);
        true
    }

    /// Reads what it says until it is silent, or until it orders something.
    pub fn hear(&mut self, now_ms: u64) -> Option<Order> {
        for _ in 0..FRAMES_A_TURN {
            match self.hear_one(now_ms) {
                Heard::Order(order) => return Some(order),
                Heard::Word => {}
                Heard::Nothing => return None,
            }
        }
        None
    }

    fn hear_one(&mut self, now_ms: u64) -> Heard {
        let Some(life) = self.life.as_mut() else { return Heard::Nothing };
        let mut frame = [0; FRAME];
        let (length, [first, ..]) = match seqpacket::receive(life.socket.as_fd(), &mut frame) {
            Ok((0, _)) | Err(Errno::EAGAIN) => return Heard::Nothing, // Its corpse comes by SIGCHLD.
            Ok(received) => received,
            Err(errno) => {
                warn!("a frame of the supervisor is lost: {}", errno.desc());
                return Heard::Word;
            }
        };
        life.heard_ms = now_ms;
        match frame.get(..length).and_then(Keep::decode) {
            Some(Keep::Store { label, pid }) => match first.map(|first| self.store.put(label, pid, first)) {
                Some(Ok(())) => {}
                Some(Err(_)) => error!("the store is full; {} is not kept", label.as_str()),
                None => warn!("{} came without a descriptor", label.as_str()),
            },
            Some(Keep::Drop { label }) => self.store.forget(label),
            Some(Keep::Alive) => life.answers = true,
            Some(Keep::Stopped) => return Heard::Order(Order::Stopped),
            Some(Keep::Reboot) => return Heard::Order(Order::End(Power::Reboot)),
            Some(Keep::PowerOff) => return Heard::Order(Order::End(Power::Off)),
            Some(Keep::Back { .. } | Keep::Done | Keep::Corpse { .. } | Keep::Stop) | None => {
                warn!("the supervisor said something that only PID 1 says, or nothing");
            }
        }
        Heard::Word
    }

    /// Gives back what was kept and tells of deaths, as much as the socket takes. False: there is more; wait until it takes more.
    pub fn give_back(&mut self) -> bool {
        let Some(life) = &mut self.life else { return true };
        while let Some(place) = life.given {
            let (frame, descriptor) = match self.store.get(place) {
                Some(slot) => {
                    let frame = Keep::Back { label: slot.label, pid: slot.pid, status: slot.status };
                    (frame, Some(slot.descriptor.as_fd()))
                }
                None => (Keep::Done, None),
            };
            if seqpacket::send(life.socket.as_fd(), &frame.encode(), descriptor.as_slice()).is_err() {
                return false;
            }
            life.given = descriptor.is_some().then_some(place + 1);
        }
        while let Some((pid, status)) = self.store.untold() {
            if seqpacket::send(life.socket.as_fd(), &Keep::Corpse { pid, status }.encode(), &[]).is_err() {
                return false;
            }
            self.store.told(pid);
        }
        if life.stop {
            life.stop = seqpacket::send(life.socket.as_fd(), &Keep::Stop.encode(), &[]).is_err();
        }
        !life.stop
    }

    /// Tells it to stop everything, as soon as it has everything back and has room: until then it hears nothing else. False: it does
    /// not live.
    #[must_use]
    pub fn tell_to_stop(&mut self) -> bool {
        if let Some(life) = &mut self.life {
            life.stop = true;
            self.give_back();
        }
        self.life.is_some()
    }

    /// Has it answered in this life, and lately? Then the watchdog gets its food.
    #[must_use]
    pub fn is_well(&self, now_ms: u64) -> bool {
        let answers =
            |life: &Life| life.answers && now_ms.saturating_sub(life.heard_ms) <= self.limits.alive_ms;
        self.life.as_ref().is_some_and(answers)
    }

    /// What to poll, and whether for room to write, too.
    #[must_use]
    pub fn descriptor(&self) -> Option<(BorrowedFd<'_>, bool)> {
        let life = self.life.as_ref()?;
        Some((life.socket.as_fd(), life.given.is_some() || life.stop || self.store.untold().is_some()))
    }
}

/// A decimal number with a NUL behind it.
type Number = String<24>;

fn number(value: u64) -> Number {
    let mut text = Number::new();
    // Twenty digits and a NUL are less than the text has room for.
    let _ = core::fmt::write(&mut text, format_args!("{value}\0"));
    text
}

fn spawn(limits: &Limits, began_ms: u64, life: u32) -> Result<(i32, OwnedFd), Errno> {
    let (ours, theirs) = seqpacket::pair()?;
    let numbers = [number(began_ms), number(u64::from(life))];
    let mut arguments: Vec<&CStr, 3> = Vec::new();
    let words = numbers.iter().filter_map(|number| CStr::from_bytes_until_nul(number.as_bytes()).ok());
    for word in core::iter::once(limits.supervisor).chain(words) {
        let _ = arguments.push(word); // Three words for three places.
    }
    let child = clone::clone(CloneFlags::empty(), None, || {
        let _ = setsid();
        let _ = exec::clean_signals();
        if descriptor::place(theirs.as_fd(), SUPERVISOR_FD).is_ok() {
            let _ = exec::path(limits.supervisor, &arguments, &[]);
        }
        127 // As a shell says that there is no such program.
    })?;
    // Its number is enough: it is our child, so it cannot come to mean another process before we wait for it.
    drop(child.pidfd);
    Ok((child.pid, ours))
}

#[cfg(test)]
mod tests {
    use super::{FRAMES_A_TURN, Keeper, Life};
    use crate::LIMITS;
    use contract::keep::{FRAME, Keep, Label};
    use std::os::fd::{AsFd, OwnedFd};
    use sys::seqpacket;

    /// A keeper of a supervisor that is us.
    fn keeper() -> (Keeper, OwnedFd) {
        let (ours, theirs) = seqpacket::pair().unwrap();
        let mut keeper = Keeper::new(LIMITS, 0);
        keeper.life = Some(Life::new(77, ours, 0));
        (keeper, theirs)
    }

    fn store(theirs: &OwnedFd, number: usize) {
        let label = Label::new("pid", &number.to_string()).unwrap();
        seqpacket::send(theirs.as_fd(), &Keep::Store { label, pid: 0 }.encode(), &[theirs.as_fd()]).unwrap();
    }

    fn next(theirs: &OwnedFd) -> Option<Keep> {
        let mut frame = [0; FRAME];
        let (length, _) = seqpacket::receive(theirs.as_fd(), &mut frame).ok()?;
        Keep::decode(&frame[..length])
    }

    #[test]
    fn everything_that_was_said_before_a_death_is_kept() {
        let (mut keeper, theirs) = keeper();
        let many = 2 * FRAMES_A_TURN + 1;
        (0..many).for_each(|number| store(&theirs, number));
        assert!(keeper.bury(77, 0));
        assert_eq!(keeper.store.len(), many);
    }

    #[test]
    fn the_word_to_stop_comes_after_everything_was_given_back() {
        let (mut keeper, theirs) = keeper();
        (0..3).for_each(|number| store(&theirs, number));
        assert_eq!(keeper.hear(0), None);
        assert!(keeper.tell_to_stop());
        let heard: Vec<Keep> = std::iter::from_fn(|| next(&theirs)).collect();
        assert!(matches!(
            heard[..],
            [Keep::Back { .. }, Keep::Back { .. }, Keep::Back { .. }, Keep::Done, Keep::Stop]
        ));
        assert!(keeper.give_back() && next(&theirs).is_none(), "it is told once");
    }

    #[test]
    fn who_never_answered_is_not_well() {
        let (mut keeper, theirs) = keeper();
        store(&theirs, 1);
        assert_eq!((keeper.hear(0), keeper.is_well(0)), (None, false), "it lives, and does nothing yet");
        seqpacket::send(theirs.as_fd(), &Keep::Alive.encode(), &[]).unwrap();
        assert_eq!((keeper.hear(0), keeper.is_well(0)), (None, true));
        assert!(!keeper.is_well(LIMITS.alive_ms + 1), "it was well once");
    }
}
