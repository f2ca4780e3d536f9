//! The data disk's life, told event by event: files stand for devices, a list of calls for the kernel's mounts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use contract::mount::DiskState;
use storage::block::Places;
use storage::disk::{Disk, Mounts, Space};
use storage::uevent::{Device, Event};
use storage::{Error, ext4};

const CLEAN: &[u8] = include_bytes!("data/clean.ext4");
const DAMAGED: &[u8] = include_bytes!("data/damaged.ext4");
const OTHER: &[u8] = include_bytes!("data/other-label.ext4");
const NO_JOURNAL: &[u8] = include_bytes!("data/no-journal.ext2");

/// What the kernel was told, and what it answers.
#[derive(Debug, Default)]
struct Kernel {
    calls: Vec<String>,
    mounted_before: Option<Device>,
    refuses: bool,
}

#[derive(Debug, Clone, Default)]
struct Told(Rc<RefCell<Kernel>>);

impl Told {
    fn note(&self, call: &str) {
        self.0.borrow_mut().calls.push(call.to_owned());
    }

    /// The calls since the last time.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }
}

impl Mounts for Told {
    fn mounted(&self) -> Option<Device> {
        self.0.borrow().mounted_before.clone()
    }
    fn mount(&self, device: &Device, read_only: bool) -> Result<(), Error> {
        self.note(&format!("mount {device}{}", if read_only { " ro" } else { "" }));
        match self.0.borrow().refuses {
            true => Err(Error::Full { image: "of the test".to_owned() }),
            false => Ok(()),
        }
    }
    fn settle(&self, read_only: bool) -> Result<(), Error> {
        self.note(if read_only { "settle ro" } else { "settle" });
        Ok(())
    }
    fn write_protect(&self) -> Result<(), Error> {
        self.note("protect");
        Ok(())
    }
    fn detach(&self) {
        self.note("detach");
    }
    fn finish(&self) -> Result<(), Error> {
        self.note("finish");
        Ok(())
    }
    fn space(&self) -> Option<Space> {
        Some(Space { size_bytes: 9, free_bytes: 4, read_only: false })
    }
}

