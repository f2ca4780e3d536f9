//! Thresholds, in the loop: looked at, and told where they are met.

use super::Room;
use crate::threshold::Mode;

impl Room {
    /// Looks where something is another, or what moves was not looked at for a while.
    pub(super) fn look_at_thresholds(&mut self, changed: bool, now_ms: u64) {
        let due = self.thresholds.due_ms(&self.world).is_some_and(|due_ms| due_ms <= now_ms);
        if due {
            self.refresh(now_ms);
            let all = self.world.settings.thresholds.iter().filter(|one| one.enable);
            if all.into_iter().any(|one| crate::model::is_of_network(&one.reference)) {
                self.look_at_network(now_ms);
            }
        }
        if !due && !changed {
            return;
        }
        for met in self.thresholds.look(&self.world, now_ms) {
            let object = format!("Device.LocalAgent.Threshold.{}.", met.row);
            let arguments = [("ParamPath", met.path), ("ParamValue", met.value)];
            let whom = (Some(met.controller), false, now_ms);
            self.news.happen(&self.world, (&object, "Triggered"), &arguments, whom);
            let all = self.world.settings.thresholds.iter_mut();
            for one in all.filter(|one| one.row == met.row && one.mode == Mode::Single) {
                one.enable = false;
                self.kept.dirty = true;
                self.stale = true;
            }
        }
    }
}
