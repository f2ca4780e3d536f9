//! Orders about slices: rented, given another size, given back; answered when package has it on the disk.
//!
//! In:  such orders on `control`, package's words about them on `installed`, the time. Out: slices, as `slices.rs` makes them; an answer to whoever
//! has asked.
//!
//! ```text
//! asked ─▶ admitted and applied ─▶ package is told ─┬ kept ─────────────────────────▶ done
//!            └ refused                              └ not kept, or not in time ─▶ put back ─▶ refused: not kept
//! ```
//! One order is under way at a time; those that come meanwhile wait, and who has asked is not listened to before he was answered. What is under way
//! is in the record, with what there was before: a life of ours that begins in between goes on with it, though nobody can be answered any more.
//! To put it back is an order too: whatever package has on its disk by then, the last word is that it is as it was before; it is told so until it
//! has kept that.
//!
//! Not here: whether something fits (`admission.rs`), package's connection (`installed.rs`).
//!
//! Source: docs/decisions/0135-a-slice-is-kept.md.

use std::collections::VecDeque;
use std::fmt::Display;

use contract::control::Answer;
use contract::installed;
use contract::limit::REASON_BYTES;
use contract::slice::Slice;
use contract::{Name, Text};
use log::{info, warn};
use sys::clock;
use wire::Connection;

use crate::admission::Refusal;
use crate::catalogue;
use crate::house::House;
use crate::record::{self, Order, Pending};
use crate::slices::refused;

/// How long package has for it, in milliseconds: it may just be starting, and a slow stick takes a second or two.
pub(crate) const KEPT_MS: u64 = 8_000;
/// Whoever asks still waits then.
const _: () = assert!(KEPT_MS < wire::ANSWER_MS as u64);
/// The time from one try of what could not be kept to the next, in milliseconds.
const RETRY_MS: u64 = 10_000;
/// Orders that wait for the one under way; one more is refused.
const WAITING_MAX: usize = 4;

/// What is to become of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// It is rented, or has this size.
    Rent(Slice),
    /// It is given back.
    Release(Name),
}

/// Who has asked for what.
#[derive(Debug)]
pub struct Rental {
    /// Who is to be answered when package has kept what is under way; `None`: he is gone, or asked a former life.
    asker: Option<Connection>,
    /// When that has to be, in milliseconds after boot.
    pub(crate) until_ms: u64,
    /// When package is told again of what it could not keep, in milliseconds after boot.
    pub(crate) retry_ms: u64,
    waiting: VecDeque<(Connection, Wish)>,
}

impl Rental {
    /// Of a life that begins now: what is under way has its whole time.
    #[must_use]
    pub fn begin(now_ms: u64) -> Self {
        let until_ms = now_ms.saturating_add(KEPT_MS);
        Self { asker: None, until_ms, retry_ms: 0, waiting: VecDeque::new() }
    }

    /// How many wait for an answer.
    #[must_use]
    pub fn askers(&self) -> usize {
        self.waiting.len() + usize::from(self.asker.is_some())
    }
}

impl House {
    /// Somebody orders something of a slice: it is done in its turn.
    pub(crate) fn order_slice(&mut self, client: Connection, wish: Wish) {
        let waiting = &mut self.rental.waiting;
        if waiting.len() < WAITING_MAX {
            return waiting.push_back((client, wish));
        }
        self.answer_order(client, &Answer::Refused("other orders about slices wait; try again".into()));
    }