/// A machine: a folder that stands for `/sys/class/block`, and one that stands for `/dev`.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("shg-storage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("sys")).unwrap();
        fs::create_dir_all(top.join("dev")).unwrap();
        Self(top)
    }

    fn plug(&self, device: &str, superblock: &[u8]) -> Event {
        let description = self.0.join("sys").join(device);
        fs::create_dir_all(&description).unwrap();
        fs::write(description.join("size"), "32768\n").unwrap();
        let zeroes = vec![0; usize::try_from(ext4::OFFSET).unwrap()];
        fs::write(self.0.join("dev").join(device), [&zeroes, superblock].concat()).unwrap();
        Event::Came(device.into())
    }

    fn pull(&self, device: &str) -> Event {
        fs::remove_dir_all(self.0.join("sys").join(device)).unwrap();
        fs::remove_file(self.0.join("dev").join(device)).unwrap();
        Event::Went(device.into())
    }

    fn disk(&self, told: &Told) -> Disk<Told> {
        let places = Places { descriptions: self.0.join("sys"), devices: self.0.join("dev") };
        Disk::new(places, told.clone())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_comes_and_goes_and_comes_back_under_another_name() {
    let (machine, told) = (Machine::new("comes"), Told::default());
    let mut disk = machine.disk(&told);
    disk.begin();
    assert_eq!((disk.state().state, told.calls().len()), (DiskState::Absent, 0));
    disk.hear(&machine.plug("sda", &[0; 1024]));
    disk.hear(&machine.plug("sda1", CLEAN));
    assert_eq!(told.calls(), ["mount sda1"]);
    assert_eq!((disk.state().state, disk.state().device.as_str()), (DiskState::Mounted, "sda1"));
    disk.hear(&Event::Came("sda1".into()));
    assert!(told.calls().is_empty(), "told twice");
    disk.hear(&machine.pull("sda1"));
    disk.hear(&machine.pull("sda"));
    assert_eq!(told.calls(), ["detach"]);
    assert_eq!(disk.state().state, DiskState::Absent);
    disk.hear(&machine.plug("sdb1", CLEAN));
    assert_eq!(told.calls(), ["mount sdb1"]);
}

#[test]
fn the_first_stays_and_the_second_steps_in() {
    let (machine, told) = (Machine::new("second"), Told::default());
    let (_, _) = (machine.plug("sdb", CLEAN), machine.plug("sda", CLEAN));
    let mut disk = machine.disk(&told);
    disk.begin();
    assert_eq!(told.calls(), ["mount sda"], "in order of name");
    disk.hear(&Event::Came("sdb".into()));
    disk.hear(&Event::Went("sdc".into()));
    assert!(told.calls().is_empty());
    disk.hear(&machine.pull("sda"));
    assert_eq!(told.calls(), ["detach", "mount sdb"]);
}

#[test]
fn strangers_are_left_alone() {
    let (machine, told) = (Machine::new("strangers"), Told::default());
    let mut disk = machine.disk(&told);
    // The file behind a loop device may be a service's.
    for (device, superblock) in [("loop0", CLEAN), ("sda", OTHER), ("sdb", &[7; 1024]), ("sdc", &[])] {
        machine.plug(device, superblock);
    }
    disk.begin();
    for device in ["sda", "sdb", "sdc", "sdx"] {
        disk.hear(&Event::Came(device.into()));
    }
    disk.hear(&Event::Lost);
    assert!(told.calls().is_empty());
    assert_eq!(disk.state().state, DiskState::Absent);
    machine.plug("sdd", CLEAN);
    disk.hear(&Event::Lost);
    assert_eq!(told.calls(), ["mount sdd"], "what was lost is made up for");
}

#[test]
fn what_is_broken_says_so_until_a_better_one_comes() {
    let (machine, told) = (Machine::new("broken"), Told::default());
    let mut disk = machine.disk(&told);
    disk.hear(&machine.plug("sda", NO_JOURNAL));
    assert_eq!(disk.state().state, DiskState::Broken);
    assert!(disk.state().reason.contains("no journal"), "{}", disk.state().reason);
    assert!(told.calls().is_empty());
    told.0.borrow_mut().refuses = true;
    disk.hear(&machine.plug("sdb", CLEAN));
    assert_eq!((disk.state().state, disk.state().device.as_str()), (DiskState::Broken, "sdb"));
    told.0.borrow_mut().refuses = false;
    disk.hear(&machine.plug("sdc", CLEAN));
    assert_eq!(told.calls(), ["mount sdb", "mount sdc"]);
    assert_eq!(disk.state().device.as_str(), "sdc");
}

#[test]
fn what_is_damaged_is_not_written_to() {
    let (machine, told) = (Machine::new("damaged"), Told::default());
    let mut disk = machine.disk(&told);
    disk.hear(&machine.plug("sda", DAMAGED));
    assert_eq!(told.calls(), ["mount sda ro"]);
    assert!(disk.state().reason.contains("e2fsck"), "{}", disk.state().reason);
}

#[test]
fn a_later_life_takes_over_what_an_earlier_one_mounted() {
    let (machine, told) = (Machine::new("later"), Told::default());
    machine.plug("sda1", CLEAN);
    told.0.borrow_mut().mounted_before = Some("sda1".into());
    let mut disk = machine.disk(&told);
    disk.begin();
    assert_eq!(told.calls(), ["settle"], "and nothing is mounted again");
    assert_eq!(disk.state().state, DiskState::Mounted);
    // And what went between two lives is noticed.
    machine.pull("sda1");
    let mut disk = machine.disk(&told);
    disk.begin();
    assert_eq!(told.calls(), ["detach"]);
    assert_eq!(disk.state().state, DiskState::Absent);
}

#[test]
fn after_the_end_nothing_is_mounted() {
    let (machine, told) = (Machine::new("end"), Told::default());
    let mut disk = machine.disk(&told);
    disk.hear(&machine.plug("sda", CLEAN));
    disk.finish().unwrap();
    disk.finish().unwrap();
    disk.hear(&machine.pull("sda"));
    disk.hear(&machine.plug("sda", CLEAN));
    disk.hear(&Event::Lost);
    assert_eq!(told.calls(), ["mount sda", "finish"]);
    assert!(disk.state().reason.contains("the machine ends"));
}
