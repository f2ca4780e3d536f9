//! The descriptor store: what must outlive a life of the supervisor.
//!
//! In:  descriptors under labels, pids of the dead. Out: the same, given back in the order in which they came.
//!
//! A fixed table: a slot more than there are is refused, and said so.

use std::os::fd::OwnedFd;

use contract::keep::Label;
use contract::limit::STORE_SLOTS;
use heapless::Vec;

/// Status of a process that lives.
const ALIVE: i32 = -1;

/// One descriptor that is kept.
#[derive(Debug)]
pub struct Slot {
    /// Under which label.
    pub label: Label,
    /// Whose process it is about, or 0.
    pub pid: i32,
    /// −1, or how that process ended (wait(2)).
    pub status: i32,
    /// The descriptor.
    pub descriptor: OwnedFd,
    /// The supervisor of now still has to be told of this death.
    untold: bool,
}

/// The table.
#[derive(Debug, Default)]
pub struct Store {
    slots: Vec<Slot, STORE_SLOTS>,
}

impl Store {
    /// Keeps `descriptor` under `label`, in place of what was there.
    ///
    /// # Errors
    /// The descriptor, where every slot is taken.
    pub fn put(&mut self, label: Label, pid: i32, descriptor: OwnedFd) -> Result<(), OwnedFd> {
        let slot = Slot { label, pid, status: ALIVE, descriptor, untold: false };
        match self.slots.iter_mut().find(|slot| slot.label == label) {
            Some(place) => *place = slot,
            None => return self.slots.push(slot).map_err(|slot| slot.descriptor),
        }
        Ok(())
    }

    /// Forgets what is under `label`.
    pub fn forget(&mut self, label: Label) {
        // The order stays: what was stored first is given back first.
        self.slots.retain(|slot| slot.label != label);
    }

    /// Notes that `pid` has ended with `status`. False: no slot is about it.
    pub fn bury(&mut self, pid: i32, status: i32) -> bool {
        let mut known = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.pid == pid && slot.status == ALIVE) {
            slot.status = status;
            slot.untold = true;
            known = true;
        }
        known
    }

    /// The first death that the supervisor was not told of: pid and status.
    #[must_use]
    pub fn untold(&self) -> Option<(i32, i32)> {
        self.slots.iter().find(|slot| slot.untold).map(|slot| (slot.pid, slot.status))
    }

    /// The supervisor knows of `pid`'s death.
    pub fn told(&mut self, pid: i32) {
        self.slots.iter_mut().filter(|slot| slot.pid == pid).for_each(|slot| slot.untold = false);
    }

    /// A new life begins: it learns of every death from what is given back.
    pub fn tell_anew(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.untold = false);
    }

    /// Slot number `place`, counted from 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Slot> {
        self.slots.get(place)
    }

    /// How many slots are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Is nothing kept?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{ALIVE, Store};
    use contract::keep::Label;
    use contract::limit::STORE_SLOTS;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    fn label(name: &str) -> Label {
        Label::new("pid", name).unwrap()
    }

    #[test]
    fn a_label_holds_one_descriptor() {
        let mut store = Store::default();
        store.put(label("a"), 7, descriptor()).unwrap();
        store.put(label("b"), 8, descriptor()).unwrap();
        assert!(store.bury(7, 256));
        store.put(label("a"), 9, descriptor()).unwrap();
        assert_eq!(store.len(), 2);
        assert_eq!(store.get(0).map(|slot| (slot.pid, slot.status)), Some((9, ALIVE)), "a new process lives");
        store.forget(label("a"));
        assert_eq!(store.get(0).map(|slot| slot.pid), Some(8));
        assert!(store.get(1).is_none());
    }

    #[test]
    fn a_death_is_told_once() {
        let mut store = Store::default();
        store.put(label("a"), 7, descriptor()).unwrap();
        store.put(label("b"), 8, descriptor()).unwrap();
        assert!(!store.bury(9, 0), "a stranger");
        assert!(store.bury(8, 9));
        assert!(!store.bury(8, 0), "its number came again, but the slot is about the first");
        assert_eq!(store.untold(), Some((8, 9)));
        store.told(8);
        assert_eq!(store.untold(), None);
        assert!(store.bury(7, 15));
        store.tell_anew();
        assert_eq!(store.untold(), None, "a new life reads it in what is given back");
        assert_eq!(store.get(0).map(|slot| slot.status), Some(15));
    }

    #[test]
    fn a_full_table_gives_the_descriptor_back() {
        let mut store = Store::default();
        for number in 0..STORE_SLOTS {
            store.put(label(&format!("n{number}")), 0, descriptor()).unwrap();
        }
        assert!(store.put(label("one-more"), 0, descriptor()).is_err());
        assert!(store.put(label("n0"), 0, descriptor()).is_ok(), "a label that is there is replaced");
    }
}
