//! What a service's isolation is: everything that entering and reading back need, computed once from the manifest.
//!
//! In:  a manifest and a slot. Out: a `Plan`. Pure.
//!
//! A restart uses the same plan, so it parses and assembles nothing.

use std::ffi::CString;

use contract::Name;
use contract::limit::{DEVICE_CLASSES, SERVICES};
use contract::manifest::{self, Device, Health, Limits, Manifest, Probe, Proc};
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use heapless::Vec as Bounded;
use sys::privilege::Instruction;

use crate::{Error, calls, cgroup};

/// A word of an argument list or an environment, with its NUL.
pub type Word = CString;

/// Where the service finds the descriptor on which it says that it is ready.
pub(crate) const NOTIFY_FD: i32 = 3;

/// A service's isolation.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The service; its host name, too.
    pub name: Name,
    /// The first uid and gid of its range outside; inside it is 0.
    pub uid_base: u32,
    /// How many there are.
    pub uid_count: u32,
    /// Its cgroup, below the root of all cgroups: `/slices/<provider>/<service>`. Its processes are in one below it ([`cgroup::life_of`]).
    pub cgroup: String,
    /// Files of its cgroup and what they say, as the kernel gives it back.
    pub cgroup_files: Bounded<cgroup::Setting, { cgroup::SETTINGS }>,
    /// It asks for a ceiling of the data disk that this kernel cannot keep: it runs without.
    pub lacks_ceiling: bool,
    /// Ceilings of what is counted.
    pub limits: Limits,
    /// It is PID 1 itself.
    pub reaps: bool,
    /// Its command.
    pub arguments: Vec<Word>,
    /// Its environment.
    pub environment: Vec<Word>,
    /// The size of its `/tmp`, where it has one.
    pub(crate) tmp_size: Option<Word>,
    /// Its volume, where it has one.
    pub volume: Option<Volume>,
    /// Classes of the gateway's devices that it uses.
    pub devices: Bounded<Device, DEVICE_CLASSES>,
    /// It sees the machine's numbers in `/proc`.
    pub(crate) full_proc: bool,
    /// Its system call filter.
    pub filter: &'static [Instruction],
}

/// What a service keeps on the data disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is inside, from `/` on.
    pub(crate) at: Word,
    /// What may be in it, in bytes.
    pub bytes: u64,
    /// Files, folders and links that may be in it.
    pub inodes: u64,
}

impl Volume {
    fn new(volume: &manifest::Volume) -> Result<Self, Error> {
        Ok(Self { at: word(&volume.at)?, bytes: volume.bytes(), inodes: volume.inodes.into() })
    }
}

impl Plan {
    /// Plans the isolation of `manifest`'s service in `slot` (0 to [`SERVICES`] − 1).
    ///
    /// # Errors
    /// [`Error::Manifest`]: the slot does not exist, or a word holds a NUL.
    pub fn new(manifest: &Manifest, slot: u8) -> Result<Self, Error> {
        if usize::from(slot) >= SERVICES {
            return Err(Error::Manifest("no such slot"));
        }
        let mut arguments = Vec::with_capacity(manifest.command.len() + 1);
        if !manifest.reaps {
            arguments.push(word("reaper")?);
            for argument in manifest.health.iter().flat_map(probe_words) {
                arguments.push(word(&argument)?);
            }
        }
        for argument in &manifest.command {
            arguments.push(word(argument)?);
        }
        let mut environment = vec![word("PATH=/bin:/usr/bin")?, word(&format!("NOTIFY_FD={NOTIFY_FD}"))?];
        for variable in &manifest.environment {
            environment.push(word(variable)?);
        }
        Ok(Self {
            name: manifest.name.clone(),
            uid_base: TENANT_UID_BASE + u32::from(slot) * TENANT_UID_COUNT,
            uid_count: TENANT_UID_COUNT,
            cgroup: format!("/slices/{}/{}", manifest.provider, manifest.name),
            cgroup_files: cgroup::settings(manifest),
            lacks_ceiling: false,
            limits: manifest.limits,
            reaps: manifest.reaps,
            arguments,
            environment,
            tmp_size: tmp_size(manifest.limits.tmp_kib)?,
            volume: manifest.volume.as_ref().map(Volume::new).transpose()?,
            devices: manifest.devices.clone(),
            full_proc: manifest.proc == Proc::Full,
            filter: calls::program(manifest.profile, manifest.reaches.routes),
        })
    }

    /// Gives it a weight among its siblings: its floor of processor time, or of the disk, is what comes of it when all of them want it. Or a
    /// ceiling of the disk that is there now.
    pub fn weigh(&mut self, setting: cgroup::Setting) {
        match self.cgroup_files.iter_mut().find(|has| has.file == setting.file) {
            Some(has) => *has = setting,
            // There is room: `settings` leaves some.
            None => drop(self.cgroup_files.push(setting)),
        }
    }

