//! Reports of bulk data that go by the agent's own ways.

use super::Room;
use crate::bulk::Outgoing;

impl Room {
    /// Makes reports that are due, and sends those that go to a broker or to subscriptions.
    pub(super) fn report(&mut self, now_ms: u64) {
        if self.bulk.is_idle(now_ms) {
            return;
        }
        if self.bulk.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            self.refresh(now_ms);
        }
        let mut random = [0; 4];
        let _ = sys::entropy::random(&mut random);
        let moment = (now_ms, u32::from_ne_bytes(random));
        for one in self.bulk.turn(&self.world, &self.bell.1, moment) {
            match one {
                Outgoing::Event(row, data) => {
                    let object = format!("Device.BulkData.Profile.{row}.");
                    let arguments = [("Data", data)];
                    let whom = (None, false, now_ms);
                    self.news.happen(&self.world, (&object, "Push"), &arguments, whom);
                }
                Outgoing::Publish(row, topic, report) => {
                    let place = usize::try_from(row.saturating_sub(1)).unwrap_or(usize::MAX);
                    let Some(peer) = self.peers.get_mut(place) else { continue };
                    peer.publish(&topic, report);
                    peer.push(now_ms);
                }
            }
        }
    }
}