    /// Begins what waits, as far as nothing is under way; puts back what package has not kept in time.
    pub fn mind_slices(&mut self) {
        if self.ending.is_some() {
            return; // Whoever has asked hears that we are gone.
        }
        if self.rented.pending.is_some() && clock::boot_ms() >= self.rental.until_ms {
            match self.package.is_there() {
                true => {
                    self.put_back(&format!("the data disk has not taken it within {} s", KEPT_MS / 1_000))
                }
                false => self.put_back(&"no data disk, or nobody who writes on it; see ctl disk"),
            }
        }
        if clock::boot_ms() >= self.rental.retry_ms
            && let Some(Order { slice, rented, .. }) = self.unkept().cloned()
        {
            self.tell_order(&slice, rented);
        }
        while self.rented.pending.is_none()
            && let Some((client, wish)) = self.rental.waiting.pop_front()
        {
            let begun = match &wish {
                Wish::Rent(slice) => self.rent(slice),
                Wish::Release(name) => self.give_back(name),
            };
            match begun {
                None => self.rental.asker = Some(client),
                Some(answer) => self.answer_order(client, &answer),
            }
        }
    }

    fn answer_order(&mut self, client: Connection, answer: &Answer) {
        if client.send(answer, &[]).is_ok() {
            self.clients.push(client);
        }
    }

    fn answer_asker(&mut self, answer: &Answer) {
        self.rental.asker.take().into_iter().for_each(|client| self.answer_order(client, answer));
    }

    /// An order: rents a slice, or gives it another size. What is said at once: what is short, or the rule that it breaks; `None`: it is under way.
    fn rent(&mut self, slice: &Slice) -> Option<Answer> {
        let words = |refusal: &Refusal| Text::format(format_args!("{refusal}"));
        if self.held.iter().any(|held| held.name == slice.name) {
            let why = "what the line can promise is not known yet; try again";
            return Some(Answer::Refused(Text::format(format_args!("slice {}: {why}", slice.name))));
        }
        let before = self.rented_as(&slice.name).cloned();
        let kept = |order: &Order| order.slice == slice.name && order.rented && order.kept;
        if before.as_ref() == Some(slice) && self.rented.orders.iter().any(kept) {
            return Some(Answer::Done); // Whoever has not heard it asks again.
        }
        if let Err(refusal) = self.book(slice) {
            return Some(refused(&refusal, words(&refusal)));
        }
        info!("slice {}: an order: rent", slice.name);
        self.begin_keeping(&slice.name, before, true);
        None
    }

    /// An order: takes a slice back, if no service of it is here, running or not. What is said at once: it is in use, it comes with the image, nobody
    /// rents it; `None`: it is under way.
    fn give_back(&mut self, name: &Name) -> Option<Answer> {
        let words =
            |why: &dyn Display| Some(Answer::Refused(Text::format(format_args!("slice {name}: {why}"))));
        let Some(before) = self.rented_as(name).cloned() else {
            return words(&"nobody rents it; `ctl slices` lists them");
        };
        if catalogue::slices().any(|slice| slice.name == *name) {
            return words(&"it comes with the image");
        }
        if let Err(why) = self.strike(name) {
            return words(&why);
        }
        info!("slice {name}: an order: give back");
        self.begin_keeping(name, Some(before), false);
        None
    }

    /// It was changed in the books: written down, applied, told.
    fn begin_keeping(&mut self, name: &Name, before: Option<Slice>, rented: bool) {
        let first = !self.rented.orders.iter().any(|order| order.slice == *name);
        self.rented.pending = Some(Pending { slice: name.clone(), before, first });
        self.note_order(name, rented);
        record::write_rented(&self.slices_file, &self.rented);
        self.settle_again(name);
        self.rental.until_ms = clock::boot_ms().saturating_add(KEPT_MS);
        self.tell_order(name, rented);
    }

    /// package names a slice that it has on the disk, before it was told of the order that is under way: so it was before.
    pub(crate) fn note_before(&mut self, slice: &Slice) {
        if let Some(pending) = &mut self.rented.pending
            && (&pending.slice, pending.first, &pending.before) == (&slice.name, true, &None)
        {
            pending.before = Some(slice.clone());
            record::write_rented(&self.slices_file, &self.rented);
        }
    }

