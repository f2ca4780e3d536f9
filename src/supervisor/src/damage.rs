//! Images on the disk that are not what was signed: storage tells of them, and each service that has one gets an event.
//!
//! In:  `mount::Answer::Damaged`, on a connection of its own. Out: `contract::sla::What::Damaged`, once for each start of a service: who
//! reads the same block a thousand times, or starts over and over, pushes no other event out.
//!
//! Nothing else follows: who reads there gets an I/O error, and what a service makes of it is its own affair; a start that finds the image
//! too damaged to be mounted is refused by storage.
//!
//! Source: docs/decisions/0134-a-bit-that-flips.md.

use std::os::fd::{AsFd, BorrowedFd};

use contract::mount::{Answer, Ask, Damage};
use contract::sla::What as Happened;
use contract::wires::Wire;
use log::warn;
use wire::Client;

use crate::house::House;
use crate::process::{Id, What};

/// From one dialling to the next, in milliseconds: storage may only be on its way.
const DIAL_MS: u64 = 1_000;

/// A connection that only listens.
#[derive(Debug, Default)]
pub struct Watch {
    client: Option<Client>,
    due_ms: u64,
    /// Who was told, and in which preparation of a start.
    told: Vec<(Id, u32)>,
}

impl Watch {
    /// Begins to listen, where it does not and it is time to.
    fn dial(&mut self, wire: Wire, now_ms: u64) {
        if self.client.is_none() && self.due_ms <= now_ms {
            self.due_ms = now_ms.saturating_add(DIAL_MS);
            self.client = Client::dial(wire).ok().filter(|client| client.send(&Ask::Watch, &[]).is_ok());
        }
    }

    /// The next damaged image.
    fn hear(&mut self) -> Option<([u8; 32], Damage)> {
        loop {
            match self.client.as_ref()?.receive::<Answer>() {
                Ok(Some((Answer::Damaged { image, damage }, _))) => return Some((image, damage)),
                Ok(Some((Answer::Mounted | Answer::Done | Answer::Disk(_) | Answer::Refused(_), _))) => {}
                Ok(None) => return None,
                Err(_) => self.client = None,
            }
        }
    }

    /// What to poll.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }
}

impl House {
    /// Hears of damaged images.
    pub fn hear_damage(&mut self, now_ms: u64) {
        self.damage.dial(self.hands.mount, now_ms);
        while let Some((image, damage)) = self.damage.hear() {
            self.damaged(&image, damage);
        }
    }

    /// `image` is damaged: whose it is gets an event, unless it had one since it was last started.
    pub(crate) fn damaged(&mut self, image: &[u8; 32], damage: Damage) {
        let Self { processes, events, damage: Watch { told, .. }, .. } = self;
        told.retain(|(id, _)| processes.iter().any(|process| process.id == *id));
        for process in processes {
            let What::Tenant(tenant) = &process.what else { continue };
            let now = (process.id, tenant.attempt);
            if tenant.bundle.as_ref().is_none_or(|bundle| bundle.image != *image) || told.contains(&now) {
                continue;
            }
            told.retain(|(id, _)| *id != process.id);
            told.push(now);
            let (part, block) = damage.words();
            let block = block.map(|block| format!(" {block}")).unwrap_or_default();
            warn!("{}: its image on the disk is not what was signed: {part}{block}", process.name);
            events.tell(&process.name, Happened::Damaged(damage));
        }
    }
}
