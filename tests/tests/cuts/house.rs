//! A gateway and its stick: lives that end with a cut, and what each leaves.
//!
//! In:  an operator. Out: gateways that have what the last cut left; after each cut the stick as it may be then (`loss.rs`).
//!
//! Most lives do not boot: they go on from the state of one that was up and had no stick, and the stick is plugged in. The rest is as at a
//! boot: `storage` finds it and mounts it, which replays the journal, and `package` reads it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::guest::{Guest, Options, UP_LIMIT, WRITES};
use lab::house::Scratch;
use lab::operator::Operator;
use lab::root::Root;
use lab::{facts, stick, writes};
use tests::fuzz::Random;

use crate::after;
use crate::loss::Loss;

/// What a cut left.
#[derive(Debug)]
pub(crate) struct Left {
    /// Writes and flushes of this life, and blocks of them that are lost.
    pub(crate) writes: usize,
    pub(crate) flushes: usize,
    pub(crate) lost: usize,
}

pub(crate) struct House {
    options: Options,
    root: Root,
    state: PathBuf,
    /// As the last cut left it; a gateway gets a copy.
    stick: PathBuf,
}

impl House {
    /// One with a fresh stick, and its first gateway, which has it. `None`: it cannot run here; it was said.
    pub(crate) fn make(operator: &Operator, scratch: &Scratch) -> Option<(Self, Guest)> {
        let [state, stick] = ["state", "stick.img"].map(|name| scratch.file(name));
        stick::fresh(&stick).unwrap();
        let append = "usb-storage.delay_use=0".to_owned(); // a second of each life, for sticks that are slow
        let options = Options { append, ..after::options(operator) };
        let mut guest = Guest::boot(&Options { stick: false, records: false, ..options.clone() }).unwrap()?;
        let house = Self { root: options.root().unwrap(), options, state, stick };
        facts::wait_all_up(&mut guest).unwrap();
        after::wait_wan(&mut guest);
        guest.save(&house.state).unwrap();
        guest.freeze(false).unwrap();
        guest.plug_recorded(&house.stick).unwrap();
        after::wait_served(&mut guest);
        Some((house, guest))
    }

    /// A gateway that boots with the stick, or one that is up and gets it now: `package` has yet to read it.
    pub(crate) fn begin(&self, boots: bool) -> Guest {
        if boots {
            let options = Options { image: Some(self.stick.clone()), ..self.options.clone() };
            return Guest::boot(&options).unwrap().unwrap();
        }
        let state = Some(self.state.clone());
        let options = Options { stick: false, records: false, state, ..self.options.clone() };
        let mut guest = Guest::resume(&options, self.root.clone()).unwrap();
        guest.plug_recorded(&self.stick).unwrap();
        guest
    }

    /// As [`House::begin`], until `package` has read it: which version it says is installed (0 for none), and how long that took.
    pub(crate) fn serve(&self, boots: bool) -> (Guest, u64, Duration) {
        let mut guest = self.begin(boots);
        let begun = Instant::now();
        if boots {
            after::wait_wan(&mut guest);
        }
        let served = |guest: &mut Guest| {
            let answer = guest.ask("packages --json")?;
            Ok((answer.exit == 0).then_some(answer.text))
        };
        let said = guest.until("package serves", UP_LIMIT, served);
        let Ok(said) = said else { panic!("{said:?}: {:#?}", facts::log(&mut guest, "package")) };
        let lasted = begun.elapsed();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let version = said.as_array().unwrap().first().map_or(0, |row| row["version"].as_u64().unwrap());
        (guest, version, lasted)
    }

    /// The stick, now that `guest` was cut.
    pub(crate) fn take_stick(&self, guest: &Guest, loss: Loss, random: &mut Random) -> Left {
        let written = writes::read(&guest.file(WRITES)).unwrap();
        let (stays, lost) = loss.of(&written, random);
        writes::replay(&self.stick, &stays).unwrap();
        let flushes = written.iter().filter(|write| write.flushes).count();
        Left { writes: written.len() - flushes, flushes, lost }
    }

    /// A copy of the stick, for whoever changes it by looking.
    pub(crate) fn copy_of_stick(&self) -> PathBuf {
        let copy = self.stick.with_extension("copy");
        stick::copy(&self.stick, &copy).unwrap();
        copy
    }
}
