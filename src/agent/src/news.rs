//! News for subscriptions: what has changed, what has happened, and what was not answered yet.
//!
//! In:  a [`World`] after each change of it, events, ends of commands. Out: messages for controllers, again until they are answered.
//!
//! Nothing is asked for regularly: [`News::look`] compares when something has changed. The first look at a subscription is its beginning:
//! nothing is told of what was before.
//!
//! Source: TR-369 §7.6 (R-NOT); TR-181, `Device.LocalAgent.Subscription.{i}.`.

use std::collections::{BTreeMap, BTreeSet};

use log::warn;
use usp::Code;
use usp::message::act::{
    CompleteKind, Event, Notify, NotifyKind, ObjectCreation, ObjectDeletion, OnBoardRequest,
    OperationComplete, OutputArgs, ValueChange,
};
use usp::message::{Entry, Failure, Msg, RequestKind};
use usp::path::Path;

use crate::access::Access;
use crate::backoff;
use crate::journal::{Outgoing, endpoint, row};
use crate::resolve::{parameters, spots};
use crate::settings::{NotifType, Subscription};
use crate::world::World;

/// Pieces of news that wait for one controller; beyond, the eldest goes.
pub const PENDING_OF_ONE_MAX: usize = 64;
/// Values that one subscription looks at.
const VALUES_OF_ONE_MAX: usize = 512;

/// A piece of news on its way.
#[derive(Debug)]
struct Pending {
    controller: u32,
    subscription: u32,
    id: String,
    message: Vec<u8>,
    retry: bool,
    /// It outlives a restart.
    lasting: bool,
    tries: u32,
    due_ms: u64,
    until_ms: u64,
}

/// What was last seen, and what is under way.
#[derive(Debug, Default)]
pub struct News {
    values: BTreeMap<u32, BTreeMap<String, String>>,
    places: BTreeMap<u32, BTreeMap<String, Vec<Entry<'static>>>>,
    pending: Vec<Pending>,
    next: u64,
}

impl News {
    /// Compares with what was last seen, and tells what is new.
    pub fn look(&mut self, world: &World, now_ms: u64) {
        let there: BTreeSet<u32> = world.settings.subscriptions.iter().map(|one| one.row).collect();
        self.values.retain(|row, _| there.contains(row));
        self.places.retain(|row, _| there.contains(row));
        self.pending.retain(|one| one.subscription == 0 || there.contains(&one.subscription));
        for subscription in &world.settings.subscriptions {
            match subscription.kind {
                _ if !subscription.enable => {
                    self.values.remove(&subscription.row);
                    self.places.remove(&subscription.row);
                }
                NotifType::ValueChange => self.look_at_values(world, subscription, now_ms),
                NotifType::ObjectCreation | NotifType::ObjectDeletion => {
                    self.look_at_places(world, subscription, now_ms);
                }
                NotifType::OperationComplete | NotifType::Event => {}
            }
        }
    }

    fn look_at_values(&mut self, world: &World, subscription: &Subscription, now_ms: u64) {
        let access = Access::of(world, subscription.recipient);
        let mut now = BTreeMap::new();
        for reference in &subscription.references {
            let Ok(path) = Path::parse(reference) else { continue };
            for (place, parameters) in parameters(world, access, (&path, 0)).unwrap_or_default() {
                let at = place.path();
                for parameter in parameters.iter().filter(|parameter| parameter.tells) {
                    let path = format!("{at}{}", parameter.name);
                    let may = access.at(&path);
                    let value = (parameter.get)(world, &place.rows).filter(|_| may.read && may.notify);
                    if let Some(value) = value.filter(|_| now.len() < VALUES_OF_ONE_MAX) {
                        now.insert(path, value);
                    }
                }
            }
        }
        let before = self.values.insert(subscription.row, now.clone()).unwrap_or_default();
        for (path, value) in now {
            if before.get(&path).is_some_and(|old| *old != value) {
                let change = ValueChange { param_path: path.into(), param_value: value.into() };
                self.tell(world, subscription, NotifyKind::ValueChange(change), now_ms);
            }
        }
    }