    /// What the kernel must say in `uid_map` and `gid_map`: inside, outside, how many.
    #[must_use]
    pub fn id_map(&self) -> [u32; 3] {
        [0, self.uid_base, self.uid_count]
    }
}

/// What its reaper is told of the program that tries whether it is well.
fn probe_words(health: &Health) -> Vec<String> {
    if health.probe != Probe::Exec {
        return Vec::new();
    }
    let head = ["--probe".to_owned(), health.timeout_ms.to_string(), health.command.len().to_string()];
    head.into_iter().chain(health.command.iter().map(ToString::to_string)).collect()
}

fn word(text: &str) -> Result<Word, Error> {
    CString::new(text).map_err(|_| Error::Manifest("a word of the command holds a NUL"))
}

fn tmp_size(kib: u32) -> Result<Option<Word>, Error> {
    (kib > 0).then(|| word(&format!("{kib}k"))).transpose()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Plan;
    use crate::cgroup;
    use contract::manifest::{Cpu, Limits, Manifest, Memory, Proc, Profile, Rate, Ready, Restart, VERSION};
    use contract::{Name, Text};
    use heapless::Vec;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            version: VERSION,
            name: Name::new("hello").unwrap(),
            provider: Name::new("demo").unwrap(),
            summary: "".into(),
            image: "hello.erofs".into(),
            command: [Text::from("/hello"), Text::from("--verbose")].into_iter().collect(),
            environment: Vec::new(),
            profile: Profile::Strict,
            proc: Proc::Own,
            reaps: false,
            autostart: true,
            restart: Restart::Always,
            ready: Ready::Notify,
            start_deadline_ms: 1,
            stop_grace_ms: 1,
            after: Default::default(),
            devices: Default::default(),
            again_s: 0,
            start_at: Default::default(),
            update: contract::manifest::Update::Replace,
            health: None,
            cpu: Cpu { floor_permille: 50, ceiling_permille: 500 },
            memory: Memory { floor_mib: 8, high_mib: 0, ceiling_mib: 16 },
            disk: Default::default(),
            uplink: Rate::default(),
            downlink: Rate::default(),
            limits: Limits { pids: 9, descriptors: 64, tmp_kib: 64 },
            volume: None,
            serves: Vec::new(),
            reaches: Default::default(),
        }
    }

    #[test]
    fn a_plan_follows_from_manifest_and_slot() {
        let plan = Plan::new(&manifest(), 3).unwrap();
        assert_eq!(plan.cgroup, "/slices/demo/hello");
        assert_eq!(plan.id_map(), [0, 0x0013_0000, 0x0001_0000]);
        let words: std::vec::Vec<_> = plan.arguments.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words, ["reaper", "/hello", "--verbose"]);
        assert!(Plan::new(&manifest(), 32).is_err(), "there are 32 slots, from 0 on");
    }

    #[test]
    fn the_reaper_is_told_of_a_probe_that_it_runs() {
        let mut manifest = manifest();
        let health = |probe, command: &[&str]| contract::manifest::Health {
            probe,
            port: 0,
            path: Text::default(),
            command: command.iter().copied().map(Text::from).collect(),
            every_ms: 1_000,
            timeout_ms: 500,
            fails: 1,
        };
        manifest.health = Some(health(contract::manifest::Probe::Exec, &["/hello", "--well"]));
        let plan = Plan::new(&manifest, 3).unwrap();
        let words: std::vec::Vec<_> = plan.arguments.iter().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words, ["reaper", "--probe", "500", "2", "/hello", "--well", "/hello", "--verbose"]);
        manifest.health = Some(health(contract::manifest::Probe::Notify, &[]));
        assert_eq!(Plan::new(&manifest, 3).unwrap().arguments.len(), 3);
    }

    #[test]
    fn its_last_weight_counts() {
        let mut plan = Plan::new(&manifest(), 0).unwrap();
        plan.weigh(cgroup::weight(7));
        plan.weigh(cgroup::disk_weight(7, true));
        plan.weigh(cgroup::weight(70));
        let weights: std::vec::Vec<_> =
            plan.cgroup_files.iter().filter(|setting| setting.file == "cpu.weight").collect();
        assert_eq!(weights.len(), 1);
        assert_eq!(weights[0].value.as_str(), "70");
    }

    #[test]
    fn ranges_of_two_slots_do_not_meet() {
        let [one, other] = [0, 1].map(|slot| Plan::new(&manifest(), slot).unwrap());
        assert!(one.uid_base + one.uid_count <= other.uid_base);
    }
}
