//! Every sequence of a few events, and long ones at random: nothing stays that is nobody's.

use std::collections::BTreeMap;

use contract::control::State;
use contract::mount;

use super::{DAMAGED, H, SMALL_WORLD, World};
use crate::catalogue;
use crate::process::{Process, What, label};
use crate::tenant::Tenant;

impl World {
    /// Is everything somebody's, and everybody as package and the orders say?
    pub(super) fn check(&mut self, story: &[H]) {
        self.settle();
        let house = &self.house;
        assert!(self.asked.is_empty() && self.alls == 0, "{story:?}: unanswered: {:?}", self.asked);
        assert_eq!(house.mounts.waiting() + house.attachments.waiting(), 0, "{story:?}");
        let bundles: BTreeMap<&str, u64> = house
            .processes
            .iter()
            .filter_map(|process| Some((process.name.as_str(), process.bundle()?.version)))
            .collect();
        let wanted = self.installed.iter().map(|(name, known)| (*name, u64::from(known.version))).collect();
        assert_eq!(bundles, wanted, "{story:?}");
        let mut slots: Vec<u8> = house.processes.iter().filter_map(Process::slot).collect();
        let count = slots.len();
        assert!(slots.is_sorted(), "{story:?}: {slots:?}");
        slots.dedup();
        assert_eq!(slots.len(), count, "{story:?}: a slot twice");
        let mut labels: Vec<String> = self.store.keys().cloned().collect();
        labels.retain(|label| label != "record.supervisor" && label != "slices.all");
        let slice = &catalogue::entries().next().unwrap().manifest.provider;
        let mut promised = 0;
        for process in &house.processes {
            let name = &process.name;
            for kind in label::PROCESS {
                let place = labels.iter().position(|label| *label == format!("{kind}.{}", process.key()));
                let optional = [label::NETWORK, label::PID].contains(&kind);
                assert!(place.is_some() || optional, "{story:?}: {kind}.{name}");
                if kind == label::PID {
                    assert_eq!(place.is_some(), process.record.pid.is_some(), "{story:?}: {name}");
                }
                place.map(|place| labels.swap_remove(place));
            }
            let What::Tenant(tenant) = &process.what else { continue };
            let admitted = !matches!(process.record.state, State::Down | State::Failed);
            assert_eq!(house.books.has(name), admitted, "{story:?}: {name}");
            let of_slice = admitted && tenant.manifest.provider == *slice;
            promised += if of_slice { tenant.manifest.cpu.floor_permille } else { 0 };
            let gave_up = process.record.state == State::Failed && process.record.reason.contains("in a row");
            let gave_up = gave_up || process.record.reason.contains("damaged");
            let state = match process.record.wanted {
                true if gave_up => State::Failed,
                true => State::Up,
                false => State::Down,
            };
            assert_eq!(process.record.state, state, "{story:?}: {name}: {}", process.record.reason);
            self.check_its_things(process, tenant, story);
        }
        assert_eq!(labels, Vec::<String>::new(), "{story:?}: labels of nobody");
        assert_eq!(house.books.used(slice).cpu_permille(), promised, "{story:?}: promised to nobody");
        for name in self.mounted.keys().chain(self.attached.keys()) {
            assert!(self.place(name).is_some(), "{story:?}: {name}: an image or a link of nobody");
        }
    }

    /// Image, link and volume of a service that package knows are those of its version.
    fn check_its_things(&self, process: &Process, tenant: &Tenant, story: &[H]) {
        let name = &process.name;
        let Some(known) = self.installed.get(name.as_str()) else { return };
        assert_eq!(process.record.wanted, known.wanted, "{story:?}: {name}");
        // A storage that has died since knows nothing of it.
        let image = self.mounted.get(name.as_str()).filter(|_| known.wanted);
        let is = mount::Image::Bundle([known.version; 32]);
        let link = self.attached.get(name.as_str()).filter(|_| known.wanted);
        let ceiling = u32::from(known.version);
        assert!(link.is_none_or(|link| link.1 == ceiling), "{story:?}: {name}: another's link: {link:?}");
        if let Some(volume) = &tenant.manifest.volume
            && process.record.state == State::Up
        {
            assert_eq!(self.volumes.get(name.as_str()), Some(&volume.bytes()), "{story:?}: {name}");
        }
        assert!(image.is_none_or(|image| *image == is), "{story:?}: {name}: {image:?}");
    }
}

/// Every sequence of `depth` events after each of some beginnings.
fn every_story(depth: u32) {
    let beginnings: [&[H]; 4] = [
        &[],
        &[H::Service("a", 1), H::StorageAnswers, H::NetworkAnswers],
        &[H::Service("a", 1), H::StorageAnswers, H::NetworkAnswers, H::Forget("a")],
        &[H::Service("a", 1), H::StorageAnswers, H::NetworkAnswers, H::Service("a", 2)],
    ];
    let count = SMALL_WORLD.len();
    let mut stories = 0;
    for beginning in beginnings {
        for number in 0..count.pow(depth) {
            let digit = |place: u32| SMALL_WORLD[number / count.pow(place) % count];
            let story: Vec<H> = beginning.iter().copied().chain((0..depth).map(digit)).collect();
            let mut world = World::new();
            story.iter().for_each(|what| world.happen(*what));
            world.check(&story);
            stories += 1;
        }
    }
    println!("{stories} stories of {depth} events");
}

#[test]
fn no_short_story_leaves_a_ghost() {
    every_story(if std::env::var_os("LONG").is_some_and(|long| long == "1") { 3 } else { 2 });
}

#[test]
fn no_long_story_leaves_a_ghost() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let all: Vec<H> = SMALL_WORLD
        .into_iter()
        .chain([H::Service("a", DAMAGED), H::StorageDies, H::Service("b", 2), H::Forget("b")])
        .collect();
    for _ in 0..200 {
        let mut world = World::new();
        let mut story = Vec::new();
        for _ in 0..25 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let what = all[usize::try_from(seed % all.len() as u64).unwrap()];
            story.push(what);
            world.happen(what);
        }
        world.check(&story);
    }
}