    fn look_at_places(&mut self, world: &World, subscription: &Subscription, now_ms: u64) {
        let access = Access::of(world, subscription.recipient);
        let mut now = BTreeMap::new();
        for reference in &subscription.references {
            let Ok(path) = Path::parse(reference) else { continue };
            for spot in spots(world, access, &path).unwrap_or_default() {
                // A table: its rows, not what is in them.
                let table = spot.table().map(|table| table.path);
                for place in spot.below(world, 0).into_iter().filter(|place| Some(place.object.path) == table)
                {
                    let path = place.path();
                    if access.at(&path).notify && now.len() < VALUES_OF_ONE_MAX {
                        let keys = place.keys(world).into_iter();
                        now.insert(path, keys.map(|(name, value)| Entry::new(name, value)).collect());
                    }
                }
            }
        }
        let first = !self.places.contains_key(&subscription.row);
        let before = self.places.insert(subscription.row, now.clone()).unwrap_or_default();
        if first {
            return;
        }
        if subscription.kind == NotifType::ObjectCreation {
            for (path, unique_keys) in now.into_iter().filter(|(path, _)| !before.contains_key(path)) {
                let creation = ObjectCreation { obj_path: path.into(), unique_keys };
                self.tell(world, subscription, NotifyKind::ObjectCreation(creation), now_ms);
            }
        } else {
            for path in before.into_keys().filter(|path| !now.contains_key(path)) {
                let deletion = ObjectDeletion { obj_path: path.into() };
                self.tell(world, subscription, NotifyKind::ObjectDeletion(deletion), now_ms);
            }
        }
    }

    /// Something happened at `object`: all hear of it, or only the controller in row `only`.
    pub fn happen(
        &mut self,
        world: &World,
        (object, name): (&str, &str),
        arguments: &[(&str, String)],
        (only, lasting, now_ms): (Option<u32>, bool, u64),
    ) {
        let event = Event {
            obj_path: object.to_owned().into(),
            event_name: format!("{name}!").into(),
            params: arguments.iter().map(|(key, value)| Entry::new(key.to_string(), value.clone())).collect(),
        };
        let path = format!("{object}{name}!");
        for subscription in subscribed(world, NotifType::Event, &path) {
            if only.is_none_or(|row| row == subscription.recipient) {
                self.put(world, subscription, NotifyKind::Event(event.clone()), (lasting, now_ms));
            }
        }
    }

    /// A service says what is new at `path`, which is its own.
    pub fn relay(
        &mut self,
        world: &World,
        (kind, path): (NotifType, &str),
        what: &NotifyKind<'static>,
        now_ms: u64,
    ) {
        for subscription in subscribed(world, kind, path) {
            // A value is told to who may read it.
            if kind != NotifType::ValueChange || Access::of(world, subscription.recipient).at(path).read {
                self.tell(world, subscription, what.clone(), now_ms);
            }
        }
    }

    /// A command has ended.
    pub fn complete(
        &mut self,
        world: &World,
        (command, key): (&str, &str),
        end: Result<&[(&str, String)], (Code, String)>,
        (lasting, now_ms): (bool, u64),
    ) {
        let (object, name) = command.rsplit_once('.').unwrap_or(("", command));
        let kind = match end {
            Ok(outputs) => {
                let entries = outputs.iter().map(|(key, value)| Entry::new(key.to_string(), value.clone()));
                CompleteKind::Output(OutputArgs { output_args: entries.collect() })
            }
            Err((code, words)) => CompleteKind::Failure(Failure::new(code, words)),
        };
        let complete = OperationComplete {
            obj_path: format!("{object}.").into(),
            command_name: name.to_owned().into(),
            command_key: key.to_owned().into(),
            kind: Some(kind),
        };
        for subscription in subscribed(world, NotifType::OperationComplete, command) {
            let kind = NotifyKind::OperationComplete(complete.clone());
            self.put(world, subscription, kind, (lasting, now_ms));
        }
    }

    /// The controller in `row` is asked to take us on board; nobody has subscribed to that.
    pub fn board(&mut self, world: &World, row: u32, now_ms: u64) {
        let (oui, serial_number) = crate::model::identity(world);
        let request = OnBoardRequest {
            oui: oui.into(),
            product_class: crate::model::PRODUCT_CLASS.into(),
            serial_number: serial_number.into(),
            agent_supported_protocol_versions: usp::VERSIONS.join(",").into(),
        };
        let nobody = Subscription { recipient: row, retry: true, ..Subscription::default() };
        self.put(world, &nobody, NotifyKind::OnBoardRequest(request), (false, now_ms));
    }

    /// It has not answered yet.
    #[must_use]
    pub fn is_boarding(&self, row: u32) -> bool {
        self.pending.iter().any(|one| one.controller == row && one.subscription == 0)
    }

    /// It is not asked any more.
    pub fn leave_board(&mut self, row: u32) {
        self.pending.retain(|one| one.controller != row || one.subscription != 0);
    }

    /// The controller in `row` is told nothing of what waits.
    pub fn forget(&mut self, row: u32) {
        self.pending.retain(|one| one.controller != row);
    }