    /// package has kept what it was told of a slice, or not: why. It answers in order, and its last word of each slice counts.
    pub(crate) fn hear_kept(&mut self, outcome: Result<(), Text<REASON_BYTES>>) {
        let Some(name) = self.package.heard_last_of() else { return };
        let its = self.rented.pending.as_ref().is_some_and(|pending| pending.slice == name);
        match outcome {
            Ok(()) => {
                let mut orders = self.rented.orders.iter_mut();
                orders.find(|order| order.slice == name).into_iter().for_each(|order| order.kept = true);
                self.rented.pending.take_if(|_| its);
                record::write_rented(&self.slices_file, &self.rented);
                if its {
                    self.answer_asker(&Answer::Done);
                }
            }
            Err(why) if its => self.put_back(&why),
            Err(why) => {
                warn!("slice {name}: not kept: {why}; tried again in {} s", RETRY_MS / 1_000);
                self.rental.retry_ms = clock::boot_ms().saturating_add(RETRY_MS);
            }
        }
    }

    /// What is under way is undone; where somebody counts on it already, it stays, and package is told of it again and again.
    fn put_back(&mut self, why: &dyn Display) {
        let Some(Pending { slice: name, before, .. }) = self.rented.pending.clone() else { return };
        let undone = match &before {
            Some(before) => self.book(before).map_err(|refusal| refusal.to_string()),
            None => self.strike(&name),
        };
        let words: Text<REASON_BYTES> = match undone {
            Ok(()) => {
                // The image's need not be kept.
                let kept = before.is_some_and(|before| catalogue::slices().all(|slice| slice != before));
                self.note_order(&name, kept);
                Text::format(format_args!("slice {name}: not kept: {why}"))
            }
            Err(in_use) => {
                Text::format(format_args!("slice {name}: not kept, and stays for now ({in_use}): {why}"))
            }
        };
        warn!("{words}");
        self.settle_again(&name);
        self.rented.pending = None;
        record::write_rented(&self.slices_file, &self.rented);
        let rented = self.rented.orders.iter().any(|order| order.slice == name && order.rented);
        self.tell_order(&name, rented);
        self.answer_asker(&Answer::Refused(words));
    }

    /// An order of this boot counts more than what package has kept; it is told of it, now and on each connection.
    fn note_order(&mut self, slice: &Name, rented: bool) {
        let orders = &mut self.rented.orders;
        orders.retain(|order| order.slice != *slice);
        if orders.is_full() {
            orders.remove(0);
        }
        let _ = orders.push(Order { slice: slice.clone(), rented, kept: false }); // There is room now.
    }

    /// Tells package of every order of this boot.
    pub(crate) fn tell_orders(&mut self) {
        self.rented.orders.clone().iter().for_each(|order| self.tell_order(&order.slice, order.rented));
    }

    /// What package could not keep: put back, or in use already. `None`: nothing.
    fn unkept(&self) -> Option<&Order> {
        let waits = |order: &&Order| !order.kept && !self.package.is_told_of(&order.slice);
        self.rented.orders.iter().find(waits).filter(|_| self.package.is_there())
    }

    /// When the next thing is to be done here, in milliseconds after boot.
    pub(crate) fn slices_due_ms(&self) -> Option<u64> {
        let until_ms = self.rented.pending.as_ref().map(|_| self.rental.until_ms);
        let retry_ms = self.unkept().map(|_| self.rental.retry_ms);
        until_ms.into_iter().chain(retry_ms).min().filter(|_| self.ending.is_none())
    }

    fn tell_order(&mut self, name: &Name, rented: bool) {
        if let Some(pending) = &mut self.rented.pending
            && pending.first
            && pending.slice == *name
            && self.package.is_there()
        {
            pending.first = false;
            record::write_rented(&self.slices_file, &self.rented);
        }
        let word = match self.rented_as(name).filter(|_| rented) {
            Some(slice) => installed::Answer::Rented(slice.clone()),
            None => installed::Answer::Released(name.clone()),
        };
        self.package.tell_slice(name, &word);
    }

    /// What a former life had begun may not have been applied by it.
    pub(crate) fn go_on_renting(&mut self) {
        if let Some(name) = self.rented.pending.as_ref().map(|pending| pending.slice.clone()) {
            self.settle_again(&name);
        }
    }
}