    /// What waits and outlives a restart.
    #[must_use]
    pub fn outbox(&self, world: &World) -> Vec<Outgoing> {
        let lasting = self.pending.iter().filter(|one| one.lasting);
        let outgoing = lasting.filter_map(|one| {
            Some(Outgoing {
                controller: endpoint(world, one.controller)?.to_owned(),
                subscription: one.subscription,
                id: one.id.clone(),
                message: one.message.clone(),
                retry: one.retry,
            })
        });
        outgoing.collect()
    }

    /// What waited before a restart, with the numbers that it had.
    pub fn restore(&mut self, world: &World, outbox: Vec<Outgoing>, now_ms: u64) {
        for one in outbox {
            let (Some(controller), Some(subscription)) =
                (row(world, &one.controller), world.settings.subscription(one.subscription))
            else {
                continue;
            };
            self.pending.push(Pending {
                controller,
                subscription: one.subscription,
                id: one.id,
                message: one.message,
                retry: one.retry,
                lasting: true,
                tries: 0,
                due_ms: now_ms,
                until_ms: until_ms(subscription, now_ms),
            });
        }
    }

    fn tell(&mut self, world: &World, subscription: &Subscription, kind: NotifyKind<'static>, now_ms: u64) {
        self.put(world, subscription, kind, (false, now_ms));
    }

    fn put(
        &mut self,
        world: &World,
        subscription: &Subscription,
        kind: NotifyKind<'static>,
        (lasting, now_ms): (bool, u64),
    ) {
        self.next = self.next.saturating_add(1);
        // The boot's time keeps numbers of one life from those of the next.
        let id = format!("NOTIFY@{}-{now_ms}-{}", world.settings.next_subscription, self.next);
        let notify = Notify {
            subscription_id: subscription.id.clone().into(),
            send_resp: subscription.retry,
            kind: Some(kind),
        };
        let message = Msg::request(id.clone(), RequestKind::Notify(notify)).encode();
        let of_one = |one: &&Pending| one.controller == subscription.recipient;
        if self.pending.iter().filter(of_one).count() >= PENDING_OF_ONE_MAX {
            let eldest = self.pending.iter().position(|one| one.controller == subscription.recipient);
            eldest.map(|place| self.pending.remove(place));
            warn!("controller {}: takes no news; the eldest is forgotten", subscription.recipient);
        }
        self.pending.push(Pending {
            controller: subscription.recipient,
            subscription: subscription.row,
            id,
            message,
            retry: subscription.retry,
            lasting,
            tries: 0,
            due_ms: now_ms,
            until_ms: until_ms(subscription, now_ms),
        });
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// News that is to go to the controller in `row` now. Where there is no way to it, what is not told again is forgotten.
    pub fn due(
        &mut self,
        world: &World,
        row: u32,
        is_up: bool,
        (now_ms, random): (u64, u32),
    ) -> Vec<Vec<u8>> {
        if !is_up {
            self.pending.retain(|one| one.controller != row || one.retry || one.lasting);
            return Vec::new();
        }
        let said =
            usize::try_from(row).ok().and_then(|row| world.settings.controllers.get(row.checked_sub(1)?));
        let (least, times) = said.map_or((5, 2000), |said| (said.retry_minimum_s, said.retry_multiplier));
        let mut messages = Vec::new();
        self.pending.retain(|one| one.until_ms > now_ms);
        for one in self.pending.iter_mut().filter(|one| one.controller == row && one.due_ms <= now_ms) {
            messages.push(one.message.clone());
            one.due_ms = now_ms.saturating_add(backoff::standard_ms(one.tries, (least, times), random));
            one.tries = one.tries.saturating_add(1);
        }
        self.pending.retain(|one| one.retry || one.tries == 0);
        messages
    }

    /// When the next piece of news is to go, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self, row: u32) -> Option<u64> {
        self.pending.iter().filter(|one| one.controller == row).map(|one| one.due_ms).min()
    }

    /// The way to the controller in `row` is there again: what waits goes now.
    pub fn hurry(&mut self, row: u32, now_ms: u64) {
        for one in self.pending.iter_mut().filter(|one| one.controller == row) {
            one.due_ms = now_ms;
            one.tries = 0;
        }
    }

    /// The controller in `row` has message `id`.
    pub fn delivered(&mut self, row: u32, id: &str) {
        self.pending.retain(|one| one.controller != row || one.id != id);
    }
}

/// When news is of no use any more, in milliseconds after boot.
fn until_ms(subscription: &Subscription, now_ms: u64) -> u64 {
    match subscription.expiration_s {
        0 => u64::MAX,
        seconds => now_ms.saturating_add(u64::from(seconds).saturating_mul(1000)),
    }
}

/// Subscriptions of `kind` that mean `path`, and whose controllers may hear of it.
fn subscribed<'w>(world: &'w World, kind: NotifType, path: &str) -> Vec<&'w Subscription> {
    let Ok(plain) = Path::parse(path) else { return Vec::new() };
    let of_kind = world.settings.subscriptions.iter().filter(|one| one.enable && one.kind == kind);
    let means = |one: &&Subscription| {
        let references = one.references.iter();
        references.into_iter().any(|one| Path::parse(one).is_ok_and(|pattern| pattern.covers(&plain)))
    };
    of_kind.filter(means).filter(|one| Access::of(world, one.recipient).at(path).notify).collect()
}

#[cfg(test)]
mod tests {
    use super::News;
    use crate::settings::{NotifType, Subscription};
    use crate::testing::world;

    fn subscription(row: u32, kind: NotifType, reference: &str, retry: bool) -> Subscription {
        Subscription {
            row,
            recipient: 1,
            enable: true,
            kind,
            retry,
            references: vec![reference.to_owned()],
            ..Subscription::default()
        }
    }

    #[test]
    fn what_changes_is_told_once_and_again_until_it_is_answered() {
        let mut world = world();
        let path = "Device.LocalAgent.Controller.*.PeriodicNotifInterval";
        world.settings.subscriptions = vec![subscription(1, NotifType::ValueChange, path, true)];
        let mut news = News::default();
        news.look(&world, 0);
        assert_eq!(news.due(&world, 1, true, (0, 0)).len(), 0, "the first look is the beginning");
        world.settings.controllers[1].periodic_s = 77;
        news.look(&world, 10);
        news.look(&world, 11);
        assert_eq!(news.due(&world, 2, true, (11, 0)).len(), 0, "not for this one");
        assert_eq!(news.due(&world, 1, true, (11, 0)).len(), 1);
        assert_eq!(news.due(&world, 1, true, (12, 0)).len(), 0);
        assert_eq!(news.due_ms(1), Some(11 + 5_000));
        assert_eq!(news.due(&world, 1, false, (20_000, 0)).len(), 0, "no way");
        news.hurry(1, 20_000);
        let told = news.due(&world, 1, true, (20_000, 0));
        let message = usp::Msg::decode(&told[0], &usp::GATEWAY).unwrap();
        news.delivered(1, &message.header.unwrap().msg_id);
        assert_eq!(news.due_ms(1), None);
    }

    /// Shows R-NOT.3, R-NOT.4.
    #[test]
    fn each_piece_of_news_begins_with_the_first_wait() {
        let mut world = world();
        world.settings.subscriptions = vec![subscription(1, NotifType::Event, "Device.Boot!", true)];
        let mut news = News::default();
        let boot = ("Device.", "Boot");
        news.happen(&world, boot, &[], (None, true, 0));
        let mut now_ms = 0;
        for _ in 0..5 {
            assert_eq!(news.due(&world, 1, true, (now_ms, 0)).len(), 1);
            now_ms = news.due_ms(1).unwrap();
        }
        assert_eq!(now_ms, (5 + 10 + 20 + 40 + 80) * 1000, "it waits longer each time");
        // The next one does not, and neither does this one in the next life.
        let waits = news.outbox(&world);
        let mut next = News::default();
        next.restore(&world, waits, now_ms);
        assert_eq!(next.due(&world, 1, true, (now_ms, 0)).len(), 1);
        assert_eq!(next.due_ms(1), Some(now_ms + 5_000));
        news.happen(&world, boot, &[], (None, true, now_ms));
        assert_eq!(news.due(&world, 1, true, (now_ms, 0)).len(), 2);
        assert_eq!(news.due_ms(1), Some(now_ms + 5_000));
    }

    #[test]
    fn rows_come_and_go() {
        let mut world = world();
        let table = "Device.LocalAgent.Subscription.";
        let both = [NotifType::ObjectCreation, NotifType::ObjectDeletion];
        world.settings.subscriptions =
            (1..).zip(both).map(|(row, kind)| subscription(row, kind, table, false)).collect();
        let mut news = News::default();
        news.look(&world, 0);
        world.settings.subscriptions.push(subscription(3, NotifType::Event, "Device.", false));
        news.look(&world, 1);
        assert_eq!(news.due(&world, 1, true, (1, 0)).len(), 1, "created");
        world.settings.subscriptions.pop();
        news.look(&world, 2);
        assert_eq!(news.due(&world, 1, true, (2, 0)).len(), 1, "deleted");
        assert_eq!(news.due_ms(1), None, "without retry it is told once");
    }
}
